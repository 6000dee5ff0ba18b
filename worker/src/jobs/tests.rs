//! Jobs as the coordinator hands them over, on the toy world.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use grid::domain::layout::{self, OPTIMIZER, SCHEMA};
use grid::domain::{
    Arch, Artifact, CorpusFormat, DatasetFormat, EarlyStopping, Event, Job, JournalEntry, KeptWeights, Length,
    LossMask, Milestone, ModelConfig, OptimizerStart, Origin, Outcome, Precision, PrepareJob, Prepared, PretrainJob,
    RecordOrder, RunSettings, Schedule, Template, TokenizerJob, Training, TuneJob, TunePart, Validation, Verdict,
    Warmup, WorldPart,
};

use super::*;
use crate::attempt::{Served, serve};
use crate::ml::runtime;

pub(super) static NEVER: AtomicBool = AtomicBool::new(false);

/// Hands the job over under `token`, and returns the folder of its attempt.
pub(super) fn submit(
    folder: &Path,
    token: &str,
    job: &Job,
    parents: &BTreeMap<JobId, PathBuf>,
    stop: &'static AtomicBool,
) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let settings =
        RunSettings { device: "cpu".into(), threads: 1, checkpoint_every_seconds: 0, micro_batch: None, faults: None };
    let assignment = Assignment {
        schema: SCHEMA,
        id: job.id(),
        token: token.into(),
        job: job.clone(),
        sources: vec![],
        parents: parents.clone(),
        keep_optimizer: true,
        settings,
    };
    fs::write(folder.join("job.json"), serde_json::to_vec(&assignment).unwrap()).unwrap();
    let input = Cursor::new(format!("{}\n", folder.display()));
    let mut memory = Memory::default();
    let served = serve(input, stop, "test", |assignment, attempt| run(assignment, attempt, &mut memory)).unwrap();
    assert_eq!(served == Served::Stopped, stop.load(Ordering::Relaxed));
    let is_mine = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{token}-"));
    let mut attempts = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_mine);
    attempts.next().expect("an attempt")
}

pub(super) fn output(folder: &Path, token: &str, attempt: &Path) -> PathBuf {
    let text = fs::read(folder.join(layout::published_outcome(token))).unwrap();
    let outcome: Outcome = serde_json::from_slice(&text).unwrap();
    assert_eq!(outcome.verdict, Verdict::Done);
    attempt.join("output")
}

pub(super) fn journal(attempt: &Path) -> Vec<Event> {
    let text = fs::read_to_string(attempt.join("journal.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<JournalEntry>(line).unwrap().event).collect()
}

pub(super) fn checkpoints(attempt: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(attempt).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.to_string_lossy().contains("/checkpoint-")).collect();
    paths.sort();
    paths
}

/// A tiny model, its text, and the folders of the jobs before it.
pub(super) fn pretraining(runs: &Path) -> (Job, BTreeMap<JobId, PathBuf>) {
    let origin = Origin::World { part: WorldPart::Speech, seed: 1, size: 2_000 };
    let format = CorpusFormat::default();
    let corpus = (origin, format);
    let tokenizer = Job::Tokenizer(TokenizerJob { vocab_size: 300, corpora: vec![corpus.clone()], datasets: vec![] });
    let prepared = Prepared::Corpus(corpus.0, corpus.1);
    let prepare = Job::Prepare(PrepareJob { tokenizer: tokenizer.id(), data: prepared, held_out: 0.1 });
    let mut parents = BTreeMap::new();
    for (name, job) in [("tokenizer", &tokenizer), ("prepare", &prepare)] {
        let folder = runs.join(name);
        let attempt = submit(&folder, "t", job, &parents, &NEVER);
        parents.insert(job.id(), output(&folder, "t", &attempt));
    }
    let model = ModelConfig {
        arch: Arch::Llama,
        vocab_size: 300,
        max_positions: 16,
        hidden: 16,
        layers: 1,
        heads: 2,
        kv_heads: 2,
        head_dim: 8,
        intermediate: 32,
        rope_base: 10_000.0,
        norm_eps: 1e-5,
        tied: true,
        init_std: 0.02,
    };
    let training = Training {
        length: Length::Steps(100),
        batch_size: 4,
        learning_rate: 1e-2,
        schedule: Schedule::Cosine,
        warmup: Warmup::Steps(3),
        min_learning_rate_ratio: 0.0,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        weight_decay: 0.1,
        clip_norm: Some(1.0),
        label_smoothing: 0.0,
        precision: Precision::F32,
        validation: None,
    };
    let (tokenizer, corpora) = (tokenizer.id(), vec![prepare.id()]);
    (
        Job::Pretrain(PretrainJob {
            model,
            tokenizer,
            corpora,
            sequence_length: 16,
            training,
            milestones: vec![],
            seed: 1,
        }),
        parents,
    )
}

/// Raises the flag once an attempt under the token has two checkpoints.
pub(super) fn stop_after_two_checkpoints(folder: PathBuf, token: &str, stop: &'static AtomicBool) {
    let attempts = move || fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mine = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(token));
    let enough = |path: PathBuf| path.is_dir() && mine(&path) && checkpoints(&path).len() >= 2;
    while !attempts().any(enough) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    stop.store(true, Ordering::Relaxed);
}

