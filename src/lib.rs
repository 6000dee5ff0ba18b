//! grid turns one YAML file into a trustworthy table: a declarative experiment-grid runner for small language models.
//!
//! # The house
//!
//! Two buildings. The *office* (this package, library and binary `grid`) plans, schedules, records and reports, and
//! never links libtorch. The *workshop* (`worker/`, binary `grid-worker`) is everything that touches a tensor. They
//! communicate through files only: job files one way, journals and outcomes the other ([`domain::layout`] names them).
//!
//! ```text
//!  floor 4   cli ............ one file per verb: parses, calls, prints; makes no decisions; alone may import any package
//!  floor 3   session ........ one opened spec: what is known, what is left to do, begin, run, recover, refuse
//!  floor 2   runner ......... when and where jobs run; one executor per backend
//!            scoring ........ the token ids of evaluation items, and which of them count
//!  floor 1   spec  plan  store  data  suites  report      six siblings that never import each other
//!  floor 0   domain ......... nouns: ids, Grid, Job, Event, Score
//!  workshop: main (takes jobs) -> attempt (the protocol), jobs (what each kind does) -> ml (all of tch)
//! ```
//!
//! Imports go down only, which `tests/floors.rs` checks. `session` imports everything below it but `report`: it returns
//! values and never text for a terminal, so nothing in it depends on how a table looks.
//!
//! # The way of a spec
//!
//! ```text
//!  experiments/x.yaml --spec::parse--> Grid --plan::expand--> Plan --plan::decide--> Reuse | Run(RunReason)
//!     session::Session::open does all of this, once; `grid plan` prints it and stops
//!  session::Run::begin: fetch missing data, lock the runs folder, record the plan, recover finished jobs
//!  runner::drive: ready queue -> slot -> worker (here, or on Slurm) --JobUpdate--> store (first) and report::progress (second)
//!  grid report: store -> report::pivot, report::compare, report::named -> terminal, Markdown, LaTeX, HTML, CSV, JSON, SVG
//! ```

pub mod cli;
pub mod data;
pub mod domain;
pub mod plan;
pub mod report;
pub mod runner;
pub mod scoring;
pub mod session;
pub mod spec;
pub mod store;
pub mod suites;

#[cfg(test)]
#[path = "../tests/common/recordings.rs"]
mod recordings;
