//! The live progress of a run: bars on a terminal, lines elsewhere.
//!
//! Purpose: show what is done, what is running, how the training goes, and how long the rest will take.
//!
//! Invariant: what is shown is a pure function of `state::RunState`, which is built from the updates of the jobs, and of
//! the elapsed time. Showing it cannot fail: errors of the terminal are ignored, because the updates are already
//! recorded.
//!
//! Rejected: a thread that draws at its own pace from shared state. It would need a lock and an orderly shutdown, and
//! would show no more than the updates, which arrive several times per second.

mod bars;
mod mode;
mod planned;
mod screen;
mod state;
#[cfg(test)]
mod tests;
mod text;
mod transfers;

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::JobUpdate;
use bars::Bars;
use mode::HEARTBEAT;
pub use mode::ProgressMode;
pub use planned::PlannedJob;
use state::RunState;
pub use transfers::Transfers;

/// Shows the progress of a run.
pub struct Progress {
    state: RunState,
    start: Instant,
    view: View,
}

enum View {
    Silent,
    Bars(Bars),
    Lines(Lines),
}

impl Progress {
    /// Starts showing the progress of these jobs.
    ///
    /// Lines are written to `out`, and so are bars, which need the terminal that standard error is.
    pub fn new(planned: &[PlannedJob], mode: ProgressMode, out: Box<dyn Write + Send>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let state = RunState::new(planned, now);
        let view = match mode {
            ProgressMode::Silent => View::Silent,
            ProgressMode::Bars => View::Bars(Bars::new(&state, screen::target(out))),
            ProgressMode::Lines => View::Lines(Lines::new(out)),
        };
        Self { state, start: Instant::now(), view }
    }

    /// Shows an update. Updates of jobs that are not part of the run are ignored.
    pub fn update(&mut self, update: &JobUpdate) {
        self.state.apply(update);
        let elapsed = self.start.elapsed();
        match &mut self.view {
            View::Silent => {}
            View::Bars(bars) => bars.show(&self.state, update, elapsed),
            View::Lines(lines) => lines.show(&self.state, update, elapsed),
        }
    }

    /// Removes the bars; lines stay on the screen.
    pub fn finish(&mut self) {
        if let View::Bars(bars) = &mut self.view {
            bars.clear();
        }
    }
}

/// Progress as lines on a stream.
struct Lines {
    out: Box<dyn Write + Send>,
    /// When the last line was written.
    last: Duration,
}

impl Lines {
    fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out, last: Duration::ZERO }
    }

    fn show(&mut self, state: &RunState, update: &JobUpdate, elapsed: Duration) {
        let due = elapsed.saturating_sub(self.last) >= HEARTBEAT;
        let heartbeat = || due.then(|| text::heartbeat(state, elapsed));
        let Some(mut line) = text::update_line(state, update).or_else(heartbeat) else { return };
        line.push('\n');
        let _ = self.out.write_all(line.as_bytes());
        self.last = elapsed;
    }
}
