//! A language model of any family.

use grid::domain::{ModelConfig, Positions, Precision, RopeScaling, ScoringBackend};
use tch::{Device, Kind, Tensor};

use super::context::{Context, Padding, PrefixTree};
use super::decoder::{Decoder, DecoderInputs, Family};
use super::dropout::DropoutMasks;
use super::families::family;
use crate::ml::error::Error;
use crate::ml::weights::{Trainable, Weights};

/// Texts that go through the body of a model, padded on the right.
#[derive(Debug, Clone, Copy)]
pub struct BodyInputs<'a> {
    /// Token ids, `[batch, seq]` int64.
    pub ids: &'a Tensor,
    /// Which of them are padding. Models that predict from the left do not need it.
    pub padding: &'a Padding,
    /// The position of the first token of each text, int64 `[batch]`; `None` for 0. Only models whose learned positions
    /// [count the padding](grid::domain::Arch::counts_left_padding) depend on it.
    pub first_positions: Option<&'a Tensor>,
    /// What is dropped; `None` outside of a training with dropout.
    pub dropout: Option<&'a DropoutMasks>,
}

/// A decoder-only language model, or an encoder, with float32 weights.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    weights: Weights,
    decoder: Box<dyn Decoder>,
}

impl Model {
    /// A model whose weights are zero. Fill them with [`Weights::initialize`] or from a file.
    ///
    /// # Errors
    /// For a configuration that cannot be computed.
    pub fn zeros(config: &ModelConfig, device: Device) -> Result<Self, Error> {
        config.check_sizes().map_err(|problem| Error::Input(format!("the model {problem}")))?;
        let mut weights = Weights::new(device);
        let decoder = (family(config.arch).build)(config, &mut weights)?;
        Ok(Self { config: config.clone(), weights, decoder })
    }

    /// An untrained model, as a function of the configuration and the seed.
    pub fn random(config: &ModelConfig, seed: u64, device: Device) -> Result<Self, Error> {
        let model = Self::zeros(config, device)?;
        model.weights.initialize(seed)?;
        Ok(model)
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The trainable tensors.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The device that the model is on.
    pub fn device(&self) -> Device {
        self.weights.device()
    }

    /// Final hidden states, normalized, in float32: ids `[batch, seq]` int64 -> `[batch, seq, hidden]`.
    ///
    /// Position *t* attends to positions 0..=*t* only, so rows that are padded on the right need no mask.
    pub fn hidden(&self, ids: &Tensor) -> Result<Tensor, Error> {
        self.hidden_in(ids, None, Precision::F32)
    }

    /// Like [`Model::hidden`], computed in this precision, which is also that of the result. `noise` `[batch, seq, hidden]`
    /// float32 is added to the embeddings of the tokens.
    pub fn hidden_in(&self, ids: &Tensor, noise: Option<&Tensor>, precision: Precision) -> Result<Tensor, Error> {
        self.check_predicts_from_the_left()?;
        self.check_length(ids)?;
        self.run(DecoderInputs { noise, ..DecoderInputs::of(ids, Context::Rows) }, precision)
    }

    /// Final hidden states of the body, as `AutoModel` of `transformers` returns them: `[batch, seq, width]` of this
    /// precision. A model that [reads whole texts](grid::domain::Arch::reads_whole_texts) does so here.
    ///
    /// # Errors
    /// For texts that are longer than the model's positions, or if libtorch fails.
    pub fn body(&self, inputs: BodyInputs<'_>, precision: Precision) -> Result<Tensor, Error> {
        let BodyInputs { ids, padding, first_positions, dropout } = inputs;
        self.check_length(ids)?;
        let context = if self.config.arch.reads_whole_texts() { Context::Whole(padding) } else { Context::Rows };
        let inputs = DecoderInputs { first_positions, dropout, ..DecoderInputs::of(ids, context) };
        self.decoder.body(inputs, kind(precision))
    }

    fn check_length(&self, ids: &Tensor) -> Result<(), Error> {
        let (_, seq) = ids.size2()?;
        let most = self.config.max_positions;
        match seq <= i64::from(most) {
            true => Ok(()),
            false => {
                let reason = format!("a sequence of {seq} tokens is longer than the model's {most} positions");
                Err(Error::Input(reason))
            }
        }
    }

    /// The number of tokens that a text may have in front of its last one; `None` for rotary positions, which `transformers`
    /// too computes beyond the length that the model was trained with, unless their scaling depends on the longest text
    /// that it has seen.
    pub fn position_limit(&self) -> Option<u32> {
        let ModelConfig { arch, max_positions, rope_scaling, .. } = &self.config;
        let learned = arch.properties().positions != Positions::Rotary;
        let limited = learned || matches!(rope_scaling, Some(RopeScaling::Dynamic { .. }));
        limited.then_some(*max_positions)
    }

    /// The same as [`Model::hidden_in_whole_texts`] at all tokens, by another way: `[batch, seq, width]`.
    #[cfg(test)]
    pub(crate) fn hidden_of_whole_texts(&self, ids: &Tensor, padding: &Padding) -> Result<Tensor, Error> {
        self.decode(ids, Context::Whole(padding), Precision::F32)
    }

    /// What the vocabulary head takes at one token of each of several whole texts, each of whose tokens attends to all of its
    /// text: ids `[batch, seq]` and indices of tokens in the flattened ids `[batch]`, int64 -> `[batch, width]`, float32.
    pub fn hidden_in_whole_texts(&self, ids: &Tensor, padding: &Padding, tokens: &Tensor) -> Result<Tensor, Error> {
        self.decoder.hidden_at(DecoderInputs::of(ids, Context::Whole(padding)), tokens, Kind::Float)
    }

    /// Refuses a model that only predicts masked tokens.
    fn check_predicts_from_the_left(&self) -> Result<(), Error> {
        let arch = self.config.arch;
        match arch.backends().contains(&ScoringBackend::Causal) {
            true => Ok(()),
            false => Err(Error::Input(format!(
                "{} predicts masked tokens, and no text from the left: such a model is evaluated and fine-tuned only",
                arch.name()
            ))),
        }
    }

    /// Like [`Model::hidden`], for rows that hold several texts with shared prefixes.
    ///
    /// Every position id must be below the [limit](Model::position_limit) of the model.
    pub fn hidden_of_prefix_tree(&self, ids: &Tensor, prefix_tree: &PrefixTree) -> Result<Tensor, Error> {
        self.check_predicts_from_the_left()?;
        self.decode(ids, Context::PrefixTree(prefix_tree), Precision::F32)
    }

    /// Final hidden states of tokens in this context: ids `[batch, seq]` int64 -> `[batch, seq, hidden]`.
    pub(super) fn decode(&self, ids: &Tensor, context: Context<'_>, precision: Precision) -> Result<Tensor, Error> {
        self.run(DecoderInputs::of(ids, context), precision)
    }

    fn run(&self, inputs: DecoderInputs<'_>, precision: Precision) -> Result<Tensor, Error> {
        self.decoder.hidden(inputs, kind(precision))
    }

    /// Whether the tensor with this name belongs to the vocabulary head alone.
    pub fn is_of_head(&self, name: &str) -> bool {
        let Family { head, head_layers, .. } = family(self.config.arch);
        name == *head || head_layers.is_some_and(|layers| name.starts_with(layers))
    }

    /// The vocabulary head, `[vocab, width]`: logits are `hidden @ head.T`.
    pub fn head(&self) -> &Tensor {
        self.decoder.head()
    }

    /// The bias of the vocabulary head, `[vocab]`, if it has one.
    pub fn head_bias(&self) -> Option<&Tensor> {
        self.decoder.head_bias()
    }
}

/// The kind of the tensors of a forward pass.
fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::F32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    }
}