#[test]
fn a_damaged_checkpoint_is_refused_by_name_and_the_one_before_gives_the_same_weights() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let weights = |folder: &Path, token: &str, attempt: &Path| {
        fs::read(output(folder, token, attempt).join("model.safetensors")).unwrap()
    };

    let straight = runs.path().join("straight");
    let attempt = submit(&straight, "t", &job, &parents, &NEVER);
    let wanted = weights(&straight, "t", &attempt);
    assert_eq!(checkpoints(&attempt), Vec::<PathBuf>::new(), "a job that is done needs none");
    let saved = journal(&attempt).iter().filter(|event| matches!(event, Event::Checkpoint { .. })).count();
    assert_eq!(saved, 99, "one after each step but the last");

    let folder = runs.path().join("interrupted");
    let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    fs::create_dir(&folder).unwrap();
    let watched = folder.clone();
    let watch = std::thread::spawn(move || stop_after_two_checkpoints(watched, "first", stop));
    let attempt = submit(&folder, "first", &job, &parents, stop);
    watch.join().unwrap();
    let Some(Event::Interrupted { step }) = journal(&attempt).pop() else { panic!("not interrupted") };
    let kept = checkpoints(&attempt);
    assert_eq!(kept.len(), 2, "the last and one to fall back on: {kept:?}");

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

/// The artifacts of a job that is done.
fn artifacts(folder: &Path, token: &str) -> Vec<Artifact> {
    let text = fs::read(folder.join(layout::published_outcome(token))).unwrap();
    serde_json::from_slice::<Outcome>(&text).unwrap().artifacts
}

fn pretrain_job(job: Job) -> PretrainJob {
    let Job::Pretrain(job) = job else { panic!("{job:?}") };
    job
}

/// What is chosen and kept on the way is the same whether or not the training was interrupted.
#[test]
fn milestones_and_the_best_model_survive_interruptions() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    job.milestones = vec![Milestone::Tokens(200), Milestone::Words(700), Milestone::Tokens(6_803)];
    job.training.validation = Some(Validation { every: 7, early_stopping: None, keep: KeptWeights::Best });
    let job = Job::Pretrain(job);

    let straight = runs.path().join("straight");
    let attempt = submit(&straight, "t", &job, &parents, &NEVER);
    let wanted = artifacts(&straight, "t");
    let names: Vec<String> = wanted.iter().map(|artifact| artifact.path.display().to_string()).collect();
    let own: Vec<&String> = names.iter().filter(|name| !name.contains('/')).collect();
    assert!(own.iter().any(|name| *name == "model.safetensors"), "{names:?}");
    let with_own = |milestone: &str| {
        let models = own.iter().filter(|name| **name != OPTIMIZER); // the state stays beside the last model only
        let copies = models.map(move |name| format!("milestones/{milestone}/{name}"));
        copies.chain([format!("milestones/{milestone}/milestone.json")]).collect::<Vec<_>>()
    };
    let mut expected: Vec<String> = own.iter().map(|name| (*name).clone()).collect();
    expected.extend(["200-tokens", "6803-tokens", "700-words"].into_iter().flat_map(with_own));
    expected.sort();
    assert_eq!(names, expected);
    let looks = |attempt: &Path| -> Vec<(u64, f64)> {
        let look = |event| match event {
            Event::Metric { name, step, value } if name == "validation_loss" => Some((step, value)),
            _ => None,
        };
        journal(attempt).into_iter().filter_map(look).collect()
    };
    let straight_looks = looks(&attempt);
    assert_eq!(straight_looks.len(), 15, "every 7 of 100 steps, and the last");

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
    assert_eq!(reached.len(), 3, "those of earlier attempts are told again");
    let later = looks(&attempt);
    assert!(straight_looks.ends_with(&later), "{later:?}");
}

