use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::json;

use super::super::{Likelihood, read, score};
use super::*;
use crate::domain::{Cluster, Gap, GlueTask, Milestone, Mode, ScoringBackend};
use crate::recordings::recording;

fn outcomes(suite: Suite, items: &[Item], sums: &[Vec<f64>]) -> (Vec<Score>, Vec<ItemOutcome>) {
    let likelihood = |sums: &Vec<f64>| sums.iter().map(|&sum| Likelihood { sum, tokens: 1, bytes: 1 }).collect();
    let measured: Vec<Vec<Likelihood>> = sums.iter().map(likelihood).collect();
    score(&suite.into(), Mode::COMPAT, items, &measured)
}

fn items(suite: Suite, name: &str, row: Value) -> Vec<Item> {
    read(suite, Mode::COMPAT, &[(name.to_owned(), format!("{row}\n").into_bytes())]).unwrap()
}

/// The official report of all the scores.
fn whole_report(suite: Suite, items: &[Item], outcomes: &[ItemOutcome], scores: &[Score]) -> String {
    let report = official_of(suite).report.as_ref().expect("the suite has a report");
    (report.write)(suite, items, outcomes, &scores.iter().collect::<Vec<_>>())
}

#[test]
fn predictions_are_the_chosen_completions() {
    let row = json!({
        "Domain": "d", "ContextType": "direct", "Context1": "It is wet.", "Context2": "It is dry.", "Target1": "Rain.", "Target2": "Sun.",
    });
    let ewok = items(Suite::Ewok, "d.jsonl", row);
    let (scores, answers) = outcomes(Suite::Ewok, &ewok, &[vec![-3.0, -2.0]]);
    let written: Value = serde_json::from_str(&predictions(Suite::Ewok, &ewok, &answers)).unwrap();
    assert_eq!(written, json!({"d": {"predictions": [{"id": "d_0", "pred": " Sun."}]}}));
    assert_eq!(
        whole_report(Suite::Ewok, &ewok, &answers, &scores),
        "TEMPERATURE: 1.00\n\n### UID ACCURACY\nd: 0.00\n\n### CONTEXT_TYPE ACCURACY\ndirect: 0.00\n\n### AVERAGE ACCURACY\n0.00\n\n"
    );
    assert_eq!(fast_result(Suite::Ewok, &scores.iter().collect::<Vec<_>>()), json!({"d": 0.0}));

    let row = json!({"prefix_acceptable": "A dog", "prefix_unacceptable": "A cup", "property_phrase": "can bark."});
    let comps = items(Suite::Comps, "comps_base.jsonl", row);
    let (_, answers) = outcomes(Suite::Comps, &comps, &[vec![-1.0, -2.0]]);
    let written: Value = serde_json::from_str(&predictions(Suite::Comps, &comps, &answers)).unwrap();
    assert_eq!(written["base"]["predictions"][0]["pred"], "A dog can bark.");
    assert_eq!(
        folder(official_of(Suite::BlimpSupplement), Suite::BlimpSupplement, Size::Full, ScoringBackend::Causal),
        "zero_shot/causal/blimp/supplement_filtered"
    );
}

