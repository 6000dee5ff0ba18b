//! Attempts with real files, locks, signals and processes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grid::domain::{
    Artifact, Assignment, Cluster, Digest, Event, FailureKind, InnerPath, ItemOutcome, Job, JournalEntry, Outcome,
    RunSettings, TokenizerJob, Verdict,
};
use tempfile::TempDir;

use super::files;
use super::serve::{Processed, process};
use super::*;
use grid::domain::layout::{ASSIGNMENT_SCHEMA, ITEMS, JOB, JOURNAL, OUTCOME_SCHEMA, RESUMABLE, published_outcome};

static NEVER: AtomicBool = AtomicBool::new(false);

/// Writes an assignment into the folder of a job. The vocabulary size says what `train` below does.
fn submit(folder: &Path, token: &str, vocab_size: u32) -> Assignment {
    let job = Job::Tokenizer(TokenizerJob { vocab_size, corpora: vec![], datasets: vec![], special_tokens: vec![] });
    let settings =
        RunSettings { device: "cpu".into(), threads: 1, checkpoint_every_seconds: 0, micro_batch: None, faults: None };
    let assignment = Assignment {
        schema: ASSIGNMENT_SCHEMA,
        id: job.id(),
        token: token.into(),
        job,
        sources: vec![],
        parents: BTreeMap::new(),
        keep_optimizer: false,
        teacher: None,
        settings,
    };
    fs::write(folder.join(JOB), serde_json::to_string(&assignment).unwrap()).unwrap();
    assignment
}

fn outcome(folder: &Path, token: &str) -> Option<Outcome> {
    let text = fs::read(folder.join(published_outcome(token))).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

fn journal(attempt: &Path) -> Vec<Event> {
    let text = fs::read_to_string(attempt.join(JOURNAL)).unwrap();
    text.lines().map(|line| serde_json::from_str::<JournalEntry>(line).unwrap().event).collect()
}

fn attempts(folder: &Path) -> Vec<PathBuf> {
    files::attempts(folder).into_iter().map(|name| folder.join(name)).collect()
}

fn run_once(
    folder: &Path,
    mut job: impl FnMut(&Assignment, &mut Attempt) -> Result<(), JobError>,
) -> io::Result<Processed> {
    process(folder, &NEVER, "test", &mut job)
}

const TRAIN: u32 = 300;

/// A job that saves a checkpoint at every step, until it is asked to stop or all steps are done.
fn train(assignment: &Assignment, attempt: &mut Attempt) -> Result<(), JobError> {
    let Job::Tokenizer(job) = &assignment.job else { return Err(JobError::failed("not a tokenizer")) };
    if job.vocab_size != TRAIN {
        return Ok(());
    }
    for step in 1..=10_000 {
        let path: InnerPath = format!("checkpoint-{step}").parse().unwrap();
        fs::create_dir(attempt.folder().join(&path))?;
        attempt.emit(Event::Checkpoint {
            path,
            step,
            tokens: 0,
            words: 0,
            weights: Digest::of(b""),
            milestone: None,
        })?;
        if attempt.stop_requested() {
            return Err(JobError::Interrupted { step });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Not a test, but the worker process of the tests below, which run this program with the variable set.
#[test]
fn worker_process() {
    if std::env::var_os("GRID_TEST_WORKER").is_none() {
        return;
    }
    let stop = signal::stop_on_signals();
    let code = match serve(std::io::stdin(), stop, "test", train) {
        Ok(Served::All) => 0,
        Ok(Served::Stopped) => i32::from(RESUMABLE),
        Err(_) => 1,
    };
    #[expect(clippy::disallowed_methods, reason = "the test harness has exit codes of its own")]
    std::process::exit(code);
}

fn start_worker() -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "attempt::tests::worker_process", "--nocapture"])
        .env("GRID_TEST_WORKER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until an attempt in `folder` has written a checkpoint.
fn wait_for_checkpoint(folder: &Path) {
    let since = Instant::now();
    let started = || {
        attempts(folder).iter().any(|attempt| fs::read_to_string(attempt.join(JOURNAL)).unwrap().lines().count() > 2)
    };
    while !started() {
        assert!(since.elapsed() < Duration::from_secs(20), "no attempt started");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal_to(child: &Child, signal: i32) {
    // SAFETY: kill(2) has no effect on memory, and the child has not been reaped.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn a_finished_job_has_artifacts_and_no_checkpoints() {
    let folder = TempDir::new().unwrap();
    let assignment = submit(folder.path(), "t1", 1);
    let processed = run_once(folder.path(), |_, attempt| {
        fs::create_dir(attempt.folder().join("checkpoint-5"))?;
        fs::create_dir(attempt.output().join("b"))?;
        fs::write(attempt.output().join("b/x"), "x")?;
        fs::write(attempt.output().join("a"), "")?;
        Ok(())
    });
    assert_eq!(processed.unwrap(), Processed::Published);
    let outcome = outcome(folder.path(), "t1").unwrap();
    assert_eq!((outcome.id, outcome.verdict), (assignment.id, Verdict::Done));
    let attempt = folder.path().join(&outcome.attempt);
    let artifact = |path: &str, content: &str| Artifact {
        path: path.parse().unwrap(),
        bytes: content.len() as u64,
        digest: Digest::of(content.as_bytes()),
        stamp: Some(grid::data::stamp_of(&attempt.join("output").join(path)).unwrap()),
    };
    assert_eq!(outcome.artifacts, [artifact("a", ""), artifact("b/x", "x")]);
    assert!(!attempt.join("checkpoint-5").exists());
    let events = journal(&attempt);
    assert!(matches!(events.as_slice(), [Event::Started { .. }, Event::Finished { verdict: Verdict::Done }]));
    assert_eq!(fs::read(attempt.join(JOB)).unwrap(), fs::read(folder.path().join(JOB)).unwrap());
}

#[test]
fn a_submission_with_an_outcome_does_not_run_again() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", 1);
    let runs = Cell::new(0);
    let count = |_: &Assignment, _: &mut Attempt| {
        runs.set(runs.get() + 1);
        Ok(())
    };
    for _ in 0..2 {
        run_once(folder.path(), count).unwrap();
    }
    assert_eq!((runs.get(), attempts(folder.path()).len()), (1, 1));
    submit(folder.path(), "t2", 1);
    run_once(folder.path(), count).unwrap();
    assert_eq!(runs.get(), 2, "a new token is a new submission");
}

#[test]
fn one_of_two_workers_with_the_same_submission_runs_it() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", 1);
    let runs = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let processed = run_once(folder.path(), |_, _| {
                    runs.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(100));
                    Ok(())
                });
                assert_eq!(processed.unwrap(), Processed::Published);
            });
        }
    });
    assert_eq!(runs.into_inner(), 1);
}

