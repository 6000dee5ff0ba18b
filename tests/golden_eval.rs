//! `grid eval` on recorded models, compared item by item with the recorded output of the official pipeline.
//!
//! These tests run if `GRID_SHARED` names the folder of recordings. They use only a part of the two largest sets: every
//! eighth file of BLiMP, and the first items of each subtask of entity tracking. `GRID_GOLDEN_ALL=1` uses all items.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::common::Env;
use crate::common::recorded_models::recorded_models;
use crate::common::recordings::recording;
use grid::domain::{Size, Suite};
use serde_json::Value;

/// The largest difference between two scores, in nats. If the best two candidates are closer than this, either may win.
const NEAR: f64 = 1e-3;

fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8")
}

/// The number of items that are used from each subtask of entity tracking.
const BOXES: usize = 30;

/// Writes the part of the evaluation data that a model was recorded on, of which `reading_rows.json` has the rows of the
/// reading times: the first rows of each file of BLiMP.
fn write_part(shared: &Path, env: &Env, folder: &Path) {
    const BLIMP_ROWS: usize = 20;
    let (from, to) = (shared.join("data/evaluation_data/fast_eval"), env.path().join("data/evaluation_data/fast_eval"));
    symlink_all(&from.join("supplement_fast"), &to.join("supplement_fast"), 1);
    let rows: Value = serde_json::from_slice(&fs::read(folder.join("reading_rows.json")).expect("rows")).expect("JSON");
    let rows: Vec<usize> = serde_json::from_value(rows["rows"].clone()).expect("numbers");
    for (set, picked) in [("blimp_fast", None), ("reading", Some(rows))] {
        fs::create_dir_all(to.join(set)).expect("a folder");
        for file in sorted_entries(&from.join(set)) {
            let text = fs::read_to_string(&file).expect("text");
            let lines: Vec<&str> = match &picked {
                None => text.lines().take(BLIMP_ROWS).collect(),
                Some(rows) => {
                    let all: Vec<&str> = text.lines().collect();
                    std::iter::once(0).chain(rows.iter().map(|row| row + 1)).map(|line| all[line]).collect()
                }
            };
            fs::write(to.join(set).join(file_name(&file)), lines.join("\n") + "\n").expect("a file");
        }
    }
}

/// Writes the data that models were evaluated on by the pipeline of 2026, as far as they are in `shared`.
fn write_data_of_2026(shared: &Path, env: &Env, folder: &Path) {
    if folder.join("reading_rows.json").exists() && part_of_blimp(&folder.join("eval2026")) {
        write_part(shared, env, folder);
    }
    let (edition, to) = (shared.join("golden/edition-2026"), env.path().join("data/evaluation_data/fast_eval"));
    for set in ["blimp_fast", "supplement_fast"].into_iter().filter(|set| !to.join(set).exists()) {
        symlink_all(&shared.join("data/evaluation_data/fast_eval").join(set), &to.join(set), 1);
    }
    symlink_all(&edition.join("collate-2026/inputs/ewok_fast"), &to.join("ewok_fast"), 1);
    for set in ["global_piqa_parallel", "global_piqa_nonparallel"] {
        symlink_all(&edition.join("global-piqa-made").join(set), &to.join(set), 1);
    }
    let rows = fs::read(edition.join("entity-rows-2026.json")).expect("row numbers");
    let rows: Vec<usize> = serde_json::from_slice(&rows).expect("numbers");
    for (name, text) in boxes(shared, "entity_tracking_fast.zip") {
        let lines: Vec<&str> = text.lines().collect();
        let picked: Vec<&str> = rows.iter().map(|&row| lines[row]).collect();
        fs::create_dir_all(to.join("entity_tracking_fast")).expect("a folder");
        fs::write(to.join("entity_tracking_fast").join(name), picked.join("\n") + "\n").expect("a file");
    }
}

/// The files of an archive of entity tracking, with their names.
fn boxes(shared: &Path, archive: &str) -> Vec<(String, String)> {
    let archive = fs::File::open(shared.join("data/entity_tracking").join(archive)).expect("an archive");
    let mut archive = zip::ZipArchive::new(archive).expect("a zip");
    let mut files = vec![];
    for index in 0..archive.len() {
        // The password is published by the authors of the data.
        let mut entry = archive.by_index_decrypt(index, b"iamnotaLM").expect("an entry");
        let name = PathBuf::from(&*entry.name().expect("a name"));
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        files.push((file_name(&name).to_owned(), text));
    }
    files
}

