//! Training batches as pure functions of the step.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use grid::data::{Corpus, DataError, Instructions, Mixture, Permutation, ReplayedRows, Split};
use grid::domain::{Length, LossMask, TuneJob, TunePart};

use crate::ml::{Batch, Batches, Row};

/// Packed windows of several corpora, shuffled together anew in each epoch.
pub(super) struct Packed {
    /// The folders of the corpora, for messages.
    folders: Vec<PathBuf>,
    corpora: Vec<Corpus>,
    /// Number of the first window of each corpus; one more entry for the end.
    starts: Vec<u64>,
    sequence_length: u32,
    batch_size: u32,
    seed: u64,
}

impl Packed {
    /// A window is `sequence_length` predicted tokens; it begins with the last token of the one before.
    pub(super) fn open(
        folders: &[&Path],
        split: Split,
        sequence_length: u32,
        batch_size: u32,
        seed: u64,
    ) -> Result<Self, DataError> {
        let corpora = open(folders, split, Corpus::open)?;
        let windows = |corpus: &Corpus| corpus.tokens().saturating_sub(1) / u64::from(sequence_length);
        let starts = running_sum(corpora.iter().map(windows));
        Ok(Self { folders: owned(folders), corpora, starts, sequence_length, batch_size, seed })
    }

    /// Words in all windows, about as many as [`Batch::words`] adds up to in an epoch.
    pub(super) fn words(&self) -> f64 {
        self.corpora.iter().enumerate().map(|(index, _)| self.words_of(index) * self.windows_of(index)).sum()
    }

    fn windows_of(&self, corpus: usize) -> f64 {
        (self.starts[corpus + 1] - self.starts[corpus]) as f64
    }

    /// Words in a window of a corpus: their mean, as tokens do not tell where words end.
    fn words_of(&self, corpus: usize) -> f64 {
        let corpus = &self.corpora[corpus];
        f64::from(self.sequence_length) * corpus.words() as f64 / (corpus.tokens() as f64).max(1.0)
    }

    /// The window at a position of a pass.
    fn at(&self, epoch: u64, position: u64) -> u64 {
        Permutation::new(self.seed, epoch, self.len()).at(position)
    }

    fn places_of(&self, windows: impl Iterator<Item = u64>) -> String {
        places(&format!("windows (of {} tokens)", self.sequence_length), windows, &self.starts, &self.folders)
    }

    /// Windows in all.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Window number `index` in corpus order, and the words in it.
    pub(super) fn row(&self, index: u64) -> (Row, f64) {
        let corpus = which(&self.starts, index);
        let start = (index - self.starts[corpus]) * u64::from(self.sequence_length);
        let ids = self.corpora[corpus].window(start, self.sequence_length as usize + 1);
        (Row { ids, loss_from: 1 }, self.words_of(corpus))
    }
}

impl Batches for Packed {
    fn batch(&self, step: u64) -> Batch {
        batch_of(step, self.len(), self.batch_size, |epoch, position| self.row(self.at(epoch, position)))
    }

    fn places(&self, step: u64) -> String {
        let (epoch, positions) = positions(step, self.len(), self.batch_size);
        self.places_of(positions.map(|position| self.at(epoch, position)))
    }
}

/// How the records of a dataset fit the longest row that is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    pub records: u64,
    /// Those that lose their end.
    pub cut: u64,
    /// Those of which nothing is left to predict.
    pub mute: u64,
    /// Tokens that are predicted, and receive loss, in all of them together.
    pub trained: u64,
}

/// Records of several datasets.
pub(super) struct Records {
    /// The folders of the datasets, for messages.
    folders: Vec<PathBuf>,
    datasets: Vec<Instructions>,
    starts: Vec<u64>,
    max_length: u32,
    loss: LossMask,
}

impl Records {
    pub(super) fn open(folders: &[&Path], split: Split, job: &TuneJob) -> Result<Self, DataError> {
        let datasets = open(folders, split, Instructions::open)?;
        let starts = running_sum(datasets.iter().map(Instructions::len));
        let TuneJob { max_length, loss, .. } = *job;
        Ok(Self { folders: owned(folders), datasets, starts, max_length, loss })
    }

