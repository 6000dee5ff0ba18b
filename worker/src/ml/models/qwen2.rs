//! The Qwen2 family: LLaMA with biases of queries, keys and values (Yang et al. 2024).

use super::decoder::Family;
use super::llama::{self, Llama, Variant};

/// The Qwen2 family.
pub(super) const FAMILY: Family = Family {
    build: |config, weights| {
        let variant = Variant { qkv_bias: true, head_norms: false };
        Ok(Box::new(Llama::new(config, variant, weights)?))
    },
    ..llama::FAMILY
};
