//! At most one coordinator per runs folder.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::error::RunError;

/// The exclusive right to coordinate the jobs of a runs folder, until it is dropped or the process dies.
#[derive(Debug)]
pub struct RunsLock {
    _file: File,
}

impl RunsLock {
    /// Locks `<runs>/.lock`, and creates the folder if it is missing.
    ///
    /// # Errors
    /// [`RunError::Locked`] with the process that holds the lock; [`RunError::File`] if the filesystem refuses.
    pub fn acquire(runs: &Path) -> Result<Self, RunError> {
        let path = runs.join(".lock");
        let fail = |source| RunError::File { path: path.clone(), source };
        fs::create_dir_all(runs).map_err(fail)?;
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The message is useful even if the name of the holder cannot be read.
                let _ = file.read_to_string(&mut holder);
                return Err(RunError::Locked { holder: holder.trim().to_owned(), path });
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "process {} on {host}", std::process::id()))
            .map_err(fail)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_coordinator_is_told_which_process_holds_the_lock() {
        let runs = tempfile::tempdir().unwrap();
        let first = RunsLock::acquire(&runs.path().join("runs")).unwrap();
        let error = RunsLock::acquire(&runs.path().join("runs")).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {} on ", std::process::id())), "{error}");
        drop(first);
        RunsLock::acquire(&runs.path().join("runs")).unwrap();
    }
}