    /// Records in all.
    pub(super) fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Records of each dataset.
    pub(super) fn lens(&self) -> Vec<u64> {
        self.datasets.iter().map(Instructions::len).collect()
    }

    /// How the records of each dataset fit `max_length`.
    pub(super) fn fits(&self) -> Vec<Fit> {
        let fit = |dataset: usize| {
            let records = self.datasets[dataset].len();
            let mut fit = Fit { records, cut: 0, mute: 0, trained: 0 };
            for index in 0..records {
                let length = self.datasets[dataset].record(index).0.len();
                fit.cut += u64::from(length > self.max_length as usize);
                let scored = self.of(dataset, index).0.scored() as u64;
                fit.mute += u64::from(scored == 0);
                fit.trained += scored;
            }
            fit
        };
        (0..self.datasets.len()).map(fit).collect()
    }

    /// Record number `index` in dataset order.
    pub(super) fn row(&self, index: u64) -> Row {
        let dataset = which(&self.starts, index);
        self.of(dataset, index - self.starts[dataset]).0
    }

    /// Record number `index` of a dataset, and the words of a mean record of it. Where the prompt leaves no room for a
    /// reply, nothing of the row is predicted.
    fn of(&self, dataset: usize, index: u64) -> (Row, f64) {
        let dataset = &self.datasets[dataset];
        let (mut ids, prompt_length) = dataset.record(index);
        let words = dataset.words() as f64 / dataset.len() as f64;
        ids.truncate(self.max_length as usize);
        let loss_from = match self.loss {
            LossMask::Reply => prompt_length.max(1),
            LossMask::All => 1,
        };
        (Row { ids, loss_from }, words)
    }
}

/// Records of several datasets, and windows of pretraining text where some are replayed, as a [`Mixture`] has them.
pub(super) struct Blend {
    records: Records,
    replayed: Option<Packed>,
    mixture: Mixture,
    batch_size: u32,
}

impl Blend {
    /// The rows of a part of a job; `fits` are those of the records, `replayed` is there where the part asks for it.
    pub(super) fn new(
        job: &TuneJob,
        part: &TunePart,
        records: Records,
        fits: &[Fit],
        replayed: Option<Packed>,
    ) -> Self {
        let trained: Vec<u64> = fits.iter().map(|fit| fit.trained).collect();
        let windows = part.replay.as_ref().zip(replayed.as_ref()).map(|(replay, packed)| ReplayedRows {
            share: replay.share,
            rows: packed.len(),
            row_tokens: replay.sequence_length, // a window has one more, which begins it
            trained: &trained,
        });
        let mixture = Mixture::new(job.seed, part.order, &records.lens(), &part.shares, windows);
        Self { records, replayed, mixture, batch_size: job.training.batch_size }
    }

    /// Rows of an epoch.
    pub(super) fn len(&self) -> u64 {
        self.mixture.rows()
    }

    fn row(&self, epoch: u64, position: u64) -> (Row, f64) {
        let (part, index) = self.mixture.at(epoch, position);
        match &self.replayed {
            Some(packed) if part == self.records.datasets.len() => packed.row(index),
            _ => self.records.of(part, index),
        }
    }
}

impl Batches for Blend {
    fn batch(&self, step: u64) -> Batch {
        batch_of(step, self.len(), self.batch_size, |epoch, position| self.row(epoch, position))
    }

    fn places(&self, step: u64) -> String {
        let (epoch, positions) = positions(step, self.len(), self.batch_size);
        let (records, windows): (Vec<_>, Vec<_>) = positions
            .map(|position| self.mixture.at(epoch, position))
            .partition(|(part, _)| *part < self.records.datasets.len());
        let numbers = records.iter().map(|(part, index)| self.records.starts[*part] + index);
        let mut text = places("records", numbers, &self.records.starts, &self.records.folders);
        if let (Some(packed), false) = (&self.replayed, windows.is_empty()) {
            text.push_str(&format!("; {}", packed.places_of(windows.into_iter().map(|(_, index)| index))));
        }
        text
    }
}

