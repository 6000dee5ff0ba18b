//! Progress on standard error.

use super::global::Global;
use super::stream::{StandardError, is_capable_terminal};
use crate::domain::JobUpdate;
use crate::report::progress::{PlannedJob, Progress, ProgressMode};
use crate::session::{JobToRun, Observer};

/// Shows the progress of jobs.
pub(super) struct ShownProgress {
    mode: ProgressMode,
    progress: Option<Progress>,
}

impl ShownProgress {
    /// Shows progress from the next start of jobs on.
    pub(super) fn new(global: &Global) -> Self {
        Self { mode: mode(global), progress: None }
    }
}

impl Observer for ShownProgress {
    fn start(&mut self, jobs: &[JobToRun]) {
        let planned =
            |job: &JobToRun| PlannedJob { id: job.id, label: job.label.clone(), kind: job.kind, weight: job.weight };
        let planned: Vec<PlannedJob> = jobs.iter().map(planned).collect();
        self.progress = Some(Progress::new(&planned, self.mode, Box::new(StandardError)));
    }

    fn update(&mut self, update: &JobUpdate) {
        if let Some(progress) = &mut self.progress {
            progress.update(update);
        }
    }

    fn finish(&mut self) {
        if let Some(mut progress) = self.progress.take() {
            progress.finish();
        }
    }

    fn announce(&self) -> fn(&str) {
        |text| eprintln!("grid: {text}")
    }
}

/// How progress is shown: as bars on a terminal, as lines elsewhere, and not at all with `--quiet`.
pub(super) fn mode(global: &Global) -> ProgressMode {
    match (global.quiet, is_capable_terminal()) {
        (true, _) => ProgressMode::Silent,
        (false, true) => ProgressMode::Bars,
        (false, false) => ProgressMode::Lines,
    }
}
