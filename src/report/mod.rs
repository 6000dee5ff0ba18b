//! Tables, statistics, progress.
pub mod human;
pub mod progress;
