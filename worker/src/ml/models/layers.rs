//! Layers in two implementations: fused, with few passes over memory, for CPU tensors of common widths; and in libtorch's
//! own operations for everything else. Both compute the same numbers up to rounding.
//!
//! The residual stream is always float32; `kind` is that of the activations between two additions to it (float32 or
//! bfloat16).

use tch::{Kind, Tensor};

use crate::ml::error::Error;
use crate::ml::shim;

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
pub(super) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, Error> {
    Ok(x.f_linear(&weight.f_to_kind(x.kind())?, None::<&Tensor>)?)
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
