use super::*;

fn file(name: &str, text: &str) -> (String, Vec<u8>) {
    (name.to_owned(), text.as_bytes().to_vec())
}

fn error(suite: Suite, files: &[(String, Vec<u8>)]) -> String {
    read(suite, Mode::FIXED, files).expect_err("an error").to_string()
}

const PAIR: &str = r#"{"sentence_good": "It sat.", "sentence_bad": "It sit.", "field": "syntax_semantics"}"#;

#[test]
fn files_are_sorted_and_foreign_ones_skipped() {
    let files = [
        file("._b.jsonl", "\0\0"),
        file("data/b.v1.jsonl", &format!("{PAIR}\r\n\n{PAIR}")),
        file("README.md", "words"),
        file("a.jsonl", "{\"sentence_good\": \"α β\", \"sentence_bad\": \"b\\nc\"}\n"),
    ];
    let items = read(Suite::Blimp, Mode::COMPAT, &files).expect("items");
    let names: Vec<_> = items.iter().map(|item| (item.subtask.as_str(), item.index, item.group.as_str())).collect();
    assert_eq!(names, [("a", 0, "supplement"), ("b.v1", 0, "syntax/semantics"), ("b.v1", 1, "syntax/semantics")]);
    assert_eq!(items[0].candidates, [Candidate::whole("α β"), Candidate::whole("b\nc")]);
    assert_eq!(items[0].task, "blimp");
}

