//! Writing prepared data.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::domain::Template;

use super::super::error::DataError;
use super::super::record::Record;
use super::super::tokenizer::Tokenizer;
use super::super::words::count_words;
use super::ledger::{Ledger, Share, Split, Units, Width};
use crate::domain::mix;

/// Text tokenized at a time, in bytes: bounds the memory for ids that are not written yet.
const CHUNK: usize = 1 << 23;

/// Tokenizes documents into `train.bin` and `validation.bin`, each document followed by the end-of-text token.
///
/// `held_out` of the documents, rounded up, go to validation, chosen by a hash of their index and nothing else. With
/// fewer than `1 / held_out` documents the tail of the longest one does instead, so that validation is not empty; and train
/// never is. The folder must exist; publishing it whole is the caller's business.
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
    let units = assign(documents, held_out);
    let mut folder = Folder::create(out, tokenizer, Units::Documents)?;
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

/// Tokenizes records as the template has them, prompt and reply apart, each followed by the end-of-text token, and
/// remembers where each prompt ends. Ids that the tokenizer's own template puts before every text are part of the prompt.
///
/// Records that belong together (`groups`, see [`super::super::record_groups`]) are held out together, so that no
/// held-out reply is a prompt that trains: whole groups are taken in the order of a hash of their index as long as they
/// bring the number of held-out records nearer to `held_out` of all. Where every group is too large for that, the last
/// records of the largest one are held out. A single record trains.
///
/// # Errors
/// As [`prepare_corpus`].
pub fn prepare_dataset(
    tokenizer: &Tokenizer,
    groups: &[Vec<Record>],
    template: &Template,
    held_out: f64,
    out: &Path,
) -> Result<(Ledger, HeldOut), DataError> {
    let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
    let (splits, chosen) = splits_of_groups(&sizes, held_out);
    let units: Vec<(Split, &Record)> = splits.into_iter().zip(groups.iter().flatten()).collect();
    let mut folder = Folder::create(out, tokenizer, Units::Records)?;
    let end = tokenizer.end_of_text()?;
    for chunk in chunks(&units, |(_, record)| record.prompt.len() + record.reply.len()) {
        let encoded = chunk.par_iter().map(|(split, record)| {
            let mut ids = tokenizer.opening().to_vec();
            ids.extend(tokenizer.encode(&template.prompt(&record.prompt))?);
            let prompt = ids.len() as u64;
            ids.extend(tokenizer.encode(&template.reply(&record.reply))?);
            ids.push(end);
            Ok((*split, ids, prompt, count_words(&record.prompt) + count_words(&record.reply)))
        });
        for (split, ids, prompt, words) in encoded.collect::<Result<Vec<_>, DataError>>()? {
            folder.push(split, &ids, words)?;
            folder.push_index(split, prompt)?;
        }
    }
    Ok((folder.finish(tokenizer)?, chosen))
}

/// Which records of a dataset are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldOut {
    /// Those of whole groups; none where nothing is to be held out.
    Groups,
    /// So many at the end of the largest group, as every group is too large to be held out whole.
    Tail(usize),
}

/// The split of every record of groups of these sizes, in order; see [`prepare_dataset`]. Records that stand alone are
/// held out as the documents of [`splits`] are.
fn splits_of_groups(sizes: &[usize], held_out: f64) -> (Vec<Split>, HeldOut) {
    let count: usize = sizes.iter().sum();
    let wanted = held_out_of(count, held_out);
    let mut of_groups = vec![Split::Train; sizes.len()];
    let mut held = 0;
    for group in hashed_order(sizes.len()) {
        let with = held + sizes[group];
        if with < count && with.abs_diff(wanted) < wanted.abs_diff(held) {
            (of_groups[group], held) = (Split::Validation, with);
        }
    }
    let split = |(group, size): (usize, &usize)| std::iter::repeat_n(of_groups[group], *size);
    let mut splits: Vec<Split> = sizes.iter().enumerate().flat_map(split).collect();
    // The first of equally large ones.
    let largest = (0..sizes.len()).rev().max_by_key(|&group| sizes[group]);
    let (Some(largest), 0, 1..) = (largest, held, wanted) else { return (splits, HeldOut::Groups) };
    let tail = wanted.min(sizes[largest].saturating_sub(1));
    let end: usize = sizes[..=largest].iter().sum();
    splits[end - tail..end].fill(Split::Validation);
    (splits, HeldOut::Tail(tail))
}

