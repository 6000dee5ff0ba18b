//! Temporary folders in which tests run the `grid` binary as a user would.

pub(crate) mod recorded_models;
pub(crate) mod recordings;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A small experiment on the toy world: one tiny model, four variants, two seeds, seconds of work.
pub(crate) const TINY: &str = "\
name: tiny
corpora:
  speech: {world: speech, words: 6k}
datasets:
  chat: {world: chat, records: 200}
  questions: {world: questions, records: 200}
tokenizer: {vocab_size: 400}
models:
  nano: {hidden: 32, layers: 2, heads: 2}
pretrain: {sequence_length: 32, steps: 60, batch_size: 8, learning_rate: 3e-3, schedule: linear, warmup: 0.1}
tune: {epochs: 1, batch_size: 8, max_length: 64, learning_rate: 1e-3, schedule: cosine}
axes:
  dataset: [chat, [chat, questions]]
  curriculum: [pretrained, merged, sequential]
  seed: [1, 2]
evaluate: {data: world, items: 20, suites: [blimp, blimp-supplement]}
resources: {threads: 1, checkpoint_every: 1}
";

/// A temporary folder that holds a spec, `spec.yaml`.
pub(crate) struct Env {
    folder: tempfile::TempDir,
    /// Additional environment variables for `grid`.
    pub variables: Vec<(&'static str, PathBuf)>,
}

impl Env {
    pub(crate) fn new(spec: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        std::fs::write(folder.path().join("spec.yaml"), spec).expect("a writable temp folder");
        assert!(worker().is_file(), "{} is missing: run `make build` first", worker().display());
        Self { folder, variables: vec![] }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grid"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("GRID_RUNS_DIR")
            .env_remove("GRID_LOG")
            .env_remove("GRID_DATA");
        command.env("GRID_CACHE", self.path().join("cache")).envs(self.variables.iter().cloned());
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs `grid` and returns its stdout; panics with both streams unless the exit code is `code`.
    pub(crate) fn run(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "grid {arguments:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        stdout
    }

    /// Runs `grid` and returns its stderr; panics with both streams unless the exit code is `code`.
    pub(crate) fn stderr(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(code), "grid {arguments:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
        stderr
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary starts")
    }

    /// The rows of a query on `runs/runs.db`, with columns joined by `|`.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        query(&self.path().join("runs/runs.db"), sql)
    }

    /// Whether a training runs now, according to the database, which may not exist yet.
    pub(crate) fn is_training(&self) -> bool {
        let sql = "select 1 from attempt join job on job.id = attempt.job \
                   where kind = 'pretrain' and attempt.state = 'running'";
        let exists = self.path().join("runs/runs.db").is_file();
        exists
            && self.query("select 1 from sqlite_schema where name = 'v_scores'").len() == 1
            && self.query(sql).len() == 1
    }

    /// All rows of `v_scores` as text, in a fixed order.
    pub(crate) fn scores(&self) -> Vec<String> {
        self.query(
            "select cell, suite, task, ifnull(subtask, ''), metric, printf('%.12g', value), n, mode, checkpoint, job \
             from v_scores order by 1, 2, 3, 4, 5",
        )
    }

    /// The digest of the final weights of every training job, by job id.
    pub(crate) fn weights(&self) -> BTreeMap<String, String> {
        let rows = self.query(
            "select artifact.job || '|' || artifact.digest from artifact join job on job.id = artifact.job \
             where artifact.path = 'model.safetensors'",
        );
        rows.into_iter()
            .map(|row| row.split_once('|').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("two"))
            .collect()
    }

    /// Waits until `condition` holds; panics with `what` after `limit`.
    pub(crate) fn wait_until(&self, what: &str, limit: Duration, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < limit, "waited {limit:?} for: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The path of the worker, next to the `grid` binary under test.
pub(crate) fn worker() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_grid")).with_file_name("grid-worker")
}

pub(crate) fn query(database: &Path, sql: &str) -> Vec<String> {
    use sqlx::{Column, Connection, Row, TypeInfo, ValueRef};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).read_only(true);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("runs.db opens");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("the query is right");
        rows.iter()
            .map(|row| {
                let text = |i: usize| {
                    let value = row.try_get_raw(i).expect("a column");
                    match value.type_info().name() {
                        _ if value.is_null() => String::new(),
                        "INTEGER" => row.get::<i64, _>(i).to_string(),
                        "REAL" => row.get::<f64, _>(i).to_string(),
                        _ => row.get::<String, _>(i),
                    }
                };
                row.columns().iter().map(|column| text(column.ordinal())).collect::<Vec<_>>().join("|")
            })
            .collect()
    })
}
