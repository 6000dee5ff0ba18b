//! The batches of training, as pure functions of the step.

mod epochs;
mod packed_text;
mod parts;
mod records;
#[cfg(test)]
mod tests;
mod tune;

pub(super) use epochs::{rows_of_steps, total_steps};
pub(super) use packed_text::PackedText;
pub(super) use records::{InstructionRecords, Truncation};
pub(super) use tune::{PartBatches, TuneBatches, TunePartRows};