impl Trainable for Model {
    fn weights(&self) -> &Weights {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use grid::domain::Arch;

    use super::*;
    use crate::ml::fixtures::{every_kind, masked_kinds, small};

    #[test]
    fn the_number_of_weights_is_what_the_configuration_counts() {
        for config in every_kind().into_iter().chain(masked_kinds()) {
            for tied in [false, true] {
                let config = ModelConfig { tied, ..config.clone() };
                let model = Model::zeros(&config, Device::Cpu).unwrap();
                let count: usize = model.weights().tensors().map(Tensor::numel).sum();
                assert_eq!(count as u64, config.parameters(), "{config:?}");
            }
        }
    }

    #[test]
    fn a_position_does_not_attend_to_later_ones() {
        let _no_grad = tch::no_grad_guard();
        for config in every_kind() {
            let model = Model::random(&config, 3, Device::Cpu).unwrap();
            let short = model.hidden(&Tensor::from_slice(&[5i64, 9, 2]).view([1, 3])).unwrap();
            let long = model.hidden(&Tensor::from_slice(&[5i64, 9, 2, 0, 7]).view([1, 5])).unwrap();
            let difference = (short - long.narrow(1, 0, 3)).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{config:?}: {difference}");
        }
    }

    #[test]
    fn a_model_of_masked_tokens_does_not_read_from_the_left() {
        for config in masked_kinds() {
            let model = Model::random(&config, 3, Device::Cpu).unwrap();
            let hidden = model.hidden(&Tensor::from_slice(&[5i64, 9, 2]).view([1, 3]));
            match config.arch {
                Arch::GptBert(_) => drop(hidden.unwrap()),
                arch => {
                    let refusal = hidden.unwrap_err().to_string();
                    assert!(refusal.starts_with(&format!("{} predicts masked tokens", arch.name())), "{refusal}");
                }
            }
        }
    }

    #[test]
    fn grouped_heads_equal_repeated_ones() {
        let _no_grad = tch::no_grad_guard();
        let config = small(Arch::Llama);
        let grouped = Model::random(&config, 3, Device::Cpu).unwrap();
        let repeated = Model::zeros(&ModelConfig { kv_heads: 4, ..config }, Device::Cpu).unwrap();
        for ((name, from), (_, mut to)) in
            grouped.weights().named().unwrap().into_iter().zip(repeated.weights().named().unwrap())
        {
            let shared = name.contains("k_proj") || name.contains("v_proj");
            // [kv head, head_dim, hidden] -> each head twice.
            let value = if shared { from.view([2, 8, 32]).repeat_interleave_self_int(2, 0, None) } else { from };
            to.copy_(&value.reshape(to.size()));
        }
        let ids = Tensor::from_slice(&[5i64, 9, 2, 0, 7]).view([1, 5]);
        let difference = (grouped.hidden(&ids).unwrap() - repeated.hidden(&ids).unwrap()).abs().max();
        assert!(difference.to_kind(Kind::Double).double_value(&[]) < 1e-5);
    }

    #[test]
    fn unsupported_shapes_and_lengths_are_refused() {
        let config = ModelConfig { kv_heads: 3, ..small(Arch::Llama) };
        let refusal = Model::zeros(&config, Device::Cpu).unwrap_err().to_string();
        assert_eq!(refusal, "the model has 3 key/value heads, which do not divide the 4 heads");
        let model = Model::random(&small(Arch::Gpt2), 3, Device::Cpu).unwrap();
        let refusal = model.hidden(&Tensor::zeros([1, 41], (Kind::Int64, Device::Cpu))).unwrap_err().to_string();
        assert_eq!(refusal, "a sequence of 41 tokens is longer than the model's 40 positions");
    }
}
