//! `Grid` to DAG: which jobs an experiment needs, what is left to do, and why.
//!
//! Purpose: pure functions from a validated grid, what was found on disk, and what the database remembers, to a
//! plan that can be printed, diffed, or run.
//!
//! Invariant: equal inputs give equal plans, in the same order, on every machine. A tune job can only be made from
//! the handle of a training job, and an eval job only from such a handle, so neither cycles nor the evaluation of an
//! evaluation can be written.
//!
//! Rejected: letting file times decide what is stale. A touched file would rerun a night's work and a restored
//! backup would hide a change; contents decide.

mod change;
mod decide;
mod describe;
mod diff;
mod expand;
mod facts;
mod forecast;
mod graph;
mod ledger;
mod names;
mod planned;
mod text;

pub use change::change;
pub use decide::{Artifacts, Decision, Known, Last, Why, decide};
pub use describe::{Description, describe, warnings};
pub use diff::{Differences, Line, differences};
pub use expand::{Recorded, expand};
pub use facts::{Facts, TextEstimate, Unreached};
pub use forecast::weight;
pub use graph::GraphFormat;
pub use ledger::{Account, Ledger, Reading, ledger};
pub use planned::{Plan, PlannedCell, PlannedJob, Role, Text};
