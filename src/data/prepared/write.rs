//! Writing prepared data.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::iter::repeat_n;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::super::error::DataError;
use super::super::formatted::{Formatter, TokenizedRecord};
use super::super::record::Record;
use super::super::tokenizer::Tokenizer;
use super::super::words::count_words;
use crate::domain::Replies;

use super::ledger::{Ledger, MaskBit, RecordFacts, Split, SplitSize, TokenWidth, Units};
use super::split::{HeldOut, split_documents, split_groups};

/// Bytes of text that are tokenized at a time, which bounds the memory for ids that are not yet written.
const CHUNK: usize = 1 << 23;

/// Tokenizes documents into `train.bin` and `validation.bin`, each document followed by the end-of-text token.
///
/// The share `held_out` of the documents, rounded up, is held out for validation; the choice depends only on a hash of
/// their index. With fewer than `1 / held_out` documents, the end of the longest one is held out instead. The training
/// part is never empty. The folder must exist; the caller is responsible for publishing it atomically.
///
/// # Errors
/// Files that cannot be written; texts that the tokenizer cannot encode.
pub fn prepare_corpus<S: AsRef<str> + Sync>(
    tokenizer: &Tokenizer,
    documents: &[S],
    held_out: f64,
    out: &Path,
) -> Result<Ledger, DataError> {
    let documents: Vec<&str> = documents.iter().map(AsRef::as_ref).collect();
    let units = split_documents(documents, held_out);
    let mut folder = Folder::create(out, tokenizer, Units::Documents, RecordFacts::default())?;
    let end = tokenizer.end_of_text()?;
    for chunk in chunks(&units, |(_, text)| text.len()) {
        let encoded = chunk.par_iter().map(|(split, text)| {
            let mut ids = tokenizer.encode_document(text)?;
            ids.push(end);
            Ok((*split, ids, count_words(text)))
        });
        for (split, ids, words) in encoded.collect::<Result<Vec<_>, DataError>>()? {
            folder.push(split, &ids, words)?;
        }
    }
    folder.finish(tokenizer)
}

/// Formats and tokenizes records, and stores which ids are trained on.
///
/// Groups (see [`super::super::record_groups`]) are held out as a whole, so that no held-out reply is a training prompt:
/// groups are selected in the order of a hash of their index as long as they bring the number of held-out records closer
/// to the share `held_out`. If every group is too large for that, the last records of the largest one are held out. A
/// single record is never held out.
///
/// # Errors
/// As [`prepare_corpus`]; records that cannot be formatted, by their number in the dataset.
pub fn prepare_dataset(
    tokenizer: &Tokenizer,
    groups: &[Vec<Record>],
    replies: Replies,
    formatter: &Formatter<'_>,
    held_out: f64,
    out: &Path,
) -> Result<(Ledger, HeldOut), DataError> {
    let (splits, chosen) = match replies {
        Replies::Good => split_groups(&groups.iter().map(Vec::len).collect::<Vec<_>>(), held_out),
        Replies::Pairs | Replies::Labelled => {
            // The replies of a row are never divided. Rows with a good reply are held out like the same rows without bad
            // replies, so that no stage trains on what a later one holds out.
            let is_good = |group: &Vec<Record>| group.iter().any(|record| !record.is_rejected());
            let good = groups.iter().filter(|group| is_good(group)).count();
            let (of_good, chosen) = split_groups(&vec![1; good], held_out);
            let (of_others, _) = split_groups(&vec![1; groups.len() - good], held_out);
            let (mut of_good, mut of_others) = (of_good.into_iter(), of_others.into_iter());
            let split = |group: &Vec<Record>| {
                let split = if is_good(group) { of_good.next() } else { of_others.next() };
                repeat_n(split.expect("a split for each row"), group.len())
            };
            (groups.iter().flat_map(split).collect(), chosen)
        }
    };
    let numbered = groups.iter().flatten().enumerate();
    let units: Vec<(Split, (usize, &Record))> = splits.into_iter().zip(numbered).collect();
    let facts = RecordFacts {
        own_text: formatter.marks_own_text(),
        uncertainty: groups.iter().flatten().any(|record| record.uncertainty().is_some()),
        texts: formatter.keeps_texts(),
        replies,
    };
    let mut folder = Folder::create(out, tokenizer, Units::Records, facts)?;
    for chunk in chunks(&units, |(_, (_, record))| record.bytes()) {
        let encoded = chunk.par_iter().map(|(split, (index, record))| {
            let tokenized = formatter.tokenize(record).map_err(|error| error.of_record(index + 1))?;
            let words = match record.content() {
                Record::Tokens { ids, .. } => count_words(&tokenizer.decode(ids)?),
                _ => record.words(),
            };
            Ok((*split, tokenized, words, record.uncertainty()))
        });
        for (split, tokenized, words, uncertainty) in encoded.collect::<Result<Vec<_>, DataError>>()? {
            folder.push(split, &tokenized.ids, words)?;
            folder.push_mask(split, &tokenized)?;
            folder.push_uncertainty(split, uncertainty)?;
        }
    }
    Ok((folder.finish(tokenizer)?, chosen))
}

/// Divides units into consecutive chunks of about [`CHUNK`] bytes.
fn chunks<'a, T>(mut units: &'a [T], size: impl Fn(&T) -> usize + 'a) -> impl Iterator<Item = &'a [T]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let more = |unit: &&T| {
            let fits = bytes < CHUNK;
            bytes += size(unit);
            fits
        };
        let count = units.iter().take_while(more).count();
        let (chunk, rest) = units.split_at(count);
        units = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// The files of a prepared folder while they are written.
