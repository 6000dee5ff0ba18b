//! Submissions that an earlier coordinator left open.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::super::executors::fake::{Act, Fake};
use super::super::{Policy, Stop};
use super::{POLICY, id, left_open, run, run_until, tasks};
use crate::domain::layout::OUTCOME_SCHEMA;
use crate::domain::{Assignment, Event, FailureKind, JobId, Outcome, Update, Verdict, digested_json, layout};

fn publish(folder: &Path, number: usize, token: &str, verdict: Verdict) {
    let outcome = Outcome {
        schema: OUTCOME_SCHEMA,
        id: id(number),
        token: token.to_owned(),
        attempt: format!("{token}-1").parse().unwrap(),
        started: 0,
        ended: 1,
        verdict,
        artifacts: vec![],
        records: vec![],
    };
    fs::create_dir_all(folder.join(&outcome.attempt)).unwrap();
    // Renamed into place, as workers do it, so that nobody reads half an outcome.
    let own = folder.join(layout::OUTCOME);
    fs::write(&own, digested_json::to_text(&outcome).unwrap()).unwrap();
    fs::rename(own, folder.join(layout::published_outcome(token))).unwrap();
}

#[test]
fn the_job_of_a_living_worker_is_awaited() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("0");
    left_open(0, &folder, "old");
    let lock = fs::File::create(folder.join(layout::LOCK)).unwrap();
    lock.lock().unwrap();
    let worker = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        publish(&folder, 0, "old", Verdict::Done);
        drop(lock);
    });
    let run = run(tasks(runs.path(), &[vec![], vec![], vec![0]]), &mut Fake::new(1, |_| Act::Finish), &POLICY);
    worker.join().unwrap();
    // The only slot is of the device that the living worker uses: nothing else starts on it meanwhile.
    assert_eq!(run.course(), ["0 done", "1 on cpu/0", "1 done", "2 on cpu/0", "2 done"]);
}

#[test]
fn a_living_worker_that_cannot_be_killed_is_left_to_the_next_run() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("0");
    left_open(0, &folder, "old");
    let lock = fs::File::create(folder.join(layout::LOCK)).unwrap();
    lock.lock().unwrap();
    let tasks = tasks(runs.path(), &[vec![], vec![]]);
    let fake = &mut Fake::new(2, |_: &Assignment| Act::Finish);
    let first = run_until(tasks, BTreeMap::new(), fake, &POLICY, |_| Ok(Stop::Now));
    assert_eq!(first.summary().interrupted, [id(0), id(1)]);
    assert!(folder.join(layout::JOB).exists(), "still open");
}

#[test]
fn the_job_of_a_dead_worker_is_submitted_again_and_costs_no_retry() {
    let runs = tempfile::tempdir().unwrap();
    left_open(0, &runs.path().join("0"), "old");
    let attempt = runs.path().join("0/old-1");
    fs::create_dir(&attempt).unwrap();
    let line = r#"{"at":5,"event":{"event":"metric","name":"train_loss","step":1,"value":2.5}}"#;
    fs::write(attempt.join(layout::JOURNAL), format!("{line}\n{{\"at\":6,\"ev")).unwrap();
    let policy = Policy { retries: 0, ..POLICY };
    let run = run(tasks(runs.path(), &[vec![]]), &mut Fake::new(1, |_| Act::Finish), &policy);
    assert_eq!(run.course(), ["0 lost: the worker that an earlier run started has died", "0 on cpu/0", "0 done"]);
    assert!(
        matches!(&run.updates[0].update, Update::Journal { entry, .. } if matches!(entry.event, Event::Metric { .. }))
    );
}

/// The course of a run of a task that is open while the result of its parent was lost; it did `before`.
fn course_without_parent(before: impl Fn(&Path), act: impl FnMut(&Assignment) -> Act) -> (Vec<String>, Vec<JobId>) {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("1");
    left_open(1, &folder, "old");
    before(&folder);
    let run = run(tasks(runs.path(), &[vec![], vec![0], vec![1]]), &mut Fake::new(2, act), &POLICY);
    (run.course(), run.summary().skipped.clone())
}

