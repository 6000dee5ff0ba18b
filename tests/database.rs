//! A database that another program locks or deletes during a run.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{Env, TINY, texts};

/// One pretraining that takes some seconds, and one evaluation.
fn spec() -> String {
    let changes = [
        ("steps: 60", "steps: 2000"),
        ("[chat, [chat, questions]]", "[chat]"),
        ("[pretrained, merged, sequential]", "[pretrained]"),
        ("seed: [1, 2]", "seed: [1]"),
    ];
    changes.iter().fold(TINY.to_owned(), |spec, (old, new)| {
        assert!(spec.contains(old), "{old}");
        spec.replace(old, new)
    })
}

/// Starts a run whose messages go to a file, and waits until it trains.
fn start(env: &Env, variables: &[(&str, &str)]) -> Child {
    let messages = fs::File::create(env.path().join("messages")).expect("a writable folder");
    let mut command = env.command(&["run", "spec.yaml"]);
    command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(messages);
    let child = command.spawn().expect("the binary starts");
    env.wait_until("the training", Duration::from_secs(120), || env.is_training());
    child
}

/// The exit code and the messages of a run.
fn end(env: &Env, mut child: Child) -> (Option<i32>, String) {
    let code = child.wait().expect("it ended").code();
    (code, fs::read_to_string(env.path().join("messages")).expect("a file"))
}

/// Holds the write lock of the database until the sender is dropped.
fn lock(env: &Env) -> mpsc::Sender<()> {
    use sqlx::Connection;
    let path = env.path().join("runs/runs.db");
    let (sender, receiver) = mpsc::channel::<()>();
    let (locked, is_locked) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let options =
                sqlx::sqlite::SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(60));
            let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("a database");
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the lock");
            locked.send(()).expect("a receiver");
            // Until the sender is dropped.
            let _ = receiver.recv();
            sqlx::query("ROLLBACK").execute(&mut connection).await.expect("the lock");
            connection.close().await.expect("a database");
        });
    });
    is_locked.recv().expect("the lock");
    sender
}

fn files_of_the_database(env: &Env) -> [PathBuf; 3] {
    ["runs.db", "runs.db-wal", "runs.db-shm"].map(|name| env.path().join("runs").join(name))
}

#[test]
fn a_locked_database_is_waited_for_while_workers_go_on() {
    let env = Env::new(&spec());
    let run = start(&env, &[]);
    let lock = lock(&env);
    let is_told = || fs::read_to_string(env.path().join("messages")).is_ok_and(|text| text.contains("is locked by"));
    env.wait_until("the notice", Duration::from_secs(60), is_told);
    drop(lock);
    let (code, messages) = end(&env, run);
    assert_eq!(code, Some(0), "{messages}");
    let notice = "runs.db is locked by another program; the workers go on, and grid waits up to 600 seconds for it";
    assert_eq!(messages.matches(notice).count(), 1, "{messages}");
    assert_eq!(env.query("select distinct state from attempt"), ["done"]);
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
}

#[test]
fn a_database_that_stays_locked_ends_the_run_with_code_7_and_loses_nothing() {
    let env = Env::new(&spec());
    let run = start(&env, &[("GRID_DATABASE_WAIT", "8")]);
    let lock = lock(&env);
    let (code, messages) = end(&env, run);
    assert_eq!(code, Some(7), "{messages}");
    assert!(messages.contains("grid waits up to 8 seconds for it"), "{messages}");
    drop(lock);
    env.run(0, &["resume"]);
    assert_eq!(env.query("select count(*) from v_scores where subtask is null"), ["2"]);
    let refused = env.command(&["run", "spec.yaml"]).env("GRID_DATABASE_WAIT", "soon").output().expect("it starts");
    assert_eq!(refused.status.code(), Some(1));
    assert!(texts(&refused).1.contains("GRID_DATABASE_WAIT is 'soon', not a number of seconds"));
}

#[test]
fn a_stop_does_not_wait_for_a_locked_database() {
    let env = Env::new(&spec().replace("steps: 2000", "steps: 1000000"));
    let run = start(&env, &[]);
    let lock = lock(&env);
    let worker =
        env.query("select pid from attempt join job on job.id = attempt.job where kind = 'pretrain'").remove(0);
    let kill = |signal: &str, pid: &str| Command::new("kill").args([signal, pid]).status().expect("kill exists");
    assert!(kill("-TERM", &run.id().to_string()).success());
    // Its coordinator waits, so that what is left of the worker is a zombie.
    let has_ended = || {
        let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap_or_default();
        status.is_empty() || status.contains("State:\tZ")
    };
    env.wait_until("the end of the worker", Duration::from_secs(60), has_ended);
    let messages = fs::read_to_string(env.path().join("messages")).expect("a file");
    assert!(messages.contains("stopping: the workers save their state"), "{messages}");
    // The second request ends the waiting, too.
    assert!(kill("-TERM", &run.id().to_string()).success());
    let (code, messages) = end(&env, run);
    assert_eq!(code, Some(7), "{messages}");
    drop(lock);
}

#[test]
fn a_database_that_is_deleted_during_a_run_is_restored() {
    let calm = Env::new(&spec());
    calm.run(0, &["run", "spec.yaml"]);
    for deleted in [1, 3] {
        let env = Env::new(&spec());
        // Another experiment, which only the database knows by name.
        env.run(0, &["run", "spec.yaml", "-S", "name=other", "-S", "pretrain.steps=2"]);
        let run = start(&env, &[]);
        let files = files_of_the_database(&env);
        for file in &files[..deleted] {
            fs::remove_file(file).expect("a file");
        }
        let (code, messages) = end(&env, run);
        assert_eq!(code, Some(0), "{messages}");
        assert!(messages.contains("runs.db was deleted during the run; it is restored"), "{messages}");
        let scores = |env: &Env| {
            let rows = env.scores();
            rows.into_iter().filter(|row| !row.contains("other")).collect::<Vec<_>>()
        };
        assert_eq!(env.query("select experiment, outcome from invocation order by id"), ["other|done", "tiny|done"]);
        assert_eq!(env.query("pragma integrity_check"), ["ok"]);
        assert_eq!(scores(&env).len(), scores(&calm).len() * 2, "{:?}", env.scores());
        assert!(env.stderr(0, &["resume", "tiny"]).contains("nothing to do"));
    }
}

#[test]
fn a_database_that_is_replaced_during_a_run_is_not_overwritten() {
    let env = Env::new(&spec());
    let run = start(&env, &[]);
    let [database, wal, shm] = files_of_the_database(&env);
    for file in [&database, &wal, &shm] {
        fs::remove_file(file).expect("a file");
    }
    fs::write(&database, "").expect("a file");
    let (code, messages) = end(&env, run);
    assert_eq!(code, Some(6), "{messages}");
    assert!(messages.contains("another file took its place during the run"), "{messages}");
    env.run(0, &["run", "spec.yaml"]);
    assert_eq!(env.query("select count(*) from v_scores where subtask is null"), ["2"]);
}
