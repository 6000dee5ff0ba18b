//! Causal attention and rotary position embeddings.

use grid::domain::ModelConfig;
use tch::{Device, Kind, Tensor};

use crate::ml::error::Error;
use crate::ml::shim;

/// The heads in a packed projection: queries, then keys, then values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heads {
    /// The number of query heads.
    pub queries: i64,
    /// The number of key heads, and of value heads; divides `queries`.
    pub keys: i64,
    /// The width of each head.
    pub dim: i64,
}

/// The structure of rows that hold several texts whose shared prefixes appear once.
#[derive(Debug)]
pub struct PrefixTree {
    /// The position of each token in its text, int64 `[batch, seq]`.
    pub position_ids: Tensor,
    /// The number of positions: one more than the greatest of `position_ids`.
    pub positions: i64,
    /// The attention mask, float32 `[batch, 1, seq, seq]`: 0 where a token attends to another, far below zero elsewhere.
    pub mask: Tensor,
}

/// Rotary position embeddings in the half-split form of Hugging Face (Su et al. 2021): elements i and i + dim / 2 of a
/// query or key are a pair that is rotated by an angle.
#[derive(Debug)]
pub(super) struct Rotary {
    frequencies: Tensor, // [dim / 2], float32
    cosine: Tensor,      // [max_positions, dim / 2], float32
    sine: Tensor,        // [max_positions, dim / 2], float32
}

impl Rotary {
    /// Precomputes the angles of all positions.
    pub(super) fn new(config: &ModelConfig, device: Device) -> Result<Self, Error> {
        let (positions, half) = (i64::from(config.max_positions), i64::from(config.head_dim / 2));
        // Hugging Face rounds the frequencies to float32 before it multiplies.
        let frequencies: Vec<f32> =
            (0..half).map(|i| config.rope_base.powf(-(i as f64) / half as f64) as f32).collect();
        let frequencies = Tensor::f_from_slice(&frequencies)?;
        let steps = Tensor::f_arange(positions, (Kind::Float, Device::Cpu))?;
        let angles = steps.f_outer(&frequencies)?; // [max_positions, dim / 2]
        let (cosine, sine) = (angles.f_cos()?.f_to_device(device)?, angles.f_sin()?.f_to_device(device)?);
        Ok(Self { frequencies: frequencies.f_to_device(device)?, cosine, sine })
    }

    /// Rotates queries or keys `[batch, seq, head, dim]` by the positions 0..seq or those of a prefix tree, in float32.
    fn apply_rotary(&self, x: &Tensor, prefix_tree: Option<&PrefixTree>) -> Result<Tensor, Error> {
        let (batch, seq, _, dim) = x.size4()?;
        let (cosine, sine) = match prefix_tree {
            None => (self.cosine.f_narrow(0, 0, seq)?, self.sine.f_narrow(0, 0, seq)?),
            Some(PrefixTree { position_ids, positions, .. }) => {
                let position_ids = position_ids.f_flatten(0, 1)?;
                match *positions <= self.cosine.size()[0] {
                    true => {
                        (self.cosine.f_index_select(0, &position_ids)?, self.sine.f_index_select(0, &position_ids)?)
                    }
                    // A text that is longer than the tables.
                    false => {
                        let angles = position_ids.f_to_kind(Kind::Float)?.f_outer(&self.frequencies)?;
                        (angles.f_cos()?, angles.f_sin()?)
                    }
                }
            }
        };
        let rows = if prefix_tree.is_some() { batch } else { 1 };
        let (cosine, sine) = (cosine.f_view([rows, seq, 1, dim / 2])?, sine.f_view([rows, seq, 1, dim / 2])?);
        let halves = x.f_split(dim / 2, 3)?;
        let (low, high) = (&halves[0], &halves[1]); // [batch, seq, head, dim / 2]
        let new_low = low.f_mul(&cosine)?.f_sub(&high.f_mul(&sine)?)?;
        let new_high = high.f_mul(&cosine)?.f_add(&low.f_mul(&sine)?)?;
        Ok(Tensor::f_cat(&[new_low, new_high], 3)?.f_to_kind(x.kind())?)
    }
}

