//! What can go wrong between a file, a tensor and a device.

use std::path::{Path, PathBuf};

use tch::TchError;

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device or the machine has no memory left for this step.
    #[error("out of memory (a smaller micro-batch needs less): {0}")]
    OutOfMemory(String),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(String),
    /// The libtorch that was loaded is not the one this program was built for.
    #[error(
        "libtorch {found} was loaded, but this program is made for {wanted}: run `make libtorch`, or let \
         LD_LIBRARY_PATH name the lib folder of torch {wanted}"
    )]
    Version {
        /// What was found.
        found: String,
        /// What is needed.
        wanted: &'static str,
    },
    /// A device that does not exist here or is not spelt right.
    #[error("device '{name}': {reason}")]
    Device {
        /// As given.
        name: String,
        /// Why not.
        reason: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file that is there but is not what it should be.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Input that no model could work on.
    #[error("{0}")]
    Input(String),
    /// Loss or gradient norm became infinite or not a number.
    #[error(
        "{what} is {value} at step {step}, whose batch is {places}; {} (a lower learning rate, a longer warm-up or a \
         smaller clip_norm may help)",
        match checkpoint {
            Some(path) => format!("the last good checkpoint is {}", path.display()),
            None => "there is no checkpoint before it".to_owned(),
        }
    )]
    NonFinite {
        /// `the loss` or `the gradient norm`.
        what: &'static str,
        /// `NaN` or `inf`.
        value: f64,
        /// The first step with such a number, from 1, as in the metrics.
        step: u64,
        /// Where the rows of its batch stand in their files.
        places: String,
        /// Where to go on from.
        checkpoint: Option<PathBuf>,
    },
}

impl Error {
    /// Wraps an operating system error with the path it is about.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// A defect of a file.
    pub fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), reason: reason.into() }
    }

    /// Whether memory ran out, so that smaller pieces may succeed.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Self::OutOfMemory(_))
    }
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        let text = error.to_string();
        // The first line says what; the rest is a C++ stack trace.
        let message = text.lines().next().unwrap_or_default().to_owned();
        let lack = ["out of memory", "can't allocate memory", "DefaultCPUAllocator"];
        if lack.iter().any(|words| text.contains(words)) { Self::OutOfMemory(message) } else { Self::Torch(message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn memory_that_cannot_be_had_is_told_apart() {
        let huge = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).map_err(Error::from);
        assert!(huge.unwrap_err().is_out_of_memory());
        let wrong = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        assert!(!Error::from(wrong.f_matmul(&wrong).unwrap_err()).is_out_of_memory());
    }

    #[test]
    fn a_non_finite_loss_names_the_step_its_data_and_the_way_back() {
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
