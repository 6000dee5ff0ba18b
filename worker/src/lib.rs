//! Everything that uses libtorch. The map of the whole project is in the crate `grid`.

pub mod attempt;
pub mod bench;
pub mod jobs;
pub mod ml;
