//! Tokenize a corpus or dataset.

use grid::data::{self, HeldOut, Tokenizer};
use grid::domain::{Event, PrepareJob, Prepared};

use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};

/// Writes the token files and `ledger.json`.
pub(super) fn run(job: &PrepareJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let tokenizer = Tokenizer::load(inputs.parent(&job.tokenizer)?)?;
    let output = attempt.output().to_owned();
    let ledger = match &job.data {
        Prepared::Corpus(origin, format) => {
            let documents = data::documents(&inputs.located(origin), format)?;
            data::prepare_corpus(&tokenizer, &documents, job.held_out, &output)?
        }
        Prepared::Dataset(origin, format, template) => {
            let groups = data::record_groups(&inputs.located(origin), format)?;
            let (ledger, held_out) = data::prepare_dataset(&tokenizer, &groups, template, job.held_out, &output)?;
            if let HeldOut::Tail(records) = held_out {
                let message = format!(
                    "no dialogue or paragraph is small enough to be held out as a whole: the last {records} records of \
                     the largest one are held out"
                );
                attempt.emit(Event::Warning { message })?;
            }
            ledger
        }
    };
    if ledger.train.words + ledger.validation.words == 0 {
        return Err(JobError::failed(
            "it contains no text: are the files complete, and are the fields and filters right?",
        ));
    }
    for (name, value) in [("words", ledger.train.words), ("tokens", ledger.train.tokens)] {
        attempt.emit(Event::Metric { name: name.to_owned(), step: 0, value: value as f64 })?;
    }
    Ok(())
}
