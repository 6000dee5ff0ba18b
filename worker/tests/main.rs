//! The worker's integration tests, against recorded results.

mod golden_finetune;
mod golden_generation;
mod golden_objectives;
mod golden_parity;
#[path = "../../tests/common/recorded_models.rs"]
mod recorded_models;
#[path = "../../tests/common/recordings.rs"]
mod recordings;
