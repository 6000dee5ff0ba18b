//! Train a tokenizer.

use grid::data::{self, Tokenizer};
use grid::domain::{Event, TokenizerJob};

use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};

/// Writes `tokenizer.json` and `tokenizer_config.json`.
pub(super) fn run(job: &TokenizerJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let texts = data::tokenizer_texts(job, |origin, texts| texts(&inputs.located(origin)))?;
    if texts.iter().any(|text| Tokenizer::cuts_words(text)) {
        let message = "the text has words of more than 16 kB, which the tokenizer learns from in parts: are the files text, \
                       and are their lines and spaces complete?";
        attempt.emit(Event::Warning { message: message.to_owned() })?;
    }
    let tokenizer = Tokenizer::train_with(job.vocab_size, &job.special_tokens, texts.iter())?;
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
