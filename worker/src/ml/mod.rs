//! All of tch: models, optimiser, training loop, scoring, checkpoints, Hugging Face folders, the C++ shim.
//!
//! ```text
//!   finetune ── classifier ── model
//!   train ── loss ── model { llama, gpt2 { ops, attention } } ── weights ── shim ── cpp/{shim, fused, kernels}
//!     │  └── optimizer ──────────────────────────────┘
//!     ├── batch                 score { pack } ── model
//!     ├── selection
//!     └── checkpoint ── kept ── tensors ── hf  runtime: the process around it all
//!   bench ── train, phases: how fast all of this is
//! ```
//!
//! Purpose: numbers that equal PyTorch's, as fast as libtorch gives them.
//!
//! Invariant: every result is a function of its arguments: no random state is kept between two calls, the weights
//! of step *n* follow from those of step *n - 1* and the batch of step *n*. That is what makes resuming exact.
//!
//! Rejected: `tch::nn` (its `VarStore` adopts a file's precision silently, its optimisers hide their state and wait
//! for the device at every clipping) and a trait per layer (two model families, one file each, and one `match`).

mod attention;
pub mod batch;
pub mod bench;
pub mod checkpoint;
pub mod classifier;
pub mod error;
pub mod finetune;
pub mod gpt2;
pub mod hf;
pub mod kept;
pub mod llama;
pub mod loss;
pub mod model;
mod ops;
pub mod optimizer;
mod phases;
pub mod runtime;
pub mod score;
pub mod selection;
mod shim;
pub mod tensors;
pub mod train;
pub mod weights;

pub use batch::{Batch, Batches, Row};
pub use checkpoint::{Checkpoint, Latest, Saved};
pub use classifier::Classifier;
pub use error::Error;
pub use finetune::{Finetuner, Input};
pub use kept::Kept;
pub use model::Model;
pub use optimizer::Decay;
pub use score::{Scorer, Scoring, Sequence};
pub use train::{Look, Measured, Options, StepReport, Trainer};
