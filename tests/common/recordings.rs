//! Real data and recorded results of other programs, which are not part of the repository.
//!
//! The unit tests of both packages include this file by its path.

use std::io::Write;
use std::path::PathBuf;

/// A file or folder under `$GRID_SHARED`. If the variable is not set, reports the test as skipped and returns `None`.
///
/// # Panics
/// If `GRID_SHARED` is set but the file is missing, because a missing recording must not look like a skipped test.
pub(crate) fn recording(path: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("GRID_SHARED") else {
        skip("GRID_SHARED is not set");
        return None;
    };
    let path = PathBuf::from(root).join(path);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

/// Reports the running test as skipped, directly on standard error, which libtest does not capture. `.ci/run` counts
/// these lines.
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    writeln!(std::io::stderr(), "skipped: {}: {reason}", thread.name().unwrap_or("a test")).expect("stderr is open");
}