#[test]
fn the_first_of_two_outcomes_of_a_submission_stays() {
    let folder = TempDir::new().unwrap();
    let assignment = submit(folder.path(), "t1", 1);
    let publish = || {
        let attempt = Attempt::begin(folder.path(), &assignment, &NEVER).unwrap();
        let mine = Outcome {
            schema: OUTCOME_SCHEMA,
            id: assignment.id,
            token: "t1".into(),
            attempt: attempt.name.clone(),
            started: 0,
            ended: 0,
            verdict: Verdict::Done,
            artifacts: vec![],
            records: vec![],
        };
        (files::publish(folder.path(), &mine).unwrap(), attempt.name.clone())
    };
    let ((first_won, first), (second_won, second)) = (publish(), publish());
    assert!(first_won && !second_won && first != second);
    assert_eq!(outcome(folder.path(), "t1").unwrap().attempt, first);
}

#[test]
fn errors_and_panics_are_published_with_their_kind() {
    let folder = TempDir::new().unwrap();
    let verdict = |token: &str, job: &dyn Fn() -> Result<(), JobError>| {
        submit(folder.path(), token, 1);
        run_once(folder.path(), |_, _| job()).unwrap();
        outcome(folder.path(), token).unwrap().verdict
    };
    let failed = |failure, message: &str| Verdict::Failed { failure, message: message.to_owned() };
    assert_eq!(verdict("a", &|| Err(JobError::failed("no such file"))), failed(FailureKind::Job, "no such file"));
    assert_eq!(
        verdict("b", &|| panic!("CUDA out of memory. Tried to allocate {} GiB", 2)),
        failed(FailureKind::OutOfMemory, "panicked: CUDA out of memory. Tried to allocate 2 GiB")
    );
    assert_eq!(verdict("c", &|| Err(JobError::non_finite("loss"))), failed(FailureKind::NonFinite, "loss"));
    // The text of an error that is not a panic decides nothing.
    let text = "out of memory.txt: no such file";
    assert_eq!(verdict("d", &|| Err(JobError::failed(text))), failed(FailureKind::Job, text));
    assert_eq!(verdict("e", &|| Err(JobError::out_of_memory("12 GiB"))), failed(FailureKind::OutOfMemory, "12 GiB"));
}

#[test]
fn a_non_finite_metric_is_not_written_to_the_journal() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", 1);
    let nan = Event::Metric { name: "train_loss".into(), step: 3, value: f64::NAN };
    run_once(folder.path(), |_, attempt| attempt.emit(nan.clone())).unwrap();
    let message = "train_loss is NaN at step 3".to_owned();
    assert_eq!(
        outcome(folder.path(), "t1").unwrap().verdict,
        Verdict::Failed { failure: FailureKind::NonFinite, message }
    );
}

#[test]
fn all_items_are_on_disk_before_the_outcome() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", 1);
    let item = |item| ItemOutcome {
        task: "blimp".into(),
        subtask: "anaphor".into(),
        item,
        chosen: 0,
        correct: true,
        credit: 1.0,
        scores: vec![Some(-1.5), None],
        cluster: Cluster::shared("story"),
    };
    run_once(folder.path(), |_, attempt| {
        attempt.append_items(&[item(0), item(1)])?;
        attempt.append_items(&[item(2)])
    })
    .unwrap();
    let attempt = folder.path().join(outcome(folder.path(), "t1").unwrap().attempt);
    let text = fs::read_to_string(attempt.join(ITEMS)).unwrap();
    let items: Vec<ItemOutcome> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items, [item(0), item(1), item(2)]);
}

