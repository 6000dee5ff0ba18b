//! The workshop of grid: everything that touches a tensor. The map of both buildings is in the crate `grid`.

pub mod attempt;
pub mod bench;
pub mod jobs;
pub mod ml;
