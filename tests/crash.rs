//! `kill -9` of the coordinator, the worker or both, in the middle of a training: scores and weights are identical to
//! those of an undisturbed run, and only the work since the last checkpoint is lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::common::{Env, TINY};

const TIMEOUT: Duration = Duration::from_secs(120);

/// A spec of one model that is pretrained and tuned long enough for checkpoints in the middle of both jobs.
fn spec() -> String {
    let changes = [
        ("steps: 60", "steps: 2500"),
        ("epochs: 1,", "epochs: 100,"),
        ("[chat, [chat, questions]]", "[chat]"),
        ("[pretrained, merged, sequential]", "[pretrained, sequential]"),
        ("seed: [1, 2]", "seed: [1]"),
    ];
    changes.iter().fold(TINY.to_owned(), |spec, (old, new)| {
        assert!(spec.contains(old), "{old}");
        spec.replace(old, new)
    })
}

/// The scores, and the digests of the weights.
type Result = (Vec<String>, BTreeMap<String, String>);

fn result(env: &Env) -> Result {
    (env.scores(), env.weights())
}

fn undisturbed_result() -> &'static Result {
    static RESULT: OnceLock<Result> = OnceLock::new();
    RESULT.get_or_init(|| {
        let env = Env::new(&spec());
        env.run(0, &["run", "spec.yaml"]);
        assert_eq!(env.weights().len(), 2, "one pretrained and one tuned model");
        assert_eq!(env.query("select distinct state from attempt"), ["done"]);
        result(&env)
    })
}

fn signal(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill exists");
    assert!(status.success(), "process {pid} had ended before the kill");
}

