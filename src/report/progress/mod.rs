//! The live progress of a run: bars on a terminal, lines elsewhere.
//!
//! Purpose: whoever waits sees what is done, what runs, how well it goes, and how long it will take.
//!
//! Invariant: what is shown is a pure function of `state::State`, which is folded from the news, and of the time
//! elapsed; and showing it cannot fail: errors of the terminal are ignored, as the news are on disk by then.
//!
//! Rejected: a thread that draws at its own pace from shared state. It would need a lock and an order of shutting
//! down, to say what the news of the workers, several a second, say anyway.

mod bars;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod transfers;

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use indicatif::ProgressDrawTarget;

use crate::domain::{JobId, JobKind, JobUpdate};
use bars::Bars;
use state::State;
pub use transfers::Transfers;

/// After so long without a line comes one that says how far the whole grid is.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A job that the run will see through.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Identity.
    pub id: JobId,
    /// What people call it, its kind aside.
    pub label: String,
    /// Kind.
    pub kind: JobKind,
    /// Expected cost, in any unit that the jobs of the run share.
    pub weight: f64,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not at all.
    Silent,
    /// As bars on the terminal that is standard error, below a line per finished job.
    Bars,
    /// As a line per finished job.
    Lines,
}

/// Shows what happens.
pub struct Progress {
    state: State,
    start: Instant,
    view: View,
}

enum View {
    Silent,
    Bars(Bars),
    Lines(Lines),
}

impl Progress {
    /// Shows the progress of these jobs from now on.
    ///
    /// Lines go to `out`; so they do where bars are wanted of a terminal that cannot draw them.
    pub fn new(planned: &[Planned], mode: Mode, out: Box<dyn Write + Send>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let state = State::new(planned, now);
        let view = match mode {
            Mode::Silent => View::Silent,
            Mode::Bars => {
                Bars::new(&state, ProgressDrawTarget::stderr()).map_or_else(|| View::Lines(Lines::new(out)), View::Bars)
            }
            Mode::Lines => View::Lines(Lines::new(out)),
        };
        Self { state, start: Instant::now(), view }
    }

    /// Shows what this changes. News of jobs that were not planned are ignored.
    pub fn update(&mut self, news: &JobUpdate) {
        self.state.fold(news);
        let elapsed = self.start.elapsed();
        match &mut self.view {
            View::Silent => {}
            View::Bars(bars) => bars.show(&self.state, news, elapsed),
            View::Lines(lines) => lines.show(&self.state, news, elapsed),
        }
    }

    /// Takes the bars away; the lines stay.
    pub fn finish(&mut self) {
        if let View::Bars(bars) = &mut self.view {
            bars.clear();
        }
    }
}

/// Lines on a stream.
struct Lines {
    out: Box<dyn Write + Send>,
    /// When the last line was written.
    last: Duration,
}

impl Lines {
    fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, last: Duration::ZERO }
    }

    fn show(&mut self, state: &State, news: &JobUpdate, elapsed: Duration) {
        let due = elapsed.saturating_sub(self.last) >= HEARTBEAT;
        let heartbeat = || due.then(|| text::heartbeat(state, elapsed));
        let Some(mut line) = text::line(state, news).or_else(heartbeat) else { return };
        line.push('\n');
        let _ = self.out.write_all(line.as_bytes());
        self.last = elapsed;
    }
}
