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

/// The largest sizes of a model. They keep every product of them within 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLimits {
    /// The most token embeddings.
    pub vocab_size: u32,
    /// The most positions.
    pub max_positions: u32,
    /// The largest width of the residual stream.
    pub hidden: u32,
    /// The most transformer blocks.
    pub layers: u32,
    /// The most heads of a block.
    pub heads: u32,
    /// The largest width of one head.
    pub head_dim: u32,
    /// The largest hidden width of the feed-forward layer.
    pub intermediate: u32,
}

/// The limits of every model, whether a spec describes it or a file.
pub const LARGEST_MODEL: ModelLimits = ModelLimits {
    vocab_size: 4_194_304,
    max_positions: 1_048_576,
    hidden: 65_536,
    layers: 1_024,
    heads: 1_024,
    head_dim: 4_096,
    intermediate: 1_048_576,
};

impl ModelConfig {
    /// Checks the sizes of a configuration that comes from a file.
    ///
    /// # Errors
    /// The first size that no model has, or that does not fit the others, as the end of a sentence about the file.
    pub fn check_sizes(&self) -> Result<(), String> {
        let most = LARGEST_MODEL;
        let sizes = [
            ("size of the vocabulary", self.vocab_size, most.vocab_size),
            ("number of positions", self.max_positions, most.max_positions),
            ("hidden size", self.hidden, most.hidden),
            ("number of layers", self.layers, most.layers),
            ("number of heads", self.heads, most.heads),
            ("number of key/value heads", self.kv_heads, most.heads),
            ("width of a head", self.head_dim, most.head_dim),
            ("width of the feed-forward layers", self.intermediate, most.intermediate),
        ];
        if let Some((name, size, most)) = sizes.into_iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            return Err(format!("has {size} as the {name}; grid computes models with 1 to {most}"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let (heads, kv_heads) = (self.heads, self.kv_heads);
            return Err(format!("has {kv_heads} key/value heads, which do not divide the {heads} heads"));
        }
        if self.arch.properties().positions == Positions::Rotary && !self.head_dim.is_multiple_of(2) {
            return Err(format!("has an odd width of a head, {}, which rotary positions cannot rotate", self.head_dim));
        }
        let numbers = [("base of the rotary positions", self.rope_base), ("epsilon of the norms", self.norm_eps)];
        match numbers.into_iter().find(|(_, number)| !number.is_finite() || *number <= 0.0) {
            Some((name, number)) => Err(format!("has {number} as the {name}, which must be above 0")),
            None => Ok(()),
        }
    }

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

    #[test]
    fn sizes_that_no_model_has_are_refused() {
        let model = class_it(32_000, 6_144, 704, 11, 12);
        assert_eq!(model.check_sizes(), Ok(()));
        type Change = fn(&mut ModelConfig);
        let changes: [(Change, &str); 9] = [
            (
                |model| model.hidden = u32::MAX,
                "has 4294967295 as the hidden size; grid computes models with 1 to 65536",
            ),
            (|model| model.layers = 0, "has 0 as the number of layers"),
            (|model| model.heads = 0, "has 0 as the number of heads"),
            (|model| model.kv_heads = 0, "has 0 as the number of key/value heads"),
            (|model| model.kv_heads = 3, "has 3 key/value heads, which do not divide the 11 heads"),
            (|model| model.head_dim = 63, "has an odd width of a head, 63"),
            (|model| model.vocab_size = 4_194_305, "has 4194305 as the size of the vocabulary"),
            (|model| model.rope_base = 0.0, "has 0 as the base of the rotary positions"),
            (|model| model.norm_eps = f64::NAN, "has NaN as the epsilon of the norms"),
        ];
        for (change, message) in changes {
            let mut other = model.clone();
            change(&mut other);
            let refusal = other.check_sizes().unwrap_err();
            assert!(refusal.starts_with(message), "{refusal}");
        }
        let largest = ModelConfig {
            vocab_size: LARGEST_MODEL.vocab_size,
            max_positions: LARGEST_MODEL.max_positions,
            hidden: LARGEST_MODEL.hidden,
            layers: LARGEST_MODEL.layers,
            heads: LARGEST_MODEL.heads,
            kv_heads: LARGEST_MODEL.heads,
            head_dim: LARGEST_MODEL.head_dim,
            intermediate: LARGEST_MODEL.intermediate,
            ..model
        };
        assert_eq!(largest.check_sizes(), Ok(()));
        for arch in Arch::ALL {
            let model = ModelConfig { arch, ..largest.clone() };
            assert!(model.parameters() > 1 << 49, "computed without overflow");
            assert!(model.train_flops_per_token(LARGEST_MODEL.max_positions).is_finite());
        }
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
