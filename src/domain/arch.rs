//! Model architectures, each with the facts that only its models have.

use serde::{Deserialize, Serialize};
use strum::{EnumCount, IntoStaticStr};

use super::scoring_backend::ScoringBackend;

/// An architecture of transformers.
///
/// A new architecture is a variant here, with its defaults; its number of parameters in [`super::model`]; its
/// `config.json` in [`super::hugging_face`]; and its implementation in the worker. The compiler names all places but
/// [`Arch::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, EnumCount, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Arch {
    /// RMSNorm, rotary positions, SwiGLU, grouped-query attention, no biases.
    Llama,
    /// LayerNorm, learned positions, GELU (tanh form), biases, tied embeddings.
    Gpt2,
    /// LLaMA with biases of queries, keys and values.
    Qwen2,
    /// LLaMA with an RMSNorm of each query and key head, whose width is independent of the hidden size.
    Qwen3,
    /// LLaMA, possibly with a window of attention.
    Mistral(Mistral),
    /// LayerNorm before or after each block, learned positions, ReLU, biases, tied embeddings that may be narrower than
    /// the residual stream.
    Opt(Opt),
    /// LayerNorm, partly rotary positions, GELU, biases, attention and feed-forward layers side by side.
    GptNeox(GptNeox),
    /// An encoder that predicts masked tokens: LayerNorm after each block, learned positions, GELU, biases.
    Bert(Bert),
    /// BERT with other names and positions.
    Roberta(Bert),
    /// An encoder that predicts masked tokens: attention to relative positions, gated feed-forward layers.
    #[serde(rename = "ltgbert")]
    #[strum(serialize = "ltgbert")]
    LtgBert(LtgBert),
    /// LTG-BERT with gated attention and sums of all layers, which predicts masked tokens and from the left.
    GptBert(GptBert),
}

/// What only Mistral models have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistral {
    /// The number of tokens that a token attends to at most, itself included; `None` for all before it.
    pub window: Option<u32>,
}

/// What only OPT models have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opt {
    /// Whether the blocks normalize their inputs, or the sums of their inputs and outputs (OPT-350M).
    pub norm: NormPlace,
    /// The width of the token embeddings and of the vocabulary head, if it is not that of the residual stream.
    pub embedding: Option<u32>,
}

/// Where blocks normalize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlace {
    /// The input of each block, and the final hidden states.
    Before,
    /// The sum of the input and the output of each block.
    After,
}

/// What only GPT-NeoX models have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GptNeox {
    /// Whether attention and feed-forward layers have the same input, and both outputs are added to it.
    pub parallel: bool,
    /// The part of the width of a head that positions rotate.
    pub rotary_fraction: f64,
    /// The form of the GELU.
    pub gelu: Gelu,
    /// Whether the projections of attention have biases.
    pub attention_bias: bool,
}

/// What only BERT and RoBERTa models have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bert {
    /// The number of token types, of which texts have the first.
    pub types: u32,
    /// The form of the GELU.
    pub gelu: Gelu,
    /// The number of position embeddings in front of that of the first position: 0 for BERT; for RoBERTa, one more than the
    /// id of the padding token.
    pub position_offset: u32,
}

/// What only LTG-BERT models have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LtgBert {
    /// Half of the number of embeddings of relative positions, rounded up.
    pub bucket: u32,
    /// Which parts of a projected embedding of a relative position are its query and its key.
    pub split: PositionSplit,
}

/// Which parts of a projected embedding of a relative position are its query and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionSplit {
    /// The halves of the part of each head.
    Heads,
    /// The halves of the whole.
    Halves,
}

/// What only GPT-BERT models have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GptBert {
    /// Half of the number of embeddings of relative positions, rounded up.
    pub bucket: u32,
}

/// A form of the GELU (Hendrycks and Gimpel 2016).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gelu {
    /// With the error function.
    Exact,
    /// The approximation with tanh.
    Tanh,
}

impl Arch {
    /// All architectures that the worker implements, with the facts that a model has by default.
    pub const ALL: [Arch; Arch::COUNT] = [
        Arch::Llama,
        Arch::Gpt2,
        Arch::Qwen2,
        Arch::Qwen3,
        Arch::Mistral(Mistral { window: None }),
        Arch::Opt(Opt { norm: NormPlace::Before, embedding: None }),
        Arch::GptNeox(GptNeox { parallel: true, rotary_fraction: 0.25, gelu: Gelu::Exact, attention_bias: true }),
        Arch::Bert(Bert { types: 2, gelu: Gelu::Exact, position_offset: 0 }),
        Arch::Roberta(Bert { types: 1, gelu: Gelu::Exact, position_offset: 2 }),
        Arch::LtgBert(LtgBert { bucket: 32, split: PositionSplit::Heads }),
        Arch::GptBert(GptBert { bucket: 32 }),
    ];

    /// Those whose models are pretrained and tuned here; those of the others are evaluated and fine-tuned only.
    pub const TRAINED: [Arch; Arch::COUNT - 4] = {
        let [trained @ .., _, _, _, _] = Arch::ALL;
        trained
    };

    /// Whether models of this architecture are pretrained and tuned here.
    pub fn is_trained(self) -> bool {
        !matches!(self, Arch::Bert(_) | Arch::Roberta(_) | Arch::LtgBert(_) | Arch::GptBert(_))
    }

