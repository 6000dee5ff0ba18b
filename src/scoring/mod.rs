//! From the candidates of evaluation items to token ids.
//!
//! Purpose: the one rule by which a text to score becomes ids, of which some count; the worker scores what this package
//! returns, and `grid data show` prints it.
//!
//! Invariant: the ids of a candidate depend on its text, the tokenizer and the mode alone.
//!
//! Rejected: this rule in `suites`, which would then need a tokenizer, or in the worker, where nobody could look at it.

use crate::data::{DataError, Encoding, Tokenizer};
use crate::domain::{FirstToken, ScoringRequest};
use crate::suites::{Candidate, Tokenization};

/// The requests whose log-probabilities add up to the score of a candidate.
///
/// # Errors
/// A text that the tokenizer cannot encode; a rule for the first token that needs an end-of-text token, where there is none.
pub fn requests(
    tokenizer: &Tokenizer,
    candidate: &Candidate,
    first_token: FirstToken,
) -> Result<Vec<ScoringRequest>, DataError> {
    let encode = |text: &str| -> Result<Encoding, DataError> {
        let mut encoding = tokenizer.encode_with_offsets(text, true)?;
        let bare = encoding.offsets.first().is_none_or(|(_, end)| *end > 0);
        if first_token == FirstToken::EndOfText && bare {
            encoding.ids.insert(0, tokenizer.end_of_text()?);
            encoding.offsets.insert(0, (0, 0));
        }
        Ok(encoding)
    };
    match candidate.tokenized {
        Tokenization::Whole => {
            let encoding = encode(&candidate.text)?;
            // A token counts if it ends after `scored_from`; special tokens end at 0 and never count.
            let counts = |(_, end): &(usize, usize)| *end > candidate.scored_from;
            let first = encoding.offsets.iter().position(counts).unwrap_or(encoding.ids.len());
            let last = encoding.offsets.iter().rposition(counts).map_or(first, |last| last + 1);
            Ok(vec![ScoringRequest { ids: encoding.ids, scored: first.max(1)..last.max(first.max(1)) }])
        }
        Tokenization::Piecewise => {
            let mut before = candidate.context().to_owned();
            let mut scored = vec![];
            for (place, id) in tokenizer.encode(candidate.scored())?.into_iter().enumerate() {
                let text = tokenizer.decode(&[id])?;
                let target = if place == 0 { Some(id) } else { tokenizer.encode(&text)?.first().copied() };
                if let Some(target) = target {
                    let mut ids = encode(&before)?.ids;
                    ids.push(target);
                    scored.push(ScoringRequest { scored: ids.len() - 1..ids.len(), ids });
                }
                before.push_str(&text);
            }
            Ok(scored)
        }
    }
}
