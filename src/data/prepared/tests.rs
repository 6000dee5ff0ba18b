use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use crate::domain::{DatasetFormat, Digest, Formatting, LocatedSource, Origin, Replies, WorldPart};

use super::super::source_file::tests::planned;
use super::super::{DataError, Formatter, Record, TokenizedRecord, Tokenizer, Uncertainty, record_groups, world};
use super::*;

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let text = world::corpus(WorldPart::Speech, 1, 2_000);
    Tokenizer::train(300, [text].into_iter()).unwrap()
});

/// Prepares groups of records with this text between prompt and reply.
fn prepare(groups: &[Vec<Record>], separator: &str, held_out: f64, out: &Path) -> Ledger {
    let formatting = Formatting::separated(separator);
    let formatter = Formatter::new(&formatting, &TOKENIZER, out).unwrap();
    prepare_dataset(&TOKENIZER, groups, Replies::Good, &formatter, held_out, out).unwrap().0
}

/// The ids of a record and the number of those of its prompt.
fn divided(record: PreparedRecord) -> (Vec<u32>, usize) {
    let prompt = record.trained.iter().take_while(|trained| !**trained).count();
    assert!(record.trained[prompt..].iter().all(|trained| *trained));
    (record.ids, prompt)
}

fn decode_stream(corpus: &PreparedCorpus) -> Vec<String> {
    let ids = corpus.window(0, corpus.tokens() as usize).unwrap();
    let mut documents: Vec<String> = ids
        .split(|&id| id == TOKENIZER.end_of_text().unwrap())
        .map(|document| TOKENIZER.decode(document).unwrap())
        .collect();
    assert_eq!(documents.pop().as_deref(), Some(""), "the stream ends with an end-of-text token");
    documents
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn documents_round_trip(documents in prop::collection::vec("[a-zA-Zé .\n]{1,40}", 20..60), held_out in 0.05f64..0.5) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = prepare_corpus(&TOKENIZER, &documents, held_out, folder.path()).unwrap();
        prop_assert_eq!(&Ledger::open(folder.path()).unwrap(), &ledger);
        let mut all = Vec::new();
        for split in Split::ALL {
            let corpus = PreparedCorpus::open(folder.path(), split).unwrap();
            let decoded = decode_stream(&corpus);
            prop_assert_eq!(decoded.len() as u64, ledger.share(split).units);
            prop_assert_eq!(corpus.words(), decoded.iter().map(|text| text.split_whitespace().count() as u64).sum::<u64>());
            prop_assert!(corpus.tokens() > 0);
            all.extend(decoded);
        }
        let mut expected = documents.clone();
        expected.sort();
        all.sort();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn records_round_trip(texts in prop::collection::vec(("[a-z ?]{0,30}", "[a-z .]{1,30}"), 2..40), held_out in 0.0f64..0.5) {
        let records: Vec<Record> = texts.into_iter().map(|(prompt, reply)| Record::Pair { prompt, reply }).collect();
        let folder = tempfile::tempdir().unwrap();
        let groups: Vec<Vec<Record>> = records.chunks(3).map(<[Record]>::to_vec).collect();
        prepare(&groups, "\n", held_out, folder.path());
        let mut all = Vec::new();
        for split in Split::ALL {
            let instructions = PreparedDataset::open(folder.path(), split).unwrap();
            for index in 0..instructions.len() {
                let (ids, prompt) = divided(instructions.record(index).unwrap());
                prop_assert_eq!(ids.last(), Some(&TOKENIZER.end_of_text().unwrap()));
                let text = |ids: &[u32]| TOKENIZER.decode(ids).unwrap();
                let prompt_text = text(&ids[..prompt]);
                prop_assert!(prompt_text.ends_with('\n'));
                all.push(Record::Pair {
                    prompt: prompt_text.trim_end_matches('\n').to_owned(),
                    reply: text(&ids[prompt..ids.len() - 1]),
                });
            }
        }
        let mut expected = records.clone();
        expected.sort();
        all.sort();
        prop_assert_eq!(all, expected);
    }
}

