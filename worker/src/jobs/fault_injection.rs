//! Fault injection: a worker that kills itself at random, as a power failure would.

use std::time::Duration;

use grid::domain::{FaultInjection, JobId};
use rustix::process::{Signal, getpid, kill_process};

/// The approximate number of checkpoints between two kills.
const CHECKPOINTS_PER_KILL: u64 = 4;

/// The longest delay of a kill, in microseconds. A step and its checkpoint take a few milliseconds in the small models that
/// faults are injected into.
const LONGEST_DELAY: u64 = 8_000;

/// When one attempt at a training job is killed, if at all.
pub(super) struct KillSchedule {
    kill: Option<Kill>,
    /// Steps between checkpoints.
    checkpoint_every: Option<u64>,
    triggered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kill {
    /// The number of steps taken before it.
    step: u64,
    delay: Duration,
}

impl KillSchedule {
    /// Draws the step at which an attempt is killed, out of those from `from` to `total`. `earlier` is the number of
    /// earlier attempts. The step is the first of as many as there are kills left, which spreads the kills evenly.
    pub(super) fn draw(faults: Option<FaultInjection>, job: JobId, earlier: usize, from: u64, total: u64) -> Self {
        let Some(FaultInjection { kills, seed, .. }) = faults.filter(|faults| faults.kills > 0) else {
            return Self { kill: None, checkpoint_every: None, triggered: false };
        };
        let number = |what: u64| {
            let hash = blake3::hash(format!("{seed} {job} {earlier} {what}").as_bytes());
            u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap_or(&[0; 8]))
        };
        let left = u64::from(kills).saturating_sub(earlier as u64);
        let step = (0..left).filter_map(|kill| number(kill).checked_rem(total.saturating_sub(from))).min();
        let delay = Duration::from_micros(number(left) % LONGEST_DELAY);
        Self {
            kill: step.map(|step| Kill { step: from + step, delay }),
            checkpoint_every: Some((total / (CHECKPOINTS_PER_KILL * (u64::from(kills) + 1))).max(1)),
            triggered: false,
        }
    }

    /// Whether a checkpoint is due after this number of steps.
    pub(super) fn checkpoint_is_due(&self, step: u64) -> bool {
        self.checkpoint_every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Must be called before each step. If this is the step of the kill, another thread kills the process after a delay,
    /// wherever the training is by then.
    pub(super) fn apply(&mut self, step: u64) {
        if let Some(Kill { delay, .. }) = self.kill.filter(|kill| kill.step == step) {
            self.triggered = true;
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                kill_process(getpid(), Signal::KILL)
            });
        }
    }

    /// Keeps an attempt whose kill is underway from ending before it.
    pub(super) fn wait(&self) {
        if self.triggered {
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
    fn attempts_are_killed_within_their_own_steps() {
        let job: JobId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let faults = FaultInjection { kills: 3, seed: 5, ..FaultInjection::default() };
        let step_of = |seed, earlier, from| {
            KillSchedule::draw(Some(FaultInjection { seed, ..faults }), job, earlier, from, 60)
                .kill
                .map(|kill| kill.step)
        };
        assert_eq!(step_of(5, 3, 0), None);
        assert_eq!(step_of(5, 0, 60), None, "no step is left to kill at");
        let steps: Vec<u64> = (0..50).filter_map(|seed| step_of(seed, 2, 40)).collect();
        assert!(steps.len() == 50 && steps.iter().all(|step| (40..60).contains(step)), "{steps:?}");
        assert_eq!(KillSchedule::draw(None, job, 0, 0, 60).kill, None);
        let schedule = KillSchedule::draw(Some(faults), job, 0, 0, 60);
        assert_eq!(
            (0..20).filter(|step| schedule.checkpoint_is_due(*step)).collect::<Vec<_>>(),
            [0, 3, 6, 9, 12, 15, 18]
        );
    }
}
