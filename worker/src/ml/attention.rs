//! Causal attention and rotary positions.

use grid::domain::ModelConfig;
use tch::{Device, Kind, Tensor};

use super::error::Error;
use super::shim;

/// Which heads a packed projection holds: queries, then keys, then values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub queries: i64,
    /// Key heads, and as many value heads; divides `queries`.
    pub keys: i64,
    /// Width of each.
    pub dim: i64,
}

/// Rows that hold several texts with common beginnings, instead of one text from its start.
#[derive(Debug)]
pub struct Forest {
    /// How many tokens stand before each in its text, int64 `[batch, seq]`: its position.
    pub depths: Tensor,
    /// 0 where a token sees another, far below zero elsewhere, float32 `[batch, 1, seq, seq]`.
    pub mask: Tensor,
}

/// Rotary positions in the half-split form of Hugging Face (Su et al. 2021): every pair (i, i + dim / 2) of a query or
/// key is turned by its angle.
#[derive(Debug)]
pub struct Rotary {
    cosine: Tensor, // [max_positions, dim / 2], float32
    sine: Tensor,   // [max_positions, dim / 2], float32
}

impl Rotary {
    /// The angles of all positions.
    pub fn new(config: &ModelConfig, device: Device) -> Result<Self, Error> {
        let (positions, half) = (i64::from(config.max_positions), i64::from(config.head_dim / 2));
        // Hugging Face rounds the frequencies to float32 before it multiplies.
        let frequencies: Vec<f32> =
            (0..half).map(|i| config.rope_base.powf(-(i as f64) / half as f64) as f32).collect();
        let steps = Tensor::f_arange(positions, (Kind::Float, Device::Cpu))?;
        let angles = steps.f_outer(&Tensor::f_from_slice(&frequencies)?)?; // [max_positions, dim / 2]
        Ok(Self { cosine: angles.f_cos()?.f_to_device(device)?, sine: angles.f_sin()?.f_to_device(device)? })
    }

    /// `[batch, seq, head, dim]` -> the same, turned by positions 0..seq or by those in a forest, computed in float32.
    fn turn(&self, x: &Tensor, forest: Option<&Forest>) -> Result<Tensor, Error> {
        let (batch, seq, _, dim) = x.size4()?;
        let angles = |table: &Tensor| -> Result<Tensor, Error> {
            Ok(match forest {
                None => table.f_narrow(0, 0, seq)?.f_view([1, seq, 1, dim / 2])?,
                Some(Forest { depths, .. }) => {
                    table.f_index_select(0, &depths.f_flatten(0, 1)?)?.f_view([batch, seq, 1, dim / 2])?
                }
            })
        };
        let (cosine, sine) = (angles(&self.cosine)?, angles(&self.sine)?);
        let halves = x.f_split(dim / 2, 3)?;
        let (low, high) = (&halves[0], &halves[1]); // [batch, seq, head, dim / 2]
        let new_low = low.f_mul(&cosine)?.f_sub(&high.f_mul(&sine)?)?;
        let new_high = high.f_mul(&cosine)?.f_add(&low.f_mul(&sine)?)?;
        Ok(Tensor::f_cat(&[new_low, new_high], 3)?.f_to_kind(x.kind())?)
    }
}

/// Softmax attention of each position to itself and those before it, or in a forest to itself and those before it in
/// its text.
///
/// packed `[batch, seq, (queries + 2 * keys) * dim]` -> `[batch, seq, queries * dim]`. Query head *h* attends to
/// key/value head *h / (queries / keys)*.
pub fn causal_attention(
    packed: &Tensor,
    heads: Heads,
    rotary: Option<&Rotary>,
    forest: Option<&Forest>,
) -> Result<Tensor, Error> {
    if forest.is_none() && shim::can_fuse(packed, heads.dim) {
        let angles = rotary.map(|rotary| (&rotary.cosine, &rotary.sine));
        return shim::causal_attention(packed, heads.queries, heads.keys, angles);
    }
    plain(packed, heads, rotary, forest)
}

