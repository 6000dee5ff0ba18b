//! Tests of `drive` with the fake executor on real folders.

mod takeover;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tokio::sync::watch;

use super::executors::fake::{Act, Fake};
use super::{Executor, Policy, RunError, Stop, Summary, drive};
use crate::domain::layout::ASSIGNMENT_SCHEMA;
use crate::domain::{
    Arch, Assignment, FailureKind, FinishedOutput, Job, JobId, JobUpdate, Length, ModelConfig, Outcome, PretrainJob,
    RunSettings, Task, TokenizerJob, Training, Update, Verdict, layout,
};

fn job(number: usize) -> Job {
    Job::Tokenizer(TokenizerJob {
        vocab_size: number as u32,
        corpora: vec![],
        datasets: vec![],
        special_tokens: vec![],
    })
}

/// The id of the task at this index.
pub(super) fn id(number: usize) -> JobId {
    job(number).id()
}

/// Tasks with these parents, by index, in folders below `runs`.
pub(super) fn tasks(runs: &Path, parents: &[Vec<usize>]) -> Vec<Task> {
    let task = |(number, parents): (usize, &Vec<usize>)| Task {
        id: id(number),
        job: job(number),
        parents: parents.iter().map(|&parent| id(parent)).collect(),
        sources: vec![],
        folder: runs.join(number.to_string()),
        keep_optimizer: false,
        teacher: None,
    };
    parents.iter().enumerate().map(task).collect()
}

/// Leaves an open submission of the task at this index, as an earlier coordinator did.
pub(super) fn left_open(number: usize, folder: &Path, token: &str) {
    let settings =
        RunSettings { device: "cpu".into(), threads: 1, checkpoint_every_seconds: 60, micro_batch: None, faults: None };
    let assignment = Assignment {
        schema: ASSIGNMENT_SCHEMA,
        id: id(number),
        token: token.to_owned(),
        job: job(number),
        sources: vec![],
        parents: BTreeMap::new(),
        keep_optimizer: false,
        teacher: None,
        settings,
    };
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(layout::JOB), serde_json::to_vec(&assignment).unwrap()).unwrap();
}

pub(super) const POLICY: Policy =
    Policy { keep_going: true, retries: 2, checkpoint_every_seconds: 60, micro_batch: None, faults: None };

/// What `drive` returned, and the updates that it reported.
pub(super) struct Run {
    result: Result<Summary, RunError>,
    pub(super) updates: Vec<JobUpdate>,
}

impl Run {
    pub(super) fn summary(&self) -> &Summary {
        self.result.as_ref().unwrap()
    }

    fn done(&self) -> BTreeSet<JobId> {
        self.summary().done.iter().copied().collect()
    }

