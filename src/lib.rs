//! grid turns one YAML file into a trustworthy table: a declarative experiment-grid runner for small language models.
//!
//! # The house
//!
//! Two buildings. The *office* (this package, library and binary `grid`) plans, schedules, records and reports, and
//! never links libtorch. The *workshop* (`worker/`, binary `grid-worker`) is everything that touches a tensor. They
//! talk through files only: job files one way, journals and outcomes the other ([`domain::layout`] names them).
//!
//! ```text
//!  floor 3   cli ............ one file per verb; the only room that knows everybody; the only one that prints
//!  floor 2   runner ......... when and where jobs happen
//!  floor 1   spec  plan  store  data  suites  report      six siblings that never import one another
//!  floor 0   domain ......... nouns: ids, Grid, Job, Event, Score
//!  workshop: main (takes jobs) -> attempt (the protocol), jobs (what each kind does) -> ml (all of tch)
//! ```
//!
//! Imports go down only; `tests/floors.rs` holds the walls.
//!
//! # The way of a spec
//!
//! ```text
//!  experiments/x.yaml --spec::load--> Grid --plan::expand--> Plan --plan::decide--> Reuse | Run(Why)
//!     `grid plan` prints this and stops; `grid run` first has data::download fetch what lies on other machines
//!  runner::drive: ready queue -> slot -> worker (here, or on Slurm) --JobUpdate--> store (first) and report::progress (second)
//!  grid report: store -> report::pivot, report::compare, report::named -> terminal, Markdown, LaTeX, HTML, CSV, JSON, SVG
//! ```

pub mod cli;
pub mod data;
pub mod domain;
pub mod plan;
pub mod report;
pub mod runner;
pub mod spec;
pub mod store;
pub mod suites;
