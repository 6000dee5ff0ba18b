//! Recording the results of jobs: outcomes, scores, items and artifacts.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::error::StoreError;
use super::open::utf8;
use crate::domain::{FailureKind, ItemOutcome, JobId, Outcome, Score, Verdict};

/// Rows per INSERT statement. Each has 7 values, and SQLite allows 32,766 per statement.
const ROWS_PER_INSERT: usize = 500;

fn failure_name(failure: FailureKind) -> &'static str {
    match failure {
        FailureKind::Job => "job",
        FailureKind::OutOfMemory => "out_of_memory",
        FailureKind::NonFinite => "non_finite",
        FailureKind::Lost => "lost",
    }
}

/// Records a score, which becomes current when its attempt becomes the result of the job.
pub(super) async fn record_score(
    connection: &mut SqliteConnection,
    job: JobId,
    attempt: i64,
    score: &Score,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO score (job, attempt, suite, suite_version, task, subtask, metric, value, n, stderr, chance,
             floor, ties, near_ties, nans, unscored, classes, mode)
         SELECT ?1, ?2, ?3, coalesce(canonical ->> '$.suite_version', ?4), ?5, ?6, ?7, ?8, ?9, ?10, ?11,
             ?12, ?13, ?14, ?15, ?16, ?17, ?18 FROM job WHERE id = ?1
         ON CONFLICT (job, attempt, task, coalesce(subtask, ''), metric) DO UPDATE
         SET suite = excluded.suite, suite_version = excluded.suite_version, value = excluded.value, n = excluded.n,
             stderr = excluded.stderr, chance = excluded.chance, floor = excluded.floor, ties = excluded.ties,
             near_ties = excluded.near_ties, nans = excluded.nans, unscored = excluded.unscored,
             classes = excluded.classes, mode = excluded.mode",
    )
    .bind(job.to_string())
    .bind(attempt)
    .bind(score.suite.name())
    .bind(score.suite.version())
    .bind(&score.task)
    .bind(&score.subtask)
    .bind(&score.metric)
    .bind(score.value)
    .bind(score.n as i64)
    .bind(score.stderr)
    .bind(score.chance)
    .bind(score.floor)
    .bind(score.ties as i64)
    .bind(score.near_ties as i64)
    .bind(score.nans as i64)
    .bind(score.unscored as i64)
    .bind(score.classes.map(|classes| classes as i64))
    .bind(score.mode.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// Closes an attempt with its outcome, and the other open attempts of the same submission; returns false if the outcome
/// is already recorded.
pub(super) async fn close_attempt(
    connection: &mut SqliteConnection,
    attempt: i64,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let (state, failure, message) = match &outcome.verdict {
        Verdict::Done => ("done", None, None),
        Verdict::Failed { failure, message } => ("failed", Some(failure_name(*failure)), Some(message)),
        // The job did not fail: it runs again once its input is repaired.
        Verdict::DamagedInput { message, .. } => ("lost", None, Some(message)),
    };
    let closed = sqlx::query(
        "UPDATE attempt SET state = ?2, failure = ?3, message = ?4, started = ?5, ended = ?6
         WHERE id = ?1 AND state NOT IN ('failed', 'done')",
    )
    .bind(attempt)
    .bind(state)
    .bind(failure)
    .bind(message)
    .bind(outcome.started)
    .bind(outcome.ended)
    .execute(&mut *connection)
    .await?;
    if closed.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE attempt SET state = 'lost', ended = coalesce(heard, ?4),
             message = 'another attempt of this submission published its outcome first'
         WHERE job = ?1 AND token = ?2 AND id <> ?3 AND state IN ('submitted', 'running')",
    )
    .bind(outcome.id.to_string())
    .bind(&outcome.token)
    .bind(attempt)
    .bind(outcome.ended)
    .execute(connection)
    .await?;
    Ok(true)
}