/// The parts of a tuning in order, each for its own length. The batches of a part are those that it has alone, so that
/// the position in the sequence decides about nothing but the learning rate.
pub(super) struct Sequence {
    parts: Vec<Blend>,
    /// The first step of each part; one more entry for the end.
    starts: Vec<u64>,
}

impl Sequence {
    /// These parts, each with its length; at least one.
    pub(super) fn new(parts: Vec<(Length, Blend)>) -> Self {
        let steps = parts.iter().map(|(length, part)| total_steps(*length, part.batch_size, part.len()));
        let starts = running_sum(steps);
        Self { parts: parts.into_iter().map(|(_, part)| part).collect(), starts }
    }

    /// Optimiser steps in all.
    pub(super) fn total_steps(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Rows of an epoch of the part that has fewest.
    pub(super) fn fewest_rows(&self) -> u64 {
        self.parts.iter().map(Blend::len).min().unwrap_or(0)
    }

    /// The part of a step, and the step within it; what lies beyond the end goes on with the last part.
    fn at(&self, step: u64) -> (&Blend, u64) {
        let part = which(&self.starts, step).min(self.parts.len() - 1);
        (&self.parts[part], step - self.starts[part])
    }
}

impl Batches for Sequence {
    fn batch(&self, step: u64) -> Batch {
        let (part, step) = self.at(step);
        part.batch(step)
    }

    fn places(&self, step: u64) -> String {
        let (part, step) = self.at(step);
        part.places(step)
    }
}

/// The pass that batch `step` of passes over `len` rows belongs to, and its positions in it; the last batch of a pass
/// may be smaller.
fn positions(step: u64, len: u64, batch_size: u32) -> (u64, Range<u64>) {
    let batch_size = u64::from(batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    let (epoch, within) = (step / per_epoch, step % per_epoch);
    (epoch, within * batch_size..((within + 1) * batch_size).min(len))
}

/// Batch `step` of passes over `len` rows; `row` gets the pass and the position in it.
fn batch_of(step: u64, len: u64, batch_size: u32, row: impl Fn(u64, u64) -> (Row, f64)) -> Batch {
    let (epoch, positions) = positions(step, len, batch_size);
    let (rows, words): (Vec<Row>, Vec<f64>) = positions.map(|position| row(epoch, position)).unzip();
    Batch { rows, words: words.iter().sum::<f64>().round() as u64 }
}

/// `windows 3, 9 of a/train.bin; 0 of b/train.bin`: rows by the number they have in their part, counted from 0.
fn places(unit: &str, rows: impl Iterator<Item = u64>, starts: &[u64], folders: &[PathBuf]) -> String {
    let mut by_part: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for row in rows {
        let part = which(starts, row);
        by_part.entry(part).or_default().push(row - starts[part]);
    }
    let part = |(part, numbers): (usize, Vec<u64>)| {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        format!("{} of {}", numbers.join(", "), folders[part].join("train.bin").display())
    };
    format!("{unit} {}", by_part.into_iter().map(part).collect::<Vec<_>>().join("; "))
}

fn owned(folders: &[&Path]) -> Vec<PathBuf> {
    folders.iter().map(|folder| folder.to_path_buf()).collect()
}

/// Optimiser steps of a training, or a part of one, whose epochs have `len` rows.
pub(super) fn total_steps(length: Length, batch_size: u32, len: u64) -> u64 {
    match length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => u64::from(epochs) * len.div_ceil(u64::from(batch_size)),
    }
}

/// Rows that `steps` optimiser steps take from passes over `len` rows.
pub(super) fn rows_in_all(batch_size: u32, steps: u64, len: u64) -> u64 {
    let batch_size = u64::from(batch_size);
    let per_epoch = len.div_ceil(batch_size).max(1);
    (steps / per_epoch) * len + ((steps % per_epoch) * batch_size).min(len)
}

/// Opens a split of several prepared folders.
fn open<T>(
    folders: &[&Path],
    split: Split,
    open: fn(&Path, Split) -> Result<T, DataError>,
) -> Result<Vec<T>, DataError> {
    folders.iter().map(|folder| open(folder, split)).collect()
}

fn running_sum(lengths: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut starts = vec![0];
    for length in lengths {
        starts.push(starts[starts.len() - 1] + length);
    }
    starts
}

/// The part that holds row `index`.
fn which(starts: &[u64], index: u64) -> usize {
    starts.partition_point(|start| *start <= index) - 1
}

#[cfg(test)]
mod tests {
    use grid::data::{Record, Tokenizer, prepare_corpus, prepare_dataset};
    use grid::domain::{
        OptimizerStart, Precision, RecordOrder, Replay, ReplayedText, Schedule, Template, Training, Warmup,
    };

