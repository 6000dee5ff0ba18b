//! Tokenizers: training byte-level BPE, and those of model folders of Hugging Face, in `tokenizer.json` or in the older
//! layout of `vocab.json` and `merges.txt`.

mod added;
mod alone;
mod build;
mod class;
mod difference;
mod files;
mod loss;
mod runs;
mod special;

use std::path::Path;

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner, TruncationParams};

use crate::domain::hugging_face::files::{
    ADDED_TOKENS, CHAT_TEMPLATE, MERGES, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY,
};
use crate::domain::{SpecialTokens, Transformers};

use super::error::DataError;
use added::AddedTokens;
use class::Class;
use files::TokenizerFiles;
use special::{END_OF_TEXT, PADDING, Special};

pub(super) use alone::file_is_enough;
pub use difference::TokenDifference;
pub use loss::TokenizationLoss;

/// Checks that `vocab.json` and `merges.txt` in a folder without `tokenizer.json` are files of a class that is read.
///
/// # Errors
/// Another class; a file that cannot be read.
pub(super) fn check_older_layout(folder: &Path) -> Result<(), DataError> {
    Class::of(&TokenizerFiles::read(folder)?, Transformers::V5).map(|_| ())
}

/// The approximate size in bytes of the pieces passed to the library, which uses about 30 times as much memory.
const PIECE: usize = 1 << 16;

/// Text to ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
    class: Class,
    special: Special,
    /// Whether decoding removes the spaces in front of punctuation.
    cleans_up: bool,
    /// The id of what the vocabulary does not have.
    unknown: Option<u32>,
    /// The ids that the template puts before every text.
    opening: Vec<u32>,
    /// Whether a text may be encoded in [`pieces`].
    divisible: bool,
}

/// The ids of a text with their positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// The token ids.
    pub ids: Vec<u32>,
    /// The start and end of each token in the text, in Unicode scalar values; (0, 0) for added special tokens.
    pub offsets: Vec<(usize, usize)>,
    /// The number of the word that each token is in, as the tokenizer splits a text into words before it splits these; `None`
    /// for added special tokens.
    pub words: Vec<Option<u32>>,
}

/// A token with the bytes of the text that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenSpan {
    pub id: u32,
    pub start: usize,
    pub end: usize,
}

impl Tokenizer {
    /// As [`Tokenizer::train_with`], without further special tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::train_with`].
    pub fn train<S: AsRef<str> + Send>(
        vocab_size: u32,
        texts: impl Iterator<Item = S> + Send,
    ) -> Result<Self, DataError> {
        Self::train_with(vocab_size, &[], texts)
    }

