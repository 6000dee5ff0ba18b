//! `grid verify resume` passes if resuming is exact, records its verdict in the database, and fails otherwise.

use crate::common::{Env, texts};

/// Both model families in both precisions, each pretrained and tuned.
const SPEC: &str = "\
name: exact
corpora:
  speech: {world: speech, words: 6k}
datasets:
  chat: {world: chat, records: 150}
tokenizer: {vocab_size: 400}
models:
  llama: &llama {hidden: 32, layers: 2, heads: 2, kv_heads: 1}
  llama-bf16: {<<: *llama, pretrain: {precision: bf16}, tune: {precision: bf16}}
  gpt2: &gpt2 {arch: gpt2, hidden: 32, layers: 2, heads: 2, max_positions: 64}
  gpt2-bf16: {<<: *gpt2, pretrain: {precision: bf16}, tune: {precision: bf16}}
pretrain: {sequence_length: 32, steps: 24, batch_size: 8, learning_rate: 3e-3, validate_every: 5, keep: best,
           milestones: {words: [500, 1k]}}
tune: {epochs: 1, batch_size: 8, max_length: 64, learning_rate: 1e-3}
axes:
  dataset: [chat]
  curriculum: [pretrained, merged]
evaluate: {data: world, items: 10, suites: [blimp], checkpoints: {}}
";

#[test]
fn resuming_is_exact_in_both_families_and_precisions_on_one_and_two_threads() {
    let env = Env::new(SPEC);
    let table = env.run(0, &["verify", "resume", "spec.yaml", "--kills", "5", "--seed", "3", "--threads", "1,2"]);
    assert_eq!(table.matches("identical").count(), 16, "{table}");
    assert_eq!(
        env.query("select model, kind, precision, threads, verdict, kills from v_verifications order by 1, 2, 3, 4"),
        [
            "gpt2|pretrain|f32|1|identical|5",
            "gpt2|pretrain|f32|2|identical|5",
            "gpt2|tune|f32|1|identical|5",
            "gpt2|tune|f32|2|identical|5",
            "gpt2-bf16|pretrain|bf16|1|identical|5",
            "gpt2-bf16|pretrain|bf16|2|identical|5",
            "gpt2-bf16|tune|bf16|1|identical|5",
            "gpt2-bf16|tune|bf16|2|identical|5",
            "llama|pretrain|f32|1|identical|5",
            "llama|pretrain|f32|2|identical|5",
            "llama|tune|f32|1|identical|5",
            "llama|tune|f32|2|identical|5",
            "llama-bf16|pretrain|bf16|1|identical|5",
            "llama-bf16|pretrain|bf16|2|identical|5",
            "llama-bf16|tune|bf16|1|identical|5",
            "llama-bf16|tune|bf16|2|identical|5",
        ]
    );
    assert!(!env.path().join("runs/verify").exists(), "no files are left behind");
}

#[test]
fn an_inexact_resume_is_reported_and_exits_with_8() {
    let env = Env::new(SPEC);
    let arguments = ["verify", "resume", "spec.yaml", "--kills", "3", "--seed", "1", "--threads", "1"];
    let jobs = ["--job", "tune/llama/chat/seed1"];
    let output = env.command(&[&arguments[..], &jobs].concat()).env("GRID_INJECT", "flaw").output().expect("it starts");
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(8), "{stdout}{stderr}");
    assert!(stdout.contains("different") && stdout.contains("model.safetensors: tensor '"), "{stdout}");
    assert_eq!(env.query("select kind, verdict, difference is null from v_verifications"), ["tune|different|0"]);
    assert!(env.path().join("runs/verify").exists(), "both runs are kept for inspection");
}

#[test]
fn an_unknown_training_job_is_refused() {
    let env = Env::new(SPEC);
    let stderr = env.stderr(4, &["verify", "resume", "spec.yaml", "--job", "tune/nobody"]);
    assert!(stderr.contains("'tune/nobody'") && stderr.contains("pretrain/llama/seed1"), "{stderr}");
}