/// The journal events of all jobs of a kind, one list for each attempt.
fn journals(env: &Env, kind: &str) -> Vec<Vec<serde_json::Value>> {
    let entries = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let jobs = entries(env.path().join("runs/tiny"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{kind}-"))));
    let texts = jobs.flat_map(entries).filter_map(|path| std::fs::read_to_string(path.join("journal.jsonl")).ok());
    let events = |text: String| {
        let lines = text.lines().map_while(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.map(|entry| entry["event"].clone()).collect()
    };
    texts.map(events).collect()
}

/// Waits until the first attempt at the job of this kind has saved a checkpoint; returns the process id of its worker.
fn wait_for_checkpoint(env: &Env, kind: &str) -> u32 {
    let is = |event: &serde_json::Value, name: &str| event["event"] == name;
    let saved = || journals(env, kind).iter().any(|events| events.iter().any(|event| is(event, "checkpoint")));
    env.wait_until(&format!("a checkpoint of the {kind} job"), TIMEOUT, saved);
    let events = &journals(env, kind)[0];
    assert!(!events.iter().any(|event| is(event, "finished")), "the {kind} job is too short for this test");
    events[0]["pid"].as_u64().expect("the first event has the process id") as u32
}

/// The states of the attempts at the job of this kind, in order, each with whether it resumed from a checkpoint.
fn attempts(env: &Env, kind: &str) -> Vec<String> {
    env.query(&format!(
        "select state, iif(resumed_step > 0, 'resumed', 'from the start') from attempt \
         join job on job.id = attempt.job where kind = '{kind}' order by attempt.id"
    ))
}

#[test]
fn a_worker_outlives_its_coordinator_and_the_next_one_adopts_it() {
    let env = Env::new(&spec());
    let mut coordinator = env.spawn(&["run", "spec.yaml"]);
    wait_for_checkpoint(&env, "pretrain");
    signal("-KILL", coordinator.id());
    coordinator.wait().expect("it ended");
    env.run(0, &["resume"]);
    assert_eq!(attempts(&env, "pretrain"), ["done|from the start"]);
    assert_eq!(&result(&env), undisturbed_result());
    let nothing = env.stderr(0, &["resume"]);
    assert!(nothing.contains("nothing to do"), "{nothing}");
}

#[test]
fn a_coordinator_replaces_a_killed_worker() {
    let env = Env::new(&spec());
    let mut coordinator = env.spawn(&["run", "spec.yaml"]);
    signal("-KILL", wait_for_checkpoint(&env, "pretrain"));
    assert_eq!(coordinator.wait().expect("it ended").code(), Some(0));
    assert_eq!(attempts(&env, "pretrain"), ["lost|from the start", "done|resumed"]);
    assert_eq!(&result(&env), undisturbed_result());
}

#[test]
fn a_power_failure_loses_only_the_work_since_the_last_checkpoint() {
    let env = Env::new(&spec());
    let mut coordinator = env.spawn(&["run", "spec.yaml"]);
    let worker = wait_for_checkpoint(&env, "tune");
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.lines().any(|line| line.contains("tune") && line.contains("Run (already running)")), "{plan}");
    signal("-KILL", coordinator.id());
    signal("-KILL", worker);
    coordinator.wait().expect("it ended");
    env.wait_until("the release of the lock", TIMEOUT, || env.run(0, &["status", "tiny"]).contains("abandoned "));
    env.run(0, &["resume"]);
    assert_eq!(attempts(&env, "pretrain"), ["done|from the start"]);
    assert_eq!(attempts(&env, "tune"), ["lost|from the start", "done|resumed"]);
    assert_eq!(&result(&env), undisturbed_result());

    // The attempt that the power failure ended is garbage now.
    let listed = env.run(0, &["gc"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines.len() == 1 && lines[0].contains("tune nano/chat/seed1: an interrupted or failed attempt"),
        "{listed}"
    );
    assert_eq!(env.run(0, &["gc", "--yes"]), listed);
    assert_eq!(env.run(0, &["gc"]), "");
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
}

#[test]
fn an_open_job_waits_for_a_parent_whose_output_was_lost() {
    let parents = ["pretrain", "prepare"];
    let env = Env::new(&spec());
    let mut coordinator = env.spawn(&["run", "spec.yaml"]);
    let worker = wait_for_checkpoint(&env, "tune");
    signal("-KILL", coordinator.id());
    signal("-KILL", worker);
    coordinator.wait().expect("it ended");
    env.wait_until("the release of the lock", TIMEOUT, || env.run(0, &["status", "tiny"]).contains("abandoned "));
    for parent in parents {
        let outputs = env.query(&format!(
            "select attempt.folder || '/output' from attempt join job on job.id = attempt.job where kind = '{parent}'"
        ));
        for output in outputs {
            std::fs::remove_dir_all(env.path().join("runs").join(output)).expect("the output exists");
        }
    }
    env.run(0, &["resume"]);
    assert_eq!(attempts(&env, "pretrain"), ["done|from the start", "done|from the start"]);
    assert_eq!(&result(&env), undisturbed_result());
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
}

/// Four suites on one model after a short training, large enough for a kill between two of them.
#[test]
fn a_kill_between_suites_loses_only_the_current_suite() {
    let spec = TINY
        .replace("[chat, [chat, questions]]", "[chat]")
        .replace("[pretrained, merged, sequential]", "[pretrained]")
        .replace("seed: [1, 2]", "seed: [1]")
        .replace("items: 20, suites: [blimp, blimp-supplement]", "items: 3000, suites: [blimp, ewok, comps, wug-adj]");
    let calm = Env::new(&spec);
    calm.run(0, &["run", "spec.yaml", "-j", "1"]);
    let items = "select suite, task, subtask, item, chosen, credit, scores from v_items order by 1, 2, 3, 4";

    let env = Env::new(&spec);
    let mut coordinator = env.spawn(&["run", "spec.yaml", "-j", "1"]);
    let is = |event: &serde_json::Value, name: &str| event["event"] == name;
    let has = |events: &Vec<serde_json::Value>, name: &str| events.iter().any(|event| is(event, name));
    let one_done_and_one_begun = || {
        let attempts = journals(&env, "eval");
        attempts.iter().any(|events| has(events, "finished"))
            && attempts.iter().any(|events| !events.is_empty() && !has(events, "finished"))
    };
    env.wait_until("one finished and one started suite", TIMEOUT, one_done_and_one_begun);
    let worker = journals(&env, "eval")[0][0]["pid"].as_u64().expect("the first event has the process id");
    signal("-KILL", coordinator.id());
    signal("-KILL", worker as u32);
    coordinator.wait().expect("it ended");
    let finished = journals(&env, "eval").iter().filter(|events| has(events, "finished")).count();
    assert!((1..4).contains(&finished), "{finished} of 4 suites were finished at the kill");
    env.run(0, &["resume"]);
    let attempts = attempts(&env, "eval");
    assert_eq!(attempts.iter().filter(|attempt| attempt.starts_with("done")).count(), 4, "{attempts:?}");
    assert_eq!(attempts.iter().filter(|attempt| attempt.starts_with("lost")).count(), attempts.len() - 4);
    assert!((4..=5).contains(&attempts.len()), "no finished suite is scored again: {attempts:?}");
    assert_eq!(env.scores(), calm.scores());
    assert_eq!(env.query(items), calm.query(items));
}

#[test]
fn an_interrupt_saves_the_state_and_exits_with_code_3() {
    let env = Env::new(&spec());
    let mut coordinator = env.spawn(&["run", "spec.yaml"]);
    wait_for_checkpoint(&env, "pretrain");
    signal("-INT", coordinator.id());
    assert_eq!(coordinator.wait().expect("it ended").code(), Some(3));
    env.run(0, &["resume"]);
    assert_eq!(attempts(&env, "pretrain"), ["interrupted|from the start", "done|resumed"]);
    assert_eq!(&result(&env), undisturbed_result());
}
