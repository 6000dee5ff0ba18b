//! Model architectures and their exact parameter counts.

use serde::{Deserialize, Serialize};
use strum::{EnumCount, IntoStaticStr, VariantArray};

use super::variants::all;

/// An architecture of decoder-only transformers.
///
/// A new architecture is a variant here, with its defaults and its number of parameters, its `config.json` in
/// [`super::hugging_face`], and its implementation in the worker; the compiler names all places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumCount, VariantArray, IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Arch {
    /// RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases.
    Llama,
    /// LayerNorm, learned positions, GELU (tanh form), biases, tied embeddings.
    Gpt2,
}

impl Arch {
    /// All architectures that the worker implements.
    pub const ALL: [Arch; Arch::COUNT] = all(Arch::VARIANTS);

    /// The name used in specs, tables, the database, and as `model_type` in a `config.json`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The defaults of the keys of a shape, which are those of Hugging Face's configuration except where CLASS-IT's table 1
    /// fixes them, and what the architecture supports.
    pub fn properties(self) -> ArchProperties {
        match self {
            // `LlamaConfig`; untied embeddings by CLASS-IT.
            Arch::Llama => ArchProperties {
                max_positions: 2_048,
                norm_eps: 1e-6,
                tied: false,
                positions: Positions::Rotary,
                grouped_heads: true,
            },
            // `GPT2Config`.
            Arch::Gpt2 => ArchProperties {
                max_positions: 1_024,
                norm_eps: 1e-5,
                tied: true,
                positions: Positions::Learned,
                grouped_heads: false,
            },
        }
    }
}

/// The properties of an architecture that the keys of a shape depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArchProperties {
    /// The default of [`ModelConfig::max_positions`].
    pub max_positions: u32,
    /// The default of [`ModelConfig::norm_eps`].
    pub norm_eps: f64,
    /// The default of [`ModelConfig::tied`].
    pub tied: bool,
    /// How positions are encoded.
    pub positions: Positions,
    /// Whether several heads may share one key/value head.
    pub grouped_heads: bool,
}

/// How an architecture encodes positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// By rotations of queries and keys, without parameters.
    Rotary,
    /// By an embedding of each position.
    Learned,
}

/// Everything about a model except its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The architecture of the blocks.
    pub arch: Arch,
    /// The number of token embeddings.
    pub vocab_size: u32,
    /// The longest sequence that the model supports, in tokens.
    pub max_positions: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// The number of transformer blocks.
    pub layers: u32,
    /// The number of query heads per block.
    pub heads: u32,
    /// The number of key/value heads; it divides `heads`.
    pub kv_heads: u32,
    /// Width of one head.
    pub head_dim: u32,
    /// Hidden width of the feed-forward layer.
    pub intermediate: u32,
    /// Base of the rotary frequencies (llama).
    pub rope_base: f64,
    /// Epsilon of the normalization layers.
    pub norm_eps: f64,
    /// Whether the output layer shares the embedding's weights.
    pub tied: bool,
    /// Standard deviation of the initial weights.
    pub init_std: f64,
}

impl ModelConfig {
    /// The exact number of trainable parameters.
    pub fn parameters(&self) -> u64 {
        let [v, h, l, i] = [self.vocab_size, self.hidden, self.layers, self.intermediate].map(u64::from);
        let q = u64::from(self.heads) * u64::from(self.head_dim);
        let kv = u64::from(self.kv_heads) * u64::from(self.head_dim);
        let embeddings = v * h * if self.tied { 1 } else { 2 };
        match self.arch {
            // q, k, v, o; gate, up, down; two norms; the final norm.
            Arch::Llama => embeddings + l * (h * (q + 2 * kv) + q * h + 3 * h * i + 2 * h) + h,
            // The same with biases; two linear layers; LayerNorms of 2h; learned positions.
            Arch::Gpt2 => {
                let attention = h * (q + 2 * kv) + (q + 2 * kv) + q * h + h;
                embeddings + u64::from(self.max_positions) * h + l * (attention + 2 * h * i + i + h + 4 * h) + 2 * h
            }
        }
    }

    /// Floating-point operations of one training token at this sequence length: 6 for each weight that takes part in a
    /// matrix product, plus 12·layers·(heads·head_dim)·length for attention, halved because it is causal (Chowdhery et al.
    /// 2022, appendix B).
    pub fn train_flops_per_token(&self, sequence_length: u32) -> f64 {
        let position_embeddings = match self.arch.properties().positions {
            Positions::Rotary => 0,
            Positions::Learned => u64::from(self.max_positions),
        };
        let lookups =
            u64::from(self.hidden) * (position_embeddings + u64::from(self.vocab_size) * u64::from(!self.tied));
        let weights = (self.parameters() - lookups) as f64;
        let width = f64::from(self.heads) * f64::from(self.head_dim);
        6.0 * weights + 6.0 * f64::from(self.layers) * width * f64::from(sequence_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class_it(vocab_size: u32, max_positions: u32, hidden: u32, heads: u32, layers: u32) -> ModelConfig {
        ModelConfig {
            arch: Arch::Llama,
            vocab_size,
            max_positions,
            hidden,
            layers,
            heads,
            kv_heads: heads,
            head_dim: 64,
            intermediate: 4 * hidden,
            rope_base: 10_000.0,
            norm_eps: 1e-6,
            tied: false,
            init_std: 0.02,
        }
    }

    /// CLASS-IT, table 1.
    #[test]
    fn the_papers_parameter_counts() {
        assert_eq!(class_it(32_000, 6_144, 704, 11, 12).parameters(), 140_231_872);
        assert_eq!(class_it(16_384, 6_000, 512, 8, 20).parameters(), 100_684_288);
    }

    /// The published size of GPT-2 small.
    #[test]
    fn gpt2_small_has_124_million() {
        let config = ModelConfig {
            arch: Arch::Gpt2,
            tied: true,
            intermediate: 3_072,
            norm_eps: 1e-5,
            ..class_it(50_257, 1_024, 768, 12, 12)
        };
        assert_eq!(config.parameters(), 124_439_808);
    }
}
