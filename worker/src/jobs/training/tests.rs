use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use grid::domain::{
    DatasetFormat, EarlyStopping, Event, Formatting, Job, KeptWeights, Length, LossMask, Milestone, OptimizerStart,
    Origin, PrepareJob, Prepared, RecordOrder, Schedule, Training, TuneJob, TuneObjective, TunePart, Validation,
    Verdict, Warmup, WorldPart,
};

use crate::jobs::fixtures::{
    NEVER, artifacts, checkpoints, journal, output, pretrain_job, pretraining, published_outcome,
    stop_after_two_checkpoints, submit,
};
use crate::ml::runtime;
use grid::domain::layout::OPTIMIZER;

#[test]
fn a_damaged_checkpoint_is_named_and_the_previous_one_gives_the_same_weights() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let weights = |folder: &Path, token: &str, attempt: &Path| {
        fs::read(output(folder, token, attempt).join("model.safetensors")).unwrap()
    };

    let uninterrupted = runs.path().join("uninterrupted");
    let attempt = submit(&uninterrupted, "t", &job, &parents, &NEVER);
    let wanted = weights(&uninterrupted, "t", &attempt);
    assert_eq!(checkpoints(&attempt), Vec::<PathBuf>::new(), "a job that is done needs none");
    let saved = journal(&attempt).iter().filter(|event| matches!(event, Event::Checkpoint { .. })).count();
    assert_eq!(saved, 99, "one after each step except the last");

    let folder = runs.path().join("interrupted");
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    fs::create_dir(&folder).unwrap();
    let watched = folder.clone();
    let watch = std::thread::spawn(move || stop_after_two_checkpoints(watched, "first", stop));
    let attempt = submit(&folder, "first", &job, &parents, stop);
    watch.join().unwrap();
    let Some(Event::Interrupted { step }) = journal(&attempt).pop() else { panic!("not interrupted") };
    let kept = checkpoints(&attempt);
    assert_eq!(kept.len(), 2, "the last one and one more: {kept:?}");

    let damaged = kept[1].join("model.safetensors");
    let mut bytes = fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let attempt = submit(&folder, "second", &job, &parents, &NEVER);
    let events = journal(&attempt);
    let warned = |event: &Event| match event {
        Event::Warning { message } => message.contains(damaged.to_str().unwrap()) && message.contains("is damaged"),
        _ => false,
    };
    assert!(events.iter().any(warned), "{events:?}");
    assert!(events.contains(&Event::Resumed { step: step - 1 }), "{events:?}");
    assert!(weights(&folder, "second", &attempt) == wanted, "the weights differ");
}

