//! The arguments that name a spec.

use std::path::PathBuf;

use clap::Args;

use crate::domain::Grid;
use crate::session::{Failure, SpecText};

/// A spec and changes to it.
#[derive(Debug, Args)]
pub(super) struct SpecArgs {
    /// The spec.
    pub spec: PathBuf,
    /// Set a field of the spec: path.to.field=value.
    #[arg(short = 'S', long = "set", value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

impl SpecArgs {
    /// Reads and validates the spec.
    pub(super) fn read(&self) -> Result<(SpecText, Grid), Failure> {
        SpecText::read(&self.spec, &self.set)
    }
}
