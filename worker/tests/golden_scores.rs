//! Eval jobs against every score of the official pipeline that is recorded.
//!
//! Runs where `GRID_SHARED` names the folder of recordings.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use grid::data::Survey;
use grid::domain::event::SCHEMA;
use grid::domain::{
    Assignment, Entry, EvalJob, Event, ItemOutcome, Job, JobId, Mode, Score, Settings, Size, Source, Suite,
};
use grid_worker::attempt::serve;
use grid_worker::jobs::{self, Memory};
use grid_worker::ml::runtime;
use serde_json::Value;

/// Nats by which a sum may differ: both sides compute in float32.
const TOLERANCE: f64 = 1e-3;

static NEVER: AtomicBool = AtomicBool::new(false);

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Scores `model` on a suite in a job folder of its own; returns the outcomes of the items, in order, and the scores.
fn evaluate(
    model: &Path,
    data: &Path,
    suite: Suite,
    size: Size,
    memory: &mut Memory,
) -> (Vec<ItemOutcome>, Vec<Score>) {
    let runs = tempfile::tempdir().unwrap();
    let source = Source::Folder(data.join(suite.folder(size)));
    let located = Survey::open(&runs.path().join("survey.json")).locate(&source).unwrap();
    let id: JobId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    let job = Job::Eval(EvalJob { model: id, suite, mode: Mode::COMPAT, data: located.origin.clone() });
    let assignment = Assignment {
        schema: SCHEMA,
        id: job.id(),
        token: "t".into(),
        job,
        sources: vec![(located.origin, located.files)],
        parents: BTreeMap::from([(id, model.to_owned())]),
        settings: Settings { device: "cpu".into(), threads: 2, checkpoint_every_seconds: 60, micro_batch: None },
    };
    let folder = runs.path().join("job");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("job.json"), serde_json::to_vec(&assignment).unwrap()).unwrap();
    let input = Cursor::new(format!("{}\n", folder.display()));
    serve(input, &NEVER, "test", |assignment, attempt| jobs::run(assignment, attempt, memory)).unwrap();
    let attempt = entries(&folder).into_iter().find(|path| path.is_dir()).unwrap();
    let lines = |file: &str| fs::read_to_string(attempt.join(file)).unwrap_or_default();
    let journal = lines("journal.jsonl");
    let events = journal.lines().map(|line| serde_json::from_str::<Entry>(line).unwrap().event);
    let scores = events.filter_map(|event| if let Event::Scored(score) = event { Some(score) } else { None }).collect();
    let items = lines("items.jsonl");
    assert!(!items.is_empty(), "{suite}: {journal}");
    (items.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), scores)
}

fn gunzipped(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The sums that the recording has for an item; `None` where it has none.
fn recorded(suite: Suite, line: &Value) -> Vec<Option<f64>> {
    if suite == Suite::Reading {
        return [&line["pred"], &line["prev_pred"]]
            .iter()
            .filter_map(|number| number.as_f64())
            .map(|n| Some(-n))
            .collect();
    }
    line["scores"].as_array().unwrap().iter().map(Value::as_f64).collect()
}

#[test]
fn golden_scores_of_every_item() {
    let Some(shared) = std::env::var_os("GRID_SHARED").map(PathBuf::from) else {
        writeln!(std::io::stderr(), "skipped: GRID_SHARED is not set").unwrap();
        return;
    };
    runtime::prepare_process();
    runtime::configure(2).unwrap();
    let data = shared.join("data/evaluation_data");
    let mut compared = 0;
    for golden in entries(&shared.join("golden")) {
        let mut memory = Memory::default();
        for results in entries(&golden.join("eval")) {
            let sets = Suite::ALL.into_iter().flat_map(|suite| [(suite, Size::Full), (suite, Size::Fast)]);
            let of_this =
                |(suite, size): &(Suite, Size)| suite.folder(*size).ends_with(&format!("/{}", name(&results)));
            let Some((suite, size)) = sets.into_iter().find(of_this) else { continue };
            let (outcomes, scores) = evaluate(&golden.join("model"), &data, suite, size, &mut memory);
            let stored = gunzipped(&results.join("scores.jsonl.gz"));
            let place = format!("{} {}", name(&golden), name(&results));
            let mut worst = 0.0f64;
            for (outcome, line) in outcomes.iter().zip(&stored) {
                let wanted = recorded(suite, line);
                assert_eq!(outcome.scores.len(), wanted.len(), "{place} {}", outcome.item);
                for (got, wanted) in outcome.scores.iter().zip(&wanted) {
                    let difference = (got.unwrap() - wanted.unwrap()).abs();
                    worst = worst.max(difference);
                    assert!(
                        difference <= TOLERANCE,
                        "{place} {} {}: {got:?} {wanted:?}",
                        outcome.subtask,
                        outcome.item
                    );
                }
                let Some(chosen) = line["pred"].as_u64().filter(|_| suite != Suite::Reading) else { continue };
                let mut sorted: Vec<f64> = wanted.into_iter().flatten().collect();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let clear = sorted[0] - sorted[1] > TOLERANCE;
                assert!(!clear || u64::from(outcome.chosen) == chosen, "{place} {} {}", outcome.subtask, outcome.item);
            }
            writeln!(std::io::stderr(), "{place}: {} items, worst difference {worst:.1e} nats", stored.len()).unwrap();
            compared += 1;
            if stored.len() != outcomes.len() {
                continue; // recorded on the first rows only
            }
            let official: Value =
                serde_json::from_slice(&fs::read(results.join("full_precision.json")).unwrap()).unwrap();
            let of =
                |task: &str| scores.iter().find(|score| score.task == task && score.subtask.is_none()).unwrap().value;
            match suite {
                Suite::Reading => {
                    for (task, key) in [("eye-tracking", "eye_tracking"), ("self-paced", "self_paced")] {
                        assert!((of(task) - official[key].as_f64().unwrap()).abs() < 1e-3, "{place} {task}");
                    }
                }
                Suite::WugAdj | Suite::WugPast => {
                    assert!((of(suite.name()) / 100.0 - official["average"].as_f64().unwrap()).abs() < 5e-3, "{place}");
                }
                _ => assert!((of(suite.name()) - official["average"].as_f64().unwrap()).abs() < 5e-3, "{place}"),
            }
        }
    }
    assert!(compared > 0, "no recording has scores");
}