/// The same in libtorch's own operations.
fn plain(packed: &Tensor, heads: Heads, rotary: Option<&Rotary>, forest: Option<&Forest>) -> Result<Tensor, Error> {
    let (batch, seq, _) = packed.size3()?;
    let Heads { queries, keys, dim } = heads;
    let packed = packed.f_view([batch, seq, queries + 2 * keys, dim])?; // [batch, seq, head, dim]
    let parts = packed.f_split_with_sizes([queries + keys, keys], 2)?;
    let turned = match rotary {
        Some(rotary) => rotary.turn(&parts[0], forest)?,
        None => parts[0].shallow_clone(),
    };
    let turned = turned.f_split_with_sizes([queries, keys], 2)?;
    let query = turned[0].f_transpose(1, 2)?; // [batch, head, seq, dim]
    let key = spread(&turned[1], queries)?.f_transpose(1, 2)?;
    let value = spread(&parts[1], queries)?.f_transpose(1, 2)?;
    // On a CPU the float32 kernel is the faster of the two.
    let kind = if packed.device() == Device::Cpu { Kind::Float } else { packed.kind() };
    let [query, key, value] = [query, key, value].map(|x| x.f_to_kind(kind));
    let mask = forest.map(|forest| forest.mask.f_to_kind(kind)).transpose()?;
    let causal = mask.is_none();
    let mixed =
        Tensor::f_scaled_dot_product_attention(&query?, &key?, &value?, mask.as_ref(), 0.0, causal, None, false)?;
    Ok(mixed.f_transpose(1, 2)?.f_reshape([batch, seq, queries * dim])?.f_to_kind(packed.kind())?)
}

/// Gives every query head a key or value head of its own: `[batch, seq, keys, dim]` -> `[batch, seq, queries, dim]`.
fn spread(x: &Tensor, queries: i64) -> Result<Tensor, Error> {
    let (batch, seq, keys, dim) = x.size4()?;
    if keys == queries {
        return Ok(x.shallow_clone());
    }
    let x = x.f_unsqueeze(3)?.f_expand([batch, seq, keys, queries / keys, dim], false)?;
    Ok(x.f_reshape([batch, seq, queries, dim])?)
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::small;
    use super::super::ops::tests::{assert_near, noise};
    use super::*;
    use grid::domain::Arch;

    /// The fused kernel against libtorch's operations: result and gradient.
    #[test]
    fn fused_attention_equals_plain_attention() {
        for (kind, tolerance) in [(Kind::Float, 2e-6), (Kind::BFloat16, 1.5e-2)] {
            for (batch, seq, queries, keys, dim, turned) in [
                (2, 1, 4, 4, 32, true),
                (1, 7, 2, 1, 64, true),
                (3, 64, 2, 2, 64, false),
                (2, 131, 6, 2, 32, true),
                (1, 200, 3, 3, 96, true),
            ] {
                let heads = Heads { queries, keys, dim };
                let shape = [batch, seq, (queries + 2 * keys) * dim];
                let config = ModelConfig { head_dim: dim as u32, max_positions: 256, ..small(Arch::Llama) };
                let rotary = Rotary::new(&config, Device::Cpu).unwrap();
                let rotary = turned.then_some(&rotary);
                let gradient = noise(&[batch, seq, queries * dim], 2).to_kind(kind);
                let run = |attend: &dyn Fn(&Tensor) -> Tensor, kind: Kind| {
                    let packed = noise(&shape, 1).to_kind(Kind::BFloat16).to_kind(kind).set_requires_grad(true);
                    let mixed = attend(&packed);
                    (&mixed * gradient.to_kind(kind)).sum(Kind::Float).backward();
                    [mixed.detach(), packed.grad()]
                };
                let packed = noise(&shape, 1).to_kind(kind);
                if !shim::can_fuse(&packed, dim) {
                    continue; // a processor without the fused operations has nothing to compare
                }
                let fused = run(&|x| causal_attention(x, heads, rotary, None).unwrap(), kind);
                // The reference computes in float32 throughout.
                let wanted = run(&|x| plain(x, heads, rotary, None).unwrap(), Kind::Float);
                for (what, (got, wanted)) in ["output", "gradient"].iter().zip(fused.iter().zip(&wanted)) {
                    assert_near(got, wanted, tolerance, &format!("{kind:?} {shape:?} {heads:?} {what}"));
                }
            }
        }
    }
}
