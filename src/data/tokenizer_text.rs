//! The text that a tokenizer is trained on.

use crate::domain::{LocatedSource, Origin, TokenizerJob};

use super::corpus::documents;
use super::error::DataError;
use super::records::records;

/// Reads the texts of a source; see [`tokenizer_texts`].
pub type ReadTexts<'a> = &'a dyn Fn(&LocatedSource) -> Result<Vec<String>, DataError>;

/// The documents of the corpora and the texts of the records of the datasets of a job, in order. `read` finds the files of
/// an origin and reads their texts.
///
/// # Errors
/// As `read`, [`documents`] and [`records()`].
pub fn tokenizer_texts<E>(
    job: &TokenizerJob,
    read: impl Fn(&Origin, ReadTexts<'_>) -> Result<Vec<String>, E>,
) -> Result<Vec<String>, E> {
    let mut texts = vec![];
    for (origin, format) in &job.corpora {
        texts.extend(read(origin, &|located| documents(located, format))?);
    }
    for (origin, format) in &job.datasets {
        let of_records = |located: &LocatedSource| {
            let records = records(located, format)?;
            Ok(records.iter().flat_map(|record| record.texts().into_iter().map(str::to_owned)).collect())
        };
        texts.extend(read(origin, &of_records)?);
    }
    Ok(texts)
}
