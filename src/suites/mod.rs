//! Evaluation suites: files to items, items to requests, log-probabilities to scores.
//!
//! Purpose: the rules of the BabyLM tasks, as the official pipelines of 2025 and 2026 apply them ([`Mode::COMPAT`],
//! [`Mode::COMPAT_2026`]) and repaired ([`Mode::FIXED`]).
//! [`read`] turns the files of a suite's folder into [`Item`]s whose [`Candidate`]s are the requests, the worker sums the
//! log-probabilities of each candidate, and [`score`] turns the sums into numbers. The suite [`glue`] has classes instead
//! of candidates. [`official`] writes recorded outcomes as the official result files.
//!
//! Each suite has one file, which defines a `Definition`; the `match` in this file names them all.
//!
//! Invariant: the order of files does not matter and nothing is guessed. The same bytes give the same items with the
//! same indices in every mode, so that two models, or two modes, can be compared item by item.
//!
//! Rejected: a `Task` trait. A suite is a record of functions without state, and the compiler names the fields that a new
//! suite lacks; a trait would add default methods, whose omission it does not report. Requests that carry token ids,
//! because the suites would then need a tokenizer.

mod aoa;
mod blimp;
mod blimp_supplement;
mod choice;
mod clusters;
mod comps;
mod correlation;
mod definition;
mod entity_tracking;
mod error;
mod ewok;
mod files;
mod global_piqa;
pub mod glue;
mod item;
mod json_lines;
pub mod official;
pub mod own;
mod reading;
mod wug;

use crate::domain::{ItemOutcome, Mode, Score, Stderr, Suite, Test, TestItems};
use definition::{Definition, Official};

pub use aoa::{AoaCheckpoint, score_checkpoints};
pub use error::SuiteError;
pub use item::{Answers, Candidate, Item, Likelihood, Measurements, ReportLabel, Tokenization, Truth};
pub use reading::{Power, predictive_power};

/// What the file of a suite states about it.
fn definition(suite: Suite) -> &'static Definition {
    match suite {
        Suite::Blimp => &blimp::DEFINITION,
        Suite::BlimpSupplement => &blimp_supplement::DEFINITION,
        Suite::EntityTracking => &entity_tracking::DEFINITION,
        Suite::Ewok => &ewok::DEFINITION,
        Suite::Comps => &comps::DEFINITION,
        Suite::GlobalPiqaParallel => &global_piqa::PARALLEL,
        Suite::GlobalPiqaNonparallel => &global_piqa::NONPARALLEL,
        Suite::WugAdj => &wug::ADJECTIVES,
        Suite::WugPast => &wug::PAST_TENSE,
        Suite::Reading => &reading::DEFINITION,
        Suite::Aoa => &aoa::DEFINITION,
        Suite::Glue => &glue::DEFINITION,
        Suite::Pairs | Suite::MultipleChoice | Suite::Perplexity | Suite::InContext => &own::DEFINITION,
    }
}

/// How the official pipeline files the results of a suite.
///
/// # Panics
/// If they are not filed by suite; see [`official::has_files`].
fn official_of(suite: Suite) -> &'static Official {
    definition(suite).official.as_ref().unwrap_or_else(|| panic!("the results of {suite} are not filed by suite"))
}

/// Reads the items of a suite from `(path, contents)` pairs, in order of file name.
///
/// Only the part of a path after the last `/` counts. Hidden files (such as macOS resource forks) and files with another
/// extension are skipped.
///
/// # Errors
/// If a row does not have the suite's format, naming file, line and field; if two files have the same name; if there is
/// no item at all; for the suite `glue`, which has no candidates to score.
pub fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    (definition(suite).read)(suite, mode, files)
}

/// Scores the items of a suite or test set: the scores of the subtasks, then the official aggregate (`subtask: None`), and an
/// outcome for every item.
///
/// `measured[i][c]` is the likelihood of candidate `c` of item `i`.
///
/// # Panics
/// If `measured` does not have a likelihood for each candidate. If the suite is `aoa`, which [`score_checkpoints`] scores, or
/// `glue`, which [`glue::score`] scores.
pub fn score(test: &Test, mode: Mode, items: &[Item], measured: &[Vec<Likelihood>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    assert_eq!(items.len(), measured.len(), "one list of likelihoods for each item");
    for (item, measured) in items.iter().zip(measured) {
        let (wanted, found) = (item.candidates.len(), measured.len());
        assert_eq!(wanted, found, "one likelihood for each candidate of {} {}", item.subtask, item.index);
    }
    let suite = test.suite();
    match test {
        Test::Official(suite) => {
            let score = definition(*suite).score;
            score.unwrap_or_else(|| panic!("{suite} is not scored from the likelihoods of one model"))(
                *suite, mode, items, measured,
            )
        }
        Test::Own(set) => match &set.items {
            TestItems::Pairs(_) => choice::score(suite, mode, items, measured),
            TestItems::MultipleChoice(task) => own::score_multiple_choice(task, mode, items, measured),
            TestItems::Perplexity(_) => own::score_text(mode, items, measured),
            TestItems::InContext(streams) => own::score_streams(streams.after, mode, items, measured),
        },
    }
}

/// Gives outcomes that were recorded without clusters the clusters of their items, and recomputes the standard errors of
/// the accuracies as [`score`] does. A suite whose items are independent has no standard errors to recompute.
///
/// `items` are those of the same data, read under the same mode. `None` if an outcome belongs to none of them.
pub fn recluster(suite: Suite, items: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    (definition(suite).recluster)(suite, items, outcomes)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
