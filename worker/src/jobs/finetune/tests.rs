use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use grid::domain::{
    BodyDropout, Event, FinetuneJob, FinetuneRecipe, GlueTask, Hyperparameters, Job, JobId, Length, Mode, Origin,
    Outcome, Pooling, Precision, Selection, Verdict, WorldPart,
};

use super::super::fixtures::{
    NEVER, checkpoints, journal, output, pretraining, published_outcome, stop_after_two_checkpoints, submit,
};
use crate::ml::runtime;
use grid::domain::layout::ITEMS;

/// A job on a tiny model of the toy world, and the output of the job of that model.
fn finetuning(
    runs: &Path,
    candidates: &[Hyperparameters],
    items: u64,
    dropout: BodyDropout,
) -> (Job, BTreeMap<JobId, PathBuf>) {
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
            dropout,
            keep: true,
        },
        train: data.clone(),
        valid: data,
        seed: 7,
    };
    (Job::Finetune(job), BTreeMap::from([(id, model)]))
}

/// The reproducible events of an attempt.
fn reproducible_events(attempt: &Path) -> Vec<Event> {
    let is_reproducible = |event: &Event| match event {
        Event::Scored(_) => true,
        Event::Metric { name, .. } => name.starts_with("valid_") || name.starts_with("chosen_"),
        _ => false,
    };
    journal(attempt).into_iter().filter(is_reproducible).collect()
}

/// Interrupted in the first of two trainings; the predictions are those of an uninterrupted job.
fn assert_resumed_equals_uninterrupted(dropout: BodyDropout) -> String {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let candidates = [3e-3, 1e-3].map(|learning_rate| Hyperparameters { learning_rate, batch_size: 8, epochs: 3 });
    let (job, parents) = finetuning(runs.path(), &candidates, 40, dropout);
    let uninterrupted = runs.path().join("uninterrupted");
    let whole = submit(&uninterrupted, "t", &job, &parents, &NEVER);
    output(&uninterrupted, "t", &whole);
    assert_eq!(checkpoints(&whole), Vec::<PathBuf>::new(), "a job that is done needs none");
    let items = fs::read_to_string(whole.join(ITEMS)).unwrap();
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
    assert!(journal(&second).contains(&Event::Resumed { step }), "it did not resume");
    assert!(fs::read_to_string(second.join(ITEMS)).unwrap() == items, "the predictions differ");
    let both: Vec<Event> = reproducible_events(&first).into_iter().chain(reproducible_events(&second)).collect();
    assert_eq!(both, reproducible_events(&whole));
    assert!(weights(&second) == weights(&whole), "the kept weights differ");
    items
}

#[test]
fn a_resumed_finetuning_equals_an_uninterrupted_one_bit_for_bit() {
    let plain = assert_resumed_equals_uninterrupted(BodyDropout::None);
    let dropping = assert_resumed_equals_uninterrupted(BodyDropout::Share(0.5));
    assert_ne!(plain, dropping, "nothing was dropped");
}

#[test]
fn too_few_rows_for_a_batch_are_refused() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = finetuning(runs.path(), &[GlueTask::Wsc.official()], 7, BodyDropout::None);
    let folder = runs.path().join("finetune");
    submit(&folder, "t", &job, &parents, &NEVER);
    let outcome: Outcome = published_outcome(&folder, "t");
    let Verdict::Failed { message, .. } = outcome.verdict else { panic!("it worked") };
    assert_eq!(message, "wsc.train.jsonl has 28 rows, fewer than the batch size of 32");
}
