//! Progress on standard error.

use std::io::IsTerminal;

use super::global::Global;
use crate::data::download::Coming;
use crate::domain::News;
use crate::report::progress::{Mode, Planned, Progress, Transfers};
use crate::session::{Fetched, JobToRun, Observer};

/// Shows the progress of jobs.
pub struct ShownProgress {
    mode: Mode,
    progress: Option<Progress>,
}

impl ShownProgress {
    /// Shows bars on a terminal, lines elsewhere, and nothing with `--quiet`.
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

/// The progress of transfers.
pub fn transfers(global: &Global) -> Transfers {
    Transfers::new(mode(global), Box::new(std::io::stderr()))
}

/// Shows a step of a download.
pub fn show_transfer(transfers: &mut Transfers, coming: Coming) {
    match coming {
        Coming::Waiting(place) => transfers.line(&format!("waiting for another grid that is fetching {place}")),
        Coming::Bytes(place, path, done, total) => transfers.bytes(&format!("{place} {path}"), done, total),
        Coming::Whole(place, path, bytes) => transfers.whole(&format!("{place} {path}"), bytes),
        Coming::Unpacking(place, archive) => transfers.line(&format!("unpacking {place} {archive}")),
    }
}

/// Names the lock file, if it was written.
pub fn print_locked(global: &Global, fetched: &Fetched) {
    if let (Some(path), false) = (&fetched.locked, global.quiet) {
        eprintln!("locked in {}", path.display());
    }
}

fn mode(global: &Global) -> Mode {
    match (global.quiet, std::io::stderr().is_terminal()) {
        (true, _) => Mode::Silent,
        (false, true) => Mode::Bars,
        (false, false) => Mode::Lines,
    }
}
