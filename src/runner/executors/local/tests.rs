//! Real processes: this test program, started again as a worker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::super::policy::{Policy, Stop};
use super::super::super::tests::{POLICY, Run, left_open, run, run_until, tasks};
use super::super::fake::{Act, Fake};
use super::*;
use crate::domain::layout::OUTCOME_SCHEMA;
use crate::domain::{
    Assignment, Event, Job, JobUpdate, JournalEntry, Outcome, Task, Update, Verdict, digested_json, layout,
};

/// What the test worker does with the task of this index; it finishes all others. Faults happen in the first attempt
/// only.
const CRASH: usize = 1;
const LEAVE: usize = 2;
const HANG: usize = 3;
const SLOW: usize = 4;

/// Publishes an outcome, and writes the id of this process into the journal.
fn publish(folder: &Path, assignment: Assignment) {
    let attempt = format!("{}-1", assignment.token);
    let own = folder.join(&attempt);
    fs::create_dir_all(own.join(layout::OUTPUT)).unwrap();
    let event = Event::Warning { message: std::process::id().to_string() };
    let line = serde_json::to_string(&JournalEntry { at: 0, event }).unwrap() + "\n";
    fs::write(own.join(layout::JOURNAL), line).unwrap();
    let name = folder.join(layout::published_outcome(&assignment.token));
    let outcome = Outcome {
        schema: OUTCOME_SCHEMA,
        id: assignment.id,
        token: assignment.token,
        attempt: attempt.parse().unwrap(),
        started: 0,
        ended: 0,
        verdict: Verdict::Done,
        artifacts: vec![],
        records: vec![],
    };
    fs::write(own.join(layout::OUTCOME), digested_json::to_text(&outcome).unwrap()).unwrap();
    fs::hard_link(own.join(layout::OUTCOME), name).unwrap();
}

/// Does nothing unless the test program was started as a worker.
#[test]
fn test_worker() {
    if !std::env::args().any(|argument| argument == "--device") {
        return;
    }
    let exit = |code: i32| {
        #[expect(clippy::disallowed_methods, reason = "the harness would turn every code into its own")]
        std::process::exit(code)
    };
    for folder in io::stdin().lines() {
        let folder = PathBuf::from(folder.unwrap());
        let lock = File::create(folder.join(layout::LOCK)).unwrap();
        lock.lock().unwrap();
        let assignment: Assignment = serde_json::from_slice(&fs::read(folder.join(layout::JOB)).unwrap()).unwrap();
        let Job::Tokenizer(job) = &assignment.job else { exit(1) };
        let first = !folder.join("pid").exists();
        fs::write(folder.join("pid.tmp"), std::process::id().to_string()).unwrap();
        fs::rename(folder.join("pid.tmp"), folder.join("pid")).unwrap();
        match job.vocab_size as usize {
            CRASH if first => {
                writeln!(io::stderr(), "terminate called\n\n  what(): c10::Error").unwrap();
                exit(134);
            }
            LEAVE if first => exit(layout::RESUMABLE.into()),
            HANG if first => std::thread::sleep(Duration::from_secs(60)),
            SLOW => std::thread::sleep(Duration::from_millis(300)),
            _ => {}
        }
        publish(&folder, assignment);
    }
    exit(0)
}

fn local(runs: &Path) -> Local {
    let slot = Slot { name: "cpu/0".to_owned(), device: "cpu".to_owned(), threads: 1 };
    let program = WorkerProgram::new(std::env::current_exe().unwrap(), "warn");
    let mut local = Local::new(program, runs, vec![slot]);
    local.arguments =
        ["--exact", "runner::executors::local::tests::test_worker", "--nocapture", "--"].map(str::to_owned).into();
    local
}

/// Only the task at this index.
fn one(runs: &Path, number: usize) -> Vec<Task> {
    vec![tasks(runs, &vec![vec![]; number + 1]).remove(number)]
}

/// The processes that did the jobs.
fn processes(run: &Run) -> BTreeSet<String> {
    let process = |updates: &JobUpdate| match &updates.update {
        Update::Journal { entry: JournalEntry { event: Event::Warning { message }, .. }, .. } => Some(message.clone()),
        _ => None,
    };
    run.updates.iter().filter_map(process).collect()
}

