//! Evaluation tasks: files to items, items to requests, log-probabilities to scores.
//!
//! Purpose: the rules of the BabyLM 2025 zero-shot tasks, once as the official pipeline applies them
//! ([`Mode::Compat`]) and once repaired ([`Mode::Fixed`]).
//! [`read`] turns the files of a task folder into [`Item`]s whose [`Candidate`]s are the requests, somebody else sums
//! the log-probabilities of each candidate, and [`score`] turns the sums into numbers.
//!
//! Invariant: the order of files does not matter and nothing is guessed. The same bytes give the same items with the
//! same indices in every mode, so that two models, or two modes, can be compared item by item.
//!
//! Rejected: a `Task` trait with one implementation per suite. Every suite but reading is "choose among candidates",
//! and what differs is a handful of lines in one `match`; requests that carry token ids, because then the suites would
//! have to know a tokenizer.

mod choice;
mod error;
mod item;
mod rank;
mod read;
mod reading;
mod row;

use crate::domain::{ItemOutcome, Mode, Score, Suite};

pub use error::SuiteError;
pub use item::{Candidate, Item, Measurements, Tokenized, Truth};

/// Reads the items of a suite from `(file name, contents)` pairs, in order of file name.
///
/// Of a name only the part after the last `/` counts. Names that start with `.` (such as macOS resource forks) and
/// files of other kinds are skipped.
///
/// # Errors
/// A row that is not as the suite's format has it, naming file, line and field; two files of one name; no item at all.
pub fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    read::read(suite, mode, files)
}

/// Scores the items of a suite: its official aggregate (`subtask: None`) after its subtasks, and every item's outcome.
///
/// `sums[i][c]` is the sum over the scored tokens of candidate `c` of item `i` of their natural-log probabilities.
///
/// # Panics
/// When `sums` does not have one number for each candidate: the caller scored something else.
pub fn score(suite: Suite, mode: Mode, items: &[Item], sums: &[Vec<f64>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    assert_eq!(items.len(), sums.len(), "one list of sums for each item");
    for (item, sums) in items.iter().zip(sums) {
        assert_eq!(item.candidates.len(), sums.len(), "one sum for each candidate of {} {}", item.subtask, item.index);
    }
    match suite {
        Suite::WugAdj | Suite::WugPast => rank::score(suite, mode, items, sums),
        Suite::Reading => reading::score(suite, mode, items, sums),
        Suite::Blimp | Suite::BlimpSupplement | Suite::EntityTracking | Suite::Ewok | Suite::Comps => {
            choice::score(suite, mode, items, sums)
        }
    }
}

#[cfg(test)]
mod golden;
