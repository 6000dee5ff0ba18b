//! An attempt at a job, and the files in which it is recorded.
//!
//! Purpose: everything that a job needs for its events, output and checkpoints, so that the code of a job does not deal
//! with tokens, locks and outcomes.
//!
//! Invariant: an attempt writes only below its own folder, except that it publishes its outcome by link(2) in the folder
//! of the job, after all of its journal is on disk. Whoever sees the outcome can read everything else.
//!
//! Rejected: to end together with the coordinator (`PR_SET_PDEATHSIG`, or when standard input closes). If the coordinator
//! crashed at night, every training job would end, too. Workers finish their job instead, and the next coordinator finds
//! them.

mod error;
mod files;
mod heartbeat;
mod running;
mod serve;
pub mod signal;
#[cfg(test)]
mod tests;

pub use error::JobError;
pub use files::digest_of;
pub use running::Attempt;
pub use serve::{Served, serve};
