//! Entity tracking: what a box holds after some operations, chosen from several contents of which the first is right.
//!
//! Rows about the same story form a cluster: their first sentence, which says what is in the boxes to begin with, is
//! the same, whatever happens then.

use std::collections::BTreeMap;

use crate::domain::{BoxRows, Edition, ItemOutcome, Mode, Score, Size, Suite};

use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::item::{Candidate, Item, Tokenization, Truth};
use super::json_lines::{self, JsonRow, ParsedRow};
use super::official::{predictions, report};
use super::{choice, clusters};

pub(super) const DEFINITION: Definition = Definition {
    read,
    // Splits count equally even if one has more numbers of operations than another.
    score: Some(choice::score_by_group),
    recluster: choice::recluster_by_group,
    official: Some(Official {
        folder: "entity_tracking",
        folder_per_set: true,
        sizes: Sizes::OfSubtasks(sizes),
        predictions_file: "predictions.json",
        predictions: predictions::chosen_completions,
        report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: write_report }),
        fast_result: report::fast_accuracies,
    }),
};

fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    json_lines::read(suite, files, |stem, row| story(mode, stem, row))
}

/// An option "nothing" is always the shortest one, and is right in three rows of ten.
fn story(mode: Mode, stem: &str, row: &JsonRow) -> Result<ParsedRow, SuiteError> {
    let (prefix, options) = (row.text("input_prefix")?, row.texts("options")?);
    if options.len() < 2 {
        return Err(row.error(format!("field `options` should hold at least 2 strings, not {}", options.len())));
    }
    let has_nothing = options.iter().any(|option| option.contains("nothing"));
    let left_out = mode.entity_tracking == BoxRows::WithoutNothing && has_nothing;
    Ok(ParsedRow {
        subtask: format!("{stem}_{}_ops", row.integer("numops")?),
        group: stem.to_owned(),
        report_labels: vec![],
        candidates: options.iter().map(|option| Candidate::after(prefix, option, Tokenization::Whole)).collect(),
        truth: Truth::First,
        left_out_by: left_out.then_some("entity_tracking: without_nothing"),
        cluster: clusters::sharing(&[prefix.split('.').next().unwrap_or(prefix)]),
    })
}

/// After the numbers of operations, the block of UIDs has the mean of each split.
fn write_report(suite: Suite, items: &[Item], outcomes: &[ItemOutcome], scores: &[&Score]) -> String {
    report::with_blocks(suite, items, outcomes, scores, |report, of_subtasks| {
        let mut splits: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (subtask, value) in &of_subtasks {
            let split = items.iter().find(|item| item.subtask == *subtask).map_or("", |item| &item.group);
            splits.entry(split).or_default().push(*value);
        }
        let mean =
            |(split, values): (&str, Vec<f64>)| (split.to_owned(), values.iter().sum::<f64>() / values.len() as f64);
        report.block("UID", &[of_subtasks, splits.into_iter().map(mean).collect()].concat());
    })
}

/// The fast set is the split `regular` alone, all of it.
fn sizes(edition: Edition, size: Size) -> Vec<(&'static str, u32)> {
    let full = match edition {
        Edition::Of2025 => FULL,
        Edition::Of2026 => FILTERED,
    };
    match size {
        Size::Full => full.to_vec(),
        Size::Fast => full.into_iter().filter(|(subtask, _)| subtask.starts_with("regular")).collect(),
    }
}

/// The subtasks of the full set, and how many rows without an option "nothing" each has: those of the edition of 2026.
const FILTERED: [(&str, u32); 18] = [
    ("regular_0_ops", 517),
    ("regular_1_ops", 409),
    ("regular_2_ops", 405),
    ("regular_3_ops", 425),
    ("regular_4_ops", 388),
    ("regular_5_ops", 94),
    ("ambiref_0_ops", 508),
    ("ambiref_1_ops", 428),
    ("ambiref_2_ops", 413),
    ("ambiref_3_ops", 409),
    ("ambiref_4_ops", 434),
    ("ambiref_5_ops", 123),
    ("move_contents_0_ops", 516),
    ("move_contents_1_ops", 437),
    ("move_contents_2_ops", 399),
    ("move_contents_3_ops", 406),
    ("move_contents_4_ops", 353),
    ("move_contents_5_ops", 116),
];

/// The subtasks of the full set, and how many items each has.
const FULL: [(&str, u32); 18] = [
    ("regular_0_ops", 606),
    ("regular_1_ops", 607),
    ("regular_2_ops", 606),
    ("regular_3_ops", 606),
    ("regular_4_ops", 568),
    ("regular_5_ops", 159),
    ("ambiref_0_ops", 607),
    ("ambiref_1_ops", 607),
    ("ambiref_2_ops", 604),
    ("ambiref_3_ops", 604),
    ("ambiref_4_ops", 615),
    ("ambiref_5_ops", 187),
    ("move_contents_0_ops", 605),
    ("move_contents_1_ops", 606),
    ("move_contents_2_ops", 605),
    ("move_contents_3_ops", 606),
    ("move_contents_4_ops", 529),
    ("move_contents_5_ops", 156),
];