/// Reads dialogues from a file and divides them into the two splits.
#[test]
fn no_held_out_reply_is_a_training_prompt() {
    let texts = |turns: &[usize]| -> String {
        let line = |dialogue: usize, turn: usize| format!("{}:\tthis is {dialogue} {turn}\n", ["A", "B"][turn % 2]);
        let dialogue = |(dialogue, turns): (usize, &usize)| (0..*turns).map(|turn| line(dialogue, turn)).collect();
        turns.iter().enumerate().map(dialogue).collect::<Vec<String>>().join("\n")
    };
    let across = DatasetFormat::Dialogue { min_words: 0, across: true, remove: String::new() };
    for (turns, format) in [
        (vec![6; 40], DatasetFormat::dialogue(0)),
        (vec![41, 3, 2, 30, 9], DatasetFormat::dialogue(0)),
        (vec![60], DatasetFormat::dialogue(0)),
        (vec![6; 40], across),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("talk.txt");
        fs::write(&path, texts(&turns)).unwrap();
        let located =
            LocatedSource { origin: Origin::Content { digest: Digest::of(b"") }, files: vec![planned(&path)] };
        let groups = record_groups(&located, &format).unwrap();
        prepare(&groups, "\n", 0.1, folder.path());
        let side = |split: Split, reply: bool| -> BTreeSet<String> {
            let instructions = PreparedDataset::open(folder.path(), split).unwrap();
            let text = |index| {
                let (ids, prompt) = divided(instructions.record(index).unwrap());
                let side = if reply { &ids[prompt..ids.len() - 1] } else { &ids[..prompt] };
                TOKENIZER.decode(side).unwrap().trim().to_owned()
            };
            (0..instructions.len()).map(text).collect()
        };
        let (replies, prompts) = (side(Split::Validation, true), side(Split::Train, false));
        assert!(!replies.is_empty() && replies.len() < prompts.len());
        assert_eq!(replies.intersection(&prompts).collect::<Vec<_>>(), [] as [&String; 0], "{turns:?} {format:?}");
    }
}

#[test]
fn windows_are_clipped_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let documents: Vec<String> = (0..30).map(|number| format!("document {number}")).collect();
    let ledger = prepare_corpus(&TOKENIZER, &documents, 0.0, folder.path()).unwrap();
    assert_eq!((ledger.validation, ledger.train.units, ledger.train.words), (SplitSize::default(), 30, 60));
    let corpus = PreparedCorpus::open(folder.path(), Split::Train).unwrap();
    let whole = corpus.window(0, usize::MAX).unwrap();
    assert_eq!(whole.len() as u64, corpus.tokens());
    assert_eq!(corpus.window(3, 4).unwrap(), whole[3..7]);
    assert_eq!(corpus.window(corpus.tokens() - 1, 4).unwrap(), [TOKENIZER.end_of_text().unwrap()]);
    assert!(corpus.window(u64::MAX, 4).unwrap().is_empty());
    assert_eq!(PreparedCorpus::open(folder.path(), Split::Validation).unwrap().window(0, 4).unwrap(), [0u32; 0]);
}

#[test]
fn large_vocabularies_take_four_bytes() {
    assert_eq!((TokenWidth::of(65_535), TokenWidth::of(65_536)), (TokenWidth::Two, TokenWidth::Four));
}

#[test]
fn damaged_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let records = vec![vec![Record::pair("who", "me")]; 12];
    prepare(&records, "\n", 0.1, folder.path());
    let open = || PreparedDataset::open(folder.path(), Split::Train);
    open().unwrap();
    assert!(matches!(PreparedCorpus::open(folder.path(), Split::Train), Err(DataError::Damaged { .. })));

    let index = folder.path().join("train.index");
    let bytes = fs::read(&index).unwrap();
    let mut swapped = bytes.clone();
    swapped[0] = 0xff;
    fs::write(&index, &swapped).unwrap();
    assert!(open().unwrap_err().to_string().contains("train.index"));
    fs::write(&index, &bytes[..bytes.len() - 1]).unwrap();
    assert!(open().unwrap_err().to_string().contains("train.index: it has "));
    fs::write(&index, &bytes).unwrap();
    open().unwrap();

    fs::write(folder.path().join("train.bin"), [0; 3]).unwrap();
    assert!(open().unwrap_err().to_string().contains("train.bin: it has 3 bytes, but the ledger says"));
    fs::write(folder.path().join("ledger.json"), "{").unwrap();
    assert!(open().unwrap_err().to_string().contains("ledger.json: the ledger is invalid"));
}

/// A file that is cut while it is read is an error, and not the end of the process.
#[test]
fn files_that_become_shorter_after_they_were_opened_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let records = vec![vec![Record::pair("who", "me")]; 12];
    prepare(&records, "\n", 0.1, folder.path());
    let opened = PreparedDataset::open(folder.path(), Split::Train).unwrap();
    opened.record(opened.len() - 1).unwrap();
    for name in ["train.bin", "train.mask"] {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..8]).unwrap();
        let error = opened.record(opened.len() - 1).unwrap_err().to_string();
        assert!(error.starts_with(&format!("read {}: ", path.display())), "{error}");
        fs::write(&path, &bytes).unwrap();
    }
    opened.record(opened.len() - 1).unwrap();
}

