use std::collections::BTreeMap;
use std::path::Path;

use grid::data::{Formatter, PreparedCorpus, Record, Split, Tokenizer, prepare_corpus, prepare_dataset};
use grid::domain::{
    Formatting, Length, LossMask, OptimizerStart, RecordOrder, Replay, ReplayedText, Replies, Training, TuneJob,
    TuneObjective, TunePart,
};

use super::epochs::BatchRow;
use super::*;
use crate::ml::Batches;

fn training(length: Length) -> Training {
    Training::plain(length, 2, 1e-3)
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
        objective: TuneObjective::Sft,
        references: BTreeMap::new(),
        teachers: vec![],
        shots: None,
        loss: LossMask::Reply,
        training,
        then,
        further_validation: vec![],
        optimizer: OptimizerStart::Fresh,
        seed: 7,
    }
}

fn records(folders: &[&Path], loss: LossMask, max_length: u32) -> InstructionRecords {
    let job = TuneJob { loss, max_length, ..job(training(Length::Epochs(1)), vec![]) };
    InstructionRecords::open(folders, Split::Train, &job).unwrap()
}

fn tokenizer() -> Tokenizer {
    let text = "the quick brown fox jumps over the lazy dog while other animals watch from afar ".repeat(20);
    Tokenizer::train(300, [text].into_iter()).unwrap()
}

#[test]
fn windows_cover_the_text_and_every_epoch_has_its_own_order() {
    let folder = tempfile::tempdir().unwrap();
    let documents: Vec<String> = (0..60).map(|n| format!("the {n} lazy dogs jump over {n} foxes")).collect();
    prepare_corpus(&tokenizer(), &documents, 0.1, folder.path()).unwrap();
    let corpus = PreparedCorpus::open(folder.path(), Split::Train).unwrap();
    let packed = PackedText::open(&[folder.path()], Split::Train, 8, 4, 7).unwrap();
    let steps = packed.len().div_ceil(4);
    assert!(steps > 10);
    let epoch = |number: u64| -> Vec<Vec<u32>> {
        let steps = number * steps..(number + 1) * steps;
        steps.flat_map(|step| packed.batch(step).unwrap().examples).map(|row| row.ids().to_vec()).collect()
    };
    let (mut one, two) = (epoch(0), epoch(1));
    assert_ne!(one, two);
    let mut windows: Vec<Vec<u32>> = (0..packed.len()).map(|index| corpus.window(8 * index, 9).unwrap()).collect();
    one.sort();
    windows.sort();
    assert_eq!(one, windows);
}

/// Prepares groups of records with a line break between prompt and reply, none of them held out.
fn prepare(tokenizer: &Tokenizer, groups: &[Vec<Record>], folder: &Path) {
    let formatting = Formatting::separated("\n");
    let formatter = Formatter::new(&formatting, tokenizer, folder).unwrap();
    prepare_dataset(tokenizer, groups, Replies::Good, &formatter, 0.0, folder).unwrap();
}

#[test]
fn the_loss_covers_the_whole_reply_and_nothing_else() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
    prepare(&tokenizer, &[vec![Record::pair("the quick fox", "jumps over")]], folder.path());
    let row = |loss, max_length| records(&[folder.path()], loss, max_length).row(0).unwrap();
    let whole = row(LossMask::Reply, 64);
    let start = whole.targets().next().unwrap();
    assert!(whole.targets().eq(start..whole.ids().len()));
    let (end, predicted) = whole.ids()[start..].split_last().unwrap();
    assert_eq!((tokenizer.decode(predicted).unwrap().as_str(), *end), ("jumps over", tokenizer.end_of_text().unwrap()));
    let all = row(LossMask::All, 64);
    assert!(all.targets().eq(1..whole.ids().len()) && all.ids() == whole.ids());
    let cut = row(LossMask::Reply, start as u32 + 1);
    assert!(cut.targets().eq(start..=start) && *cut.ids() == whole.ids()[..=start]);
}

