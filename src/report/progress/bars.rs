//! Progress as bars on a terminal.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::state::{JobPhase, JobProgress, RunState};
use super::text;
use crate::domain::{JobId, JobUpdate};
use crate::report::human;

/// The length of the bar of the whole run.
const OVERALL_LENGTH: u64 = 1_000;
/// The interval between two frames of a spinner.
const TICK: Duration = Duration::from_millis(200);
/// The template for the whole run, and for a job whose total is known.
const MEASURED: &str = "{spinner} {prefix}  {bar:20.cyan} {percent:>3}%  {time:>6}  {wide_msg}";
/// The template for a job whose total is not known.
const UNMEASURED: &str = "{spinner} {prefix}  {time:>33}  {wide_msg}";

/// A bar for the whole run, and below it one for each running job.
pub(super) struct Bars {
    screen: MultiProgress,
    overall: ProgressBar,
    running: HashMap<JobId, ProgressBar>,
}

impl Bars {
    /// Draws the bar of the whole run.
    pub(super) fn new(state: &RunState, target: ProgressDrawTarget) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let overall = screen.add(ProgressBar::new(OVERALL_LENGTH).with_style(style(MEASURED)));
        overall.set_prefix(text::overall_name(state));
        overall.enable_steady_tick(TICK);
        Self { screen, overall, running: HashMap::new() }
    }

    /// Shows an update that was already applied to the state.
    pub(super) fn show(&mut self, state: &RunState, update: &JobUpdate, elapsed: Duration) {
        let Some(job) = state.job(&update.job) else { return };
        self.overall.set_position((state.share() * OVERALL_LENGTH as f64) as u64);
        self.overall.set_message(text::overall(state, elapsed));
        if job.phase == JobPhase::Running {
            let bar = self.running.entry(update.job).or_insert_with(|| start(&self.screen, state, job));
            if job.total > 0 && bar.length() != Some(job.total) {
                bar.set_length(job.total);
                bar.set_style(style(MEASURED));
            }
            bar.set_position(job.done);
            bar.set_message(text::running(job));
        } else if let Some(bar) = self.running.remove(&update.job) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        if let Some(line) = text::update_line(state, update) {
            let _ = self.screen.println(line);
        }
    }

    /// Removes all bars.
    pub(super) fn clear(&mut self) {
        for (_, bar) in self.running.drain() {
            bar.finish_and_clear();
        }
        self.overall.finish_and_clear();
    }
}

fn start(screen: &MultiProgress, state: &RunState, job: &JobProgress) -> ProgressBar {
    let bar = screen.add(ProgressBar::no_length().with_style(style(UNMEASURED)));
    bar.set_prefix(text::short_name(state, job));
    bar.enable_steady_tick(TICK);
    bar
}

fn style(template: &str) -> ProgressStyle {
    let time = |state: &ProgressState, text: &mut dyn Write| {
        let _ = text.write_str(&human::duration(state.elapsed()));
    };
    ProgressStyle::with_template(template).expect("a constant template").progress_chars("━╸╌").with_key("time", time)
}