/// Waits for the process that works in `folder`.
fn wait_for_process(folder: &Path) -> Pid {
    let since = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(folder.join("pid")) {
            return Pid::from_raw(text.parse().unwrap()).unwrap();
        }
        assert!(since.elapsed() < Duration::from_secs(20), "no worker started");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn one_process_runs_job_after_job() {
    let runs = tempfile::tempdir().unwrap();
    // Indices that the test worker does not treat specially.
    let tasks: Vec<Task> = tasks(runs.path(), &vec![vec![]; 9]).split_off(5);
    let run = run(tasks, &mut local(runs.path()), &POLICY);
    assert_eq!((run.summary().done.len(), processes(&run).len()), (4, 1));
}

#[test]
fn a_crash_is_reported_with_the_last_lines_of_the_log_and_another_worker_takes_over() {
    let runs = tempfile::tempdir().unwrap();
    let run = run(one(runs.path(), CRASH), &mut local(runs.path()), &POLICY);
    let log = runs.path().join("workers/cpu/0.log");
    let lost = format!(
        "1 lost: the worker exited with code 134; {} ends with:\nterminate called\n  what(): c10::Error",
        log.display()
    );
    assert_eq!(run.course(), ["1 on cpu/0", &lost, "1 on cpu/0", "1 done"]);
}

#[test]
fn kill_9_costs_one_attempt() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join(HANG.to_string());
    let killer = std::thread::spawn(move || {
        rustix::process::kill_process(wait_for_process(&folder), Signal::KILL).unwrap();
    });
    let run = run(one(runs.path(), HANG), &mut local(runs.path()), &POLICY);
    killer.join().unwrap();
    let lost = "3 lost: the worker was killed by signal 9 (SIGKILL; the machine may have run out of memory)";
    assert_eq!(run.course(), ["3 on cpu/0", lost, "3 on cpu/0", "3 done"]);
}

#[test]
fn a_worker_that_exits_resumably_costs_no_retry() {
    let runs = tempfile::tempdir().unwrap();
    let policy = Policy { retries: 0, ..POLICY };
    let run = run(one(runs.path(), LEAVE), &mut local(runs.path()), &policy);
    assert_eq!(run.course(), ["2 on cpu/0", "2 stopped", "2 on cpu/0", "2 done"]);
}

#[test]
fn requests_to_stop_reach_the_worker() {
    for (stop, signal) in [(Stop::Politely, 15), (Stop::Now, 9)] {
        let runs = tempfile::tempdir().unwrap();
        let executor = &mut local(runs.path());
        let run = run_until(one(runs.path(), HANG), BTreeMap::new(), executor, &POLICY, |_| Ok(stop));
        assert!(run.course()[1].starts_with(&format!("3 lost: the worker was killed by signal {signal}")));
        assert_eq!(run.summary().interrupted.len(), 1);
    }
}

#[test]
fn a_worker_outlives_its_coordinator_and_is_found_by_the_next() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join(SLOW.to_string());
    left_open(SLOW, &folder, "old");
    let mut first = local(runs.path());
    first.submit(0, &folder, "t").unwrap();
    wait_for_process(&folder);
    drop(first);
    let mut idle = Fake::new(1, |_: &Assignment| -> Act { panic!("the job has a worker already") });
    assert_eq!(run(one(runs.path(), SLOW), &mut idle, &POLICY).course(), ["4 done"]);
}

#[test]
fn a_missing_program_is_named() {
    let runs = tempfile::tempdir().unwrap();
    let slot = Slot { name: "cpu/0".to_owned(), device: "cpu".to_owned(), threads: 1 };
    let mut local = Local::new(WorkerProgram::new("/nowhere/grid-worker".into(), "warn"), runs.path(), vec![slot]);
    let error = local.submit(0, runs.path(), "t").unwrap_err().to_string();
    assert_eq!(error, "start the worker /nowhere/grid-worker: No such file or directory (os error 2)");
}
