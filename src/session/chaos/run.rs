//! A verification under faults: the undisturbed run, the disturbed ones, and the verdicts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::coordinator::{Coordinator, Waited};
use super::ending::{Ending, Round};
use super::fault::Fault;
use super::round::Disturbed;
use super::subject::{Baseline, Subject, interrupted};
use crate::domain::Grid;
use crate::plan::PlannedCell;
use crate::runner::Stop;
use crate::session::clock::now;
use crate::session::failure::{Exit, Failure};
use crate::session::runs_folder::RunsFolder;
use crate::session::signals::forward_signals;
use crate::session::spec_text::SpecText;
use crate::store::{Store, Verification};

/// The longest that the undisturbed run may take.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);

/// What to verify.
#[derive(Debug, Clone, PartialEq)]
pub struct ChaosRequest {
    /// The experiment; `None` for the shipped quickstart at a reduced size.
    pub spec: Option<(SpecText, Grid)>,
    /// After this time, no disturbed run begins. There is at least one.
    pub duration: Duration,
    /// The seed of the faults; `None` takes the time.
    pub seed: Option<u64>,
}

/// A verification that is about to start.
pub struct ChaosRun {
    subject: Subject,
    duration: Duration,
    seed: u64,
    /// Where all runs are. Runs whose ending is good are removed.
    scratch: PathBuf,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChaosReport {
    /// The disturbed runs.
    pub rounds: Vec<Round>,
    /// A verdict for each training job.
    pub verifications: Vec<Verification>,
}

impl ChaosRun {
    /// Plans a verification. Its data must have been fetched.
    ///
    /// # Errors
    /// The refusals of [`Session::open`](crate::session::Session::open); missing data; a folder that cannot be written.
    pub async fn prepare(folder: &RunsFolder, request: ChaosRequest) -> Result<Self, Failure> {
        folder.check_for_writing()?;
        let seed = request.seed.unwrap_or_else(|| now() as u64);
        let scratch = folder.create()?.join("verify").join(now().to_string());
        fs::create_dir_all(&scratch).map_err(|error| Failure::path(&scratch, &error))?;
        let subject = match request.spec {
            Some((spec, grid)) => Subject::open(spec, grid, &scratch, None).await,
            None => Subject::quickstart(&scratch).await,
        };
        let run = |subject| Self { subject, duration: request.duration, seed, scratch: scratch.clone() };
        subject.map(run).inspect_err(|_| remove(&scratch))
    }

    /// Name of the experiment.
    pub fn name(&self) -> &str {
        &self.subject.session.plan.name
    }

    /// Number of jobs.
    pub fn jobs(&self) -> u64 {
        self.subject.session.plan.jobs().len() as u64
    }

    /// The seed of the faults.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The folder of all runs.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Runs the experiment undisturbed and then under faults until the time is over; `show` gets every disturbed run once it
    /// has ended, and `announce` what an interrupt does.
    ///
    /// # Errors
    /// An undisturbed run that fails, an interrupt, files that cannot be read or written.
    pub async fn verify(&self, announce: fn(&str), show: &mut dyn FnMut(&Round)) -> Result<ChaosReport, Failure> {
        let (sender, stop) = watch::channel(Stop::No);
        let text = "stopping: all processes of the verification are killed".to_owned();
        let signals = tokio::spawn(forward_signals(sender, announce, text));
        let report = self.verify_until(Instant::now() + self.duration, &stop, show).await;
        signals.abort();
        report
    }

