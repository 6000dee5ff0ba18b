//! From the text of a candidate to the sequences whose log-probabilities add up to its score.

use thiserror::Error;

use crate::data::{DataError, Encoding, TokenizationLoss, Tokenizer};
use crate::domain::hugging_face::files::TOKENIZER_CONFIG;
use crate::domain::{FirstToken, MaskedSpan, ScoringBackend, ScoringRequest, counted};
use crate::suites::{Candidate, Tokenization};

/// What the ids of a candidate depend on, beside its text.
#[derive(Clone, Copy)]
pub struct ScoringContext<'a> {
    /// The tokenizer of the model.
    pub tokenizer: &'a Tokenizer,
    /// What the first token of a text is scored after.
    pub first_token: FirstToken,
    /// The number of tokens that the model reads at once.
    pub positions: usize,
    /// How the model gives a text its probability.
    pub backend: ScoringBackend,
    /// What a masked model does not see of a word.
    pub masking: MaskedSpan,
}

/// The requests of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextRequests {
    /// The sequences; their log-probabilities add up to the score.
    pub sequences: Vec<ScoringRequest>,
    /// The number of UTF-8 bytes from the start of the first token that counts to the end of the text.
    pub bytes: u64,
    /// The number of tokens that were cut off at the beginning because the text is too long for the model.
    pub cut: usize,
    /// What of the text the tokenizer does not keep. It is determined for bits per byte only, which it makes too low.
    pub loss: TokenizationLoss,
}

/// A reason why a candidate has no requests.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The tokenizer cannot encode a text, or lacks a token that a rule needs.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The scored part alone is too long for the model.
    #[error("the scored part has {tokens} tokens, but the model reads {positions}")]
    TooLong {
        /// The number of tokens of the scored part.
        tokens: usize,
        /// The number of tokens that the model reads at once.
        positions: usize,
    },
    /// A rule for texts that a model predicts from the left.
    #[error(
        "score the text with the backend '{0}': its sum over masked tokens is not a probability, and bits per byte \
         and tasks of lm-evaluation-harness need one; use test sets of pairs, or a model that predicts from the left"
    )]
    FromTheLeft(ScoringBackend),
    /// A stream whose symbols are not one token each.
    #[error(
        "score a stream: {} have {}, but each symbol must be one token: give the spec `tokenizer: {{vocab_size: 258}}`, \
         whose tokens are the 256 bytes and two special ones",
        counted(*symbols as u64, "symbol"),
        counted(*tokens as u64, "token")
    )]
    NotOneToken {
        /// The number of symbols.
        symbols: usize,
        /// The number of tokens.
        tokens: usize,
    },
}

