//! `grid export hf`: `transformers` gives exported models the same scores, and importing them again changes no bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::Env;
use crate::common::recorded_models::recorded_models;
use crate::common::recordings::skip;
use grid::domain::{Arch, ConfigFile};

const SPEC: &str = "\
name: tiny
corpora: {speech: {world: speech, words: 6k}}
datasets: {chat: {world: chat, records: 100}}
tokenizer: {vocab_size: 400}
models:
  llama: {hidden: 32, layers: 2, heads: 4, kv_heads: 2, rope_base: 5e4}
  gpt2: {arch: gpt2, hidden: 32, layers: 2, heads: 2}
  qwen3: {arch: qwen3, hidden: 32, layers: 2, heads: 4, kv_heads: 2, head_dim: 16}
  mistral: {arch: mistral, hidden: 32, layers: 2, heads: 4, kv_heads: 1, tied: true}
  opt: {arch: opt, hidden: 32, layers: 2, heads: 2}
  gpt_neox: {arch: gpt_neox, hidden: 64, layers: 2, heads: 2}
pretrain: {sequence_length: 32, steps: 40, batch_size: 8, learning_rate: 3e-3}
tune: {epochs: 1, batch_size: 8, max_length: 64, learning_rate: 1e-3}
axes: {dataset: [chat], curriculum: [merged]}
resources: {threads: 1}
";

const SENTENCES: [&str; 4] =
    ["the dog sees the cat", "the dogs run home", "A: where is it?\nB: in the box", "what a strange \u{e9}clair"];

/// A Python program. Its arguments are JSON lists of model folders and of sentences. For each folder, it prints a list
/// with the log-probability of each sentence.
const SCORE: &str = "
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folders, sentences = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for folder in folders:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).float().eval(), AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token_id == model.config.eos_token_id == model.generation_config.eos_token_id
    assert tokenizer.decode(tokenizer('a b', add_special_tokens=False).input_ids).strip() == 'a b'
    sums = []
    for sentence in sentences:
        ids = tokenizer(sentence, return_tensors='pt').input_ids
        with torch.no_grad():
            lp = model(ids).logits[0, :-1].double().log_softmax(-1)
        sums.append(lp.gather(1, ids[0, 1:, None]).sum().item())
    print(json.dumps(sums))
";

/// The Python interpreter `$GRID_TEST_PYTHON` (by default `python3`), if it has transformers.
fn python() -> Option<String> {
    let program = std::env::var("GRID_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&program).args(["-c", "import torch, transformers"]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    skip(&format!("{program} has no transformers; set GRID_TEST_PYTHON"));
    None
}

/// Writes the sentences as an evaluation file of BLiMP, each paired with the sentence "a b".
fn write_sentences(env: &Env) {
    let folder = env.path().join("evaluation_data/fast_eval/blimp_fast");
    fs::create_dir_all(&folder).expect("a folder");
    let row = |text: &&str| serde_json::json!({"sentence_good": text, "sentence_bad": "a b"}).to_string() + "\n";
    fs::write(folder.join("sentences.jsonl"), SENTENCES.iter().map(row).collect::<String>()).expect("a file");
}

/// The log-probabilities that `grid eval` gives to the sentences.
fn score_sentences(env: &Env, model: &str, name: &str) -> Vec<f64> {
    env.run(0, &["eval", model, "--suite", "blimp", "--fast", "--name", name]);
    let rows = env.query(&format!("select scores from v_items where experiment = '{name}' order by item"));
    rows.iter().map(|row| serde_json::from_str::<Vec<f64>>(row).expect("numbers")[0]).collect()
}

/// Asserts that transformers gives the sentences the same log-probabilities as grid did, for each model folder. One
/// Python process scores all folders, because starting it takes longer than the rest.
fn assert_transformers_agrees(exported: &[(PathBuf, Vec<f64>)]) {
    let Some(python) = python() else { return };
    let folders: Vec<&Path> = exported.iter().map(|(folder, _)| folder.as_path()).collect();
    let [folders, sentences] = [serde_json::json!(folders), serde_json::json!(SENTENCES)].map(|list| list.to_string());
    let output = Command::new(python).args(["-c", SCORE]).args([folders, sentences]).output().expect("python starts");
    let (stdout, stderr) = crate::common::texts(&output);
    assert!(output.status.success(), "{stderr}");
    let lines: Vec<Vec<f64>> = stdout.lines().map(|line| serde_json::from_str(line).expect("numbers")).collect();
    assert_eq!(lines.len(), exported.len());
    for (theirs, (folder, ours)) in lines.iter().zip(exported) {
        let near = theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(a, b)| (a - b).abs() < 2e-4);
        assert!(near, "{}: {theirs:?} {ours:?}", folder.display());
    }
}

