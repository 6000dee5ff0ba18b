//! Upgrading databases of earlier layouts, which earlier builds created.

use super::*;
use crate::domain::{Cluster, Stderr};
use crate::store::layout;

/// A folder with a copy of the fixture of a layout, the database that the last build with that layout created.
fn fixture(layout: i64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/layout-{layout}.db"));
    std::fs::copy(&fixture, folder.path().join("runs.db"))
        .unwrap_or_else(|error| panic!("a new layout needs the fixture {}: {error}", fixture.display()));
    folder
}

/// The name, the type and the columns of every relation.
async fn layout_of(store: &Store) -> String {
    format!("{:#?}", layout::columns(&mut store.pool.acquire().await.unwrap()).await.unwrap())
}

/// Before a migration is added, the database of the last build without it becomes a fixture.
#[tokio::test]
async fn every_earlier_layout_can_be_upgraded_and_read_without_an_upgrade() {
    let new = tempfile::tempdir().unwrap();
    let newest = layout_of(&Store::open(new.path(), None).await.unwrap()).await;
    for version in 1..layout::newest() {
        let folder = fixture(version);
        let reader = Store::open_read_only(folder.path(), None).await.unwrap();
        let experiments = reader.experiments().await.unwrap();
        assert_eq!(experiments.len(), 1, "layout {version}");
        let name = &experiments[0].name;
        let before = (reader.scores(name).await.unwrap(), reader.job_rows(name).await.unwrap(), views(&reader).await);
        assert!(!before.0.is_empty(), "layout {version}");
        reader.close().await;
        let upgraded = Store::open_existing(folder.path(), None).await.unwrap();
        assert_eq!(layout_of(&upgraded).await, newest, "layout {version}");
        let after =
            (upgraded.scores(name).await.unwrap(), upgraded.job_rows(name).await.unwrap(), views(&upgraded).await);
        assert_eq!(before, after, "layout {version}");
    }
}

/// The columns and the number of rows of every view of the newest layout.
async fn views(store: &Store) -> Vec<String> {
    let mut newest = layout::in_memory().await.unwrap();
    let columns = layout::columns(&mut newest).await.unwrap();
    let mut views = vec![];
    for view in columns.chunk_by(|one, next| one.relation == next.relation).filter(|view| view[0].is_view) {
        let names = view.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        let relation = &view[0].relation;
        let rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM (SELECT {names} FROM {relation})")))
                .fetch_one(&store.pool)
                .await
                .unwrap();
        views.push(format!("{relation} ({names}): {rows} rows"));
    }
    views
}

/// The whole content of a database, as SQL and as the store reads it, and a summary of it.
async fn contents(store: &Store) -> (String, String) {
    let scores = store.scores("layout-1").await.unwrap();
    let jobs = store.job_rows("layout-1").await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let history = store.history(&ids).await.unwrap();
    let artifacts: usize = history.values().map(|history| history.artifacts.len()).sum();
    let items = store.items(&ids.iter().map(JobId::to_string).collect::<Vec<_>>()).await.unwrap();
    let count: usize = items.values().map(Vec::len).sum();
    assert!(items.values().flatten().all(|item| item.cluster == Cluster::Unknown));
    let counts = format!("{} scores, {count} items, {} jobs, {artifacts} artifacts", scores.len(), jobs.len());
    (format!("{}\n{scores:?}\n{items:?}", dump(store).await), counts)
}

#[tokio::test]
async fn a_database_of_layout_1_is_upgraded_and_keeps_everything() {
    let folder = fixture(1);
    // Read-only, so it cannot be upgraded; temporary views make it look as if it had the newest layout.
    let reader = Store::open_read_only(folder.path(), None).await.unwrap();
    assert!(!reader.is_writable());
    let before = contents(&reader).await;
    let answers = async |store: &Store| -> Vec<(i64, i64, i64)> {
        let query = "SELECT (SELECT count(*) FROM v_items), (SELECT count(cluster) FROM v_items),
                         (SELECT count(*) FROM v_compare WHERE job_a <> job_b)";
        sqlx::query_as(query).fetch_all(&store.pool).await.unwrap()
    };
    let read = answers(&reader).await;
    reader.close().await;

    let store = Store::open_existing(folder.path(), None).await.unwrap();
    assert!(store.is_writable());
    let after = contents(&store).await;
    insta::assert_snapshot!(after.1, @"80 scores, 328 items, 23 jobs, 26 artifacts");
    assert!(after == before, "{before:?}\n{after:?}");
    assert_eq!(answers(&store).await, read);
    // No item has a cluster, and each of the four scores has a pair of cells for each of two seeds, in both orders.
    assert_eq!(read, [(328, 0, 16)]);
    let layouts: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations").fetch_all(&store.pool).await.unwrap();
    assert_eq!(layouts, (1..=layout::newest()).collect::<Vec<i64>>());
    let without = store.jobs_without_clusters("layout-1").await.unwrap();
    assert_eq!(without.len(), 16, "four evaluations of four models");
}

