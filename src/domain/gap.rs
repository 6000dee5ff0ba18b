//! What models lack to be submitted to the BabyLM challenge.

use std::fmt;

/// Something that a model lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What is missing or unusable: a suite, a checkpoint or a job.
    pub subject: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Gap {
    /// A gap with these texts.
    pub fn new(subject: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { subject: subject.into(), reason: reason.into() }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

/// Everything that one model lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelGaps {
    /// The name of the model.
    pub model: String,
    /// The gaps; empty if the submission of the model is complete.
    pub gaps: Vec<Gap>,
}
