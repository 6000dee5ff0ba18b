//! One coordinator per runs folder.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::RunError;

/// The right to coordinate the jobs of a runs folder, until dropped (or the process dies).
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes `<runs>/.lock`, making the folder if need be.
    ///
    /// # Errors
    /// [`RunError::Locked`], saying by whom; [`RunError::File`] if the file system refuses.
    pub fn acquire(runs: &Path) -> Result<Self, RunError> {
        let path = runs.join(".lock");
        let fail = |source| RunError::File { path: path.clone(), source };
        fs::create_dir_all(runs).map_err(fail)?;
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a courtesy; that it is held is the message.
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
    fn the_second_coordinator_learns_who_the_first_is() {
        let runs = tempfile::tempdir().unwrap();
        let first = Lock::acquire(&runs.path().join("runs")).unwrap();
        let error = Lock::acquire(&runs.path().join("runs")).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {} on ", std::process::id())), "{error}");
        drop(first);
        Lock::acquire(&runs.path().join("runs")).unwrap();
    }
}
