//! Model folders of others: the same ids and numbers as `transformers`, or a refusal that names the cause.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use grid::data::Tokenizer;
use grid::domain::hugging_face::is_known;
use grid::domain::{Arch, Transformers};
use serde_json::{Map, Value, json};

use crate::common::recordings::{recording, skip};
use crate::common::{Env, texts};
use crate::import::with_a_model;

/// The output of a Python program that needs transformers: with the interpreter `$GRID_TEST_PYTHON` (by default
/// `python3`), if it has the library.
fn python(program: &str, arguments: &[&str]) -> Option<String> {
    let interpreter = std::env::var("GRID_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&interpreter).args(["-c", "import transformers"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        skip(&format!("{interpreter} has no transformers; set GRID_TEST_PYTHON"));
        return None;
    }
    let output = Command::new(&interpreter)
        .args(["-c", program])
        .args(arguments)
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .expect("python starts");
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{stderr}");
    Some(stdout)
}

#[test]
fn every_field_of_the_configurations_of_transformers_is_known() {
    const FIELDS: &str = "
import dataclasses, inspect, json
from transformers import (BertConfig, GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, OPTConfig, Qwen2Config,
    Qwen3Config, RobertaConfig)
def names(kind):
    parameters = [name for name in inspect.signature(kind.__init__).parameters if name not in ('self', 'args', 'kwargs')]
    fields = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    return sorted({*parameters, *fields, *kind().to_dict()})
kinds = [BertConfig, GPT2Config, GPTNeoXConfig, LlamaConfig, MistralConfig, OPTConfig, Qwen2Config, Qwen3Config,
    RobertaConfig]
print(json.dumps({kind.model_type: names(kind) for kind in kinds}))
";
    let Some(fields) = python(FIELDS, &[]) else { return };
    let fields: Map<String, Value> = serde_json::from_str(&fields).expect("JSON");
    for arch in Arch::ALL {
        // The code of the others is not part of the library.
        let Some(theirs) = fields.get(arch.name()).and_then(Value::as_array) else { continue };
        let theirs = theirs.iter().filter_map(Value::as_str);
        let unknown: Vec<&str> = theirs.filter(|name| !is_known(arch, name)).collect();
        assert!(unknown.is_empty(), "{arch:?}: {unknown:?}");
    }
}

const TEXTS: [&str; 6] = ["The dog sees it.", " a", "two  spaces ", "na\u{ef}ve \u{1f642}", "a<|im_end|>b </s>", "THE"];

/// Folders of tokenizers: what differs in `tokenizer_config.json`, the type of the model, and whether `tokenizer.json` puts
/// a space before the first word.
fn folders(root: &Path) -> Vec<PathBuf> {
    let words = ["the dog sees the cat", "The dogs see it.", "a nice word"];
    let own = Tokenizer::train(300, words.into_iter()).expect("a tokenizer");
    let named = |class: &str| json!({"tokenizer_class": class, "bos_token": "<|endoftext|>", "eos_token": "<pad>"});
    let with = |class: &str, name: &str, value: Value| {
        let mut settings = named(class);
        settings[name] = value;
        settings
    };
    let cases = [
        (named("PreTrainedTokenizerFast"), "llama", false),
        (named("PreTrainedTokenizerFast"), "llama", true),
        (with("PreTrainedTokenizerFast", "add_prefix_space", json!(true)), "llama", false),
        (with("PreTrainedTokenizerFast", "eos_token", json!("<|im_end|>")), "llama", false),
        (with("PreTrainedTokenizerFast", "additional_special_tokens", json!(["dog", "</s>"])), "gpt2", false),
        (with("PreTrainedTokenizerFast", "split_special_tokens", json!(true)), "gpt2", false),
        (named("LlamaTokenizerFast"), "llama", false),
        (with("LlamaTokenizer", "add_bos_token", json!(false)), "llama", true),
        (json!({}), "gpt2", true),
        (named("GPT2Tokenizer"), "gpt2", true),
        (with("GPTNeoXTokenizerFast", "add_eos_token", json!(true)), "llama", false),
    ];
    let write = |(number, (settings, model_type, space)): (usize, (Value, &str, bool))| {
        let folder = root.join(number.to_string());
        fs::create_dir(&folder).expect("a folder");
        own.save(&folder).expect("a tokenizer");
        let path = folder.join("tokenizer.json");
        let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        tokenizer["pre_tokenizer"]["add_prefix_space"] = space.into();
        let config = json!({"model_type": model_type, "bos_token_id": 0, "eos_token_id": 1});
        for (name, value) in
            [("tokenizer.json", tokenizer), ("tokenizer_config.json", settings), ("config.json", config)]
        {
            fs::write(folder.join(name), value.to_string()).expect("a file");
        }
        folder
    };
    cases.into_iter().enumerate().map(write).collect()
}

