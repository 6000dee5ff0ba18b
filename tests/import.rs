//! Imported models in a spec: copied, scored and tuned like models that grid has trained.

use std::path::{Path, PathBuf};

use crate::common::{Env, TINY};

const THEIRS: &str = "\
name: theirs
datasets: {chat: {world: chat, records: 100}}
models: {theirs: {hf: theirs}}
tune: {epochs: 1, batch_size: 8, max_length: 64, learning_rate: 1e-3}
axes: {dataset: [chat], curriculum: [pretrained, merged], seed: [1, 2]}
evaluate: {data: world, items: 20, suites: [blimp, blimp-supplement]}
resources: {threads: 1}
";

/// The output folder of the first job of this kind.
fn output(env: &Env, kind: &str) -> PathBuf {
    let sql = format!(
        "select attempt.folder || '/output' from attempt join job on job.result = attempt.id \
         where job.kind = '{kind}' order by job.id limit 1"
    );
    env.path().join("runs").join(&env.query(&sql)[0])
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

/// An environment with a model folder from another experiment, `theirs`, and a spec that imports it, `theirs.yaml`.
pub(crate) fn with_a_model() -> Env {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml", "-S", "axes={seed: [1]}"]);
    copy(&output(&env, "pretrain"), &env.path().join("theirs"));
    std::fs::write(env.path().join("theirs.yaml"), THEIRS).expect("a spec");
    env
}

#[test]
fn an_imported_model_is_scored_and_tuned() {
    let env = with_a_model();
    let plan = env.run(0, &["plan", "theirs.yaml"]);
    let parameters = |plan: &str, name: &str| {
        let line = plan.lines().find(|line| line.trim_start().starts_with(name) && line.contains("llama"));
        line.and_then(|line| line.split_whitespace().nth(2)).map(str::to_owned)
    };
    let ours = parameters(&env.run(0, &["plan", "spec.yaml"]), "nano");
    assert!(ours.is_some() && parameters(&plan, "theirs") == ours, "{plan}");
    let limited = env.run(0, &["plan", "theirs.yaml", "-S", "budget.track=strict-small"]);
    assert!(
        limited.contains("warning: the word ledger does not include the text that imported models were trained on"),
        "{limited}"
    );

    env.run(0, &["run", "theirs.yaml"]);
    assert_eq!(
        env.query("select kind, count(*) from v_jobs where experiment = 'theirs' group by kind order by kind"),
        ["eval|6", "import|1", "prepare|1", "tune|2"]
    );
    let scores = |experiment: &str| {
        env.query(&format!(
            "select task, subtask, value from v_scores where experiment = '{experiment}' and curriculum = 'pretrained' \
             order by 1, 2"
        ))
    };
    assert_eq!(scores("theirs"), scores("tiny"), "the same weights give the same scores");
    assert_eq!(env.query("select count(distinct cell) from v_scores where experiment = 'theirs'"), ["3"]);

    // Files that are not part of the model do not change the job; those of the model do.
    std::fs::write(env.path().join("theirs/README.md"), "about it").expect("a file");
    let again = env.stderr(0, &["run", "theirs.yaml"]);
    assert!(again.contains("nothing to do"), "{again}");
    let config = env.path().join("theirs/config.json");
    let text = std::fs::read_to_string(&config).expect("a configuration").replace("10000.0", "20000.0");
    std::fs::write(&config, text).expect("a file");
    let plan = env.run(0, &["plan", "theirs.yaml"]);
    assert!(
        plan.lines().any(|line| line.trim_start().starts_with("import") && line.contains("changed: its data")),
        "{plan}"
    );
}

/// The layout of GPT-2 and OPT: the vocabulary and the merges in files of their own, which are inputs like the weights.
#[test]
fn a_vocabulary_with_merges_is_imported_under_its_digest() {
    let env = with_a_model();
    let model = env.path().join("theirs");
    let tokenizer = std::fs::read_to_string(model.join("tokenizer.json")).expect("a tokenizer");
    let tokenizer: serde_json::Value = serde_json::from_str(&tokenizer).expect("JSON");
    let tokens = || {
        let shown = env.run(0, &["data", "tokens", "--model", "theirs", "--format", "json", "--", "The dog's"]);
        serde_json::from_str::<serde_json::Value>(&shown).expect("JSON")["texts"][0]["ids"].clone()
    };
    let before = tokens();
    let lines: Vec<String> = tokenizer["model"]["merges"]
        .as_array()
        .expect("merges")
        .iter()
        .map(|pair| format!("{} {}\n", pair[0].as_str().expect("a token"), pair[1].as_str().expect("a token")))
        .collect();
    let write = |name: &str, text: &str| std::fs::write(model.join(name), text).expect("a file");
    write("vocab.json", &tokenizer["model"]["vocab"].to_string());
    write("merges.txt", &format!("#version: 0.2\n{}", lines.concat()));
    write("tokenizer_config.json", r#"{"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}"#);
    std::fs::remove_file(model.join("tokenizer.json")).expect("the tokenizer");
    assert_eq!(tokens(), before);

    let id = || {
        let plan = env.run(0, &["plan", "theirs.yaml"]);
        // The kinds of jobs come first, then the jobs with their ids.
        plan.lines().rfind(|line| line.starts_with("  import ")).expect("an import").to_owned()
    };
    let first = id();
    // The last merge is a rule of its own.
    write("merges.txt", &format!("#version: 0.2\n{}", lines[..lines.len() - 1].concat()));
    assert_ne!(first, id());
    env.run(0, &["run", "theirs.yaml"]);
    // What is tuned from it has the same tokenizer.
    for kind in ["import", "tune"] {
        let output = output(&env, kind);
        assert!(["vocab.json", "merges.txt"].iter().all(|name| output.join(name).is_file()), "{kind}");
        assert!(!output.join("tokenizer.json").exists(), "{kind}");
    }
    write("tokenizer_config.json", r#"{"tokenizer_class": "Qwen2Tokenizer"}"#);
    let refusal = env.stderr(6, &["plan", "theirs.yaml"]);
    assert!(refusal.contains("'tokenizer_class' is \"Qwen2Tokenizer\"; create it with"), "{refusal}");
}

/// The official recipe has the dropout of the configuration. A model without it has the job of a spec without the key.
#[test]
fn dropout_changes_the_fine_tunings_of_models_that_have_it() {
    let env = with_a_model();
    let jobs = |keys: &[&str]| -> Vec<String> {
        let mut arguments = vec!["plan", "theirs.yaml", "--format", "json"];
        let common = ["evaluate.suites=[glue]", "finetune.tasks=[wsc]", "finetune.mode=compat"];
        arguments.extend(common.iter().chain(keys).flat_map(|key| ["-S", *key]));
        let plan: serde_json::Value = serde_json::from_str(&env.run(0, &arguments)).expect("JSON");
        let jobs = plan["jobs"].as_array().expect("jobs");
        let finetunings = jobs.iter().filter(|job| job["kind"] == "finetune");
        finetunings.map(|job| job["id"].to_string()).collect()
    };
    let (default, none, model) = (jobs(&[]), jobs(&["finetune.dropout=none"]), jobs(&["finetune.dropout=model"]));
    assert_eq!(default.len(), 3, "the imported model once, and two tuned ones: {default:?}");
    assert_eq!((&default, &default), (&none, &model));

    let path = env.path().join("theirs/config.json");
    let config = std::fs::read_to_string(&path).expect("a configuration");
    let dropping = config.replace("\"attention_dropout\": 0.0", "\"attention_dropout\": 0.2");
    std::fs::write(path, dropping).expect("a file");
    let (default, none, model) = (jobs(&[]), jobs(&["finetune.dropout=none"]), jobs(&["finetune.dropout=model"]));
    assert_eq!(default, model);
    let changed = default.iter().filter(|job| !none.contains(job)).count();
    assert_eq!(changed, 1, "tuned models have no dropout in their configuration");

    let one = ["-S", "axes={curriculum: [pretrained]}", "-S", "evaluate.suites=[glue]", "-S", "finetune.mode=compat"];
    let warned = |dropout: &str| {
        let key = format!("finetune.dropout={dropout}");
        env.run(0, &[&["plan", "theirs.yaml", "-S", &key], &one[..]].concat()).contains("without the dropout of 0.2")
    };
    assert_eq!(["model", "0.1", "none"].map(warned), [false, false, true]);
}

#[test]
fn an_unusable_model_is_refused_before_anything_runs() {
    let env = with_a_model();
    let theirs = env.path().join("theirs");
    let long = env.stderr(1, &["run", "theirs.yaml", "-S", "tune.max_length=5000"]);
    assert!(long.contains("whose model has 2048 positions") && long.contains("max_length: 2048"), "{long}");

    let config = std::fs::read_to_string(theirs.join("config.json")).expect("a configuration");
    std::fs::write(theirs.join("config.json"), config.replace("\"attention_bias\": false", "\"attention_bias\": true"))
        .expect("a file");
    let biased = env.stderr(6, &["plan", "theirs.yaml"]);
    assert!(biased.contains("config.json: 'attention_bias' is true; only false"), "{biased}");
    let dropping = config.replace("\"attention_dropout\": 0.0", "\"attention_dropout\": 0.2");
    std::fs::write(theirs.join("config.json"), dropping).expect("a file");
    let message = "warning: theirs is trained without the dropout of 0.2 in its configuration";
    assert!(env.run(0, &["plan", "theirs.yaml"]).contains(message));
    assert!(!env.run(0, &["plan", "theirs.yaml", "-S", "axes.curriculum=[pretrained]"]).contains("dropout"));
    std::fs::write(theirs.join("config.json"), config).expect("a file");

    std::fs::rename(theirs.join("model.safetensors"), theirs.join("pytorch_model.bin")).expect("a file");
    let pickle = env.stderr(6, &["run", "theirs.yaml"]);
    assert!(pickle.contains("a pickle file, which can execute arbitrary code"), "{pickle}");

    std::fs::remove_dir_all(&theirs).expect("a folder");
    let plan = env.run(0, &["plan", "theirs.yaml"]);
    assert!(plan.contains("not found: hf:theirs@main, and there is no folder theirs"), "{plan}");
    let missing = env.stderr(1, &["run", "theirs.yaml", "-S", "models.theirs.hf=./theirs"]);
    assert!(missing.starts_with("-S models.theirs.hf=./theirs: not found: ./theirs\n"), "{missing}");
    let hub = env.stderr(6, &["run", "theirs.yaml", "--offline", "-S", "models.theirs.hf=org/no-such-model"]);
    assert!(hub.contains("models.theirs: hf:org/no-such-model@main") && hub.contains("grid is offline"), "{hub}");
    assert_eq!(env.query("select count(*) from experiment"), ["1"]);
}

/// The import job fails if weights are missing, and its message names them.
#[test]
fn the_import_job_fails_and_names_missing_weights() {
    let env = with_a_model();
    let config = env.path().join("theirs/config.json");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3")).expect("a file");
    let failed = env.stderr(2, &["run", "theirs.yaml"]);
    assert!(
        failed.contains("'model.layers.2.input_layernorm.weight', 'model.layers.2.self_attn.q_proj.weight'"),
        "{failed}"
    );
    assert!(failed.contains(" and 6 more are missing"), "{failed}");
}

/// An experiment with milestones, whose model is exported with a folder for each of them.
pub(crate) fn with_revisions() -> Env {
    let spec = TINY
        .replace("steps: 60", "steps: 60, milestones: {words: [500, 1k, 1500]}")
        .replace("  dataset: [chat, [chat, questions]]\n", "")
        .replace("curriculum: [pretrained, merged, sequential]", "curriculum: [pretrained]")
        .replace("suites: [blimp, blimp-supplement]", "suites: [blimp, aoa], checkpoints: {suites: [blimp]}");
    let env = Env::new(&spec);
    env.run(0, &["run", "spec.yaml"]);
    let commands = env.run(0, &["export", "hf", "nano/seed1", "theirs", "--branches", "--repo", "org/name"]);
    let expected: String = ["500-words", "1000-words", "1500-words", "main"]
        .map(|name| format!("hf upload org/name {name} . --revision {name}\n"))
        .concat();
    assert_eq!(commands, expected);
    assert_eq!(std::fs::read_to_string(env.path().join("theirs/UPLOAD.txt")).expect("a file"), expected);
    env
}

/// A grid with a model of its own and an imported one, which is scored at its revisions.
const BASELINE: &str = "\
name: both
corpora: {speech: {world: speech, words: 6k}}
tokenizer: {vocab_size: 400}
models:
  nano: {hidden: 32, layers: 2, heads: 2}
  baseline: {hf: theirs, revisions: {500-words: 500, 1000-words: 1k, 1500-words: 1500}}
pretrain: {sequence_length: 32, steps: 60, batch_size: 8, learning_rate: 3e-3, milestones: {words: [500, 1k, 1500]}}
axes: {seed: [2, 3]}
evaluate: {data: world, items: 20, suites: [blimp, aoa], checkpoints: {suites: [blimp]}}
resources: {threads: 1, checkpoint_every: 1}
";

#[test]
fn the_revisions_of_an_imported_model_are_scored_like_milestones() {
    let env = with_revisions();
    let card = |name: &str| std::fs::read_to_string(env.path().join("theirs").join(name).join("README.md"));
    let milestone = card("1000-words").expect("a card");
    assert!(milestone.contains("This is the copy of the model after 1k words"), "{milestone}");
    let words = |card: &str| -> u64 {
        let (_, rest) = card.split_once("counted again in every epoch: ").expect("the words");
        let digits: String = rest.chars().take_while(|c| *c != '.').filter(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    let main = card("main").expect("a card");
    assert!((990..1_100).contains(&words(&milestone)) && words(&main) > 2_000, "{milestone}{main}");
    assert!(milestone.contains("| blimp | blimp |") && !milestone.contains("| aoa |"), "{milestone}");

    std::fs::write(env.path().join("both.yaml"), BASELINE).expect("a spec");
    env.run(0, &["run", "both.yaml"]);
    let scores = |experiment: &str, cell: &str| {
        env.query(&format!(
            "select checkpoint, task, ifnull(subtask, ''), printf('%.9g', value), n from v_scores \
             where experiment = '{experiment}' and cell = '{cell}' order by 1, 2, 3"
        ))
    };
    let theirs = scores("both", "baseline/pretrained/seed2");
    assert_eq!(theirs, scores("tiny", "nano/pretrained/seed1"), "the same weights give the same scores");
    for checkpoint in ["500-words", "1000-words", "1500-words", "final"] {
        assert!(theirs.iter().any(|row| row.starts_with(&format!("{checkpoint}|"))), "{checkpoint}");
    }
    assert!(theirs.iter().any(|row| row.starts_with("final|aoa|")), "{theirs:?}");
    let curve = env.run(0, &["report", "both", "--curve"]);
    for words in ["500 words", "1k words", "1500 words", "full training"] {
        for model in ["nano", "baseline"] {
            let is_row = |line: &&str| line.contains(model) && line.contains(words);
            assert!(curve.lines().any(|line| is_row(&line)), "{model} {words}\n{curve}");
        }
    }
    assert_eq!(curve.matches("imported: baseline is theirs").count(), 2, "{curve}");

    let form = env.run(0, &["export", "form", "both", "--format", "csv"]);
    let rows: Vec<Vec<&str>> = form.lines().map(|line| line.split(',').collect()).collect();
    let value = |model: &str, head: &str| {
        let column = rows[0].iter().position(|known| *known == head).expect(head);
        rows.iter().find(|row| row[0] == model).unwrap_or_else(|| panic!("no {model} in\n{form}"))[column]
    };
    let (own, other) = ("nano/pretrained/seed3", "baseline/pretrained/seed2");
    assert_eq!(value(own, "parameters"), value(other, "parameters"));
    assert_eq!([value(own, "vocabulary"), value(own, "sequence length"), value(own, "steps")], ["400", "32", "60"]);
    assert_eq!([value(own, "optimizer"), value(own, "learning rate"), value(own, "seed")], ["AdamW", "3e-3", "3"]);
    for head in ["words seen", "tokens", "tokens/s", "FLOPs", "epochs"] {
        assert!(value(own, head).parse::<f64>().is_ok_and(|number| number > 0.0), "{head}\n{form}");
        assert_eq!(value(other, head), "", "what an imported model has read is not known");
    }
    assert!(env.run(0, &["export", "form", "both"]).contains("| largest gradient norm "));

    // A further revision adds its own evaluation and repeats that of all of them, but no other job.
    let fewer = "-Smodels.baseline.revisions={500-words: 500, 1000-words: 1k, 1500-words: 1500, main: 9k}";
    let plan = env.run(0, &["plan", "both.yaml", fewer]);
    let to_run: Vec<&str> = plan.lines().filter(|line| line.contains("  Run (")).collect();
    assert_eq!(to_run.len(), 2, "{plan}");
    assert!(to_run.iter().all(|line| line.contains("aoa") || line.contains("9k words")), "{plan}");

    let missing = env.stderr(6, &["plan", "both.yaml", "-Smodels.baseline.revisions=[chck_1M, chck_2M, chck_3M]"]);
    assert!(missing.contains("theirs: has no folder chck_1M, which would be the revision of this name"), "{missing}");
    let few = env.stderr(1, &["plan", "both.yaml", "-Smodels.baseline={hf: theirs}"]);
    assert!(few.contains("aoa needs at least three milestones in words, but the model 'baseline' has fewer"), "{few}");
}

#[test]
fn a_model_without_milestones_has_no_branches() {
    let env = with_a_model();
    let refused = env.stderr(4, &["export", "hf", "nano/seed1", "out", "--branches"]);
    assert!(refused.contains("nano/seed1 has no milestones to export: its pretraining kept none"), "{refused}");
    assert!(!env.path().join("out").exists());
    let alone = env.stderr(1, &["export", "hf", "nano/seed1", "out", "--repo", "org/name"]);
    assert!(alone.contains("--branches"), "{alone}");
}