    /// The ways to score texts that the models were trained for, the usual one first.
    pub fn backends(self) -> &'static [ScoringBackend] {
        match self {
            Arch::Bert(_) | Arch::Roberta(_) | Arch::LtgBert(_) => &[ScoringBackend::Mlm],
            Arch::GptBert(_) => &[ScoringBackend::Mntp, ScoringBackend::Causal],
            _ => &[ScoringBackend::Causal],
        }
    }

    /// Whether each token of a text attends to all of its tokens while the model is fine-tuned. GPT-BERT, which reads in
    /// both ways, is fine-tuned in this one by the official pipeline.
    pub fn reads_whole_texts(self) -> bool {
        self.backends().iter().any(|backend| backend.masks())
    }

    /// Whether `transformers` counts the padding on the left of a text as positions, which moves the positions of its
    /// tokens to other embeddings. Where it does not, either the mask (OPT) or the ids (RoBERTa) tell it where the text
    /// starts, or only distances matter.
    pub fn counts_left_padding(self) -> bool {
        match self {
            Arch::Gpt2 | Arch::Bert(_) => true,
            Arch::Opt(_) | Arch::Roberta(_) => false,
            Arch::Llama | Arch::Qwen2 | Arch::Qwen3 | Arch::Mistral(_) | Arch::GptNeox(_) => false,
            Arch::LtgBert(_) | Arch::GptBert(_) => false,
        }
    }

    /// The name used in specs, tables, the database, and as `model_type` in a `config.json`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The width of the part of a head of this width that rotary positions rotate.
    pub fn rotary_width(self, head_dim: u32) -> u32 {
        match self {
            Arch::GptNeox(neox) => (f64::from(head_dim) * neox.rotary_fraction) as u32,
            _ => head_dim,
        }
    }

    /// The defaults of the keys of a shape, which are those of Hugging Face's configuration except where CLASS-IT's table 1
    /// fixes them, and what the architecture supports.
    pub fn properties(self) -> ArchProperties {
        // `LlamaConfig`; untied embeddings by CLASS-IT.
        let llama = ArchProperties {
            max_positions: 2_048,
            norm_eps: 1e-6,
            tied: false,
            positions: Positions::Rotary,
            grouped_heads: true,
            free_head_dim: true,
        };
        // `GPT2Config`.
        let gpt2 = ArchProperties {
            max_positions: 1_024,
            norm_eps: 1e-5,
            tied: true,
            positions: Positions::Learned { offset: 0 },
            grouped_heads: false,
            free_head_dim: false,
        };
        match self {
            Arch::Llama => llama,
            Arch::Gpt2 => gpt2,
            // `Qwen2Config`, `Qwen3Config`.
            Arch::Qwen2 | Arch::Qwen3 => ArchProperties { max_positions: 32_768, ..llama },
            // `MistralConfig`.
            Arch::Mistral(_) => ArchProperties { max_positions: 131_072, ..llama },
            // `OPTConfig`; the epsilon is that of `torch.nn.LayerNorm`, and not a field.
            Arch::Opt(_) => {
                ArchProperties { max_positions: 2_048, positions: Positions::Learned { offset: 2 }, ..gpt2 }
            }
            // `GPTNeoXConfig`.
            Arch::GptNeox(_) => ArchProperties { norm_eps: 1e-5, grouped_heads: false, free_head_dim: false, ..llama },
            // `BertConfig`, `RobertaConfig`.
            Arch::Bert(bert) | Arch::Roberta(bert) => ArchProperties {
                max_positions: 512,
                norm_eps: 1e-12,
                positions: Positions::Learned { offset: bert.position_offset },
                ..gpt2
            },
            // The configurations of `ltgoslo/ltg-bert` and `ltgoslo/gpt-bert`.
            Arch::LtgBert(_) => {
                ArchProperties { max_positions: 512, norm_eps: 1e-7, positions: Positions::Relative, ..gpt2 }
            }
            Arch::GptBert(_) => ArchProperties { max_positions: 512, positions: Positions::Relative, ..gpt2 },
        }
    }
}

/// The properties of an architecture that the keys of a shape depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArchProperties {
    /// The default of [`ModelConfig::max_positions`](super::model::ModelConfig::max_positions).
    pub max_positions: u32,
    /// The default of [`ModelConfig::norm_eps`](super::model::ModelConfig::norm_eps).
    pub norm_eps: f64,
    /// The default of [`ModelConfig::tied`](super::model::ModelConfig::tied).
    pub tied: bool,
    /// How positions are encoded.
    pub positions: Positions,
    /// Whether several heads may share one key/value head.
    pub grouped_heads: bool,
    /// Whether the heads together may be wider or narrower than the residual stream.
    pub free_head_dim: bool,
}

/// How an architecture encodes positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// By rotations of queries and keys, without parameters.
    Rotary,
    /// By embeddings of the distances of tokens.
    Relative,
    /// By an embedding of each position.
    Learned {
        /// The number of embeddings in front of that of the first position, which are not used.
        offset: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn architectures_have_names_of_their_own() {
        let names = BTreeSet::from(Arch::ALL.map(Arch::name));
        let known =
            ["bert", "gpt2", "gpt_bert", "gpt_neox", "llama", "ltgbert", "mistral", "opt", "qwen2", "qwen3", "roberta"];
        assert_eq!(Vec::from_iter(names), known);
        assert_eq!(Arch::ALL.into_iter().filter(|arch| arch.is_trained()).collect::<Vec<_>>(), Arch::TRAINED);
    }

    /// The ids of jobs depend on it.
    #[test]
    fn an_architecture_without_facts_is_stored_as_its_name() {
        let stored = |arch: Arch| serde_json::to_string(&arch).unwrap();
        assert_eq!([Arch::Llama, Arch::Gpt2, Arch::Qwen3].map(stored), ["\"llama\"", "\"gpt2\"", "\"qwen3\""]);
        assert_eq!(stored(Arch::Mistral(Mistral { window: Some(8) })), r#"{"mistral":{"window":8}}"#);
        for arch in Arch::ALL {
            assert_eq!(serde_json::from_str::<Arch>(&stored(arch)).unwrap(), arch);
        }
    }
}
