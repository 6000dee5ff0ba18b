//! Tests of views and queries.

use sqlx::{Column, Row};

use super::*;

#[tokio::test]
async fn the_views_have_the_documented_columns() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    for ((eval, token), value) in world.evals.iter().zip(["s", "t"]).zip([60.0, 70.5]) {
        let reporter = Reporter { store: &store, job: eval.id(), token, attempt: token };
        store.record_all(&reporter.success(value), 1).await.unwrap();
    }
    let differences: Vec<(String, String, f64)> = sqlx::query_as(
        "SELECT curriculum_a, curriculum_b, difference FROM v_compare WHERE experiment = 'x' ORDER BY difference",
    )
    .fetch_all(&store.pool)
    .await
    .unwrap();
    let [pretrained, merged] = ["pretrained", "merged"].map(str::to_owned);
    let expected = [(merged.clone(), pretrained.clone(), -10.5), (pretrained, merged, 10.5)];
    assert_eq!(differences, expected);
    let mut text = String::new();
    for view in ["v_scores", "v_items", "v_compare", "v_jobs", "v_cost"] {
        let row = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {view} LIMIT 1"))).fetch_one(&store.pool);
        let row = row.await.unwrap();
        let columns: Vec<&str> = row.columns().iter().map(|column| column.name()).collect();
        text.push_str(&format!("{view}: {}\n", columns.join(" ")));
    }
    insta::assert_snapshot!(text, @"
    v_scores: experiment cell model dataset curriculum seed extra suite task subtask metric value n stderr chance floor ties near_ties nans unscored classes mode suite_version checkpoint finetune_seed job
    v_items: experiment cell model dataset curriculum seed extra checkpoint suite mode task subtask item chosen correct credit scores job cluster
    v_compare: experiment model seed extra suite task metric mode finetune_seed cell_a dataset_a curriculum_a value_a cell_b dataset_b curriculum_b value_b difference job_a job_b
    v_jobs: experiment job kind label state attempts started ended seconds device message
    v_cost: experiment kind jobs done seconds tokens
    ");
}

#[tokio::test]
async fn planning_again_with_fewer_cells_keeps_the_results() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    for (eval, token) in world.evals.iter().zip(["s", "t"]) {
        let reporter = Reporter { store: &store, job: eval.id(), token, attempt: token };
        store.record_all(&reporter.success(60.0), 1).await.unwrap();
    }
    let build = |version: &str, jobs| BuildCount { version: version.to_owned(), jobs };
    let scores = store.scores("x").await.unwrap();
    let scored = Origin::World { part: WorldPart::Evaluation, seed: 1, size: 10 };
    assert_eq!((scores.len(), serde_json::from_str(&scores[0].data).ok()), (4, Some(scored)));
    assert_eq!(store.builds("x").await.unwrap(), [build("0.1.0", 2)]);
    sqlx::query("UPDATE attempt SET version = '0.2.0' WHERE token = 't'").execute(&store.pool).await.unwrap();
    assert_eq!(store.builds("x").await.unwrap(), [build("0.1.0", 1), build("0.2.0", 1)]);
    let job = world.evals[1].id();
    assert_eq!(store.experiment_of(job).await.unwrap().as_deref(), Some("x"));
    world.begin(&store, "x", &both()[..1]).await;
    assert_eq!(store.scores("x").await.unwrap().len(), 2);
    assert_eq!(store.job_rows("x").await.unwrap().len(), 2);
    assert_eq!(store.experiment_of(job).await.unwrap(), None);
    world.begin(&store, "x", &both()).await;
    assert_eq!(store.scores("x").await.unwrap().len(), 4);
}

