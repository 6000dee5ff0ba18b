//! What the training loop reports.

/// A step that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Steps taken so far.
    pub step: u64,
    /// Steps of the whole training.
    pub total: u64,
    /// Tokens trained on so far.
    pub tokens: u64,
    /// Words trained on so far.
    pub words: u64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Numbers read from the device. Most steps read none, because reading waits for the device.
    pub measured: Option<Measurements>,
}

/// Numbers read from the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurements {
    /// Mean of the losses of the steps since the last full report, in nats per term of the objective.
    pub loss: f64,
    /// The objective's further numbers over the same steps, by name.
    pub metrics: Vec<(&'static str, f64)>,
    /// Gradient norm of this step before clipping.
    pub gradient_norm: f64,
    /// Tokens per second since the last reading; not reproducible.
    pub tokens_per_second: f64,
    /// Whether this is a full report. Full reports come at the same steps and with the same numbers in every run,
    /// interrupted or not. The others come about once a second, for people who watch.
    pub full: bool,
}

/// The loss on held-out examples.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationResult {
    /// Mean loss in nats per term of the objective.
    pub loss: f64,
    /// The objective's further numbers on the same examples, by name.
    pub metrics: Vec<(&'static str, f64)>,
    /// Whether the loss is the lowest so far.
    pub best: bool,
}
