//! Everything that uses tch: models, objectives, optimizers, the training loop, scoring, files of tensors, the C++ shim.
//!
//! ```text
//! bench ............. measures training speed; bench_generation: that of generation
//! training .......... Trainer<O>: one optimizer step at a time, for any objective
//! objectives ........ what a step minimizes: language_modeling, classification
//! batching .......... batches of a step, grouping by length, preparation on another thread
//! scoring ........... log-probabilities of token sequences
//! embeddings ........ texts as vectors
//! generation ........ replies to prompts, greedy or sampled
//! files ............. safetensors, model folders (Hugging Face), checkpoints, kept output files
//! optimizers ........ adamw
//! models ............ llama, gpt2, their shared layers, the classifier head
//! weights ........... the trainable tensors and their names
//! shim -> cpp/ ...... C++ functions that the Rust binding lacks, and fused CPU kernels
//! runtime ........... the process: allocator, threads, devices, version of libtorch
//! waiting ........... how long threads spin, depending on the load of the machine
//! phases, error ..... a stopwatch for the parts of a step; the error type
//! ```
//!
//! A module uses only modules that stand below it.
//!
//! Purpose: numbers that equal PyTorch's, at the speed of libtorch.
//!
//! Invariant: every result is a function of its arguments. No random state is kept between two calls; the weights of
//! step *n* follow from those of step *n - 1* and the batch of step *n*. This makes resuming exact.
//!
//! Rejected: `tch::nn`, because its `VarStore` silently adopts the precision of a file, and its optimizers hide their
//! state and wait for the device whenever they clip. Also a trait for each layer: a model family is one file that reads
//! from top to bottom.

pub mod batching;
pub mod bench;
pub mod bench_generation;
pub mod embeddings;
pub mod error;
pub mod files;
#[cfg(test)]
mod fixtures;
pub mod generation;
pub mod models;
pub mod objectives;
pub mod optimizers;
mod phases;
pub mod runtime;
pub mod scoring;
mod shim;
pub mod training;
mod waiting;
pub mod weights;

pub use batching::{Batch, Batches};
pub use error::Error;
pub use files::{Checkpoint, LatestCheckpoint, OutputFiles, SavedCheckpoint, checkpoint, model_folder};
pub use generation::{Prompt, SampledReply, Sampler, Sampling, Unsamplable};
pub use models::{Classifier, Model};
pub use objectives::{
    BatchLimits, Classification, ClassifierDropout, Distillation, LabelledReplies, LabelledReply, LabelledSequence,
    LanguageModeling, Objective, PairObjective, Preference, PreferencePair, Purpose, Reply, TrainingSequence,
    reply_logprobs,
};
pub use optimizers::Decay;
pub use scoring::{Masking, Scorer, Scoring, Unscorable};
pub use training::{Measurements, Options, Progress, StepReport, Trainer, ValidationResult};
