//! The database of a folder of runs. All SQL of the project is in this module.
//!
//! Purpose: record plans, what happened to their jobs, and the results, in tables that people can query themselves
//! (`docs/schema.md`), and read them back as plain data.
//!
//! Invariant: every write is one transaction, and recording the same update again changes nothing. A journal line is
//! identified by its attempt and its number; the state of an attempt only moves forward
//! (`submitted` → `running` → `interrupted`, `lost` → `failed`, `done`); and the results of a job (scores, items,
//! artifacts) are replaced as a whole when its success is recorded. A coordinator that was killed can therefore read all
//! journals again from the start.
//!
//! Rejected: letting workers write the database. SQLite loses data on the shared filesystem of a cluster, and a worker
//! that waits for a lock does not train. Workers append to journals, and one coordinator records them.

mod attempts;
mod begin;
mod clusters;
mod columns;
mod descriptions;
mod error;
mod experiments;
mod filesystem;
mod garbage;
mod history;
mod items;
mod jobs;
mod layout;
mod metrics;
mod models;
mod old_layout;
mod open;
mod provenance;
mod read_only;
mod record;
mod results;
mod schema_page;
mod scores;
#[cfg(test)]
mod tests;
mod verification;

pub use attempts::AttemptRow;
pub use begin::{CellJob, CellRecord, Experiment, Invocation, InvocationId, InvocationOutcome, JobRecord};
pub use error::StoreError;
pub use experiments::{BuildCount, ExperimentRow, JobName, StoredExperiment};
pub use garbage::Garbage;
pub use history::{JobHistory, LastAttempt};
pub use items::ItemGroup;
pub use jobs::{JobRow, JobState};
pub use metrics::MetricPoint;
pub use models::{CellName, KeptMilestone, LineageJob, ModelJob};
pub use open::{DatabaseFile, Store, WriteLock};
pub use provenance::Provenance;
pub use schema_page::schema_markdown;
pub use verification::Verification;
