//! Recording updates of jobs.

use std::collections::HashMap;

use sqlx::{FromRow, SqliteConnection};

use super::begin::InvocationId;
use super::error::StoreError;
use super::open::{Store, utf8};
use super::results;
use crate::domain::{Event, JobId, JobUpdate, JournalEntry, Update, Verdict};

impl Store {
    /// Records one update; see [`Self::record_all`].
    pub async fn record(&self, update: &JobUpdate, at: i64) -> Result<(), StoreError> {
        self.record_all(std::slice::from_ref(update), at).await
    }

    /// Records updates that no invocation has caused, such as those of jobs that are found to be finished; see
    /// [`Self::record_run`].
    pub async fn record_all(&self, updates: &[JobUpdate], at: i64) -> Result<(), StoreError> {
        self.record_updates(updates, None, at).await
    }

    /// Records updates of a run in this order and in one transaction. The attempts that they submit belong to its
    /// invocation.
    ///
    /// Updates that are already recorded change nothing. `at`, in milliseconds since 1970 UTC, is the time of those
    /// updates that have no time of their own.
    pub async fn record_run(&self, updates: &[JobUpdate], invocation: InvocationId, at: i64) -> Result<(), StoreError> {
        self.record_updates(updates, Some(invocation), at).await
    }

    async fn record_updates(
        &self,
        updates: &[JobUpdate],
        invocation: Option<InvocationId>,
        at: i64,
    ) -> Result<(), StoreError> {
        if updates.is_empty() {
            return Ok(());
        }
        let mut transaction = self.write().await?;
        let mut journals = Journals::default();
        for update in updates {
            self.record_one(&mut transaction, &mut journals, update, invocation, at)
                .await
                .map_err(|source| StoreError::Record { job: update.job, source: Box::new(source) })?;
        }
        journals.flush(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn record_one(
        &self,
        connection: &mut SqliteConnection,
        journals: &mut Journals,
        update: &JobUpdate,
        invocation: Option<InvocationId>,
        at: i64,
    ) -> Result<(), StoreError> {
        let job = update.job;
        match &update.update {
            Update::Submitted { token, slot } => record_submission(connection, job, token, slot, invocation, at).await,
            Update::Journal { token, attempt, line, entry } => {
                let folder = self.relative(attempt)?;
                let journal = journals.cursor(connection, job, token, folder).await?;
                if (*line as i64) < journal.lines {
                    return Ok(());
                }
                journal.lines = *line as i64 + 1;
                journal.heard = Some(entry.at);
                if let Event::Progress { done, total, .. } = entry.event {
                    journal.progress = Some((done as i64, total as i64));
                }
                record_event(connection, job, journal.attempt, entry).await
            }
            Update::Ended { folder, outcome, items } => {
                journals.flush(connection).await?;
                let path = self.relative(&folder.join(&outcome.attempt))?;
                let attempt = find_or_insert_attempt(connection, job, &outcome.token, &path).await?.attempt;
                if !results::close_attempt(connection, attempt, outcome).await? {
                    return Ok(());
                }
                match outcome.verdict {
                    Verdict::Done => {
                        results::publish(connection, attempt, outcome, items, &self.relative(folder)?).await
                    }
                    Verdict::Failed { .. } | Verdict::DamagedInput { .. } => {
                        results::discard(connection, job, attempt, &outcome.token).await
                    }
                }
            }
            Update::Stopped { token } => {
                journals.flush(connection).await?;
                close_submission(connection, job, token, "interrupted", None, at).await
            }
            Update::Lost { token, message } => {
                journals.flush(connection).await?;
                close_submission(connection, job, token, "lost", Some(message), at).await
            }
        }
    }
}

/// How much of the journal of an attempt is recorded.
#[derive(Debug)]
struct JournalCursor {
    /// The row id of the attempt.
    attempt: i64,
    /// The number of recorded lines.
    lines: i64,
    /// The time of the last line of this batch; `None` if no new line was recorded.
    heard: Option<i64>,
    /// The units of work done and the total, if a line of this batch reports them.
    progress: Option<(i64, i64)>,
}

/// What identifies a journal.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JournalKey {
    job: JobId,
    token: String,
    /// The stored path of the folder of the attempt.
    folder: String,
}

/// The cursors of the journals in a batch of updates, so that each is read and written once per batch.
#[derive(Debug, Default)]
struct Journals(HashMap<JournalKey, JournalCursor>);

impl Journals {
    /// The cursor of the journal of the attempt in this folder.
    async fn cursor(
        &mut self,
        connection: &mut SqliteConnection,
        job: JobId,
        token: &str,
        folder: String,
    ) -> Result<&mut JournalCursor, StoreError> {
        use std::collections::hash_map::Entry;
        match self.0.entry(JournalKey { job, token: token.to_owned(), folder }) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let JournalKey { job, token, folder } = entry.key();
                let cursor = find_or_insert_attempt(connection, *job, token, folder).await?;
                Ok(entry.insert(cursor))
            }
        }
    }

    /// Writes the cursors back.
    async fn flush(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for (_, journal) in self.0.drain() {
            let Some(heard) = journal.heard else { continue };
            sqlx::query(
                "UPDATE attempt SET lines = ?2, heard = ?3, progress_done = coalesce(?4, progress_done),
                     progress_total = coalesce(?5, progress_total) WHERE id = ?1",
            )
            .bind(journal.attempt)
            .bind(journal.lines)
            .bind(heard)
            .bind(journal.progress.map(|(done, _)| done))
            .bind(journal.progress.map(|(_, total)| total))
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// Records a submission and makes it the current attempt of the job.
async fn record_submission(
    connection: &mut SqliteConnection,
    job: JobId,
    token: &str,
    slot: &str,
    invocation: Option<InvocationId>,
    at: i64,
) -> Result<(), StoreError> {
    let attempt: Option<i64> = sqlx::query_scalar(
        "INSERT INTO attempt (job, token, state, slot, submitted, invocation) SELECT ?1, ?2, 'submitted', ?3, ?4, ?5
         WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE job = ?1 AND token = ?2) RETURNING id",
    )
    .bind(job.to_string())
    .bind(token)
    .bind(slot)
    .bind(at)
    .bind(invocation.map(|invocation| invocation.0))
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(attempt) = attempt {
        sqlx::query("UPDATE job SET current = ?2 WHERE id = ?1")
            .bind(job.to_string())
            .bind(attempt)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Finds the row of the attempt in this folder, or inserts it.
///
/// The first folder of a submission takes over the row of the submission. Further folders, as of a job that Slurm
/// requeued, get rows of their own, which become the current attempt unless the submission has ended.
async fn find_or_insert_attempt(
    connection: &mut SqliteConnection,
    job: JobId,
    token: &str,
    folder: &str,
) -> Result<JournalCursor, StoreError> {
    let id = job.to_string();
    #[derive(FromRow)]
    struct Found {
        id: i64,
        lines: i64,
        has_folder: bool,
    }
    let row: Option<Found> = sqlx::query_as(
        "SELECT id, lines, folder IS NOT NULL AS has_folder FROM attempt
         WHERE job = ?1 AND token = ?2 AND (folder = ?3 OR folder IS NULL) ORDER BY folder IS NULL LIMIT 1",
    )
    .bind(&id)
    .bind(token)
    .bind(folder)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(Found { id: attempt, lines, has_folder }) = row {
        if !has_folder {
            sqlx::query("UPDATE attempt SET folder = ?2 WHERE id = ?1")
                .bind(attempt)
                .bind(folder)
                .execute(connection)
                .await?;
        }
        return Ok(JournalCursor { attempt, lines, heard: None, progress: None });
    }
    let (attempt, state): (i64, String) = sqlx::query_as(
        "INSERT INTO attempt (job, token, folder, invocation, state) VALUES (?1, ?2, ?3,
             (SELECT invocation FROM attempt WHERE job = ?1 AND token = ?2 LIMIT 1), iif(EXISTS (
             SELECT 1 FROM attempt WHERE job = ?1 AND token = ?2 AND state IN ('lost', 'failed', 'done')
         ), 'lost', 'submitted')) RETURNING id, state",
    )
    .bind(&id)
    .bind(token)
    .bind(folder)
    .fetch_one(&mut *connection)
    .await?;
    if state == "submitted" {
        sqlx::query(
            "UPDATE job SET current = ?2 WHERE id = ?1
             AND (current IS NULL OR current IN (SELECT id FROM attempt WHERE job = ?1 AND token = ?3))",
        )
        .bind(&id)
        .bind(attempt)
        .bind(token)
        .execute(connection)
        .await?;
    }
    Ok(JournalCursor { attempt, lines: 0, heard: None, progress: None })
}

/// Records a line of a journal.
async fn record_event(
    connection: &mut SqliteConnection,
    job: JobId,
    attempt: i64,
    entry: &JournalEntry,
) -> Result<(), StoreError> {
    let query = match &entry.event {
        Event::Started { host, pid, device, threads, micro_batch, version } => sqlx::query(
            "UPDATE attempt SET state = iif(state = 'submitted', 'running', state), started = ?2, host = ?3,
                 pid = ?4, device = ?5, threads = ?6, version = ?7, micro_batch = ?8 WHERE id = ?1",
        )
        .bind(attempt)
        .bind(entry.at)
        .bind(host)
        .bind(*pid)
        .bind(device)
        .bind(*threads)
        .bind(version)
        .bind(*micro_batch),
        Event::Resumed { step } => {
            sqlx::query("UPDATE attempt SET resumed_step = ?2 WHERE id = ?1").bind(attempt).bind(*step as i64)
        }
        Event::Metric { name, step, value } => sqlx::query(
            "INSERT INTO metric (job, name, step, value) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (job, name, step) DO UPDATE SET value = excluded.value",
        )
        .bind(job.to_string())
        .bind(name)
        .bind(*step as i64)
        .bind(*value),
        Event::Checkpoint { path, step, tokens, words, weights, milestone } => sqlx::query(
            "INSERT INTO checkpoint (job, attempt, step, tokens, words, path, weights, at, milestone)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (job, attempt, path) DO UPDATE SET tokens = excluded.tokens, words = excluded.words,
                 step = excluded.step, weights = excluded.weights, at = excluded.at",
        )
        .bind(job.to_string())
        .bind(attempt)
        .bind(*step as i64)
        .bind(*tokens as i64)
        .bind(*words as i64)
        .bind(utf8(path)?)
        .bind(weights.to_string())
        .bind(entry.at)
        .bind(milestone.map(|milestone| milestone.to_string())),
        Event::Scored(score) => return results::record_score(connection, job, attempt, score).await,
        Event::Warning { message } => {
            sqlx::query("UPDATE attempt SET warnings = coalesce(warnings || char(10), '') || ?2 WHERE id = ?1")
                .bind(attempt)
                .bind(message)
        }
        Event::Interrupted { .. } => sqlx::query(
            "UPDATE attempt SET state = 'interrupted', ended = ?2
             WHERE id = ?1 AND state IN ('submitted', 'running')",
        )
        .bind(attempt)
        .bind(entry.at),
        // Progress is written with the cursor of the journal, and how the job finished with its outcome.
        Event::Progress { .. } | Event::Finished { .. } => return Ok(()),
    };
    query.execute(connection).await?;
    Ok(())
}

/// Closes the open attempts of a submission that ended without an outcome.
async fn close_submission(
    connection: &mut SqliteConnection,
    job: JobId,
    token: &str,
    state: &str,
    message: Option<&str>,
    at: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE attempt SET state = ?3, message = ?4, ended = coalesce(heard, ?5)
         WHERE job = ?1 AND token = ?2 AND state IN ('submitted', 'running')",
    )
    .bind(job.to_string())
    .bind(token)
    .bind(state)
    .bind(message)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}
