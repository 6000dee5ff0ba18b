//! Bars on a terminal.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::state::{JobState, Stand, State};
use super::text;
use crate::domain::{JobId, JobUpdate};
use crate::report::human;

/// Steps of the bar of the whole grid.
const FINENESS: u64 = 1_000;
/// Between two turns of a spinner.
const TICK: Duration = Duration::from_millis(200);
/// The look of the grid, and of a job that says how far it is.
const MEASURED: &str = "{spinner} {prefix}  {bar:20.cyan} {percent:>3}%  {time:>6}  {wide_msg}";
/// The look of a job that does not say.
const UNMEASURED: &str = "{spinner} {prefix}  {time:>33}  {wide_msg}";

/// A bar for the whole grid, and one for each running job below.
pub(super) struct Bars {
    screen: MultiProgress,
    whole: ProgressBar,
    running: HashMap<JobId, ProgressBar>,
}

impl Bars {
    /// `None` if nothing can be drawn there.
    pub fn new(state: &State, target: ProgressDrawTarget) -> Option<Self> {
        if target.is_hidden() {
            return None;
        }
        let screen = MultiProgress::with_draw_target(target);
        let whole = screen.add(ProgressBar::new(FINENESS).with_style(style(MEASURED)));
        whole.set_prefix(text::whole_name(state));
        whole.enable_steady_tick(TICK);
        Some(Self { screen, whole, running: HashMap::new() })
    }

    /// Draws what the news change, once they are folded into the state.
    pub fn show(&mut self, state: &State, news: &JobUpdate, elapsed: Duration) {
        let Some(job) = state.job(&news.job) else { return };
        self.whole.set_position((state.share() * FINENESS as f64) as u64);
        self.whole.set_message(text::whole(state, elapsed));
        if job.stand == Stand::Running {
            let bar = self.running.entry(news.job).or_insert_with(|| start(&self.screen, state, job));
            if job.total > 0 && bar.length() != Some(job.total) {
                bar.set_length(job.total);
                bar.set_style(style(MEASURED));
            }
            bar.set_position(job.done);
            bar.set_message(text::running(job));
        } else if let Some(bar) = self.running.remove(&news.job) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        if let Some(line) = text::line(state, news) {
            let _ = self.screen.println(line);
        }
    }

    /// Takes all bars away.
    pub fn clear(&mut self) {
        for (_, bar) in self.running.drain() {
            bar.finish_and_clear();
        }
        self.whole.finish_and_clear();
    }
}

fn start(screen: &MultiProgress, state: &State, job: &JobState) -> ProgressBar {
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
