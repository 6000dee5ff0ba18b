//! Scores of real models by the official pipeline; these tests read `$GRID_SHARED` and are skipped without it.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::domain::Size;

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

/// The official files of a suite. Entity tracking stays in its archive, under the password its authors publish.
fn files_of(shared: &Path, suite: Suite, size: Size) -> Vec<(String, Vec<u8>)> {
    if suite != Suite::EntityTracking {
        return files(&data(shared, suite, size));
    }
    let archive = match size {
        Size::Full => "data/entity_tracking/entity_tracking_full.zip",
        Size::Fast => "data/entity_tracking/entity_tracking_fast.zip",
    };
    let mut archive = zip::ZipArchive::new(fs::File::open(shared.join(archive)).expect("an archive")).expect("a zip");
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index_decrypt(index, b"iamnotaLM").expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("contents");
        let name = entry.name().expect("a name").into_owned();
        files.push((name, bytes));
    }
    files
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
    shared.join("data/evaluation_data").join(suite.folder(size))
}

/// The last part of the folder's name, by which results are filed.
fn folder(suite: Suite, size: Size) -> &'static str {
    suite.folder(size).rsplit('/').next().expect("a path has a last part")
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
        if !matches!(suite, Suite::Blimp | Suite::BlimpSupplement | Suite::EntityTracking) {
            continue;
        }
        let stored = lines(&results.join("scores.jsonl.gz"));
        let mut items = read(suite, Mode::Compat, &files_of(&shared, suite, size)).expect("evaluation data");
        // One model was evaluated on the first rows of entity tracking only.
        assert!(stored.len() == items.len() || suite == Suite::EntityTracking, "{model} {set}");
        items.truncate(stored.len());
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
        assert!(subtasks.len() <= uids.len());
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
fn golden_nonce_words() {
    let Some(shared) = shared("golden_nonce_words") else { return };
    let suite = Suite::WugAdj;
    let items = read(suite, Mode::Compat, &files_of(&shared, suite, Size::Full)).expect("evaluation data");
    assert_eq!(items.len(), 200);
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        if set != folder(suite, Size::Full) {
            continue;
        }
        let stored = lines(&results.join("scores.jsonl.gz"));
        let sums: Vec<Vec<f64>> = stored.iter().map(|line| floats(&line["scores"])).collect();
        let (scores, outcomes) = score(suite, Mode::Compat, &items, &sums);
        assert!(outcomes.iter().zip(&stored).all(|(outcome, line)| Value::from(outcome.chosen) == line["pred"]));
        let last = scores.last().expect("an aggregate");
        let official = json(&results.join("full_precision.json"))["average"].as_f64().expect("an average");
        assert!((last.value - 100.0 * official).abs() < 1e-9, "{model}: {} is not {official}", last.value);
        let (_, average) = report(&results.join("best_temperature_report.txt"));
        assert_eq!(format!("{:.2}", last.value / 100.0), average, "{model}");
        assert!((last.floor.expect("a floor") - 83.663).abs() < 1e-3);
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn real_nonce_words_give_the_published_correlations() {
    let Some(shared) = shared("real_nonce_words_give_the_published_correlations") else { return };
    let items = read(Suite::WugAdj, Mode::Fixed, &files_of(&shared, Suite::WugAdj, Size::Full));
    let items = items.expect("evaluation data");
    let rho = |preference: &dyn Fn(usize, &Item) -> f64| {
        let sums: Vec<Vec<f64>> = items.iter().enumerate().map(|(k, item)| vec![preference(k, item), 0.0]).collect();
        score(Suite::WugAdj, Mode::Fixed, &items, &sums).0.last().expect("an aggregate").value / 100.0
    };
    let cyclic = rho(&|k, _| ((37 * k) % 101) as f64 / 101.0);
    assert!((cyclic - 0.042_871_693_0).abs() < 1e-9, "{cyclic}");
    let length = rho(&|_, item| item.candidates[0].text.chars().count() as f64);
    assert!((length - 0.82232).abs() < 1e-5, "{length}");
}

/// The official reading table, the previous word of item 0 on, and the sums that stored surprisals stand for.
fn reading(shared: &Path, surprisals: &dyn Fn(usize) -> (f64, f64)) -> (Vec<Item>, Vec<Vec<f64>>) {
    let items = read(Suite::Reading, Mode::Compat, &files_of(shared, Suite::Reading, Size::Full));
    let items = items.expect("evaluation data");
    let sums = |(index, item): (usize, &Item)| {
        let (this, previous) = surprisals(index);
        [-this, -previous].into_iter().take(item.candidates.len()).collect()
    };
    let sums = items.iter().enumerate().map(sums).collect();
    (items, sums)
}

fn value(scores: &[Score], task: &str, subtask: Option<&str>) -> (f64, u64) {
    let score = scores.iter().find(|score| score.task == task && score.subtask.as_deref() == subtask);
    score.map(|score| (score.value, score.n)).expect("a score")
}

#[test]
fn golden_reading_times() {
    let Some(shared) = shared("golden_reading_times") else { return };
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        if set != folder(Suite::Reading, Size::Full) {
            continue;
        }
        let stored = lines(&results.join("scores.jsonl.gz"));
        let number = |index: usize, name: &str| stored[index][name].as_f64().unwrap_or(f64::NAN);
        let (items, sums) = reading(&shared, &|index| (number(index, "pred"), number(index, "prev_pred")));
        assert_eq!(items.len(), stored.len());
        for (item, line) in items.iter().zip(&stored) {
            assert_eq!(item.candidates.len() == 1, line["prev_pred"].is_null(), "{model} {}", item.index);
        }
        let (scores, _) = score(Suite::Reading, Mode::Compat, &items, &sums);
        let official = json(&results.join("full_precision.json"));
        let close = |measured: f64, official: &Value| {
            let official = official.as_f64().expect("a number");
            assert!((measured - official).abs() < 1e-9, "{model}: {measured} is not {official}");
        };
        close(value(&scores, "eye-tracking", None).0, &official["eye_tracking"]);
        close(value(&scores, "self-paced", None).0, &official["self_paced"]);
        for (measure, part) in official["eye_tracking_parts"].as_object().expect("parts") {
            close(value(&scores, "eye-tracking", Some(measure)).0, part);
        }
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn real_reading_times_give_the_published_regressions() {
    let Some(shared) = shared("real_reading_times_give_the_published_regressions") else { return };
    let (items, sums) = reading(&shared, &|i| (((37 * i) % 101) as f64 / 10.0, ((53 * i) % 97) as f64 / 10.0));
    assert_eq!(items.iter().filter(|item| item.candidates.len() == 1).count(), 206);
    let (scores, _) = score(Suite::Reading, Mode::Fixed, &items, &sums);
    let known = [
        ("eye-tracking", Some("RTfirstfix"), 0.127_585_29, 1696),
        ("eye-tracking", Some("RTfirstpass"), 0.062_213_53, 1696),
        ("eye-tracking", Some("RTgopast"), 0.008_844_48, 1696),
        ("eye-tracking", Some("RTrightbound"), 0.084_846_49, 1696),
        ("eye-tracking", None, 0.070_872_45, 1696),
        ("self-paced", Some("self_paced_reading_time"), 0.034_378_24, 1496),
        ("self-paced", None, 0.034_378_24, 1496),
    ];
    for (task, subtask, published, rows) in known {
        let (measured, n) = value(&scores, task, subtask);
        assert!((measured - published).abs() < 1e-8, "{task} {subtask:?}: {measured} is not {published}");
        assert_eq!(n, rows, "{task} {subtask:?}");
    }
    let column = |number: fn(&Measurements) -> Option<f64>| -> f64 {
        let number = |item: &Item| match &item.truth {
            Truth::Measured(measured) => number(measured),
            _ => None,
        };
        items.iter().filter_map(number).sum()
    };
    assert!((column(|word| word.frequency) - 17_860.982_647_27).abs() < 1e-6);
    assert_eq!((column(|word| word.length), column(|word| word.context_length)), (7_176.0, 8_845.0));
    assert_eq!(column(|word| word.previous_length), 5_755.0);
    assert!((column(|word| word.self_paced) - 481_140.374_674_63).abs() < 1e-6);
    assert!((column(|word| word.eye_tracking[0]) - 237_179.185_930_37).abs() < 1e-6);
}

/// Reports of other models by the official pipeline, with their predictions.
#[test]
fn golden_reference_models() {
    let Some(shared) = shared("golden_reference_models") else { return };
    let mut compared = 0;
    for model in list(&shared.join("data/reference_results")) {
        let results = model.join("main/zero_shot/causal");
        let predictions = results.join("reading/prediction.jsonl");
        if !predictions.is_file() {
            continue;
        }
        let text = fs::read_to_string(&predictions).expect("predictions");
        let number = |line: &str, name: &str| -> f64 {
            let after = line.split(&format!("\"{name}\": ")).nth(1).expect("a field");
            after.split([',', '}']).next().and_then(|text| text.parse().ok()).expect("a number")
        };
        let stored: Vec<(f64, f64)> =
            text.lines().map(|line| (number(line, "Logprob"), number(line, "Prev_Logprob"))).collect();
        let (items, sums) = reading(&shared, &|index| stored[index]);
        let (scores, _) = score(Suite::Reading, Mode::Compat, &items, &sums);
        let official = fs::read_to_string(results.join("reading/report.txt")).expect("a report");
        let measured = format!(
            "EYE TRACKING SCORE: {:.2}\nSELF-PACED READING SCORE: {:.2}",
            value(&scores, "eye-tracking", None).0,
            value(&scores, "self-paced", None).0
        );
        assert_eq!(measured, official.trim_end(), "{}", model.display());
        compared += 1;

        for (suite, folder) in
            [(Suite::BlimpSupplement, "blimp/supplement_filtered"), (Suite::WugAdj, "wug/wug_adj_nominalization")]
        {
            let Ok(bytes) = fs::read(results.join(folder).join("predictions.json")) else { continue };
            let stored: Value = serde_json::from_slice(&bytes).expect("JSON");
            let items = read(suite, Mode::Compat, &files_of(&shared, suite, Size::Full)).expect("evaluation data");
            let chosen = |item: &Item| {
                // WUG was one task under another name, and its metric the share of first forms.
                let uid = if suite == Suite::WugAdj { "wug_adj_nominalization" } else { &item.subtask };
                let prediction =
                    stored[uid]["predictions"][item.index as usize]["pred"].as_str().expect("a prediction");
                let chosen = item.candidates.iter().position(|candidate| candidate.text.trim() == prediction.trim());
                chosen.expect("one of the candidates")
            };
            let sums: Vec<Vec<f64>> = items
                .iter()
                .map(|item| {
                    (0..item.candidates.len()).map(|index| -f64::from(u8::from(index != chosen(item)))).collect()
                })
                .collect();
            let (scores, _) = score(suite, Mode::Compat, &items, &sums);
            let accuracies: Vec<&Score> = scores.iter().filter(|score| score.metric == "accuracy").collect();
            let (uids, average) = report(&results.join(folder).join("best_temperature_report.txt"));
            assert_eq!(format!("{:.2}", accuracies.last().expect("a score").value), average, "{}", model.display());
            if suite == Suite::BlimpSupplement {
                for (uid, printed) in uids {
                    assert_eq!(format!("{:.2}", value(&scores, suite.name(), Some(&uid)).0), printed, "{uid}");
                }
            }
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn real_sizes_and_floors() {
    let Some(shared) = shared("real_sizes_and_floors") else { return };
    // Items, subtasks, and the floor of the shortest candidate, as published with the data sets or counted on them.
    let known = [
        (Suite::Blimp, Size::Full, Mode::Compat, 59_875, 67, Some(48.9)),
        (Suite::Blimp, Size::Fast, Mode::Fixed, 13_400, 67, None),
        (Suite::BlimpSupplement, Size::Full, Mode::Compat, 5_218, 5, Some((49.8 + 21.1 + 29.7 + 61.0 + 56.6) / 5.0)),
        (Suite::BlimpSupplement, Size::Fast, Mode::Fixed, 250, 5, None),
        (Suite::EntityTracking, Size::Full, Mode::Compat, 9_483, 18, Some((34.6 + 33.1 + 32.8) / 3.0)),
        (Suite::EntityTracking, Size::Fast, Mode::Compat, 3_152, 6, Some(34.6)),
        (Suite::EntityTracking, Size::Full, Mode::Fixed, 6_780, 18, None),
    ];
    for (suite, size, mode, count, subtasks, floor) in known {
        let items = read(suite, mode, &files_of(&shared, suite, size)).expect("evaluation data");
        assert_eq!(items.len(), count, "{suite} {size:?}");
        let candidates = items[0].candidates.len();
        let first: Vec<f64> = (0..candidates).map(|index| -(index as f64)).collect();
        let (scores, _) = score(suite, mode, &items, &vec![first; count]);
        assert_eq!(scores.len(), subtasks + 1);
        let last = scores.last().expect("an aggregate");
        assert_eq!((last.value, last.chance, last.n), (100.0, Some(100.0 / candidates as f64), count as u64));
        let measured = last.floor.expect("a floor");
        assert!(floor.is_none_or(|floor| (measured - floor).abs() < 0.06), "{suite} {size:?}: {measured}");
        assert!(items.iter().all(|item| !item.group.contains("syntax_semantics")));
    }
}

#[test]
fn real_entity_tracking_without_nothing_has_the_known_sizes() {
    let Some(shared) = shared("real_entity_tracking_without_nothing_has_the_known_sizes") else { return };
    let items = read(Suite::EntityTracking, Mode::Fixed, &files_of(&shared, Suite::EntityTracking, Size::Full));
    let items = items.expect("evaluation data");
    let (scores, _) = score(Suite::EntityTracking, Mode::Fixed, &items, &vec![vec![-1.0; 5]; items.len()]);
    let known = [
        ("regular", [517, 409, 405, 425, 388, 94]),
        ("ambiref", [508, 428, 413, 409, 434, 123]),
        ("move_contents", [516, 437, 399, 406, 353, 116]),
    ];
    for (split, sizes) in known {
        for (operations, size) in sizes.into_iter().enumerate() {
            let name = format!("{split}_{operations}_ops");
            let score = scores.iter().find(|score| score.subtask.as_deref() == Some(&name)).expect("a subtask");
            assert_eq!(score.n, size, "{name}");
            assert!((score.value - 20.0).abs() < 1e-9, "a tie of five: {}", score.value);
        }
        let floors = scores.iter().filter(|score| score.subtask.as_ref().is_some_and(|name| name.starts_with(split)));
        let floor = floors.filter_map(|score| score.floor).sum::<f64>() / 6.0;
        assert!((11.0..20.0).contains(&floor), "{split}: {floor}");
    }
}