#[test]
fn a_training_that_no_longer_learns_ends_early_and_gives_its_best_model() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    job.training.length = Length::Steps(100_000);
    job.training.learning_rate = 0.05; // learns its few windows by heart
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
    let looks = metric("validation_loss");
    let best = looks.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
    let last = looks.last().unwrap().0;
    assert!(last < 100_000 && last == best + 30, "{looks:?}");
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
    let text = fs::read(folder.join(layout::published_outcome("t"))).unwrap();
    let outcome: Outcome = serde_json::from_slice(&text).unwrap();
    let Verdict::Failed { message, .. } = outcome.verdict else { panic!("{outcome:?}") };
    assert_eq!(
        message,
        "the milestone of 7k tokens lies beyond the training, which sees about 6766 tokens: train longer, or leave it \
         out"
    );
}

#[test]
fn a_model_that_changed_after_its_job_is_refused() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    (job.training.length, job.milestones) = (Length::Steps(8), vec![Milestone::Tokens(200)]);
    let folder = runs.path().join("model");
    let attempt = submit(&folder, "t", &Job::Pretrain(job), &parents, &NEVER);
    let output = output(&folder, "t", &attempt);
    let models = [output.clone(), output.join("milestones/200-tokens")];
    for model in &models {
        read_model(model, "cpu").unwrap();
        let path = model.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() - 40;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let refusal = read_model(model, "cpu").unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("{} is not what its job left there", path.display())), "{refusal}");
    }
}

/// At a constant rate the parts of one training are what two trainings are of which the second carries on with the
/// optimiser of the first, and an interruption in the second part changes nothing.
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
        let data = Prepared::Dataset(origin, DatasetFormat::json("prompt", "reply"), Template::separated("\n"));
        let job = Job::Prepare(PrepareJob { tokenizer: pretrain.tokenizer, data, held_out: 0.1 });
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
    assert!(weights(&parents[&id]) == weights(&parents[&second]), "one training is not its two parts");

    // Its loss is measured on what both datasets hold out, like that of a last stage which lists the other one.
    let look = |events: &[Event]| -> Option<f64> {
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
    assert_eq!(look(&events), look(&common));
    assert_ne!(look(&own), look(&common));

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

/// A dataset that is one dialogue gives its end to validation, and the journal says so.
#[test]
fn a_single_dialogue_gives_its_end_with_a_warning() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let tokenizer = pretrain_job(job).tokenizer;
    let warnings = |across: bool| {
        let origin = Origin::World { part: WorldPart::Dialogues, seed: 1, size: 3_000 };
        let format = DatasetFormat::Dialogue { min_words: 0, across, remove: String::new() };
        let data = Prepared::Dataset(origin, format, Template::separated("\n"));
        let job = Job::Prepare(PrepareJob { tokenizer, data, held_out: 0.1 });
        let attempt = submit(&runs.path().join(format!("across-{across}")), "t", &job, &parents, &NEVER);
        let warning = |event| match event {
            Event::Warning { message } => Some(message),
            _ => None,
        };
        journal(&attempt).into_iter().filter_map(warning).collect::<Vec<String>>()
    };
    assert_eq!(warnings(false), [] as [String; 0]);
    let [warning] = &warnings(true)[..] else { panic!("one warning") };
    assert_eq!(
        warning,
        "no dialogue or paragraph is small enough to be held out whole: the last 26 records of the largest one are \
         held out"
    );
}
