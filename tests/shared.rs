//! Machines that several people share: folders that one may only read, runs folders of a group, and few cores.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::recordings::skip;
use crate::common::{Env, TINY, texts, worker};

/// One pretraining and one evaluation, each of a second.
fn spec() -> String {
    TINY.replace("[chat, [chat, questions]]", "[chat]")
        .replace("[pretrained, merged, sequential]", "[pretrained]")
        .replace("seed: [1, 2]", "seed: [1]")
}

/// A user without any rights of its own, in a group.
#[derive(Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

const ALICE: User = User { id: 54_321, group: 54_320 };
const BOB: User = User { id: 54_322, group: 54_320 };

impl User {
    /// `grid` as this user with this umask.
    fn command(self, env: &Env, umask: &str, arguments: &[&str]) -> Command {
        let grid = env.command(arguments);
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={}", self.id), &format!("--regid={}", self.group), "--clear-groups"]);
        command.args(["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        command.arg(grid.get_program()).args(grid.get_args()).current_dir(env.path());
        for (name, value) in grid.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("HOME", "/nonexistent").env("GRID_CACHE", "/nonexistent/cache");
        command
    }

    fn run(self, env: &Env, umask: &str, code: i32, arguments: &[&str]) -> (String, String) {
        let output = self.command(env, umask, arguments).output().expect("setpriv exists");
        let (stdout, stderr) = texts(&output);
        let said = format!("grid {arguments:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        assert_eq!(output.status.code(), Some(code), "{said}");
        (stdout, stderr)
    }
}

/// An environment that other users may enter; `None`, and a line that says why, where no other user can be played.
fn shared(spec: &str) -> Option<Env> {
    if !rustix::process::geteuid().is_root() {
        skip("only root can start programs as other users");
        return None;
    }
    let env = Env::new(spec);
    set_mode(env.path(), 0o755);
    let works = |output: std::io::Result<Output>| output.is_ok_and(|output| output.status.success());
    if !works(BOB.command(&env, "022", &["--version"]).output()) {
        skip("another user cannot start the binary, or setpriv is missing");
        return None;
    }
    let as_bob = BOB.command(&env, "022", &[]);
    let mut check: Vec<_> = as_bob.get_args().map(ToOwned::to_owned).collect();
    check.pop_if(|last| Path::new(last).file_name().is_some_and(|name| name == "grid"));
    if !works(Command::new("setpriv").args(check).arg(worker()).arg("--help").output()) {
        skip("another user cannot start the worker");
        return None;
    }
    Some(env)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the owner");
}

/// Every path below a folder with its mode, length and time, in order.
fn listing(folder: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = vec![];
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let about = fs::symlink_metadata(&path).expect("it exists");
        found.push(format!("{} {:o} {} {}", path.display(), about.mode(), about.len(), about.mtime_nsec()));
        if about.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        }
    }
    found.sort();
    found
}

/// What only reads works, and writes nothing.
fn check_reading(env: &Env) {
    let database = env.path().join("runs");
    let before = listing(&database);
    let read = |arguments: &[&str]| BOB.run(env, "022", 0, arguments).0;
    assert!(read(&["status"]).contains("tiny: "));
    assert!(read(&["status", "tiny"]).contains("pretrain "));
    assert!(read(&["report"]).contains("pretrained"));
    assert!(read(&["plan", "spec.yaml"]).contains("Reuse"));
    assert!(read(&["logs", "pretrain/nano/seed1"]).contains("done"));
    assert!(read(&["why", "pretrain/nano/seed1"]).contains("pretrain"));
    read(&["diff", "tiny", "tiny"]);
    let out = tempfile::tempdir().expect("a temp folder");
    set_mode(out.path(), 0o777);
    let out = out.path();
    read(&["export", "hf", "pretrain/nano/seed1", &out.join("model").display().to_string()]);
    read(&["export", "items", "tiny", &out.join("items.csv").display().to_string()]);
    assert_eq!(listing(&database), before, "reading writes nothing");
    let (_, refusal) = BOB.run(env, "022", 6, &["run", "spec.yaml"]);
    assert!(refusal.contains("cannot be written"), "{refusal}");
}

#[test]
fn a_folder_that_one_may_only_read_is_read() {
    let Some(env) = shared(&spec()) else { return };
    env.run(0, &["run", "spec.yaml"]);
    check_reading(&env);

    // As its owner left it after a crash: the newest changes are in the -wal file, with and without a -shm file.
    let (runs, crashed) = (env.path().join("runs"), env.path().join("crashed"));
    copy_with_wal(&runs, &crashed);
    for names in [&["runs.db-wal", "runs.db-shm"][..], &["runs.db-wal"]] {
        for name in ["runs.db-wal", "runs.db-shm"] {
            let _ = fs::remove_file(runs.join(name)); // may not exist
        }
        for name in [&["runs.db"], names].concat() {
            fs::copy(crashed.join(name), runs.join(name)).expect("a file");
        }
        check_reading(&env);
        assert!(BOB.run(&env, "022", 0, &["status"]).0.contains("only-in-wal: "), "{names:?}");
    }
    // In a folder that one may write, but whose database one may not, a reader leaves no files that stop the owner.
    set_mode(&runs, 0o777);
    let before = listing(&runs);
    BOB.run(&env, "022", 0, &["status"]);
    assert_eq!(listing(&runs), before);
    set_mode(&runs.join("runs.db"), 0o600);
    let (_, refusal) = BOB.run(&env, "022", 6, &["status"]);
    assert!(refusal.contains("runs.db: Permission denied"), "{refusal}");
}

/// Records another experiment in a database, and copies its files as they are before the -wal file is merged into it.
fn copy_with_wal(runs: &Path, copy: &Path) {
    use sqlx::Connection;
    fs::create_dir(copy).expect("a new folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(runs.join("runs.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("a database");
        let insert = "insert into experiment (name, spec_path, spec_text, overrides, created) \
                      values ('only-in-wal', 'x.yaml', '', '[]', 0)";
        sqlx::query(insert).execute(&mut connection).await.expect("an experiment");
        for name in ["runs.db", "runs.db-wal", "runs.db-shm"] {
            fs::copy(runs.join(name), copy.join(name)).expect("a file");
        }
        connection.close().await.expect("a database");
    });
}

