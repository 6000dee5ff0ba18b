//! Decoder-only language models: one file for each architecture family, and what families share.
//!
//! To add a family, write a file like `llama.rs`: its forward pass (`decoder::Decoder`), the names of its tensors in
//! Hugging Face files, and a constant `FAMILY` with its other facts. The exhaustive `match` in `families.rs` then needs an
//! arm for it.

mod attention;
mod classifier;
mod decoder;
mod families;
mod gpt2;
mod layers;
mod llama;
mod model;

pub use attention::PrefixTree;
pub use classifier::{Classifier, InputGroup, PaddedInputs};
pub use decoder::{Family, HEAD};
pub use families::family;
pub use model::Model;
