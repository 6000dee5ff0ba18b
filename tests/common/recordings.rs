//! Real data, and recorded results of other programs, which are not part of the repository.
//!
//! The unit tests of both packages include this file by its path.

use std::io::Write;
use std::path::PathBuf;

/// A file or folder under `$GRID_SHARED`; `None` where the variable is not set, which [`skip`] reports.
///
/// # Panics
/// Where `GRID_SHARED` is set and the file is missing: a recording that should be there must not pass for a skipped one.
pub fn recording(path: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("GRID_SHARED") else {
        skip("GRID_SHARED is not set");
        return None;
    };
    let path = PathBuf::from(root).join(path);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

/// Reports the running test as skipped on standard error, past the capture of test output. `.ci/run` counts these lines.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    writeln!(std::io::stderr(), "skipped: {}: {reason}", thread.name().unwrap_or("a test")).expect("stderr is open");
}
