//! Whole experiments on the toy world, and the errors of single commands.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::common::{Env, TINY, texts};

#[test]
fn nothing_runs_twice_and_lost_files_are_regenerated() {
    let env = Env::new(TINY);
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("Run (never ran)"), "{plan}");
    assert!(!env.path().join("runs").exists(), "plan must leave nothing behind");

    env.run(0, &["run", "spec.yaml"]);
    // Four variants (pretrained, chat alone, merged, sequential), two seeds, two suites each.
    assert_eq!(env.query("select count(distinct cell) from v_scores"), ["8"]);
    assert_eq!(env.query("select count(*) from v_scores where subtask is null"), ["16"]);
    assert_eq!(env.query("select distinct curriculum from v_scores where dataset is null"), ["pretrained"]);
    assert_eq!(
        env.query("select count(*) from v_scores where value < 0 or value > 100 or n <= 0 or chance is null"),
        ["0"]
    );
    // One tokenizer and three prepared texts; for each seed one pretraining and three tunings.
    assert_eq!(
        env.query("select kind, count(*) from job group by kind order by kind"),
        ["eval|16", "prepare|3", "pretrain|2", "tokenizer|1", "tune|6"]
    );

    let (scores, weights) = (env.scores(), env.weights());
    let attempts = env.query("select count(*) from attempt");
    env.run(0, &["run", "spec.yaml"]);
    let nothing = env.stderr(0, &["resume"]);
    assert!(nothing.contains("nothing to do"), "{nothing}");
    assert_eq!(env.query("select count(*) from attempt"), attempts);

    // Lost weights are noticed, named, and trained again to the same bits.
    let lost = env.query(
        "select attempt.folder || '/output/model.safetensors' from attempt join job on job.id = attempt.job \
         where job.kind = 'pretrain' and attempt.state = 'done' order by job.id limit 1",
    );
    std::fs::remove_file(env.path().join("runs").join(&lost[0])).expect("the weights are where the database says");
    let plan = env.run(0, &["plan", "spec.yaml"]);
    let gone: Vec<&str> = plan.lines().filter(|line| line.contains("its result is missing")).collect();
    assert!(gone.len() == 1 && gone[0].contains("pretrain") && gone[0].contains("model.safetensors"), "{plan}");
    env.run(0, &["run", "spec.yaml"]);
    assert_eq!((env.scores(), env.weights()), (scores, weights));
}

#[test]
fn a_lost_database_is_rebuilt_from_the_job_folders() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml"]);
    let items = "select suite, task, subtask, item, chosen, credit, scores, job from v_items order by 1, 2, 3, 4, 8";
    let metrics = "select job, name, step, value from metric order by 1, 2, 3";
    let before = (env.scores(), env.weights(), env.query(items), env.query(metrics));
    let folders = || std::fs::read_dir(env.path().join("runs/tiny")).unwrap().count();
    let count = folders();
    for file in ["runs.db", "runs.db-wal", "runs.db-shm"] {
        let _ = std::fs::remove_file(env.path().join("runs").join(file)); // the last two may not exist
    }
    let stderr = env.stderr(0, &["run", "spec.yaml"]);
    assert!(stderr.contains("note: recovered 28 finished jobs from ") && stderr.contains("nothing to do"), "{stderr}");
    assert_eq!((env.scores(), env.weights(), env.query(items), env.query(metrics)), before);
    assert_eq!((folders(), env.query("select distinct state from attempt")), (count, vec!["done".to_owned()]));
    assert!(!env.stderr(0, &["run", "spec.yaml"]).contains("note:"));
}

#[test]
fn report_prints_scores_and_a_comparison() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml"]);
    let table = env.run(0, &["report"]);
    for word in ["pretrained", "merged", "sequential", "blimp", "±"] {
        assert!(table.contains(word), "no '{word}' in\n{table}");
    }
    let comparison = env.run(0, &["report", "tiny", "--compare", "merged,sequential"]);
    assert!(comparison.contains("merged") && comparison.contains("sequential"), "{comparison}");
    let json: serde_json::Value = serde_json::from_str(&env.run(0, &["report", "--format", "json"])).expect("JSON");
    assert!(json.is_object() || json.is_array());
}

