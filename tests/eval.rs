//! `grid eval`: models named by folder and by job, and messages about missing data and models.

use std::fs;

use crate::common::{Env, TINY};

/// An experiment with trained models, and official data files of two suites.
fn with_a_model() -> Env {
    let env = Env::new(TINY);
    env.run(
        0,
        &[
            "run",
            "spec.yaml",
            "-S",
            "axes={dataset: [chat], curriculum: [pretrained, merged], seed: [1, 2]}",
            "-S",
            "evaluate={data: world, suites: [blimp]}",
        ],
    );
    let pair =
        |good: &str, bad: &str| serde_json::json!({"sentence_good": good, "sentence_bad": bad}).to_string() + "\n";
    for (set, file) in [
        ("fast_eval/blimp_fast", "agreement"),
        ("fast_eval/supplement_fast", "turns"),
        ("full_eval/blimp_filtered", "agreement"),
    ] {
        let folder = env.path().join("evaluation_data").join(set);
        fs::create_dir_all(&folder).expect("a folder");
        let rows = pair("the dog runs", "the dog run") + &pair("the cats run", "the cats runs");
        fs::write(folder.join(format!("{file}.jsonl")), rows).expect("a file");
    }
    env
}

#[test]
fn models_are_scored_by_folder_and_by_job() {
    let env = with_a_model();
    let output = env.output(&["eval", "nano/seed1", "--fast"]);
    let (table, stderr) = crate::common::texts(&output);
    assert!(output.status.success(), "{stderr}");
    assert!(table.contains("nano-seed1") && table.contains("blimp-supplement"), "{table}");
    for missing in ["entity-tracking", "ewok", "comps", "wug-adj", "wug-past", "reading"] {
        assert!(stderr.contains(&format!("skipping {missing}: there is no data in ")), "{stderr}");
    }
    let model = env.query(
        "select attempt.folder || '/output' from attempt join job on job.result = attempt.id where label = 'nano/seed1'",
    );
    let folder = env.path().join("runs").join(&model[0]);
    let folder = folder.to_str().expect("UTF-8");
    // A job in the database is scored as itself and not imported, so that nothing is scored twice.
    assert_eq!(env.query("select count(*) from job where kind = 'import'"), ["0"]);
    let (by_folder, tuned) = ("nano/chat/single/seed1", "tiny/nano/chat/single/seed1");
    env.run(
        0,
        &[
            "eval",
            folder,
            by_folder,
            "--suite",
            "blimp",
            "--data",
            "evaluation_data",
            "--mode",
            "compat",
            "--name",
            "both",
        ],
    );
    assert_eq!(
        env.query("select model, curriculum, mode, count(*) from v_scores where experiment = 'both' group by 1, 2, 3"),
        ["nano-chat-seed1|pretrained|compat|2", "output|pretrained|compat|2"]
    );
    assert_eq!(env.query("select count(distinct item) from v_items where experiment = 'both'"), ["2"]);

    // A tuned model is not shown as pretrained.
    let report = env.run(0, &["report", "both"]);
    assert!(report.contains("nano-chat-seed1") && report.contains("imported"), "{report}");
    assert!(!report.contains("pretrained"), "{report}");

    // The scores are in the database now, so nothing runs, but the table is printed. The full name of a cell works too.
    let attempts = env.query("select count(*) from attempt");
    let again = env
        .output(&["eval", folder, tuned, "--suite", "blimp", "--mode", "compat", "--name", "both", "--format", "csv"]);
    let (table, stderr) = crate::common::texts(&again);
    assert!(stderr.contains("nothing to do") && table.lines().count() == 3, "{table}{stderr}");
    assert_eq!(env.query("select count(*) from attempt"), attempts);
    // Scores of one experiment are reused by another.
    let world = env.stderr(0, &["eval", "nano/seed1", "--suite", "blimp", "--fast", "--name", "again"]);
    assert!(world.contains("nothing to do"), "{world}");
    // `grid resume` accepts an experiment of `grid eval` like any other.
    let nothing = env.stderr(0, &["resume", "both"]);
    assert!(nothing.contains("nothing to do"), "{nothing}");
}

