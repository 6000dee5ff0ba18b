//! Learn a tokenizer.

use grid::data::{self, Tokenizer};
use grid::domain::{Assignment, TokenizerJob};

use super::located;
use crate::attempt::{Attempt, JobError};

/// Leaves `tokenizer.json` and `tokenizer_config.json`.
pub(super) fn run(job: &TokenizerJob, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let mut texts = vec![];
    for (origin, format) in &job.corpora {
        texts.extend(data::documents(&located(assignment, origin), format)?);
    }
    for (origin, format) in &job.datasets {
        let records = data::records(&located(assignment, origin), format)?;
        texts.extend(records.into_iter().flat_map(|record| [record.prompt, record.reply]));
    }
    let tokenizer = Tokenizer::train(job.vocab_size, texts.iter())?;
    tokenizer.save(attempt.output())?;
    Ok(())
}
