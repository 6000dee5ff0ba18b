//! The worker program and how it is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::RunError;
use crate::domain::openmp;

/// The worker program, with the log filter that its processes use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerProgram {
    path: PathBuf,
    log_filter: String,
}

impl WorkerProgram {
    /// Finds the program: `GRID_WORKER`, or `grid-worker` beside this program. Its processes get `log_filter` as
    /// `GRID_LOG`.
    ///
    /// # Errors
    /// [`RunError::NoWorker`] if there is no such file.
    pub fn find(log_filter: &str) -> Result<Self, RunError> {
        let path = match std::env::var_os("GRID_WORKER") {
            Some(path) => PathBuf::from(path),
            None => {
                let program = std::env::current_exe();
                let program = program.map_err(|source| RunError::File { path: "/proc/self/exe".into(), source })?;
                program.with_file_name("grid-worker")
            }
        };
        if path.is_file() { Ok(Self::new(path, log_filter)) } else { Err(RunError::NoWorker(path)) }
    }

    /// A program at this path, which is not checked.
    pub(super) fn new(path: PathBuf, log_filter: &str) -> Self {
        Self { path, log_filter: log_filter.to_owned() }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The environment of a worker with this many threads. libtorch sizes its thread pool before the worker could ask
    /// for another size, hence `OMP_NUM_THREADS`.
    ///
    /// A setting of the user for how its threads wait stays.
    pub(super) fn environment(&self, threads: u32) -> Vec<(&'static str, String)> {
        let mut variables = vec![("OMP_NUM_THREADS", threads.to_string()), ("GRID_LOG", self.log_filter.clone())];
        let waiting = [openmp::SPIN_COUNT, openmp::WAIT_POLICY];
        if waiting.iter().all(|(name, _)| std::env::var_os(name).is_none()) {
            variables.extend(waiting.map(|(name, value)| (name, value.to_owned())));
        }
        variables
    }

    /// The arguments that tell a worker its device and threads.
    pub(super) fn arguments(device: &str, threads: u32) -> [String; 4] {
        ["--device".to_owned(), device.to_owned(), "--threads".to_owned(), threads.to_string()]
    }

    /// A command that starts a worker; `first` are arguments that come before those for the device and threads.
    pub(super) fn command(&self, first: &[String], device: &str, threads: u32) -> Command {
        let mut command = Command::new(&self.path);
        without_secrets(&mut command);
        command.args(first).args(Self::arguments(device, threads)).envs(self.environment(threads));
        command
    }
}

/// Removes tokens, keys and passwords from the environment of a command. Jobs read files only, so they need none, and what
/// a job can read, other programs of its machine may read as well.
pub(super) fn without_secrets(command: &mut Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_secret(&name.to_string_lossy())) {
        command.env_remove(name);
    }
}

/// Whether the value of an environment variable of this name is a secret, such as `HF_TOKEN`.
fn is_secret(name: &str) -> bool {
    ["TOKEN", "KEY", "SECRET", "PASSWORD"].contains(&name.rsplit('_').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognized_by_the_end_of_their_names() {
        for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "TOKEN"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["HF_TOKEN_PATH", "PATH", "LD_LIBRARY_PATH", "TOKENIZERS_PARALLELISM", "MONKEY"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