#[test]
fn missing_data_and_models_are_reported_before_anything_runs() {
    let env = with_a_model();
    let experiments = env.query("select count(*) from experiment");
    let data = env.stderr(6, &["eval", "nano/seed1", "--suite", "blimp,ewok", "--fast"]);
    assert!(data.contains("fast_eval/ewok_fast") && data.contains("ewok_fast.zip of https://osf.io/ryjfm/"), "{data}");
    let none = env.stderr(6, &["eval", "nano/seed1", "--data", "nowhere"]);
    assert!(none.contains("no full evaluation data in") && none.contains("GRID_DATA"), "{none}");
    fs::rename(env.path().join("evaluation_data/full_eval"), env.path().join("full_eval")).expect("a folder");
    let fast = env.stderr(6, &["eval", "nano/seed1"]);
    assert!(
        fast.contains("no full evaluation data in")
            && fast.contains("help: the data of the other size are there: add `--fast`"),
        "{fast}"
    );
    fs::rename(env.path().join("full_eval"), env.path().join("evaluation_data/full_eval")).expect("a folder");
    let suite = env.stderr(1, &["eval", "nano/seed1", "--suite", "blmp"]);
    assert!(suite.contains("unknown suite 'blmp'; known are zero-shot, babylm-2025, babylm-2026, blimp,"), "{suite}");
    let model = env.stderr(6, &["eval", "no/such", "--suite", "blimp", "--offline"]);
    assert!(model.contains("hf:no/such@main") && model.contains("grid is offline"), "{model}");
    assert!(model.starts_with("no/such: no such folder or job; trying the Hugging Face Hub\n"), "{model}");
    for slip in ["./models/tinny", "/no/such/folder", "models/of/mine"] {
        let stderr = env.stderr(4, &["eval", slip, "--suite", "blimp", "--fast"]);
        assert!(stderr.starts_with(&format!("grid: there is no folder and no job '{slip}'")), "{stderr}");
    }
    let several = env.stderr(4, &["eval", "tune-", "pretrain-", "--suite", "blimp"]);
    assert!(several.contains("matches several models"), "{several}");
    let stranger = "models: {a: {job: 0123456789abcdef0123456789abcdef}}\nname: a\n";
    fs::write(env.path().join("stranger.yaml"), stranger).expect("a spec");
    let unknown = env.stderr(4, &["run", "stranger.yaml"]);
    assert!(unknown.contains("which is not in this runs folder"), "{unknown}");
    let weights = env.query(
        "select attempt.folder || '/output/model.safetensors' from attempt join job on job.result = attempt.id \
         where label = 'nano/seed2'",
    );
    fs::remove_file(env.path().join("runs").join(&weights[0])).expect("weights");
    let lost = env.stderr(6, &["eval", "nano/seed2", "--suite", "blimp", "--fast"]);
    assert!(lost.contains("the model of nano/seed2") && lost.contains("its files are gone"), "{lost}");
    assert_eq!(env.query("select count(*) from experiment"), experiments);
}

/// An item has the same scores for any number of concurrent jobs and threads.
#[test]
fn scores_do_not_depend_on_jobs_and_threads() {
    let env = with_a_model();
    env.run(0, &["export", "hf", "nano/seed1", "model"]);
    let spec = "\
name: NAME
models: {model: {hf: model}}
axes: {curriculum: [pretrained]}
evaluate: {data: world, items: 60, suites: [blimp, ewok, entity-tracking, comps, wug-adj, reading]}
";
    let scores = |name: &str, options: &[&str]| -> Vec<(String, Vec<f64>)> {
        let file = format!("{name}.yaml");
        fs::write(env.path().join(&file), spec.replace("NAME", name)).expect("a spec");
        let runs = format!("runs-{name}");
        env.run(0, &[&["--runs-dir", &runs, "run", &file], options].concat());
        let sql = "select suite || ' ' || subtask || ' ' || item, scores from v_items order by 1";
        let rows = crate::common::query(&env.path().join(runs).join("runs.db"), sql);
        let parse = |row: String| {
            let (item, scores) = row.split_once('|').expect("two columns");
            (item.to_owned(), serde_json::from_str(scores).expect("a list of numbers"))
        };
        rows.into_iter().map(parse).collect()
    };
    let alone = scores("alone", &["-j", "1", "--threads", "1"]);
    let together = scores("together", &["-j", "2", "--threads", "2"]);
    assert!(alone.len() > 600 && alone.len() == together.len(), "{} and {}", alone.len(), together.len());
    for ((item, one), (other_item, other)) in alone.iter().zip(&together) {
        assert_eq!(item, other_item);
        let close = one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-5);
        assert!(close, "{item}: {one:?} and {other:?}");
    }
}
