//! The batches of training, as pure functions of the step.

mod epochs;
mod logprobs;
mod packed_text;
mod parts;
mod records;
mod rows;
mod shots;
#[cfg(test)]
mod tests;
mod tune;

pub(super) use epochs::{rows_of_steps, total_steps};
pub(super) use logprobs::Logprobs;
pub(super) use packed_text::PackedText;
pub(super) use parts::PartStarts;
pub(super) use records::{InstructionRecords, Truncation};
pub(super) use rows::{InstructionRows, LabelledRows, PairRows, Rows, mismatched_reply, other_records};
pub(super) use shots::ShotRows;
pub(super) use tune::{PartBatches, TuneBatches};
