//! Tokenize a corpus or dataset.

use grid::data::{self, HeldOut, Tokenizer};
use grid::domain::{Assignment, Event, PrepareJob, Prepared};

use super::{located, parent};
use crate::attempt::{Attempt, JobError};

/// Leaves the token files and `ledger.json`.
pub(super) fn run(job: &PrepareJob, assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let tokenizer = Tokenizer::load(parent(assignment, &job.tokenizer)?)?;
    let output = attempt.output().to_owned();
    let ledger = match &job.data {
        Prepared::Corpus(origin, format) => {
            let documents = data::documents(&located(assignment, origin), format)?;
            data::prepare_corpus(&tokenizer, &documents, job.held_out, &output)?
        }
        Prepared::Dataset(origin, format, template) => {
            let groups = data::record_groups(&located(assignment, origin), format)?;
            let (ledger, held_out) = data::prepare_dataset(&tokenizer, &groups, template, job.held_out, &output)?;
            if let HeldOut::Tail(records) = held_out {
                let message = format!(
                    "no dialogue or paragraph is small enough to be held out whole: the last {records} records of the \
                     largest one are held out"
                );
                attempt.emit(Event::Warning { message })?;
            }
            ledger
        }
    };
    if ledger.train.words + ledger.validation.words == 0 {
        return Err(JobError::failed("there is no text in it: are the files whole, and the fields and filters right?"));
    }
    for (name, value) in [("words", ledger.train.words), ("tokens", ledger.train.tokens)] {
        attempt.emit(Event::Metric { name: name.to_owned(), step: 0, value: value as f64 })?;
    }
    Ok(())
}
