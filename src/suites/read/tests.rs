use super::*;

fn file(name: &str, text: &str) -> (String, Vec<u8>) {
    (name.to_owned(), text.as_bytes().to_vec())
}

fn error(suite: Suite, files: &[(String, Vec<u8>)]) -> String {
    read(suite, Mode::Fixed, files).expect_err("an error").to_string()
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
    let items = read(Suite::Blimp, Mode::Compat, &files).expect("items");
    let names: Vec<_> = items.iter().map(|item| (item.subtask.as_str(), item.index, item.group.as_str())).collect();
    assert_eq!(names, [("a", 0, "supplement"), ("b.v1", 0, "syntax/semantics"), ("b.v1", 1, "syntax/semantics")]);
    assert_eq!(items[0].candidates, [Candidate::whole("α β"), Candidate::whole("b\nc")]);
    assert_eq!(items[0].task, "blimp");
}

#[test]
fn errors_name_file_line_and_field() {
    let suite = Suite::Blimp;
    insta::assert_snapshot!(error(suite, &[file("a.jsonl", &format!("{PAIR}\n{{\"sentence_good\": \"x\"}}"))]), @"a.jsonl:2: field `sentence_bad` is missing; the row has `sentence_good`");
    insta::assert_snapshot!(error(suite, &[file("a.jsonl", r#"{"sentence_good": 3, "sentence_bad": "x"}"#)]), @"a.jsonl:1: field `sentence_good` should be a string, not a number");
    insta::assert_snapshot!(error(suite, &[file("a.jsonl", r#"{"sentence_good": "x", "#)]), @"a.jsonl:1: not valid JSON: EOF while parsing a value at column 23");
    insta::assert_snapshot!(error(suite, &[("a.jsonl".to_owned(), vec![b'\n', b'"', 0xff, b'"'])]), @"a.jsonl:2: not valid JSON: invalid unicode code point at column 2");
    insta::assert_snapshot!(error(suite, &[file("a.jsonl", "[1]")]), @"a.jsonl:1: expected a JSON object");
    insta::assert_snapshot!(error(suite, &[file("a/x.jsonl", PAIR), file("b/x.jsonl", PAIR)]), @"two files are named x.jsonl; keep one of them");
    insta::assert_snapshot!(error(suite, &[file("x.csv", "a,b"), file("y.jsonl", "\n")]), @"no blimp item found: none of the 2 files is a .jsonl file with rows; is it the right folder?");
}
