//! How far a training has come.

use serde::{Deserialize, Serialize};

use super::validation::ValidationHistory;
use crate::ml::objectives::MetricSums;

/// The state of a training between two steps, besides weights and optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps taken; also the number of the next step, from 0.
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Words trained on.
    pub words: u64,
    /// Sum of the mean losses of the steps since the last full report.
    pub window_loss: f64,
    /// The number of steps in that sum.
    pub window_steps: u64,
    /// The sums of the numbers beside the loss over these steps.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub window_metrics: MetricSums,
    /// The log-probability of good replies before the first step, for objectives that report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_logprob: Option<f64>,
    /// The same at the last validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_logprob: Option<f64>,
    /// The validations so far.
    #[serde(rename = "selection")]
    pub validations: ValidationHistory,
}

fn is_empty(sums: &MetricSums) -> bool {
    *sums == MetricSums::default()
}
