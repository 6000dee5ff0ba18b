//! Comparison with results of the official pipeline for real models. These tests read `$GRID_SHARED` and are skipped without
//! it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::tests::score_sums;
use super::*;
use crate::domain::Size;
use crate::recordings::recording;

mod accuracy;
mod clusters;
mod correlation;
mod edition;
mod glue;
mod reading;
mod reference;

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

/// The official files of a suite; entity tracking stays in its archive.
fn files_of(shared: &Path, suite: Suite, size: Size) -> Vec<(String, Vec<u8>)> {
    match (suite, size) {
        (Suite::EntityTracking, Size::Full) => unzip(&shared.join("data/entity_tracking/entity_tracking_full.zip")),
        (Suite::EntityTracking, Size::Fast) => unzip(&shared.join("data/entity_tracking/entity_tracking_fast.zip")),
        _ => files(&data(shared, suite, size)),
    }
}

/// The files of an archive, decrypted with the password that the authors of the data publish.
fn unzip(archive: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).expect("an archive")).expect("a zip");
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
    Suite::official().flat_map(|suite| [(suite, Size::Full), (suite, Size::Fast)])
}

/// The folder of a suite's data in the official layout.
fn data(shared: &Path, suite: Suite, size: Size) -> PathBuf {
    shared.join("data/evaluation_data").join(folder_of(suite, size))
}

/// The last part of the folder's path, which is the name of the data set in the results.
fn folder(suite: Suite, size: Size) -> &'static str {
    folder_of(suite, size).rsplit('/').next().expect("a path has a last part")
}

/// The folder of a suite in the official evaluation data.
fn folder_of(suite: Suite, size: Size) -> &'static str {
    suite.official_data().expect("an official suite").folder(size)
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

/// The official reading table, and the sums for the surprisals of each word and of the word before it.
fn reading_items(shared: &Path, surprisals: &dyn Fn(usize) -> (f64, f64)) -> (Vec<Item>, Vec<Vec<f64>>) {
    let items = read(Suite::Reading, Mode::COMPAT, &files_of(shared, Suite::Reading, Size::Full));
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
