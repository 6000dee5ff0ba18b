use std::fs;

use proptest::prelude::*;

use crate::domain::{Layout, RowFormat, Source};

use super::super::Survey;
use super::super::source_file::tests::planned;
use super::super::words::count_words;
use super::*;

fn fields(prompt: &str, reply: &str) -> DatasetFormat {
    DatasetFormat::json(prompt, reply)
}

fn read(text: &str, format: &DatasetFormat) -> Result<Vec<(String, String)>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.jsonl");
    fs::write(&path, text).unwrap();
    parse(&planned(&path), format)
        .map(|groups| groups.into_iter().flatten().map(|record| own(&record)).collect())
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

/// Prompt and reply of a record.
fn own(record: &Record) -> (String, String) {
    let (prompt, reply) = record.prompt_and_reply();
    (prompt.to_owned(), reply.to_owned())
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(prompt, reply)| (prompt.to_string(), reply.to_string())).collect()
}

#[test]
fn json_lines_become_records() {
    let text = "{\"q\": \"why\", \"a\": \"so\"}\r\n\n{\"q\": \"who\", \"a\": [\"she\", \"he\"], \"id\": 3}\n";
    assert_eq!(read(text, &fields("q", "a")), Ok(pairs(&[("why", "so"), ("who", "she")])));
}

#[test]
fn errors_name_file_line_and_expected_format() {
    let errors = [
        read("{\"q\": \"why\"}", &fields("q", "a")),
        read("\n{\"q\": true, \"a\": \"\"}", &fields("q", "a")),
        read("{\"q\"", &fields("q", "a")),
        read("A:\thello\nhello", &DatasetFormat::dialogue(0)),
        read("{\"turns\": [[\"A\"]]}", &DatasetFormat::dialogue(0)),
        read("{\"data\": [\n{}]}", &DatasetFormat::Squad { with_context: false }),
    ];
    let errors: Vec<String> = errors.into_iter().map(Result::unwrap_err).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    read data.jsonl: line 1: field 'a' is missing; expected a JSON object on every line, or one array of them, with the text fields 'q', 'a'
    read data.jsonl: line 2: field 'q' is true or false, not a text; expected a JSON object on every line, or one array of them, with the text fields 'q', 'a'
    read data.jsonl: line 1: not valid JSON at column 5: the text ends where a colon after the key is expected; it may be cut off; expected a JSON object on every line, or one array of them, with the text fields 'q', 'a'
    read data.jsonl: line 2: no speaker in 'hello'; expected 'A:<TAB>utterance': a speaker without spaces, a colon, a tab or space
    read data.jsonl: line 1: turn 1 is not a list of speaker and text; expected {"turns": [["A", "text"], ...]} on every line
    read data.jsonl: line 2: missing field `paragraphs` at line 2 column 2; expected SQuAD JSON: data > paragraphs > {context, qas > {question, answers > {text}}}
    "#);
}

#[test]
fn utterances_are_dropped_then_merged_then_paired() {
    let text = "A:\tI like it\nB:\tuh huh\nA:\tvery much so\nB:\tso do I\nB:\n\nA:\tbye to you\nB:\tand to you\n";
    let expected = pairs(&[("I like it very much so", "so do I"), ("bye to you", "and to you")]);
    assert_eq!(read(text, &DatasetFormat::dialogue(3)), Ok(expected));
}

#[test]
fn pairs_do_not_cross_dialogues_unless_requested() {
    let text = r#"{"id": 1, "turns": [["A", "hello", "fp"], ["A", "you", "fp"], ["B", "hi", "fp"]]}
{"id": 2, "turns": [["A", "bye", "fc"], ["B", "see you", "fc"]]}"#;
    let expected = pairs(&[("hello you", "hi"), ("bye", "see you")]);
    assert_eq!(read(text, &DatasetFormat::dialogue(0)), Ok(expected));
    let across = DatasetFormat::Dialogue { min_words: 0, across: true, remove: "y".into() };
    let expected = pairs(&[("hello ou", "hi"), ("hi", "be"), ("be", "see ou")]);
    assert_eq!(read(text, &across), Ok(expected), "boundaries are ignored on request");
}

