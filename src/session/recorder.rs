//! Recording what happens during a run, in a database that other programs may lock or delete meanwhile.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::clock::now;
use super::failure::{Exit, Failure};
use crate::domain::{JobUpdate, counted};
use crate::runner::Stop;
use crate::store::{DatabaseFile, InvocationId, InvocationOutcome, Store, StoreError};

/// How long a run waits for a database that another program has locked, in seconds.
const DEFAULT_WAIT: u64 = 600;
/// The delay before the database is tried again. SQLite itself waits as well.
const RETRY: Duration = Duration::from_millis(100);

/// How long a run waits for the lock of another program.
///
/// # Errors
/// If `GRID_DATABASE_WAIT` is not a number of seconds.
pub(super) fn database_wait() -> Result<Duration, Failure> {
    let seconds = match std::env::var("GRID_DATABASE_WAIT") {
        Err(_) => DEFAULT_WAIT,
        Ok(text) => text.trim().parse().map_err(|_| {
            Failure::text(Exit::Usage, format!("grid: GRID_DATABASE_WAIT is '{text}', not a number of seconds"))
        })?,
    };
    Ok(Duration::from_secs(seconds))
}

/// The database of a run.
pub(super) struct Recorder {
    store: Store,
    /// The command whose attempts are recorded.
    invocation: InvocationId,
    /// How long to wait for another program's lock.
    wait: Duration,
}

/// How the user is told what happens to the database, and how they can end the waiting.
#[derive(Clone)]
pub(super) struct Attendant {
    /// Tells the user something.
    pub announce: fn(&str),
    /// The user's requests to stop. The second one ends the waiting.
    pub stop: watch::Receiver<Stop>,
}

impl Recorder {
    /// Records what this invocation does in this database, and waits that long for another program's lock.
    pub(super) fn new(store: Store, invocation: InvocationId, wait: Duration) -> Self {
        Self { store, invocation, wait }
    }

    /// Records updates.
    ///
    /// # Errors
    /// A database that stays locked, was replaced by another file, or cannot be written.
    pub(super) async fn record(&mut self, updates: &[JobUpdate], attendant: &Attendant) -> Result<(), StoreError> {
        self.check_file(attendant.announce).await?;
        self.patiently(attendant, async |store| store.record_run(updates, self.invocation, now()).await).await
    }

    /// Records how the run ended, and closes the database.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub(super) async fn finish(mut self, outcome: InvocationOutcome, attendant: &Attendant) -> Result<(), StoreError> {
        self.check_file(attendant.announce).await?;
        self.patiently(attendant, async |store| store.finish(self.invocation, outcome, now()).await).await?;
        self.store.close().await;
        Ok(())
    }

    /// Restores a database whose file was deleted. The open connection still has all of its content.
    async fn check_file(&mut self, announce: fn(&str)) -> Result<(), StoreError> {
        match self.store.file() {
            DatabaseFile::Same => Ok(()),
            DatabaseFile::Missing => {
                self.store.restore().await?;
                announce(&format!("{} was deleted during the run; it is restored", self.store.path().display()));
                Ok(())
            }
            DatabaseFile::Other => Err(StoreError::Replaced { path: self.store.path() }),
        }
    }

    /// Repeats a write while another program holds the lock. Workers go on meanwhile.
    async fn patiently(
        &self,
        attendant: &Attendant,
        write: impl AsyncFn(&Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let start = Instant::now();
        let mut was_told = false;
        loop {
            let written = write(&self.store).await;
            let is_locked = written.as_ref().is_err_and(StoreError::is_locked);
            let is_over = start.elapsed() >= self.wait || *attendant.stop.borrow() == Stop::Now;
            if !is_locked || is_over {
                return written;
            }
            if !was_told {
                was_told = true;
                let seconds = counted(self.wait.as_secs(), "second");
                let path = self.store.path();
                (attendant.announce)(&format!(
                    "{} is locked by another program; the workers go on, and grid waits up to {seconds} for it",
                    path.display()
                ));
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
