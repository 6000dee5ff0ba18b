//! Reading prepared data.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::error::DataError;
use super::super::formatted::PairTexts;
use super::ledger::{Ledger, MaskBit, RecordFacts, Split, SplitSize, TokenWidth, Units};
use crate::domain::Replies;

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

/// A file of a split, which is read in parts. It is not mapped into memory: a mapping of a file that becomes shorter ends
/// the process.
#[derive(Debug)]
struct PartFile {
    path: PathBuf,
    file: File,
}

impl PartFile {
    /// Opens a file, which must have this length in bytes.
    fn open(path: PathBuf, length: u64) -> Result<Self, DataError> {
        let file = File::open(&path).map_err(DataError::io("read", &path))?;
        let actual = file.metadata().map_err(DataError::io("read", &path))?.len();
        if actual != length {
            return Err(damaged(&path, format!("it has {actual} bytes, but the ledger says {length}")));
        }
        Ok(Self { path, file })
    }

    /// The bytes from `start` to `end`.
    fn read(&self, start: u64, end: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut bytes, start).map_err(DataError::io("read", &self.path))?;
        Ok(bytes)
    }
}

/// Token ids.
#[derive(Debug)]
struct Tokens {
    file: PartFile,
    width: TokenWidth,
    tokens: u64,
}

impl Tokens {
    fn open(path: PathBuf, width: TokenWidth, tokens: u64) -> Result<Self, DataError> {
        Ok(Self { file: PartFile::open(path, tokens.saturating_mul(width.bytes()))?, width, tokens })
    }

    /// The ids from `start` to `end`, both clipped to the length of the stream.
    fn range(&self, start: u64, end: u64) -> Result<Vec<u32>, DataError> {
        let byte = |token: u64| token.min(self.tokens) * self.width.bytes();
        let bytes = self.file.read(byte(start), byte(end.max(start)))?;
        Ok(match self.width {
            TokenWidth::Two => bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id).into()).collect(),
            TokenWidth::Four => bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect(),
        })
    }
}

/// Opens the ledger and the token file of a split.
fn open(dir: &Path, split: Split, units: Units) -> Result<(SplitSize, Tokens), DataError> {
    let ledger = Ledger::open(dir)?;
    if ledger.units != units {
        return Err(damaged(dir, format!("it contains {:?}, not {units:?}", ledger.units)));
    }
    let share = ledger.share(split);
    let tokens = Tokens::open(file(dir, split, "bin"), ledger.width, share.tokens)?;
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
    ///
    /// # Errors
    /// A file that cannot be read, or has become shorter.
    pub fn window(&self, start: u64, len: usize) -> Result<Vec<u32>, DataError> {
        self.tokens.range(start, start.saturating_add(len as u64))
    }
}

/// A split of a prepared dataset: records, each with the ids that are trained on.
#[derive(Debug)]
pub struct PreparedDataset {
    share: SplitSize,
    tokens: Tokens,
    /// The positions where the ids of each record end.
    ends: Vec<u64>,
    mask: PartFile,
    facts: RecordFacts,
    /// The file of the texts of the records.
    texts: PathBuf,
    /// The uncertainty of each record; empty if there is none.
    uncertainties: Vec<f64>,
}

/// A record of a prepared dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedRecord {
    /// The token ids.
    pub ids: Vec<u32>,
    /// Whether each id is trained on.
    pub trained: Vec<bool>,
    /// Whether each id stands for a part of the record's own text; all false unless [`PreparedDataset::marks_own_text`].
    pub own: Vec<bool>,
    /// Whether the reply is bad; always false of a dataset with [`Replies::Good`].
    pub rejected: bool,
}

impl PreparedDataset {
    /// Opens a folder that [`super::prepare_dataset`] wrote.
    ///
    /// # Errors
    /// Missing files; files whose length differs from the ledger; an index that does not match the tokens.
    pub fn open(dir: &Path, split: Split) -> Result<Self, DataError> {
        let (share, tokens) = open(dir, split, Units::Records)?;
        let facts = Ledger::open(dir)?.records;
        let path = file(dir, split, "index");
        let bytes = share.units.saturating_mul(8 * facts.replies.records_per_unit());
        let index = PartFile::open(path.clone(), bytes)?.read(0, bytes)?;
        let ends: Vec<u64> = index.as_chunks().0.iter().map(|&end| u64::from_le_bytes(end)).collect();
        let mut start = 0;
        for (record, &end) in ends.iter().enumerate() {
            if end < start {
                return Err(damaged(&path, format!("record {record} ends before it starts")));
            }
            start = end;
        }
        if start != share.tokens {
            return Err(damaged(&path, format!("its records end at token {start} of {}", share.tokens)));
        }
        let mask = PartFile::open(file(dir, split, "mask"), share.tokens)?;
        let uncertainties = match facts.uncertainty {
            true => PartFile::open(file(dir, split, "uncertainty"), bytes)?.read(0, bytes)?,
            false => vec![],
        };
        let uncertainties = uncertainties.as_chunks().0.iter().map(|&number| f64::from_le_bytes(number)).collect();
        let texts = file(dir, split, "texts");
        Ok(Self { share, tokens, ends, mask, facts, texts, uncertainties })
    }

    /// The number of records.
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The replies of the dataset that there are records for.
    pub fn replies(&self) -> Replies {
        self.facts.replies
    }

    /// Whether the tokens of the records' own text are marked, as opposed to the text of the template.
    pub fn marks_own_text(&self) -> bool {
        self.facts.own_text
    }

    /// The uncertainty of each record; empty if there is none.
    pub fn uncertainties(&self) -> &[f64] {
        &self.uncertainties
    }

    /// The texts of every record.
    ///
    /// # Errors
    /// A dataset that was prepared without them; a file that cannot be read.
    pub fn texts(&self) -> Result<Vec<PairTexts>, DataError> {
        if !self.facts.texts {
            return Err(damaged(&self.texts, "the texts of the records were not kept".to_owned()));
        }
        let text = fs::read_to_string(&self.texts).map_err(DataError::io("read", &self.texts))?;
        let read = |line: &str| serde_json::from_str(line).map_err(|error| damaged(&self.texts, error.to_string()));
        let texts = text.lines().map(read).collect::<Result<Vec<PairTexts>, _>>()?;
        match texts.len() == self.ends.len() {
            true => Ok(texts),
            false => Err(damaged(&self.texts, format!("it has {} records, not {}", texts.len(), self.ends.len()))),
        }
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
    /// # Errors
    /// A file that cannot be read, or has become shorter.
    ///
    /// # Panics
    /// If `index` is not below [`PreparedDataset::len`].
    pub fn record(&self, index: u64) -> Result<PreparedRecord, DataError> {
        let start = index.checked_sub(1).map_or(0, |previous| self.ends[previous as usize]);
        let end = self.ends[index as usize];
        let mask = self.mask.read(start, end)?;
        let marked = |bit: MaskBit| mask.iter().map(|byte| byte & bit as u8 != 0).collect();
        let (trained, own) = (marked(MaskBit::Trained), marked(MaskBit::Own));
        let rejected = mask.first().is_some_and(|byte| byte & MaskBit::Rejected as u8 != 0);
        Ok(PreparedRecord { ids: self.tokens.range(start, end)?, trained, own, rejected })
    }
}
