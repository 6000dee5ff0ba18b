//! Turning news into rows.

use std::collections::HashMap;
use std::path::Path;

use sqlx::SqliteConnection;

use super::error::StoreError;
use super::open::{Store, text};
use super::results;
use crate::domain::{Event, JobId, JobUpdate, JournalEntry, Update, Verdict};

impl Store {
    /// Writes down what happened to one job; `at` in milliseconds since 1970 UTC.
    pub async fn record(&self, news: &JobUpdate, at: i64) -> Result<(), StoreError> {
        self.record_all(std::slice::from_ref(news), at).await
    }

    /// Writes down what happened, in this order, all or nothing; `at` in milliseconds since 1970 UTC.
    ///
    /// JobUpdate that are on record already change nothing. `at` stands for what the news themselves do not date.
    pub async fn record_all(&self, news: &[JobUpdate], at: i64) -> Result<(), StoreError> {
        if news.is_empty() {
            return Ok(());
        }
        let mut transaction = self.write().await?;
        let mut journals = Journals::default();
        for one in news {
            self.record_one(&mut transaction, &mut journals, one, at)
                .await
                .map_err(|source| StoreError::Record { job: one.job, source: Box::new(source) })?;
        }
        journals.write(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn record_one(
        &self,
        connection: &mut SqliteConnection,
        journals: &mut Journals,
        news: &JobUpdate,
        at: i64,
    ) -> Result<(), StoreError> {
        let job = news.job;
        match &news.update {
            Update::Submitted { token, slot } => submitted(connection, job, token, slot, at).await,
            Update::Journal { token, attempt, line, entry } => {
                let folder = self.stored(attempt)?;
                let journal = journals.of(connection, job, token, folder).await?;
                if (*line as i64) < journal.lines {
                    return Ok(());
                }
                journal.lines = *line as i64 + 1;
                journal.heard = Some(entry.at);
                if let Event::Progress { done, total, .. } = entry.event {
                    journal.progress = Some((done as i64, total as i64));
                }
                happened(connection, job, journal.attempt, entry).await
            }
            Update::Ended { folder, outcome, items } => {
                journals.write(connection).await?;
                let stored = self.stored(&folder.join(&outcome.attempt))?;
                let attempt = known(connection, job, &outcome.token, &stored).await?.attempt;
                if !results::ended(connection, attempt, outcome).await? {
                    return Ok(());
                }
                match outcome.verdict {
                    Verdict::Done => results::publish(connection, attempt, outcome, items, &self.stored(folder)?).await,
                    Verdict::Failed { .. } => results::discard(connection, job, attempt, &outcome.token).await,
                }
            }
            Update::Stopped { token } => {
                journals.write(connection).await?;
                given_up(connection, job, token, "interrupted", None, at).await
            }
            Update::Lost { token, message } => {
                journals.write(connection).await?;
                given_up(connection, job, token, "lost", Some(message), at).await
            }
        }
    }
}

/// An attempt and how much of its journal is on record.
#[derive(Debug)]
struct Journal {
    attempt: i64,
    lines: i64,
    heard: Option<i64>,
    progress: Option<(i64, i64)>,
}

/// The journals of a batch of news: looked up once, written back once.
#[derive(Debug, Default)]
struct Journals(HashMap<(JobId, String, String), Journal>);

impl Journals {
    /// The journal of an attempt in this folder.
    async fn of(
        &mut self,
        connection: &mut SqliteConnection,
        job: JobId,
        token: &str,
        folder: String,
    ) -> Result<&mut Journal, StoreError> {
        use std::collections::hash_map::Entry;
        match self.0.entry((job, token.to_owned(), folder)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let (job, token, folder) = entry.key();
                let journal = known(connection, *job, token, folder).await?;
                Ok(entry.insert(journal))
            }
        }
    }

    /// Writes back what has changed.
    async fn write(&mut self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for (_, journal) in self.0.drain() {
            // Without a time, no new line was recorded.
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

/// A new submission counts from now on.
async fn submitted(
    connection: &mut SqliteConnection,
    job: JobId,
    token: &str,
    slot: &str,
    at: i64,
) -> Result<(), StoreError> {
    let attempt: Option<i64> = sqlx::query_scalar(
        "INSERT INTO attempt (job, token, state, slot, submitted) SELECT ?1, ?2, 'submitted', ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM attempt WHERE job = ?1 AND token = ?2) RETURNING id",
    )
    .bind(job.to_string())
    .bind(token)
    .bind(slot)
    .bind(at)
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

/// The row of the attempt in this folder; made where there is none.
///
/// The first folder of a submission takes over the submission's row. Further ones (a cluster that runs a job again)
/// get rows of their own, which count from then on, unless the submission is over.
async fn known(
    connection: &mut SqliteConnection,
    job: JobId,
    token: &str,
    folder: &str,
) -> Result<Journal, StoreError> {
    let id = job.to_string();
    let row: Option<(i64, i64, bool)> = sqlx::query_as(
        "SELECT id, lines, folder IS NULL FROM attempt
         WHERE job = ?1 AND token = ?2 AND (folder = ?3 OR folder IS NULL) ORDER BY folder IS NULL LIMIT 1",
    )
    .bind(&id)
    .bind(token)
    .bind(folder)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some((attempt, lines, homeless)) = row {
        if homeless {
            sqlx::query("UPDATE attempt SET folder = ?2 WHERE id = ?1")
                .bind(attempt)
                .bind(folder)
                .execute(connection)
                .await?;
        }
        return Ok(Journal { attempt, lines, heard: None, progress: None });
    }
    let (attempt, state): (i64, String) = sqlx::query_as(
        "INSERT INTO attempt (job, token, folder, state) VALUES (?1, ?2, ?3, iif(EXISTS (
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
    Ok(Journal { attempt, lines: 0, heard: None, progress: None })
}

/// A new line of a journal.
async fn happened(
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
        .bind(text(path as &Path)?)
        .bind(weights.to_string())
        .bind(entry.at)
        .bind(milestone.map(|milestone| milestone.to_string())),
        Event::Scored(score) => return results::scored(connection, job, attempt, score).await,
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
        // Progress goes with the journal's own row; the outcome says how it finished.
        Event::Progress { .. } | Event::Finished { .. } => return Ok(()),
    };
    query.execute(connection).await?;
    Ok(())
}

/// What was still going on under a submission has ended without an outcome.
async fn given_up(
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
