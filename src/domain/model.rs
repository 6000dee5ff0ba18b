//! Models without their weights, and their exact parameter counts.

use serde::{Deserialize, Serialize};

use super::arch::{Arch, NormPlace, Positions};
use super::rope_scaling::RopeScaling;

/// Everything about a model except its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The architecture of the blocks, with what only it has.
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
    /// Base of the rotary frequencies, if positions are rotary.
    pub rope_base: f64,
    /// How the rotary frequencies are adapted to long texts; `None` for the original ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
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
            ("width of the embeddings", self.embedding_width(), most.hidden),
        ];
        if let Some((name, size, most)) = sizes.into_iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            return Err(format!("has {size} as the {name}; grid computes models with 1 to {most}"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let (heads, kv_heads) = (self.heads, self.kv_heads);
            return Err(format!("has {kv_heads} key/value heads, which do not divide the {heads} heads"));
        }
        if !self.arch.properties().free_head_dim && self.heads * self.head_dim != self.hidden {
            let Self { heads, head_dim, hidden, .. } = self;
            return Err(format!(
                "has {heads} heads of width {head_dim}, which do not fill the hidden size of {hidden}"
            ));
        }
        let rotated = self.rotary_width();
        if self.arch.properties().positions == Positions::Rotary && (rotated == 0 || !rotated.is_multiple_of(2)) {
            return Err(format!("has an odd width of a head, {rotated}, which rotary positions cannot rotate"));
        }
        let numbers = [("base of the rotary positions", self.rope_base), ("epsilon of the norms", self.norm_eps)];
        match numbers.into_iter().find(|(_, number)| !number.is_finite() || *number <= 0.0) {
            Some((name, number)) => Err(format!("has {number} as the {name}, which must be above 0")),
            None => Ok(()),
        }
    }

    /// The width of the token embeddings and of the input of the vocabulary head.
    pub fn embedding_width(&self) -> u32 {
        match self.arch {
            Arch::Opt(opt) => opt.embedding.unwrap_or(self.hidden),
            _ => self.hidden,
        }
    }

    /// The width of the part of a head that rotary positions rotate.
    pub fn rotary_width(&self) -> u32 {
        self.arch.rotary_width(self.head_dim)
    }

    /// The number of position embeddings.
    pub fn position_embeddings(&self) -> u32 {
        match self.arch.properties().positions {
            Positions::Rotary | Positions::Relative => 0,
            Positions::Learned { offset } => self.max_positions + offset,
        }
    }

    /// The exact number of trainable parameters.
    pub fn parameters(&self) -> u64 {
        let [v, h, l, i] = [self.vocab_size, self.hidden, self.layers, self.intermediate].map(u64::from);
        let [e, positions, d] = [self.embedding_width(), self.position_embeddings(), self.head_dim].map(u64::from);
        let q = u64::from(self.heads) * d;
        let kv = u64::from(self.kv_heads) * d;
        let embeddings = v * e * if self.tied { 1 } else { 2 } + positions * h;
        // q, k, v, o; gate, up, down; two norms; the final norm.
        let llama = embeddings + l * (h * (q + 2 * kv) + q * h + 3 * h * i + 2 * h) + h;
        // Four projections and two linear layers, with their biases; two LayerNorms.
        let attention_biases = 4 * h;
        let block = 4 * h * h + attention_biases + 2 * h * i + i + h + 4 * h;
        // Embeddings of distances, and their norm.
        let relative = |bucket: u32| (2 * u64::from(bucket) - 1) * h + 2 * h;
        match self.arch {
            Arch::Llama | Arch::Mistral(_) => llama,
            Arch::Qwen2 => llama + l * (q + 2 * kv),
            Arch::Qwen3 => llama + l * 2 * d,
            Arch::Gpt2 => embeddings + l * block + 2 * h,
            Arch::Opt(opt) => {
                let projections = if opt.embedding.is_some() { 2 * e * h } else { 0 };
                let norm = if opt.norm == NormPlace::Before { 2 * h } else { 0 };
                embeddings + projections + l * block + norm
            }
            Arch::GptNeox(neox) => {
                let without = if neox.attention_bias { 0 } else { attention_biases };
                embeddings + l * (block - without) + 2 * h
            }
            // Types and their norm; the transformation in front of the vocabulary head, its norm, and the bias.
            Arch::Bert(bert) | Arch::Roberta(bert) => {
                embeddings + u64::from(bert.types) * h + 2 * h + l * block + h * h + 3 * h + v
            }
            Arch::LtgBert(ltg) => {
                let attention = 4 * h * h + 4 * h + 2 * h;
                embeddings + relative(ltg.bucket) + l * (attention + 3 * h * i) + h * h + h + v
            }
            Arch::GptBert(gpt) => {
                let attention = 5 * h * h + 5 * h;
                // The weights of 2, 3, ... outputs.
                let sums = (0..2 * l).map(|output| output + 2).sum::<u64>();
                embeddings + relative(gpt.bucket) + l * (attention + 3 * h * i) + sums + h * h + h + v
            }
        }
    }

    /// Floating-point operations of one training token at this sequence length: 6 for each weight that takes part in a
    /// matrix product, plus 12·layers·(heads·head_dim)·length for attention, halved because it is causal (Chowdhery et al.
    /// 2022, appendix B).
    pub fn train_flops_per_token(&self, sequence_length: u32) -> f64 {
        let token_embeddings = u64::from(self.embedding_width()) * u64::from(self.vocab_size) * u64::from(!self.tied);
        let lookups = u64::from(self.hidden) * u64::from(self.position_embeddings()) + token_embeddings;
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
            rope_scaling: None,
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
            assert!(model.parameters() > 1 << 46, "computed without overflow");
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
