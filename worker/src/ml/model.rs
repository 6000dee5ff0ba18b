//! A language model of either family.

use grid::domain::{Arch, ModelConfig, Precision};
use tch::{Device, Kind, Tensor};

use super::attention::Forest;
use super::error::Error;
use super::gpt2::Gpt2;
use super::llama::Llama;
use super::weights::Weights;

#[derive(Debug)]
enum Body {
    Llama(Llama),
    Gpt2(Gpt2),
}

/// A decoder-only language model with float32 weights.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    weights: Weights,
    body: Body,
}

impl Model {
    /// A model of this shape whose weights are still zero: fill them with [`Weights::initialise`] or from a file.
    pub fn zeros(config: &ModelConfig, device: Device) -> Result<Self, Error> {
        let wrong = |what: &str| Err(Error::Input(format!("a model cannot have {what}")));
        if config.kv_heads == 0 || !config.heads.is_multiple_of(config.kv_heads) {
            return wrong(&format!("{} query heads for {} key/value heads", config.heads, config.kv_heads));
        }
        if config.arch == Arch::Llama && !config.head_dim.is_multiple_of(2) {
            return wrong(&format!("rotary positions in heads of odd width {}", config.head_dim));
        }
        if config.arch == Arch::Gpt2 && config.heads * config.head_dim != config.hidden {
            return wrong(&format!("{} heads of {} in a width of {}", config.heads, config.head_dim, config.hidden));
        }
        let mut weights = Weights::new(device);
        let body = match config.arch {
            Arch::Llama => Body::Llama(Llama::new(config, &mut weights)?),
            Arch::Gpt2 => Body::Gpt2(Gpt2::new(config, &mut weights)?),
        };
        Ok(Self { config: config.clone(), weights, body })
    }

    /// An untrained model: a function of the configuration and the seed.
    pub fn random(config: &ModelConfig, seed: u64, device: Device) -> Result<Self, Error> {
        let model = Self::zeros(config, device)?;
        model.weights.initialise(seed)?;
        Ok(model)
    }

    /// Its shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Its trainable tensors.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Where it is.
    pub fn device(&self) -> Device {
        self.weights.device()
    }

    /// Final hidden states: ids `[batch, seq]` (int64) -> `[batch, seq, hidden]`, normalised, ready for the head.
    ///
    /// Position *t* sees positions 0..=*t* only, so rows padded on the right need no mask.
    pub fn hidden(&self, ids: &Tensor) -> Result<Tensor, Error> {
        self.hidden_in(ids, Precision::F32)
    }

    /// The same in this arithmetic; with bfloat16 the hidden states are bfloat16, too.
    pub fn hidden_in(&self, ids: &Tensor, precision: Precision) -> Result<Tensor, Error> {
        let (_, seq) = ids.size2()?;
        if seq > i64::from(self.config.max_positions) {
            let most = self.config.max_positions;
            return Err(Error::Input(format!(
                "a sequence of {seq} tokens is longer than the model's {most} positions"
            )));
        }
        self.body_of(ids, None, precision)
    }

    /// [`Model::hidden`] of rows that hold several texts with common beginnings.
    ///
    /// Every depth must be below the model's positions.
    pub fn hidden_of_forest(&self, ids: &Tensor, forest: &Forest) -> Result<Tensor, Error> {
        self.body_of(ids, Some(forest), Precision::F32)
    }

    fn body_of(&self, ids: &Tensor, forest: Option<&Forest>, precision: Precision) -> Result<Tensor, Error> {
        let kind = match precision {
            Precision::F32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        match &self.body {
            Body::Llama(llama) => llama.hidden(ids, forest, kind),
            Body::Gpt2(gpt2) => gpt2.hidden(ids, forest, kind),
        }
    }

    /// The vocabulary head, `[vocab, hidden]`: logits are `hidden @ head.T`.
    pub fn head(&self) -> &Tensor {
        match &self.body {
            Body::Llama(llama) => llama.head(),
            Body::Gpt2(gpt2) => gpt2.head(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Small models of both families; `kv_heads` 2 of 4 in the llama.
    pub(crate) fn small(arch: Arch) -> ModelConfig {
        ModelConfig {
            arch,
            vocab_size: 61,
            max_positions: 40,
            hidden: 32,
            layers: 2,
            heads: 4,
            kv_heads: if arch == Arch::Llama { 2 } else { 4 },
            head_dim: 8,
            intermediate: 48,
            rope_base: 10_000.0,
            norm_eps: 1e-5,
            tied: arch == Arch::Gpt2,
            init_std: 0.1,
        }
    }

    #[test]
    fn weights_are_as_many_as_the_domain_counts() {
        for arch in [Arch::Llama, Arch::Gpt2] {
            for tied in [false, true] {
                let config = ModelConfig { tied: tied || arch == Arch::Gpt2, ..small(arch) };
                let model = Model::zeros(&config, Device::Cpu).unwrap();
                let count: usize = model.weights().tensors().map(Tensor::numel).sum();
                assert_eq!(count as u64, config.parameters(), "{arch:?} tied {tied}");
            }
        }
    }

    #[test]
    fn a_position_does_not_see_what_comes_after_it() {
        let _no_grad = tch::no_grad_guard();
        for arch in [Arch::Llama, Arch::Gpt2] {
            let model = Model::random(&small(arch), 3, Device::Cpu).unwrap();
            let short = model.hidden(&Tensor::from_slice(&[5i64, 9, 2]).view([1, 3])).unwrap();
            let long = model.hidden(&Tensor::from_slice(&[5i64, 9, 2, 0, 7]).view([1, 5])).unwrap();
            let difference = (short - long.narrow(1, 0, 3)).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{arch:?}: {difference}");
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
    fn impossible_shapes_and_lengths_are_refused() {
        let config = ModelConfig { kv_heads: 3, ..small(Arch::Llama) };
        let refusal = Model::zeros(&config, Device::Cpu).unwrap_err().to_string();
        assert_eq!(refusal, "a model cannot have 4 query heads for 3 key/value heads");
        let model = Model::random(&small(Arch::Gpt2), 3, Device::Cpu).unwrap();
        let refusal = model.hidden(&Tensor::zeros([1, 41], (Kind::Int64, Device::Cpu))).unwrap_err().to_string();
        assert_eq!(refusal, "a sequence of 41 tokens is longer than the model's 40 positions");
    }
}