#[test]
fn a_change_reruns_only_what_depends_on_it() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml"]);
    let plan = env.run(0, &["plan", "spec.yaml", "-S", "tune.learning_rate=2e-3"]);
    let to_run =
        |kind: &str| plan.lines().filter(|line| line.trim_start().starts_with(kind) && line.contains("Run (")).count();
    assert_eq!((to_run("pretrain"), to_run("tune"), to_run("eval")), (0, 6, 12), "{plan}");
    // Each job has its reason: a field of its own, or the job that it builds on.
    let reasons = |kind: &str, reason: &str| {
        plan.lines().filter(|line| line.trim_start().starts_with(kind) && line.contains(reason)).count()
    };
    assert_eq!(reasons("tune", "Run (changed: training.learning_rate 0.001 -> 0.002)"), 6, "{plan}");
    assert_eq!(reasons("eval", "Run (changed: its model)"), 12, "{plan}");
    let plan = env.run(0, &["plan", "spec.yaml", "-S", "corpora.speech.words=7k"]);
    assert!(plan.contains("Run (changed: corpora.0.0.size 6000 -> 7000"), "{plan}");

    let stderr = env.stderr(0, &["run", "spec.yaml", "-S", "axes.seed=[1]"]);
    assert!(
        stderr.contains("note: nano/pretrained/seed2 and 3 more of the last run of tiny are no longer in the spec"),
        "{stderr}"
    );
    // The results of removed cells stay until `gc --unplanned` removes them.
    assert_eq!(env.run(0, &["gc"]), "");
    let listed = env.run(0, &["gc", "--unplanned", "--yes"]);
    assert_eq!(
        listed.lines().filter(|line| line.contains("seed2: no current experiment uses it")).count(),
        12,
        "{listed}"
    );
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
    let plan = env.run(0, &["plan", "spec.yaml"]);
    // Scores are in the database: it is the models that are gone.
    assert_eq!(plan.matches("its result is missing").count(), 4, "{plan}");
}

#[test]
fn empty_data_is_refused() {
    let spec = TINY
        .replace("speech: {world: speech, words: 6k}", "speech: {files: speech.txt}")
        .replace("{world: questions, records: 200}", "{files: q.jsonl, format: records, prompt: p, reply: r}");
    let env = Env::new(&spec);
    std::fs::write(env.path().join("speech.txt"), "\n\n").unwrap();
    std::fs::write(env.path().join("q.jsonl"), "{\"p\": \"why\", \"r\": \" \"}\n").unwrap();
    for verb in ["plan", "run"] {
        let stderr = env.stderr(6, &[verb, "spec.yaml"]);
        assert!(stderr.contains("no text to train on in corpus speech, dataset questions"), "{stderr}");
    }
    assert!(!env.path().join("runs").exists());
}

#[test]
fn records_without_a_reply_give_a_warning() {
    let env = Env::new(&TINY.replace("{world: questions, records: 200}", "{files: q.jsonl, prompt: p, reply: r}"));
    let rows =
        ["{\"p\": \"why\", \"r\": \"so\"}", "{\"p\": \"who\", \"r\": \" \"}", "{\"p\": \"when\", \"r\": \"now\"}"];
    std::fs::write(env.path().join("q.jsonl"), rows.join("\n")).unwrap();
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(
        plan.contains("warning: 1 record of dataset questions has no text to train on and will be left out\n"),
        "{plan}"
    );
}

/// A vocabulary larger than the text supports, and records longer than `max_length`, give warnings or an error.
#[test]
fn unused_vocabulary_and_cut_records_are_reported() {
    let spec = TINY.replace("[chat, [chat, questions]]", "[chat]").replace("seed: [1, 2]", "seed: [1]");
    let env = Env::new(&spec.replace("[pretrained, merged, sequential]", "[merged]"));
    let stderr = env.stderr(2, &["run", "spec.yaml", "-S", "tokenizer.vocab_size=20k", "-S", "tune.max_length=2"]);
    assert!(stderr.contains("no record has a token to predict within max_length 2: increase it"), "{stderr}");
    let warnings = |kind: &str| {
        let attempts = "select warnings from attempt join job on job.id = attempt.job where attempt.state = 'done'";
        env.query(&format!("{attempts} and kind = '{kind}'")).join("\n")
    };
    assert!(warnings("tokenizer").contains("of 20000 vocabulary entries"), "{}", warnings("tokenizer"));
    for (length, rest) in [(24, "; 3 of them have no token left to predict"), (30, "")] {
        env.run(0, &["run", "spec.yaml", "-S", &format!("tune.max_length={length}")]);
        let message = format!("of 180 records are truncated at max_length {length}{rest}");
        assert!(warnings("tune").lines().any(|line| line.ends_with(&message)), "{message}: {}", warnings("tune"));
    }
}

