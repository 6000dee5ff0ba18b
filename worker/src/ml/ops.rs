//! Layers in two forms: fused, in few passes over memory, for CPU tensors of common widths; and in libtorch's own
//! operations, for everything else. Both give the same numbers up to rounding.
//!
//! The residual stream is float32 always; `kind` is that of the activations between it and itself (float32 or bfloat16).

use tch::{Kind, Tensor};

use super::error::Error;
use super::shim;

/// The residual stream and its RMSNorm (Zhang and Sennrich 2019).
#[derive(Debug)]
pub struct Normalised {
    /// `x + branch`, float32.
    pub residual: Tensor,
    /// Its norm times `gain`, of the kind asked for.
    pub output: Tensor,
}

/// Adds what a block computed to the residual stream and normalises the sum; all `[.., width]`, `gain` `[width]`.
pub fn add_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    gain: &Tensor,
    epsilon: f64,
    kind: Kind,
) -> Result<Normalised, Error> {
    if shim::can_fuse(x, gain.size1()?) {
        let (residual, output) = shim::add_norm(x, branch, gain, epsilon, kind == Kind::BFloat16)?;
        return Ok(Normalised { residual, output });
    }
    plain_add_norm(x, branch, gain, epsilon, kind)
}

fn plain_add_norm(
    x: &Tensor,
    branch: Option<&Tensor>,
    gain: &Tensor,
    epsilon: f64,
    kind: Kind,
) -> Result<Normalised, Error> {
    let residual = match branch {
        Some(branch) => x.f_add(branch)?,
        None => x.shallow_clone(),
    };
    let output = residual.f_rms_norm(gain.size(), Some(gain), epsilon)?.f_to_kind(kind)?;
    Ok(Normalised { residual, output })
}

/// SwiGLU without its projections (Shazeer 2020): `[.., gate and up]` -> `silu(gate) * up`, `[.., gate]`.
pub fn swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    let width = gate_up.size().last().copied().unwrap_or(0) / 2;
    if shim::can_fuse(gate_up, width) { shim::swiglu(gate_up) } else { plain_swiglu(gate_up) }
}

fn plain_swiglu(gate_up: &Tensor) -> Result<Tensor, Error> {
    let parts = gate_up.f_chunk(2, -1)?;
    Ok(parts[0].f_silu()?.f_mul(&parts[1])?)
}

/// `x @ weight.T` in the kind of `x`: `[.., in]`, `[out, in]` -> `[.., out]`.
pub fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, Error> {
    Ok(x.f_linear(&weight.f_to_kind(x.kind())?, None::<&Tensor>)?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tch::Device;

    /// Numbers between -2 and 2 that look random, the same ones every time.
    pub(crate) fn noise(shape: &[i64], seed: i64) -> Tensor {
        let count: i64 = shape.iter().product();
        let steps = Tensor::arange(count, (Kind::Double, Device::Cpu)) * 12.9898 + seed as f64 * 78.233;
        (((steps.sin() * 43758.5453).frac() + 1.0).frac() * 4.0 - 2.0).to_kind(Kind::Float).view(shape)
    }

    /// Every number within `tolerance` of the wanted one, relative to the largest.
    pub(crate) fn assert_near(got: &Tensor, wanted: &Tensor, tolerance: f64, what: &str) {
        assert_eq!(got.size(), wanted.size(), "{what}");
        let (got, wanted) = (got.to_kind(Kind::Double), wanted.to_kind(Kind::Double));
        let error = (&got - &wanted).abs().max().double_value(&[]);
        let largest = wanted.abs().max().double_value(&[]);
        assert!(error <= tolerance * largest.max(1e-30), "{what}: off by {error}, the largest number is {largest}");
        assert!(largest > 0.0, "{what}: nothing but zeros to compare with");
    }

    const KINDS: [(Kind, f64); 2] = [(Kind::Float, 2e-6), (Kind::BFloat16, 8e-3)];

    #[test]
    fn fused_norms_equal_plain_ones() {
        for (kind, tolerance) in KINDS {
            for (rows, width, with_branch) in [(1, 32, true), (67, 96, true), (200, 256, false), (130, 768, true)] {
                let x = noise(&[rows, width], 1);
                if !shim::can_fuse(&x, width) {
                    continue; // a processor without the fused operations has nothing to compare
                }
                let run = |fused: bool, kind: Kind| {
                    let x = x.detach().copy().set_requires_grad(true);
                    let branch = noise(&[rows, width], 2).to_kind(Kind::BFloat16).to_kind(kind).set_requires_grad(true);
                    let gain = noise(&[width], 3).set_requires_grad(true);
                    let given = with_branch.then_some(&branch);
                    let form = if fused { add_norm } else { plain_add_norm };
                    let Normalised { residual, output } = form(&x, given, &gain, 1e-5, kind).unwrap();
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
    fn fused_gates_equal_plain_ones() {
        for (kind, tolerance) in KINDS {
            for (rows, width) in [(1, 32), (67, 96), (130, 704)] {
                let run = |form: fn(&Tensor) -> Result<Tensor, Error>, kind: Kind| {
                    let gate_up = (noise(&[rows, 2 * width], 1) * 4.0).to_kind(Kind::BFloat16).to_kind(kind);
                    let gate_up = gate_up.set_requires_grad(true);
                    let inner = form(&gate_up).unwrap();
                    let result = inner.detach().copy();
                    (inner * noise(&[rows, width], 2).to_kind(kind)).sum(Kind::Float).backward();
                    [result, gate_up.grad()]
                };
                if !shim::can_fuse(&noise(&[1], 1), width) {
                    continue; // a processor without the fused operations has nothing to compare
                }
                let (fused, wanted) = (run(swiglu, kind), run(plain_swiglu, Kind::Float));
                for (index, (got, wanted)) in fused.iter().zip(&wanted).enumerate() {
                    assert_near(got, wanted, tolerance, &format!("{kind:?} {rows}x{width} result {index}"));
                }
            }
        }
    }

    /// What a backward pass has written over cannot be used again.
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
        assert!(refusal.contains("one backward pass only"), "{refusal}");
    }

    /// Sums over rows do not depend on how many threads share them.
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
