//! Kills at random moments: the same score rows and byte-identical weights as an undisturbed run.

mod common;

use std::process::{Child, Command};
use std::time::Duration;

use common::{Env, TINY};

/// Longer training, so that kills land in the middle of it.
fn spec() -> String {
    TINY.replace("steps: 60", "steps: 400").replace("seed: [1, 2]", "seed: [1]")
}

fn kill(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill exists");
    assert!(status.success() || !std::path::Path::new(&format!("/proc/{pid}")).exists());
}

/// Workers whose standard input, arguments or folder belong to this environment.
fn workers_of(coordinator: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-eo", "pid=,ppid=,comm="]).output().expect("ps exists");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (pid, parent, name) = (words.next()?, words.next()?, words.next()?);
            (name.starts_with("grid-worker") && parent == coordinator.to_string()).then(|| pid.parse().ok())?
        })
        .collect()
}

fn wait_for_workers(env: &Env, child: &Child) {
    env.wait_until("a worker", Duration::from_secs(60), || !workers_of(child.id()).is_empty());
}

#[test]
fn killed_coordinator_worker_and_both_change_nothing() {
    let straight = Env::new(&spec());
    straight.run(0, &["run", "spec.yaml"]);

    let env = Env::new(&spec());
    // The coordinator dies; its workers finish their jobs meanwhile.
    let mut child = env.spawn(&["run", "spec.yaml"]);
    wait_for_workers(&env, &child);
    std::thread::sleep(Duration::from_millis(1_300));
    kill(child.id());
    child.wait().expect("it ended");

    // A worker dies under a living coordinator, which must go on by itself.
    let mut child = env.spawn(&["resume"]);
    wait_for_workers(&env, &child);
    std::thread::sleep(Duration::from_millis(1_100));
    for pid in workers_of(child.id()) {
        kill(pid);
    }
    std::thread::sleep(Duration::from_millis(900));

    // Both die.
    let workers = workers_of(child.id());
    kill(child.id());
    for pid in workers {
        kill(pid);
    }
    child.wait().expect("it ended");

    env.run(0, &["resume"]);
    assert_eq!(env.weights(), straight.weights());
    assert_eq!(env.scores(), straight.scores());
    assert!(!env.weights().is_empty());
    let nothing = env.complaint(0, &["resume"]);
    assert!(nothing.contains("nothing to do"), "{nothing}");
}

#[test]
fn an_interrupt_saves_and_exits_with_the_resumable_code() {
    let env = Env::new(&spec());
    let mut child = env.spawn(&["run", "spec.yaml"]);
    wait_for_workers(&env, &child);
    std::thread::sleep(Duration::from_millis(1_500));
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill exists");
    assert!(status.success());
    assert_eq!(child.wait().expect("it ended").code(), Some(3));
    env.run(0, &["resume"]);
    assert_eq!(env.query("select count(*) from v_jobs where state <> 'done'"), ["0"]);
}
