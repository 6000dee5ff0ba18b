//! Jobs for tests: they are submitted as the coordinator submits them, on the toy world.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use grid::domain::{
    Arch, Artifact, Assignment, CorpusFormat, Event, FinishedOutput, Job, JobId, JournalEntry, Length, ModelConfig,
    Origin, Outcome, PrepareJob, Prepared, PretrainJob, RunSettings, Schedule, TokenizerJob, Training, Verdict, Warmup,
    WorldPart,
};

use super::{Memory, run};
use crate::attempt::{Served, serve};
use grid::domain::layout::{self, CHECKPOINT_PREFIX, JOB, JOURNAL, OUTCOME, OUTPUT};

pub(super) static NEVER: AtomicBool = AtomicBool::new(false);

pub(super) fn assignment(token: &str, job: &Job, parents: &BTreeMap<JobId, PathBuf>) -> Assignment {
    let settings =
        RunSettings { device: "cpu".into(), threads: 1, checkpoint_every_seconds: 0, micro_batch: None, faults: None };
    Assignment {
        schema: layout::ASSIGNMENT_SCHEMA,
        id: job.id(),
        token: token.into(),
        job: job.clone(),
        sources: vec![],
        parents: parents.iter().map(|(id, output)| (*id, finished(output))).collect(),
        keep_optimizer: true,
        teacher: None,
        settings,
    }
}

/// What the job left whose output folder this is, according to the outcome of its attempt.
pub(super) fn finished(output: &Path) -> FinishedOutput {
    let text = fs::read(output.with_file_name(OUTCOME)).unwrap();
    let Outcome { artifacts, .. } = serde_json::from_slice(&text).unwrap();
    FinishedOutput { folder: output.to_owned(), artifacts }
}

/// Submits the job under `token`, runs it, and returns the folder of the attempt.
pub(super) fn submit(
    folder: &Path,
    token: &str,
    job: &Job,
    parents: &BTreeMap<JobId, PathBuf>,
    stop: &'static AtomicBool,
) -> PathBuf {
    submit_assignment(folder, &assignment(token, job, parents), stop)
}

/// Submits an assignment, runs it, and returns the folder of the attempt.
pub(super) fn submit_assignment(folder: &Path, assignment: &Assignment, stop: &'static AtomicBool) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let token = &assignment.token;
    fs::write(folder.join(JOB), serde_json::to_vec(assignment).unwrap()).unwrap();
    let input = Cursor::new(format!("{}\n", folder.display()));
    let mut memory = Memory::default();
    let served = serve(input, stop, "test", |assignment, attempt| run(assignment, attempt, &mut memory)).unwrap();
    assert_eq!(served == Served::Stopped, stop.load(Ordering::Relaxed));
    let is_mine = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{token}-"));
    let mut attempts = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(is_mine);
    attempts.next().expect("an attempt")
}

pub(super) fn output(folder: &Path, token: &str, attempt: &Path) -> PathBuf {
    assert_eq!(published_outcome(folder, token).verdict, Verdict::Done);
    attempt.join(OUTPUT)
}

pub(super) fn published_outcome(folder: &Path, token: &str) -> Outcome {
    serde_json::from_slice(&fs::read(folder.join(layout::published_outcome(token))).unwrap()).unwrap()
}

pub(super) fn journal(attempt: &Path) -> Vec<Event> {
    let text = fs::read_to_string(attempt.join(JOURNAL)).unwrap();
    text.lines().map(|line| serde_json::from_str::<JournalEntry>(line).unwrap().event).collect()
}

pub(super) fn checkpoints(attempt: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(attempt).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.to_string_lossy().contains(&format!("/{CHECKPOINT_PREFIX}"))).collect();
    paths.sort();
    paths
}

/// A pretrain job of a tiny model, and the outputs of its parents.
pub(super) fn pretraining(runs: &Path) -> (Job, BTreeMap<JobId, PathBuf>) {
    let origin = Origin::World { part: WorldPart::Speech, seed: 1, size: 2_000 };
    let format = CorpusFormat::default();
    let corpus = (origin, format);
    let tokenizer = Job::Tokenizer(TokenizerJob {
        vocab_size: 300,
        corpora: vec![corpus.clone()],
        datasets: vec![],
        special_tokens: vec![],
    });
    let prepared = Prepared::Corpus(corpus.0, corpus.1);
    let prepare = Job::Prepare(PrepareJob {
        tokenizer: tokenizer.id(),
        data: prepared,
        held_out: 0.1,
        own_text: false,
        texts: false,
    });
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
        rope_scaling: None,
        norm_eps: 1e-5,
        tied: true,
        init_std: 0.02,
    };
    let training = Training {
        schedule: Schedule::Cosine,
        warmup: Warmup::Steps(3),
        weight_decay: 0.1,
        clip_norm: Some(1.0),
        ..Training::plain(Length::Steps(100), 4, 1e-2)
    };
    let (tokenizer, corpora) = (tokenizer.id(), vec![prepare.id()]);
    (
        Job::Pretrain(PretrainJob {
            model,
            tokenizer,
            corpora,
            sequence_length: 16,
            training,
            distillation: None,
            milestones: vec![],
            seed: 1,
        }),
        parents,
    )
}

/// Sets the flag once an attempt under the token has two checkpoints.
pub(super) fn stop_after_two_checkpoints(folder: PathBuf, token: &str, stop: &'static AtomicBool) {
    let attempts = move || fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mine = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(token));
    let enough = |path: PathBuf| path.is_dir() && mine(&path) && checkpoints(&path).len() >= 2;
    while !attempts().any(enough) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    stop.store(true, Ordering::Relaxed);
}

/// The artifacts of a job that is done, without their stamps, which are never the same twice.
pub(super) fn artifacts(folder: &Path, token: &str) -> Vec<Artifact> {
    let artifacts = published_outcome(folder, token).artifacts;
    artifacts.into_iter().map(|artifact| Artifact { stamp: None, ..artifact }).collect()
}

/// The job in a [`Job::Pretrain`].
pub(super) fn pretrain_job(job: Job) -> PretrainJob {
    let Job::Pretrain(job) = job else { panic!("{job:?}") };
    job
}

/// Stops a job after it has saved its first part, runs it again, and compares the output with that of an undisturbed run in
/// the folder `whole`, submitted as `t`. Returns how far the second run was when it first reported progress.
pub(super) fn stop_and_resume(
    [whole, stopped]: [&Path; 2],
    job: &Job,
    parents: &BTreeMap<JobId, PathBuf>,
    stop: &'static AtomicBool,
) -> Option<u64> {
    let partials = |folder: &Path| {
        let attempts = fs::read_dir(folder).into_iter().flatten().flatten();
        attempts.filter(|attempt| attempt.path().join("partial.json").exists()).count()
    };
    let watched = stopped.to_owned();
    std::thread::spawn(move || {
        while partials(&watched) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
    });
    submit(stopped, "a", job, parents, stop);
    assert_eq!(partials(stopped), 1, "it was stopped after a chunk");
    let attempt = submit(stopped, "b", job, parents, &NEVER);
    output(stopped, "b", &attempt);
    assert_eq!(artifacts(stopped, "b"), artifacts(whole, "t"));
    journal(&attempt).into_iter().find_map(|event| match event {
        Event::Progress { done, .. } => Some(done),
        _ => None,
    })
}