/// Writes the evaluation data as a user has it, without the items that would take too long.
fn write_data(shared: &Path, env: &Env) {
    let root = env.path().join("data/evaluation_data");
    let all = std::env::var_os("GRID_GOLDEN_ALL").is_some();
    for eval in ["fast_eval", "full_eval"] {
        for set in sorted_entries(&shared.join("data/evaluation_data").join(eval)) {
            let every = if all || file_name(&set) != "blimp_filtered" { 1 } else { 8 };
            symlink_all(&set, &root.join(eval).join(file_name(&set)), every);
        }
    }
    if all {
        symlink_all(&shared.join("data/entity_tracking"), &env.path().join("data/entity_tracking"), 1);
        return;
    }
    for (size, archive) in [(Size::Fast, "entity_tracking_fast.zip"), (Size::Full, "entity_tracking_full.zip")] {
        let folder = root.join(folder_of(Suite::EntityTracking, size));
        fs::create_dir_all(&folder).expect("a folder");
        for (name, text) in boxes(shared, archive) {
            let mut taken = BTreeMap::new();
            let few = text.lines().filter(|line| {
                let row: Value = serde_json::from_str(line).expect("JSON");
                let count = taken.entry(row["numops"].as_u64()).or_insert(0);
                *count += 1;
                *count <= BOXES
            });
            let few: Vec<&str> = few.collect();
            fs::write(folder.join(name), few.join("\n")).expect("a file");
        }
    }
}

/// Fills the folder `to` with links to every `every`-th file of the folder `from`.
fn symlink_all(from: &Path, to: &Path, every: usize) {
    fs::create_dir_all(to).expect("a folder");
    for path in sorted_entries(from).iter().step_by(every) {
        symlink(path, to.join(file_name(path))).expect("a link");
    }
}

/// What the official pipeline recorded for each item, in the order of the items.
fn recorded_lines(results: &Path) -> Vec<Value> {
    let mut text = String::new();
    let file = fs::File::open(results.join("scores.jsonl.gz")).expect("recorded scores");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")).collect()
}

/// The recorded scores of the candidates of each item, by subtask and index.
fn recorded_scores(results: &Path, suite: Suite) -> BTreeMap<(String, u64), Vec<f64>> {
    let item = |line: Value| {
        let index = line["index"].as_u64().expect("an index");
        if suite == Suite::Reading {
            let surprisals = [&line["pred"], &line["prev_pred"]].map(Value::as_f64);
            return (("reading".to_owned(), index), surprisals.into_iter().flatten().map(|nats| -nats).collect());
        }
        let scores = line["scores"].as_array().expect("scores").iter().filter_map(Value::as_f64).collect();
        ((line["uid"].as_str().expect("a UID").to_owned(), index), scores)
    };
    recorded_lines(results).into_iter().map(item).collect()
}

/// Whether each example is a UID of its own in the official results.
fn has_uid_per_example(suite: Suite) -> bool {
    matches!(suite, Suite::GlobalPiqaParallel | Suite::GlobalPiqaNonparallel)
}