/// Softmax attention of each position to itself and the positions before it; in a prefix tree, to those before it in its
/// own text.
///
/// packed `[batch, seq, (queries + 2 * keys) * dim]` -> `[batch, seq, queries * dim]`. Query head *h* attends to
/// key/value head *h / (queries / keys)*.
pub(super) fn causal_attention(
    packed: &Tensor,
    heads: Heads,
    rotary: Option<&Rotary>,
    prefix_tree: Option<&PrefixTree>,
) -> Result<Tensor, Error> {
    if prefix_tree.is_none() && shim::can_fuse(packed, heads.dim) {
        let angles = rotary.map(|rotary| (&rotary.cosine, &rotary.sine));
        return shim::causal_attention(packed, heads.queries, heads.keys, angles);
    }
    unfused_attention(packed, heads, rotary, prefix_tree)
}

/// The same in libtorch's own operations.
fn unfused_attention(
    packed: &Tensor,
    heads: Heads,
    rotary: Option<&Rotary>,
    prefix_tree: Option<&PrefixTree>,
) -> Result<Tensor, Error> {
    let (batch, seq, _) = packed.size3()?;
    let Heads { queries, keys, dim } = heads;
    let packed = packed.f_view([batch, seq, queries + 2 * keys, dim])?; // [batch, seq, head, dim]
    let parts = packed.f_split_with_sizes([queries + keys, keys], 2)?;
    let rotated = match rotary {
        Some(rotary) => rotary.apply_rotary(&parts[0], prefix_tree)?,
        None => parts[0].shallow_clone(),
    };
    let rotated = rotated.f_split_with_sizes([queries, keys], 2)?;
    let query = rotated[0].f_transpose(1, 2)?; // [batch, head, seq, dim]
    let key = repeat_kv(&rotated[1], queries)?.f_transpose(1, 2)?;
    let value = repeat_kv(&parts[1], queries)?.f_transpose(1, 2)?;
    // On a CPU, the float32 kernel is faster than the bfloat16 one.
    let kind = if packed.device() == Device::Cpu { Kind::Float } else { packed.kind() };
    let [query, key, value] = [query, key, value].map(|x| x.f_to_kind(kind));
    let mask = prefix_tree.map(|tree| tree.mask.f_to_kind(kind)).transpose()?;
    let causal = mask.is_none();
    let mixed =
        Tensor::f_scaled_dot_product_attention(&query?, &key?, &value?, mask.as_ref(), 0.0, causal, None, false)?;
    Ok(mixed.f_transpose(1, 2)?.f_reshape([batch, seq, queries * dim])?.f_to_kind(packed.kind())?)
}

/// Repeats key or value heads so that every query head has its own: `[batch, seq, keys, dim]` ->
/// `[batch, seq, queries, dim]`.
fn repeat_kv(x: &Tensor, queries: i64) -> Result<Tensor, Error> {
    let (batch, seq, keys, dim) = x.size4()?;
    if keys == queries {
        return Ok(x.shallow_clone());
    }
    let x = x.f_unsqueeze(3)?.f_expand([batch, seq, keys, queries / keys, dim], false)?;
    Ok(x.f_reshape([batch, seq, queries, dim])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::{assert_near, noise, small};
    use grid::domain::Arch;

    /// Compares results and gradients.
    #[test]
    fn fused_attention_equals_unfused_attention() {
        for (kind, tolerance) in [(Kind::Float, 2e-6), (Kind::BFloat16, 1.5e-2)] {
            for (batch, seq, queries, keys, dim, rotated) in [
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
                let rotary = rotated.then_some(&rotary);
                let gradient = noise(&[batch, seq, queries * dim], 2).to_kind(kind);
                let run = |attend: &dyn Fn(&Tensor) -> Tensor, kind: Kind| {
                    let packed = noise(&shape, 1).to_kind(Kind::BFloat16).to_kind(kind).set_requires_grad(true);
                    let mixed = attend(&packed);
                    (&mixed * gradient.to_kind(kind)).sum(Kind::Float).backward();
                    [mixed.detach(), packed.grad()]
                };
                let packed = noise(&shape, 1).to_kind(kind);
                if !shim::can_fuse(&packed, dim) {
                    continue; // this processor has no fused operations
                }
                let fused = run(&|x| causal_attention(x, heads, rotary, None).unwrap(), kind);
                // The reference computes in float32 throughout.
                let wanted = run(&|x| unfused_attention(x, heads, rotary, None).unwrap(), Kind::Float);
                for (what, (got, wanted)) in ["output", "gradient"].iter().zip(fused.iter().zip(&wanted)) {
                    assert_near(got, wanted, tolerance, &format!("{kind:?} {shape:?} {heads:?} {what}"));
                }
            }
        }
    }
}
