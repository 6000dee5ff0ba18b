//! Test sets of the user's own: minimal pairs, multiple-choice tasks, and bits per byte.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::recordings::recording;
use crate::common::{Env, TINY};

/// Thirty pairs in three groups, two items to a cluster.
fn pairs() -> String {
    let groups = [("agreement", "The dog sees it.", "The dog see it."), ("order", "She is here.", "Here she she.")];
    let mut rows = vec![];
    for number in 0..10 {
        for (group, good, bad) in groups {
            let (good, bad) = (format!("{number} {good}"), format!("{number} {bad}"));
            rows.push(json!({"good": good, "bad": bad, "group": group, "cluster": number / 2}));
        }
        let options = ["a dog", "a cat", "a bird"];
        rows.push(
            json!({"prefix": format!("Look {number} at"), "options": options, "gold": number % 3, "group": "choice"}),
        );
    }
    rows.iter().map(|row| row.to_string() + "\n").collect()
}

fn with_pairs() -> Env {
    let env = Env::new(TINY);
    fs::write(env.path().join("pairs.jsonl"), pairs()).expect("a file");
    fs::write(env.path().join("speech.txt"), "The dog is here.\n\nLook at the dog! It is small.\n").expect("a file");
    env
}

/// The arguments of a small grid with two conditions of two seeds, evaluated on these suites.
fn small<'a>(verb: &'a str, suites: &'a str) -> Vec<&'a str> {
    let axes = "axes={dataset: [[chat, questions]], curriculum: [merged, sequential], seed: [1, 2]}";
    vec![verb, "spec.yaml", "-S", axes, "-S", suites]
}

const SUITES: &str = "evaluate={data: world, items: 20, suites: [blimp, {name: my-pairs, files: pairs.jsonl}, {name: speech, \
                      format: perplexity, files: speech.txt}]}";

