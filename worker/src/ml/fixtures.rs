//! What several test modules share: small models and reproducible tensors.

use grid::domain::{
    Arch, ArchProperties, Gelu, GptNeox, LtgBert, Mistral, ModelConfig, NormPlace, Opt, PositionSplit, RopeScaling,
};
use tch::{Device, Kind, Tensor};

/// A configuration of two small layers, with two query heads for each key/value head if the architecture supports that.
pub(super) fn small(arch: Arch) -> ModelConfig {
    let ArchProperties { tied, grouped_heads, .. } = arch.properties();
    let kv_heads = if grouped_heads { 2 } else { 4 };
    ModelConfig {
        arch,
        vocab_size: 61,
        max_positions: 40,
        hidden: 32,
        layers: 2,
        heads: 4,
        kv_heads,
        head_dim: 8,
        intermediate: 48,
        rope_base: 10_000.0,
        rope_scaling: None,
        norm_eps: 1e-5,
        tied,
        init_std: 0.1,
    }
}

/// Small configurations of all architectures, and of what only some of their models have.
pub(super) fn every_kind() -> Vec<ModelConfig> {
    let neox = GptNeox { parallel: false, rotary_fraction: 1.0, gelu: Gelu::Tanh, attention_bias: false };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        attention_factor: 1.2,
        beta_fast: 8.0,
        beta_slow: 1.0,
        original_positions: 20,
        truncate: true,
    };
    let special = [
        small(Arch::Mistral(Mistral { window: Some(5) })),
        small(Arch::Opt(Opt { norm: NormPlace::After, embedding: Some(16) })),
        small(Arch::GptNeox(neox)),
        ModelConfig { head_dim: 12, ..small(Arch::Qwen3) },
        ModelConfig { rope_scaling: Some(yarn), ..small(Arch::Llama) },
    ];
    Arch::TRAINED.map(small).into_iter().chain(special).collect()
}

/// Small configurations of the architectures that predict masked tokens.
pub(super) fn masked_kinds() -> Vec<ModelConfig> {
    let halves = Arch::LtgBert(LtgBert { bucket: 8, split: PositionSplit::Halves });
    let masked = Arch::ALL.into_iter().filter(|arch| !arch.is_trained());
    masked.chain([halves]).map(small).collect()
}

/// Numbers between -2 and 2 that look random and are the same in every run.
pub(super) fn noise(shape: &[i64], seed: i64) -> Tensor {
    let count: i64 = shape.iter().product();
    let steps = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 12.9898 + seed as f64 * 78.233;
    (((steps.sin() * 43758.5453).frac() + 1.0).frac() * 4.0 - 2.0).to_kind(Kind::Float).view(shape)
}

/// Asserts that every number is within `tolerance` of the wanted one, relative to the largest wanted number.
pub(super) fn assert_near(got: &Tensor, wanted: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(got.size(), wanted.size(), "{what}");
    let (got, wanted) = (got.to_kind(Kind::Double), wanted.to_kind(Kind::Double));
    let error = (&got - &wanted).abs().max().double_value(&[]);
    let largest = wanted.abs().max().double_value(&[]);
    assert!(error <= tolerance * largest.max(1e-30), "{what}: off by {error}, the largest number is {largest}");
    assert!(largest > 0.0, "{what}: there are only zeros to compare with");
}