#[test]
fn surprisals_are_those_of_the_official_checkpoints() {
    let contexts = json!({"dog": [{"context": " see the "}, {"context": "a"}], "egg": [{"context": "eat an"}]});
    let files = [
        ("cdi_childes.json".to_owned(), contexts.to_string().into_bytes()),
        ("cdi_human.csv".to_owned(), b"word,16,17,18\ndog,0.1,0.5,0.9\n".to_vec()),
    ];
    let items = read(Suite::Aoa, Mode::COMPAT, &files).unwrap();
    let outcome = |stage: &str, item: u32, score: Option<f64>| ItemOutcome {
        task: "aoa".into(),
        subtask: stage.into(),
        item,
        chosen: 0,
        correct: false,
        credit: 0.0,
        scores: vec![score],
        cluster: Cluster::Itself,
    };
    let outcomes = [
        outcome("1000000-words", 1, Some(-2.5)),
        outcome("1000000-words", 2, None),
        outcome("1500000-words", 1, Some(-2.0)),
    ];
    let [file] =
        &super::files(Edition::Of2025, Suite::Aoa, Size::Full, ScoringBackend::Causal, &items, &outcomes, &[])[..]
    else {
        panic!("one file")
    };
    assert_eq!(file.path, "zero_shot/causal/AoA_word/surprisal.json");
    assert!(file.text.contains("NaN"), "{}", file.text);
    let written: Value = serde_json::from_str(&file.text.replace("NaN", "null")).unwrap();
    let row = |context_id: u32, word: &str, context: &str, surprisal: Value| {
        json!({
            "step": "chck_1M", "word_count": 1_000_000, "target_word": word, "context_id": context_id,
            "context": context, "surprisal": surprisal,
        })
    };
    assert_eq!(written["results"], json!([row(1, "dog", "a", json!(2.5)), row(0, "egg", "eat an", Value::Null)]));
    assert_eq!(written["metadata"], json!({"use_bos_only": false, "total_steps": 1, "completed_steps": 1}));
    assert_eq!(
        problems(Edition::Of2025, Suite::Aoa, Size::Full, &outcomes[..2]),
        [Gap::new("aoa", "1000000-words has 2 predictions instead of 8005")]
    );
}

