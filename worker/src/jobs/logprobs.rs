//! Compute the log-probabilities of the replies of a dataset under a model.

use std::path::Path;

use grid::data::{DataError, Split};
use grid::domain::{Event, LogprobsJob, LossMask, Replies};
use serde::{Deserialize, Serialize};

use super::batches::{InstructionRecords, Logprobs, mismatched_reply, other_records};
use super::inputs::Inputs;
use super::partial;
use crate::attempt::{Attempt, JobError};
use crate::ml::{LanguageModeling, Model, Reply, reply_logprobs};

/// Records that are computed between two looks at the clock.
const CHUNK: u64 = 64;

/// What an attempt has computed so far.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Partial {
    train: Vec<f64>,
    validation: Vec<f64>,
}

impl Partial {
    fn of(&mut self, split: Split) -> &mut Vec<f64> {
        match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
        }
    }
}

/// The replies of one split, with the places of other replies for a dataset with labelled ones.
struct SplitReplies {
    records: InstructionRecords,
    others: Option<Vec<u64>>,
}

impl SplitReplies {
    fn open(folder: &Path, split: Split, job: &LogprobsJob) -> Result<Self, DataError> {
        let replies = grid::data::Ledger::open(folder)?.records.replies;
        let records = InstructionRecords::with(&[folder], split, replies, job.max_length, LossMask::Reply)?;
        let others = match replies {
            Replies::Good | Replies::Pairs => None,
            Replies::Labelled => Some(other_records(&records, 0)?),
        };
        Ok(Self { records, others })
    }

    fn per_record(&self) -> u64 {
        if self.others.is_some() { 2 } else { 1 }
    }

    /// The replies of a record.
    fn replies(&self, index: u64) -> Result<Vec<Reply>, DataError> {
        let record = self.records.prepared(0, index)?;
        let other =
            self.others.as_ref().map(|others| mismatched_reply(&self.records, 0, &record, others[index as usize]));
        let mut replies = vec![self.records.reply(record)];
        replies.extend(other.transpose()?);
        Ok(replies)
    }
}

/// Writes the log-probabilities of both splits.
pub(super) fn run(job: &LogprobsJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let folder = inputs.prepared(&job.dataset)?;
    let model: Model = inputs.read_model(inputs.model(&job.model)?)?;
    let text = LanguageModeling::new(model.config(), job.precision, 0.0);
    let splits: Vec<(Split, SplitReplies)> = Split::ALL
        .into_iter()
        .map(|split| Ok((split, SplitReplies::open(folder, split, job)?)))
        .collect::<Result<_, DataError>>()?;
    let total: u64 = splits.iter().map(|(_, replies)| replies.records.len()).sum();
    let (mut partial, mut before) = (partial::find::<Partial>(attempt).unwrap_or_default(), 0);
    for (split, replies) in &splits {
        let mut next = partial.of(*split).len() as u64 / replies.per_record();
        partial.of(*split).truncate((next * replies.per_record()) as usize);
        while next < replies.records.len() {
            let end = (next + CHUNK).min(replies.records.len());
            let chunk: Vec<Vec<Reply>> = (next..end).map(|index| replies.replies(index)).collect::<Result<_, _>>()?;
            let found = reply_logprobs(&model, &text, &chunk.concat(), inputs.settings().micro_batch)?;
            if let Some(value) = found.iter().find(|value| !value.is_finite()) {
                return Err(JobError::failed(format!(
                    "a log-probability of the {} records {next} to {end} is {value}: are the weights of the model finite?",
                    split.name()
                )));
            }
            partial.of(*split).extend(found);
            next = end;
            let done = before + next;
            attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
            let stop = attempt.stop_requested();
            if stop || attempt.should_checkpoint() {
                inputs.check_unchanged()?;
                partial::save(attempt, &partial)?;
            }
            if stop {
                return Err(JobError::Interrupted { step: done });
            }
        }
        before += replies.records.len();
    }
    for (split, _) in &splits {
        Logprobs::write(attempt.output(), *split, partial.of(*split))?;
    }
    Ok(())
}