#[test]
fn dialogues_and_paragraphs_are_groups_and_rows_are_single() {
    let folder = tempfile::tempdir().unwrap();
    let sizes = |text: &str, format: &DatasetFormat| {
        for name in ["1", "2"] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let groups = record_groups(&located(folder.path(), &folder.path().join("[12]")), format).unwrap();
        groups.iter().map(Vec::len).collect::<Vec<_>>()
    };
    // The second dialogue has a single turn.
    let talk = "A:\tone\nB:\ttwo\nA:\tthree\n\nA:\tfour\n\nB:\tfive\nA:\tsix\n";
    assert_eq!(sizes(talk, &DatasetFormat::dialogue(0)), [2, 1, 2, 1]);
    let across = DatasetFormat::Dialogue { min_words: 0, across: true, remove: String::new() };
    assert_eq!(sizes(talk, &across), [4, 4], "dialogues are joined within a file, not across files");
    let question = |answer: &str| format!(r#"{{"question": "Why?", "answers": [{{"text": "{answer}"}}]}}"#);
    let paragraph = |answers: [&str; 2]| {
        format!(r#"{{"context": "So.", "qas": [{}, {}]}}"#, question(answers[0]), question(answers[1]))
    };
    let article = format!(r#"{{"paragraphs": [{}, {}]}}"#, paragraph(["a", "b"]), paragraph(["", "c"]));
    let text = format!(r#"{{"data": [{article}]}}"#);
    assert_eq!(sizes(&text, &DatasetFormat::Squad { with_context: true }), [2, 1, 2, 1], "a blank reply is dropped");
    assert_eq!(sizes("{\"q\": \"a\", \"a\": \"b\"}\n", &fields("q", "a")), [1, 1]);
}

#[test]
fn the_reply_of_a_squad_question_is_its_first_answer() {
    let text = r#"{"data": [{"paragraphs": [{"context": "Oaks are trees.", "qas": [
        {"question": "What are oaks?", "answers": [{"text": "trees"}, {"text": "plants"}]},
        {"question": "Why?", "answers": []}]}]}]}"#;
    let without = read(text, &DatasetFormat::Squad { with_context: false });
    assert_eq!(without, Ok(pairs(&[("What are oaks?", "trees"), ("Why?", "")])));
    let with = read(text, &DatasetFormat::Squad { with_context: true }).unwrap();
    assert_eq!(with[0].0, "Oaks are trees.\nWhat are oaks?");
}

fn located(folder: &Path, path: &Path) -> LocatedSource {
    Survey::open(&folder.join("cache")).locate(&Source::Files(path.to_owned())).unwrap()
}

#[test]
fn prompts_and_replies_are_made_from_fields() {
    let (folder, text) = (tempfile::tempdir().unwrap(), "id,task,text,label\n1,Sum up:,so it goes,goes\n2,Say:,hi,\n");
    let path = folder.path().join("x.csv");
    fs::write(&path, text).unwrap();
    let pattern = |text: &str| Pattern::try_from(text.to_owned()).unwrap();
    let (prompt, reply) = (pattern("{task} {text}"), pattern("{label}"));
    let format = DatasetFormat::Records { layout: Layout::Csv, prompt, reply, first: None };
    let records = records(&located(folder.path(), &path), &format).unwrap();
    assert_eq!(records, [Record::pair("Sum up: so it goes", "goes")]);
}

#[test]
fn only_the_first_rows_are_read_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        |names: &[&str]| names.iter().map(|name| format!("{{\"q\": \"{name}?\", \"a\": \"{name}\"}}\n")).collect();
    for (file, names) in [("1.jsonl", ["a", "", "b"]), ("2.jsonl", ["c", "d", "e"])] {
        let text: String = rows(&names);
        fs::write(folder.path().join(file), text).unwrap();
    }
    let located = located(folder.path(), &folder.path().join("*.jsonl"));
    let replies = |first| {
        let (prompt, reply) = (Pattern::field("q"), Pattern::field("a"));
        let format = DatasetFormat::Records { layout: Layout::Json, prompt, reply, first };
        records(&located, &format).unwrap().iter().map(|record| own(record).1).collect::<String>()
    };
    assert_eq!([None, Some(9), Some(5), Some(2)].map(replies), ["abcde", "abcde", "abcd", "a"]);
}

#[test]
fn blank_replies_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl");
    fs::write(&path, "{\"q\": \"a\", \"a\": \" \"}\n{\"q\": \"b\", \"a\": \"c\"}\n{\"q\": \"d\", \"a\": []}").unwrap();
    let records = records(&located(folder.path(), &path), &fields("q", "a")).unwrap();
    assert_eq!(records, [Record::pair("b", "c")]);
}