/// The split of every unit: the `ceil(held_out * count)` units with the least hash of their index are held out, as
/// many as `train_test_split` of scikit-learn and Hugging Face hold out; neither split is left empty where that can be
/// helped.
fn splits(count: usize, held_out: f64) -> Vec<Split> {
    let mut splits = vec![Split::Train; count];
    for index in &hashed_order(count)[..held_out_of(count, held_out)] {
        splits[*index] = Split::Validation;
    }
    splits
}

/// How many of `count` units are held out: the share rounded up, but never all of them.
fn held_out_of(count: usize, held_out: f64) -> usize {
    ((held_out * count as f64).ceil() as usize).min(count.saturating_sub(1))
}

/// The indices below `count` in the order of their hashes.
fn hashed_order(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&index| mix(mix(index as u64)));
    order
}

fn assign(documents: Vec<&str>, held_out: f64) -> Vec<(Split, &str)> {
    let few = held_out > 0.0 && (documents.len() as f64) < 1.0 / held_out;
    if !few {
        return splits(documents.len(), held_out).into_iter().zip(documents).collect();
    }
    let mut units: Vec<(Split, &str)> = documents.into_iter().map(|text| (Split::Train, text)).collect();
    let total: usize = units.iter().map(|(_, text)| text.len()).sum();
    // The first of equally long ones.
    let longest = units.iter().enumerate().rev().max_by_key(|(_, (_, text))| text.len()).map(|(index, _)| index);
    if let Some(index) = longest {
        let whole = units[index].1;
        let tail = (total as f64 * held_out) as usize;
        if let Some((head, tail)) = cut(whole, whole.len().saturating_sub(tail)) {
            units[index].1 = head;
            units.insert(index + 1, (Split::Validation, tail));
        }
    }
    units
}

/// Cuts a text at the first white space from `position` on (or else the last before it), which belongs to neither part;
/// `None` if a part would be blank.
fn cut(text: &str, position: usize) -> Option<(&str, &str)> {
    let parts = |space: usize| {
        let (head, tail) = (text[..space].trim_end(), text[space..].trim_start());
        (!head.trim().is_empty() && !tail.is_empty()).then_some((head, tail))
    };
    let spaces = text.match_indices(char::is_whitespace).map(|(space, _)| space);
    let (before, after): (Vec<usize>, Vec<usize>) = spaces.partition(|&space| space < position);
    after.into_iter().chain(before.into_iter().rev()).find_map(parts)
}

/// Consecutive units of about [`CHUNK`] bytes together.
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

/// The files of a folder while they are written.
struct Folder {
    path: PathBuf,
    units: Units,
    width: Width,
    train: Files,
    validation: Files,
}

struct Files {
    ids: Output,
    index: Option<Output>,
    share: Share,
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
    fn create(path: &Path, tokenizer: &Tokenizer, units: Units) -> Result<Self, DataError> {
        let files = |split: Split| {
            let output = |extension: &str| Output::create(path.join(split.name()).with_extension(extension));
            let index = match units {
                Units::Documents => None,
                Units::Records => Some(output("index")?),
            };
            Ok::<_, DataError>(Files { ids: output("bin")?, index, share: Share::default() })
        };
        let (train, validation) = (files(Split::Train)?, files(Split::Validation)?);
        Ok(Self { path: path.to_owned(), units, width: Width::of(tokenizer.vocab_size()), train, validation })
    }

    fn files(&mut self, split: Split) -> &mut Files {
        match split {
            Split::Train => &mut self.train,
            Split::Validation => &mut self.validation,
        }
    }

    fn push(&mut self, split: Split, ids: &[u32], words: u64) -> Result<(), DataError> {
        let bytes: Vec<u8> = match self.width {
            Width::Two => ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect(),
            Width::Four => ids.iter().flat_map(|&id| id.to_le_bytes()).collect(),
        };
        let files = self.files(split);
        files.share.units += 1;
        files.share.words += words;
        files.share.tokens += ids.len() as u64;
        files.ids.write(&bytes)
    }

    fn push_index(&mut self, split: Split, prompt: u64) -> Result<(), DataError> {
        let files = self.files(split);
        let end = files.share.tokens;
        match &mut files.index {
            Some(index) => index.write(&[end.to_le_bytes(), prompt.to_le_bytes()].concat()),
            None => Ok(()),
        }
    }

