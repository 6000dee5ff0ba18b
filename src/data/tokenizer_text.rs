//! The text that a tokenizer is trained on.

use crate::domain::{LocatedSource, Origin, TokenizerJob};

use super::corpus::documents;
use super::error::DataError;
use super::records::records;

/// The documents of the corpora and the texts of the records of the datasets of a job, in order.
///
/// # Errors
/// As [`documents`] and [`records()`].
pub fn tokenizer_texts(
    job: &TokenizerJob,
    located: impl Fn(&Origin) -> LocatedSource,
) -> Result<Vec<String>, DataError> {
    let mut texts = vec![];
    for (origin, format) in &job.corpora {
        texts.extend(documents(&located(origin), format)?);
    }
    for (origin, format) in &job.datasets {
        let records = records(&located(origin), format)?;
        texts.extend(records.iter().flat_map(|record| record.texts().into_iter().map(str::to_owned)));
    }
    Ok(texts)
}
