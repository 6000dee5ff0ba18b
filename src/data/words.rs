//! Word counts.

/// The number of whitespace-separated words: the unit of every word budget.
pub(super) fn count_words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}