#[test]
fn ids_are_those_of_auto_tokenizer() {
    const IDS: &str = "
import json, sys, transformers
folders, texts = json.loads(sys.argv[1]), json.loads(sys.argv[2])
load = transformers.AutoTokenizer.from_pretrained
print(json.dumps([transformers.__version__, [load(folder)(texts).input_ids for folder in folders]]))
";
    let root = tempfile::tempdir().expect("a folder");
    let folders = folders(root.path());
    let Some(answer) = python(IDS, &[&json!(folders).to_string(), &json!(TEXTS).to_string()]) else { return };
    let last = answer.lines().last().expect("a line");
    let (version, theirs): (String, Vec<Vec<Vec<u32>>>) = serde_json::from_str(last).expect("JSON");
    let release = match version.split('.').next() {
        Some("5") => Transformers::V5,
        Some("4") => Transformers::V4,
        _ => return skip(&format!("transformers {version} is not compared")),
    };
    for (folder, theirs) in folders.iter().zip(theirs) {
        let tokenizer = Tokenizer::load_as(folder, release).expect("a tokenizer");
        for (text, theirs) in TEXTS.iter().zip(theirs) {
            let ours = tokenizer.encode_with_offsets(text, true).expect("ids").ids;
            assert_eq!(ours, theirs, "{version}, {}: {text:?}", folder.display());
        }
    }
}

#[test]
fn tokens_are_printed_as_text_and_as_json() {
    let env = Env::new("");
    let own = Tokenizer::train(300, ["the dog sees the dog"].into_iter()).expect("a tokenizer");
    own.save(env.path()).expect("a tokenizer");
    let printed = env.run(0, &["data", "tokens", "--model", ".", "the dog", "x"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[0], "\"the dog\"", "{printed}");
    assert!(lines[1].ends_with("      0-3  the") && lines[2].ends_with("      4-7  \u{120}dog"), "{printed}");
    let text =
        env.run(0, &["data", "tokens", "--model", ".", "--transformers", "4.51.3", "--format", "json", "the dog"]);
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&value["transformers"], &value["special_tokens"]["eos"]), (&json!("4.51.3"), &json!(0)));
    assert_eq!(value["texts"][0]["ids"], json!(own.encode("the dog").expect("ids")));
    assert_eq!(value["texts"][0]["offsets"], json!([[0, 3], [4, 7]]));
    let wrong = env.stderr(1, &["data", "tokens", "--model", ".", "--transformers", "4", "x"]);
    assert!(wrong.contains("expected `4.51.3` or `5`"), "{wrong}");
}

/// Changes a JSON file in a folder.
fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    change(&mut value);
    fs::write(path, value.to_string()).expect("a file");
}

/// Changes the header and the data of a safetensors file.
fn edit_weights(path: &Path, change: impl FnOnce(&mut Map<String, Value>, &mut [u8])) {
    let mut bytes = fs::read(path).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let mut data = bytes.split_off(8 + length);
    let mut header: Map<String, Value> = serde_json::from_slice(&bytes[8..]).expect("a header");
    change(&mut header, &mut data);
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length[..], &header, &data].concat()).expect("a file");
}

const EVALUATE: &str = "\
name: theirs
models: {theirs: {hf: theirs}}
axes: {curriculum: [pretrained]}
evaluate: {data: world, items: 20, suites: [blimp]}
resources: {threads: 1}
";