    /// The updates without journal lines, as `<index> <word>`.
    pub(super) fn course(&self) -> Vec<String> {
        let number = |id| (0..100).find(|&number| self::id(number) == id).map_or("?".to_owned(), |n| n.to_string());
        let word = |what: &Update| match what {
            Update::Submitted { slot, .. } => Some(format!("on {slot}")),
            Update::Ended { outcome: Outcome { verdict: Verdict::Done, .. }, .. } => Some("done".to_owned()),
            Update::Ended { outcome: Outcome { verdict: Verdict::DamagedInput { .. }, .. }, .. } => {
                Some("refused its input".to_owned())
            }
            Update::Ended { .. } => Some("failed".to_owned()),
            Update::Stopped { .. } => Some("stopped".to_owned()),
            Update::Lost { message, .. } => Some(format!("lost: {message}")),
            Update::Journal { .. } => None,
        };
        self.updates
            .iter()
            .filter_map(|update| Some(format!("{} {}", number(update.job), word(&update.update)?)))
            .collect()
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Drives to the end, or until `hook` requests a stop; it sees all updates so far.
pub(super) fn run_until(
    tasks: Vec<Task>,
    done: BTreeMap<JobId, FinishedOutput>,
    executor: &mut impl Executor,
    policy: &Policy,
    mut hook: impl FnMut(&[JobUpdate]) -> Result<Stop, &'static str>,
) -> Run {
    let mut updates = vec![];
    let (sender, stop) = watch::channel(Stop::No);
    let result = block_on(drive(tasks, done, executor, policy, stop, async |batch: Vec<JobUpdate>| {
        for one in batch {
            updates.push(one);
            let wanted = hook(&updates)?;
            sender.send_if_modified(|stop| std::mem::replace(stop, wanted.max(*stop)) != wanted);
        }
        Ok::<(), &'static str>(())
    }));
    Run { result, updates }
}

pub(super) fn run(tasks: Vec<Task>, executor: &mut impl Executor, policy: &Policy) -> Run {
    run_until(tasks, BTreeMap::new(), executor, policy, |_| Ok(Stop::No))
}

/// What the jobs left that are done according to the updates.
fn outputs(updates: &[JobUpdate]) -> BTreeMap<JobId, FinishedOutput> {
    let output = |update: &JobUpdate| match &update.update {
        Update::Ended { folder, outcome: Outcome { verdict: Verdict::Done, attempt, artifacts, .. }, .. } => {
            let output = folder.join(attempt).join(layout::OUTPUT);
            Some((update.job, FinishedOutput { folder: output, artifacts: artifacts.clone() }))
        }
        _ => None,
    };
    updates.iter().filter_map(output).collect()
}

fn unfinished(tasks: &[Task], done: &BTreeMap<JobId, FinishedOutput>) -> Vec<Task> {
    tasks.iter().filter(|task| !done.contains_key(&task.id)).cloned().collect()
}

fn position(updates: &[JobUpdate], job: JobId, wanted: impl Fn(&Update) -> bool) -> usize {
    updates.iter().position(|update| update.job == job && wanted(&update.update)).unwrap()
}

/// A graph of up to nine tasks whose parents come before them.
fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
    prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..9).prop_map(|picks| {
        let parents = |(task, picks): (usize, Vec<prop::sample::Index>)| {
            let picked: BTreeSet<usize> = picks.iter().filter(|_| task > 0).map(|pick| pick.index(task)).collect();
            picked.into_iter().collect()
        };
        picks.into_iter().enumerate().map(parents).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_job_runs_once_and_after_its_parents(parents in graphs(), slots in 1_u32..4) {
        let runs = tempfile::tempdir().unwrap();
        let tasks = tasks(runs.path(), &parents);
        let run = run(tasks.clone(), &mut Fake::new(slots, |_| Act::Finish), &POLICY);
        prop_assert_eq!(run.done().len(), tasks.len());
        prop_assert_eq!(run.summary().done.len(), tasks.len());
        for Task { id, parents, .. } in &tasks {
            let submitted = |what: &Update| matches!(what, Update::Submitted { .. });
            let ended = |what: &Update| matches!(what, Update::Ended { .. });
            prop_assert_eq!(run.updates.iter().filter(|update| update.job == *id && submitted(&update.update)).count(), 1);
            for parent in parents {
                prop_assert!(position(&run.updates, *parent, ended) < position(&run.updates, *id, submitted));
            }
            let last = run.updates.iter().rposition(|update| update.job == *id);
            prop_assert_eq!(last, Some(position(&run.updates, *id, ended)), "the journal comes before the end");
        }
        prop_assert!(tasks.iter().all(|task| !task.folder.join(layout::JOB).exists()));
    }

    #[test]
    fn an_interrupted_run_continues_to_the_same_outcomes(parents in graphs(), slots in 1_u32..4, after in 1_usize..30) {
        let (runs, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tasks = tasks(runs.path(), &parents);
        let first = run_until(tasks.clone(), BTreeMap::new(), &mut Fake::new(slots, |_| Act::Finish), &POLICY, |updates| {
            Ok(if updates.len() >= after { Stop::Politely } else { Stop::No })
        });
        prop_assert_eq!(first.summary().done.len() + first.summary().interrupted.len(), tasks.len());
        let mut done = outputs(&first.updates);
        let fake = &mut Fake::new(slots, |_| Act::Finish);
        let second = run_until(unfinished(&tasks, &done), done.clone(), fake, &POLICY, |_| Ok(Stop::No));
        prop_assert!(first.done().is_disjoint(&second.done()), "no job runs twice");
        done.extend(outputs(&second.updates));
        let straight = run(self::tasks(whole.path(), &parents), &mut Fake::new(1, |_| Act::Finish), &POLICY);
        let results = |outputs: &BTreeMap<JobId, FinishedOutput>| -> BTreeMap<JobId, String> {
            let result = |output: &FinishedOutput| fs::read_to_string(output.folder.join("result.txt")).unwrap();
            outputs.iter().map(|(id, output)| (*id, result(output))).collect()
        };
        prop_assert_eq!(results(&done), results(&outputs(&straight.updates)));
    }

    #[test]
    fn whenever_the_coordinator_dies_nothing_finished_runs_again(
        parents in graphs(), slots in 1_u32..4, at in 0_usize..30, outlive: bool,
    ) {
        let runs = tempfile::tempdir().unwrap();
        let tasks = tasks(runs.path(), &parents);
        let mut fake = Fake::new(slots, |_| Act::Finish);
        let first = run_until(tasks.clone(), BTreeMap::new(), &mut fake, &POLICY, |updates| {
            if updates.len() > at { Err("disk full") } else { Ok(Stop::No) }
        });
        if outlive {
            fake.outlive_coordinator();
        }
        let published = |task: &&Task| {
            let files = fs::read_dir(&task.folder).into_iter().flatten().flatten();
            files.into_iter().any(|file| file.file_name().to_string_lossy().starts_with("outcome."))
        };
        let finished: BTreeSet<JobId> = tasks.iter().filter(published).map(|task| task.id).collect();
        // The batch that could not be recorded is lost.
        let recorded = outputs(&first.updates[..first.updates.len().min(at)]);
        let mut run_again = BTreeSet::new();
        let mut fake = Fake::new(slots, |assignment: &Assignment| {
            run_again.insert(assignment.id);
            Act::Finish
        });
        let second = run_until(unfinished(&tasks, &recorded), recorded.clone(), &mut fake, &POLICY, |_| Ok(Stop::No));
        prop_assert!(run_again.is_disjoint(&finished));
        prop_assert_eq!(second.done().len() + recorded.len(), tasks.len());
    }
}

#[test]
fn a_failure_skips_its_descendants_only() {
    let runs = tempfile::tempdir().unwrap();
    let tasks = tasks(runs.path(), &[vec![], vec![0], vec![1], vec![], vec![3]]);
    let act = |assignment: &Assignment| {
        if assignment.id == id(0) { Act::Fail(FailureKind::Job, "no such file".into()) } else { Act::Finish }
    };
    let run = run(tasks, &mut Fake::new(1, act), &POLICY);
    assert_eq!(run.course(), ["0 on cpu/0", "0 failed", "3 on cpu/0", "3 done", "4 on cpu/0", "4 done"]);
    let summary = run.summary();
    assert_eq!(summary.failed, [(id(0), "no such file".to_owned())]);
    assert_eq!(summary.skipped, [id(1), id(2)]);
    assert!(summary.interrupted.is_empty());
}

#[test]
fn without_keep_going_a_failure_starts_nothing_new() {
    let runs = tempfile::tempdir().unwrap();
    let act = |assignment: &Assignment| {
        if assignment.id == id(0) { Act::Fail(FailureKind::Job, "x".into()) } else { Act::Finish }
    };
    let policy = Policy { keep_going: false, ..POLICY };
    let run = run(tasks(runs.path(), &[vec![], vec![0], vec![], vec![]]), &mut Fake::new(2, act), &policy);
    let summary = run.summary();
    assert_eq!(summary.failed.len(), 1);
    assert_eq!(
        (&summary.done[..], &summary.skipped[..], &summary.interrupted[..]),
        (&[id(2)][..], &[id(1)][..], &[id(3)][..])
    );
}

#[test]
fn lost_workers_are_replaced_as_often_as_the_policy_says() {
    let runs = tempfile::tempdir().unwrap();
    let mut crashes = 2;
    let flaky = |_: &Assignment| {
        crashes -= 1;
        if crashes >= 0 { Act::Crash } else { Act::Finish }
    };
    let flaky = run(tasks(runs.path(), &[vec![]]), &mut Fake::new(1, flaky), &POLICY);
    assert_eq!(
        flaky.course(),
        ["0 on cpu/0", "0 lost: crashed", "0 on cpu/0", "0 lost: crashed", "0 on cpu/0", "0 done"]
    );
    let tokens: BTreeSet<String> = flaky
        .updates
        .iter()
        .filter_map(|update| match &update.update {
            Update::Submitted { token, .. } => Some(token.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(tokens.len(), 3, "each submission has its own token");
    let runs = tempfile::tempdir().unwrap();
    let broken = run(tasks(runs.path(), &[vec![], vec![0]]), &mut Fake::new(1, |_| Act::Crash), &POLICY);
    assert_eq!(broken.summary().failed, [(id(0), "crashed".to_owned())]);
    assert_eq!(broken.course().len(), 6);
}

/// Runs the jobs 0 -> 1 -> 2, of which `done` are done. Each of `refusals` is a job that refuses an output of its parent.
fn run_with_damage(done: &[usize], mut refusals: Vec<(usize, usize)>, slots: u32) -> (tempfile::TempDir, Run) {
    let runs = tempfile::tempdir().unwrap();
    let tasks = tasks(runs.path(), &[vec![], vec![0], vec![1]]);
    let output = |&number: &usize| {
        (id(number), FinishedOutput { folder: runs.path().join(number.to_string()).join("old"), artifacts: vec![] })
    };
    let done = done.iter().map(output).collect();
    let act = |assignment: &Assignment| {
        let refusal = refusals.iter().position(|(child, _)| id(*child) == assignment.id);
        refusal.map_or(Act::Finish, |refusal| Act::Refuse(id(refusals.remove(refusal).1)))
    };
    let run = run_until(tasks, done, &mut Fake::new(slots, act), &POLICY, |_| Ok(Stop::No));
    (runs, run)
}

#[test]
fn a_parent_whose_output_is_damaged_runs_again_once_before_its_child() {
    let (_runs, run) = run_with_damage(&[0, 1], vec![(2, 1)], 2);
    let course = ["2 on cpu/0", "2 refused its input", "1 on cpu/0", "1 done", "2 on cpu/0", "2 done"];
    assert_eq!(run.course(), course);
    assert_eq!(run.summary().done, [id(1), id(2)]);
    // The parent finds its own input damaged.
    let (_runs, run) = run_with_damage(&[0, 1], vec![(2, 1), (1, 0)], 2);
    let words: Vec<&str> = vec![
        "2 on cpu/0",
        "2 refused its input",
        "1 on cpu/0",
        "1 refused its input",
        "0 on cpu/0",
        "0 done",
        "1 on cpu/0",
        "1 done",
        "2 on cpu/0",
        "2 done",
    ];
    assert_eq!(run.course(), words);
    // An output of this run counts as well, and a second damage ends the attempts.
    let (_runs, run) = run_with_damage(&[], vec![(2, 1), (2, 1)], 1);
    assert_eq!(run.summary().done, [id(0), id(1)]);
    let name = id(1).short();
    let message = format!("a file is damaged; the job {name} has already run again in this run");
    assert_eq!(run.summary().failed, [(id(2), message)]);
}

#[test]
fn a_damaged_output_of_a_job_of_another_run_is_a_failure() {
    let runs = tempfile::tempdir().unwrap();
    let tasks = tasks(runs.path(), &[vec![], vec![0], vec![1]]).split_off(1);
    let done = BTreeMap::from([(id(0), FinishedOutput { folder: runs.path().join("0"), artifacts: vec![] })]);
    let mut fake = Fake::new(1, |_: &Assignment| Act::Refuse(id(0)));
    let run = run_until(tasks, done, &mut fake, &POLICY, |_| Ok(Stop::No));
    let (job, message) = &run.summary().failed[0];
    assert_eq!((*job, run.summary().skipped.as_slice()), (id(1), &[id(2)][..]));
    assert!(message.ends_with(" is not part of this run: run the experiment that it belongs to"), "{message}");
}

#[test]
fn failures_that_another_run_would_repeat_are_not_retried() {
    for failure in [FailureKind::Job, FailureKind::NonFinite] {
        let runs = tempfile::tempdir().unwrap();
        let fake = &mut Fake::new(1, |_| Act::Fail(failure, "bad".into()));
        assert_eq!(run(tasks(runs.path(), &[vec![]]), fake, &POLICY).course().len(), 2);
    }
}

pub(super) fn pretrain(runs: &Path, batch_size: u32) -> Task {
    let training = Training::plain(Length::Steps(1), batch_size, 1.0);
    let model = ModelConfig {
        arch: Arch::Llama,
        vocab_size: 512,
        max_positions: 8,
        hidden: 8,
        layers: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: 8,
        intermediate: 8,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: 1e-6,
        tied: true,
        init_std: 0.02,
    };
    let job = Job::Pretrain(PretrainJob {
        model,
        tokenizer: id(0),
        corpora: vec![],
        sequence_length: 8,
        training,
        distillation: None,
        milestones: vec![],
        seed: 1,
    });
    Task {
        id: job.id(),
        job,
        parents: vec![],
        sources: vec![],
        folder: runs.join("pretrain"),
        keep_optimizer: false,
        teacher: None,
    }
}

#[test]
fn lack_of_memory_halves_the_micro_batch_down_to_one_row() {
    let runs = tempfile::tempdir().unwrap();
    let mut sizes = vec![];
    let oom = |assignment: &Assignment| {
        sizes.push(assignment.settings.micro_batch);
        Act::Fail(FailureKind::OutOfMemory, "CUDA out of memory".into())
    };
    let run = run(vec![pretrain(runs.path(), 12)], &mut Fake::new(1, oom), &Policy { retries: 1, ..POLICY });
    assert_eq!(run.summary().failed.len(), 1);
    assert_eq!(sizes, [None, Some(6), Some(3), Some(1), Some(1)]);
}

#[test]
fn a_second_request_to_stop_kills_the_workers() {
    let runs = tempfile::tempdir().unwrap();
    let stop = |updates: &[JobUpdate]| Ok(if updates.is_empty() { Stop::No } else { Stop::Now });
    let fake = &mut Fake::new(1, |_| Act::Hang);
    let run = run_until(tasks(runs.path(), &[vec![], vec![0]]), BTreeMap::new(), fake, &POLICY, stop);
    assert_eq!(run.course(), ["0 on cpu/0", "0 lost: killed"]);
    assert_eq!(run.summary().interrupted, [id(0), id(1)]);
}

#[test]
fn a_request_to_stop_does_not_wait_until_updates_are_recorded() {
    let runs = tempfile::tempdir().unwrap();
    let (sender, stop) = watch::channel(Stop::No);
    let mut fake = Fake::new(2, |_: &Assignment| Act::Hang);
    let mut course = vec![];
    let tasks = tasks(runs.path(), &[vec![], vec![]]);
    let result = block_on(drive(tasks, BTreeMap::new(), &mut fake, &POLICY, stop, async |batch: Vec<JobUpdate>| {
        // The second submission is recorded late, and the request comes meanwhile.
        if course.len() == 1 {
            sender.send_replace(Stop::Politely);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        let word = |update: &JobUpdate| match &update.update {
            Update::Submitted { .. } => "submitted",
            Update::Journal { .. } => "journal",
            Update::Stopped { .. } => "stopped",
            Update::Ended { .. } | Update::Lost { .. } => "ended",
        };
        course.extend(batch.iter().map(|update| (update.job, word(update))));
        Ok::<(), Infallible>(())
    }));
    assert_eq!(result.unwrap().interrupted.len(), 2);
    course.retain(|(_, word)| *word != "journal");
    let job = |number| id(number);
    assert_eq!(course[..3], [(job(0), "submitted"), (job(1), "submitted"), (job(1), "stopped")]);
    assert_eq!(course[3..], [(job(0), "stopped")], "{course:?}");
    assert!(!runs.path().join("1").exists(), "no worker got the second job");
}

#[test]
fn a_run_ends_when_updates_cannot_be_recorded() {
    let runs = tempfile::tempdir().unwrap();
    let fake = &mut Fake::new(1, |_: &Assignment| Act::Finish);
    let run = run_until(tasks(runs.path(), &[vec![]]), BTreeMap::new(), fake, &POLICY, |_| Err("database is full"));
    assert_eq!(run.result.unwrap_err().to_string(), "record the progress of the jobs: database is full");
    assert!(!runs.path().join("0").exists(), "no worker gets a job that is not recorded");
}

#[test]
fn a_run_without_slots_is_an_error() {
    let none = |_: Vec<JobUpdate>| std::future::ready(Ok::<(), Infallible>(()));
    let (_sender, stop) = watch::channel(Stop::No);
    let tasks = tasks("/nowhere".as_ref(), &[vec![]]);
    let mut fake = Fake::new(0, |_: &Assignment| Act::Finish);
    let result = block_on(drive(tasks, BTreeMap::new(), &mut fake, &POLICY, stop, none));
    assert!(matches!(result, Err(RunError::NoSlots)));
}
