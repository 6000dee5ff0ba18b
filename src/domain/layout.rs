//! The names of the files and folders through which the coordinator and the workers communicate.
//!
//! ```text
//! runs/<experiment>/<kind>-<id>/job.json                  Assignment; the coordinator writes it before it starts the
//!                                                         job and removes it once the end of the submission is recorded
//!                              /outcome.<token>.json      Outcome, published once by link(2): the first writer wins
//!                              /lock                      locked (flock) by the worker that runs the job
//!                              /slurm-<number>.out        what the job printed, on Slurm only
//!                              /<attempt>/                one attempt, named <token>-<nonce>
//!                              /<attempt>/job.json        the Assignment as the attempt found it
//!                              /<attempt>/journal.jsonl   one JournalEntry per line, appended by one worker
//!                              /<attempt>/heartbeat       the time in milliseconds, rewritten every few seconds
//!                              /<attempt>/items.jsonl     one ItemOutcome per line (eval and finetune jobs)
//!                              /<attempt>/checkpoint-*/   checkpoints to resume from (training jobs)
//!                              /<attempt>/output/         the artifacts named in the outcome
//!                              /<attempt>/outcome.json    the Outcome before it is published
//! ```
//!
//! The names of the files of a model folder are in [`super::hugging_face::files`].

/// Incremented whenever the format of the [`Assignment`](super::Assignment) changes.
pub const ASSIGNMENT_SCHEMA: u32 = 2;

/// Incremented whenever outcomes, journals or the layout of the folders change, so that results of earlier versions can
/// no longer be read.
pub const OUTCOME_SCHEMA: u32 = 2;

/// The schema of outcomes without digests of themselves and of their records, which earlier versions wrote.
pub const OUTCOME_SCHEMA_WITHOUT_DIGESTS: u32 = 1;

/// The [`Assignment`](super::Assignment), in the folder of the job and in that of each attempt.
pub const JOB: &str = "job.json";

/// The [`JournalEntry`](super::JournalEntry) lines of an attempt.
pub const JOURNAL: &str = "journal.jsonl";

/// The [`Outcome`](super::Outcome) in the folder of its attempt.
pub const OUTCOME: &str = "outcome.json";

/// The [`ItemOutcome`](super::ItemOutcome) lines of an attempt.
pub const ITEMS: &str = "items.jsonl";

/// The file that a worker keeps locked while it runs the job in this folder.
pub const LOCK: &str = "lock";

/// The file whose content is the time at which the worker was last known to be alive.
pub const HEARTBEAT: &str = "heartbeat";

/// The folder of an attempt's artifacts.
pub const OUTPUT: &str = "output";

/// The folder, in the output of a pretrain job, with a folder for the model of each [`Milestone`](super::Milestone).
pub const MILESTONES: &str = "milestones";

/// How the names of checkpoint folders begin; the step follows, with leading zeros.
pub const CHECKPOINT_PREFIX: &str = "checkpoint-";

/// The position of training in a checkpoint: step, data cursor, schedule and counts.
pub const TRAINER: &str = "trainer.json";

/// The digest of [`TRAINER`] in a checkpoint, in the format of `b3sum`.
pub const TRAINER_DIGEST: &str = "trainer.json.digest";

/// The state of the optimizer, in checkpoints and in the output of a job whose optimizer state a later job continues
/// with.
pub const OPTIMIZER: &str = "optimizer.safetensors";

/// The exit code of a worker that stopped on request and can resume.
pub const RESUMABLE: u8 = 75;

/// The file in the folder of a job under which the outcome of a submission is published.
pub fn published_outcome(token: &str) -> String {
    format!("outcome.{token}.json")
}

/// The token in the name of a published outcome; `None` for any other name.
pub fn outcome_token(file_name: &str) -> Option<&str> {
    file_name.strip_prefix("outcome.")?.strip_suffix(".json")
}

/// The file in the folder of a job that Slurm writes the output of its job `number` to.
pub fn slurm_log(number: impl std::fmt::Display) -> String {
    format!("slurm-{number}.out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_outcomes_name_their_token() {
        assert_eq!(outcome_token(&published_outcome("t1")), Some("t1"));
        assert_eq!([OUTCOME, JOB].map(outcome_token), [None, None]);
    }
}