/// The files that a training keeps are the same whether or not it was interrupted.
#[test]
fn milestones_and_the_best_model_survive_interruptions() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    job.milestones = vec![Milestone::Tokens(200), Milestone::Words(700), Milestone::Tokens(6_803)];
    job.training.validation = Some(Validation { every: 7, early_stopping: None, keep: KeptWeights::Best });
    let job = Job::Pretrain(job);

    let uninterrupted = runs.path().join("uninterrupted");
    let attempt = submit(&uninterrupted, "t", &job, &parents, &NEVER);
    let wanted = artifacts(&uninterrupted, "t");
    let names: Vec<String> = wanted.iter().map(|artifact| artifact.path.display().to_string()).collect();
    let own: Vec<&String> = names.iter().filter(|name| !name.contains('/')).collect();
    assert!(own.iter().any(|name| *name == "model.safetensors"), "{names:?}");
    let with_own = |milestone: &str| {
        let models = own.iter().filter(|name| **name != OPTIMIZER); // the optimizer state is beside the last model only
        let copies = models.map(move |name| format!("milestones/{milestone}/{name}"));
        copies.chain([format!("milestones/{milestone}/milestone.json")]).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = own.iter().map(|name| (*name).clone()).collect();
    expected.extend(["200-tokens", "6803-tokens", "700-words"].into_iter().flat_map(with_own));
    expected.sort();
    assert_eq!(names, expected);
    let validations = |attempt: &Path| -> Vec<(u64, f64)> {
        let validation = |event| match event {
            Event::Metric { name, step, value } if name == "validation_loss" => Some((step, value)),
            _ => None,
        };
        journal(attempt).into_iter().filter_map(validation).collect()
    };
    let wanted_validations = validations(&attempt);
    assert_eq!(wanted_validations.len(), 15, "every 7 of 100 steps, and the last");

    let folder = runs.path().join("interrupted");
    for round in 0..3 {
        let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        fs::create_dir_all(&folder).unwrap();
        let (watched, token) = (folder.clone(), format!("round{round}"));
        let watch = std::thread::spawn(move || stop_after_two_checkpoints(watched, &format!("round{round}"), stop));
        submit(&folder, &token, &job, &parents, stop);
        watch.join().unwrap();
    }
    let attempt = submit(&folder, "last", &job, &parents, &NEVER);
    assert_eq!(artifacts(&folder, "last"), wanted);
    let resumed = |event: &Event| matches!(event, Event::Resumed { step } if *step > 3);
    assert!(journal(&attempt).iter().any(resumed), "the first milestone was reached before");
    let reached: Vec<Milestone> = journal(&attempt)
        .into_iter()
        .filter_map(|event| match event {
            Event::Checkpoint { milestone, .. } => milestone,
            _ => None,
        })
        .collect();
    assert_eq!(reached.len(), 3, "those of earlier attempts are recorded again");
    let later = validations(&attempt);
    assert!(wanted_validations.ends_with(&later), "{later:?}");
}

#[test]
fn early_stopping_gives_the_best_model() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    job.training.length = Length::Steps(100_000);
    job.training.learning_rate = 0.05; // memorizes its few windows
    let early_stopping = Some(EarlyStopping { patience: 3, min_delta: 0.0 });
    job.training.validation = Some(Validation { every: 10, early_stopping, keep: KeptWeights::Best });
    let folder = runs.path().join("early");
    let attempt = submit(&folder, "t", &Job::Pretrain(job.clone()), &parents, &NEVER);
    let events = journal(&attempt);
    let metric = |wanted: &str| -> Vec<(u64, f64)> {
        let of = |event: &Event| match event {
            Event::Metric { name, step, value } if name == wanted => Some((*step, *value)),
            _ => None,
        };
        events.iter().filter_map(of).collect()
    };
    let losses = metric("validation_loss");
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let last = losses.last().unwrap().0;
    assert!(last < 100_000 && last == best + 30, "{losses:?}");
    assert_eq!(metric("best_step"), [(last, best as f64)]);
}

#[test]
fn a_milestone_beyond_the_training_is_refused_before_the_first_step() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    job.milestones = vec![Milestone::Tokens(1_000), Milestone::Tokens(7_000)];
    let folder = runs.path().join("beyond");
    submit(&folder, "t", &Job::Pretrain(job), &parents, &NEVER);
    let outcome = published_outcome(&folder, "t");
    let Verdict::Failed { message, .. } = outcome.verdict else { panic!("{outcome:?}") };
    assert_eq!(
        message,
        "the milestone of 7k tokens is beyond the end of the training, which sees about 6766 tokens: train longer, or \
         remove the milestone"
    );
}