#[test]
fn an_unusable_assignment_ends_the_worker() {
    let folder = TempDir::new().unwrap();
    let text = |assignment: &str| {
        fs::write(folder.path().join(JOB), assignment).unwrap();
        let input = Cursor::new(format!("{}\n", folder.path().display()));
        serve(input, &NEVER, "test", |_, _| Ok(())).unwrap_err().to_string()
    };
    assert!(text("{\"sche").contains("job.json: EOF while parsing"));
    assert!(
        text("{\"schema\": 99}")
            .ends_with("has schema 99, but this grid-worker reads 2: build grid and grid-worker together")
    );
}

#[test]
fn an_assignment_of_another_build_fails_without_running() {
    let folder = TempDir::new().unwrap();
    let mut assignment = submit(folder.path(), "t1", 1);
    assignment.id = "0".repeat(32).parse().unwrap();
    fs::write(folder.path().join(JOB), serde_json::to_string(&assignment).unwrap()).unwrap();
    run_once(folder.path(), |_, _| panic!("must not run")).unwrap();
    let Verdict::Failed { failure: FailureKind::Job, message } = outcome(folder.path(), "t1").unwrap().verdict else {
        panic!("did not fail")
    };
    assert!(message == "this worker computes another id for the job: build grid and grid-worker together", "{message}");
}

#[test]
fn sigterm_saves_a_checkpoint_without_an_outcome() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", TRAIN);
    let mut worker = start_worker();
    writeln!(worker.stdin.as_ref().unwrap(), "{}", folder.path().display()).unwrap();
    wait_for_checkpoint(folder.path());
    signal_to(&worker, libc::SIGTERM);
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(RESUMABLE)));
    assert_eq!(outcome(folder.path(), "t1"), None);
    let attempts = attempts(folder.path());
    let [attempt] = attempts.as_slice() else { panic!("{attempts:?}") };
    let Some(Event::Interrupted { step }) = journal(attempt).last().cloned() else { panic!("not interrupted") };
    assert!(attempt.join(format!("checkpoint-{step}")).exists());
}

#[test]
fn after_sigkill_the_next_attempt_finds_the_checkpoints_and_removes_them_at_its_end() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", TRAIN);
    let mut worker = start_worker();
    writeln!(worker.stdin.as_ref().unwrap(), "{}", folder.path().display()).unwrap();
    wait_for_checkpoint(folder.path());
    signal_to(&worker, libc::SIGKILL);
    worker.wait().unwrap();
    assert_eq!(outcome(folder.path(), "t1"), None);
    let dead = attempts(folder.path());
    submit(folder.path(), "t2", TRAIN);
    run_once(folder.path(), |_, attempt| {
        assert_eq!(attempt.earlier(), dead);
        assert!(dead[0].join("checkpoint-1").exists());
        Ok(())
    })
    .unwrap();
    assert_eq!(outcome(folder.path(), "t2").unwrap().verdict, Verdict::Done);
    assert!(!dead[0].join("checkpoint-1").exists() && dead[0].join(JOURNAL).exists());
    submit(folder.path(), "t3", TRAIN);
    run_once(folder.path(), |_, attempt| {
        let earlier = attempt.earlier();
        assert_eq!((earlier.len(), earlier.last()), (2, dead.first()), "newest first");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_worker_whose_coordinator_died_finishes_its_job() {
    let folder = TempDir::new().unwrap();
    submit(folder.path(), "t1", 1);
    let mut worker = start_worker();
    let mut input = worker.stdin.take().unwrap();
    writeln!(input, "{}", folder.path().display()).unwrap();
    drop(input);
    assert_eq!(worker.wait().unwrap().code(), Some(0));
    assert_eq!(outcome(folder.path(), "t1").unwrap().verdict, Verdict::Done);
}

#[test]
fn an_idle_worker_ends_on_sigterm() {
    let mut worker = start_worker();
    let _open = worker.stdin.take();
    // Before it catches the signal, the signal would just kill it.
    let catches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (libc::SIGTERM - 1) != 0
    };
    while !catches() {
        std::thread::sleep(Duration::from_millis(10));
    }
    signal_to(&worker, libc::SIGTERM);
    assert_eq!(worker.wait().unwrap().code(), Some(i32::from(RESUMABLE)));
}

#[test]
fn checkpoints_are_due_after_the_interval() {
    let folder = TempDir::new().unwrap();
    let mut assignment = submit(folder.path(), "t1", 1);
    assert!(Attempt::begin(folder.path(), &assignment, &NEVER).unwrap().should_checkpoint());
    assignment.settings.checkpoint_every_seconds = 3600;
    assert!(!Attempt::begin(folder.path(), &assignment, &NEVER).unwrap().should_checkpoint());
}