#[test]
fn bad_data_and_devices_are_found_before_the_first_job() {
    let world = "evaluate: {data: world, items: 20, suites: [blimp, blimp-supplement]}";
    let env = Env::new(&TINY.replace(world, "evaluate: {data: evaluation_data, suites: [blimp]}"));
    let folder = env.path().join("evaluation_data/fast_eval/blimp_fast");
    std::fs::create_dir_all(&folder).unwrap();
    let pair = r#"{"sentence_good": "the dog runs", "sentence_bad": "the dog run"}"#;
    std::fs::write(folder.join("agreement.jsonl"), format!("{pair}\n")).unwrap();
    for (text, reason) in
        [("", "binding.jsonl has no rows"), ("{}\n", "binding.jsonl:1: field `sentence_good` is missing")]
    {
        std::fs::write(folder.join("binding.jsonl"), text).unwrap();
        let stderr = env.stderr(6, &["run", "spec.yaml"]);
        assert!(stderr.contains("the data of blimp in ") && stderr.contains("fast_eval/blimp_fast"), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    let stderr = env.stderr(6, &["run", "spec.yaml", "--device", "cuda:200"]);
    assert!(stderr.contains("there is no device cuda:200"), "{stderr}");
    let stderr = env.stderr(1, &["run", "spec.yaml", "--device", "gpu"]);
    assert!(stderr.contains("a device is auto, cpu, or cuda:0"), "{stderr}");
    assert!(!env.path().join("runs").exists());
}

#[test]
fn a_second_coordinator_is_refused() {
    let env = Env::new(TINY);
    std::fs::create_dir(env.path().join("runs")).unwrap();
    let lock = std::fs::File::create(env.path().join("runs/.lock")).unwrap();
    lock.lock().unwrap();
    let stderr = env.stderr(7, &["run", "spec.yaml"]);
    assert!(stderr.contains("another grid is running there"), "{stderr}");
}

#[test]
fn a_closed_pipe_is_said_once() {
    let env = Env::new(TINY);
    let mut plan = env.command(&["plan", "spec.yaml", "--format", "json"]);
    let mut child = plan.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let (_, stderr) = texts(&output);
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(6), 1), "{stderr}");
}

#[test]
fn a_damaged_database_is_reported_and_left_unchanged() {
    let env = Env::new(TINY);
    std::fs::create_dir(env.path().join("runs")).unwrap();
    let database = env.path().join("runs/runs.db");
    std::fs::write(&database, "no database".repeat(1000)).unwrap();
    for arguments in [&["status"][..], &["run", "spec.yaml"]] {
        let stderr = env.stderr(6, arguments);
        assert!(
            stderr.contains("read runs.db: it is damaged") && stderr.contains("`grid run SPEC` will create"),
            "{stderr}"
        );
    }
    assert_eq!(std::fs::read_to_string(database).unwrap(), "no database".repeat(1000));
}

