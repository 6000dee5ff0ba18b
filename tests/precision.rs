//! Training in bfloat16 and in float32 gives nearly the same held-out loss.

use crate::common::Env;
use crate::common::recordings::recording;

/// Runs the spec and compares the held-out losses in float32 and in bfloat16: they must differ, by less than 1%, and be
/// well below the loss of guessing.
fn compare(env: &Env, vocabulary: f64) {
    env.run(0, &["run", "spec.yaml"]);
    let rows = env.query(
        "select job.canonical ->> '$.job.training.precision', value from metric join job on job.id = metric.job \
         where name = 'validation_loss' order by 1 desc",
    );
    let losses: Vec<(&str, f64)> = rows
        .iter()
        .filter_map(|row| row.split_once('|'))
        .map(|(precision, loss)| (precision, loss.parse().expect("a loss")))
        .collect();
    let [("f32", full), ("bf16", half)] = losses[..] else { panic!("{rows:?}") };
    assert!(full < 0.75 * vocabulary.ln(), "it has not learned: {full}");
    assert!(full != half && (half / full - 1.0).abs() < 0.01, "f32 {full}, bf16 {half}");
}

#[test]
fn bfloat16_matches_float32() {
    let spec = "\
name: precision
corpora:
  speech: {world: speech, words: 30k}
tokenizer: {vocab_size: 512}
models:
  small: {hidden: 64, layers: 2, heads: 2}
pretrain: {sequence_length: 64, steps: 250, batch_size: 8, learning_rate: 3e-3}
axes:
  pretrain.precision: [f32, bf16]
resources: {threads: 1}
";
    compare(&Env::new(spec), 512.0);
}

/// A small model on real text, for a few steps.
#[test]
fn bfloat16_matches_float32_on_real_text() {
    let Some(text) = recording("data/text/childes.train") else { return };
    let spec = format!(
        "\
name: precision
corpora:
  childes: {{files: {}, documents: {{lines: 50}}, min_words: 3}}
tokenizer: {{vocab_size: 1024}}
models:
  mini: {{hidden: 64, layers: 2, heads: 2}}
pretrain: {{sequence_length: 64, steps: 120, batch_size: 8, learning_rate: 5e-3, schedule: linear, warmup: 0.05}}
axes:
  pretrain.precision: [f32, bf16]
resources: {{threads: 1}}
",
        text.display()
    );
    compare(&Env::new(&spec), 1024.0);
}
