//! Layers in two implementations: fused, with few passes over memory, for CPU tensors of common widths; and in libtorch's
//! own operations for everything else. Both compute the same numbers up to rounding.
//!
//! The residual stream is always float32; `kind` is that of the activations between two additions to it (float32 or
//! bfloat16).

use std::ops::Range;

use grid::domain::Gelu;
use tch::{Kind, Tensor};

use super::context::Context;
use crate::ml::error::Error;
use crate::ml::shim;
use crate::ml::weights::{PartShape, Weights};

/// A residual stream and its RMSNorm (Zhang and Sennrich 2019).
#[derive(Debug)]
pub(super) struct Normalized {
    /// The sum `x + branch`, float32.
    pub residual: Tensor,
    /// The normalized sum times `gain`, of the requested kind.
    pub output: Tensor,
}

/// Adds the output of a block to the residual stream and normalizes the sum; all `[.., width]`, `gain` `[width]`.
pub(super) fn add_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    gain: &Tensor,
    epsilon: f64,
    kind: Kind,
) -> Result<Normalized, Error> {
    if shim::can_fuse(x, gain.size1()?) {
        let (residual, output) = shim::add_norm(x, branch, gain, epsilon, kind == Kind::BFloat16)?;
        return Ok(Normalized { residual, output });
    }
    unfused_add_norm(x, branch, gain, epsilon, kind)
}

fn unfused_add_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    gain: &Tensor,
    epsilon: f64,
    kind: Kind,
) -> Result<Normalized, Error> {
    let residual = match branch {
        Some(branch) => x.f_add(branch)?,
        None => x.shallow_clone(),
    };
    let output = residual.f_rms_norm(gain.size(), Some(gain), epsilon)?.f_to_kind(kind)?;
    Ok(Normalized { residual, output })
}

/// SwiGLU without its projections (Shazeer 2020): gate and up `[.., 2 * width]` -> `silu(gate) * up`, `[.., width]`.
pub(super) fn swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    let width = gate_up.size().last().copied().unwrap_or(0) / 2;
    if shim::can_fuse(gate_up, width) { shim::swiglu(gate_up) } else { unfused_swiglu(gate_up) }
}

fn unfused_swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    let parts = gate_up.f_chunk(2, -1)?;
    Ok(parts[0].f_silu()?.f_mul(&parts[1])?)
}

/// `x @ weight.T`, computed in the kind of `x`: `[.., in]`, `[out, in]` -> `[.., out]`.
pub(super) fn linear(x: &Tensor, weight: &Tensor, context: Context<'_>) -> Result<Tensor, Error> {
    let weight = context.weight(weight, x.kind())?;
    match context.cache() {
        Some(_) => row_linear(x, &weight),
        None => Ok(x.f_linear(&weight, None::<&Tensor>)?),
    }
}

/// `x @ weight.T` of tensors of the same kind. If the shapes permit it, a row of the result does not depend on the others.
pub(super) fn row_linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, Error> {
    match shim::can_fuse(x, weight.size()[1]) {
        true => shim::linear(x, weight, None),
        false => Ok(x.f_linear(weight, None::<&Tensor>)?),
    }
}

/// `x @ weight + bias` with a weight that is stored transposed, like that of Hugging Face's `Conv1D`, computed in the kind
/// of `x`: `[batch, seq, in]`, `[in, out]`, `[out]` -> `[batch, seq, out]`.
pub(super) fn transposed_linear(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    context: Context<'_>,
) -> Result<Tensor, Error> {
    let (batch, seq, inputs) = x.size3()?;
    match context.cache() {
        Some(cache) if shim::can_fuse(x, inputs) => shim::linear(x, &cache.transposed(weight, x.kind())?, Some(bias)),
        _ => {
            let (weight, bias) = (context.weight(weight, x.kind())?, context.weight(bias, x.kind())?);
            let flat = bias.f_addmm(&x.f_reshape([batch * seq, inputs])?, &weight)?; // [batch * seq, out]
            Ok(flat.f_view([batch, seq, -1])?)
        }
    }
}

/// GELU in its tanh form (Hendrycks and Gimpel 2016).
pub(super) fn gelu_tanh(x: &Tensor, context: Context<'_>) -> Result<Tensor, Error> {
    let width = x.size().last().copied().unwrap_or(0);
    match context.cache() {
        Some(_) if shim::can_fuse(x, width) => shim::gelu(x),
        _ => Ok(x.f_gelu("tanh")?),
    }
}