/// Compares every item and, if no item was left out, the scores of the report.
fn compare(env: &Env, experiment: &str, suite: Suite, results: &Path) {
    let official = recorded_scores(results, suite);
    let uids: Vec<Value> = recorded_lines(results).into_iter().map(|line| line["uid"].clone()).collect();
    // Rows that the rules leave out have numbers here, but not in the official results.
    let rows = env.query(&format!(
        "select row_number() over (partition by subtask order by item) - 1, chosen, scores, subtask from v_items where \
         experiment = '{experiment}' and suite = '{suite}' order by subtask, item"
    ));
    let (mut compared, mut worst) = (0, 0.0_f64);
    for (place, row) in rows.iter().enumerate() {
        let [item, chosen, scores, subtask] = row.splitn(4, '|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let key = (subtask.to_owned(), item.parse::<u64>().expect("a number"));
        let key = match has_uid_per_example(suite) {
            true => (uids[place].as_str().expect("a UID").to_owned(), 0),
            false => key,
        };
        let Some(wanted) = official.get(&key) else { continue };
        let mut scores: Vec<f64> = serde_json::from_str(scores).expect("numbers");
        if has_uid_per_example(suite) {
            // The official scores are divided by the number of tokens, which is not stored.
            for (score, wanted) in scores.iter_mut().zip(wanted) {
                *score /= (*score / wanted).round().max(1.0);
            }
        }
        let at = format!("{} {subtask} {item}: {scores:?}, recorded {wanted:?}", results.display());
        assert_eq!(scores.len(), wanted.len(), "{at}");
        let errors = scores.iter().zip(wanted).map(|(ours, theirs)| (ours - theirs).abs());
        worst = errors.fold(worst, f64::max);
        assert!(worst < NEAR, "{at}");
        let best = (0..wanted.len()).max_by(|&a, &b| wanted[a].total_cmp(&wanted[b])).expect("a candidate");
        let clear = (0..wanted.len()).all(|other| other == best || wanted[best] - wanted[other] > NEAR);
        assert!(suite == Suite::Reading || !clear || chosen == best.to_string(), "{at}: {chosen} was chosen");
        compared += 1;
    }
    assert!(compared > 0, "{}: no item", results.display());
    let complete = compared == rows.len() && compared == official.len();
    writeln!(std::io::stderr(), "{}: {compared} items agree up to {worst:.1e}", results.display()).expect("stderr");
    if complete {
        compare_report(env, experiment, suite, results, undecided_share(suite, &official));
    }
}

/// Compares the exported predictions with the official ones. Items whose best two scores are near are skipped, because
/// either candidate may be predicted.
fn compare_predictions(exported: &Path, suite: Suite, size: Size, results: &Path) {
    let set = folder_of(suite, size).rsplit('/').next().expect("a name");
    let task = match suite {
        Suite::BlimpSupplement => "blimp".to_owned(),
        suite => suite.name().replace('-', "_"),
    };
    let folder = if suite == Suite::Reading { PathBuf::from(task) } else { Path::new(&task).join(set) };
    let [backend] = &sorted_entries(&exported.join("main/zero_shot"))[..] else { panic!("one backend") };
    let ours = backend.join(folder).join("predictions.json");
    let ours = fs::read_to_string(&ours).unwrap_or_else(|error| panic!("{}: {error}", ours.display()));
    let mut theirs = String::new();
    let file = fs::File::open(results.join("predictions.json.gz")).expect("recorded predictions");
    flate2::read::GzDecoder::new(file).read_to_string(&mut theirs).expect("gzip");
    let [ours, theirs] =
        [&ours, &theirs].map(|text| serde_json::from_str::<Value>(&text.replace("NaN", "null")).expect("JSON"));
    let clear = recorded_scores(results, suite).into_iter().filter(|(_, scores)| {
        let mut scores = scores.clone();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores.len() < 2 || scores[0] - scores[1] > NEAR
    });
    let mut compared = 0;
    for (uid, index) in clear.map(|(item, _)| item).collect::<Vec<_>>() {
        let [ours, theirs] = [&ours, &theirs].map(|all| &all[&uid]["predictions"][index as usize]);
        if ours.is_null() {
            continue; // the item was left out
        }
        let at = format!("{} {uid} {index}: {ours}, recorded {theirs}", results.display());
        assert_eq!(ours["id"], theirs["id"], "{at}");
        for number in ["pred", "prev_pred", "prob"] {
            match (ours[number].as_f64(), theirs[number].as_f64()) {
                (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() < NEAR, "{at}"),
                _ => assert_eq!(ours[number], theirs[number], "{at}"),
            }
        }
        compared += 1;
    }
    assert!(compared > 0, "{}", results.display());
}

/// The points of the average that depend on items whose best two scores are near, so that rounding decides them.
fn undecided_share(suite: Suite, official: &BTreeMap<(String, u64), Vec<f64>>) -> f64 {
    let mut items: BTreeMap<&str, (u32, u32)> = BTreeMap::new(); // of each subtask: all, and undecided ones
    for ((uid, _), scores) in official {
        let mut scores = scores.clone();
        scores.sort_by(|a, b| b.total_cmp(a));
        let (all, undecided) = items.entry(uid).or_default();
        *all += 1;
        *undecided += u32::from(suite != Suite::Reading && scores.len() > 1 && scores[0] - scores[1] <= NEAR);
    }
    let shares = items.values().map(|(all, undecided)| f64::from(*undecided) / f64::from(*all));
    100.0 * shares.sum::<f64>() / items.len() as f64
}

fn compare_report(env: &Env, experiment: &str, suite: Suite, results: &Path, undecided: f64) {
    let rows = env.query(&format!(
        "select value, task from v_scores where experiment = '{experiment}' and suite = '{suite}' and subtask is null"
    ));
    let value = |row: &str| row.split('|').next().and_then(|value| value.parse::<f64>().ok()).expect("a number");
    if suite == Suite::Reading {
        let exact: Value =
            serde_json::from_slice(&fs::read(results.join("../../scores.json")).expect("a summary")).expect("JSON");
        // Where there are recordings of several backends, the summary has a part for each.
        let part = file_name(results.parent().expect("a folder"));
        let exact = exact.get(part).unwrap_or(&exact);
        for (task, key) in [("eye-tracking", "eye_tracking"), ("self-paced", "self_paced")] {
            let ours = rows.iter().find(|row| row.ends_with(task)).map(|row| value(row)).expect("a score");
            let theirs = exact["reading"][key].as_f64().expect("a score");
            assert!((ours - theirs).abs() < 1e-3, "{}: {task} {ours}, recorded {theirs}", results.display());
        }
        return;
    }
    let report = fs::read_to_string(results.join("best_temperature_report.txt")).expect("a report");
    let average = report.split("### AVERAGE ").nth(1).and_then(|block| block.lines().nth(1)).expect("an average");
    let unit = if matches!(suite, Suite::WugAdj | Suite::WugPast) { 100.0 } else { 1.0 };
    assert_eq!(rows.len(), 1, "{rows:?}");
    let ours = value(&rows[0]) / unit;
    let off = (ours - average.parse::<f64>().expect("a number")).abs();
    let equal = format!("{ours:.2}") == average || (undecided > 0.0 && off <= undecided + 0.005);
    assert!(equal, "{}: {ours}, recorded {average}", results.display());
}

#[test]
fn golden_models_reproduce_the_official_scores() {
    let Some(shared) = recording("") else { return };
    for (part, mode) in
        [("eval", "compat"), ("eval_causal", "compat+backend=causal"), ("eval_mntp", "compat+backend=mntp")]
    {
        for folder in recorded_models(part) {
            let env = Env::new("");
            match folder.join("reading_rows.json").exists() && part_of_blimp(&folder.join(part)) {
                true => write_part(&shared, &env, &folder),
                false => write_data(&shared, &env),
            }
            compare_model(&env, &folder, part, mode);
        }
    }
}

#[test]
fn golden_models_reproduce_the_official_scores_of_2026() {
    let Some(shared) = recording("") else { return };
    for folder in recorded_models("eval2026") {
        let env = Env::new("");
        write_data_of_2026(&shared, &env, &folder);
        let backends: Value =
            serde_json::from_slice(&fs::read(folder.join("eval2026/scores.json")).expect("a summary")).expect("JSON");
        let backend = backends["blimp_fast"]["backend"].as_str().expect("a backend");
        compare_model(&env, &folder, "eval2026", &format!("compat-2026+backend={backend}"));
    }
}

/// Whether a model was recorded on a part of the items of BLiMP.
fn part_of_blimp(recorded: &Path) -> bool {
    recorded_scores(&recorded.join("blimp_fast"), Suite::Blimp).len() < 5_000
}

/// Compares the results of a model with those in a folder of recordings.
fn compare_model(env: &Env, folder: &Path, part: &str, mode: &str) {
    let sets: Vec<(Suite, Size)> =
        Suite::official().flat_map(|suite| [(suite, Size::Fast), (suite, Size::Full)]).collect();
    let (model, mut recorded) = (folder.join("model"), sorted_entries(&folder.join(part)));
    recorded.retain(|results| results.is_dir());
    let mut compared = 0;
    for (size, flag) in [(Size::Fast, "--fast"), (Size::Full, "--full")] {
        let mut suites: Vec<(Suite, &PathBuf)> = vec![];
        for results in &recorded {
            let name = if file_name(results) == "ewok_made" { "ewok_fast" } else { file_name(results) };
            let of = |(suite, size): &(Suite, Size)| folder_of(*suite, *size).ends_with(&format!("/{name}"));
            // Some sets are the same in both sizes; they are used once, with the first size.
            if let Some((suite, _)) = sets.iter().find(|set| of(set)).filter(|(_, found)| *found == size) {
                suites.push((*suite, results));
            }
        }
        if suites.is_empty() {
            continue;
        }
        let year = if mode.starts_with("compat-2026") { "2026" } else { "2025" };
        let names: Vec<&str> = suites.iter().map(|(suite, _)| suite.name()).collect();
        let (model, names) = (model.to_str().expect("UTF-8"), names.join(","));
        let experiment = format!("golden{flag}");
        let data = env.path().join("data/evaluation_data");
        let data = data.to_str().expect("UTF-8");
        let arguments = ["eval", model, "--data", data, flag, "--mode", mode, "--suite", &names, "--name", &experiment];
        env.run(0, &arguments);
        let out = format!("out{flag}");
        env.run(0, &["export", "babylm", &experiment, &out, "--partial", "--year", year]);
        let exported = sorted_entries(&env.path().join(out).join("results")).remove(0);
        for (suite, results) in suites {
            compare(env, &experiment, suite, results);
            compare_predictions(&exported, suite, size, results);
            compared += 1;
        }
    }
    assert!(compared > 0, "{}: no results", folder.display());
}

/// The folder of a suite in the official evaluation data.
fn folder_of(suite: Suite, size: Size) -> &'static str {
    suite.official_data().expect("an official suite").folder(size)
}
