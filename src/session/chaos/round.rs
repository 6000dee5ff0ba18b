//! One disturbed run: a fault, and `grid resume` until it ends or refuses.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::watch;

use super::coordinator::{Coordinator, End, Waited};
use super::damage::{Damage, Remedy};
use super::ending::Ending;
use super::fault::{Fault, FaultKind};
use super::scene::{PublishedWork, Scene, panic_in, signal_group};
use super::subject::{Baseline, Subject, interrupted};
use super::unsynced;
use crate::runner::Stop;
use crate::session::failure::{Exit, Failure};
use crate::store::Store;

/// The most commands after a fault.
const MOST_COMMANDS: u32 = 5;

/// How often the files of a run are looked at while it waits for the moment of a fault.
const POLL: Duration = Duration::from_millis(10);

/// A run that is disturbed.
pub(super) struct Disturbed<'a> {
    pub subject: &'a Subject,
    pub baseline: &'a Baseline,
    pub fault: Fault,
    /// The runs folder of this run alone.
    pub runs: &'a Path,
    pub stop: &'a watch::Receiver<Stop>,
}

/// What is left to do after a fault was injected.
struct Injected {
    detail: String,
    /// The coordinator, if it is still alive.
    coordinator: Option<Coordinator>,
    remedy: Option<Remedy>,
    /// A limit on the size of files for the next command, in blocks of 512 bytes.
    quota: Option<u64>,
    /// Stopped workers, and after which time they go on.
    asleep: Option<(Vec<u32>, Duration)>,
    /// The work that must not be done again.
    published: Option<PublishedWork>,
}

/// What became of the wait for the moment of a fault.
enum Moment {
    Come,
    Missed,
    TimedOut,
}