/// Deletes the scores of a failed attempt, and makes the attempt the current one of its submission.
pub(super) async fn discard(
    connection: &mut SqliteConnection,
    job: JobId,
    attempt: i64,
    token: &str,
) -> Result<(), StoreError> {
    delete_scores(connection, job, attempt).await?;
    sqlx::query(
        "UPDATE job SET current = ?2 WHERE id = ?1
         AND current IN (SELECT id FROM attempt WHERE job = ?1 AND token = ?3 AND state <> 'done')",
    )
    .bind(job.to_string())
    .bind(attempt)
    .bind(token)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes a successful attempt the result of its job, replacing an earlier result.
///
/// If two submissions ran at the same time, the first one to succeed stays the result, because jobs that depend on it
/// may have started.
pub(super) async fn publish(
    connection: &mut SqliteConnection,
    attempt: i64,
    outcome: &Outcome,
    items: &[ItemOutcome],
    folder: &str,
) -> Result<(), StoreError> {
    let job = outcome.id.to_string();
    let replaced = sqlx::query(
        "UPDATE job SET current = ?2, result = ?2, folder = ?3 WHERE id = ?1
         AND NOT EXISTS (SELECT 1 FROM attempt WHERE id = job.current AND id <> ?2 AND state = 'done')",
    )
    .bind(&job)
    .bind(attempt)
    .bind(folder)
    .execute(&mut *connection)
    .await?;
    if replaced.rows_affected() == 0 {
        return delete_scores(connection, outcome.id, attempt).await;
    }
    for statement in [
        "DELETE FROM score WHERE job = ?1 AND attempt <> ?2",
        "DELETE FROM artifact WHERE job = ?1",
        "DELETE FROM item_group WHERE job = ?1",
    ] {
        sqlx::query(statement).bind(&job).bind(attempt).execute(&mut *connection).await?;
    }
    for artifact in &outcome.artifacts {
        sqlx::query("INSERT INTO artifact (job, path, bytes, digest, stamp) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(&job)
            .bind(utf8(&artifact.path)?)
            .bind(artifact.bytes as i64)
            .bind(artifact.digest.to_string())
            .bind(artifact.stamp.map(|stamp| serde_json::json!(stamp).to_string()))
            .execute(&mut *connection)
            .await?;
    }
    insert_items(connection, &job, items).await
}

async fn delete_scores(connection: &mut SqliteConnection, job: JobId, attempt: i64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM score WHERE job = ?1 AND attempt = ?2")
        .bind(job.to_string())
        .bind(attempt)
        .execute(connection)
        .await?;
    Ok(())
}

async fn insert_items(connection: &mut SqliteConnection, job: &str, items: &[ItemOutcome]) -> Result<(), StoreError> {
    for group in items.chunk_by(|a, b| a.task == b.task && a.subtask == b.subtask) {
        // The items of a subtask may come in several groups. Setting a column on conflict makes RETURNING return the
        // existing row. A fine-tuning job has no suite in its canonical form: it is always GLUE. The suite of a test set is
        // its format.
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO item_group (job, suite, mode, task, subtask)
             SELECT ?1, coalesce(canonical ->> '$.job.suite.items.format', canonical ->> '$.job.suite', 'glue'),
                    canonical ->> '$.job.mode', ?2, ?3 FROM job WHERE id = ?1
             ON CONFLICT (job, task, subtask) DO UPDATE SET task = excluded.task RETURNING id",
        )
        .bind(job)
        .bind(&group[0].task)
        .bind(&group[0].subtask)
        .fetch_one(&mut *connection)
        .await?;
        for chunk in group.chunks(ROWS_PER_INSERT) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT OR REPLACE INTO item (item_group, item, chosen, correct, credit, scores, cluster) ",
            );
            insert.push_values(chunk, |mut row, item| {
                row.push_bind(id)
                    .push_bind(item.item)
                    .push_bind(item.chosen)
                    .push_bind(item.correct)
                    .push_bind(item.credit)
                    .push_bind(serde_json::json!(item.scores).to_string())
                    .push_bind(item.cluster.key());
            });
            insert.build().execute(&mut *connection).await?;
        }
    }
    Ok(())
}