#[test]
fn a_test_set_is_scored_compared_and_shown_under_its_own_name() {
    let env = with_pairs();
    let shown = env.run(
        0,
        &[
            &small("data", SUITES)[..0],
            &["data", "show", "spec.yaml", "--suite", "my-pairs", "-n", "3"],
            &["-S", SUITES],
        ]
        .concat(),
    );
    insta::assert_snapshot!(shown, @"
    suite my-pairs: 30 items, mode fixed, tokenizer of nano

    agreement 0
     candidate 0
      context  0
               17
      scored    |The| do|g| se|es| |it|.
               222 277 278 72 389 260 222 288 15
     candidate 1
      context  0
               17
      scored    |The| do|g| se|e| |it|.
               222 277 278 72 389 70 222 288 15

    order 0
     candidate 0
      context  0
               17
      scored    She| is| he|re|.
               354 287 385 269 15
     candidate 1
      context  0
               17
      scored    |H|e|re| s|he| s|he|.
               222 41 70 269 271 258 271 258 15

    choice 0
     candidate 0
      context  Look| |0| at
               368 222 17 367
      scored    a| do|g
               264 278 72
     candidate 1
      context  Look| |0| at
               368 222 17 367
      scored    a| c|at
               264 270 268
     candidate 2
      context  Look| |0| at
               368 222 17 367
      scored    a| b|ir|d
               264 265 302 69
    ");
    env.run(0, &small("run", SUITES));
    let groups =
        "select suite, task, subtask, n, chance from v_scores where task = 'my-pairs' group by 1, 2, 3 order by 3";
    assert_eq!(
        env.query(groups),
        [
            "pairs|my-pairs||30|44.444444444444436",
            "pairs|my-pairs|agreement|10|50",
            "pairs|my-pairs|choice|10|33.33333333333333",
            "pairs|my-pairs|order|10|50"
        ]
    );
    let report = env.run(0, &["report", "tiny", "--compare", "merged,sequential", "--items"]);
    assert!(report.contains("my-pairs") && report.contains("speech bits-per-byte"), "{report}");
    assert_eq!(report.matches("lower values are better").count(), 2, "{report}");
    let compared = env.run(0, &["report", "tiny", "--compare", "merged,sequential", "--format", "csv"]);
    let row = compared.lines().find(|line| line.contains(",my-pairs,")).unwrap_or_else(|| panic!("{compared}"));
    assert!(row.contains(",accuracy,") && row.contains("paired t"), "{row}");
    let subtasks = env.run(0, &["report", "tiny", "--subtasks", "my-pairs"]);
    assert!(["agreement", "order", "choice"].iter().all(|group| subtasks.contains(group)), "{subtasks}");
    let items = env.path().join("items.csv");
    env.run(0, &["export", "items", "tiny", items.to_str().expect("UTF-8")]);
    let rows = fs::read_to_string(items).expect("a file");
    assert_eq!(rows.lines().filter(|line| line.contains(",my-pairs,")).count(), 4 * 30);
    // The same test set by name in another place: the spec's name for it is a part of its identity, its path is not.
    fs::rename(env.path().join("pairs.jsonl"), env.path().join("moved.jsonl")).expect("a file");
    let moved = SUITES.replace("pairs.jsonl", "moved.jsonl");
    let attempts = env.query("select count(*) from attempt");
    env.run(0, &small("run", &moved));
    assert_eq!(env.query("select count(*) from attempt"), attempts, "nothing is computed again");
}

#[test]
fn a_named_table_has_columns_of_test_sets() {
    let env = with_pairs();
    let table = "tables={mine: {columns: [my-pairs, speech, blimp]}}";
    env.run(0, &[&small("run", SUITES)[..], &["-S", table]].concat());
    let shown = env.run(0, &["report", "tiny", "--table", "mine"]);
    let head = shown.lines().find(|line| line.contains("my-pairs")).unwrap_or_else(|| panic!("{shown}"));
    assert!(head.contains("speech") && head.contains("blimp"), "{shown}");
    let z_scores = "tables={mine: {columns: [my-pairs, speech], show: z_scores}}";
    let refused = env.stderr(1, &[&small("plan", SUITES)[..], &["-S", z_scores]].concat());
    assert!(refused.contains("'speech' has no place among z-scores"), "{refused}");
}

#[test]
fn a_file_with_a_test_set_is_evaluated_without_a_spec() {
    let env = with_pairs();
    env.run(0, &small("run", "evaluate={data: world, items: 20, suites: [blimp]}"));
    fs::create_dir(env.path().join("tests")).expect("a folder");
    fs::write(env.path().join("tests/pairs.yaml"), "name: my-pairs\nfiles: ../pairs.jsonl\nlength: token\n")
        .expect("a file");
    let table = env.run(0, &["eval", "nano/seed1", "nano/seed2", "--suite", "tests/pairs.yaml"]);
    assert!(table.contains("my-pairs") && table.contains("length=token"), "{table}");
    let missing = env.stderr(1, &["eval", "nano/seed1", "--suite", "tests/none.yaml"]);
    assert!(missing.contains("tests/none.yaml cannot be read"), "{missing}");
}

#[test]
fn what_is_wrong_with_a_test_set_is_said_before_anything_runs() {
    let env = with_pairs();
    let refused = |suites: &str, code: i32| {
        let suites = format!("evaluate={{suites: [{suites}]}}");
        let text = env.stderr(code, &small("plan", &suites));
        text.replace(&env.path().display().to_string(), "FOLDER")
    };
    fs::write(env.path().join("bad.jsonl"), "{\"good\": \"a\", \"bad\": \"b\"}\n{\"good\": \"a\"}\n").expect("a file");
    fs::write(env.path().join("task.yaml"), "task: t\noutput_type: generate_until\ndoc_to_text: !function u.f\n")
        .expect("a file");
    fs::write(env.path().join("group.yaml"), "group: g\ntask: [a, b]\noutput_type: generate_until\n").expect("a file");
    insta::assert_snapshot!(
        [
            refused("{name: blimp, files: pairs.jsonl}", 1),
            refused("{name: a, files: pairs.jsonl}, {name: a, files: speech.txt}", 1),
            refused("{name: a, files: pairs.jsonl, format: peplexity}", 1),
            refused("{name: a, files: pairs.jsonl, fields: {god: x}}", 1),
            refused("blipm", 1),
            refused("task.yaml", 1),
            refused("group.yaml", 1),
            refused("{name: a, files: bad.jsonl}", 6),
        ]
        .join("\n"),
        @"
        -S evaluate={suites: [{name: blimp, files: pairs.jsonl}]}: a test set cannot be named 'blimp'
          help: tables have a column of this name; choose another one

        -S evaluate={suites: [{name: a, files: pairs.jsonl}, {name: a, files: speech.txt}]}: two test sets are named 'a'
          help: give one of them another `name`

        -S evaluate={suites: [{name: a, files: pairs.jsonl, format: peplexity}]}: 'format' must be one of pairs, perplexity, in-context, not 'peplexity'
          help: did you mean 'perplexity'?

        -S evaluate={suites: [{name: a, files: pairs.jsonl, fields: {god: x}}]}: unknown key 'god'
          help: did you mean 'gold'?

        -S evaluate={suites: [blipm]}: missing key 'data'
          help: such as `data: evaluation_data`, or `data: world`
        -S evaluate={suites: [blipm]}: unknown suite 'blipm'
          help: did you mean 'blimp'?

        task.yaml:3:1: 'doc_to_text' is a Python function, which is not supported
          help: write the processed rows into a file, or a Jinja template in place of the function

        group.yaml:1:1: missing key 'dataset_path'
          help: `json`, `csv`, `parquet`, or a dataset of the Hub
        group.yaml:1:1: missing key 'doc_to_choice'
          help: the answers
        group.yaml:1:1: missing key 'doc_to_target'
          help: the right answer: its index or text
        group.yaml:1:1: missing key 'doc_to_text'
          help: the question, as a field or a template
        group.yaml:1:1: missing key 'task'
          help: the name in tables, such as `task: my-questions`
        group.yaml:1:1: missing key 'test_split'
          help: the rows to score, such as `test_split: test`
        group.yaml:1:8: 'group' is not supported
          help: list the tasks of the group under `suites`, each as an entry of its own
        group.yaml:2:7: 'task' must be text, not a list
          help: write a word, or text in quotes
        group.yaml:3:14: 'output_type' must be multiple_choice, not 'generate_until'
          help: such as multiple_choice

        grid: the data of a cannot be used: failed to read bad.jsonl: line 2: field 'bad' is missing; the row has 'good'; expected rows of a test set (json)
        "
    );
}

/// A folder with a model of one layer whose weights are all zero, so that every token has the same probability, and a
/// tokenizer whose tokens are the 256 bytes.
fn uniform_model(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let (hidden, vocabulary) = (8, 256);
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": 16,
        "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": vocabulary,
        "max_position_embeddings": 32, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false,
        "hidden_act": "silu", "torch_dtype": "float32",
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("a file");
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![vocabulary, hidden]),
        ("model.norm.weight".to_owned(), vec![hidden]),
        ("lm_head.weight".to_owned(), vec![vocabulary, hidden]),
        (layer("input_layernorm"), vec![hidden]),
        (layer("post_attention_layernorm"), vec![hidden]),
        (layer("mlp.down_proj"), vec![hidden, 16]),
    ];
    shapes.extend(["q", "k", "v", "o"].map(|name| (layer(&format!("self_attn.{name}_proj")), vec![hidden, hidden])));
    shapes.extend(["gate", "up"].map(|name| (layer(&format!("mlp.{name}_proj")), vec![16, hidden])));
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]}));
    }
    let header = Value::from(header).to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.resize(bytes.len() + end, 0);
    fs::write(folder.join("model.safetensors"), bytes).expect("a file");
    // The alphabet of byte-level tokenizers: printable characters stand for themselves, the others for further ones.
    let printable = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others = (0..256u32).filter(|byte| !printable(byte)).zip(256..);
    let alphabet = (0..256u32).filter(printable).map(|byte| (byte, byte)).chain(others);
    let vocab: serde_json::Map<String, Value> = alphabet
        .map(|(byte, shown)| (char::from_u32(shown).expect("a character").to_string(), Value::from(byte)))
        .collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": byte_level, "post_processor": byte_level, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    });
    fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).expect("a file");
    let config = json!({"tokenizer_class": "PreTrainedTokenizerFast"});
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).expect("a file");
}

