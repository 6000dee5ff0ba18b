//! Decoder-only language models: one file for each architecture family, and what families share.
//!
//! A family is a file like `llama.rs`: the forward pass ([`decoder::Decoder`]), the names of its tensors in Hugging Face
//! files, and a constant `FAMILY` with its other facts. `families.rs` lists the families in an exhaustive `match`.

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