#[test]
fn missing_data_blocks_all_dependent_jobs() {
    let spec = TINY.replace("speech: {world: speech, words: 6k}", "speech: {files: texts/*.txt}");
    let env = Env::new(&spec);
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("not found: texts/*.txt (corpus speech), named in spec.yaml:3:19\n"), "{plan}");
    // All jobs that depend on the missing data, directly or not, are blocked.
    let plan = env.run(0, &["plan", "spec.yaml", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    for kind in plan["kinds"].as_array().expect("a list") {
        assert_eq!(kind["blocked"], kind["jobs"], "{kind}");
        assert!(kind["share"].is_null(), "the amount of work is unknown: {kind}");
    }
    assert!(!env.path().join("runs").exists());
}

#[test]
fn missing_evaluation_data_is_reported_with_its_source() {
    let world = "evaluate: {data: world, items: 20, suites: [blimp, blimp-supplement]}";
    assert!(TINY.contains(world));
    let spec = TINY.replace(world, "evaluate: {data: evaluation_data, suites: [entity-tracking, ewok]}");
    let env = Env::new(&spec);
    let stderr = env.stderr(1, &["run", "spec.yaml"]);
    let known = [
        "spec.yaml:16:18: not found: evaluation_data/fast_eval/entity_tracking_fast",
        "spec.yaml:16:18: not found: evaluation_data/fast_eval/ewok_fast",
        "https://osf.io/ryjfm/",
        "ewok_fast.zip",
        "may stay packed",
    ];
    assert!(known.iter().all(|text| stderr.contains(text)), "{stderr}");
    assert!(!env.path().join("runs").exists());
}

#[test]
fn plan_prints_json_and_graphs() {
    let env = Env::new(TINY);
    let json: serde_json::Value =
        serde_json::from_str(&env.run(0, &["plan", "spec.yaml", "--format", "json"])).expect("JSON");
    assert_eq!(json["jobs"].as_array().map(Vec::len), Some(28));
    assert!(env.run(0, &["plan", "spec.yaml", "--graph", "dot"]).starts_with("digraph"));
    assert!(env.run(0, &["plan", "spec.yaml", "--graph", "mermaid"]).starts_with("flowchart"));
}

/// Progress bars and the remaining time depend on the forecast, so it must grow with the data and the training steps.
#[test]
fn the_forecast_follows_the_amount_of_work() {
    let world = "evaluate: {data: world, items: 20, suites: [blimp, blimp-supplement]}";
    assert!(TINY.contains(world));
    let env = Env::new(&TINY.replace(world, "evaluate: {data: evaluation_data, suites: [blimp]}"));
    let pairs = env.path().join("evaluation_data/fast_eval/blimp_fast/pairs.jsonl");
    std::fs::create_dir_all(pairs.parent().expect("a folder")).expect("a writable temp folder");
    let work = |bytes: usize, settings: &[&str]| {
        let row = serde_json::json!({"sentence_good": "a b", "sentence_bad": "b a", "more": "x".repeat(bytes)});
        std::fs::write(&pairs, row.to_string()).expect("a writable temp folder");
        let plan = env.run(0, &[&["plan", "spec.yaml", "--format", "json"], settings].concat());
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        let kinds = plan["kinds"].as_array().expect("a list").iter();
        let work: BTreeMap<String, f64> = kinds
            .map(|kind| (kind["kind"].as_str().expect("text").to_owned(), kind["share"].as_f64().expect("a number")))
            .collect();
        assert!((work.values().sum::<f64>() - 1.0).abs() < 1e-9, "{work:?}");
        work["eval"] / work["pretrain"]
    };
    let (small, large) = (work(10_000_000, &[]), work(100_000_000, &[]));
    assert!((9.0..=10.0).contains(&(large / small)), "{small} {large}");
    let longer = work(100_000_000, &["-S", "pretrain.steps=6000"]);
    assert!((9.0..=100.0).contains(&(large / longer)), "{large} {longer}");
}

#[test]
fn status_logs_and_why_find_a_job() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml"]);
    let status = env.run(0, &["status", "tiny"]);
    assert!(status.contains("pretrain") && status.contains("done"), "{status}");
    let id = env.query("select id from job where kind = 'pretrain' order by id limit 1").remove(0);
    let logs = env.run(0, &["logs", &id[..10]]);
    assert!(logs.contains("started") || logs.contains("Started"), "{logs}");
    assert!(logs.contains("learning_rate ") && !logs.contains(".000000 at"), "{logs}");
    let why = env.run(0, &["why", &id[..10]]);
    assert!(why.contains("sequence_length"), "{why}");
    // The answer is about the experiment that has the job, even if another one ran later.
    env.run(0, &["run", "spec.yaml", "-S", "name=few", "-S", "axes={seed: [1]}"]);
    let why = env.run(0, &["why", "pretrain/nano/seed2"]);
    assert!(why.ends_with("next run of tiny: Reuse\n"), "{why}");
    env.stderr(4, &["logs", "no-such-job"]);
}

#[test]
fn without_remote_data_there_is_no_lock_file() {
    let env = Env::new(TINY);
    let message = env.stderr(0, &["data", "lock", "spec.yaml"]);
    assert!(message.contains("nothing to lock"), "{message}");
    let files = std::fs::read_dir(env.path()).expect("a folder").flatten();
    let files: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    assert_eq!(files, ["spec.yaml"]);
}

/// `-S data_root` is relative to the folder of the first call, even if the experiment is resumed from another folder.
#[test]
fn an_experiment_is_resumed_from_another_folder() {
    let spec = TINY.replace("speech: {world: speech, words: 6k}", "speech: {files: speech.txt, documents: line}");
    let env = Env::new(&spec);
    std::fs::create_dir_all(env.path().join("data")).expect("a folder");
    std::fs::create_dir_all(env.path().join("elsewhere")).expect("a folder");
    let line = |i: usize| format!("the small dog number {i} sees the big cat and the cat runs home\n");
    std::fs::write(env.path().join("data/speech.txt"), (0..400).map(line).collect::<String>()).expect("a file");
    env.run(0, &["run", "spec.yaml", "-S", "data_root=data"]);
    let mut resume = env.command(&["--runs-dir", "../runs", "resume"]);
    let output = resume.current_dir(env.path().join("elsewhere")).output().expect("the binary starts");
    let (_, stderr) = crate::common::texts(&output);
    assert!(output.status.success() && stderr.contains("nothing to do"), "{stderr}");
}

/// Options for the shortest possible benchmark.
const SHORT_BENCH: [&str; 8] = ["--rounds", "1", "--steps", "1", "--threads", "1", "--batch-size", "2"];

