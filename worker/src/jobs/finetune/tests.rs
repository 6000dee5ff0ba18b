use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use grid::domain::{
    Event, FinetuneRecipe, GlueTask, Job, Length, Mode, Origin, Outcome, Pooling, Precision, Selection, Verdict,
    WorldPart, layout,
};

use super::super::tests::{NEVER, checkpoints, journal, output, pretraining, stop_after_two_checkpoints, submit};
use super::*;
use crate::ml::runtime;

/// A job on a tiny model of the toy world, and the folder of that model.
fn finetuning(runs: &Path, candidates: &[Hyperparameters], items: u64) -> (Job, BTreeMap<JobId, PathBuf>) {
    let (pretrain, parents) = pretraining(runs);
    let Job::Pretrain(mut pretrain) = pretrain else { panic!("a pretrain job") };
    pretrain.training.length = Length::Steps(5);
    let (id, pretrain) = (Job::Pretrain(pretrain.clone()).id(), Job::Pretrain(pretrain));
    let folder = runs.join("pretrain");
    let attempt = submit(&folder, "t", &pretrain, &parents, &NEVER);
    let model = output(&folder, "t", &attempt);
    let data = Origin::World { part: WorldPart::Evaluation, seed: 1, size: items };
    let job = FinetuneJob {
        model: id,
        task: GlueTask::Wsc,
        mode: Mode::FIXED,
        recipe: FinetuneRecipe {
            pooling: Pooling::Last,
            selection: Selection::HeldOut(candidates.to_vec()),
            max_length: 512,
            gradient_scale: 1,
            precision: Precision::F32,
            keep: true,
        },
        train: data.clone(),
        valid: data,
        seed: 7,
    };
    (Job::Finetune(job), BTreeMap::from([(id, model)]))
}

/// What a job has to say, as far as it is repeatable.
fn said(attempt: &Path) -> Vec<Event> {
    let told = |event: &Event| match event {
        Event::Scored(_) => true,
        Event::Metric { name, .. } => name.starts_with("valid_") || name.starts_with("chosen_"),
        _ => false,
    };
    journal(attempt).into_iter().filter(told).collect()
}

/// Stopped in the middle of the first of two trainings, and again after; the predictions are those of a straight run.
#[test]
fn a_resumed_finetuning_predicts_what_a_straight_one_does_bit_for_bit() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let candidates = [3e-3, 1e-3].map(|learning_rate| Hyperparameters { learning_rate, batch_size: 8, epochs: 3 });
    let (job, parents) = finetuning(runs.path(), &candidates, 40);
    let straight = runs.path().join("straight");
    let whole = submit(&straight, "t", &job, &parents, &NEVER);
    output(&straight, "t", &whole);
    assert_eq!(checkpoints(&whole), Vec::<PathBuf>::new(), "a job that is done needs none");
    let items = fs::read_to_string(whole.join("items.jsonl")).unwrap();
    assert_eq!(items.lines().count(), 40);
    let weights = |attempt: &Path| {
        ["even", "odd"]
            .map(|half| fs::read(attempt.join(format!("output/classifier-{half}-rows/model.safetensors"))).unwrap())
    };

    let folder = runs.path().join("interrupted");
    fs::create_dir(&folder).unwrap();
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let watched = folder.clone();
    let watch = std::thread::spawn(move || stop_after_two_checkpoints(watched, "first", stop));
    let first = submit(&folder, "first", &job, &parents, stop);
    watch.join().unwrap();
    let Some(Event::Interrupted { step }) = journal(&first).pop() else { panic!("not interrupted") };
    let second = submit(&folder, "second", &job, &parents, &NEVER);
    output(&folder, "second", &second);
    assert!(journal(&second).contains(&Event::Resumed { step }), "it began anew");
    assert!(fs::read_to_string(second.join("items.jsonl")).unwrap() == items, "the predictions differ");
    let both: Vec<Event> = said(&first).into_iter().chain(said(&second)).collect();
    assert_eq!(both, said(&whole));
    assert!(weights(&second) == weights(&whole), "the weights that were kept differ");
}

#[test]
fn too_few_rows_for_a_batch_are_told() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = finetuning(runs.path(), &[GlueTask::Wsc.official()], 7);
    let folder = runs.path().join("finetune");
    submit(&folder, "t", &job, &parents, &NEVER);
    let outcome: Outcome =
        serde_json::from_slice(&fs::read(folder.join(layout::published_outcome("t"))).unwrap()).unwrap();
    let Verdict::Failed { message, .. } = outcome.verdict else { panic!("it worked") };
    assert_eq!(message, "wsc.train.jsonl has 28 rows, which make no batch of 32");
}
