//! Learn a tokenizer.

use grid::data::{self, Tokenizer};
use grid::domain::{Assignment, Event, TokenizerJob};

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
    let (learned, asked) = (tokenizer.vocab_size(), job.vocab_size);
    if learned < asked {
        let message = format!(
            "the text has only {learned} entries to learn, of {asked}: the models keep rows for the rest, which no text \
             can train; set `vocab_size: {learned}`, or give more text"
        );
        attempt.emit(Event::Warning { message })?;
    }
    tokenizer.save(attempt.output())?;
    Ok(())
}