/// A linear layer with biases, whose weight is stored as `[out, in]`.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Tensor,       // [out, in]
    bias: Option<Tensor>, // [out]
}

impl Linear {
    /// A layer that consists of named ones with these numbers of outputs. Weights are normally distributed, biases 0.
    pub(super) fn new(
        parts: &[(String, u32)],
        inputs: u32,
        std: f64,
        with_bias: bool,
        weights: &mut Weights,
    ) -> Result<Self, Error> {
        let part = |(name, outputs): &(String, u32)| PartShape::normal(format!("{name}.weight"), *outputs, std);
        let weight = weights.matrix(parts.iter().map(part).collect(), inputs)?;
        let names: Vec<_> = parts.iter().map(|(name, outputs)| (format!("{name}.bias"), *outputs)).collect();
        Ok(Self { weight, bias: with_bias.then(|| weights.bias(&names)).transpose()? })
    }

    /// `[.., in]` -> `[.., out]`, of the kind of `x`.
    pub(super) fn apply(&self, x: &Tensor, context: Context<'_>) -> Result<Tensor, Error> {
        let weight = context.weight(&self.weight, x.kind())?;
        if context.cache().is_some() && shim::can_fuse(x, weight.size()[1]) {
            return shim::linear(x, &weight, self.bias.as_ref());
        }
        let bias = self.bias.as_ref().map(|bias| context.weight(bias, x.kind())).transpose()?;
        Ok(x.f_linear(&weight, bias.as_ref())?)
    }

    /// Some of the outputs: `[.., in]` -> `[.., length of the range]`, of the kind of `x`.
    pub(super) fn apply_part(&self, x: &Tensor, outputs: Range<i64>) -> Result<Tensor, Error> {
        let part =
            |tensor: &Tensor| tensor.f_narrow(0, outputs.start, outputs.end - outputs.start)?.f_to_kind(x.kind());
        let bias = self.bias.as_ref().map(part).transpose()?;
        Ok(x.f_linear(&part(&self.weight)?, bias.as_ref())?)
    }
}

/// The GELU in one of its forms.
pub(super) fn gelu(x: &Tensor, form: Gelu) -> Result<Tensor, Error> {
    Ok(x.f_gelu(match form {
        Gelu::Exact => "none",
        Gelu::Tanh => "tanh",
    })?)
}

/// LayerNorm with weights (Ba et al. 2016).
#[derive(Debug)]
pub(super) struct LayerNorm {
    gain: Tensor, // [width]
    bias: Tensor, // [width]
}

impl LayerNorm {
    pub(super) fn new(name: &str, width: u32, weights: &mut Weights) -> Result<Self, Error> {
        let gain = weights.vector(format!("{name}.weight"), width, 1.0)?;
        Ok(Self { gain, bias: weights.vector(format!("{name}.bias"), width, 0.0)? })
    }

