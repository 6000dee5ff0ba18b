//! Tests of the store on temporary folders, with two cells and updates of their jobs.

mod layout;
mod open;
mod read;
mod record;
mod replay;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;

use super::*;
use crate::domain::{
    Artifact, CellKey, Cluster, CorpusFormat, Digest, EvalJob, Event, FailureKind, ItemOutcome, Job, JobId, JobUpdate,
    JournalEntry, Mode, Origin, Outcome, Score, ScoreRow, Suite, TokenizerJob, Update, Verdict, WorldPart,
};

fn tokenizer(vocab_size: u32) -> Job {
    let origin = Origin::World { part: WorldPart::Speech, seed: 1, size: 1000 };
    let format = CorpusFormat::default();
    Job::Tokenizer(TokenizerJob {
        vocab_size,
        corpora: vec![(origin, format)],
        datasets: vec![],
        special_tokens: vec![],
    })
}

/// An eval job. The store does not care what its parent is.
fn eval(model: &Job) -> Job {
    let data = Origin::World { part: WorldPart::Evaluation, seed: 1, size: 10 };
    Job::Eval(EvalJob {
        model: model.id(),
        milestone: None,
        revisions: vec![],
        test: Suite::Blimp.into(),
        mode: Mode::FIXED,
        data,
        examples: None,
    })
}

fn cell(curriculum: &str, seed: u64) -> CellKey {
    let dataset = (curriculum != "pretrained").then(|| "chat".to_owned());
    let extra = BTreeMap::from([("lr".to_owned(), "0.1".to_owned()), ("warmup".to_owned(), "5".to_owned())]);
    CellKey { model: "tiny".into(), dataset, curriculum: curriculum.into(), seed, extra }
}

/// Two cells of one model, each with an eval job, and a parent job that both share.
struct World {
    shared: Job,
    evals: [Job; 2],
}

impl World {
    fn new() -> Self {
        let shared = tokenizer(512);
        let evals = [eval(&shared), eval(&tokenizer(513))];
        Self { shared, evals }
    }

    fn jobs(&self) -> [&Job; 3] {
        [&self.shared, &self.evals[0], &self.evals[1]]
    }

    async fn begin(&self, store: &Store, name: &str, cells: &[CellKey]) -> InvocationId {
        let shared = self.shared.id();
        let cell = |(key, eval): (&CellKey, &Job)| CellRecord {
            key: key.clone(),
            jobs: vec![
                CellJob { job: shared, role: "tokenizer".into() },
                CellJob { job: eval.id(), role: "eval".into() },
            ],
        };
        let cells: Vec<CellRecord> = cells.iter().zip(&self.evals).map(cell).collect();
        let jobs = self.jobs();
        let folders = jobs.map(|job| folder(store, job.id()));
        let parents = [vec![], vec![shared], vec![shared]];
        let labels = ["shared", "first eval", "second eval"];
        let rows: Vec<JobRecord> = (0..cells.len() + 1)
            .map(|i| JobRecord {
                id: jobs[i].id(),
                job: jobs[i],
                label: labels[i],
                folder: &folders[i],
                parents: &parents[i],
            })
            .collect();
        store.begin(&experiment(name), &cells, &rows, &invocation()).await.unwrap()
    }
}

fn experiment(name: &str) -> Experiment {
    Experiment {
        name: name.into(),
        spec_path: "/specs/x.yaml".into(),
        spec_text: "name: x".into(),
        overrides: vec!["seeds=[1]".into()],
    }
}

fn invocation() -> Invocation {
    Invocation {
        started: 1000,
        command: "grid run x.yaml".into(),
        host: "here".into(),
        version: "0.1.0".into(),
        git_commit: None,
    }
}

fn folder(store: &Store, job: JobId) -> PathBuf {
    store.path().with_file_name("x").join(format!("job-{}", &job.to_string()[..16]))
}

fn both() -> [CellKey; 2] {
    [cell("pretrained", 1), cell("merged", 1)]
}

fn score(subtask: Option<&str>, value: f64) -> Score {
    Score {
        suite: Suite::Blimp,
        task: "blimp".into(),
        subtask: subtask.map(str::to_owned),
        metric: "accuracy".into(),
        value,
        n: 10,
        stderr: Some(1.5),
        chance: Some(50.0),
        floor: None,
        ties: 1,
        near_ties: 2,
        nans: 0,
        unscored: 0,
        classes: None,
        mode: Mode::FIXED,
    }
}

fn item(item: u32, credit: f64) -> ItemOutcome {
    let scores = vec![Some(-1.25), None];
    let (task, subtask, cluster) = ("blimp".into(), "a".into(), Cluster::Itself);
    ItemOutcome { task, subtask, item, chosen: 0, correct: credit > 0.5, credit, scores, cluster }
}

/// Makes updates of one job, of one submission and one attempt.
struct Reporter<'a> {
    store: &'a Store,
    job: JobId,
    token: &'a str,
    attempt: &'a str,
}

impl Reporter<'_> {
    fn update(&self, update: Update) -> JobUpdate {
        JobUpdate { job: self.job, update }
    }
    fn submitted(&self) -> JobUpdate {
        self.update(Update::Submitted { token: self.token.into(), slot: "cpu/0".into() })
    }
    fn line(&self, line: u64, event: Event) -> JobUpdate {
        let attempt = folder(self.store, self.job).join(self.attempt);
        let entry = JournalEntry { at: 5000 + line as i64, event };
        self.update(Update::Journal { token: self.token.into(), attempt, line, entry })
    }
    fn started(&self, line: u64) -> JobUpdate {
        let (host, device, version) = ("here".into(), "cpu".into(), "0.1.0".into());
        self.line(line, Event::Started { host, pid: 7, device, threads: 2, micro_batch: None, version })
    }
    fn ended(&self, verdict: Verdict, items: Vec<ItemOutcome>) -> JobUpdate {
        let done = verdict == Verdict::Done;
        let path = format!("{}.txt", self.attempt).parse().unwrap();
        let artifact = Artifact { path, bytes: 3, digest: Digest::of(b"abc"), stamp: None };
        let outcome = Outcome {
            schema: 1,
            id: self.job,
            token: self.token.into(),
            attempt: self.attempt.parse().unwrap(),
            started: 5000,
            ended: 7000,
            verdict,
            artifacts: if done { vec![artifact] } else { vec![] },
            records: vec![],
        };
        self.update(Update::Ended { folder: folder(self.store, self.job), outcome, items })
    }
    /// All updates of a successful attempt with this score.
    fn success(&self, value: f64) -> Vec<JobUpdate> {
        vec![
            self.submitted(),
            self.started(0),
            self.line(1, Event::Scored(score(None, value))),
            self.line(2, Event::Scored(score(Some("a"), value))),
            self.ended(Verdict::Done, vec![item(0, 1.0), item(1, 0.5)]),
        ]
    }
}

async fn dump(store: &Store) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '_sqlx%' ORDER BY name",
    )
    .fetch_all(&store.pool)
    .await
    .unwrap();
    let mut text = String::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)")
            .bind(&table)
            .fetch_all(&store.pool)
            .await
            .unwrap();
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
            "SELECT json_array({}) AS row FROM {table} ORDER BY row",
            columns.join(", ")
        )))
        .fetch_all(&store.pool)
        .await
        .unwrap();
        text.push_str(&format!("{table}\n{}\n", rows.join("\n")));
    }
    text
}

async fn opened() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("runs"), None).await.unwrap();
    (folder, store)
}