#[test]
fn bench_train_prints_a_table_and_json() {
    let env = Env::new(TINY);
    let shape = ["--model", "hidden=32,layers=2,heads=2,vocab_size=300", "--sequence-length", "16"];
    let text = env.run(0, &[&["bench", "train"], &SHORT_BENCH[..], &shape].concat());
    for row in ["2x32 f32", "2x32 bf16", "tokens/s", "MFU (share of that), %", "peak memory", "backward"] {
        assert!(text.contains(row), "{row}\n{text}");
    }
    let only = ["--precision", "bf16", "--format", "json"];
    let json = env.run(0, &[&["bench", "train"], &SHORT_BENCH[..], &shape, &only].concat());
    let speeds: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(speeds.as_array().unwrap().len(), 1);
    assert_eq!(speeds[0]["workload"]["precision"], "bf16");
    assert_eq!(speeds[0]["rounds"][0]["units"], 32);
    assert!(speeds[0]["ready"]["matmul_flops"].as_f64().unwrap() > 0.0);
}

#[test]
fn bench_generate_prints_a_table_and_json() {
    let env = Env::new(TINY);
    let short = ["bench", "generate", "--rounds", "1", "--threads", "1", "--prompts", "3", "--new-tokens", "5"];
    let shape = ["--model", "hidden=32,layers=2,heads=2,vocab_size=300"];
    let text = env.run(0, &[&short[..], &shape, &["--precision", "f32,bf16"]].concat());
    for row in ["generation speed on cpu, 1 threads", "f32", "bf16", "new tokens/s", "peak memory"] {
        assert!(text.contains(row), "{row}\n{text}");
    }
    let sampled = ["--temperature", "0.8", "--top-p", "0.9", "--format", "json"];
    let json = env.run(0, &[&short[..], &shape, &sampled].concat());
    let speeds: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(speeds[0]["workload"]["top_p"], 0.9);
    assert_eq!(speeds[0]["rounds"][0]["units"], 15);
    assert_eq!(speeds[0]["rounds"][0]["ids"].as_array().unwrap().len(), 15);
    let stderr = env.stderr(1, &[&short[..], &shape, &["--top-p", "0"]].concat());
    assert!(stderr.contains("top_p must be above 0 and at most 1, not 0"), "{stderr}");
}

#[test]
fn bench_train_measures_the_models_of_a_spec() {
    let env = Env::new(TINY);
    let json = env.run(0, &[&["bench", "train", "spec.yaml", "--format", "json"], &SHORT_BENCH[..]].concat());
    let speeds: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(speeds.as_array().unwrap().len(), 1);
    assert_eq!(speeds[0]["workload"]["model"]["vocab_size"], 400);
    assert_eq!(speeds[0]["workload"]["sequence_length"], 32);
}

#[test]
fn bench_train_refuses_bad_shapes_and_devices() {
    let env = Env::new(TINY);
    let stderr = env.stderr(1, &["bench", "train", "--model", "hiden=32,layers=2,heads=2,vocab_size=300"]);
    assert!(stderr.contains("'hiden'"), "{stderr}");
    let shape = ["bench", "train", "--model", "hidden=32,layers=2,heads=2,vocab_size=300", "--device", "cuda:99"];
    let stderr = env.stderr(6, &[&shape, &SHORT_BENCH[..]].concat());
    assert!(stderr.contains("cuda:99") && stderr.contains("the worker ended before it answered"), "{stderr}");
}

/// Ages of acquisition are one job over all milestones of a pretraining, shared with the tuned cells.
#[test]
fn ages_of_acquisition_come_from_the_milestones() {
    let spec = TINY
        .replace("warmup: 0.1}", "warmup: 0.1, milestones: {words: [1k, 2k, 3k, 6k]}}")
        .replace("suites: [blimp, blimp-supplement]", "suites: [aoa]")
        .replace("[1, 2]\n", "[1]\n");
    let env = Env::new(&spec);
    env.run(0, &["run", "spec.yaml"]);
    assert_eq!(env.query("select count(*) from job where kind = 'eval'"), ["1"]);
    let cells = env.query("select count(distinct cell) from v_scores where suite = 'aoa' and metric = 'pearson'");
    assert_eq!(cells, ["4"]);
    let stages = env.query("select subtask, count(*) > 20 from v_items where curriculum = 'pretrained' group by 1");
    assert_eq!(stages, ["1000-words|1", "2000-words|1", "3000-words|1", "6000-words|1"]);
    assert!(env.run(0, &["report"]).contains("aoa"));
}
