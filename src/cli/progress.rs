//! Progress on standard error.

use std::io::IsTerminal;

use super::global::Global;
use crate::domain::News;
use crate::report::progress::{Mode, Planned, Progress};
use crate::session::{JobToRun, Observer};

/// Shows the progress of jobs.
pub struct ShownProgress {
    mode: Mode,
    progress: Option<Progress>,
}

impl ShownProgress {
    /// Shows progress from the next start of jobs on.
    pub fn new(global: &Global) -> Self {
        Self { mode: mode(global), progress: None }
    }
}

impl Observer for ShownProgress {
    fn start(&mut self, jobs: &[JobToRun]) {
        let planned =
            |job: &JobToRun| Planned { id: job.id, label: job.label.clone(), kind: job.kind, weight: job.weight };
        let planned: Vec<Planned> = jobs.iter().map(planned).collect();
        self.progress = Some(Progress::new(&planned, self.mode, Box::new(std::io::stderr())));
    }

    fn update(&mut self, update: &News) {
        if let Some(progress) = &mut self.progress {
            progress.update(update);
        }
    }

    fn finish(&mut self) {
        if let Some(mut progress) = self.progress.take() {
            progress.finish();
        }
    }

    fn stopping(&self) -> fn(&str) {
        |text| eprintln!("grid: {text}")
    }
}

/// How progress is shown: as bars on a terminal, as lines elsewhere, and not at all with `--quiet`.
pub fn mode(global: &Global) -> Mode {
    match (global.quiet, std::io::stderr().is_terminal()) {
        (true, _) => Mode::Silent,
        (false, true) => Mode::Bars,
        (false, false) => Mode::Lines,
    }
}
