//! Faults during training, as a user meets them: out of memory, non-finite numbers, a damaged checkpoint. Also, what a
//! training with milestones leaves.

use std::path::PathBuf;
use std::time::Duration;

use crate::common::{Env, TINY, texts};

/// The spec `TINY` with one pretraining and no tuning, with further replacements.
fn pretraining(changes: &[(&str, &str)]) -> String {
    let always = [("[pretrained, merged, sequential]", "[pretrained]"), ("seed: [1, 2]", "seed: [1]")];
    always.iter().chain(changes).fold(TINY.to_owned(), |spec, (old, new)| {
        assert!(spec.contains(old), "{old}");
        spec.replace(old, new)
    })
}

#[test]
fn a_job_out_of_memory_continues_with_half_the_micro_batch() {
    let changes = [("checkpoint_every: 1", "checkpoint_every: 1, micro_batch: 8"), ("steps: 60", "steps: 3200")];
    let spec = pretraining(&changes);
    let env = Env::new(&spec);
    // From step 3000 on, there is memory for only 2 of the 8 rows of a batch.
    let run =
        env.command(&["run", "spec.yaml"]).env("GRID_INJECT", "memory=2@3000").output().expect("the binary starts");
    let (_, stderr) = texts(&run);
    assert!(run.status.success(), "{stderr}");
    let attempts = env.query(
        "select state, failure, micro_batch, message like '%allocate%', resumed_step > 0 from attempt \
         join job on job.id = attempt.job where kind = 'pretrain' order by attempt.id",
    );
    assert_eq!(attempts, ["failed|out_of_memory|8|1|", "failed|out_of_memory|4|1|1", "done||2||1"]);
    assert_eq!(env.query("select progress_done from attempt where micro_batch = 2"), ["3200"]);

    // The data and its order are those of a run with whole batches, and so are the gradients, up to rounding.
    let losses = |env: &Env| -> Vec<(u64, f64)> {
        let rows = env.query("select step, value from metric where name = 'train_loss' order by step");
        let numbers = rows.iter().map(|row| row.split_once('|').expect("two columns"));
        numbers.map(|(step, loss)| (step.parse().expect("a step"), loss.parse().expect("a loss"))).collect()
    };
    let whole = Env::new(&spec);
    whole.run(0, &["run", "spec.yaml"]);
    let (pieces, whole) = (losses(&env), losses(&whole));
    assert_eq!((pieces.len(), whole.len()), (160, 160));
    let resumed = env.query("select min(resumed_step) from attempt").remove(0).parse::<u64>().expect("a step");
    for (piece, whole) in pieces.iter().zip(&whole) {
        let most = if piece.0 <= resumed { 0.0 } else { 0.02 };
        assert!(
            piece.0 == whole.0 && (piece.1 / whole.1 - 1.0).abs() <= most,
            "resumed at {resumed}: {piece:?} {whole:?}"
        );
    }
}

#[test]
fn non_finite_numbers_stop_a_job_and_name_step_data_and_remedy() {
    let wild =
        pretraining(&[("learning_rate: 3e-3", "learning_rate: 1e12, clip_norm: null"), ("warmup: 0.1", "warmup: 0")]);
    let env = Env::new(&wild);
    let stderr = env.stderr(2, &["run", "spec.yaml"]);
    let message = stderr.lines().find(|line| line.contains(" at step ")).expect("the step is named");
    for part in ["whose batch is windows (of 32 tokens) ", "/train.bin", "checkpoint", "lower learning rate"] {
        assert!(message.contains(part), "no '{part}' in: {message}");
    }
    assert_eq!(env.query("select failure from attempt where state = 'failed'"), ["non_finite"]);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_previous_one_gives_the_same_weights() {
    let spec = pretraining(&[("steps: 60", "steps: 4000")]);
    let straight = Env::new(&spec);
    straight.run(0, &["run", "spec.yaml"]);

    let env = Env::new(&spec);
    let mut coordinator = env.spawn(&["run", "spec.yaml"]);
    let checkpoints = || -> Vec<PathBuf> {
        let below =
            |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let jobs = below(env.path().join("runs/tiny")).flat_map(below).flat_map(below);
        let mut found: Vec<PathBuf> = jobs
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("checkpoint-")))
            .collect();
        found.sort();
        found
    };
    env.wait_until("two checkpoints", Duration::from_secs(120), || checkpoints().len() >= 2);
    let pid = env.query("select pid from attempt join job on job.id = attempt.job where kind = 'pretrain'").remove(0);
    for process in [coordinator.id().to_string(), pid] {
        let killed = std::process::Command::new("kill").args(["-KILL", &process]).status().expect("kill exists");
        assert!(killed.success(), "process {process} had ended before the kill");
    }
    coordinator.wait().expect("it ended");

    let damaged = checkpoints().pop().expect("a checkpoint").join("optimizer.safetensors");
    let mut bytes = std::fs::read(&damaged).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).expect("a file");
    env.run(0, &["resume"]);
    let message = env.query("select warnings, resumed_step > 0 from attempt where warnings is not null");
    assert_eq!(message.len(), 1, "{message:?}");
    assert!(message[0].contains(&damaged.display().to_string()) && message[0].contains("is damaged"), "{message:?}");
    assert!(message[0].ends_with("|1"), "the previous checkpoint is used: {message:?}");
    assert_eq!((env.scores(), env.weights()), (straight.scores(), straight.weights()));
}

#[test]
fn milestones_are_kept_scored_and_shown_as_a_curve() {
    let spec = pretraining(&[
        ("warmup: 0.1", "warmup: 0.1, milestones: {words: [1k, 4k]}"),
        ("suites: [blimp, blimp-supplement]", "suites: [blimp], checkpoints: {items: 10}"),
        ("[pretrained]", "[pretrained, merged]"),
    ]);
    let env = Env::new(&spec);
    env.run(0, &["run", "spec.yaml"]);
    let rows = env.query(
        "select cell, checkpoint, n > 0 from v_scores where subtask is null and curriculum = 'pretrained' order by 2",
    );
    let cell = "nano/pretrained/seed1";
    assert_eq!(rows, [format!("{cell}|1000-words|1"), format!("{cell}|4000-words|1"), format!("{cell}|final|1")]);
    assert_eq!(env.query("select distinct checkpoint from v_scores where curriculum <> 'pretrained'"), ["final"]);
    let kept = env.query(
        "select milestone, words >= 1000, step < 60, attempt.folder || '/' || path from checkpoint \
         join attempt on attempt.id = checkpoint.attempt where milestone is not null order by words",
    );
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept[0].starts_with("1000-words|1|1|") && kept[1].starts_with("4000-words|1|1|"), "{kept:?}");
    for row in &kept {
        let folder = env.path().join("runs").join(row.rsplit('|').next().expect("a folder"));
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            assert!(folder.join(file).is_file(), "{} has no {file}", folder.display());
        }
    }
    let curve = env.run(0, &["report", "--curve"]);
    for text in ["1k words", "4k words", "blimp"] {
        assert!(curve.contains(text), "no '{text}' in\n{curve}");
    }
    let table = env.run(0, &["report", "--format", "csv"]);
    assert_eq!(table.lines().count(), 1 + 3, "the table has only final models: {table}");
}
