//! Which items share material: the cluster of each row, from its contents alone.
//!
//! | suite | items of one cluster |
//! |---|---|
//! | `ewok` | a row and its swap: the same two contexts and two targets |
//! | `blimp-supplement` | one `contrast` (`hypernym`), `quad` (`turn_taking`) or `template` (`subject_aux_inversion`) |
//! | `comps` | one property with one pair of concepts, in all four files |
//! | `entity-tracking` | one story: the same boxes to begin with, whatever then happens to them |
//! | `reading` | the words of one sentence |
//! | `glue` | MultiRC: one paragraph; BoolQ: one passage |
//! | all else | the item alone |
//!
//! A row that lacks the field that would tell is a cluster of its own.

use crate::domain::{Cluster, Digest, GlueTask, Suite};

use super::glue::Example;
use super::row::Row;

/// Hexadecimal digits of a digest that stands for a text: among 100,000 texts two share one with probability 2e-5.
const DIGITS: usize = 12;

/// The cluster of items that have these texts in common.
fn of_texts(texts: &[&str]) -> Cluster {
    let digest = Digest::of_named(texts.iter().map(|text| ("", Digest::of(text.as_bytes()))));
    Cluster::shared(&digest.to_string()[..DIGITS])
}

/// A pair of BLiMP stands alone; of the Supplement, pairs made from one pattern are clusters across rows.
pub(super) fn minimal_pair(suite: Suite, stem: &str, row: &Row) -> Cluster {
    let field = match (suite, stem) {
        (Suite::BlimpSupplement, "hypernym") => "contrast",
        (Suite::BlimpSupplement, "turn_taking") => "quad",
        (Suite::BlimpSupplement, "subject_aux_inversion") => "template",
        _ => return Cluster::Itself,
    };
    // With the name of the file, so that the key is unique within the task.
    row.optional(field).map_or(Cluster::Itself, |value| Cluster::shared(format!("{stem}/{value}")))
}

/// The story of an entity-tracking row: its first sentence says what is in the boxes before anything happens.
pub(super) fn story(prefix: &str) -> Cluster {
    of_texts(&[prefix.split('.').next().unwrap_or(prefix)])
}

/// The row and its swap, which has contexts and targets the other way round.
pub(super) fn world_knowledge(row: &Row) -> Cluster {
    // Either mode scores three of the four texts, and a row may come without the other.
    let pair = |one: &str, other: &str| Some([row.optional(one)?, row.optional(other)?]);
    let Some((mut contexts, mut targets)) = pair("Context1", "Context2").zip(pair("Target1", "Target2")) else {
        return Cluster::Itself;
    };
    contexts.sort_unstable();
    targets.sort_unstable();
    of_texts(&[contexts, targets].concat())
}

/// The base pair of a COMPS row: the property and the two concepts.
pub(super) fn property(phrase: &str, row: &Row) -> Cluster {
    match (row.optional("acceptable_concept"), row.optional("unacceptable_concept")) {
        (Some(acceptable), Some(unacceptable)) => of_texts(&[phrase, acceptable, unacceptable]),
        _ => Cluster::Itself,
    }
}

/// The sentence of a word of the reading table, by its number.
pub(super) fn sentence(number: Option<&str>) -> Cluster {
    Cluster::shared(number.unwrap_or_default())
}

/// The text that several rows of a classification task ask about.
pub(super) fn example(task: GlueTask, example: &Example) -> Cluster {
    match task {
        GlueTask::Boolq | GlueTask::Multirc => of_texts(&[&example.second]),
        GlueTask::Mnli | GlueTask::Mrpc | GlueTask::Qqp | GlueTask::Rte | GlueTask::Wsc => Cluster::Itself,
    }
}