#[tokio::test]
async fn clusters_and_their_standard_errors_are_recorded_together() {
    let folder = fixture(1);
    let store = Store::open_existing(folder.path(), None).await.unwrap();
    let scores = store.scores("layout-1").await.unwrap();
    let job = &scores.iter().find(|row| row.score.suite == Suite::Ewok).unwrap().job;
    let id: JobId = job.parse().unwrap();
    let mut items = store.items(std::slice::from_ref(job)).await.unwrap().remove(job).unwrap();
    for item in &mut items {
        item.cluster = if item.item < 2 { Cluster::shared("pair") } else { Cluster::Itself };
    }
    let stderr = |subtask: Option<&str>, metric: &str, value| Stderr {
        task: "ewok".into(),
        subtask: subtask.map(str::to_owned),
        metric: metric.into(),
        value,
    };
    let stderrs = [
        stderr(None, "accuracy", Some(1.25)),
        stderr(Some("agent-properties"), "accuracy", None),
        stderr(Some("no such subtask"), "accuracy", Some(7.0)),
    ];
    store.record_clusters(id, &items, &stderrs).await.unwrap();

    assert_eq!(store.items(std::slice::from_ref(job)).await.unwrap().remove(job).unwrap(), items);
    assert!(!store.jobs_without_clusters("layout-1").await.unwrap().contains(&id));
    let rewritten =
        |row: &ScoreRow| row.job == *job && matches!(row.score.subtask.as_deref(), None | Some("agent-properties"));
    for (before, after) in scores.iter().zip(store.scores("layout-1").await.unwrap()) {
        match rewritten(before) {
            true => {
                let value = if before.score.subtask.is_none() { Some(1.25) } else { None };
                assert_eq!(after.score, Score { stderr: value, ..before.score.clone() });
            }
            false => assert_eq!(after, *before),
        }
    }
    let shown: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT cluster FROM v_items
         WHERE job = ?1 AND subtask = 'agent-properties' AND item < 4 ORDER BY item",
    )
    .bind(job)
    .fetch_all(&store.pool)
    .await
    .unwrap();
    assert_eq!(shown, ["pair", "agent-properties#2", "agent-properties#3"]);

    // Nothing is recorded if not everything can be.
    let reader = Store::open_read_only(folder.path(), None).await.unwrap();
    let error = reader.record_clusters(id, &items, &[]).await.unwrap_err();
    assert!(error.is_unwritable(), "{error}");
}

/// Cells that share a model share its jobs, and a difference between a job and itself measures nothing.
#[tokio::test]
async fn a_job_is_not_compared_with_itself() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    for (eval, token) in world.evals.iter().zip(["s", "t"]) {
        let reporter = Reporter { store: &store, job: eval.id(), token, attempt: token };
        store.record_all(&reporter.success(60.0), 1).await.unwrap();
    }
    let pairs =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM v_compare").fetch_one(&store.pool).await.unwrap() };
    assert_eq!(pairs().await, 2);
    // Now both cells have both jobs. Pairs of a job with itself are left out.
    sqlx::query("INSERT OR IGNORE INTO cell_job SELECT cell.id, job.id, 'eval' FROM cell, job WHERE kind = 'eval'")
        .execute(&store.pool)
        .await
        .unwrap();
    assert_eq!(pairs().await, 4);
    let same: i64 =
        sqlx::query_scalar("SELECT count(*) FROM v_compare WHERE job_a = job_b").fetch_one(&store.pool).await.unwrap();
    assert_eq!(same, 0);
}

#[tokio::test]
async fn items_are_visited_one_subtask_at_a_time_for_each_cell() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    for (eval, token) in world.evals.iter().zip(["s", "t"]) {
        let reporter = Reporter { store: &store, job: eval.id(), token, attempt: token };
        store.record_all(&reporter.success(60.0), 1).await.unwrap();
    }
    let mut seen = vec![];
    let visit = |group: &ItemGroup, items: &[ItemOutcome]| -> Result<(), StoreError> {
        seen.push((group.cell.curriculum.clone(), group.checkpoint.clone(), group.job.clone(), items.to_vec()));
        Ok(())
    };
    store.visit_items("x", visit).await.unwrap();
    let of = |curriculum: &str, eval: &Job| {
        (curriculum.to_owned(), "final".to_owned(), eval.id().to_string(), vec![item(0, 1.0), item(1, 0.5)])
    };
    assert_eq!(seen, [of("pretrained", &world.evals[0]), of("merged", &world.evals[1])]);
    // The first error ends the visit.
    let failed = store.visit_items("x", |_, _| Err(StoreError::NoExperiment)).await;
    assert!(matches!(failed, Err(StoreError::NoExperiment)));
}
