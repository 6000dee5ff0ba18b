//! A file of the official pipeline.

/// A result file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFile {
    /// Path below the folder of a model's revision: `zero_shot/causal/blimp/blimp_filtered/predictions.json`.
    pub path: String,
    /// The text of the file.
    pub text: String,
}
