//! COMPS: one property after an acceptable and an unacceptable concept.
//!
//! Rows with one property and one pair of concepts form a cluster, in all four files.

use crate::domain::{Cluster, Edition, Mode, Size, Suite};

use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::item::{Candidate, Item, Tokenization, Truth};
use super::json_lines::{self, JsonRow, ParsedRow};
use super::official::{predictions, report};
use super::{choice, clusters};

pub(super) const DEFINITION: Definition = Definition {
    read,
    score: Some(choice::score),
    recluster: choice::recluster,
    official: Some(Official {
        folder: "comps",
        folder_per_set: true,
        sizes: Sizes::OfSubtasks(|_, size| sizes(size)),
        predictions_file: "predictions.json",
        predictions: predictions::chosen_sentences,
        report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: report::accuracies }),
        fast_result: report::fast_accuracies,
    }),
};

fn read(suite: Suite, _: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    json_lines::read(suite, files, property)
}

fn property(stem: &str, row: &JsonRow) -> Result<ParsedRow, SuiteError> {
    let phrase = row.text("property_phrase")?;
    let after = |prefix: &str| Candidate::after(&format!("{prefix} "), phrase, Tokenization::Whole);
    Ok(ParsedRow {
        subtask: stem.strip_prefix("comps_").unwrap_or(stem).replace('-', "_"),
        group: Suite::Comps.name().to_owned(),
        report_labels: vec![],
        candidates: vec![after(row.text("prefix_acceptable")?), after(row.text("prefix_unacceptable")?)],
        truth: Truth::First,
        left_out_by: None,
        cluster: cluster(phrase, row),
    })
}

fn cluster(phrase: &str, row: &JsonRow) -> Cluster {
    match (row.optional("acceptable_concept"), row.optional("unacceptable_concept")) {
        (Some(acceptable), Some(unacceptable)) => clusters::sharing(&[phrase, acceptable, unacceptable]),
        _ => Cluster::Itself,
    }
}

/// There is one official set.
fn sizes(_: Size) -> Vec<(&'static str, u32)> {
    vec![("base", 49_340), ("wugs", 13_896), ("wugs_dist_before", 13_896), ("wugs_dist_in_between", 13_896)]
}
