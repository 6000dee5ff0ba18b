//! The workloads that `grid bench` sends to a worker, and the measurements that come back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::model::ModelConfig;
use super::sampling::SamplingOptions;
use super::training::Precision;

/// Training steps on a batch of synthetic token ids, the same batch at every step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workload {
    /// The model; its initial weights come from seed 1.
    pub model: ModelConfig,
    /// Rows per batch.
    pub batch_size: u32,
    /// Predicted tokens per row.
    pub sequence_length: u32,
    /// What is trained.
    #[serde(default)]
    pub objective: BenchObjective,
    /// Arithmetic of the forward and backward passes.
    pub precision: Precision,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Where to write the initial weights as a Hugging Face model folder, so that another program can start from them.
    pub initial: Option<PathBuf>,
}

/// The objective of a benchmark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchObjective {
    /// The cross entropy of every token.
    #[default]
    Sft,
    /// Direct preference optimization: of two rows, the first is the chosen reply and the second the rejected one.
    Dpo,
}

impl Workload {
    /// Layers, width, precision, and the objective unless it is the usual one: `4x256 f32`.
    pub fn label(&self) -> String {
        let objective = match self.objective {
            BenchObjective::Sft => "",
            BenchObjective::Dpo => " dpo",
        };
        format!("{}x{} {}{objective}", self.model.layers, self.model.hidden, self.precision.name())
    }

    /// Predicted tokens per step.
    pub fn tokens(&self) -> u64 {
        u64::from(self.batch_size) * u64::from(self.sequence_length)
    }
}

/// Replies to synthetic prompts, the same in every round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationWorkload {
    /// The model.
    pub model: BenchModel,
    /// The number of prompts.
    pub prompts: u32,
    /// Tokens of each prompt.
    pub prompt_length: u32,
    /// New tokens of each reply, which no stop token ends.
    pub new_tokens: u32,
    /// See [`SamplingOptions::temperature`].
    pub temperature: f64,
    /// See [`SamplingOptions::top_p`].
    pub top_p: f64,
    /// Arithmetic of the forward passes.
    pub precision: Precision,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Where to write the model as a Hugging Face model folder, so that another program can read it.
    pub initial: Option<PathBuf>,
}

/// The model of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchModel {
    /// One of this shape; its weights come from seed 1.
    Random(ModelConfig),
    /// A Hugging Face model folder.
    Folder(PathBuf),
}

impl GenerationWorkload {
    /// How replies are chosen.
    pub fn options(&self) -> SamplingOptions {
        let Self { temperature, top_p, .. } = *self;
        SamplingOptions { temperature, top_p, ..SamplingOptions::greedy(self.new_tokens, vec![]) }
    }
}

/// Measurements of one or more repetitions of a generation workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationRound {
    /// New tokens.
    pub units: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// The first ids of each reply, at most 16 of them.
    pub ids: Vec<u32>,
    /// Peak memory; see [`BenchRound::peak_bytes`].
    pub peak_bytes: u64,
}

/// The measurements of a generation workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationResult {
    /// The workload.
    pub workload: GenerationWorkload,
    /// The environment of the worker.
    pub ready: WorkerReady,
    /// The rounds after the warm-up round.
    pub rounds: Vec<GenerationRound>,
}

impl GenerationResult {
    /// New tokens per second, the median over the rounds.
    pub fn tokens_per_second(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.units as f64 / round.seconds).collect())
    }

    /// Peak memory over all rounds, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.rounds.iter().map(|round| round.peak_bytes).max().unwrap_or(0)
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        odd if !odd.is_multiple_of(2) => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

/// What a worker reports before the first round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReady {
    /// Version of libtorch.
    pub libtorch: String,
    /// Intra-op threads.
    pub threads: u32,
    /// Floating-point operations per second of one large matrix product in the workload's arithmetic.
    pub matmul_flops: f64,
}

/// Measurements of several consecutive steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchRound {
    /// Predicted tokens.
    pub units: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Mean loss of each step.
    pub losses: Vec<f64>,
    /// Peak memory: on a CPU the resident memory in this round, on a GPU the allocated memory since the start.
    pub peak_bytes: u64,
    /// Time by phase, if it was requested.
    pub phases: Option<Phases>,
}

/// Seconds of a round by phase; the remainder is the overhead of the training loop.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Phases {
    /// Waiting for the next batch.
    pub data: f64,
    /// Forward pass of the transformer blocks.
    pub forward: f64,
    /// Forward and backward pass of the output layer and the loss.
    pub head: f64,
    /// Backward pass of the transformer blocks.
    pub backward: f64,
    /// Gradient norm, clipping and update.
    pub optimizer: f64,
}

/// The measurements of a workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchResult {
    /// The workload.
    pub workload: Workload,
    /// The environment of the worker.
    pub ready: WorkerReady,
    /// The rounds after the warm-up round.
    pub rounds: Vec<BenchRound>,
    /// One further round, with its time by phase.
    pub profiled: BenchRound,
}

impl BenchResult {
    /// Predicted tokens per second, the median over the rounds.
    pub fn tokens_per_second(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.units as f64 / round.seconds).collect())
    }

    /// Floating-point operations per predicted token; see [`ModelConfig::train_flops_per_token`].
    pub fn flops_per_token(&self) -> f64 {
        self.workload.model.train_flops_per_token(self.workload.sequence_length)
    }

    /// Model FLOPs utilization: the share of the measured matrix-product speed that training reaches.
    pub fn utilization(&self) -> f64 {
        self.tokens_per_second() * self.flops_per_token() / self.ready.matmul_flops
    }

    /// Peak memory over all rounds, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.rounds.iter().map(|round| round.peak_bytes).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::arch::Arch;
    use super::*;

    #[test]
    fn the_speed_is_the_median_and_utilization_is_relative_to_the_matrix_product() {
        let model = ModelConfig {
            arch: Arch::Llama,
            vocab_size: 8_192,
            max_positions: 256,
            hidden: 256,
            layers: 4,
            heads: 4,
            kv_heads: 4,
            head_dim: 64,
            intermediate: 704,
            rope_base: 10_000.0,
            rope_scaling: None,
            norm_eps: 1e-6,
            tied: false,
            init_std: 0.02,
        };
        let workload = Workload {
            objective: BenchObjective::Sft,
            model,
            batch_size: 16,
            sequence_length: 256,
            precision: Precision::F32,
            device: "cpu".into(),
            initial: None,
        };
        let round =
            |seconds| BenchRound { units: 4_096, seconds, losses: vec![9.0], peak_bytes: seconds as u64, phases: None };
        let ready = WorkerReady { libtorch: "2.11.0".into(), threads: 2, matmul_flops: 200e9 };
        let rounds = [4.0, 1.0, 2.0, 2.0].map(round).to_vec();
        let speed = BenchResult { workload, ready, rounds, profiled: round(1.0) };
        assert_eq!(speed.tokens_per_second(), 2_048.0);
        // 6 × (4 blocks of 4·256² + 3·256·704, norms of 9·256, the head) and 6·4·256·256 for attention.
        let weights = 4 * (4 * 256 * 256 + 3 * 256 * 704) + 9 * 256 + 8_192 * 256;
        let flops = f64::from(6 * weights + 6 * 4 * 256 * 256);
        assert_eq!(speed.flops_per_token(), flops);
        assert_eq!(speed.utilization(), 2_048.0 * flops / 200e9);
        assert_eq!(speed.peak_bytes(), 4);
        assert_eq!(speed.workload.label(), "4x256 f32");
    }
}
