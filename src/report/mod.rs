//! Tables, statistics, figures and progress.
//!
//! Purpose: turn recorded scores into what a researcher reads, with the uncertainty of each number.
//!
//! Invariant: recorded scores are never recomputed, and missing ones are never hidden: a cell without a score is shown as
//! `—`, and a score of fewer seeds than planned says so.
//!
//! Rejected: formatting tables directly from SQL. The content of a table ([`Table`]) is separate from its format, so that
//! all formats show the same numbers, and tests check them without parsing text.

mod card;
mod chance;
mod columns;
mod compare;
mod compared;
mod conditions;
mod curve;
mod equal_models;
mod figure;
#[cfg(test)]
mod fixtures;
mod form;
mod gaps;
pub mod human;
mod leaderboard;
mod marks;
mod measure;
mod named;
mod pivot;
mod power;
pub mod progress;
mod publish;
mod published;
mod render;
mod seeds;
mod speed;
pub mod statistics;
mod table;

pub use card::{Card, CardJob};
pub use columns::aligned_columns;
pub use compare::{CompareError, Comparison, ExperimentScores, Options, PlannedCells, Scope};
pub use compared::{Compared, TTest};
pub use curve::curve;
pub use figure::{Figure, comparison_figure};
pub use form::{form, form_sheets};
pub use gaps::format_gaps;
pub use leaderboard::leaderboard;
pub use named::{box_figure, named_table};
pub use pivot::{Columns, pivot, suites_with_subtasks};
pub use power::{few_seeds_warning, observed_spreads, power};
pub use publish::html_page;
pub use speed::{generation_speed, speed};
pub use table::{Cell, Column, MarkNote, Scale, Score, Spread, Table};