/// At a constant learning rate, a training in two parts equals two trainings of which the second one continues with the
/// optimizer state of the first one. An interruption in the second part changes nothing.
#[test]
fn parts_under_one_schedule_are_one_training() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, mut parents) = pretraining(runs.path());
    let mut pretrain = pretrain_job(job);
    (pretrain.training.length, pretrain.model.max_positions) = (Length::Steps(5), 64);
    let mut run = |name: &str, job: &Job| {
        let folder = runs.path().join(name);
        let attempt = submit(&folder, "t", job, &parents, &NEVER);
        parents.insert(job.id(), output(&folder, "t", &attempt));
        (job.id(), journal(&attempt), parents.clone())
    };
    let (model, ..) = run("pretrain", &Job::Pretrain(pretrain.clone()));
    let [chat, questions] = [WorldPart::Chat, WorldPart::Questions].map(|part| {
        let origin = Origin::World { part, seed: 1, size: 30 };
        let data = Prepared::Dataset(origin, DatasetFormat::json("prompt", "reply"), Formatting::separated("\n"));
        let job = Job::Prepare(PrepareJob {
            tokenizer: pretrain.tokenizer,
            data,
            held_out: 0.1,
            own_text: false,
            texts: false,
        });
        run(&format!("{part:?}"), &job).0
    });
    let (schedule, warmup) = (Schedule::Constant, Warmup::Steps(0));
    let training = Training { schedule, warmup, ..pretrain.training };
    let tune = |parent, dataset, length, then: Vec<TunePart>, optimizer| TuneJob {
        parent,
        datasets: vec![dataset],
        shares: vec![],
        order: RecordOrder::Shuffled,
        replay: None,
        max_length: 64,
        objective: TuneObjective::Sft,
        references: BTreeMap::new(),
        teachers: vec![],
        shots: None,
        loss: LossMask::All,
        training: Training { length, ..training.clone() },
        then,
        further_validation: vec![],
        optimizer,
        seed: 3,
    };
    let (few, many) = (Length::Steps(2), Length::Epochs(2));
    let (first, ..) = run("first", &Job::Tune(tune(model, chat, few, vec![], OptimizerStart::Fresh)));
    let (second, ..) = run("second", &Job::Tune(tune(first, questions, many, vec![], OptimizerStart::Carried)));
    let datasets = vec![questions];
    let then = TunePart { datasets, shares: vec![], order: RecordOrder::Shuffled, replay: None, length: many };
    let whole = tune(model, chat, few, vec![then], OptimizerStart::Fresh);
    let (id, events, parents) = run("whole", &Job::Tune(whole.clone()));
    let weights = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    assert!(weights(&parents[&id]) == weights(&parents[&second]), "the training differs from its two parts");

    // Its loss is measured on the held-out records of both datasets, like that of a last stage that lists the other one.
    let last_loss = |events: &[Event]| -> Option<f64> {
        events.iter().rev().find_map(|event| match event {
            Event::Metric { name, value, .. } if name == "validation_loss" => Some(*value),
            _ => None,
        })
    };
    let mut last = tune(first, questions, many, vec![], OptimizerStart::Carried);
    last.further_validation = vec![chat];
    let own = journal_of(runs.path(), "second");
    let folder = runs.path().join("last");
    let common = journal(&submit(&folder, "t", &Job::Tune(last), &parents, &NEVER));
    assert_eq!(last_loss(&events), last_loss(&common));
    assert_ne!(last_loss(&own), last_loss(&common));

    let folder = runs.path().join("interrupted");
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    fs::create_dir(&folder).unwrap();
    let watched = folder.clone();
    let watch = std::thread::spawn(move || stop_after_two_checkpoints(watched, "first", stop));
    let job = Job::Tune(whole);
    let attempt = submit(&folder, "first", &job, &parents, stop);
    watch.join().unwrap();
    let Some(Event::Interrupted { step }) = journal(&attempt).pop() else { panic!("not interrupted") };
    assert!((2..16).contains(&step), "{step}: within the second part");
    let attempt = submit(&folder, "second", &job, &parents, &NEVER);
    assert!(journal(&attempt).contains(&Event::Resumed { step }));
    assert!(weights(&output(&folder, "second", &attempt)) == weights(&parents[&id]), "the weights differ");
}

/// The events of the attempt under the token `t`.
fn journal_of(runs: &Path, name: &str) -> Vec<Event> {
    let attempts = fs::read_dir(runs.join(name)).unwrap().map(|entry| entry.unwrap().path());
    let attempt = attempts.into_iter().find(|path| path.is_dir()).expect("an attempt");
    journal(&attempt)
}
