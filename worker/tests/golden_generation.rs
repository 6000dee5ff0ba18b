//! Compares greedy replies of recorded models with whole forward passes, and with `generate` of transformers.
//!
//! The tests need the environment variable `GRID_SHARED`, the folder of the recordings. The comparison with transformers
//! also needs a Python interpreter that has it: `$GRID_TEST_PYTHON`, by default `python3`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::recordings::{recording, skip};
use grid::domain::{Precision, SamplingOptions};
use grid_worker::ml::{Model, Prompt, SampledReply, Sampler, model_folder, runtime};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Two logits may be rounded into another order if they differ by less.
const ROUNDING: f64 = 1e-3;

/// The folders of the recorded models of both families, and prompts from their recorded texts.
fn models() -> Vec<(PathBuf, Model, Vec<Prompt>)> {
    let Some(golden) = recording("golden") else { return vec![] };
    runtime::prepare_process();
    runtime::configure(2).unwrap();
    let read = |name: &str| {
        let folder = golden.join(name);
        let texts = fs::read_to_string(folder.join("logits_parity/logprobs.jsonl")).unwrap();
        let prompts: Vec<Prompt> = texts
            .lines()
            .enumerate()
            .map(|(index, line)| {
                let text: Value = serde_json::from_str(line).unwrap();
                let ids: Vec<u32> = serde_json::from_value(text["ids"].clone()).unwrap();
                Prompt { ids: ids[..ids.len().div_ceil(2)].to_vec(), seed: index as u64 }
            })
            .collect();
        assert!(prompts.len() >= 10);
        let folder = folder.join("model");
        let model = model_folder::read(&folder, Device::Cpu).unwrap();
        (folder, model, prompts)
    };
    ["llama-a", "gpt2-b"].map(read).into()
}

fn replies(model: &Model, prompts: &[Prompt]) -> Vec<SampledReply> {
    let options = SamplingOptions::greedy(40, vec![0]);
    let sampler = Sampler::new(model, options, Precision::F32).unwrap().with_rows(7);
    sampler.replies(prompts).unwrap()
}

/// The logits after each id of a text, in f64 `[ids, vocab]`.
fn logits(model: &Model, ids: &[u32]) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    let ids: Vec<i64> = ids.iter().map(|&id| id.into()).collect();
    let hidden = model.hidden(&Tensor::from_slice(&ids).view([1, -1])).unwrap();
    hidden.matmul(&model.head().tr()).squeeze_dim(0).to_kind(Kind::Double)
}

#[test]
fn golden_greedy_replies_are_the_most_probable_tokens() {
    for (folder, model, prompts) in models() {
        let replies = replies(&model, &prompts);
        let mut ties = 0;
        for (prompt, reply) in prompts.iter().zip(&replies) {
            let chosen: Vec<u32> = reply.ids.iter().copied().chain(reply.stop).collect();
            let all = logits(&model, &[&prompt.ids[..], &chosen].concat());
            for (place, &id) in chosen.iter().enumerate() {
                let row = all.get((prompt.ids.len() + place - 1) as i64);
                let behind = row.max().double_value(&[]) - row.double_value(&[i64::from(id)]);
                assert!(behind < ROUNDING, "{}: token {place} of a reply is {behind} behind", folder.display());
                ties += usize::from(behind > 0.0);
            }
        }
        assert!(ties <= 1, "{}: {ties} replies differ by rounding", folder.display());
        assert!(replies.iter().map(|reply| reply.ids.len()).sum::<usize>() > 200);
    }
}

/// Replies may only differ from where two logits are equal up to rounding.
#[test]
fn golden_greedy_replies_equal_those_of_transformers() {
    const PROGRAM: &str = "
import json, sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
for line in sys.stdin:
    ids = torch.tensor([json.loads(line)])
    output = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=40, pad_token_id=1)
    print(json.dumps(output[0, ids.shape[1]:].tolist()))
";
    let interpreter = std::env::var("GRID_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&interpreter).args(["-c", "import transformers"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return skip(&format!("{interpreter} has no transformers; set GRID_TEST_PYTHON"));
    }
    for (folder, model, prompts) in models() {
        let input = tempfile::NamedTempFile::new().unwrap();
        let lines: String = prompts.iter().map(|prompt| format!("{}\n", json!(prompt.ids))).collect();
        fs::write(input.path(), lines).unwrap();
        let output = Command::new(&interpreter)
            .args(["-c", PROGRAM])
            .arg(&folder)
            .env("HF_HUB_OFFLINE", "1")
            .stdin(fs::File::open(input.path()).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let wanted: Vec<Vec<u32>> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(wanted.len(), prompts.len());
        let mut equal = 0;
        for ((prompt, reply), wanted) in prompts.iter().zip(replies(&model, &prompts)).zip(&wanted) {
            let ours: Vec<u32> = reply.ids.iter().copied().chain(reply.stop).collect();
            let Some(place) = (0..ours.len().max(wanted.len())).find(|&place| ours.get(place) != wanted.get(place))
            else {
                equal += 1;
                continue;
            };
            let row = logits(&model, &[&prompt.ids[..], &ours[..place]].concat()).get(-1);
            let logit = |id: u32| row.double_value(&[i64::from(id)]);
            let difference = (logit(ours[place]) - logit(wanted[place])).abs();
            assert!(difference < ROUNDING, "{}: {ours:?} {wanted:?}: {difference}", folder.display());
        }
        assert!(equal + 1 >= prompts.len(), "{}: {equal} of {} replies are equal", folder.display(), prompts.len());
    }
}
