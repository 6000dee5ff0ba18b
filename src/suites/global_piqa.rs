//! Global PIQA: everyday physical knowledge, as the right one of several solutions after a prompt.
//!
//! The two parts are suites of their own. The rows have the same fields, and the name of the file is the language. A part
//! has about a hundred rows, so that the 95% interval of an accuracy is about ten points to either side.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::domain::{Cluster, Edition, ItemOutcome, Mode, Score, Suite};

use super::choice;
use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::item::{Candidate, Item, Likelihood, ReportLabel, Tokenization, Truth};
use super::json_lines::{self, JsonRow, ParsedRow};
use super::official::predictions::answered;
use super::official::report;

pub(super) const PARALLEL: Definition = Definition {
    read: |suite, _, files| json_lines::read(suite, files, |stem, row| question(suite, stem, row, 4)),
    score: Some(score),
    recluster: choice::recluster,
    official: Some(Official {
        folder: "global_piqa_parallel",
        folder_per_set: true,
        sizes: Sizes::OfSubtasks(|_, _| vec![(ENGLISH, 103)]),
        predictions_file: "predictions.json",
        predictions,
        report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: write_report }),
        fast_result: |_, scores| fast_result("global_piqa_parallel", scores),
    }),
};

pub(super) const NONPARALLEL: Definition = Definition {
    read: |suite, _, files| json_lines::read(suite, files, |stem, row| question(suite, stem, row, 2)),
    score: Some(score),
    recluster: choice::recluster,
    official: Some(Official {
        folder: "global_piqa_nonparallel",
        folder_per_set: true,
        sizes: Sizes::OfSubtasks(|_, _| vec![(ENGLISH, 100)]),
        predictions_file: "predictions.json",
        predictions,
        report: Some(OfficialReport { file: report::FILE, since: Edition::Of2025, write: write_report }),
        fast_result: |_, scores| fast_result("global_piqa_nonparallel", scores),
    }),
};

/// The language of the tracks `strict` and `strict-small`.
const ENGLISH: &str = "eng_latn";

/// The block of the official report that has a line for each example.
const EXAMPLE: &str = "UID";

fn question(suite: Suite, stem: &str, row: &JsonRow, solutions: u64) -> Result<ParsedRow, SuiteError> {
    let prompt = row.text("prompt")?;
    let label = row.integer("label")?;
    if label >= solutions {
        return Err(row.error(format!("field `label` should be from 0 to {}, not {label}", solutions - 1)));
    }
    let candidate = |index: u64| {
        let solution = row.text(&format!("solution{index}"))?;
        Ok(Candidate::after(prompt, &format!(" {solution}"), Tokenization::Whole))
    };
    Ok(ParsedRow {
        subtask: stem.to_owned(),
        group: suite.name().to_owned(),
        report_labels: vec![ReportLabel { block: EXAMPLE, value: row.text("example_id")?.to_owned() }],
        candidates: (0..solutions).map(candidate).collect::<Result<_, SuiteError>>()?,
        truth: Truth::Among(vec![label as u32]),
        left_out_by: None,
        cluster: Cluster::Itself,
    })
}

