//! Evaluation tasks: files to items, items to requests, log-probabilities to scores.
//!
//! Purpose: the rules of the BabyLM 2025 tasks, once as the official pipeline applies them
//! ([`Mode::COMPAT`]) and once repaired ([`Mode::FIXED`]).
//! [`read`] turns the files of a task folder into [`Item`]s whose [`Candidate`]s are the requests, somebody else sums
//! the log-probabilities of each candidate, and [`score`] turns the sums into numbers. The suite [`glue`] has classes
//! in place of candidates, and a choice among epochs. [`official`] writes what was recorded as the official result files.
//!
//! Invariant: the order of files does not matter and nothing is guessed. The same bytes give the same items with the
//! same indices in every mode, so that two models, or two modes, can be compared item by item.
//!
//! Rejected: a `Task` trait with one implementation per suite. Every suite but reading is "choose among candidates",
//! and what differs is a handful of lines in one `match`; requests that carry token ids, because then the suites would
//! have to know a tokenizer.

mod aoa;
mod choice;
mod clusters;
mod error;
pub mod glue;
mod item;
pub mod official;
mod rank;
mod read;
mod reading;
mod row;

use std::collections::HashMap;

use crate::domain::{Cluster, ItemOutcome, Mode, Score, Stderr, Suite};

pub use aoa::{Stage, score_stages};
pub use error::SuiteError;
pub use item::{Candidate, Item, Likelihood, Measurements, Tokenized, Truth};
pub use reading::{Power, predictive_power};

/// Reads the items of a suite from `(file name, contents)` pairs, in order of file name.
///
/// Of a name only the part after the last `/` counts. Names that start with `.` (such as macOS resource forks) and
/// files of other kinds are skipped.
///
/// # Errors
/// A row that is not as the suite's format has it, naming file, line and field; two files of one name; no item at all;
/// the suite `glue`, which has no candidates to score.
pub fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    read::read(suite, mode, files)
}

/// Scores the items of a suite: its official aggregate (`subtask: None`) after its subtasks, and every item's outcome.
///
/// `measured[i][c]` is what the model says of candidate `c` of item `i`.
///
/// The suite `aoa` is scored over the stages of a training, by [`score_stages`].
///
/// # Panics
/// When `measured` does not have a likelihood for each candidate: the caller scored something else. When the suite is
/// `aoa`.
pub fn score(suite: Suite, mode: Mode, items: &[Item], measured: &[Vec<Likelihood>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    assert_eq!(items.len(), measured.len(), "one list of likelihoods for each item");
    for (item, measured) in items.iter().zip(measured) {
        assert_eq!(item.candidates.len(), measured.len(), "one for each candidate of {} {}", item.subtask, item.index);
    }
    match suite {
        Suite::WugAdj | Suite::WugPast => rank::score(suite, mode, items, measured),
        Suite::Reading => reading::score(suite, mode, items, measured),
        Suite::Blimp | Suite::BlimpSupplement | Suite::EntityTracking | Suite::Ewok | Suite::Comps => {
            choice::score(suite, mode, items, measured)
        }
        Suite::Aoa => unreachable!("aoa is scored by score_stages"),
        Suite::Glue => unreachable!("its rows are never read as items"),
    }
}

/// Gives outcomes that were recorded without clusters those of their items, and computes the standard errors of the
/// accuracies anew: what [`score`] would have given. Suites whose items are independent have no standard error to
/// change.
///
/// `items` are those of the same data, read under the same mode. `None` where an outcome is not about one of them.
pub fn recluster(suite: Suite, items: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    match suite {
        // Its outcomes are filed under the stages of a training; every item is its own cluster.
        Suite::Aoa => {
            outcomes.iter_mut().for_each(|outcome| outcome.cluster = Cluster::Itself);
            return Some(vec![]);
        }
        Suite::Glue => unreachable!("its rows are never read as items"),
        _ => {}
    }
    let known: HashMap<(&str, u32), &Item> =
        items.iter().map(|item| ((item.subtask.as_str(), item.index), item)).collect();
    let mut groups = Vec::with_capacity(outcomes.len());
    for outcome in outcomes.iter_mut() {
        let item = known.get(&(outcome.subtask.as_str(), outcome.item))?;
        outcome.cluster = item.cluster.clone();
        groups.push(item.group.as_str());
    }
    Some(match suite {
        Suite::Blimp | Suite::BlimpSupplement | Suite::EntityTracking | Suite::Ewok | Suite::Comps => {
            choice::stderrs(suite, &groups, outcomes)
        }
        Suite::WugAdj | Suite::WugPast | Suite::Reading | Suite::Aoa | Suite::Glue => vec![],
    })
}

/// [`score`] of sums of one token each.
#[cfg(test)]
fn score_sums(suite: Suite, mode: Mode, items: &[Item], sums: &[Vec<f64>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    let measured = |sums: &Vec<f64>| sums.iter().map(|&sum| Likelihood { sum, tokens: 1 }).collect();
    score(suite, mode, items, &sums.iter().map(measured).collect::<Vec<_>>())
}

#[cfg(test)]
mod golden;
