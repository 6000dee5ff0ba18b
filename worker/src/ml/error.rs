//! The errors of this module.

use std::path::{Path, PathBuf};

use tch::TchError;

/// Why an operation on tensors, devices or files of tensors failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device or the machine has too little memory left.
    #[error("out of memory (a smaller micro-batch needs less): {0}")]
    OutOfMemory(String),
    /// libtorch reported an error.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The libtorch that was loaded is not the one that this program was built for.
    #[error(
        "libtorch {found} was loaded, but this program was built for {wanted}: run `make libtorch`, or set \
         LD_LIBRARY_PATH to the lib folder of torch {wanted}"
    )]
    Version {
        /// The version that was loaded.
        found: String,
        /// The version that is needed.
        wanted: &'static str,
    },
    /// A device that does not exist on this machine, or whose name cannot be read.
    #[error("device '{name}': {reason}")]
    Device {
        /// The name as given.
        name: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The operating system reported an error.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error.
        source: std::io::Error,
    },
    /// A file exists but its content cannot be used.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The examples of a step cannot be read.
    #[error("failed to {0}")]
    Examples(String),
    /// Input that no model can process.
    #[error("{0}")]
    Input(String),
    /// The loss or the gradient norm became infinite or not a number.
    #[error(
        "{what} is {value} at step {step}, whose batch is {places}; {} (a lower learning rate, a longer warm-up or a \
         smaller clip_norm may help)",
        match checkpoint {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "there is no checkpoint before it".to_owned(),
        }
    )]
    NonFinite {
        /// `the loss`, `the gradient norm` or `the held-out loss`.
        what: &'static str,
        /// `NaN` or `inf`.
        value: f64,
        /// The first step with such a number, from 1, as in the metrics.
        step: u64,
        /// Where the examples of its batch are in their files.
        places: String,
        /// The checkpoint to continue from.
        checkpoint: Option<PathBuf>,
    },
}

impl Error {
    /// Wraps an error of the operating system together with the path that it concerns.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// A file whose content cannot be used.
    pub fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), reason: reason.into() }
    }

    /// Whether memory ran out, so that a smaller micro-batch may succeed.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory(_) => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::OutOfMemory,
            _ => false,
        }
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        let text = error.to_string();
        // The first line is the message; the rest is a C++ stack trace.
        let message = text.lines().next().unwrap_or_default().to_owned();
        // tch passes on the text of a C++ exception, not its type.
        let signs = ["out of memory", "can't allocate memory", "DefaultCPUAllocator", "bad_alloc"];
        if signs.iter().any(|sign| text.contains(sign)) { Self::OutOfMemory(message) } else { Self::Torch(message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn an_allocation_failure_is_out_of_memory() {
        let huge = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).map_err(Error::from);
        assert!(huge.unwrap_err().is_out_of_memory());
        let wrong = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        assert!(!Error::from(wrong.f_matmul(&wrong).unwrap_err()).is_out_of_memory());
    }

    #[test]
    fn a_non_finite_loss_names_the_step_its_data_and_the_last_checkpoint() {
        let error = Error::NonFinite {
            what: "the loss",
            value: f64::NAN,
            step: 39,
            places: "windows 7, 3 of p/train.bin".to_owned(),
            checkpoint: Some("a/checkpoint-0000000020".into()),
        };
        assert_eq!(
            error.to_string(),
            "the loss is NaN at step 39, whose batch is windows 7, 3 of p/train.bin; the last good checkpoint is \
             a/checkpoint-0000000020 (a lower learning rate, a longer warm-up or a smaller clip_norm may help)"
        );
    }
}