    /// Trains a vocabulary of this size: `<|endoftext|>` (0), `<pad>` (1), further special tokens in this order, the 256
    /// bytes, then merges of pairs that occur at least twice, the most frequent first. A short text gives fewer entries.
    ///
    /// The result depends only on the texts, not on their order or the number of threads: pairs of equal frequency are
    /// merged in the order of their ids.
    ///
    /// # Errors
    /// A vocabulary size below the number of bytes and special tokens.
    pub fn train_with<S: AsRef<str> + Send>(
        vocab_size: u32,
        special_tokens: &[String],
        texts: impl Iterator<Item = S> + Send,
    ) -> Result<Self, DataError> {
        let names = [END_OF_TEXT[0], PADDING[0]].into_iter().chain(special_tokens.iter().map(String::as_str));
        let specials: Vec<AddedToken> = names.map(|name| AddedToken::from(name, true)).collect();
        let failed = |reason: String| DataError::Tokenizer { action: "train a tokenizer".to_owned(), reason };
        let least = 256 + specials.len();
        if (vocab_size as usize) < least {
            return Err(failed(format!("vocab_size {vocab_size} is too small for the 256 bytes; use {least} or more")));
        }
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size as usize)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(specials)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut inner = Inner::new(ModelWrapper::BPE(BPE::default()));
        inner
            .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
            .with_post_processor(Some(ByteLevel::new(true, true, true)))
            .with_decoder(Some(ByteLevel::new(true, true, true)));
        let parts = |text: S| pieces(text.as_ref()).flat_map(runs::cut).map(str::to_owned).collect::<Vec<_>>();
        let texts = texts.flat_map(parts);
        inner.train(&mut TrainerWrapper::from(trainer), texts).map_err(|error| failed(error.to_string()))?;
        let special = special::by_name(&inner);
        Ok(Self::new(inner, Class::Generic, special))
    }

    /// Whether a text has a word so long that [`Tokenizer::train_with`] learns from parts of it.
    pub fn cuts_words(text: &str) -> bool {
        runs::is_cut(text)
    }

    /// Loads the tokenizer of a model folder as `AutoTokenizer` of the current release of `transformers` does; see
    /// [`Tokenizer::load_as`].
    ///
    /// # Errors
    /// As [`Tokenizer::load_as`].
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        Self::load_as(folder, Transformers::V5)
    }

    /// Loads the tokenizer of a model folder as `AutoTokenizer` of a release of `transformers` does, without its settings
    /// of truncation and padding.
    ///
    /// Special tokens are those in the files of the tokenizer, or else those in `config.json`, or else those with the usual
    /// names.
    ///
    /// # Errors
    /// A file that cannot be read or is not a tokenizer; a class or setting whose rules are not implemented.
    pub fn load_as(folder: &Path, release: Transformers) -> Result<Self, DataError> {
        let files = TokenizerFiles::read(folder)?;
        // Release 4 does not know the class, so that there are no other rules than those of release 5.
        let release = if files.class() == Some("TokenizersBackend") { Transformers::V5 } else { release };
        let class = Class::of(&files, release)?;
        let added = AddedTokens::read(&files, class, release)?;
        let inner = build::build(&files, class, release, &added)?;
        let special = special::of_files(&inner, &files, &added);
        let mut tokenizer = Self::new(inner, class, special);
        tokenizer.unknown = loss::unknown_id(&tokenizer.inner, files.unknown_piece());
        tokenizer.cleans_up = files.flag("clean_up_tokenization_spaces", false)?
            && (release == Transformers::V4 || !matches!(tokenizer.inner.get_model(), ModelWrapper::BPE(_)));
        Ok(tokenizer)
    }

    fn new(inner: Inner, class: Class, special: Special) -> Self {
        let (opening, divisible) = (opening(&inner), is_divisible(&inner));
        Self { inner, class, special, cleans_up: false, unknown: None, opening, divisible }
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder that exists.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        let path = folder.join(TOKENIZER);
        self.inner.save(&path, false).map_err(|error| DataError::Tokenizer {
            action: format!("save tokenizer {}", path.display()),
            reason: error.to_string(),
        })?;
        let path = folder.join(TOKENIZER_CONFIG);
        let text = format!("{:#}\n", self.config());
        std::fs::write(&path, text).map_err(DataError::io("write", &path))
    }

    /// The name of the class with which `transformers` loads the tokenizer.
    pub(super) fn class(&self) -> &'static str {
        self.class.name()
    }

    /// The `tokenizer_config.json` for a tokenizer without one.
    pub(super) fn config(&self) -> serde_json::Value {
        special::config(&self.inner, self.class, self.special.tokens)
    }

    /// Encodes a text without adding special tokens. A special token that is spelt out in the text is encoded as such.
    ///
    /// # Errors
    /// A text that the tokenizer cannot encode; byte-level tokenizers encode every text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, false).map_err(Self::unencodable)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Encodes a text with offsets, as `transformers` does. `add_special` adds the special tokens of the template of the
    /// tokenizer.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, text: &str, add_special: bool) -> Result<Encoding, DataError> {
        let encoding = self.inner.encode_char_offsets(text, add_special).map_err(Self::unencodable)?;
        Ok(Encoding {
            ids: encoding.get_ids().to_vec(),
            offsets: encoding.get_offsets().to_vec(),
            words: encoding.get_word_ids().to_vec(),
        })
    }

    /// Encodes a text without adding special tokens, as [`Tokenizer::encode`] does, with the bytes of each token. A space
    /// that belongs to a token counts as a part of it, also where the tokenizer leaves it out of the offsets.
    pub(super) fn encode_spans(&self, text: &str) -> Result<Vec<TokenSpan>, DataError> {
        let encoding = self.inner.encode(text, false).map_err(Self::unencodable)?;
        let mut before = 0;
        let spans = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_tokens());
        let span = |((id, &(start, end)), token): ((&u32, &(usize, usize)), &String)| {
            let has_space = token.starts_with(['\u{120}', '\u{2581}', '\u{10a}', '\u{10d}', '\u{109}']);
            let gap = text.get(before..start).is_some_and(|gap| gap.chars().all(char::is_whitespace));
            let start = if has_space && before < start && gap { before } else { start };
            before = before.max(end);
            TokenSpan { id: *id, start, end: end.max(start) }
        };
        Ok(spans.map(span).collect())
    }

    /// Encodes many texts on all threads; see [`Tokenizer::encode`].
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>, DataError> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// Encodes pairs of texts with the template of the tokenizer, as `transformers` does with `truncation=True`: the end of
    /// the longer text is removed first, until both together have `max_length` tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`]; a length that is too small for the special tokens of the template.
    pub fn encode_pairs(&self, pairs: &[(&str, &str)], max_length: usize) -> Result<Vec<Vec<u32>>, DataError> {
        let mut inner = self.inner.clone();
        inner
            .with_truncation(Some(TruncationParams { max_length, ..TruncationParams::default() }))
            .map_err(Self::unencodable)?;
        let encode = |pair: &(&str, &str)| {
            let encoding = inner.encode_fast(*pair, true).map_err(Self::unencodable)?;
            Ok(encoding.get_ids().to_vec())
        };
        pairs.par_iter().map(encode).collect()
    }

    /// Encodes a text of any length; see [`Tokenizer::encode`]. Tokenizers from [`Tokenizer::train`] do so on all threads
    /// and with little memory.
    pub(super) fn encode_document(&self, text: &str) -> Result<Vec<u32>, DataError> {
        if !self.divisible {
            return self.encode(text);
        }
        let pieces: Vec<&str> = pieces(text).collect();
        Ok(self.encode_batch(&pieces)?.concat())
    }

    /// Decodes ids, including special tokens; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Ids outside of the vocabulary, which some decoders reject.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        let text = self.inner.decode(ids, false).map_err(|error| DataError::Tokenizer {
            action: "decode token ids".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(if self.cleans_up { clean_up(text) } else { text })
    }

    /// The end-of-text token, which ends every document and reply.
    ///
    /// # Errors
    /// A tokenizer without one, or whose files name one that `tokenizer.json` does not have; such a tokenizer can be used
    /// for scoring, not for training.
    pub fn end_of_text(&self) -> Result<u32, DataError> {
        self.special.tokens.eos.ok_or_else(|| DataError::Tokenizer {
            action: "find the end-of-text token".to_owned(),
            reason: self.special.no_end.clone().unwrap_or_else(special::no_end_of_text),
        })
    }

    /// The special tokens; without a padding token, padding is the end-of-text token.
    pub fn special_tokens(&self) -> SpecialTokens {
        self.special.tokens
    }

    /// The mask token and its id, if the tokenizer names one.
    pub fn mask(&self) -> Option<(&str, u32)> {
        self.special.mask.as_ref().map(|(content, id)| (content.as_str(), *id))
    }

    /// Contradictions between the files of the tokenizer, and how they were resolved.
    pub fn warnings(&self) -> &[String] {
        &self.special.warnings
    }

    /// The token with this id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The tokens whose ids are not below this number, sorted by id.
    pub fn tokens_from(&self, first: u32) -> Vec<(u32, String)> {
        let vocab = self.inner.get_vocab(true).into_iter();
        let mut tokens: Vec<(u32, String)> =
            vocab.filter(|(_, id)| *id >= first).map(|(token, id)| (id, token)).collect();
        tokens.sort();
        tokens
    }

    /// The ids that the template puts before every text, such as a begin-of-text token; none for tokenizers from
    /// [`Tokenizer::train`].
    pub fn opening(&self) -> &[u32] {
        &self.opening
    }

    /// What of a text is not in its ids, which are those of [`Tokenizer::encode_with_offsets`] without the template. A
    /// space that the tokenizer puts before the text does not count as a difference.
    ///
    /// # Errors
    /// Ids that cannot be decoded.
    pub fn loss(&self, text: &str, encoding: &Encoding) -> Result<TokenizationLoss, DataError> {
        loss::measure(&self.inner, self.unknown, text, &encoding.ids, &encoding.offsets)
    }

    /// The token for what the vocabulary does not have; none for tokenizers of bytes.
    pub fn unknown_token(&self) -> Option<String> {
        self.unknown.and_then(|id| self.token(id))
    }

    /// The size of the vocabulary, including special tokens.
    pub fn vocab_size(&self) -> u32 {
        self.inner.get_vocab_size(true) as u32
    }

    fn unencodable(error: tokenizers::Error) -> DataError {
        DataError::Tokenizer { action: "encode a text".to_owned(), reason: error.to_string() }
    }
}