#[test]
fn errors_name_file_line_and_field() {
    let broken: [&[(String, Vec<u8>)]; 8] = [
        &[file("a.jsonl", &format!("{PAIR}\n{{\"sentence_good\": \"x\"}}"))],
        &[file("a.jsonl", r#"{"sentence_good": 3, "sentence_bad": "x"}"#)],
        &[file("a.jsonl", r#"{"sentence_good": "x", "#)],
        &[("a.jsonl".to_owned(), vec![b'\n', b'"', 0xff, b'"'])],
        &[file("a.jsonl", "[1]")],
        &[file("a/x.jsonl", PAIR), file("b/x.jsonl", PAIR)],
        &[file("x.csv", "a,b")],
        &[file("x.jsonl", PAIR), file("y.jsonl", "\n")],
    ];
    let errors = broken.map(|files| error(Suite::Blimp, files)).join("\n");
    insta::assert_snapshot!(errors, @r#"
    a.jsonl:2: field `sentence_bad` is missing; the row has `sentence_good`
    a.jsonl:1: field `sentence_good` should be a string, not 3
    a.jsonl:1: not valid JSON: EOF while parsing a value at column 23
    a.jsonl:2: not valid JSON: invalid unicode code point at column 2
    a.jsonl:1: expected a JSON object
    two files are named x.jsonl; keep one of them
    no blimp item found: none of the 1 files is a .jsonl file with rows; is it the right folder?
    y.jsonl holds no row; a mean without its subtask would not be the suite's: fetch it again, or remove it
    "#);
}

/// The scored part of each candidate, after the part that is not.
fn parts(item: &Item) -> Vec<(String, String)> {
    let split = |candidate: &Candidate| {
        let context: String = candidate.text.chars().take(candidate.scored_from).collect();
        let scored = candidate.text.chars().skip(candidate.scored_from).collect();
        (context, scored)
    };
    item.candidates.iter().map(split).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(context, scored)| ((*context).to_owned(), (*scored).to_owned())).collect()
}

#[test]
fn entity_tracking_counts_within_numbers_of_operations_before_it_drops_nothing() {
    let rows = r#"{"input_prefix": "Böx 0 contains ", "options": ["the cup.", "nothing."], "numops": 0}
{"input_prefix": "Böx 1 contains ", "options": ["the cup.", "the hat."], "numops": 0}
{"input_prefix": "Böx 2 contains ", "options": ["a.", "b.", "c."], "numops": 1}"#;
    let files = [file("regular.jsonl", rows)];
    let names = |mode| {
        let items = read(Suite::EntityTracking, mode, &files).expect("items");
        items.into_iter().map(|item| (item.subtask, item.group, item.index)).collect::<Vec<_>>()
    };
    let name = |subtask: &str, index| (subtask.to_owned(), "regular".to_owned(), index);
    let (first, second, third) = (name("regular_0_ops", 0), name("regular_0_ops", 1), name("regular_1_ops", 0));
    assert_eq!(names(Mode::COMPAT), [first, second.clone(), third.clone()]);
    assert_eq!(names(Mode::FIXED), [second, third]);
    let items = read(Suite::EntityTracking, Mode::FIXED, &files).expect("items");
    assert_eq!(parts(&items[0]), owned(&[("Böx 1 contains ", "the cup."), ("Böx 1 contains ", "the hat.")]));
    let one = [file("regular.jsonl", r#"{"input_prefix": "Box ", "options": ["x"], "numops": 0}"#)];
    insta::assert_snapshot!(error(Suite::EntityTracking, &one), @"regular.jsonl:1: field `options` should hold at least 2 strings, not 1");
    let no = [file("regular.jsonl", r#"{"input_prefix": "Box ", "options": ["x", 3], "numops": -1}"#)];
    insta::assert_snapshot!(error(Suite::EntityTracking, &no), @"regular.jsonl:1: field `options` should be a list of strings, not another list");
    let no = [file("regular.jsonl", r#"{"input_prefix": "Box ", "options": ["x", "y"], "numops": -1}"#)];
    insta::assert_snapshot!(error(Suite::EntityTracking, &no), @"regular.jsonl:1: field `numops` should be a natural number, not -1");
}

#[test]
fn ewok_contrasts_targets_in_compat_and_contexts_in_fixed() {
    let row = r#"{"Domain": "motion", "Context1": "It fell.", "Context2": "It rose.", "Target1": "Low.", "Target2": "High."}"#;
    let files = [file("motion.jsonl", row)];
    let items = read(Suite::Ewok, Mode::COMPAT, &files).expect("items");
    assert_eq!(items[0].subtask, "motion");
    assert_eq!(parts(&items[0]), owned(&[("It fell.", " Low."), ("It fell.", " High.")]));
    let items = read(Suite::Ewok, Mode::FIXED, &files).expect("items");
    assert_eq!(parts(&items[0]), owned(&[("It fell.", " Low."), ("It rose.", " Low.")]));
}

#[test]
fn comps_scores_one_property_after_two_concepts() {
    let row = r#"{"prefix_acceptable": "A bird", "prefix_unacceptable": "A stone", "property_phrase": "can fly."}"#;
    let files = [file("comps_wugs_dist-in-between.jsonl", row), file("comps_base.jsonl", row)];
    let items = read(Suite::Comps, Mode::COMPAT, &files).expect("items");
    assert_eq!(items.iter().map(|item| item.subtask.as_str()).collect::<Vec<_>>(), ["base", "wugs_dist_in_between"]);
    assert_eq!(parts(&items[1]), owned(&[("A bird ", "can fly."), ("A stone ", "can fly.")]));
}

#[test]
fn wug_rows_hold_two_sentences_and_a_share() {
    let row = |sentences: &str, ratio: f64| {
        let text = serde_json::json!({"sentences": sentences, "ratio": ratio}).to_string();
        [file("wug_past_tense.jsonl", &text)]
    };
    let items = read(Suite::WugPast, Mode::COMPAT, &row("He wugged.\tHe wug.", 0.25)).expect("items");
    assert_eq!((items[0].subtask.as_str(), &items[0].truth), ("wug_past", &Truth::Share(0.25)));
    assert_eq!(parts(&items[0]), owned(&[("", "He wugged."), ("", "He wug.")]));
    let errors = [error(Suite::WugPast, &row("one", 0.5)), error(Suite::WugPast, &row("one\ttwo", 1.5))].join("\n");
    insta::assert_snapshot!(errors, @r#"
    wug_past_tense.jsonl:1: field `sentences` should hold two sentences with a tab between
    wug_past_tense.jsonl:1: field `ratio` should be a number in 0..=1, not 1.5
    "#);
}
