//! Training teaches what the toy world has to teach, and no training teaches nothing.

#[expect(dead_code, reason = "each test file uses its own part")]
mod common;

use common::Env;

const SPEC: &str = "\
name: learning
corpora:
  speech: {world: speech, words: 150k}
  articles: {world: articles, words: 150k}
tokenizer: {vocab_size: 1024}
models:
  untrained: {hidden: 64, layers: 2, heads: 2, pretrain: {steps: 0}}
  trained: {hidden: 64, layers: 2, heads: 2}
pretrain: {sequence_length: 64, epochs: 4, batch_size: 16, learning_rate: 5e-3, schedule: cosine, warmup: 0.05}
axes:
  model: [untrained, trained]
  curriculum: [pretrained]
  seed: [1]
evaluate: {data: world, items: 400, suites: [blimp]}
resources: {threads: 1}
";

#[test]
fn trained_is_far_above_chance_and_untrained_is_at_chance() {
    let env = Env::new(SPEC);
    env.run(0, &["run", "spec.yaml"]);
    let agreement = |model: &str| -> f64 {
        let sql = format!(
            "select avg(value) from v_scores where model = '{model}' and suite = 'blimp' and subtask like '%agreement%'"
        );
        env.query(&sql)[0].parse().expect("a number")
    };
    let (untrained, trained) = (agreement("untrained"), agreement("trained"));
    assert!((untrained - 50.0).abs() <= 5.0, "an untrained model scores {untrained}");
    assert!(trained > 80.0, "a trained model scores {trained}");
}
