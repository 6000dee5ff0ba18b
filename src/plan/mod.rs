//! `Grid` to DAG: which jobs an experiment needs, which of them must run, and why.
//!
//! Purpose: pure functions from a validated grid, the data found on disk and the history in the database to a plan that
//! can be printed, compared with another plan, or run.
//!
//! Invariant: equal inputs give equal plans, in the same order, on every machine. Tune and eval jobs can only be created
//! from a reference to a training job, so a plan has neither cycles nor evaluations of evaluations.
//!
//! Rejected: deciding by file times what is out of date. Touching a file would rerun hours of work, and restoring a backup
//! would hide a change. File contents decide instead.

mod change;
mod decide;
mod describe;
mod diff;
mod expand;
mod facts;
mod forecast;
mod graph;
mod ledger;
mod lineage;
mod names;
mod passes;
mod planned;
mod sampled;
mod text;
mod trainings;

pub use change::change;
pub use decide::{Artifacts, Decision, LastAttempt, PriorState, RunReason, decide};
pub use describe::{Description, describe, warnings};
pub use diff::{DifferenceLine, Differences, differences};
pub use expand::{RecordedJob, expand};
pub use facts::{Facts, PromptCount, TextAmount, TextEstimate, UnreachedMilestone};
pub use forecast::weight;
pub use graph::GraphFormat;
pub use ledger::{CountedText, Ledger, ModelAccount, StageReading, TextRole, ledger};
pub use planned::{Plan, PlannedCell, PlannedJob, PreparedText, Role};
pub use sampled::SampledLine;
pub use text::TableLayout;
pub use trainings::{TrainingStage, trainings};
