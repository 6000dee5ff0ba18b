//! Byte-level BPE tokenizers, in the `tokenizer.json` format of Hugging Face.

use std::path::Path;

use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner};

use super::error::DataError;

/// Names under which tokenizers know the end of a text, the likeliest first.
const END_OF_TEXT: [&str; 5] = ["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>"];
/// Names of the padding token.
const PADDING: [&str; 4] = ["<pad>", "[PAD]", "<|pad|>", "<|padding|>"];
/// Texts are handed to the library in pieces of about so many bytes: it needs some 30 times that in memory.
const PIECE: usize = 1 << 16;

/// Text to ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
    end_of_text: u32,
    padding: u32,
}

/// The ids of a text and where each comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Start and end of each token in the text, in Unicode scalar values; (0, 0) for a special token that was added.
    pub offsets: Vec<(usize, usize)>,
}

impl Tokenizer {
    /// Learns a vocabulary of this size: `<|endoftext|>` (0), `<pad>` (1), the 256 bytes, then merges of pairs seen at
    /// least twice, the most frequent first. A text too small for so many merges gives fewer entries.
    ///
    /// The outcome depends on the texts alone, not on their order or the number of threads: pairs of equal frequency
    /// are merged in the order of their ids.
    ///
    /// # Errors
    /// A vocabulary that cannot hold the bytes and special tokens.
    pub fn train<S: AsRef<str> + Send>(
        vocab_size: u32,
        texts: impl Iterator<Item = S> + Send,
    ) -> Result<Self, DataError> {
        let specials = [END_OF_TEXT[0], PADDING[0]].map(|name| AddedToken::from(name, true));
        let failed = |reason: String| DataError::Tokenizer { action: "train a tokenizer".to_owned(), reason };
        let least = 256 + specials.len();
        if (vocab_size as usize) < least {
            return Err(failed(format!("vocab_size {vocab_size} does not hold the bytes; ask for {least} or more")));
        }
        let trainer = BpeTrainer::builder()
            .vocab_size(vocab_size as usize)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(specials.to_vec())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut inner = Inner::new(ModelWrapper::BPE(BPE::default()));
        inner
            .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
            .with_post_processor(Some(ByteLevel::new(true, true, true)))
            .with_decoder(Some(ByteLevel::new(true, true, true)));
        let texts = texts.flat_map(|text| pieces(text.as_ref()).map(str::to_owned).collect::<Vec<_>>());
        inner.train(&mut TrainerWrapper::from(trainer), texts).map_err(|error| failed(error.to_string()))?;
        Self::with_special_tokens(inner).map_err(failed)
    }

    /// Reads a `tokenizer.json`; a truncation or padding set in it is ignored.
    ///
    /// # Errors
    /// A file that cannot be read, is no tokenizer, or knows no end-of-text token.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let failed =
            |reason: String| DataError::Tokenizer { action: format!("load tokenizer {}", path.display()), reason };
        let mut inner = Inner::from_file(path).map_err(|error| failed(error.to_string()))?;
        inner.with_padding(None).with_truncation(None).map_err(|error| failed(error.to_string()))?;
        Self::with_special_tokens(inner).map_err(failed)
    }

    fn with_special_tokens(inner: Inner) -> Result<Self, String> {
        let find = |names: &[&str]| names.iter().find_map(|name| inner.token_to_id(name));
        let end_of_text = find(&END_OF_TEXT)
            .ok_or_else(|| format!("it has no end-of-text token, none of {}", END_OF_TEXT.join(", ")))?;
        let padding = find(&PADDING).unwrap_or(end_of_text);
        Ok(Self { inner, end_of_text, padding })
    }

    /// Writes `tokenizer.json` to this path.
    ///
    /// # Errors
    /// A path that cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        self.inner.save(path, false).map_err(|error| DataError::Tokenizer {
            action: format!("save tokenizer {}", path.display()),
            reason: error.to_string(),
        })
    }

    /// The ids of a text, no special tokens added (one that is spelt out in the text counts as itself).
    ///
    /// # Errors
    /// A text that the tokenizer has no ids for; never with a byte-level one.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let encoding = self.inner.encode_fast(text, false).map_err(Self::unencodable)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a text and where they come from, as `transformers` returns them; `add_special` adds the special
    /// tokens that the tokenizer's own template asks for.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_with_offsets(&self, text: &str, add_special: bool) -> Result<Encoding, DataError> {
        let encoding = self.inner.encode_char_offsets(text, add_special).map_err(Self::unencodable)?;
        Ok(Encoding { ids: encoding.get_ids().to_vec(), offsets: encoding.get_offsets().to_vec() })
    }

    /// [`Tokenizer::encode`] of many texts on all threads.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_batch<S: AsRef<str> + Sync>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>, DataError> {
        texts.par_iter().map(|text| self.encode(text.as_ref())).collect()
    }

    /// [`Tokenizer::encode`] of a text of any length on all threads, in little memory; right for tokenizers made by
    /// [`Tokenizer::train`].
    pub(super) fn encode_document(&self, text: &str) -> Result<Vec<u32>, DataError> {
        let pieces: Vec<&str> = pieces(text).collect();
        Ok(self.encode_batch(&pieces)?.concat())
    }

    /// The text of these ids, special tokens included; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Ids outside the vocabulary may be refused by the tokenizer's decoder.
    pub fn decode(&self, ids: &[u32]) -> Result<String, DataError> {
        self.inner
            .decode(ids, false)
            .map_err(|error| DataError::Tokenizer { action: "decode token ids".to_owned(), reason: error.to_string() })
    }

    /// The token that ends every document and reply.
    pub fn eos_id(&self) -> u32 {
        self.end_of_text
    }

    /// The token that fills up batches; the end-of-text token where the tokenizer has no other.
    pub fn pad_id(&self) -> u32 {
        self.padding
    }

    /// Entries, special tokens included.
    pub fn vocab_size(&self) -> u32 {
        self.inner.get_vocab_size(true) as u32
    }

    fn unencodable(error: tokenizers::Error) -> DataError {
        DataError::Tokenizer { action: "encode a text".to_owned(), reason: error.to_string() }
    }
}

/// Cuts a long text after line ends where the byte-level pre-tokenizer cuts too, so that encoding the pieces is
/// encoding the text: a newline between two characters that are no white space is always a pre-token of its own.
fn pieces(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let border =
            rest.match_indices('\n').map(|(position, _)| position).skip_while(|&position| position < PIECE).find(
                |&position| {
                    let before = rest[..position].chars().next_back();
                    let after = rest[position + 1..].chars().next();
                    [before, after].iter().all(|side| side.is_some_and(|character| !character.is_whitespace()))
                },
            );
        let (piece, next) = rest.split_at(border.map_or(rest.len(), |position| position + 1));
        rest = next;
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