struct Folder {
    path: PathBuf,
    units: Units,
    width: TokenWidth,
    facts: RecordFacts,
    train: Files,
    validation: Files,
}

struct Files {
    ids: Output,
    records: Option<RecordFiles>,
    /// Documents or records.
    records_written: u64,
    share: SplitSize,
}

/// The files that only records have.
struct RecordFiles {
    index: Output,
    mask: Output,
    uncertainty: Option<Output>,
    texts: Option<Output>,
}

struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    fn create(path: PathBuf) -> Result<Self, DataError> {
        let file = File::create(&path).map_err(DataError::io("write", &path))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(DataError::io("write", &self.path))
    }

    fn finish(mut self) -> Result<(), DataError> {
        let done = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        done.map_err(DataError::io("write", &self.path))
    }
}

impl Folder {
    fn create(path: &Path, tokenizer: &Tokenizer, units: Units, facts: RecordFacts) -> Result<Self, DataError> {
        let files = |split: Split| {
            let output = |extension: &str| Output::create(path.join(split.name()).with_extension(extension));
            let records = match units {
                Units::Documents => None,
                Units::Records => Some(RecordFiles {
                    index: output("index")?,
                    mask: output("mask")?,
                    uncertainty: facts.uncertainty.then(|| output("uncertainty")).transpose()?,
                    texts: facts.texts.then(|| output("texts")).transpose()?,
                }),
            };
            Ok::<_, DataError>(Files { ids: output("bin")?, records, records_written: 0, share: SplitSize::default() })
        };
        let (train, validation) = (files(Split::Train)?, files(Split::Validation)?);
        let width = TokenWidth::of(tokenizer.vocab_size());
        Ok(Self { path: path.to_owned(), units, width, facts, train, validation })
    }

    fn files(&mut self, split: Split) -> &mut Files {
        match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
        }
    }

    fn push(&mut self, split: Split, ids: &[u32], words: u64) -> Result<(), DataError> {
        let bytes: Vec<u8> = match self.width {
            TokenWidth::Two => ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect(),
            TokenWidth::Four => ids.iter().flat_map(|&id| id.to_le_bytes()).collect(),
        };
        let records_per_unit = self.facts.replies.records_per_unit();
        let files = self.files(split);
        files.records_written += 1;
        files.share.units = files.records_written / records_per_unit;
        files.share.words += words;
        files.share.tokens += ids.len() as u64;
        files.ids.write(&bytes)
    }

    /// Stores the mask of the record whose ids were pushed last, and where they end.
    fn push_mask(&mut self, split: Split, record: &TokenizedRecord) -> Result<(), DataError> {
        let files = self.files(split);
        files.share.trained += record.trained.iter().filter(|trained| **trained).count() as u64;
        files.share.across += u64::from(record.across > 0);
        let Some(records) = &mut files.records else { return Ok(()) };
        let mut mask: Vec<u8> =
            record.trained.iter().map(|trained| u8::from(*trained) * MaskBit::Trained as u8).collect();
        for (byte, own) in mask.iter_mut().zip(&record.own) {
            *byte |= u8::from(*own) * MaskBit::Own as u8;
        }
        if record.rejected {
            mask.iter_mut().for_each(|byte| *byte |= MaskBit::Rejected as u8);
        }
        records.mask.write(&mask)?;
        if let (Some(file), Some(texts)) = (&mut records.texts, &record.texts) {
            let line = serde_json::to_string(texts).expect("two texts");
            file.write(format!("{line}\n").as_bytes())?;
        }
        records.index.write(&files.share.tokens.to_le_bytes())
    }

    /// Stores the uncertainty of the record whose mask was pushed last.
    fn push_uncertainty(&mut self, split: Split, uncertainty: Option<f64>) -> Result<(), DataError> {
        let file = self.files(split).records.as_mut().and_then(|records| records.uncertainty.as_mut());
        match (file, uncertainty) {
            (Some(file), Some(uncertainty)) => file.write(&uncertainty.to_le_bytes()),
            _ => Ok(()),
        }
    }

    fn finish(self, tokenizer: &Tokenizer) -> Result<Ledger, DataError> {
        let (train, validation) = (self.train.share, self.validation.share);
        let Self { units, width, facts, .. } = self;
        let vocab_size = tokenizer.vocab_size();
        let ledger = Ledger { units, width, vocab_size, records: facts, train, validation };
        for files in [self.train, self.validation] {
            files.ids.finish()?;
            if let Some(records) = files.records {
                records.index.finish()?;
                records.mask.finish()?;
                for file in [records.uncertainty, records.texts].into_iter().flatten() {
                    file.finish()?;
                }
            }
        }
        let path = self.path.join(Ledger::FILE);
        let json = serde_json::to_vec_pretty(&ledger).expect("a ledger has string keys");
        fs::write(&path, json).map_err(DataError::io("write", &path))?;
        Ok(ledger)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_contain_all_units(sizes in prop::collection::vec(0usize..2 * CHUNK, 0..20)) {
            let all: Vec<usize> = chunks(&sizes, |&size| size).flatten().copied().collect();
            prop_assert_eq!(all, sizes);
        }
    }
}