/// Copies the files of a tokenizer from one folder to another.
///
/// # Errors
/// A folder without a tokenizer; files that cannot be read or written.
pub fn copy_tokenizer(from: &Path, to: &Path) -> Result<(), DataError> {
    let older = !from.join(TOKENIZER).exists() && from.join(VOCABULARY).exists();
    let vocabulary = if older { &[VOCABULARY, MERGES][..] } else { &[TOKENIZER] };
    for name in vocabulary.iter().chain(&[TOKENIZER_CONFIG, SPECIAL_TOKENS, ADDED_TOKENS, CHAT_TEMPLATE]) {
        let (from, to) = (from.join(name), to.join(name));
        if vocabulary.contains(name) || from.exists() {
            std::fs::copy(&from, &to).map_err(DataError::io("copy", &from))?;
        }
    }
    // The class may be named in the configuration of the model, which is not copied.
    let files = TokenizerFiles::read(from)?;
    if let (None, Some(class)) = (files.setting("tokenizer_class"), files.class()) {
        let mut settings = files.settings.clone();
        settings.insert("tokenizer_class".to_owned(), class.into());
        let path = to.join(TOKENIZER_CONFIG);
        let text = format!("{:#}\n", serde_json::Value::Object(settings));
        std::fs::write(&path, text).map_err(DataError::io("write", &path))?;
    }
    Ok(())
}

