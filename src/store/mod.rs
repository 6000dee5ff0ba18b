//! The database of a folder of runs: every SQL string of the project.
//!
//! Purpose: keep what was planned, what happened and what came out, in tables that people can query themselves
//! (`docs/schema.md`), and hand it back as plain data.
//!
//! Invariant: every write is one transaction, and recording the same news again changes nothing: a journal line is
//! known by its attempt and number, an attempt only moves on
//! (`submitted` → `running` → `interrupted`, `lost` → `failed`, `done`), and what a job gave (scores, items,
//! artifacts) is replaced as a whole by the record of its success. So a coordinator that died may read all journals
//! from the start.
//!
//! Rejected: letting workers write the database. SQLite over a cluster's shared filesystem loses data, and a worker
//! that waits for a lock does not train. Workers append to journals; one coordinator records them.

mod begin;
mod clusters;
mod error;
mod filesystem;
mod garbage;
mod item_table;
mod models;
mod open;
mod read;
mod record;
mod results;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod verification;

pub use error::StoreError;
pub use garbage::Garbage;
pub use item_table::ItemGroup;
pub use open::Store;
pub use rows::{
    AttemptRow, Ending, Experiment, ExperimentRow, Invocation, InvocationId, JobHistory, JobRow, Last, LineageJob,
    MetricPoint, ModelJob, PlannedCell, PlannedRow, Role, State, StoredExperiment,
};
pub use schema::schema_markdown;
pub use verification::Verification;
