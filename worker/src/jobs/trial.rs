//! Faults on request: a worker that kills itself, as a power cut would.

use std::time::Duration;

use grid::domain::{FaultInjection, JobId};
use rustix::process::{Signal, getpid, kill_process};

/// How many checkpoints fall between two kills, about.
const CHECKPOINTS_PER_KILL: u64 = 4;
/// A step and its checkpoint take a few milliseconds in the small models of trials.
const LONGEST_DELAY: u64 = 8_000;

/// The kills of one attempt at a training job: one, or none.
pub(super) struct Kills {
    at: Option<(u64, Duration)>,
    every: Option<u64>,
    struck: bool,
}

impl Kills {
    /// Draws the step at which this attempt is killed from those that it has before it; `earlier` is the number of
    /// attempts before it. It is the first of as many steps as there are kills left, so that these spread evenly.
    pub(super) fn plan(trial: Option<FaultInjection>, job: JobId, earlier: usize, from: u64, total: u64) -> Self {
        let Some(FaultInjection { kills, seed, .. }) = trial.filter(|trial| trial.kills > 0) else {
            return Self { at: None, every: None, struck: false };
        };
        let number = |what: u64| {
            let hash = blake3::hash(format!("{seed} {job} {earlier} {what}").as_bytes());
            u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap_or(&[0; 8]))
        };
        let left = u64::from(kills).saturating_sub(earlier as u64);
        let step = (0..left).filter_map(|kill| number(kill).checked_rem(total.saturating_sub(from))).min();
        Self {
            at: step.map(|step| (from + step, Duration::from_micros(number(left) % LONGEST_DELAY))),
            every: Some((total / (CHECKPOINTS_PER_KILL * (u64::from(kills) + 1))).max(1)),
            struck: false,
        }
    }

    /// Whether a checkpoint is due after so many steps.
    pub(super) fn checkpoint_is_due(&self, step: u64) -> bool {
        self.every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// To be called before each step. The kill comes from another thread, wherever this one is by then.
    pub(super) fn strike(&mut self, step: u64) {
        if let Some((_, delay)) = self.at.filter(|(at, _)| *at == step) {
            self.struck = true;
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                kill_process(getpid(), Signal::KILL)
            });
        }
    }

    /// Keeps an attempt that is to be killed from ending before.
    pub(super) fn await_death(&self) {
        if self.struck {
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_attempts_are_killed_at_steps_before_them() {
        let job: JobId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let trial = FaultInjection { kills: 3, seed: 5, ..FaultInjection::default() };
        let at = |seed, earlier, from| {
            Kills::plan(Some(FaultInjection { seed, ..trial }), job, earlier, from, 60).at.map(|(step, _)| step)
        };
        assert_eq!(at(5, 3, 0), None);
        assert_eq!(at(5, 0, 60), None, "nothing is left to be killed");
        let steps: Vec<u64> = (0..50).filter_map(|seed| at(seed, 2, 40)).collect();
        assert!(steps.len() == 50 && steps.iter().all(|step| (40..60).contains(step)), "{steps:?}");
        assert_eq!(Kills::plan(None, job, 0, 0, 60).at, None);
        let kills = Kills::plan(Some(trial), job, 0, 0, 60);
        assert_eq!((0..20).filter(|step| kills.checkpoint_is_due(*step)).collect::<Vec<_>>(), [0, 3, 6, 9, 12, 15, 18]);
    }
}
