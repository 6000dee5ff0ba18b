//! `grid verify`: one file for each guarantee.

mod chaos;
mod resume;

use clap::Subcommand;

use super::global::Global;
use crate::session::{Exit, Failure};

/// What to verify.
#[derive(Debug, Subcommand)]
pub(super) enum VerifyVerb {
    /// Train every training job of a spec straight, then with kills and resumes, and compare both bit by bit.
    Resume(resume::VerifyResumeArgs),
    /// Run a small grid undisturbed, then again and again under random faults, and compare everything bit by bit.
    ///
    /// Processes are killed and stopped, journals torn, folders deleted, bits flipped in checkpoints, results and data, the
    /// disk is full, the database locked. After each fault, `grid resume` repeats until the run ends. Nothing outside of
    /// the runs folder is touched.
    Chaos(chaos::VerifyChaosArgs),
}

/// `grid verify`.
pub(super) async fn verify(global: &Global, verb: &VerifyVerb) -> Result<Exit, Failure> {
    match verb {
        VerifyVerb::Resume(args) => resume::resume(global, args).await,
        VerifyVerb::Chaos(args) => chaos::chaos(global, args).await,
    }
}