    use super::*;

    fn training(length: Length) -> Training {
        Training {
            length,
            batch_size: 2,
            learning_rate: 1e-3,
            schedule: Schedule::Constant,
            warmup: Warmup::Steps(0),
            min_learning_rate_ratio: 0.0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: None,
            label_smoothing: 0.0,
            precision: Precision::F32,
            validation: None,
        }
    }

    fn part(length: Length) -> TunePart {
        TunePart { datasets: vec![], shares: vec![], order: RecordOrder::Shuffled, replay: None, length }
    }

    fn job(training: Training, then: Vec<TunePart>) -> TuneJob {
        TuneJob {
            parent: "0".repeat(32).parse().unwrap(),
            datasets: vec![],
            shares: vec![],
            order: RecordOrder::Shuffled,
            replay: None,
            max_length: 64,
            loss: LossMask::Reply,
            training,
            then,
            further_validation: vec![],
            optimizer: OptimizerStart::Fresh,
            seed: 7,
        }
    }

    fn tokenizer() -> Tokenizer {
        let text = "the quick brown fox jumps over the lazy dog while other animals watch from afar ".repeat(20);
        Tokenizer::train(300, [text].into_iter()).unwrap()
    }

    #[test]
    fn windows_are_the_whole_text_and_each_epoch_has_an_order_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let documents: Vec<String> = (0..60).map(|n| format!("the {n} lazy dogs jump over {n} foxes")).collect();
        prepare_corpus(&tokenizer(), &documents, 0.1, folder.path()).unwrap();
        let corpus = Corpus::open(folder.path(), Split::Train).unwrap();
        let packed = Packed::open(&[folder.path()], Split::Train, 8, 4, 7).unwrap();
        let steps = packed.len().div_ceil(4);
        assert!(steps > 10);
        let epoch = |number: u64| -> Vec<Vec<u32>> {
            let steps = number * steps..(number + 1) * steps;
            steps.flat_map(|step| packed.batch(step).rows).map(|row| row.ids).collect()
        };
        let (mut one, two) = (epoch(0), epoch(1));
        assert_ne!(one, two);
        let mut windows: Vec<Vec<u32>> = (0..packed.len()).map(|index| corpus.window(8 * index, 9)).collect();
        one.sort();
        windows.sort();
        assert_eq!(one, windows);
    }

    #[test]
    fn the_loss_is_on_the_whole_reply_and_on_nothing_else() {
        let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
        let record = Record { prompt: "the quick fox".to_owned(), reply: "jumps over".to_owned() };
        prepare_dataset(&tokenizer, &[vec![record]], &Template::separated("\n"), 0.0, folder.path()).unwrap();
        let row = |loss, max_length| {
            let datasets = vec![Instructions::open(folder.path(), Split::Train).unwrap()];
            Records { folders: vec![folder.path().to_owned()], datasets, starts: vec![0, 1], max_length, loss }.row(0)
        };
        let whole = row(LossMask::Reply, 64);
        let (end, predicted) = whole.ids[whole.loss_from..].split_last().unwrap();
        assert_eq!(
            (tokenizer.decode(predicted).unwrap().as_str(), *end),
            ("jumps over", tokenizer.end_of_text().unwrap())
        );
        let all = row(LossMask::All, 64);
        assert_eq!((all.loss_from, all.ids), (1, whole.ids.clone()));
        let cut = row(LossMask::Reply, whole.loss_from as u32 + 1);
        assert_eq!((cut.loss_from, &cut.ids[..]), (whole.loss_from, &whole.ids[..=whole.loss_from]));
    }

