//! Files that change under grid: data during a run, outputs of finished jobs, records that lead elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::common::{Env, TINY};

const TIMEOUT: Duration = Duration::from_secs(120);

/// One model, pretrained and scored.
fn one_model() -> String {
    let changes = [("[pretrained, merged, sequential]", "[pretrained]"), ("seed: [1, 2]", "seed: [1]")];
    changes.iter().fold(TINY.to_owned(), |spec, (old, new)| {
        assert!(spec.contains(old), "{old}");
        spec.replace(old, new)
    })
}

/// A file in the output of the finished job of this kind.
fn artifact(env: &Env, kind: &str, file: &str) -> PathBuf {
    let sql = format!(
        "select attempt.folder from attempt join job on job.result = attempt.id where kind = '{kind}' order by job.id"
    );
    env.path().join("runs").join(&env.query(&sql)[0]).join("output").join(file)
}

/// Changes one bit in the middle of a file, and leaves its length and its modification time.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("a writable file");
    fs::File::options().write(true).open(path).expect("the file").set_modified(UNIX_EPOCH).expect("a time");
}

/// The jobs that the next run would run because of a damaged file, as `kind: file`.
fn damaged(env: &Env) -> Vec<String> {
    let plan = env.run(0, &["plan", "spec.yaml"]);
    let lines = plan.lines().filter(|line| line.contains("its result was altered"));
    let shown = |line: &str| {
        let kind = line.split_whitespace().next().unwrap_or_default();
        let file = line.split_whitespace().find(|word| word.contains("/output/")).unwrap_or_default();
        assert!(line.contains(" instead of "), "{line}");
        format!("{kind}: {}", file.rsplit_once("/output/").map_or("", |(_, file)| file))
    };
    lines.map(shown).collect()
}

#[test]
fn one_bit_in_a_finished_file_is_found_and_its_job_runs_again() {
    let env = Env::new(&one_model());
    env.run(0, &["run", "spec.yaml"]);
    let (scores, weights) = (env.scores(), env.weights());
    assert_eq!(damaged(&env), [] as [String; 0]);
    for (kind, file) in [
        ("prepare", "train.bin"),
        ("tokenizer", "tokenizer.json"),
        ("pretrain", "tokenizer.json"),
        ("pretrain", "config.json"),
        ("pretrain", "model.safetensors"),
    ] {
        flip(&artifact(&env, kind, file));
        assert_eq!(damaged(&env), [format!("{kind}: {file}")]);
        let done = env.stderr(0, &["resume"]);
        assert!(!done.contains("nothing to do") && done.contains("1 job to run"), "{done}");
        assert_eq!(damaged(&env), [] as [String; 0]);
        assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
        assert_eq!((env.scores(), env.weights()), (scores.clone(), weights.clone()), "{kind} {file}");
    }
    // A touched file, or a restored copy, is the same file.
    let path = artifact(&env, "prepare", "train.bin");
    let copy = env.path().join("copy");
    fs::copy(&path, &copy).expect("a copy");
    fs::rename(&copy, &path).expect("a rename");
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
}

/// The value is still a number, so nothing but the digest shows that the model is another one.
#[test]
fn another_rope_base_in_a_finished_model_changes_no_score() {
    let env = Env::new(&one_model());
    env.run(0, &["run", "spec.yaml"]);
    let scores = env.scores();
    let config = artifact(&env, "pretrain", "config.json");
    let text = fs::read_to_string(&config).expect("a configuration");
    let other = text.replace("10000", "20000");
    assert_ne!(other, text);
    env.run(0, &["export", "hf", "pretrain-", "whole"]);
    fs::write(&config, other).expect("a writable file");
    let refused = env.stderr(6, &["export", "hf", "pretrain-", "damaged"]);
    assert!(
        refused.contains("the model is not the one that its job left: ") && refused.contains("/config.json has "),
        "{refused}"
    );
    assert!(!env.path().join("damaged").exists());
    // Further suites need the model.
    env.run(0, &["run", "spec.yaml", "-S", "evaluate.suites=[blimp, blimp-supplement, comps]"]);
    assert!(!fs::read_to_string(artifact(&env, "pretrain", "config.json")).expect("it").contains("20000"));
    let same = |score: &&String| !score.contains("|comps|");
    let after: Vec<String> = env.scores().iter().filter(same).cloned().collect();
    assert_eq!(after, scores);
}

/// Waits until a job of this kind has started.
fn wait_for(env: &Env, kind: &str) {
    let journals = || {
        let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_kind = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{kind}-")))
        };
        let attempts = entries(env.path().join("runs/tiny")).filter(is_kind).flat_map(entries);
        attempts.filter(|attempt| attempt.join("journal.jsonl").exists()).count()
    };
    env.wait_until(&format!("the start of a {kind} job"), TIMEOUT, || journals() > 0);
}