#[test]
fn fine_tuned_classes_are_predictions_too() {
    let outcome = ItemOutcome {
        task: "rte".into(),
        subtask: "rte".into(),
        item: 3,
        chosen: 1,
        correct: true,
        credit: 1.0,
        scores: vec![],
        cluster: Cluster::Itself,
    };
    let [predicted, metrics] = &glue_files(GlueTask::Rte, &[outcome], &[])[..] else { panic!("two files") };
    assert_eq!(predicted.path, "finetune/rte/predictions.json");
    assert_eq!(predicted.text, r#"{"rte":{"predictions":[{"id":"rte_3","pred":1}]}}"#);
    assert_eq!((metrics.path.as_str(), metrics.text.as_str()), ("finetune/rte/results.txt", ""));
}

#[test]
fn the_collated_file_holds_what_there_is_and_names_the_rest() {
    let mut submission = Submission::default();
    assert!(submission.is_empty());
    let missing = submission.missing(Edition::Of2025, Track::StrictSmall);
    assert_eq!(missing.len(), 9 + 1 + 7);
    assert_eq!(missing[9].to_string(), "glue: not fine-tuned for boolq, mnli, mrpc, multirc, qqp, rte, wsc");
    assert_eq!(missing[10].to_string(), "blimp: none of the 19 checkpoints is evaluated on the fast set");
    submission.add_predictions(Suite::Reading, r#"{"reading": {"predictions": [{"pred": NaN}]}}"#.to_owned());
    submission.add_classifications(GlueTask::Rte, glue_predictions(GlueTask::Rte, &[]));
    for milestone in Track::StrictSmall.checkpoints() {
        if milestone != Milestone::Words(20_000_000) {
            submission.add_checkpoint(Suite::WugAdj, milestone, json!({"wug_adj": milestone.count()}));
        }
    }
    let missing = submission.missing(Edition::Of2025, Track::StrictSmall);
    assert_eq!((missing.len(), submission.is_empty()), (8 + 1 + 7, false));
    assert!(missing.contains(&Gap::new("wug_adj", "not evaluated on the fast set: chck_20M")), "{missing:?}");
    let (name, text) = submission.file(Edition::Of2025, Track::StrictSmall, ScoringBackend::Causal);
    assert_eq!(name, "all_full_preds_and_fast_scores_causal.json");
    let file: Value = serde_json::from_str(&text.replace("NaN", "null")).unwrap();
    assert_eq!(file["reading"]["reading"]["predictions"][0]["pred"], Value::Null);
    assert_eq!(file["glue"], json!({"rte": {"predictions": []}}));
    let list = file["fast_eval_results"]["wug_adj"].as_array().unwrap();
    assert_eq!((list.len(), &list[10]), (18, &json!({"wug_adj": 30_000_000})));
    assert_eq!(Track::Strict.checkpoints().len(), 28);
}

fn gunzip(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// The sums that a line of recorded scores stands for.
fn sums(suite: Suite, line: &str) -> Vec<f64> {
    let row: Value = serde_json::from_str(line).unwrap();
    match suite {
        Suite::Reading => {
            [&row["pred"], &row["prev_pred"]].into_iter().filter_map(Value::as_f64).map(|nats| -nats).collect()
        }
        _ => row["scores"].as_array().unwrap().iter().filter_map(Value::as_f64).collect(),
    }
}

/// From the scores that the official pipeline recorded come the very files that it wrote.
#[test]
fn golden_predictions_and_reports() {
    let Some(shared) = recording("") else { return };
    let sets = Suite::official().flat_map(|suite| [(suite, Size::Full), (suite, Size::Fast)]);
    let folder = |suite: Suite, size| suite.official_data().expect("an official suite").folder(size);
    let sets: Vec<(Suite, Size)> = sets.collect();
    let mut compared = 0;
    for model in fs::read_dir(shared.join("golden")).unwrap() {
        for results in fs::read_dir(model.unwrap().path().join("eval")).into_iter().flatten() {
            let results = results.unwrap().path();
            let set = results.file_name().unwrap().to_str().unwrap().to_owned();
            let of = |(suite, size): &&(Suite, Size)| folder(*suite, *size).ends_with(&format!("/{set}"));
            let Some((suite, size)) = sets.iter().find(of).copied() else { continue };
            let data = shared.join("data/evaluation_data").join(folder(suite, size));
            if !data.is_dir() {
                continue; // in an archive that these tests do not open
            }
            let file =
                |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
            let files: Vec<(String, Vec<u8>)> = fs::read_dir(data).unwrap().map(|entry| file(entry.unwrap())).collect();
            let items = read(suite, Mode::COMPAT, &files).unwrap();
            let recorded = gunzip(&results.join("scores.jsonl.gz"));
            let recorded: Vec<Vec<f64>> = recorded.lines().map(|line| sums(suite, line)).collect();
            let (scores, answers) = outcomes(suite, &items, &recorded);
            let ours = predictions(suite, &items, &answers);
            let theirs = gunzip(&results.join("predictions.json.gz"));
            let [ours, theirs] = [ours, theirs].map(|text| text.replace("NaN", "null"));
            same(&serde_json::from_str(&ours).unwrap(), &serde_json::from_str(&theirs).unwrap(), &results);
            same_report(&whole_report(suite, &items, &answers, &scores), suite, &results);
            assert_eq!(problems(Edition::Of2025, suite, size, &answers), [], "{}", results.display());
            compared += 1;
        }
    }
    assert!(compared > 0);
}

/// Equal line by line, in whatever order.
fn same_report(ours: &str, suite: Suite, results: &Path) {
    let name = if suite == Suite::Reading { "report.txt" } else { "best_temperature_report.txt" };
    let official = fs::read_to_string(results.join(name)).unwrap();
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(ours), lines(&official), "{}", results.display());
}

/// Equal as JSON, but for the last digits of a float32 exponential.
fn same(ours: &Value, theirs: &Value, at: &Path) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>(), "{}", at.display());
            one.iter().for_each(|(key, value)| same(value, &two[key], at));
        }
        (Value::Array(one), Value::Array(two)) => {
            assert_eq!(one.len(), two.len(), "{}", at.display());
            one.iter().zip(two).for_each(|(one, two)| same(one, two, at));
        }
        (Value::Number(one), Value::Number(two)) => {
            let (one, two) = (one.as_f64().unwrap(), two.as_f64().unwrap());
            assert!((one - two).abs() <= 1e-6 * two.abs().max(1e-6), "{}: {one} {two}", at.display());
        }
        _ => assert_eq!(ours, theirs, "{}", at.display()),
    }
}