#[test]
fn an_open_job_waits_for_a_parent_whose_result_was_lost() {
    let lost = "1 lost: the worker that an earlier run started has died";
    let after = ["0 on cpu/0", "0 done", "1 on cpu/0", "1 done", "2 on cpu/0", "2 done"];
    let (course, skipped) = course_without_parent(|_| (), |_| Act::Finish);
    assert_eq!((course, skipped), ([&[lost][..], &after].concat().iter().map(|&one| one.to_owned()).collect(), vec![]));

    // Its last attempt missed the result of the parent.
    let failed = |folder: &Path| {
        let verdict = Verdict::Failed { failure: FailureKind::Job, message: "no such file".into() };
        publish(folder, 1, "old", verdict);
    };
    let (course, skipped) = course_without_parent(failed, |_| Act::Finish);
    assert_eq!(
        (course, skipped),
        ([&["1 failed"][..], &after].concat().iter().map(|&one| one.to_owned()).collect(), vec![])
    );

    // Its last attempt ended well, so that its children need not wait.
    let (course, _) = course_without_parent(|folder| publish(folder, 1, "old", Verdict::Done), |_| Act::Finish);
    assert_eq!(course[0], "1 done");
    assert_eq!(course.len(), 5, "{course:?}");

    let act = |assignment: &Assignment| match assignment.id == id(0) {
        true => Act::Fail(FailureKind::Job, "no such file".into()),
        false => Act::Finish,
    };
    let (course, skipped) = course_without_parent(|_| (), act);
    assert_eq!(course, [lost, "0 on cpu/0", "0 failed"]);
    assert_eq!(skipped, [id(1), id(2)]);
}

#[test]
fn damaged_files_count_as_absent() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("0");
    left_open(0, &folder, "old");
    publish(&folder, 0, "old", Verdict::Done);
    let outcome = folder.join("outcome.old.json");
    let whole = fs::read(&outcome).unwrap();
    fs::write(&outcome, &whole[..whole.len() / 2]).unwrap();
    let first = run(tasks(runs.path(), &[vec![]]), &mut Fake::new(1, |_| Act::Finish), &POLICY);
    assert!(first.course()[0].starts_with("0 lost: its outcome is unusable: "), "{:?}", first.course());
    assert_eq!(first.course()[1..], ["0 on cpu/0", "0 done"]);
    for text in ["", "{\"schema\":1,", "[]", "\u{0}"] {
        fs::write(folder.join(layout::JOB), text).unwrap();
        let again = run(tasks(runs.path(), &[vec![]]), &mut Fake::new(1, |_| Act::Finish), &POLICY);
        assert_eq!(again.course(), ["0 on cpu/0", "0 done"]);
    }
}

#[test]
fn a_lost_artifact_voids_the_outcome() {
    let runs = tempfile::tempdir().unwrap();
    let tasks = tasks(runs.path(), &[vec![]]);
    let mut fake = Fake::new(1, |_| Act::Finish);
    run_until(tasks.clone(), BTreeMap::new(), &mut fake, &POLICY, |updates| {
        if updates.len() > 1 { Err("crash") } else { Ok(Stop::No) }
    });
    let token = serde_json::from_slice::<Assignment>(&fs::read(runs.path().join("0/job.json")).unwrap()).unwrap().token;
    fs::write(runs.path().join(format!("0/{token}-0/output/result.txt")), "cut").unwrap();
    let run = run(tasks, &mut Fake::new(1, |_| Act::Finish), &POLICY);
    assert!(run.course()[0].ends_with("result.txt has 3 bytes, not 64"), "{:?}", run.course());
    assert_eq!(run.summary().done, [id(0)]);
}
