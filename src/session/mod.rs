//! Opened experiments: what is planned, what is known, what is left to do, and how it is begun, run and recovered.
//!
//! Purpose: the decisions behind the verbs. A [`Session`] is one spec opened with its data, its plan and its history in
//! the database; a [`Run`] is a session that holds the lock of its runs folder and drives its jobs.
//!
//! Invariant: a session never prints and never reads the command line. It returns what the user should know, reports
//! progress to an [`Observer`], and fails with a [`Failure`] that has its message and exit code. An experiment is planned
//! once; it is decided again only if finished jobs were recovered, or another grid created the runs folder meanwhile.
//!
//! Rejected: these decisions in the verbs. Each verb planned the spec again, in its own order, and none of it could be
//! tested without parsing a command line.

mod abandoned;
mod build;
mod chaos;
mod clock;
mod clusters;
mod data_status;
mod datasets;
mod dropout;
mod evaluation;
mod evaluation_data;
mod execution;
mod facts;
mod failure;
mod fetch;
mod form;
mod history;
mod imported;
mod job_named;
mod model_job;
mod observer;
mod open;
mod preflight;
mod recorder;
mod refuse;
mod run;
mod runs_folder;
mod seeds;
mod show;
mod show_suite;
mod signals;
mod spec_text;
mod submission;
mod teachers;
mod verify;

pub use abandoned::is_abandoned;
pub use build::{build_dataset, check_build};
pub use chaos::{ChaosReport, ChaosRequest, ChaosRun, Ending, FaultKind, Round};
pub use clusters::fill_clusters;
pub use data_status::{ListedData, VerifiedData, list_data, verify_data};
pub use evaluation::{EvaluationRequest, EvaluationSpec, evaluation_spec, hide_curricula};
pub use execution::Execution;
pub use failure::{Exit, Failure};
pub use fetch::{Fetched, fetch_before_run, fetch_missing, update_lock};
pub use form::{Form, collect_form};
pub use imported::{ImportedSource, imported_sources};
pub use job_named::only_job;
pub use model_job::{FinishedModel, check_model, only_model};
pub use observer::{JobToRun, Observer};
pub use open::Session;
pub use run::Run;
pub use runs_folder::RunsFolder;
pub use seeds::{FewSeeds, few_seeds};
pub use show::{ShownDataset, ShownRecord, ShownToken, show_dataset};
pub use show_suite::{ScoredToken, ShownCandidate, ShownItem, ShownSuite, show_suite};
pub use spec_text::{SpecOrigin, SpecText};
pub use submission::{SubmissionFile, SubmissionFiles, collect_submission};
pub use verify::{VerificationRequest, VerificationRun};