    #[test]
    fn records_that_lose_their_end_or_their_reply_are_counted() {
        let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
        let record = |words: usize| Record { prompt: "the lazy ".repeat(words), reply: "dog jumps over".to_owned() };
        prepare_dataset(&tokenizer, &[[1, 2, 30].map(record).to_vec()], &Template::separated("\n"), 0.0, folder.path())
            .unwrap();
        let fit = |max_length, loss| {
            let datasets = vec![Instructions::open(folder.path(), Split::Train).unwrap()];
            let records =
                Records { folders: vec![folder.path().to_owned()], datasets, starts: vec![0, 3], max_length, loss };
            let [Fit { records, cut, mute, trained: _ }] = records.fits()[..] else { panic!("one dataset") };
            (records, cut, mute)
        };
        assert_eq!(fit(4096, LossMask::Reply), (3, 0, 0));
        assert_eq!(fit(40, LossMask::Reply), (3, 1, 1));
        assert_eq!(fit(2, LossMask::Reply), (3, 3, 3));
        assert_eq!(fit(2, LossMask::All), (3, 3, 0));
    }

    #[test]
    fn rows_are_found_in_their_parts_and_empty_parts_have_none() {
        let starts = running_sum([3, 0, 2].into_iter());
        assert_eq!(starts, [0, 3, 3, 5]);
        assert_eq!([0, 2, 3, 4].map(|index| which(&starts, index)), [0, 0, 2, 2]);
    }

    #[test]
    fn an_epoch_takes_every_row_once_and_the_next_in_another_order() {
        let batch = |step| {
            let order = |epoch, position| Permutation::new(7, epoch, 10).at(position);
            let row = |epoch, position| (Row { ids: vec![order(epoch, position) as u32], loss_from: 1 }, 1.0);
            batch_of(step, 10, 4, row).rows.into_iter().map(|row| row.ids[0]).collect::<Vec<_>>()
        };
        let epoch = |first| (first..first + 3).flat_map(batch).collect::<Vec<_>>();
        assert_eq!(batch(2).len(), 2);
        let (mut one, two) = (epoch(0), epoch(3));
        assert_ne!(one, two);
        one.sort();
        assert_eq!(one, (0..10).collect::<Vec<u32>>());
    }

