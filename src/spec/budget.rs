//! The section `budget:`, and the key `expect:` of corpora and datasets.

use crate::domain::{Budget, TextSize};

use super::fields::Fields;
use super::problem::Log;
use super::scalars::{choice, count, small};
use super::tree::Node;

/// Larger than any text.
pub(super) const MAX_WORDS: u64 = 1_000_000_000_000;

/// Decodes `expect:` of a corpus or dataset. The toy world always has the requested size, so the key is not allowed there.
/// `units` is the key for the number of documents or records.
pub(super) fn expected(fields: &mut Fields, units: &'static str, required: bool) -> Option<TextSize> {
    let node = fields.take("expect")?;
    if fields.take("world").is_some() {
        fields.forbid("expect", "has no meaning for the toy world, which is always available");
        return None;
    }
    let mut fields = Fields::of(node, "'expect'", fields.log)?;
    let words = fields.required("words", "such as `words: 8M`", count(1..=MAX_WORDS));
    if required {
        fields.required_node(units, &format!("such as `{units}: 10k`"));
    }
    let units = fields.get(units, None, |value| count(1..=MAX_WORDS)(value).map(Some));
    fields.finish();
    Some(TextSize { units, words: words? })
}

/// Decodes `budget:`, the most text that the model of a cell may see; without it there is no limit.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `track:` | `strict` (100M words × 10 epochs) or `strict-small` (10M × 10) | this or `words:` |
/// | `words:` | words of different text, including instruction data and held-out text | |
/// | `epochs:` | how many times that many words may be seen in total | 10 |
pub(super) fn budget(node: Option<&Node>, log: &Log) -> Option<Budget> {
    let node = node?;
    let mut fields = Fields::of(node, "'budget'", log)?;
    let budget = if fields.take("track").is_some() {
        for key in ["words", "epochs"] {
            fields.forbid(key, "is part of 'track'");
        }
        fields.required("track", "such as `track: strict`", choice(Budget::TRACKS))
    } else {
        let hint = "such as `{track: strict}` or `{words: 100M, epochs: 10}`";
        let words = fields.required("words", hint, count(1..=MAX_WORDS));
        let epochs = fields.get("epochs", 10, small(1..=100_000));
        words.map(|words| Budget { words, epochs })
    };
    fields.finish();
    budget
}