/// The worker finds the damage, the job that made the file runs again, and the one that needs it waits.
#[test]
fn a_file_that_is_damaged_during_a_run_is_made_again_in_the_same_run() {
    let spec = one_model().replace("steps: 60", "steps: 1500");
    let straight = Env::new(&spec);
    straight.run(0, &["run", "spec.yaml", "-j", "1"]);
    let env = Env::new(&spec);
    let mut coordinator = env.spawn(&["run", "spec.yaml", "-j", "1"]);
    wait_for(&env, "pretrain");
    // The pretraining has read it; it is copied into the model.
    flip(&artifact(&env, "tokenizer", "tokenizer.json"));
    assert_eq!(coordinator.wait().expect("it ends").code(), Some(0));
    let states = |kind: &str| {
        env.query(&format!(
            "select state from attempt join job on job.id = attempt.job where kind = '{kind}' order by attempt.id"
        ))
    };
    assert_eq!(
        (states("tokenizer"), states("pretrain")),
        (vec!["done".to_owned(); 2], vec!["lost".into(), "done".into()])
    );
    let message = env.query("select message from attempt where state = 'lost'").remove(0);
    assert!(message.contains("output/tokenizer.json is damaged: its digest is "), "{message}");
    assert_eq!((env.scores(), env.weights()), (straight.scores(), straight.weights()));
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
}

/// The file of pairs of sentences.
const PAIRS: &str = "evaluation_data/fast_eval/blimp_fast/agreement.jsonl";

/// A spec on files: `text.txt` to train on, and pairs of sentences to score.
fn on_files() -> Env {
    let spec = one_model()
        .replace("steps: 60", "steps: 1500")
        .replace("speech: {world: speech, words: 6k}", "speech: {files: text.txt, documents: line}")
        .replace(
            "{data: world, items: 20, suites: [blimp, blimp-supplement]}",
            "{data: evaluation_data, suites: [blimp]}",
        );
    let env = Env::new(&spec);
    fs::write(env.path().join("text.txt"), text("dog")).expect("a file");
    fs::create_dir_all(env.path().join(PAIRS).parent().expect("a folder")).expect("a folder");
    fs::write(env.path().join(PAIRS), pairs("dog")).expect("a file");
    env
}

fn text(animal: &str) -> String {
    (0..600).map(|i| format!("the small {animal} number {i} sees the big cat and the cat runs home\n")).collect()
}

fn pairs(animal: &str) -> String {
    let row = |i: usize| {
        format!("{{\"sentence_good\": \"the {animal} {i} runs\", \"sentence_bad\": \"the {animal} {i} run\"}}\n")
    };
    (0..20).map(row).collect()
}

#[test]
fn an_evaluation_file_exchanged_during_a_run_fails_its_job_with_both_digests() {
    let env = on_files();
    let coordinator = env.command(&["run", "spec.yaml"]).stderr(std::process::Stdio::piped()).spawn().expect("grid");
    wait_for(&env, "pretrain");
    let file = env.path().join(PAIRS);
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    fs::write(&file, pairs("cow")).expect("a file");
    let output = coordinator.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let expected = format!(
        "fast_eval/blimp_fast/agreement.jsonl: it has changed since the plan was made, from the digest {} to {}; run `grid run` again",
        digest(&pairs("dog")),
        digest(&pairs("cow"))
    );
    assert!(stderr.contains(&expected), "{stderr}");
    assert_eq!(env.scores(), [] as [String; 0]);
    env.run(0, &["run", "spec.yaml"]);
    assert!(!env.scores().is_empty());
}

#[test]
fn a_corpus_file_exchanged_during_a_run_fails_its_job_with_both_digests() {
    let env = on_files();
    let coordinator = env.command(&["run", "spec.yaml"]).stderr(std::process::Stdio::piped()).spawn().expect("grid");
    wait_for(&env, "tokenizer");
    let file = env.path().join("text.txt");
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    fs::write(&file, text("cow")).expect("a file");
    let output = coordinator.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let expected = format!(
        "text.txt: it has changed since the plan was made, from the digest {} to {}; run `grid run` again",
        digest(&text("dog")),
        digest(&text("cow"))
    );
    assert!(stderr.contains(&expected), "{stderr}");
}

