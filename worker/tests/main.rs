//! The worker's integration tests, against recorded results.

mod golden_finetune;
mod golden_objectives;
mod golden_parity;
#[path = "../../tests/common/recordings.rs"]
mod recordings;
