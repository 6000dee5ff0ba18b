//! Decoder-only language models: one file for each architecture family, and what families share.
//!
//! To add a family, write a file like `llama.rs`: its forward pass (`decoder::Decoder`), the names of its tensors in
//! Hugging Face files, and a constant `FAMILY` with its other facts. The exhaustive `match` in `families.rs` then needs an
//! arm for it.

mod angles;
mod attention;
mod bert;
mod cache;
mod classifier;
mod context;
mod decoder;
mod dropout;
mod families;
mod gpt2;
mod gpt_neox;
mod layers;
mod llama;
mod ltg_bert;
mod mistral;
mod model;
mod opt;
mod qwen2;
mod qwen3;
mod relative;
mod rotary;
mod steps;

pub use cache::Cache;
pub use classifier::{Classifier, ClassifierInput, GroupMember, InputGroup, PaddedInputs, Reading};
pub use context::{MASKED, Padding, PrefixTree};
pub use decoder::Family;
pub use dropout::{DropoutMasks, DropoutRow};
pub use families::family;
pub use model::{BodyInputs, Model};