    /// Parts of one training have the batches that they have as trainings of their own, one after the other.
    #[test]
    fn a_sequence_is_its_parts_one_after_the_other() {
        let (runs, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
        let folder = |name: &str, records: usize| {
            let folder = runs.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            let record = |number| Record { prompt: format!("{name} {number}"), reply: "jumps over".to_owned() };
            let records: Vec<Record> = (0..records).map(record).collect();
            prepare_dataset(&tokenizer, &[records], &Template::separated("\n"), 0.0, &folder).unwrap();
            folder
        };
        let folders = [folder("fox", 7), folder("dog", 5)];
        let training = training(Length::Epochs(3));
        let job = job(training, vec![part(Length::Epochs(2)), part(Length::Steps(4))]);
        let blend = |place: usize| {
            let records = Records::open(&[folders[place % 2].as_path()], Split::Train, &job).unwrap();
            Blend::new(&job, &job.parts()[place], records, &[], None)
        };
        let lengths = [Length::Epochs(3), Length::Epochs(2), Length::Steps(4)];
        let sequence = Sequence::new((0..3).map(|place| (lengths[place], blend(place))).collect());
        // Batches of 2: 4 steps for 7 rows, 3 for 5.
        assert_eq!((sequence.total_steps(), sequence.fewest_rows()), (3 * 4 + 2 * 3 + 4, 5));
        let alone = |place: usize, steps: u64| {
            let blend = blend(place);
            (0..steps).map(|step| (blend.batch(step), blend.places(step))).collect::<Vec<_>>()
        };
        let expected = [alone(0, 12), alone(1, 6), alone(2, 4)].concat();
        let found: Vec<_> = (0..22).map(|step| (sequence.batch(step), sequence.places(step))).collect();
        assert!(found == expected);
        // Whatever was asked for before, a step has its batch.
        assert!((0..22).rev().all(|step| sequence.batch(step) == expected[step as usize].0));
        assert_ne!(found[0], found[4], "each epoch has an order of its own");
    }

    /// The share is one of tokens that receive loss, whatever the lengths of records and which of their tokens count.
    #[test]
    fn replayed_text_has_its_share_of_the_trained_tokens() {
        let (runs, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
        let folder = |name: &str| {
            let folder = runs.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            folder
        };
        let (text, short, long) = (folder("text"), folder("short"), folder("long"));
        let documents: Vec<String> = (0..60).map(|n| format!("the {n} lazy dogs jump over {n} foxes")).collect();
        prepare_corpus(&tokenizer, &documents, 0.1, &text).unwrap();
        let dataset = |folder: &Path, records: usize, words: usize| {
            let record = |n: usize| Record { prompt: "the lazy dog ".repeat(2), reply: "jumps ".repeat(words + n % 7) };
            let groups: Vec<Vec<Record>> = (0..records).map(|n| vec![record(n)]).collect();
            prepare_dataset(&tokenizer, &groups, &Template::separated("\n"), 0.0, folder).unwrap();
        };
        dataset(&short, 40, 1);
        dataset(&long, 25, 12);
        let length = 8;
        for (share, loss, max_length, shares) in [
            (0.1, LossMask::Reply, 64, vec![]),
            (0.5, LossMask::All, 64, vec![]),
            (0.3, LossMask::Reply, 24, vec![]),
            (0.4, LossMask::Reply, 64, vec![1.0, 3.0]),
        ] {
            let replay = ReplayedText { share: Replay::new(share).unwrap(), corpora: vec![], sequence_length: length };
            let job =
                TuneJob { replay: Some(replay), loss, max_length, shares, ..job(training(Length::Epochs(1)), vec![]) };
            let records = Records::open(&[short.as_path(), &long], Split::Train, &job).unwrap();
            let packed = Packed::open(&[text.as_path()], Split::Train, length, 2, 7).unwrap();
            let fits = records.fits();
            let blend = Blend::new(&job, &job.parts()[0], records, &fits, Some(packed));
            // A dataset that gives a share of its rows comes round after several epochs only.
            let epochs = if job.shares.is_empty() { 1 } else { 200 };
            let (mut of_records, mut of_text) = (0, 0);
            for (epoch, position) in
                (0..epochs).flat_map(|epoch| (0..blend.len()).map(move |position| (epoch, position)))
            {
                let scored = blend.row(epoch, position).0.scored() as u64;
                match blend.mixture.at(epoch, position).0 {
                    2 => of_text += scored,
                    _ => of_records += scored,
                }
            }
            let wanted = share / (1.0 - share) * of_records as f64;
            let half_a_row = f64::from(length) / 2.0 * epochs as f64;
            let away = (of_text as f64 - wanted).abs();
            assert!(of_text > 0 && away <= 1.01 * half_a_row, "{share}: {of_text} beside {of_records}");
        }
    }

    #[test]
    fn the_places_of_rows_name_their_files() {
        let text = places("windows", [4, 0, 3].into_iter(), &[0, 3, 3, 5], &["a", "b", "c"].map(PathBuf::from));
        assert_eq!(text, "windows 0 of a/train.bin; 1, 0 of c/train.bin");
    }
}
