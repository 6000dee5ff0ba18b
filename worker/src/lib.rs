//! The workshop of grid: everything that touches a tensor.

pub mod ml;
