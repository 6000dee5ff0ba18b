//! BLiMP Supplement: minimal pairs of questions and dialogue.
//!
//! Three subtasks are made from patterns, and the pairs from one pattern form a cluster, across rows: one `contrast` of
//! `hypernym`, one `quad` of `turn_taking`, one `template` of `subject_aux_inversion`.

use crate::domain::{Cluster, Mode, Size, Suite};

use super::definition::{Definition, Official, Sizes};
use super::error::SuiteError;
use super::item::Item;
use super::json_lines::{self, JsonRow};
use super::{blimp, choice};

pub(super) const DEFINITION: Definition = Definition {
    read,
    score: Some(choice::score),
    recluster: choice::recluster,
    official: Some(Official { sizes: Sizes::OfSubtasks(|_, size| sizes(size)), ..blimp::OFFICIAL }),
};

fn read(suite: Suite, _: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    json_lines::read(suite, files, |stem, row| blimp::minimal_pair(stem, row, cluster(stem, row)))
}

fn cluster(stem: &str, row: &JsonRow) -> Cluster {
    let field = match stem {
        "hypernym" => "contrast",
        "turn_taking" => "quad",
        "subject_aux_inversion" => "template",
        _ => return Cluster::Itself,
    };
    // The name of the file makes the key unique within the task.
    row.optional(field).map_or(Cluster::Itself, |value| Cluster::shared(format!("{stem}/{value}")))
}

fn sizes(size: Size) -> Vec<(&'static str, u32)> {
    match size {
        Size::Full => FULL.to_vec(),
        Size::Fast => FULL.iter().map(|(subtask, _)| (*subtask, 50)).collect(),
    }
}

/// The subtasks of the full set, and how many items each has.
const FULL: [(&str, u32); 5] = [
    ("hypernym", 842),
    ("qa_congruence_easy", 64),
    ("qa_congruence_tricky", 165),
    ("subject_aux_inversion", 3_867),
    ("turn_taking", 280),
];