    async fn verify_until(
        &self,
        deadline: Instant,
        stop: &watch::Receiver<Stop>,
        show: &mut dyn FnMut(&Round),
    ) -> Result<ChaosReport, Failure> {
        let undisturbed = self.scratch.join("undisturbed");
        let baseline = self.run_undisturbed(&undisturbed, stop).await?;
        let mut rounds: Vec<Round> = vec![];
        let mut longest = baseline.took;
        while rounds.is_empty() || Instant::now() + longest <= deadline {
            let (number, start) = (rounds.len() as u64 + 1, Instant::now());
            let runs = self.scratch.join(format!("round-{number}"));
            let fault = Fault::draw(self.seed, number - 1);
            let round = Disturbed { subject: &self.subject, baseline: &baseline, fault, runs: &runs, stop };
            let (detail, ending) = round.play().await?;
            if !ending.is_bad() {
                fs::remove_dir_all(&runs).map_err(|error| Failure::path(&runs, &error))?;
            }
            let round = Round { number, kind: fault.kind, detail, ending };
            show(&round);
            rounds.push(round);
            longest = longest.max(start.elapsed().min(baseline.took * 4));
        }
        let verifications = self.verdicts(&undisturbed, &rounds).await?;
        Ok(ChaosReport { rounds, verifications })
    }

    async fn run_undisturbed(&self, runs: &Path, stop: &watch::Receiver<Stop>) -> Result<Baseline, Failure> {
        let start = Instant::now();
        let messages = self.scratch.join("messages.txt");
        let started = Coordinator::start(&self.subject.run_arguments(runs), None, &messages);
        let mut coordinator = started.map_err(|error| Failure::path(runs, &error))?;
        let scene = self.subject.scene(runs);
        match coordinator.wait(LONGEST_RUN, stop).await {
            Waited::Ended(end) if end.code == Some(0) => Ok(Baseline {
                results: self.subject.results(runs).await?,
                lines: scene.journal_lines(),
                took: start.elapsed(),
            }),
            Waited::Ended(end) => {
                let message = format!("grid: the undisturbed run failed:\n{}", end.messages.trim_end());
                Err(Failure::text(Exit::JobsFailed, message))
            }
            Waited::TimedOut | Waited::Interrupted => {
                coordinator.kill();
                scene.kill_workers().await;
                Err(interrupted(&self.scratch))
            }
        }
    }

    /// A verdict for each training job: whether all disturbed runs gave what the undisturbed one did.
    async fn verdicts(&self, undisturbed: &Path, rounds: &[Round]) -> Result<Vec<Verification>, Failure> {
        let first_bad = rounds.iter().find(|round| round.ending.is_bad());
        let difference =
            first_bad.map(|round| format!("run {} ({}): {}", round.number, round.kind.name(), round.ending));
        let is_kill = |round: &&Round| round.kind.kills() && round.ending != Ending::NotInjected;
        let kills = rounds.iter().filter(is_kill).count() as u32;
        let store = Store::open_existing(undisturbed, None).await?;
        let mut verdicts = vec![];
        for (planned, precision) in self.subject.trainings() {
            let attempts = store.attempts(planned.id).await?;
            let last = attempts.last();
            let in_cell = |cell: &&PlannedCell| cell.jobs.iter().any(|(id, _)| *id == planned.id);
            let cell = self.subject.session.plan.cells.iter().find(in_cell);
            verdicts.push(Verification {
                job: planned.id,
                kind: planned.job.kind(),
                label: planned.label.clone(),
                model: cell.map_or(String::new(), |cell| cell.key.model.clone()),
                device: last.and_then(|attempt| attempt.device.clone()).unwrap_or_default(),
                precision,
                threads: last.and_then(|attempt| attempt.threads).unwrap_or_default(),
                kills,
                seed: self.seed,
                difference: difference.clone(),
                version: last.and_then(|attempt| attempt.version.clone()).unwrap_or_default(),
            });
        }
        store.close().await;
        Ok(verdicts)
    }

    /// Records the verdicts.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn record(&self, folder: &RunsFolder, report: &ChaosReport) -> Result<(), Failure> {
        let store = folder.open().await?;
        store.record_verifications(&report.verifications, now()).await?;
        store.close().await;
        Ok(())
    }

    /// Removes all runs.
    pub fn clean_up(&self) {
        remove(&self.scratch);
    }
}

/// Removes the scratch folder, and the folder of all verifications if no other one is running.
fn remove(scratch: &Path) {
    // A leftover folder does no harm.
    let _ = fs::remove_dir_all(scratch);
    let _ = fs::remove_dir(scratch.parent().unwrap_or(scratch));
}
