//! The verdicts of `grid verify resume`.

use super::error::StoreError;
use super::open::Store;
use crate::domain::{JobId, JobKind, Precision};

/// The verdict on one training job, which ran once without interruption and once killed and resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The training job.
    pub job: JobId,
    /// Pretrain or tune.
    pub kind: JobKind,
    /// The name of the job shown to people.
    pub label: String,
    /// The name of the model in the spec.
    pub model: String,
    /// The device of the workers.
    pub device: String,
    /// The floating-point format of the computation.
    pub precision: Precision,
    /// The number of threads of the workers.
    pub threads: u32,
    /// The number of times the training was killed.
    pub kills: u32,
    /// The seed that determines when it was killed.
    pub seed: u64,
    /// The first difference between the two runs; `None` if they are identical.
    pub difference: Option<String>,
    /// The versions of grid and libtorch.
    pub version: String,
}

impl Store {
    /// Records verdicts; `at` is in milliseconds since 1970 UTC.
    pub async fn record_verifications(&self, verdicts: &[Verification], at: i64) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for verdict in verdicts {
            sqlx::query(
                "INSERT INTO verification (job, kind, label, model, device, precision, threads, kills, seed, difference,
                     version, at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )
            .bind(verdict.job.to_string())
            .bind(verdict.kind.name())
            .bind(&verdict.label)
            .bind(&verdict.model)
            .bind(&verdict.device)
            .bind(verdict.precision.name())
            .bind(verdict.threads)
            .bind(verdict.kills)
            .bind(verdict.seed as i64)
            .bind(&verdict.difference)
            .bind(&verdict.version)
            .bind(at)
            .execute(&mut *transaction)
            .await?;
        }
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_view_shows_the_newest_verdict_of_each_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), None).await.unwrap();
        let verdict = |threads, difference: Option<&str>| Verification {
            job: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            kind: JobKind::Tune,
            label: "tiny/chat/seed1".into(),
            model: "tiny".into(),
            device: "cpu".into(),
            precision: Precision::Bf16,
            threads,
            kills: 5,
            seed: u64::MAX,
            difference: difference.map(str::to_owned),
            version: "grid".into(),
        };
        store.record_verifications(&[verdict(1, Some("weights")), verdict(2, None)], 1_000).await.unwrap();
        store.record_verifications(&[verdict(1, None)], 2_000).await.unwrap();
        let rows: Vec<(String, i64, String, String)> =
            sqlx::query_as("SELECT precision, threads, verdict, at FROM v_verifications ORDER BY threads")
                .fetch_all(&store.pool)
                .await
                .unwrap();
        let row = |threads, at: &str| ("bf16".to_owned(), threads, "identical".to_owned(), at.to_owned());
        assert_eq!(rows, [row(1, "1970-01-01T00:00:02Z"), row(2, "1970-01-01T00:00:01Z")]);
    }
}