#[test]
fn a_uniform_model_over_bytes_has_eight_bits_per_byte() {
    let env = Env::new(TINY);
    uniform_model(&env.path().join("uniform"));
    // Longer than the 32 positions of the model, with characters of several bytes.
    let text = format!("{}\n\nNaïve café – 東京.\n", "A long line of plain text. ".repeat(9));
    fs::write(env.path().join("text.txt"), text).expect("a file");
    fs::write(env.path().join("text.yaml"), "name: text\nformat: perplexity\nfiles: text.txt\n").expect("a file");
    env.run(0, &["eval", "uniform", "--suite", "text.yaml"]);
    let scores = env.query("select metric, value, n from v_scores order by metric");
    let value = |metric: &str| -> f64 {
        let row = scores.iter().find(|row| row.starts_with(metric)).unwrap_or_else(|| panic!("{scores:?}"));
        row.split('|').nth(1).and_then(|value| value.parse().ok()).expect("a number")
    };
    assert!((value("bits-per-byte") - 8.0).abs() < 1e-6, "{scores:?}");
    assert!((value("perplexity") - 256.0).abs() < 1e-3, "{scores:?}");
    assert!(scores.iter().all(|row| row.ends_with("|2")), "two documents: {scores:?}");
}

/// Text in lower case is more probable than the text that was scored, and nothing in the score would show it.
#[test]
fn what_the_tokenizer_drops_from_a_text_is_a_warning() {
    let env = Env::new(TINY);
    let folder = env.path().join("lower");
    uniform_model(&folder);
    let edit = |change: &dyn Fn(&mut Value)| {
        let path = folder.join("tokenizer.json");
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        change(&mut tokenizer);
        fs::write(path, tokenizer.to_string()).expect("a file");
    };
    fs::write(env.path().join("text.txt"), "The Dog sees it.\n\nnothing is lost\n\nA quiz\n").expect("a file");
    fs::write(env.path().join("text.yaml"), "name: text\nformat: perplexity\nfiles: text.txt\n").expect("a file");
    let warning = || {
        let stderr = env.stderr(0, &["eval", "lower", "--suite", "text.yaml", "--name", "dropped"]);
        stderr.lines().find_map(|line| Some(line.split_once("warning: text: ")?.1.to_owned()))
    };
    assert_eq!(warning(), None);
    edit(&|tokenizer| {
        tokenizer["normalizer"] = json!({"type": "Lowercase"});
        // The letter q is none of its tokens.
        let vocab = tokenizer["model"]["vocab"].as_object_mut().expect("an object");
        let id = vocab.remove("q").expect("a token");
        vocab.insert("<unk>".to_owned(), id);
        tokenizer["model"]["unk_token"] = "<unk>".into();
    });
    let message = warning().expect("a warning");
    insta::assert_snapshot!(message, @r#"1 of 34 tokens are the unknown token "<unk>", and the ids of 2 of 3 texts stand for another text, without 4 of 34 bytes (the first: "The Dog sees it." becomes "the dog sees it."); a model spends no bits on what its tokenizer drops, so that bits per byte and perplexity are too low: they are not comparable with those of other tokenizers"#);
    let stored = env.query("select warnings from attempt where warnings is not null");
    assert_eq!(stored, [format!("text: {message}")]);
    let status = env.run(0, &["status", "dropped"]);
    assert!(status.contains(&format!("text: {message}")), "{status}");
    let suites = "evaluate={suites: [{name: text, format: perplexity, files: text.txt}]}";
    let show =
        ["data", "show", "spec.yaml", "--suite", "text", "-n", "1", "-S", "models={lower: {hf: lower}}", "-S", suites];
    let shown = env.run(0, &[&show[..], &["-S", "axes={seed: [1]}"]].concat());
    let first = "warning: text: the ids of 1 of 1 texts stand for another text, without 2 of 15 bytes (the first: \
                 \"The Dog sees it.\" becomes \"the dog sees it.\"); ";
    assert!(shown.contains(first) && shown.contains("other tokenizers (of the 1 item shown)\n"), "{shown}");
}

/// The scores that lm-evaluation-harness gave (`benches/harness.py`), item by item.
#[test]
fn golden_tasks_of_the_harness_give_its_scores() {
    let Some(model) = recording("golden/llama-a/model") else { return };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/harness");
    let recorded = fs::read_to_string(fixtures.join("recorded.json")).expect("a recording");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let env = Env::new(TINY);
    let tasks = recorded["tasks"].as_array().expect("tasks");
    let files = tasks.iter().map(|task| fixtures.join(format!("{}.yaml", task["task"].as_str().expect("a name"))));
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    let model = model.to_str().expect("UTF-8");
    env.run(0, &["eval", model, "--suite", &files.join(","), "--mode", "compat", "--name", "harness"]);
    for task in tasks {
        let name = task["name"].as_str().expect("a name");
        for (ours, theirs) in
            [("accuracy", "acc"), ("accuracy-per-character", "acc_norm"), ("accuracy-per-byte", "acc_bytes")]
        {
            let sql = format!(
                "select value, stderr from v_scores where task = '{name}' and metric = '{ours}' and subtask is null"
            );
            let found = env.query(&sql);
            match task["metrics"].get(format!("{theirs},none")).and_then(Value::as_f64) {
                None => assert!(found.is_empty(), "{name} {ours}: {found:?}"),
                Some(value) => {
                    let numbers: Vec<f64> =
                        found[0].split('|').map(|number| number.parse().expect("a number")).collect();
                    let stderr = task["metrics"][format!("{theirs}_stderr,none")].as_f64().expect("a number");
                    assert!((numbers[0] - 100.0 * value).abs() < 1e-9, "{name} {ours}: {numbers:?} and {value}");
                    assert!((numbers[1] - 100.0 * stderr).abs() < 1e-9, "{name} {ours}: {numbers:?} and {stderr}");
                }
            }
        }
        let items = env.query(&format!("select correct, scores from v_items where task = '{name}' order by item"));
        let expected = task["items"].as_array().expect("items");
        assert_eq!(items.len(), expected.len(), "{name}");
        for (number, (ours, theirs)) in items.iter().zip(expected).enumerate() {
            let (correct, sums) = ours.split_once('|').expect("two columns");
            let sums: Vec<f64> = serde_json::from_str(sums).expect("numbers");
            let of_harness: Vec<f64> = serde_json::from_value(theirs["sums"].clone()).expect("numbers");
            assert_eq!(sums.len(), of_harness.len(), "{name} {number}");
            for (ours, theirs) in sums.iter().zip(&of_harness) {
                assert!((ours - theirs).abs() < 2e-4, "{name} {number}: {sums:?} and {of_harness:?}");
            }
            assert_eq!(correct == "1", theirs["right"]["acc"].as_f64() == Some(1.0), "{name} {number}");
        }
    }
}

/// Bits per byte from a plain loop over windows in PyTorch (`benches/bits_per_byte.py`).
#[test]
fn golden_bits_per_byte_are_those_of_a_plain_loop() {
    let Some(model) = recording("golden/llama-a/model") else { return };
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/harness");
    let recorded = fs::read_to_string(fixtures.join("bits_per_byte.json")).expect("a recording");
    let recorded: Value = serde_json::from_str(&recorded).expect("JSON");
    let env = Env::new(TINY);
    let definition = format!(
        "name: text\nformat: perplexity\nfiles: {}\ndocuments: blank_line\nstride: {}\n",
        fixtures.join("text.txt").display(),
        recorded["stride"]
    );
    fs::write(env.path().join("text.yaml"), definition).expect("a file");
    env.run(0, &["eval", model.to_str().expect("UTF-8"), "--suite", "text.yaml"]);
    let found = env.query("select value from v_scores where metric = 'bits-per-byte'");
    let found: f64 = found[0].parse().expect("a number");
    let expected = recorded["bits_per_byte"].as_f64().expect("a number");
    assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
}