#[test]
fn an_exported_model_is_complete_and_round_trips() {
    let env = Env::new(SPEC);
    env.run(0, &["run", "spec.yaml"]);
    write_sentences(&env);
    let mut exported = vec![];
    for model in Arch::TRAINED.map(Arch::name).into_iter().filter(|name| *name != "qwen2") {
        let job = format!("{model}/chat/seed1");
        let job = job.as_str();
        let ours = score_sentences(&env, job, &format!("ours-{model}"));
        let out = env.path().join("out").join(model);
        fs::create_dir_all(out.parent().expect("a parent")).expect("a folder");
        let out = out.to_str().expect("UTF-8");
        env.run(0, &["export", "hf", job, out]);
        let mut names: Vec<String> = fs::read_dir(out)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "README.md",
                "config.json",
                "generation_config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer_config.json"
            ]
        );
        let card = fs::read_to_string(Path::new(out).join("README.md")).expect("a card");
        for message in [
            "## Data and word budget",
            "dataset chat",
            "corpus speech",
            "| tune |",
            "| pretrain |",
            "| blimp | blimp |",
        ] {
            assert!(card.contains(message), "no '{message}' in\n{card}");
        }
        let refused = env.stderr(6, &["export", "hf", job, out]);
        assert!(refused.contains("is not empty"), "{refused}");

        // The imported model has the same scores, and exporting it again gives the same bytes.
        let back = format!("back-{model}");
        assert_eq!(score_sentences(&env, out, &back), ours);
        let again = env.path().join(&back);
        env.run(0, &["export", "hf", &format!("{back}/{model}/pretrained/seed1"), again.to_str().expect("UTF-8")]);
        for name in ["model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"] {
            let bytes = |folder: &Path| fs::read(folder.join(name)).expect("a file");
            assert!(bytes(Path::new(out)) == bytes(&again), "{model}: {name} has changed");
        }
        exported.push((PathBuf::from(out), ours));
    }
    assert_transformers_agrees(&exported);
}

/// The same for the recorded models of other programs, in float32 and in bfloat16.
#[test]
fn golden_models_round_trip_unchanged() {
    let env = Env::new("");
    write_sentences(&env);
    let mut exported = vec![];
    let folders = recorded_models("model");
    if folders.is_empty() {
        return;
    }
    for folder in folders.into_iter().filter(|folder| predicts_from_the_left(folder)) {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        let narrow = env.path().join(format!("{name}-bf16"));
        write_as_bf16(&folder.join("model"), &narrow);
        for (source, name) in [(folder.join("model"), name.clone()), (narrow, format!("{name}-bf16"))] {
            let ours = score_sentences(&env, source.to_str().expect("UTF-8"), &name);
            let cell = env.query(&format!("select label from cell where experiment = '{name}'")).remove(0);
            let out = env.path().join(format!("out-{name}"));
            env.run(0, &["export", "hf", &format!("{name}/{cell}"), out.to_str().expect("UTF-8")]);
            for file in ["model.safetensors", "tokenizer.json"] {
                let bytes = |folder: &Path| fs::read(folder.join(file)).expect("a file");
                assert!(bytes(&source) == bytes(&out), "{name}: {file} has changed");
            }
            exported.push((out, ours));
        }
    }
    assert_transformers_agrees(&exported);
}

/// Whether `AutoModelForCausalLM` loads the model.
fn predicts_from_the_left(folder: &Path) -> bool {
    let config = fs::read_to_string(folder.join("model/config.json")).expect("a file");
    ConfigFile::parse(&config).expect("a configuration").model.arch.is_trained()
}

/// Copies a model folder and truncates its float32 weights to bfloat16.
fn write_as_bf16(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
    let config = fs::read_to_string(to.join("config.json")).expect("a file").replace("\"float32\"", "\"bfloat16\"");
    fs::write(to.join("config.json"), config).expect("a file");
    let bytes = fs::read(to.join("model.safetensors")).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    for (name, tensor) in header.as_object_mut().expect("an object") {
        if name != "__metadata__" {
            assert_eq!(tensor["dtype"], "F32");
            tensor["dtype"] = "BF16".into();
            for offset in tensor["data_offsets"].as_array_mut().expect("two offsets") {
                *offset = (offset.as_u64().expect("a number") / 2).into();
            }
        }
    }
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let numbers = bytes[8 + length..].chunks_exact(4).flat_map(|number| [number[2], number[3]]);
    let narrow: Vec<u8> = (header.len() as u64).to_le_bytes().into_iter().chain(header).chain(numbers).collect();
    fs::write(to.join("model.safetensors"), narrow).expect("a file");
}