    fn finish(self, tokenizer: &Tokenizer) -> Result<Ledger, DataError> {
        let (train, validation) = (self.train.share, self.validation.share);
        let ledger =
            Ledger { units: self.units, width: self.width, vocab_size: tokenizer.vocab_size(), train, validation };
        for files in [self.train, self.validation] {
            files.ids.finish()?;
            files.index.map_or(Ok(()), Output::finish)?;
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
        fn about_the_share_is_held_out_and_train_is_never_empty(count in 1usize..3000, held_out in 0.0f64..0.5) {
            let splits = splits(count, held_out);
            let held = splits.iter().filter(|&&split| split == Split::Validation).count();
            prop_assert!(held < count);
            prop_assert_eq!(held > 0, held_out > 0.0 && count > 1 );
            let expected = count as f64 * held_out;
            prop_assert!((held as f64 - expected).abs() <= 5.0 * expected.sqrt() + 1.0, "{held} of {expected}");
        }

        #[test]
        fn records_that_stand_alone_are_held_out_as_before(count in 0usize..500, held_out in 0.0f64..0.9) {
            prop_assert_eq!(splits_of_groups(&vec![1; count], held_out), (splits(count, held_out), HeldOut::Groups));
        }

        #[test]
        fn groups_are_held_out_whole_or_the_largest_gives_its_end(
            sizes in prop::collection::vec(1usize..60, 1..40), held_out in 0.01f64..0.5,
        ) {
            let (splits, chosen) = splits_of_groups(&sizes, held_out);
            let count: usize = sizes.iter().sum();
            let wanted = held_out_of(count, held_out);
            let held = splits.iter().filter(|&&split| split == Split::Validation).count();
            prop_assert_eq!(splits.len(), count);
            prop_assert!(held < count && (held > 0 || count == 1));
            let mut start = 0;
            for &size in &sizes {
                let group = &splits[start..start + size];
                match chosen {
                    HeldOut::Groups => prop_assert!(group.iter().all(|split| split == &group[0])),
                    // Nothing trains after what is held out.
                    HeldOut::Tail(_) => prop_assert!(group.is_sorted_by_key(|&split| split == Split::Validation)),
                }
                start += size;
            }
            if let HeldOut::Tail(tail) = chosen {
                prop_assert_eq!((held, tail), (wanted, wanted));
            }
            prop_assert!(held.abs_diff(wanted) < wanted.max(1), "{held} of {wanted}");
        }

        #[test]
        fn chunks_are_all_of_it(sizes in prop::collection::vec(0usize..2 * CHUNK, 0..20)) {
            let all: Vec<usize> = chunks(&sizes, |&size| size).flatten().copied().collect();
            prop_assert_eq!(all, sizes);
        }
    }

    #[test]
    fn many_small_groups_come_near_the_share_and_few_large_ones_give_their_tail() {
        let held = |sizes: &[usize], held_out| {
            let (splits, chosen) = splits_of_groups(sizes, held_out);
            (splits.iter().filter(|&&split| split == Split::Validation).count(), chosen)
        };
        assert_eq!(held(&[7; 100], 0.1), (70, HeldOut::Groups));
        assert_eq!(held(&[50], 0.1), (5, HeldOut::Tail(5)));
        assert_eq!(held(&[20, 60, 60], 0.05), (7, HeldOut::Tail(7)));
        assert_eq!(held(&[20, 60, 60], 0.1), (20, HeldOut::Groups));
        assert_eq!(held(&[50, 3], 0.0), (0, HeldOut::Groups));
        let (splits, _) = splits_of_groups(&[4, 9, 5], 0.1);
        let held: Vec<usize> = (0..splits.len()).filter(|&record| splits[record] == Split::Validation).collect();
        assert_eq!(held, [11, 12], "the end of the largest");
    }

    #[test]
    fn the_tail_of_the_longest_document_is_held_out_of_few() {
        let documents = vec!["a b c", "d e f g h i j k l m", "n"];
        let expected = [
            (Split::Train, "a b c"),
            (Split::Train, "d e f g h i j k l"),
            (Split::Validation, "m"),
            (Split::Train, "n"),
        ];
        assert_eq!(assign(documents.clone(), 0.1), expected);
        assert_eq!(assign(documents, 0.0).len(), 3);
        assert_eq!(assign(vec!["word"], 0.1), [(Split::Train, "word")]);
        assert_eq!(
            assign(vec!["a verylongwordattheend"], 0.1),
            [(Split::Train, "a"), (Split::Validation, "verylongwordattheend")]
        );
    }
}
