//! The training loop and its state between two steps.

mod progress;
mod report;
mod trainer;
mod validation;

pub use progress::Progress;
pub use report::{Measurements, StepReport, ValidationResult};
pub use trainer::{Options, Trainer};