/// Removes spaces in front of punctuation and contractions, as `clean_up_tokenization` of `transformers` does.
fn clean_up(text: String) -> String {
    let pairs = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    pairs.into_iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// The ids that the template of a tokenizer puts before a text.
fn opening(inner: &Inner) -> Vec<u32> {
    let ids = |special| inner.encode_fast("a", special).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
    let (with, without) = (ids(true), ids(false));
    let at = with.windows(without.len().max(1)).position(|window| window == without);
    at.map_or(vec![], |at| with[..at].to_vec())
}

/// Whether encoding the [`pieces`] of a text is the same as encoding the text.
fn is_divisible(inner: &Inner) -> bool {
    let plain = match inner.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::ByteLevel(bytes)) => !bytes.add_prefix_space && bytes.use_regex,
        _ => false,
    };
    let over_lines = |token: &AddedToken| token.content.contains('\n') || token.lstrip || token.rstrip;
    plain && inner.get_normalizer().is_none() && !inner.get_added_tokens_decoder().values().any(over_lines)
}

/// Divides a long text after newlines where the byte-level pre-tokenizer splits as well, so that encoding the pieces is
/// the same as encoding the text: a newline between two non-space characters is always a separate pre-token.
fn pieces(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let boundary =
            rest.match_indices('\n').map(|(position, _)| position).skip_while(|&position| position < PIECE).find(
                |&position| {
                    let before = rest[..position].chars().next_back();
                    let after = rest[position + 1..].chars().next();
                    [before, after].iter().all(|side| side.is_some_and(|character| !character.is_whitespace()))
                },
            );
        let (piece, next) = rest.split_at(boundary.map_or(rest.len(), |position| position + 1));
        rest = next;
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