#[tokio::test]
async fn status_metrics_and_costs() {
    let (_folder, store) = opened().await;
    let world = World::new();
    let run = world.begin(&store, "x", &both()).await;
    let job = world.evals[0].id();
    let reporter = Reporter { store: &store, job, token: "one", attempt: "a1" };
    let metric = |step, value| Event::Metric { name: "tokens".into(), step, value };
    let progress = Event::Progress { done: 3, total: 9, loss: None, tokens_per_second: None };
    let updates = [
        reporter.submitted(),
        reporter.started(0),
        reporter.line(1, metric(1, 64.0)),
        reporter.line(2, metric(2, f64::NAN)),
        reporter.line(3, metric(1, 128.0)),
        reporter.line(4, progress),
        reporter.line(5, Event::Warning { message: "micro-batch halved".into() }),
        reporter.line(6, Event::Warning { message: "again".into() }),
        reporter.line(7, Event::Resumed { step: 40 }),
    ];
    store.record_all(&updates, 1).await.unwrap();
    let rows = store.job_rows("x").await.unwrap();
    assert_eq!(rows.iter().map(|row| row.label.as_str()).collect::<Vec<_>>(), ["shared", "first eval", "second eval"]);
    assert_eq!(
        rows.iter().map(|row| row.state).collect::<Vec<_>>(),
        [JobState::Waiting, JobState::Running, JobState::Waiting]
    );
    assert_eq!((rows[1].progress, rows[1].tokens), (Some((3, 9)), 128));
    assert_eq!(rows[1].message.as_deref(), Some("micro-batch halved\nagain"));
    let attempts = store.attempts(job).await.unwrap();
    assert_eq!((attempts[0].resumed_step, attempts[0].warnings.len()), (Some(40), 2));
    let points = store.metrics(job, "tokens").await.unwrap();
    assert_eq!(points[0], MetricPoint { step: 1, value: 128.0 });
    assert!(points[1].value.is_nan());
    assert_eq!(store.metric_names(job).await.unwrap(), ["tokens"]);
    assert_eq!(store.canonical(job).await.unwrap(), Some(world.evals[0].canonical()));

    store.record(&reporter.ended(Verdict::Done, vec![]), 9).await.unwrap();
    let cost: Vec<(String, i64, i64, f64, i64)> =
        sqlx::query_as("SELECT kind, jobs, done, seconds, tokens FROM v_cost ORDER BY kind")
            .fetch_all(&store.pool)
            .await
            .unwrap();
    assert_eq!(cost, [("eval".into(), 2, 1, 2.0, 128), ("tokenizer".into(), 1, 0, 0.0, 0)]);

    store.finish(run, InvocationOutcome::Interrupted, 5).await.unwrap();
    let ended: (String, i64) =
        sqlx::query_as("SELECT outcome, ended FROM invocation").fetch_one(&store.pool).await.unwrap();
    assert_eq!(ended, ("interrupted".to_owned(), 5));
    let experiments = store.experiments().await.unwrap();
    assert_eq!((experiments[0].cells, experiments[0].jobs, experiments[0].done), (2, 3, 1));
}

#[tokio::test]
async fn jobs_and_experiments_are_found_by_id_label_and_cell() {
    let (_folder, store) = opened().await;
    let no_experiment = store.experiment(None).await.unwrap_err().to_string();
    insta::assert_snapshot!(no_experiment, @"find an experiment: the database does not contain any; start with `grid run SPEC`");
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    world.begin(&store, "y", &both()).await;
    world.begin(&store, "x", &both()).await;
    assert_eq!(store.experiment(None).await.unwrap().experiment, experiment("x"));
    assert_eq!(store.experiment(Some("y")).await.unwrap().experiment, experiment("y"));
    let unknown = store.experiment(Some("z")).await.unwrap_err().to_string();
    insta::assert_snapshot!(unknown, @"find the experiment 'z' in the database; known experiments: x, y");

    let found =
        async |text: &str| -> Vec<JobId> { store.find_jobs(text).await.unwrap().iter().map(|row| row.id).collect() };
    let [shared, first, _] = world.jobs().map(Job::id);
    assert_eq!(found(&first.short()).await, [first]);
    assert_eq!(found(&first.to_string().to_uppercase()).await, [first]);
    assert_eq!(found(&format!("eval-{}", first.short())).await, [first]);
    assert_eq!(found("first eval").await, [first]);
    assert_eq!(found("eval/first eval").await, [first]);
    // A job of the same name that is no longer planned is found by its id only.
    let old = "0123456789abcdef0123456789abcdef";
    let insert =
        "INSERT INTO job (id, kind, canonical, label, folder, created) VALUES (?1, 'eval', '{}', 'first eval', 'x', 0)";
    sqlx::query(insert).bind(old).execute(&store.pool).await.unwrap();
    assert_eq!(found("first eval").await, [first]);
    assert_eq!(found("0123456789ab").await, [old.parse().unwrap()]);
    assert_eq!(found("tiny/pretrained/lr=0.1/warmup=5/seed1").await, [shared, first]);
    assert_eq!(found("y/tiny/pretrained/lr=0.1/warmup=5/seed1").await, [shared, first]);
    assert_eq!(found("").await, []);
    assert_eq!(found("%").await, []);
}
