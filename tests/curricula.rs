//! User-defined curricula, from the spec to the scores.

use crate::common::{Env, TINY};

fn spec() -> String {
    let curricula = "\
curricula:
  alternating: [{datasets: [chat, questions], order: interleaved}]
  rehearsed: [{datasets: {chat: 3, questions: 1}, pretrain_mix: 0.5, epochs: 2}]
  fresh: [chat, questions]
  carried: [chat, {datasets: questions, optimizer: carried}]
axes:
  curriculum: [alternating, rehearsed, fresh, carried]
  tune.loss: [reply, instruction, all]
evaluate:";
    let (head, _) = TINY.split_once("axes:").expect("TINY has axes");
    let (_, tail) = TINY.split_once("evaluate:").expect("TINY has an evaluation");
    format!("{head}{curricula}{tail}")
}

#[test]
fn curricula_share_first_stages_and_train_different_models() {
    let env = Env::new(&spec());
    let plan = env.run(0, &["plan", "spec.yaml"]);
    // The number of rows of pretraining text added to the 360 records is an estimate until the replies are tokenized.
    let rehearsed = plan.lines().find(|line| line.contains("nano/3:chat+1:questions+50%text")).expect("a stage");
    assert_eq!(rehearsed.split_whitespace().rev().take(2).filter(|steps| steps.starts_with('~')).count(), 2, "{plan}");
    // For each loss, the first stages of `fresh` and `carried` are one job.
    assert!(plan.lines().any(|line| line.split_whitespace().take(3).eq(["tune", "15", "15"])), "{plan}");
    env.run(0, &["run", "spec.yaml"]);

    let weights = env.weights();
    let distinct: std::collections::BTreeSet<&String> = weights.values().collect();
    assert_eq!((weights.len(), distinct.len()), (16, 16), "one pretrained model, fifteen tuned ones");
    let carried = "select count(*) from artifact where path = 'optimizer.safetensors'";
    assert_eq!(env.query(carried), ["3"], "left only by first stages whose optimizer is carried over");

    // If its optimizer state is lost, a job that another one continues must run again, and no other job.
    let file = env.query("select attempt.folder from artifact join job on job.id = artifact.job join attempt on attempt.id = job.result where artifact.path = 'optimizer.safetensors' limit 1");
    std::fs::remove_file(env.path().join("runs").join(&file[0]).join("output/optimizer.safetensors"))
        .expect("the file");
    let before = env.scores();
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert_eq!(plan.matches("its result is missing").count(), 1, "{plan}");
    env.run(0, &["run", "spec.yaml"]);
    assert_eq!((env.weights(), env.scores()), (weights, before), "the repeated job gives the same result");
}
