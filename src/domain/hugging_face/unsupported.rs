//! The error for files and models that are not supported.

/// The error for a file or model that is not supported; the message continues a sentence that begins with the file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsupported(pub String);