proptest! {
    /// No long utterance is lost, and each turn is the reply of one pair and the prompt of the next.
    #[test]
    fn pairs_form_a_chain(acts in prop::collection::vec(("[AB]", "[a-z]{1,3}( [a-z]{1,3}){0,4}"), 0..40), min_words in 0u32..4) {
        let dialogue = acts.iter().map(|(speaker, text)| Utterance { speaker: speaker.clone(), text: text.clone() });
        let pairs = pair_turns(dialogue.collect(), min_words);
        for next in pairs.windows(2) {
            prop_assert_eq!(own(&next[0]).1, own(&next[1]).0);
        }
        let kept: Vec<&(String, String)> =
            acts.iter().filter(|(_, text)| count_words(text) >= u64::from(min_words)).collect();
        let changes = kept.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
        prop_assert_eq!(pairs.len(), changes);
        if let Some(first) = pairs.first() {
            let mut text = vec![own(first).0];
            text.extend(pairs.iter().map(|pair| own(pair).1));
            let all: Vec<&str> = kept.iter().map(|(_, text)| text.as_str()).collect();
            prop_assert_eq!(text.join(" "), all.join(" "));
        }
    }
}

/// A file of the real data; `None`, with a message, if it does not exist on this machine.
fn real(file: &str) -> Option<(tempfile::TempDir, LocatedSource)> {
    let recording = crate::recordings::recording(&format!("data/{file}"))?;
    let folder = tempfile::tempdir().unwrap();
    let located = located(folder.path(), &recording);
    Some((folder, located))
}

/// The reconstruction of the CLASS-IT paper's Switchboard dataset on the 10M-word track.
#[test]
fn real_switchboard_gives_the_turns_of_class_it() {
    let Some((_folder, located)) = real("text/switchboard.train") else { return };
    let records = records(&located, &DatasetFormat::dialogue(3)).unwrap();
    assert_eq!(records.len(), 3_500);
    assert_eq!(
        records.windows(2).filter(|pair| own(&pair[0]).1 != own(&pair[1]).0).count(),
        0,
        "one chain of 3,501 turns"
    );
    let turns =
        count_words(&own(&records[0]).0) + records.iter().map(|record| count_words(&own(record).1)).sum::<u64>();
    assert_eq!(turns, 120_665);
}

#[test]
fn real_datasets_of_every_format_can_be_read() {
    let Some((_folder, located)) = real("switchboard_dialogues/swda_200.jsonl") else { return };
    let dialogues = records(&located, &DatasetFormat::dialogue(3)).unwrap();
    let across = DatasetFormat::Dialogue { min_words: 3, across: true, remove: String::new() };
    let across = records(&located, &across).unwrap();
    // A border costs a pair, unless the same speaker ends one dialogue and begins the next.
    let gained = across.len() - dialogues.len();
    assert!(dialogues.len() > 5_000 && (50..200).contains(&gained), "{} and {gained}", dialogues.len());
    let Some((_folder, located)) = real("qa/xquad.en.json") else { return };
    assert_eq!(records(&located, &DatasetFormat::Squad { with_context: true }).unwrap().len(), 1_190);
    let Some((_folder, located)) = real("qa/NQ-open.dev.jsonl") else { return };
    let open = records(&located, &fields("question", "answer")).unwrap();
    assert_eq!((open.len(), own(&open[0]).1.as_str()), (3_610, "14 December 1972 UTC"));
}

/// The records of the toy world do not change if they get an uncertainty, and both replies of a pair have the same.
#[test]
fn records_of_the_toy_world_have_a_random_uncertainty_on_request() {
    for (part, row) in
        [(WorldPart::Questions, RowFormat::PromptCompletion), (WorldPart::Preferences, RowFormat::Preference)]
    {
        let located = LocatedSource { origin: Origin::World { part, seed: 3, size: 20 }, files: vec![] };
        let pairs = |format: DatasetFormat| format.with_replies(Replies::Pairs).unwrap_or(format);
        let plain = records(&located, &pairs(DatasetFormat::rows(Layout::Json, row))).unwrap();
        let uncertain = pairs(DatasetFormat::rows(Layout::Json, row).with_uncertainty(Some("random")));
        let uncertain = records(&located, &uncertain).unwrap();
        let content = |records: &[Record]| -> Vec<Record> { records.iter().map(|one| one.content().clone()).collect() };
        assert_eq!(content(&uncertain), content(&plain));
        assert!(plain.iter().all(|record| record.uncertainty().is_none()));
        let numbers: Vec<f64> = uncertain.iter().filter_map(Record::uncertainty).collect();
        assert_eq!(numbers.len(), uncertain.len());
        let of_a_row = numbers.len() / 20;
        assert!(numbers.chunks(of_a_row).all(|row| row.iter().all(|number| *number == row[0])), "{numbers:?}");
        assert!(numbers.windows(of_a_row + 1).all(|some| some[0] != some[of_a_row]), "{numbers:?}");
    }
}
