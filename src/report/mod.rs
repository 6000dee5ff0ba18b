//! Tables, statistics and progress.
//!
//! Purpose: to turn the rows of the database into what a researcher reads, with the doubt that belongs to each number.
//!
//! Invariant: nothing is computed anew that was recorded, nothing that is missing is left out: a cell without a score
//! is shown as `—`, and one with fewer seeds than planned says so.
//!
//! Rejected: tables drawn straight from SQL. What a table holds ([`Table`]) and how it looks are two things, so that
//! all forms show the same numbers and tests read them without parsing drawings.

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
pub mod human;
mod lacks;
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
pub use compare::{CompareError, Comparison, Options, Planned, Scope};
pub use compared::{Compared, Test};
pub use curve::curve;
pub use figure::{Figure, compared};
pub use lacks::lacks;
pub use leaderboard::leaderboard;
pub use named::{boxes, named};
pub use pivot::{Columns, pivot, with_subtasks};
pub use power::{few_seeds, power, spread};
pub use publish::page;
pub use speed::speed;
pub use table::{Cell, Scale, Score, Spread, Table};
