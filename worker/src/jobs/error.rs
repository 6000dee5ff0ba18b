//! Errors of the modules that jobs use, as errors of jobs.

use grid::data::DataError;
use grid::scoring::{ItemsError, RequestError};
use grid::suites::SuiteError;

use crate::attempt::JobError;
use crate::ml;

impl From<DataError> for JobError {
    fn from(error: DataError) -> Self {
        JobError::failed(error)
    }
}

impl From<ItemsError> for JobError {
    fn from(error: ItemsError) -> Self {
        match error {
            ItemsError::Data(error) => error.into(),
            other => JobError::failed(other),
        }
    }
}

impl From<RequestError> for JobError {
    fn from(error: RequestError) -> Self {
        JobError::failed(error)
    }
}

impl From<SuiteError> for JobError {
    fn from(error: SuiteError) -> Self {
        JobError::failed(error)
    }
}

impl From<ml::Error> for JobError {
    fn from(error: ml::Error) -> Self {
        if error.is_out_of_memory() {
            return JobError::out_of_memory(error);
        }
        match error {
            ml::Error::NonFinite { .. } => JobError::non_finite(error),
            _ => JobError::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use grid::domain::FailureKind;

    use super::*;

    /// The variant decides, not the text.
    #[test]
    fn a_lack_of_memory_is_recognized_by_its_type() {
        let failure = |error: ml::Error| match JobError::from(error) {
            JobError::Failed { failure, .. } => failure,
            other => panic!("the job did not fail: {other}"),
        };
        assert_eq!(failure(ml::Error::OutOfMemory("12 GiB".into())), FailureKind::OutOfMemory);
        let path = std::path::Path::new("out of memory.txt");
        assert_eq!(failure(ml::Error::file(path, "bad_alloc")), FailureKind::Job);
        let kernel = ml::Error::io(path)(std::io::ErrorKind::OutOfMemory.into());
        assert_eq!(failure(kernel), FailureKind::OutOfMemory);
    }
}
