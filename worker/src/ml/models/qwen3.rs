//! The Qwen3 family: LLaMA with normalized queries and keys, as in Dehghani et al. 2023 (Yang et al. 2025).

use super::decoder::Family;
use super::llama::{self, Llama, Variant};

/// The Qwen3 family.
pub(super) const FAMILY: Family = Family {
    build: |config, weights| {
        let variant = Variant { qkv_bias: false, head_norms: true };
        Ok(Box::new(Llama::new(config, variant, weights)?))
    },
    ..llama::FAMILY
};