    /// `[.., width]` float32 -> the same of another kind.
    pub(super) fn apply(&self, x: &Tensor, epsilon: f64, kind: Kind) -> Result<Tensor, Error> {
        let normed = x.f_layer_norm(self.gain.size(), Some(&self.gain), Some(&self.bias), epsilon, true)?;
        Ok(normed.f_to_kind(kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::{assert_near, noise};

    const KINDS: [(Kind, f64); 2] = [(Kind::Float, 2e-6), (Kind::BFloat16, 8e-3)];

    #[test]
    fn fused_norms_equal_unfused_ones() {
        for (kind, tolerance) in KINDS {
            for (rows, width, with_branch) in [(1, 32, true), (67, 96, true), (200, 256, false), (130, 768, true)] {
                let x = noise(&[rows, width], 1);
                if !shim::can_fuse(&x, width) {
                    continue; // this processor has no fused operations
                }
                let run = |fused: bool, kind: Kind| {
                    let x = x.detach().copy().set_requires_grad(true);
                    let branch = noise(&[rows, width], 2).to_kind(Kind::BFloat16).to_kind(kind).set_requires_grad(true);
                    let gain = noise(&[width], 3).set_requires_grad(true);
                    let given = with_branch.then_some(&branch);
                    let implementation = if fused { add_norm } else { unfused_add_norm };
                    let Normalized { residual, output } = implementation(&x, given, &gain, 1e-5, kind).unwrap();
                    let weights = [noise(&[rows, width], 4), noise(&[rows, width], 5)];
                    let sum = (&residual * &weights[0]).sum(Kind::Float) + (&output * &weights[1]).sum(Kind::Float);
                    sum.backward();
                    let mut results = vec![residual.detach(), output.detach(), x.grad(), gain.grad()];
                    results.extend(with_branch.then(|| branch.grad()));
                    results
                };
                let (fused, wanted) = (run(true, kind), run(false, Kind::Float));
                for (index, (got, wanted)) in fused.iter().zip(&wanted).enumerate() {
                    assert_near(got, wanted, tolerance, &format!("{kind:?} {rows}x{width} result {index}"));
                }
            }
        }
    }

    #[test]
    fn fused_gates_equal_unfused_ones() {
        for (kind, tolerance) in KINDS {
            for (rows, width) in [(1, 32), (67, 96), (130, 704)] {
                let run = |implementation: fn(&Tensor) -> Result<Tensor, Error>, kind: Kind| {
                    let gate_up = (noise(&[rows, 2 * width], 1) * 4.0).to_kind(Kind::BFloat16).to_kind(kind);
                    let gate_up = gate_up.set_requires_grad(true);
                    let inner = implementation(&gate_up).unwrap();
                    let result = inner.detach().copy();
                    (inner * noise(&[rows, width], 2).to_kind(kind)).sum(Kind::Float).backward();
                    [result, gate_up.grad()]
                };
                if !shim::can_fuse(&noise(&[1], 1), width) {
                    continue; // this processor has no fused operations
                }
                let (fused, wanted) = (run(swiglu, kind), run(unfused_swiglu, Kind::Float));
                for (index, (got, wanted)) in fused.iter().zip(&wanted).enumerate() {
                    assert_near(got, wanted, tolerance, &format!("{kind:?} {rows}x{width} result {index}"));
                }
            }
        }
    }

    /// The exponential in a gate of -100 is more than the greatest float.
    #[test]
    fn gates_far_from_zero_are_shut_or_open() {
        let gates = [-1e30f32, -100.0, -89.0, -20.0, 20.0, 100.0, f32::NAN];
        let gate = Tensor::from_slice(&gates.repeat(32)).view([32, 7]).tr().contiguous(); // one in each row
        let run = |implementation: fn(&Tensor) -> Result<Tensor, Error>| {
            let gate_up = Tensor::cat(&[gate.shallow_clone(), gate.ones_like()], 1).set_requires_grad(true);
            let inner = implementation(&gate_up).unwrap();
            let result = inner.detach().copy();
            inner.narrow(0, 0, 6).sum(Kind::Float).backward();
            [result, gate_up.grad().narrow(0, 0, 6)]
        };
        let mut pairs: Vec<_> = run(swiglu).into_iter().zip(run(unfused_swiglu)).collect();
        if shim::can_fuse(&gate, 32) {
            pairs.push((shim::gelu(&gate).unwrap(), gelu_tanh(&gate, Context::Rows).unwrap()));
        }
        for (index, (got, wanted)) in pairs.iter().enumerate() {
            assert!(got.allclose(wanted, 1e-5, 1e-6, true), "result {index}: {:?}", (got - wanted).abs().max());
        }
    }

    /// A backward pass overwrites what was saved for it.
    #[test]
    fn a_second_backward_pass_is_refused() {
        let gate_up = noise(&[4, 64], 1).set_requires_grad(true);
        if !shim::can_fuse(&gate_up, 32) {
            return;
        }
        let inner = swiglu(&gate_up).unwrap().sum(Kind::Float);
        let backward = || Tensor::f_run_backward(&[&inner], &[&gate_up], true, false);
        backward().unwrap();
        let refusal = backward().unwrap_err().to_string();
        assert!(refusal.contains("allows a single backward pass"), "{refusal}");
    }

    /// Sums over rows do not depend on the number of threads.
    #[test]
    fn gradients_are_the_same_for_any_number_of_threads() {
        let threads = tch::get_num_threads();
        let run = |threads| {
            tch::set_num_threads(threads);
            let x = noise(&[1000, 64], 1);
            let gain = noise(&[64], 2).set_requires_grad(true);
            let output = add_norm(&x, None, &gain, 1e-5, Kind::Float).unwrap().output;
            (output * noise(&[1000, 64], 3)).sum(Kind::Float).backward();
            Vec::<f32>::try_from(gain.grad()).unwrap()
        };
        let (one, two) = (run(1), run(2));
        tch::set_num_threads(threads);
        assert_eq!(one, two);
    }
}
