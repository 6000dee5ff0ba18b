//! The integration tests, in one binary, because every further binary would link the whole library again.
//!
//! `cargo test --test integration eval::` runs one module.

mod agreement;
mod babylm;
mod broken_specs;
mod build;
mod cases;
mod chaos;
mod class_it;
mod common;
mod comparisons;
mod confounds;
mod crash;
mod curricula;
mod damage;
mod database;
mod datasets;
mod diff;
mod distillation;
mod download;
mod eval;
mod export;
mod faults;
mod floors;
mod fuzz;
mod golden_eval;
mod help;
mod import;
mod in_context;
mod items;
mod learning;
mod objectives;
mod precision;
mod rounds;
mod run;
mod selection;
mod session;
mod shared;
mod shipped;
mod slurm;
mod tables;
mod terminal;
mod test_sets;
mod verify;