#[test]
fn truncated_records_are_counted() {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
    let record = |words: usize| Record::pair("the lazy ".repeat(words), "dog jumps over");
    prepare(&tokenizer, &[[1, 2, 30].map(record).to_vec()], folder.path());
    let counts = |max_length, loss| {
        let truncations = records(&[folder.path()], loss, max_length).truncations().unwrap();
        let [Truncation { records, truncated, without_target, .. }] = truncations[..] else { panic!("one dataset") };
        (records, truncated, without_target)
    };
    assert_eq!(counts(4096, LossMask::Reply), (3, 0, 0));
    assert_eq!(counts(40, LossMask::Reply), (3, 1, 1));
    assert_eq!(counts(2, LossMask::Reply), (3, 3, 3));
    assert_eq!(counts(2, LossMask::All), (3, 3, 0));
}

/// Each part has the batches that it would have as a training of its own.
#[test]
fn parts_follow_one_another() {
    let (runs, tokenizer) = (tempfile::tempdir().unwrap(), tokenizer());
    let folder = |name: &str, records: usize| {
        let folder = runs.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let record = |number| Record::pair(format!("{name} {number}"), "jumps over");
        let records: Vec<Record> = (0..records).map(record).collect();
        prepare(&tokenizer, &[records], &folder);
        folder
    };
    let folders = [folder("fox", 7), folder("dog", 5)];
    let training = training(Length::Epochs(3));
    let job = job(training, vec![part(Length::Epochs(2)), part(Length::Steps(4))]);
    let part = |number: usize| {
        let records = InstructionRecords::open(&[folders[number % 2].as_path()], Split::Train, &job).unwrap();
        PartBatches::new(&job, &job.parts()[number], InstructionRows { records, replayed: None })
    };
    let lengths = [Length::Epochs(3), Length::Epochs(2), Length::Steps(4)];
    let batches = TuneBatches::new((0..3).map(|number| (lengths[number], part(number))).collect());
    // Batches of 2: 4 steps for 7 rows, 3 for 5.
    assert_eq!((batches.total_steps(), batches.fewest_rows()), (3 * 4 + 2 * 3 + 4, 5));
    let alone = |number: usize, steps: u64| {
        let part = part(number);
        (0..steps).map(|step| (part.batch(step).unwrap(), part.places(step))).collect::<Vec<_>>()
    };
    let expected = [alone(0, 12), alone(1, 6), alone(2, 4)].concat();
    let found: Vec<_> = (0..22).map(|step| (batches.batch(step).unwrap(), batches.places(step))).collect();
    assert!(found == expected);
    // The batch of a step does not depend on those requested before.
    assert!((0..22).rev().all(|step| batches.batch(step).unwrap() == expected[step as usize].0));
    assert_ne!(found[0], found[4], "every epoch has its own order");
}

/// The share is one of predicted tokens, for all lengths and loss masks of the records.
#[test]
fn replayed_text_has_its_share_of_the_predicted_tokens() {
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
        let record = |n: usize| Record::pair("the lazy dog ".repeat(2), "jumps ".repeat(words + n % 7));
        let groups: Vec<Vec<Record>> = (0..records).map(|n| vec![record(n)]).collect();
        prepare(&tokenizer, &groups, folder);
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
        let records = InstructionRecords::open(&[short.as_path(), &long], Split::Train, &job).unwrap();
        let packed = PackedText::open(&[text.as_path()], Split::Train, length, 2, 7).unwrap();
        let truncations = records.truncations().unwrap();
        let rows = InstructionRows { records, replayed: Some(packed) };
        let part = PartBatches::with_replay(&job, &job.parts()[0], rows, &truncations);
        // A dataset of which an epoch takes a share is covered only after several epochs.
        let epochs = if job.shares.is_empty() { 1 } else { 200 };
        let (mut of_records, mut of_text) = (0, 0);
        for (epoch, position) in (0..epochs).flat_map(|epoch| (0..part.len()).map(move |position| (epoch, position))) {
            let BatchRow { example: sequence, .. } = part.row(epoch, position).unwrap();
            let predicted = sequence.predicted() as u64;
            match part.mixture.at(epoch, position).0 {
                2 => of_text += predicted,
                _ => of_records += predicted,
            }
        }
        let wanted = share / (1.0 - share) * of_records as f64;
        let half_a_row = f64::from(length) / 2.0 * epochs as f64;
        let away = (of_text as f64 - wanted).abs();
        assert!(of_text > 0 && away <= 1.01 * half_a_row, "{share}: {of_text} beside {of_records}");
    }
}