fn score(suite: Suite, mode: Mode, items: &[Item], measured: &[Vec<Likelihood>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    let length = mode.global_piqa.length();
    choice::score_as(suite, mode, items, measured, |item, measured| item.scores(length, measured))
}

fn example(item: &Item) -> &str {
    item.report_labels.first().map_or("", |label| &label.value)
}

/// The chosen solution of each example. Examples are the keys, in the order of the file.
fn predictions(items: &[Item], outcomes: &[ItemOutcome]) -> String {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut examples: Vec<(&str, Vec<Value>)> = vec![];
    for (item, outcome) in answered(items, outcomes) {
        let example = example(item);
        let chosen = item.candidates.get(outcome.chosen as usize).map_or("", Candidate::scored);
        let count = counts.entry(example).or_default();
        let row = json!({"id": format!("{example}_{count}"), "pred": chosen});
        *count += 1;
        // An id that occurs twice is a defect of the data that the official check must see.
        match examples.iter_mut().rev().find(|(known, _)| *known == example) {
            Some((_, rows)) => rows.push(row),
            None => examples.push((example, vec![row])),
        }
    }
    let object: serde_json::Map<String, Value> =
        examples.into_iter().map(|(example, rows)| (example.to_owned(), json!({"predictions": rows}))).collect();
    Value::Object(object).to_string()
}

/// The block of UIDs has a line for each example, which is its accuracy, 0 or 100.
fn write_report(suite: Suite, items: &[Item], outcomes: &[ItemOutcome], scores: &[&Score]) -> String {
    report::with_blocks(suite, items, outcomes, scores, |_, _| {}) // the label of the items is the line
}

/// The entry of the collated file: the accuracy as a fraction, under the name of the task.
fn fast_result(task: &'static str, scores: &[&Score]) -> Value {
    let whole = scores.iter().find(|score| score.subtask.is_none() && score.metric == "accuracy").copied();
    json!({task: report::fraction(whole)})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{PerSolution, Ties};
    use crate::suites::{official, read, score};

    fn items(rows: &str) -> Vec<Item> {
        let file = ("eng_latn.jsonl".to_owned(), rows.as_bytes().to_vec());
        read(Suite::GlobalPiqaNonparallel, Mode::COMPAT_2026, &[file]).unwrap_or_else(|error| panic!("{error}"))
    }

    const ROWS: &str = concat!(
        r#"{"prompt": "To open a jar,", "solution0": "sing.", "solution1": "turn the lid.", "label": 1, "example_id": "a"}"#,
        "\n",
        r#"{"prompt": "To dry a cup,", "solution0": "use a towel.", "solution1": "swim.", "label": 0, "example_id": "b"}"#,
        "\n",
    );

    #[test]
    fn solutions_are_compared_by_token_or_byte_or_sum() {
        let items = items(ROWS);
        assert_eq!(items[0].candidates[1].text, "To open a jar, turn the lid.");
        assert_eq!(items[0].candidates[1].scored(), " turn the lid.");
        let likelihood = |sum, tokens| Likelihood { sum, tokens, bytes: 8 };
        // Per token -2 and -1.5; as sums -4 and -6; per byte of " sing." and " turn the lid." -0.67 and -0.43.
        let measured = [vec![likelihood(-4.0, 2), likelihood(-6.0, 4)], vec![likelihood(-1.0, 1), likelihood(-9.0, 1)]];
        let accuracy = |mode: Mode| {
            let test = Suite::GlobalPiqaNonparallel.into();
            let (scores, outcomes) = score(&test, mode, &items, &measured);
            (scores.last().unwrap().value, outcomes[0].chosen)
        };
        assert_eq!(accuracy(Mode::COMPAT_2026), (100.0, 1));
        assert_eq!(accuracy(Mode { global_piqa: PerSolution::Byte, ..Mode::FIXED }), (100.0, 1));
        assert_eq!(accuracy(Mode { global_piqa: PerSolution::Whole, ..Mode::FIXED }), (50.0, 0));
    }

    #[test]
    fn the_files_have_examples_as_keys() {
        let suite = Suite::GlobalPiqaNonparallel;
        let items = items(ROWS);
        let likelihood = |sum| Likelihood { sum, tokens: 1, bytes: 4 };
        let measured = [vec![likelihood(-1.0), likelihood(-2.0)], vec![likelihood(-1.0), likelihood(-2.0)]];
        let mode = Mode { ties: Ties::First, ..Mode::COMPAT_2026 };
        let (scores, outcomes) = score(&suite.into(), mode, &items, &measured);
        let scores: Vec<&Score> = scores.iter().collect();
        insta::assert_snapshot!(official::predictions(suite, &items, &outcomes), @r#"{"a":{"predictions":[{"id":"a_0","pred":" sing."}]},"b":{"predictions":[{"id":"b_0","pred":" use a towel."}]}}"#);
        insta::assert_snapshot!(official::fast_result(suite, &scores), @r#"{"global_piqa_nonparallel":0.5}"#);
        insta::assert_snapshot!(write_report(suite, &items, &outcomes, &scores), @r"
        TEMPERATURE: 1.00

        ### UID ACCURACY
        a: 0.00
        b: 100.00

        ### AVERAGE ACCURACY
        50.00
        ");
    }

    #[test]
    fn a_wrong_label_is_refused() {
        let row = r#"{"prompt": "p", "solution0": "a", "solution1": "b", "label": 2, "example_id": "a"}"#;
        let file = ("eng_latn.jsonl".to_owned(), row.as_bytes().to_vec());
        let error = read(Suite::GlobalPiqaNonparallel, Mode::FIXED, &[file]).unwrap_err();
        insta::assert_snapshot!(error, @"eng_latn.jsonl:1: field `label` should be from 0 to 1, not 2");
    }
}
