//! EWoK: basic world knowledge, as two targets after one context or one target after two contexts.
//!
//! A row and its swap form a cluster: both have the same two contexts and two targets.

use crate::domain::{Cluster, Edition, EwokContrast, Mode, Size, Suite};

use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::item::{Candidate, Item, ReportLabel, Tokenization, Truth};
use super::json_lines::{self, JsonRow, ParsedRow};
use super::official::{predictions, report};
use super::{choice, clusters};

pub(super) const DEFINITION: Definition = Definition {
    read,
    score: Some(choice::score),
    recluster: choice::recluster,
    official: Some(Official {
        folder: "ewok",
        folder_per_set: true,
        sizes: Sizes::OfSubtasks(|_, size| sizes(size)),
        predictions_file: "predictions.json",
        predictions: predictions::chosen_texts,
        report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: report::accuracies }),
        fast_result: report::fast_accuracies,
    }),
};

/// The blocks of the official report, and the fields that they count by.
const REPORTED: [(&str, &str); 3] =
    [("CONTEXT_TYPE", "ContextType"), ("CONTEXT_CONTRAST", "ContextDiff"), ("TARGET_CONTRAST", "TargetDiff")];

fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    json_lines::read(suite, files, |_, row| contrast(mode, row))
}

fn contrast(mode: Mode, row: &JsonRow) -> Result<ParsedRow, SuiteError> {
    let (context, target) = (row.text("Context1")?, row.text("Target1")?);
    let other = match mode.ewok {
        EwokContrast::Targets => (context, row.text("Target2")?),
        EwokContrast::Contexts => (row.text("Context2")?, target),
    };
    let candidates = [(context, target), other]
        .map(|(context, target)| Candidate::after(context, &format!(" {target}"), Tokenization::Whole));
    let label = |(block, field)| row.has(field).then(|| Ok(ReportLabel { block, value: row.text(field)?.to_owned() }));
    Ok(ParsedRow {
        subtask: row.text("Domain")?.to_owned(),
        group: Suite::Ewok.name().to_owned(),
        report_labels: REPORTED.into_iter().filter_map(label).collect::<Result<_, SuiteError>>()?,
        candidates: candidates.into(),
        truth: Truth::First,
        left_out_by: None,
        cluster: cluster(row),
    })
}

/// Sorted, the texts of a row and of its swap are the same. A mode scores only three of the four, and a row may come
/// without its swap.
fn cluster(row: &JsonRow) -> Cluster {
    let pair = |one: &str, other: &str| Some([row.optional(one)?, row.optional(other)?]);
    let Some((mut contexts, mut targets)) = pair("Context1", "Context2").zip(pair("Target1", "Target2")) else {
        return Cluster::Itself;
    };
    contexts.sort_unstable();
    targets.sort_unstable();
    clusters::sharing(&[contexts, targets].concat())
}

fn sizes(size: Size) -> Vec<(&'static str, u32)> {
    match size {
        Size::Full => FULL.to_vec(),
        Size::Fast => FULL.iter().map(|(subtask, _)| (*subtask, 100)).collect(),
    }
}

/// The subtasks of the full set, and how many items each has.
const FULL: [(&str, u32); 11] = [
    ("agent-properties", 2_210),
    ("material-dynamics", 770),
    ("material-properties", 170),
    ("physical-dynamics", 120),
    ("physical-interactions", 556),
    ("physical-relations", 818),
    ("quantitative-properties", 314),
    ("social-interactions", 294),
    ("social-properties", 328),
    ("social-relations", 1_548),
    ("spatial-relations", 490),
];
