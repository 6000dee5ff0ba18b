//! What a tokenizer does not keep of a text.

use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Decoder, Tokenizer as Inner};

use super::super::error::DataError;

/// The most characters after which two texts are taken to agree again.
const WINDOW: usize = 32;

/// The number of equal characters in a row by which two texts agree again.
const RUN: usize = 4;

/// The most characters of a text in [`TokenizationLoss::first`].
const SHOWN: usize = 24;

/// What of a text is not in its ids. A model spends no probability on it, so that the text seems more probable than it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenizationLoss {
    /// The number of ids that are the unknown token; one that the text spells out does not count.
    pub unknown: u64,
    /// The number of UTF-8 bytes of the text that the decoded ids do not have. Where the texts differ much, it is
    /// approximate.
    pub bytes: u64,
    /// The first words that differ, in the text and in the decoded ids; `None` if the ids give the text back.
    pub first: Option<(String, String)>,
}

/// What of a text is not in its ids, which have these offsets. A space that the tokenizer puts before the text does
/// not count as a difference.
///
/// # Errors
/// Ids that cannot be decoded.
pub(super) fn measure(
    inner: &Inner,
    unknown: Option<u32>,
    text: &str,
    ids: &[u32],
    offsets: &[(usize, usize)],
) -> Result<TokenizationLoss, DataError> {
    let name = unknown.and_then(|id| inner.id_to_token(id));
    let is_unknown =
        |id: u32, offsets: (usize, usize)| unknown == Some(id) && !is_spelt(text, offsets, name.as_deref());
    let pairs = || ids.iter().copied().zip(offsets.iter().copied());
    let kept: Vec<u32> = pairs().filter(|&(id, offsets)| !is_unknown(id, offsets)).map(|(id, _)| id).collect();
    let unknown = (ids.len() - kept.len()) as u64;
    let decoded = decode_exactly(inner, &kept, text)?;
    let added = decoded.strip_prefix(' ').filter(|_| !text.starts_with(' '));
    let decoded = added.unwrap_or(&decoded);
    if decoded == text {
        return Ok(TokenizationLoss { unknown, ..TokenizationLoss::default() });
    }
    let (text, decoded): (Vec<char>, Vec<char>) = (text.chars().collect(), decoded.chars().collect());
    let same = text.iter().zip(&decoded).take_while(|(one, other)| one == other).count();
    let word = text[..same].iter().rposition(|c| c.is_whitespace()).map_or(0, |space| space + 1);
    let from = word.max(same.saturating_sub(SHOWN / 2));
    let shown = |text: &[char]| text[from.min(text.len())..].iter().take(SHOWN).collect::<String>();
    let first = Some((shown(&text), shown(&decoded)));
    Ok(TokenizationLoss { unknown, bytes: lost_bytes(&text[same..], &decoded[same..]), first })
}

/// Decodes ids without removing spaces. A tokenizer without a decoder gives its tokens separated by spaces, also where the
/// spaces are in its tokens; the form that gives the text is the one that counts.
fn decode_exactly(inner: &Inner, ids: &[u32], text: &str) -> Result<String, DataError> {
    let failed = |error: tokenizers::Error| DataError::Tokenizer {
        action: "decode token ids".to_owned(),
        reason: error.to_string(),
    };
    if inner.get_decoder().is_none() {
        let tokens: Vec<String> = ids.iter().filter_map(|id| inner.id_to_token(*id)).collect();
        let bytes = ByteLevel::default().decode_chain(tokens.clone()).map_err(failed)?.concat();
        let is_text = |whole: &String| whole.trim_start() == text.trim_start();
        if let Some(whole) = [tokens.concat(), bytes].into_iter().find(is_text) {
            return Ok(whole);
        }
    }
    inner.decode(ids, false).map_err(failed)
}

/// The id that a model gives to what its vocabulary does not have; `unigram` is that of a unigram model.
pub(super) fn unknown_id(inner: &Inner, unigram: Option<u32>) -> Option<u32> {
    let token = match inner.get_model() {
        ModelWrapper::BPE(model) => model.get_unk_token().clone(),
        ModelWrapper::WordPiece(model) => Some(model.unk_token.clone()),
        ModelWrapper::WordLevel(model) => Some(model.unk_token.clone()),
        ModelWrapper::Unigram(_) => return unigram,
    };
    token.and_then(|token| inner.token_to_id(&token))
}

/// Whether the text spells out a token at these offsets, in characters.
fn is_spelt(text: &str, (start, end): (usize, usize), token: Option<&str>) -> bool {
    let part: String = text.chars().skip(start).take(end.saturating_sub(start)).collect();
    Some(part.trim()) == token
}

/// The bytes of a text that another text does not have, by following both until they agree again.
fn lost_bytes(text: &[char], other: &[char]) -> u64 {
    let (mut at, mut there, mut lost) = (0, 0, 0);
    while at < text.len() {
        let (left, right) = (&text[at..], &other[there..]);
        let (skipped, added) = match (left[0], right.first()) {
            (one, Some(two)) if one == *two => {
                (at, there) = (at + 1, there + 1);
                continue;
            }
            // Without this case, texts in capital letters would be compared at every distance.
            (one, Some(two)) if one.to_lowercase().eq(two.to_lowercase()) => (1, 1),
            _ => distance(left, right),
        };
        lost += text[at..at + skipped].iter().map(|c| c.len_utf8() as u64).sum::<u64>();
        (at, there) = (at + skipped, there + added);
    }
    lost
}

/// The fewest characters to leave out of two texts so that they agree again. Beyond the window, one character of the longer
/// text is left out, or one of each.
fn distance(left: &[char], right: &[char]) -> (usize, usize) {
    let agree = |(skipped, added): (usize, usize)| {
        let (left, right) = (&left[skipped..], &right[added..]);
        let run = RUN.min(left.len().max(right.len()));
        left.len() >= run && right.len() >= run && left[..run] == right[..run]
    };
    let pairs = (1..=2 * WINDOW).flat_map(|total| (0..=total).map(move |skipped| (skipped, total - skipped)));
    let mut pairs =
        pairs.filter(|(skipped, added)| *skipped <= left.len().min(WINDOW) && *added <= right.len().min(WINDOW));
    match pairs.find(|pair| agree(*pair)) {
        Some(pair) => pair,
        None if left.len() > right.len() => (1, 0),
        None => (1, 1.min(right.len())),
    }
}
