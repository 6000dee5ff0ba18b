//! Train a tokenizer.

use grid::data::{self, Tokenizer};
use grid::domain::{Event, TokenizerJob};

use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};

/// Writes `tokenizer.json` and `tokenizer_config.json`.
pub(super) fn run(job: &TokenizerJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let mut texts = vec![];
    for (origin, format) in &job.corpora {
        texts.extend(inputs.read(origin, |located| data::documents(located, format))?);
    }
    for (origin, format) in &job.datasets {
        let records = inputs.read(origin, |located| data::records(located, format))?;
        texts.extend(records.into_iter().flat_map(|record| [record.prompt, record.reply]));
    }
    let tokenizer = Tokenizer::train(job.vocab_size, texts.iter())?;
    let (learned, wanted) = (tokenizer.vocab_size(), job.vocab_size);
    if learned < wanted {
        let message = format!(
            "the text yields only {learned} of {wanted} vocabulary entries: the models have rows for the others, which \
             are never trained; set `vocab_size: {learned}`, or provide more text"
        );
        attempt.emit(Event::Warning { message })?;
    }
    tokenizer.save(attempt.output())?;
    Ok(())
}
