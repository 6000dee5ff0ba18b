//! What is said about texts that a tokenizer does not keep whole.

use crate::data::Tokenizer;
use crate::domain::{Test, grouped};

use super::requests::TextRequests;

/// A warning about texts whose tokens are unknown, or whose ids stand for another text; `None` if there are none.
///
/// A model spends no probability on what its tokenizer drops, so that such a text has too few bits per byte, and a model
/// whose tokenizer drops everything would have none.
pub fn loss_warning(test: &Test, tokenizer: &Tokenizer, texts: &[TextRequests]) -> Option<String> {
    let sum = |number: &dyn Fn(&TextRequests) -> u64| texts.iter().map(number).sum::<u64>();
    let count = |holds: &dyn Fn(&TextRequests) -> bool| texts.iter().filter(|text| holds(text)).count() as u64;
    let mut parts = vec![];
    let unknown = sum(&|text| text.loss.unknown);
    if unknown > 0 {
        let tokens = sum(&|text| text.sequences.iter().map(|request| request.scored.len() as u64).sum());
        parts.push(format!(
            "{} of {} tokens are the unknown token {:?}",
            grouped(unknown),
            grouped(tokens),
            tokenizer.unknown_token().unwrap_or_default()
        ));
    }
    if let Some((text, decoded)) = texts.iter().find_map(|text| text.loss.first.as_ref()) {
        parts.push(format!(
            "the ids of {} of {} texts stand for another text, without {} of {} bytes (the first: {text:?} becomes \
             {decoded:?})",
            grouped(count(&|text| text.loss.first.is_some())),
            grouped(texts.len() as u64),
            grouped(sum(&|text| text.loss.bytes)),
            grouped(sum(&|text| text.bytes))
        ));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "{test}: {}; a model spends no bits on what its tokenizer drops, so that bits per byte and perplexity are too \
             low: they are not comparable with those of other tokenizers",
            parts.join(", and ")
        )
    })
}
