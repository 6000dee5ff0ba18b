//! grid turns one YAML file into a trustworthy table.

pub mod cli;
pub mod data;
pub mod domain;
pub mod plan;
pub mod report;
pub mod runner;
pub mod spec;
pub mod store;
pub mod suites;
