//! How progress is shown.

use std::time::Duration;

/// After this long without a line, a line reports the progress of the whole run.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(60);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressMode {
    /// Nothing is shown.
    Silent,
    /// Bars on the terminal that is standard error, below a line per finished job.
    Bars,
    /// A line per finished job.
    Lines,
}