impl ScoringContext<'_> {
    /// The requests whose log-probabilities add up to the score of a candidate.
    ///
    /// # Errors
    /// A text that the tokenizer cannot encode; a rule for the first token that needs an end-of-text token, where there is
    /// none; a scored part that does not fit into the model.
    pub fn requests(self, candidate: &Candidate) -> Result<TextRequests, RequestError> {
        match candidate.tokenized {
            Tokenization::Whole => {
                let Encoding { ids, offsets, words } = self.encode(&candidate.text)?;
                // A token counts if it ends after `scored_from`; special tokens end at 0 and never count.
                let counts = |(_, end): &(usize, usize)| *end > candidate.scored_from;
                let first = offsets.iter().position(counts).unwrap_or(ids.len());
                let last = offsets.iter().rposition(counts).map_or(first, |last| last + 1);
                let first = first.max(self.backend.first_scored());
                let scored = first..last.max(first);
                let masked_to = match self.masking {
                    MaskedSpan::Token => vec![],
                    MaskedSpan::Word if !self.backend.masks() => vec![],
                    MaskedSpan::Word => scored.clone().map(|place| end_of_word(&words, place)).collect(),
                };
                Ok(whole(vec![ScoringRequest { ids, scored, masked_to }], candidate))
            }
            Tokenization::Piecewise => Ok(whole(self.piecewise(candidate)?, candidate)),
            Tokenization::Harness | Tokenization::Windows { .. } | Tokenization::Symbols if self.backend.masks() => {
                Err(RequestError::FromTheLeft(self.backend))
            }
            Tokenization::Harness => self.harness(candidate),
            Tokenization::Windows { stride } => self.windows(candidate, stride),
            Tokenization::Symbols => self.symbols(candidate),
        }
    }

    /// The ids of a text and the characters that each of them stands for, after the token that the mode puts first.
    fn encode(self, text: &str) -> Result<Encoding, DataError> {
        let Encoding { mut ids, mut offsets, mut words } = self.tokenizer.encode_with_offsets(text, true)?;
        let needs_context = self.backend.first_scored() > 0;
        if self.first_token == FirstToken::EndOfText && needs_context && is_bare(&offsets) {
            ids.insert(0, self.tokenizer.end_of_text()?);
            offsets.insert(0, (0, 0));
            words.insert(0, None);
        }
        Ok(Encoding { ids, offsets, words })
    }

    fn piecewise(self, candidate: &Candidate) -> Result<Vec<ScoringRequest>, DataError> {
        let mut before = candidate.context().to_owned();
        let mut scored = vec![];
        for (place, id) in self.tokenizer.encode(candidate.scored())?.into_iter().enumerate() {
            let text = self.tokenizer.decode(&[id])?;
            let target = if place == 0 { Some(id) } else { self.tokenizer.encode(&text)?.first().copied() };
            if let Some(target) = target {
                scored.push(match self.backend.masks() {
                    false => {
                        let mut ids = self.encode(&before)?.ids;
                        ids.push(target);
                        let scored = ids.len() - 1..ids.len();
                        ScoringRequest::new(ids, scored)
                    }
                    true => self.before_masks(&before, target)?,
                });
            }
            before.push_str(&text);
        }
        Ok(scored)
    }

    /// A token that follows a text, and is followed by as many mask tokens as the official pipeline appends.
    fn before_masks(self, before: &str, target: u32) -> Result<ScoringRequest, DataError> {
        const MASKS: usize = 3;
        let (text, mask) = self.tokenizer.mask().ok_or_else(no_mask)?;
        let mut ids = self.encode(&format!("{before}{}", text.repeat(MASKS)))?.ids;
        // The template may put a token behind the text.
        let behind = usize::from(ids.last() != Some(&mask));
        let place = ids.len().saturating_sub(MASKS + behind);
        match ids.get_mut(place) {
            Some(id) if *id == mask => *id = target,
            _ => return Err(no_mask()),
        }
        Ok(ScoringRequest::new(ids, place..place + 1))
    }

    /// The token that stands before a text: the begin-of-text token, or else the end-of-text token.
    fn prefix_token(self) -> Option<u32> {
        let special = self.tokenizer.special_tokens();
        special.bos.or(special.eos)
    }

    fn harness(self, candidate: &Candidate) -> Result<TextRequests, RequestError> {
        let context = candidate.context();
        let (mut ids, from) = if context.is_empty() {
            let mut ids = self.tokenizer.encode(&candidate.text)?;
            let prefix = self.prefix_token().map_or_else(|| self.tokenizer.end_of_text(), Ok)?;
            if ids.first() != Some(&prefix) {
                ids.insert(0, prefix);
            }
            (ids, 1)
        } else {
            // A context that begins with the written token has it already.
            let written = |id| self.tokenizer.decode(&[id]).ok().filter(|text| !text.is_empty());
            let opens = self.prefix_token().and_then(written).is_some_and(|text| candidate.text.starts_with(&text));
            let encode = |text: &str| Ok::<_, DataError>(self.tokenizer.encode_with_offsets(text, !opens)?.ids);
            (encode(&candidate.text)?, encode(context)?.len())
        };
        let scored = ids.len().saturating_sub(from);
        if scored > self.positions {
            return Err(RequestError::TooLong { tokens: scored, positions: self.positions });
        }
        // The last token is only predicted, so that there is one token more than positions.
        let cut = ids.len().saturating_sub(self.positions + 1);
        ids.drain(..cut);
        let scored = from.saturating_sub(cut).max(1).min(ids.len())..ids.len();
        Ok(TextRequests { cut, ..whole(vec![ScoringRequest::new(ids, scored)], candidate) })
    }

    fn symbols(self, candidate: &Candidate) -> Result<TextRequests, RequestError> {
        let (symbols, text_ids) = (candidate.text.chars().count(), self.tokenizer.encode(&candidate.text)?);
        if text_ids.len() != symbols {
            return Err(RequestError::NotOneToken { symbols, tokens: text_ids.len() });
        }
        let mut ids = self.tokenizer.opening().to_vec();
        let from = (ids.len() + candidate.scored_from).max(1);
        ids.extend(text_ids);
        // The last token is only predicted, so that there is one token more than positions.
        if ids.len() > self.positions.saturating_add(1) {
            return Err(RequestError::TooLong { tokens: ids.len() - 1, positions: self.positions });
        }
        let scored = from.min(ids.len())..ids.len();
        Ok(whole(vec![ScoringRequest::new(ids, scored)], candidate))
    }

    fn windows(self, candidate: &Candidate, stride: Option<u32>) -> Result<TextRequests, RequestError> {
        // Without the template, every token stands for a part of the text, also where its offsets are empty.
        let encoding = self.tokenizer.encode_with_offsets(&candidate.text, false)?;
        let loss = self.tokenizer.loss(&candidate.text, &encoding)?;
        let Encoding { ids: text_ids, offsets, .. } = encoding;
        let mut ids = self.tokenizer.opening().to_vec();
        if ids.is_empty() {
            ids.extend(self.prefix_token());
        }
        let first = ids.len().max(1);
        // Without a token before it, the first token is not scored, nor are its characters counted.
        let skipped = if ids.is_empty() { offsets.first().map_or(0, |(_, end)| *end) } else { 0 };
        ids.extend(text_ids);
        let end = ids.len();
        let stride = stride.map_or(self.positions / 2, |stride| stride as usize).clamp(1, self.positions);
        let mut sequences = vec![];
        let mut done = first;
        while done < end {
            let until = if done == first { end.min(self.positions + 1) } else { end.min(done + stride) };
            let from = until.saturating_sub(self.positions + 1);
            sequences.push(ScoringRequest::new(ids[from..until].to_vec(), done - from..until - from));
            done = until;
        }
        let text = &candidate.text;
        let skipped = text.char_indices().nth(skipped).map_or(text.len(), |(byte, _)| byte);
        let bytes = if first < end { (text.len() - skipped) as u64 } else { 0 };
        Ok(TextRequests { sequences, bytes, cut: 0, loss })
    }
}

/// Whether the tokenizer has put no token of its own before a text.
fn is_bare(offsets: &[(usize, usize)]) -> bool {
    offsets.first().is_none_or(|(_, end)| *end > 0)
}

/// The end of the tokens of the word that the token at `place` is in, or the place behind it if it is in none.
fn end_of_word(words: &[Option<u32>], place: usize) -> usize {
    let of_word = words[place..].iter().take_while(|word| word.is_some() && **word == words[place]);
    place + of_word.count().max(1)
}

/// The error for a tokenizer without a mask token that the tokenizer finds in a text.
fn no_mask() -> DataError {
    DataError::Tokenizer {
        action: "find the mask token".to_owned(),
        reason: format!("{TOKENIZER_CONFIG} names no `mask_token` that the tokenizer finds in a text"),
    }
}

/// The requests of a candidate from which nothing is cut off.
fn whole(sequences: Vec<ScoringRequest>, candidate: &Candidate) -> TextRequests {
    let bytes = candidate.scored().len() as u64;
    TextRequests { sequences, bytes, cut: 0, loss: TokenizationLoss::default() }
}