#[test]
fn a_group_shares_a_runs_folder() {
    let Some(env) = shared(&spec()) else { return };
    let runs = env.path().join("runs");
    fs::create_dir(&runs).expect("a new folder");
    std::os::unix::fs::chown(&runs, None, Some(ALICE.group)).expect("root");
    set_mode(&runs, 0o2775);
    // Alice begins and fails, Bob goes on, and Alice sees what he did.
    let first = ["run", "spec.yaml", "--fail-fast", "--retries", "0"];
    let mut alice = ALICE.command(&env, "002", &first);
    assert_eq!(alice.env("GRID_INJECT", "kills=1,seed=1").output().expect("it starts").status.code(), Some(2));
    BOB.run(&env, "002", 0, &["resume"]);
    assert!(ALICE.run(&env, "002", 0, &["resume"]).1.contains("nothing to do"));
    assert!(ALICE.run(&env, "002", 0, &["report"]).0.contains("pretrained"));
    ALICE.run(&env, "002", 0, &["gc", "--yes"]);
    ALICE.run(&env, "002", 0, &["run", "spec.yaml", "-S", "axes.seed=[2]"]);
}

#[test]
fn modes_follow_the_umask() {
    let Some(env) = shared(&spec()) else { return };
    for (umask, folders, files) in [("022", 0o755, 0o644), ("002", 0o775, 0o664), ("077", 0o700, 0o600)] {
        let runs = env.path().join(umask);
        fs::create_dir(&runs).expect("a new folder");
        std::os::unix::fs::chown(&runs, Some(ALICE.id), Some(ALICE.group)).expect("root");
        ALICE.run(&env, umask, 0, &["run", "spec.yaml", "--runs-dir", umask]);
        let mut open = vec![runs.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).expect("a folder").flatten() {
                let about = entry.metadata().expect("it exists");
                let wanted = if about.is_dir() { folders } else { files };
                let mode = about.permissions().mode() & 0o7777;
                assert_eq!(mode, wanted, "umask {umask}: {} has {mode:o}", entry.path().display());
                if about.is_dir() {
                    open.push(entry.path());
                }
            }
        }
    }
}

#[test]
fn workers_are_as_many_as_the_cores_that_grid_may_use() {
    let env = Env::new(&spec().replace("suites: [blimp, blimp-supplement]", "suites: [blimp, ewok, comps, wug-adj]"));
    let grid = env.command(&["run", "spec.yaml"]);
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(grid.get_program()).args(grid.get_args()).current_dir(env.path());
    let Ok(output) = command.env("GRID_CACHE", env.path().join("cache")).output() else {
        skip("taskset is not installed");
        return;
    };
    assert!(output.status.success(), "{}", texts(&output).1);
    assert_eq!(env.query("select distinct slot from attempt"), ["cpu/0"]);
}

#[test]
fn workers_get_no_secrets() {
    let env = Env::new(&spec());
    let (script, log) = (env.path().join("worker.sh"), env.path().join("environment"));
    let text = format!("#!/bin/sh\nenv >> '{}'\nexec '{}' \"$@\"\n", log.display(), worker().display());
    fs::write(&script, text).expect("a writable folder");
    set_mode(&script, 0o755);
    let secrets = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "SOME_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD"];
    let mut command = env.command(&["run", "spec.yaml"]);
    command.envs(secrets.map(|name| (name, "a-secret"))).env("GRID_WORKER", &script).env("ORDINARY", "kept");
    assert!(command.output().expect("the binary starts").status.success());
    let seen = fs::read_to_string(log).expect("the worker was started");
    assert!(seen.contains("ORDINARY=kept") && !seen.contains("a-secret"), "{seen}");

    // sbatch passes its environment on to the job.
    let bin = env.path().join("bin");
    fs::create_dir(&bin).expect("a new folder");
    let sbatch = format!("env > '{}'; echo 'Invalid partition name specified' >&2; exit 1", bin.join("seen").display());
    for (name, body) in [("sbatch", sbatch.as_str()), ("squeue", "true")] {
        fs::write(bin.join(name), format!("#!/bin/sh\n{body}\n")).expect("a writable folder");
        set_mode(&bin.join(name), 0o755);
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = env.command(&["run", "spec.yaml", "-S", "resources={slurm: {}}", "--runs-dir", "other"]);
    command.envs(secrets.map(|name| (name, "a-secret"))).env("PATH", path).env("ORDINARY", "kept");
    assert_eq!(command.output().expect("the binary starts").status.code(), Some(6));
    let seen = fs::read_to_string(bin.join("seen")).expect("sbatch was called");
    assert!(seen.contains("ORDINARY=kept") && !seen.contains("a-secret"), "{seen}");
}