#[test]
fn models_of_others_are_used_or_refused_with_the_cause() {
    let env = with_a_model();
    fs::write(env.path().join("evaluate.yaml"), EVALUATE).expect("a spec");
    let theirs = env.path().join("theirs");
    let (weights, config) = (theirs.join("model.safetensors"), theirs.join("config.json"));
    let scores = |name: &str| {
        let sql = format!("select subtask, value from v_scores where experiment = '{name}' order by 1");
        env.query(&sql)
    };
    env.run(0, &["run", "evaluate.yaml"]);
    let usual = scores("theirs");

    // Names of a compiled model, and texts that are longer than the context of a model with rotary positions.
    edit_weights(&weights, |header, _| {
        let named = std::mem::take(header).into_iter();
        header.extend(named.map(|(name, value)| match name.as_str() {
            "__metadata__" => (name, value),
            _ => (format!("_orig_mod.{name}"), value),
        }));
    });
    edit(&config, |config| config["max_position_embeddings"] = 4.into());
    env.run(0, &["run", "evaluate.yaml", "-S", "name=compiled"]);
    assert_eq!(scores("compiled"), usual);

    // A token without an embedding that no text needs.
    let rows =
        serde_json::from_slice::<Value>(&fs::read(&config).expect("a file")).expect("JSON")["vocab_size"].clone();
    edit(&theirs.join("tokenizer.json"), |tokenizer| {
        let mut token = tokenizer["added_tokens"][0].clone();
        (token["id"], token["content"]) = (rows.clone(), "[PAD]".into());
        tokenizer["added_tokens"].as_array_mut().expect("a list").push(token);
    });
    let said = env.stderr(0, &["run", "evaluate.yaml", "-S", "name=padded"]);
    let warning =
        format!("the model has {rows} embeddings, and the tokenizer has tokens beyond them: '[PAD]' (id {rows});");
    assert!(said.contains(&warning), "{said}");
    assert_eq!(scores("padded"), usual);

    // An end-of-text token that the tokenizer does not have.
    edit(&theirs.join("tokenizer_config.json"), |settings| settings["eos_token"] = "<|im_end|>".into());
    edit(&config, |config| config["max_position_embeddings"] = 2048.into());
    env.run(0, &["run", "evaluate.yaml", "-S", "name=scored"]);
    let refused = env.stderr(2, &["run", "theirs.yaml", "-S", "axes={dataset: [chat], curriculum: [merged]}"]);
    assert!(refused.contains("tokenizer_config.json names '<|im_end|>' as the end-of-text token, but"), "{refused}");
    edit(&theirs.join("tokenizer_config.json"), |settings| settings["eos_token"] = "<|endoftext|>".into());

    // Weights that are not numbers.
    edit_weights(&weights, |header, data| {
        let start = header["_orig_mod.model.norm.weight"]["data_offsets"][0].as_u64().expect("an offset") as usize;
        data[start..start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    let broken = env.stderr(2, &["run", "evaluate.yaml", "-S", "name=broken"]);
    assert!(broken.contains("(NaN): 1 of 32 in 'model.norm.weight'"), "{broken}");
    assert!(
        broken.contains("the log-probability of every candidate is not a number (NaN), so there is no score"),
        "{broken}"
    );
    let said = env.stderr(0, &["run", "evaluate.yaml", "-S", "name=official", "-S", "evaluate.mode=compat"]);
    assert!(said.contains("candidates are not a number (NaN); the score means little"), "{said}");
    let table = env.run(0, &["report", "official"]);
    assert!(table.contains("every item has a candidate whose score is not a number (NaN)"), "{table}");
}

#[test]
fn golden_masked_models_are_evaluated_and_fine_tuned_only() {
    let Some(model) = recording("golden/architectures/bert-h/model") else { return };
    let spec = "\
name: masked
models: {masked: {hf: MODEL}}
datasets: {chat: {world: chat, records: 20}}
tune: {epochs: 1, batch_size: 8, learning_rate: 1e-3}
axes: {curriculum: [pretrained]}
evaluate: {data: world, items: 5, suites: [blimp]}
resources: {threads: 1}
";
    let env = Env::new(&spec.replace("MODEL", model.to_str().expect("UTF-8")));
    let tuned = env.stderr(1, &["run", "spec.yaml", "-S", "axes={dataset: [chat], curriculum: [merged]}"]);
    assert!(
        tuned.contains("tunes a model of the architecture bert, whose models are evaluated and fine-tuned only"),
        "{tuned}"
    );
    let other = env.stderr(1, &["run", "spec.yaml", "-S", "evaluate.backend=causal"]);
    assert!(other.contains("the backend 'causal' is not one of a model of the architecture bert, which is"), "{other}");
    env.run(0, &["run", "spec.yaml"]);
    env.run(0, &["run", "spec.yaml", "-S", "evaluate.backend=mlm", "-S", "name=named"]);
    let scores =
        |name: &str| env.query(&format!("select scores from v_items where experiment = '{name}' order by item"));
    assert!(!scores("masked").is_empty());
    assert_eq!(scores("masked"), scores("named"));
    env.run(
        0,
        &[
            "run",
            "spec.yaml",
            "-S",
            "name=glue",
            "-S",
            "evaluate.suites=[glue]",
            "-S",
            "finetune={mode: compat, tasks: [wsc], batch_size: 8, epochs: 1}",
        ],
    );
    assert_eq!(
        env.query("select distinct task from v_scores where experiment = 'glue' and metric = 'accuracy'"),
        ["wsc"]
    );
    let text = env.path().join("text.txt");
    fs::write(&text, "the dog sees the cat\n").expect("a file");
    let own = "evaluate={suites: [{name: own, format: perplexity, files: text.txt}]}";
    let bits = env.stderr(2, &["run", "spec.yaml", "-S", "name=bits", "-S", own]);
    assert!(bits.contains("its sum over masked tokens is not a probability"), "{bits}");
}

#[test]
fn a_text_longer_than_the_context_of_gpt2_is_named() {
    let spec = "\
name: short
corpora: {speech: {world: speech, words: 6k}}
tokenizer: {vocab_size: 400}
models: {short: {arch: gpt2, hidden: 32, layers: 1, heads: 2, max_positions: 8}}
pretrain: {sequence_length: 8, steps: 2, batch_size: 8, learning_rate: 1e-3}
axes: {curriculum: [pretrained]}
evaluate: {data: world, items: 20, suites: [blimp]}
resources: {threads: 1}
";
    let env = Env::new(spec);
    let said = env.stderr(2, &["run", "spec.yaml"]);
    assert!(said.contains("blimp: ") && said.contains(".jsonl, item ") && said.contains(", candidate "), "{said}");
    assert!(said.contains(" tokens, but the model has a context of 8 positions"), "{said}");
}
