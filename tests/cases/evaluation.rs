//! Evaluation data.

use super::{gzip, refusal, utf_16, write};
use crate::common::{Env, TINY};

/// Evaluation data of one suite, in the official folder.
fn plan_with(suite: &str, folder: &str, files: &[(&str, &[u8])]) -> (Env, [String; 4]) {
    let env = Env::new(TINY);
    for (name, bytes) in files {
        write(&env, &format!("evaluation_data/fast_eval/{folder}/{name}"), bytes);
    }
    let evaluate = format!("evaluate={{data: evaluation_data, suites: [{suite}]}}");
    let axes = "axes={curriculum: [pretrained]}".to_owned();
    (env, ["-S".to_owned(), evaluate, "-S".to_owned(), axes])
}

fn plan_refusal(suite: &str, folder: &str, files: &[(&str, &[u8])]) -> String {
    let (env, options) = plan_with(suite, folder, files);
    let arguments: Vec<&str> = ["plan", "spec.yaml"].into_iter().chain(options.iter().map(String::as_str)).collect();
    refusal(&env, 6, &arguments)
}

/// A minimal pair with all fields of BLiMP.
pub(super) const PAIR: &str =
    r#"{"sentence_good": "the dog runs", "sentence_bad": "the dog run", "field": "syntax", "linguistics_term": "x"}"#;

#[test]
fn evaluation_data_are_read_when_planned() {
    let pair = |from: &str, to: &str| PAIR.replace(from, to) + "\n";
    let boxes = r#"{"input_prefix": "Box 0 has a. ", "options": ["a", "nothing"], "numops": 0}"#;
    let refused = [
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("sentence_bad", "bad").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("\"the dog run\"", "3").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("\"the dog run\"", "NaN").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", format!("{PAIR}\n{{\"sentence_good\": \"cut").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", format!("[{PAIR}]").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", b""), ("b.jsonl", pair("", "").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", &utf_16(PAIR))]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("", "").as_bytes()), ("a.jsonl.gz", &gzip(PAIR))]),
        plan_refusal("entity-tracking", "entity_tracking_fast", &[("regular.jsonl", boxes.as_bytes())]),
        plan_refusal(
            "entity-tracking",
            "entity_tracking_fast",
            &[("regular.jsonl", boxes.replace(": 0}", ": NaN}").as_bytes())],
        ),
        plan_refusal("wug-past", "wug_past_tense", &[("wug.jsonl", b"{\"sentences\": \"a\\tb\", \"ratio\": 1.5}\n")]),
        plan_refusal("reading", "reading", &[("reading.csv", b"item,word\na,b\n")]),
    ];
    insta::assert_snapshot!(refused.join("\n"), @"
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl:1: field `sentence_bad` is missing; the row has `bad`, `field`, `linguistics_term`, `sentence_good`
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl:1: field `sentence_bad` should be a string, not 3
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl:1: field `sentence_bad` should be a string, not NaN
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl:2: not valid JSON at column 23: the text ends where the end of a string is expected; it may be cut off
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl:1: expected a JSON object, not a list; write one object on each line: `jq -c '.[]' FILE > NEW`
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl has no rows, and without this subtask the suite's mean would be a different number; download the file again, or remove it
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: a.jsonl: it is in UTF-16, as PowerShell and Excel write it, not text; convert it: `iconv -f UTF-16 -t UTF-8 FILE > NEW`
    grid: the data of blimp in evaluation_data/fast_eval/blimp_fast cannot be used: two files are named a.jsonl; keep only one of them
    grid: the data of entity-tracking in evaluation_data/fast_eval/entity_tracking_fast cannot be used: the rule `entity_tracking: without_nothing` leaves out every row of entity-tracking (1 row); set another one under `mode`, or check that these are the right files
    grid: the data of entity-tracking in evaluation_data/fast_eval/entity_tracking_fast cannot be used: regular.jsonl:1: field `numops` should be a non-negative integer, not NaN
    grid: the data of wug-past in evaluation_data/fast_eval/wug_past_tense cannot be used: wug.jsonl:1: field `ratio` should be a number from 0 to 1, not 1.5
    grid: the data of reading in evaluation_data/fast_eval/reading cannot be used: reading.csv:2: column `prev_item` is missing
    ");
}

#[test]
fn rows_of_glue_are_read_when_planned() {
    let row = |label: &str| format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": {label}}}\n");
    let rows = |label: &str| row("0").repeat(40) + &row(label);
    let refused = |train: String, valid: String| {
        let (env, options) = plan_with("glue", "", &[]);
        for (name, text) in [("rte.train.jsonl", &train), ("rte.valid.jsonl", &valid)] {
            write(&env, &format!("evaluation_data/full_eval/glue_filtered/{name}"), text.as_bytes());
        }
        let tasks = ["plan", "spec.yaml", "-S", "finetune={tasks: [rte]}"];
        let arguments: Vec<&str> = tasks.into_iter().chain(options.iter().map(String::as_str)).collect();
        refusal(&env, 6, &arguments)
    };
    let refused =
        [refused(rows("2"), rows("1")), refused(rows("1"), rows("\"yes\"")), refused(rows("1"), String::new())];
    insta::assert_snapshot!(refused.join("\n"), @"
    grid: the data of glue rte in evaluation_data/full_eval/glue_filtered cannot be used: rte.train.jsonl:41: field `label` should be a class from 0 to 1, not 2
    grid: the data of glue rte in evaluation_data/full_eval/glue_filtered cannot be used: rte.valid.jsonl:41: field `label` should be a non-negative integer, not a string
    grid: the data of glue rte in evaluation_data/full_eval/glue_filtered cannot be used: rte.valid.jsonl: it is empty, as after an interrupted download; replace it, or remove it
    ");
}

#[test]
fn evaluation_data_are_read_with_a_mark_and_from_gzip() {
    let good = format!("{PAIR}\n");
    for (name, bytes) in [
        ("a.jsonl", format!("\u{feff}{good}").into_bytes()),
        ("a.jsonl", good.replace('\n', "\r\n").into_bytes()),
        ("a.jsonl", format!("\u{feff}\r\n{PAIR}\r\n\r\n").into_bytes()),
        ("a.jsonl.gz", gzip(&good)),
        ("a.jsonl", PAIR.replace('}', ", \"score\": NaN}").into_bytes()),
        ("a.jsonl", PAIR.replace("runs", "runs \\ud83d").into_bytes()),
    ] {
        let (env, options) = plan_with("blimp", "blimp_fast", &[(name, &bytes)]);
        let arguments: Vec<&str> =
            ["plan", "spec.yaml"].into_iter().chain(options.iter().map(String::as_str)).collect();
        env.run(0, &arguments);
    }
}
