//! Scores of real models by the official pipeline; these tests read `$GRID_SHARED` and are skipped without it.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

/// The folder with stored results, if this machine has it.
fn shared(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("GRID_SHARED").map(PathBuf::from);
    if folder.is_none() {
        writeln!(std::io::stderr(), "{test} skipped: GRID_SHARED is not set").expect("stderr");
    }
    folder
}

/// The entries of a folder in order of name; none when there is no such folder.
fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a directory entry").path()).collect();
    paths.sort();
    paths
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    list(folder).iter().map(|path| (name(path), fs::read(path).expect("a file"))).collect()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

fn lines(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path).expect("a file")).read_to_string(&mut text).expect("gzip");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The `name: value` lines of the report block of a metadata key, and of the average.
fn report(path: &Path) -> (Vec<(String, String)>, String) {
    let text = fs::read_to_string(path).expect("a report");
    let block = |head: &str| {
        let after = text.split(&format!("### {head} ")).nth(1).expect("a block");
        after.lines().skip(1).take_while(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let pair = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
    (block("UID").iter().filter_map(pair).collect(), block("AVERAGE").concat())
}

/// Every data set that a golden model was officially evaluated on: model, data set, results.
fn golden(shared: &Path) -> Vec<(String, String, PathBuf)> {
    let mut all = Vec::new();
    for model in list(&shared.join("golden")) {
        for results in list(&model.join("eval")) {
            let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
            all.push((name(&model), name(&results), results));
        }
    }
    assert!(!all.is_empty(), "GRID_SHARED holds no golden results");
    all
}

fn sets() -> impl Iterator<Item = (Suite, Size)> {
    Suite::ALL.into_iter().flat_map(|suite| [(suite, Size::Full), (suite, Size::Fast)])
}

/// Where the official layout has a suite's data.
fn data(shared: &Path, suite: Suite, size: Size) -> PathBuf {
    let half = match size {
        Size::Full => "full_eval",
        Size::Fast => "fast_eval",
    };
    shared.join("data/evaluation_data").join(half).join(folder(suite, size))
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn golden_accuracies_and_every_choice() {
    let Some(shared) = shared("golden_accuracies_and_every_choice") else { return };
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        let Some((suite, size)) = sets().find(|&(suite, size)| folder(suite, size) == set) else { continue };
        if !matches!(suite, Suite::Blimp | Suite::BlimpSupplement) {
            continue;
        }
        let items = read(suite, Mode::Compat, &files(&data(&shared, suite, size))).expect("evaluation data");
        let stored = lines(&results.join("scores.jsonl.gz"));
        let sums: Vec<Vec<f64>> = stored.iter().map(|line| floats(&line["scores"])).collect();
        let (scores, outcomes) = score(suite, Mode::Compat, &items, &sums);
        for (outcome, line) in outcomes.iter().zip(&stored) {
            assert_eq!(Value::from(outcome.subtask.as_str()), line["uid"]);
            assert_eq!(Value::from(outcome.item), line["index"]);
            assert_eq!(Value::from(outcome.chosen), line["pred"], "{model} {set} {} {}", outcome.subtask, outcome.item);
        }
        let exact = json(&results.join("full_precision.json"));
        let (uids, average) = report(&results.join("best_temperature_report.txt"));
        let (last, subtasks) = scores.split_last().expect("an aggregate");
        assert_eq!(subtasks.len(), uids.len());
        for score in subtasks {
            let name = score.subtask.as_deref().expect("a subtask");
            let official = exact["breakdown"]["UID"][name].as_f64().expect("a UID");
            assert!((score.value - official).abs() < 1e-9, "{model} {set} {name}: {} is not {official}", score.value);
            let printed = uids.iter().find(|(uid, _)| uid == name).expect("a line");
            assert_eq!(format!("{:.2}", score.value), printed.1, "{model} {set} {name}");
        }
        assert!((last.value - exact["average"].as_f64().expect("an average")).abs() < 1e-9, "{model} {set}");
        assert_eq!(format!("{:.2}", last.value), average, "{model} {set}");
        let summary = &json(&results.join("../../scores.json"))[&set];
        assert_eq!(Value::from(last.ties), summary["exact_ties"], "{model} {set}");
        assert_eq!(Value::from(last.near_ties), summary["gap_below_1e_4"], "{model} {set}");
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn real_sizes_and_floors() {
    let Some(shared) = shared("real_sizes_and_floors") else { return };
    // Items, subtasks, and the floor of the shorter candidate as published with the specification.
    let known = [
        (Suite::Blimp, Size::Full, 59_875, 67, 48.9),
        (Suite::Blimp, Size::Fast, 13_400, 67, f64::NAN),
        (Suite::BlimpSupplement, Size::Full, 5_218, 5, (49.8 + 21.1 + 29.7 + 61.0 + 56.6) / 5.0),
        (Suite::BlimpSupplement, Size::Fast, 250, 5, f64::NAN),
    ];
    for (suite, size, count, subtasks, floor) in known {
        let items = read(suite, Mode::Compat, &files(&data(&shared, suite, size))).expect("evaluation data");
        assert_eq!(items.len(), count, "{suite} {size:?}");
        let (scores, _) = score(suite, Mode::Compat, &items, &vec![vec![-1.0, -2.0]; count]);
        assert_eq!(scores.len(), subtasks + 1);
        let last = scores.last().expect("an aggregate");
        assert_eq!((last.value, last.chance, last.n), (100.0, Some(50.0), count as u64));
        let measured = last.floor.expect("a floor");
        assert!(floor.is_nan() || (measured - floor).abs() < 0.06, "{suite} {size:?}: {measured} is not {floor}");
        assert!(items.iter().all(|item| !item.group.contains("syntax_semantics")));
    }
}