/// The outcome names a folder outside the runs folder, in which nothing may be read or deleted.
#[test]
fn an_outcome_that_leads_elsewhere_is_not_believed_and_gc_deletes_nothing() {
    let env = Env::new(&one_model());
    env.run(0, &["run", "spec.yaml"]);
    let victim = env.path().join("victim");
    fs::create_dir_all(victim.join("output")).expect("a folder");
    fs::write(victim.join("output/precious.txt"), "precious").expect("a file");
    let attempt = artifact(&env, "pretrain", "x").ancestors().nth(2).expect("the attempt").to_owned();
    let home = attempt.parent().expect("the job").to_owned();
    for database in ["runs.db", "runs.db-wal", "runs.db-shm"] {
        let _ = fs::remove_file(env.path().join("runs").join(database)); // the last two may not exist
    }
    let outcome = fs::read_dir(&home).expect("the job").flatten().map(|entry| entry.path());
    let outcome = outcome.into_iter().find(|path| path.to_string_lossy().contains("/outcome.")).expect("an outcome");
    let text = fs::read_to_string(&outcome).expect("an outcome");
    let name = attempt.file_name().expect("a name").to_string_lossy().into_owned();
    fs::remove_file(&outcome).expect("a link");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for crafted in ["../../../victim".to_owned(), victim.display().to_string()] {
        value["attempt"] = crafted.into();
        value["artifacts"] = serde_json::json!([]);
        fs::write(&outcome, value.to_string()).expect("a file");
        env.run(0, &["run", "spec.yaml"]);
        assert_eq!(env.query("select count(*) from attempt where folder like '%victim%'"), ["0"]);
        env.run(0, &["gc", "--yes", "--unplanned"]);
        assert!(victim.join("output/precious.txt").exists());
    }
    assert!(home.join(&name).exists() || env.query("select count(*) from job where result is null") == ["0"]);
}

/// Changes the database as a damaged or foreign one would be.
fn change(env: &Env, sql: &str) {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(env.path().join("runs/runs.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("runs.db opens");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("the query is right");
        connection.close().await.expect("it closes");
    });
}

#[test]
fn a_path_in_the_database_that_leads_elsewhere_is_refused_by_every_reader() {
    let env = Env::new(&one_model());
    env.run(0, &["run", "spec.yaml"]);
    let victim = env.path().join("victim");
    fs::create_dir_all(victim.join("tokenizer-0")).expect("a folder");
    fs::write(victim.join("precious.txt"), "precious").expect("a file");
    let folder = env.query("select folder from job where kind = 'tokenizer'").remove(0);
    std::os::unix::fs::symlink(&victim, env.path().join("runs/link")).expect("a link");
    let absolute = victim.display().to_string();
    for path in ["../victim", "tiny/../../victim", &absolute, "link", "link/tokenizer-0"] {
        change(&env, &format!("update job set folder = '{path}' where kind = 'tokenizer'"));
        for arguments in [&["status", "tiny"][..], &["logs", "tokenizer-"], &["plan", "spec.yaml"]] {
            let output = env.output(arguments);
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            let known = stderr.contains("it leads out of the runs folder");
            assert!(!output.status.success() && known, "{arguments:?} {path}: {stderr}");
        }
        change(&env, "delete from experiment_job where job in (select id from job where kind = 'tokenizer')");
        let stderr = env.stderr(6, &["gc", "--unplanned", "--yes"]);
        assert!(stderr.contains("it leads out of the runs folder"), "{stderr}");
        assert!(victim.join("precious.txt").exists() && victim.join("tokenizer-0").exists());
        change(&env, &format!("update job set folder = '{folder}' where kind = 'tokenizer'"));
        change(&env, "insert into experiment_job select 'tiny', 1000, id from job where kind = 'tokenizer'");
    }
    // Inside, but not the folder of the job.
    change(&env, "update job set folder = 'tiny' where kind = 'tokenizer'");
    change(&env, "delete from experiment_job where job in (select id from job where kind = 'tokenizer')");
    let stderr = env.stderr(6, &["gc", "--unplanned", "--yes"]);
    assert!(stderr.contains("this is not how the folders of its attempts are named"), "{stderr}");
    assert!(env.path().join("runs/tiny").exists());
}

#[test]
fn a_result_names_the_command_that_made_it() {
    let env = Env::new(&one_model());
    env.run(0, &["run", "spec.yaml", "-S", "pretrain.steps=30"]);
    env.run(0, &["run", "spec.yaml"]);
    let commands = env.query(
        "select distinct kind, command like '%run spec.yaml -S pretrain.steps=30', overrides, experiment, \
         spec_text like 'name: tiny%' from v_provenance where kind in ('tokenizer', 'pretrain') order by 1, 2",
    );
    assert_eq!(
        commands,
        [
            "pretrain|0|[]|tiny|1",
            "pretrain|1|[\"pretrain.steps=30\"]|tiny|1",
            "tokenizer|1|[\"pretrain.steps=30\"]|tiny|1"
        ]
    );
    let why = env.run(0, &["why", "tokenizer-"]);
    let made = why.lines().find(|line| line.starts_with("made by: ")).expect("the command");
    assert!(made.ends_with("run spec.yaml -S pretrain.steps=30"), "{why}");
    assert!(why.contains("-S pretrain.steps=30") && why.contains("spec.yaml"), "{why}");
}