impl Disturbed<'_> {
    /// Runs, injects the fault and resumes; returns what was done and how it ended. If the fault finds no target at its
    /// moment or later, the run is repeated, and the fault comes with the first target.
    ///
    /// # Errors
    /// An interrupt of the user, files that cannot be read or written, processes that cannot be started or killed.
    pub(super) async fn play(&self) -> Result<(String, Ending), Failure> {
        let scene = self.subject.scene(self.runs);
        for moment in [(self.baseline.lines * self.fault.moment / 100).max(1), 1] {
            let _ = fs::remove_dir_all(self.runs);
            fs::create_dir_all(self.runs).map_err(|error| Failure::path(self.runs, &error))?;
            let mut coordinator = self.start(self.subject.run_arguments(self.runs), None, 0)?;
            match self.wait_for_moment(&scene, &mut coordinator, moment).await? {
                Moment::Come => {}
                Moment::Missed => continue,
                Moment::TimedOut => {
                    self.end_all(&scene, Some(coordinator)).await?;
                    return Ok(("before the fault".to_owned(), Ending::Hung));
                }
            }
            let lines = scene.journal_lines();
            let Some(mut injected) = self.inject(&scene, coordinator).await? else {
                self.end_all(&scene, None).await?;
                continue;
            };
            let detail = format!("at journal line {lines} of {}: {}", self.baseline.lines, injected.detail);
            let ending = self.recover(&scene, &mut injected).await;
            self.end_all(&scene, injected.coordinator.take()).await?;
            if let Some(remedy) = injected.remedy.take()
                && self.fault.kind == FaultKind::FlippedSource
            {
                self.apply(remedy)?;
            }
            return Ok((detail, ending?));
        }
        Ok((String::new(), Ending::NotInjected))
    }

    /// The longest that a command may take.
    fn limit(&self) -> Duration {
        Duration::from_secs(30) + self.baseline.took * 10
    }

    fn start(&self, arguments: Vec<String>, quota: Option<u64>, number: u32) -> Result<Coordinator, Failure> {
        let messages = self.runs.join(format!("messages-{number}.txt"));
        let started = Coordinator::start(&arguments, quota, &messages);
        started.map_err(|error| Failure::text(Exit::Environment, format!("grid: failed to start itself: {error}")))
    }

    fn apply(&self, remedy: Remedy) -> Result<(), Failure> {
        remedy.apply().map_err(|error| Failure::path(self.runs, &error))
    }

    /// Waits until the run is as far as the fault demands and its target exists.
    async fn wait_for_moment(
        &self,
        scene: &Scene,
        coordinator: &mut Coordinator,
        lines: u64,
    ) -> Result<Moment, Failure> {
        let deadline = Instant::now() + self.limit();
        loop {
            if *self.stop.borrow() != Stop::No {
                coordinator.kill();
                scene.kill_workers().await;
                return Err(interrupted(self.runs));
            }
            // Asked first: a run that ends after this question may still be disturbed at its end.
            let has_ended = coordinator.end().is_some();
            if has_ended {
                return Ok(Moment::Missed);
            }
            if scene.journal_lines() >= lines && self.has_target(scene) {
                return Ok(Moment::Come);
            }
            if Instant::now() > deadline {
                return Ok(Moment::TimedOut);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn has_target(&self, scene: &Scene) -> bool {
        match self.fault.kind {
            FaultKind::KilledCoordinator
            | FaultKind::PowerFailure
            | FaultKind::StoppedCoordinator
            | FaultKind::FullDisk
            | FaultKind::LockedDatabase => true,
            FaultKind::KilledWorker | FaultKind::StoppedWorker => !scene.workers().is_empty(),
            FaultKind::TornJournal
            | FaultKind::TornDatabase
            | FaultKind::FlippedCheckpoint
            | FaultKind::FlippedPosition
            | FaultKind::FlippedWeights
            | FaultKind::FlippedConfig
            | FaultKind::FlippedTokenizer
            | FaultKind::FlippedTokens
            | FaultKind::FlippedCounts
            | FaultKind::FlippedResults
            | FaultKind::FlippedSource
            | FaultKind::FlippedCache
            | FaultKind::DeletedFolder
            | FaultKind::DeletedDatabase => self.damage(scene).is_some(),
        }
    }

    fn damage(&self, scene: &Scene) -> Option<Damage> {
        Damage::choose(&self.fault, scene, self.subject.source.as_deref())
    }

    /// Injects the fault; `None` if its target is gone by now.
    async fn inject(&self, scene: &Scene, mut coordinator: Coordinator) -> Result<Option<Injected>, Failure> {
        let pause = Duration::from_millis(500 + self.fault.below(3_000, 4));
        let mut injected = Injected {
            detail: String::new(),
            coordinator: None,
            remedy: None,
            quota: None,
            asleep: None,
            published: None,
        };
        let workers = scene.workers();
        let worker = workers.get(self.fault.below(workers.len() as u64, 1) as usize).copied();
        match (self.fault.kind, worker) {
            (FaultKind::KilledCoordinator, _) => {
                coordinator.kill();
                injected.detail = "SIGKILL of the coordinator".to_owned();
            }
            (FaultKind::StoppedCoordinator, _) => {
                coordinator.signal(Signal::STOP);
                tokio::time::sleep(pause).await;
                coordinator.signal(Signal::CONT);
                injected.detail = format!("the coordinator was stopped for {} ms", pause.as_millis());
                injected.coordinator = Some(coordinator);
            }
            (FaultKind::KilledWorker | FaultKind::StoppedWorker, None) => {
                coordinator.kill();
                return Ok(None);
            }
            (FaultKind::KilledWorker, Some(pid)) => {
                signal_group(pid, Signal::KILL);
                injected.detail = format!("SIGKILL of one of {} workers", workers.len());
                injected.coordinator = Some(coordinator);
            }
            (FaultKind::StoppedWorker, Some(pid)) => {
                signal_group(pid, Signal::STOP);
                injected.asleep = Some((vec![pid], pause));
                let replaced = self.fault.below(2, 5) == 0;
                if replaced {
                    coordinator.kill();
                } else {
                    injected.coordinator = Some(coordinator);
                }
                let also = if replaced { ", and the coordinator was killed meanwhile" } else { "" };
                injected.detail = format!("a worker was stopped for {} ms{also}", pause.as_millis());
            }
            (FaultKind::LockedDatabase, _) => {
                let Ok(store) = Store::open_existing(self.runs, None).await else {
                    coordinator.kill();
                    return Ok(None);
                };
                let held = Duration::from_millis(500 + self.fault.below(8_000, 4));
                let lock = store.lock_for_writing().await;
                if lock.is_ok() {
                    tokio::time::sleep(held).await;
                }
                let was_locked = lock.map(drop).is_ok();
                store.close().await;
                if !was_locked {
                    coordinator.kill();
                    return Ok(None);
                }
                injected.detail = format!("runs.db was locked for {} ms", held.as_millis());
                injected.coordinator = Some(coordinator);
            }
            (FaultKind::PowerFailure, _) => {
                self.end_all(scene, Some(coordinator)).await?;
                injected.published = Some(scene.published());
                let lost = unsynced::lose(self.runs).map_err(|error| Failure::path(self.runs, &error))?;
                let lost = lost.map_or(String::new(), |files| format!("; {files} files lose what was not on disk"));
                injected.detail = format!("SIGKILL of the coordinator and all workers{lost}");
            }
            (FaultKind::FullDisk, _) => {
                self.end_all(scene, Some(coordinator)).await?;
                let blocks = 2 << self.fault.below(11, 4);
                injected.quota = Some(blocks);
                injected.detail = format!("SIGKILL of all; after that, no file can grow beyond {} bytes", blocks * 512);
            }
            (kind, _) => {
                // Source data may also change while jobs run; other files have only one writer.
                let live = kind == FaultKind::FlippedSource && self.fault.below(2, 5) == 0;
                if live {
                    injected.coordinator = Some(coordinator);
                } else {
                    self.end_all(scene, Some(coordinator)).await?;
                }
                let Some(damage) = self.damage(scene) else { return Ok(None) };
                let inflicted = damage.inflict(kind).map_err(|error| Failure::path(self.runs, &error))?;
                injected.remedy = Some(inflicted);
                let when = if live { "while it runs" } else { "after SIGKILL of all" };
                injected.detail = format!("{when}, {}", damage.describe(self.runs));
            }
        }
        Ok(Some(injected))
    }

    /// Resumes until the run is done or refuses even after the remedy, and compares the results.
    async fn recover(&self, scene: &Scene, injected: &mut Injected) -> Result<Ending, Failure> {
        let mut refusal: Option<String> = None;
        let mut arguments = Subject::resume_arguments(self.runs);
        for number in 1..=MOST_COMMANDS {
            let mut coordinator = match injected.coordinator.take() {
                Some(alive) => alive,
                None => self.start(arguments.clone(), injected.quota.take(), number)?,
            };
            if let Some((asleep, pause)) = injected.asleep.take() {
                tokio::time::sleep(pause).await;
                asleep.into_iter().for_each(|pid| signal_group(pid, Signal::CONT));
            }
            let waited = coordinator.wait(self.limit(), self.stop).await;
            let end = match waited {
                Waited::Ended(end) => end,
                Waited::TimedOut => {
                    injected.coordinator = Some(coordinator);
                    return Ok(Ending::Hung);
                }
                Waited::Interrupted => {
                    injected.coordinator = Some(coordinator);
                    return Err(interrupted(self.runs));
                }
            };
            if let Some(crash) = crash(&end).or_else(|| scene.panic()) {
                return Ok(Ending::Panicked(crash));
            }
            let source_is_damaged = self.fault.kind == FaultKind::FlippedSource && injected.remedy.is_some();
            match end.code {
                // With other source data there are other jobs, which nobody can mistake for those of the plan.
                Some(0) if source_is_damaged && !self.subject.has_same_plan(self.runs).await => {}
                Some(0) => {
                    if let Some(repeated) = injected.published.take().and_then(|work| scene.repeated(&work)) {
                        return Ok(Ending::LostWork(repeated));
                    }
                    let results = self.subject.results(self.runs).await?;
                    return Ok(match (self.subject.difference(&self.baseline.results, &results), refusal) {
                        (Some(difference), _) => Ending::Different(difference),
                        (None, Some(refusal)) => Ending::Refused(refusal),
                        (None, None) => Ending::Recovered,
                    });
                }
                code => {
                    let Some(message) = explanation(&end.messages) else {
                        let code = code.unwrap_or_default();
                        return Ok(Ending::NotRecovered(format!("exit code {code} without a message")));
                    };
                    refusal.get_or_insert(message);
                    arguments = match code {
                        Some(code) if code == Exit::NothingMatches as i32 => self.subject.run_arguments(self.runs),
                        _ => Subject::resume_arguments(self.runs),
                    };
                }
            }
            if let Some(remedy) = injected.remedy.take() {
                self.apply(remedy)?;
            }
        }
        Ok(Ending::NotRecovered(refusal.unwrap_or_else(|| "the run does not end".to_owned())))
    }

    /// Kills the coordinator and all workers.
    async fn end_all(&self, scene: &Scene, coordinator: Option<Coordinator>) -> Result<(), Failure> {
        drop(coordinator);
        match scene.kill_workers().await {
            true => Ok(()),
            false => {
                let message = format!("grid: workers of {} could not be killed", self.runs.display());
                Err(Failure::text(Exit::Environment, message))
            }
        }
    }
}

/// How a process crashed, if it did.
fn crash(end: &End) -> Option<String> {
    let panic = panic_in(&end.messages);
    let signal = end.signal.map(|signal| format!("the coordinator was ended by signal {signal}"));
    panic.or(signal).or_else(|| (end.code == Some(101)).then(|| "exit code 101".to_owned()))
}

/// The line of the messages that says why a command refused; `None` if it said nothing.
fn explanation(messages: &str) -> Option<String> {
    let lines = || messages.lines().filter(|line| !line.trim().is_empty());
    let first = lines().find(|line| line.starts_with("grid: ") || line.starts_with("failed: "));
    first.or_else(|| lines().next_back()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_explains_a_refusal_is_found_and_crashes_are_told_apart() {
        let messages = "chaos: 9 jobs to run\nfailed: tune x (1): damaged\n  help: remove it\n";
        assert_eq!(explanation(messages).as_deref(), Some("failed: tune x (1): damaged"));
        assert_eq!(explanation("a\nlast\n\n").as_deref(), Some("last"));
        assert_eq!(explanation(" \n"), None);
        let end = |code, signal, messages: &str| End { code, signal, messages: messages.to_owned() };
        assert_eq!(crash(&end(Some(2), None, messages)), None);
        assert_eq!(crash(&end(Some(101), None, "")).as_deref(), Some("exit code 101"));
        assert_eq!(crash(&end(None, Some(11), "")).as_deref(), Some("the coordinator was ended by signal 11"));
        let panic = "thread 'main' panicked at src/x.rs:1";
        assert_eq!(crash(&end(Some(101), None, panic)).as_deref(), Some(panic));
    }
}