/// Bad replies, uncertainties and texts are kept beside the ids, and the replies of a row stay together.
#[test]
fn what_is_known_of_a_record_is_kept() {
    let pairs = world::pairs(WorldPart::Preferences, 1, 40);
    let uncertain = |number: usize, record: &Record| {
        Record::Uncertain(Box::new(record.clone()), Uncertainty::new(number as f64 / 8.0).unwrap())
    };
    let row = |(number, [chosen, rejected]): (usize, &[Record; 2])| {
        vec![uncertain(number, chosen), Record::Rejected(Box::new(uncertain(number, rejected)))]
    };
    let groups: Vec<Vec<Record>> = pairs.iter().enumerate().map(row).collect();
    for (replies, units) in [(Replies::Pairs, 1), (Replies::Labelled, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let formatting = Formatting::separated("\n");
        let formatter = Formatter::new(&formatting, &TOKENIZER, folder.path()).unwrap().keep_texts(true);
        let (ledger, _) = prepare_dataset(&TOKENIZER, &groups, replies, &formatter, 0.1, folder.path()).unwrap();
        assert_eq!(Ledger::open(folder.path()).unwrap(), ledger);
        assert_eq!((ledger.train.units, ledger.validation.units), (36 * units, 4 * units));
        let mut seen = BTreeSet::new();
        for split in Split::ALL {
            let dataset = PreparedDataset::open(folder.path(), split).unwrap();
            assert_eq!((dataset.replies(), dataset.len()), (replies, 2 * ledger.share(split).units / units));
            let (texts, uncertainties) = (dataset.texts().unwrap(), dataset.uncertainties());
            for index in 0..dataset.len() {
                let record = dataset.record(index).unwrap();
                assert_eq!(record.rejected, index % 2 == 1);
                let number = (uncertainties[index as usize] * 8.0) as usize;
                let text = &texts[index as usize];
                let [prompt, reply] =
                    [0, 1].map(|part| pairs[number][usize::from(record.rejected)].texts()[part].to_owned());
                assert_eq!((&text.prompt, &text.reply), (&format!("{prompt}\n"), &reply));
                seen.insert((number, record.rejected));
                // The ids of the text alone are those of the record; after a context they only follow it.
                let alone = text.tokenize_after("", &TOKENIZER).unwrap();
                assert_eq!((&alone.ids, &alone.trained), (&record.ids, &record.trained));
                let after = text.tokenize_after("Anna sleeps.\n\n", &TOKENIZER).unwrap();
                assert!(after.ids.len() > alone.ids.len());
                let trained = |record: &TokenizedRecord| record.trained.iter().filter(|trained| **trained).count();
                assert_eq!(trained(&after), trained(&alone));
            }
        }
        assert_eq!(seen.len(), 80);
    }
    // Rows with one reply each, of which every third is bad, are held out as the good ones alone are.
    let single: Vec<Vec<Record>> =
        groups.iter().enumerate().map(|(place, row)| vec![row[usize::from(place % 3 == 0)].clone()]).collect();
    let good: Vec<Vec<Record>> = single.iter().filter(|row| !row[0].is_rejected()).cloned().collect();
    let held_out = |groups: &[Vec<Record>], replies: Replies| -> BTreeSet<Vec<u32>> {
        let folder = tempfile::tempdir().unwrap();
        let formatting = Formatting::separated("\n");
        let formatter = Formatter::new(&formatting, &TOKENIZER, folder.path()).unwrap();
        prepare_dataset(&TOKENIZER, groups, replies, &formatter, 0.2, folder.path()).unwrap();
        let dataset = PreparedDataset::open(folder.path(), Split::Validation).unwrap();
        let records = (0..dataset.len()).map(|index| dataset.record(index).unwrap());
        records.filter(|record| !record.rejected).map(|record| record.ids).collect()
    };
    let (alone, beside) = (held_out(&good, Replies::Good), held_out(&single, Replies::Labelled));
    assert!(!alone.is_empty() && alone == beside);

    let folder = tempfile::tempdir().unwrap();
    prepare(&[vec![Record::pair("a", "b")]], "\n", 0.0, folder.path());
    let without = PreparedDataset::open(folder.path(), Split::Train).unwrap();
    assert!(without.texts().unwrap_err().to_string().contains("were not kept"));
    let formatting = Formatting::separated("\n");
    let formatter = Formatter::new(&formatting, &TOKENIZER, folder.path()).unwrap().keep_texts(true);
    let refused = formatter.tokenize(&Record::Text("a b".to_owned())).unwrap_err().to_string();
    assert!(refused.contains("need records of one prompt and one reply"), "{refused}");
}
