//! Reading prepared data.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::super::error::DataError;
use super::ledger::{Ledger, Split, SplitSize, TokenWidth, Units};

impl Ledger {
    /// Reads the ledger of a prepared folder.
    ///
    /// # Errors
    /// A missing or invalid ledger.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let path = dir.join(Self::FILE);
        let bytes = fs::read(&path).map_err(DataError::io("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|error| damaged(&path, format!("the ledger is invalid: {error}")))
    }
}

fn damaged(path: &Path, problem: String) -> DataError {
    DataError::Damaged { path: path.to_owned(), problem }
}

/// A memory-mapped file; an empty file has no mapping.
#[derive(Debug)]
struct Mapped(Option<Mmap>);

impl Mapped {
    /// Maps a file, which must have this length in bytes.
    fn open(path: &Path, length: u64) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("read", path))?;
        let actual = file.metadata().map_err(DataError::io("read", path))?.len();
        if actual != length {
            return Err(damaged(path, format!("it has {actual} bytes, but the ledger says {length}")));
        }
        if length == 0 {
            return Ok(Self(None));
        }
        // SAFETY: prepared folders are complete when they are published and never written again, so the bytes do not change.
        let map = unsafe { Mmap::map(&file) }.map_err(DataError::io("read", path))?;
        Ok(Self(Some(map)))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Memory-mapped token ids.
#[derive(Debug)]
struct Tokens {
    file: Mapped,
    width: TokenWidth,
}

impl Tokens {
    fn open(path: &Path, width: TokenWidth, tokens: u64) -> Result<Self, DataError> {
        Ok(Self { file: Mapped::open(path, tokens.saturating_mul(width.bytes()))?, width })
    }

    /// The ids from `start` to `end`, both clipped to the length of the stream.
    fn range(&self, start: u64, end: u64) -> Vec<u32> {
        let (bytes, width) = (self.file.bytes(), self.width.bytes());
        let byte = |token: u64| token.saturating_mul(width).min(bytes.len() as u64) as usize;
        let part = &bytes[byte(start)..byte(end.max(start))];
        match self.width {
            TokenWidth::Two => part.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id).into()).collect(),
            TokenWidth::Four => part.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect(),
        }
    }
}

/// Opens the ledger and the token file of a split.
fn open(dir: &Path, split: Split, units: Units) -> Result<(SplitSize, Tokens), DataError> {
    let ledger = Ledger::open(dir)?;
    if ledger.units != units {
        return Err(damaged(dir, format!("it contains {:?}, not {units:?}", ledger.units)));
    }
    let share = ledger.share(split);
    let tokens = Tokens::open(&file(dir, split, "bin"), ledger.width, share.tokens)?;
    Ok((share, tokens))
}

fn file(dir: &Path, split: Split, extension: &str) -> PathBuf {
    dir.join(split.name()).with_extension(extension)
}

/// A split of a prepared corpus: one stream of tokens.
#[derive(Debug)]
pub struct PreparedCorpus {
    share: SplitSize,
    tokens: Tokens,
}

impl PreparedCorpus {
    /// Opens a folder that [`super::prepare_corpus`] wrote.
    ///
    /// # Errors
    /// Missing files; files whose length differs from the ledger.
    pub fn open(dir: &Path, split: Split) -> Result<Self, DataError> {
        let (share, tokens) = open(dir, split, Units::Documents)?;
        Ok(Self { share, tokens })
    }

    /// The number of tokens in the stream.
    pub fn tokens(&self) -> u64 {
        self.share.tokens
    }

    /// The number of words in the stream.
    pub fn words(&self) -> u64 {
        self.share.words
    }

    /// The `len` ids from `start` on, or fewer at the end of the stream.
    pub fn window(&self, start: u64, len: usize) -> Vec<u32> {
        self.tokens.range(start, start.saturating_add(len as u64))
    }
}

/// A split of a prepared dataset: records, each with the ids that are trained on.
#[derive(Debug)]
pub struct PreparedDataset {
    share: SplitSize,
    tokens: Tokens,
    index: Mapped,
    mask: Mapped,
}

/// A record of a prepared dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedRecord {
    /// The token ids.
    pub ids: Vec<u32>,
    /// Whether each id is trained on.
    pub trained: Vec<bool>,
}

impl PreparedDataset {
    /// Opens a folder that [`super::prepare_dataset`] wrote.
    ///
    /// # Errors
    /// Missing files; files whose length differs from the ledger; an index that does not match the tokens.
    pub fn open(dir: &Path, split: Split) -> Result<Self, DataError> {
        let (share, tokens) = open(dir, split, Units::Records)?;
        let path = file(dir, split, "index");
        let index = Mapped::open(&path, share.units.saturating_mul(8))?;
        let mask = Mapped::open(&file(dir, split, "mask"), share.tokens)?;
        let opened = Self { share, tokens, index, mask };
        let mut start = 0;
        for record in 0..share.units {
            let end = opened.end(record);
            if end < start {
                return Err(damaged(&path, format!("record {record} ends before it starts")));
            }
            start = end;
        }
        if start != share.tokens {
            return Err(damaged(&path, format!("its records end at token {start} of {}", share.tokens)));
        }
        Ok(opened)
    }

    /// The number of records.
    pub fn len(&self) -> u64 {
        self.share.units
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.share.units == 0
    }

    /// The number of words in all prompts and replies.
    pub fn words(&self) -> u64 {
        self.share.words
    }

    /// The number of tokens in all records.
    pub fn tokens(&self) -> u64 {
        self.share.tokens
    }

    /// A record, with the text of its format and the end-of-text token.
    ///
    /// # Panics
    /// If `index` is not below [`PreparedDataset::len`].
    pub fn record(&self, index: u64) -> PreparedRecord {
        let start = if index == 0 { 0 } else { self.end(index - 1) };
        let end = self.end(index);
        let mask = &self.mask.bytes()[start as usize..end as usize];
        PreparedRecord { ids: self.tokens.range(start, end), trained: mask.iter().map(|byte| *byte != 0).collect() }
    }

    /// The position where the ids of a record end.
    fn end(&self, index: u64) -> u64 {
        assert!(index < self.share.units, "record {index} of {}", self.share.units);
        let ends: &[[u8; 8]] = self.index.bytes().as_chunks().0;
        u64::from_le_bytes(ends[index as usize])
    }
}
