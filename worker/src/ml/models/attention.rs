//! Softmax attention.

use grid::domain::{Arch, Mistral, ModelConfig};
use tch::{Device, Kind, Tensor};

use super::cache::CachedLayer;
use super::context::{Context, Padding};
use super::dropout::DropoutMasks;
use super::rotary::Rotary;
use crate::ml::error::Error;
use crate::ml::shim::{self, CachedHeads};

/// The heads in a packed projection: queries, then keys, then values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heads {
    /// The number of query heads.
    pub queries: i64,
    /// The number of key heads, and of value heads; divides `queries`.
    pub keys: i64,
    /// The width of each head.
    pub dim: i64,
    /// The number of tokens that a token attends to at most, itself included.
    pub window: Option<i64>,
}

impl Heads {
    /// The heads of a model.
    pub(super) fn of(config: &ModelConfig) -> Self {
        let window = match config.arch {
            Arch::Mistral(Mistral { window }) => window.map(i64::from),
            _ => None,
        };
        Self { queries: config.heads.into(), keys: config.kv_heads.into(), dim: config.head_dim.into(), window }
    }
}

/// The layer of a forward pass that attention belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    /// What the rows hold.
    pub context: Context<'a>,
    /// What is dropped.
    pub dropout: Option<&'a DropoutMasks>,
    /// The number of the layer, from 0.
    pub index: usize,
}

impl Layer<'_> {
    /// Drops weights, `[batch, head, seq, seq]`, if this is a training with dropout.
    pub(super) fn drop_weights(&self, weights: Tensor) -> Result<Tensor, Error> {
        match self.dropout {
            Some(dropout) => dropout.drop_weights(&weights, self.index),
            None => Ok(weights),
        }
    }

    fn drops_weights(&self) -> bool {
        self.dropout.is_some_and(DropoutMasks::drops_weights)
    }
}

/// Softmax attention of each position to the positions of its own text: to all of them if the context is
/// [`Context::Whole`], otherwise to itself and those before it.
///
/// packed `[batch, seq, (queries + 2 * keys) * dim]` -> `[batch, seq, queries * dim]`. Query head *h* attends to
/// key/value head *h / (queries / keys)*. With a cache, the keys and values are stored as those of this layer.
pub(super) fn attention(
    packed: &Tensor,
    heads: Heads,
    rotary: Option<&Rotary>,
    layer: Layer<'_>,
) -> Result<Tensor, Error> {
    let (_, seq, _) = packed.size3()?;
    let context = layer.context;
    let length = if let Context::Step(step) = context { step.longest } else { seq };
    let windowed = heads.window.is_some_and(|window| window < length);
    let masked = matches!(context, Context::PrefixTree(_) | Context::Whole(_));
    if windowed || masked || layer.drops_weights() || !shim::can_fuse(packed, heads.dim) {
        return unfused_attention(packed, heads, rotary, layer);
    }
    // The fused operations rotate whole heads only.
    let (packed, rotary) = match rotary {
        Some(rotary) if rotary.width() < heads.dim => {
            let parts = split(packed, heads)?;
            let rotated = rotary.apply_rotary(&parts[0], context)?;
            (Tensor::f_cat(&[&rotated, &parts[1]], 2)?.f_flatten(2, 3)?, None)
        }
        rotary => (packed.shallow_clone(), rotary),
    };
    let angles = rotary.map(|rotary| rotary.tables(context)).transpose()?;
    let angles = angles.as_ref().map(|angles| (&angles.cosine, &angles.sine));
    let cached = context.cache().map(|cache| {
        let CachedLayer { keys, values } = cache.layer(layer.index);
        CachedHeads { heads: heads.queries, kv_heads: heads.keys, angles, keys, values }
    });
    match (context, cached) {
        (Context::Step(step), Some(cached)) => {
            return shim::cached_attention(&packed, cached, &step.positions, step.longest);
        }
        (Context::Prefill(prefill), Some(cached)) => shim::store_texts(&packed, cached, prefill.first)?,
        _ => {}
    }
    shim::causal_attention(&packed, heads.queries, heads.keys, angles)
}

/// Softmax attention of one token of each text to all of its tokens: query `[batch, 1, heads * dim]`, keys and values `[batch,
/// seq, 2 * heads * dim]` -> `[batch, 1, heads * dim]`.
pub(super) fn attention_of_one(
    query: &Tensor,
    keys_values: &Tensor,
    heads: Heads,
    padding: &Padding,
) -> Result<Tensor, Error> {
    let (batch, seq, _) = keys_values.size3()?;
    let Heads { queries, dim, .. } = heads;
    let parts = keys_values.f_view([batch, seq, 2, queries, dim])?.f_permute([2, 0, 3, 1, 4])?;
    let (key, value) = (parts.f_select(0, 0)?, parts.f_select(0, 1)?); // [batch, head, seq, dim]
    let query = query.f_view([batch, 1, queries, dim])?.f_transpose(1, 2)?;
    let mask = padding.mask.f_to_kind(query.kind())?;
    let mixed = Tensor::f_scaled_dot_product_attention(&query, &key, &value, Some(&mask), 0.0, false, None, false)?;
    Ok(mixed.f_transpose(1, 2)?.f_reshape([batch, 1, queries * dim])?)
}

/// Queries and keys `[batch, seq, queries + keys, dim]`, and values `[batch, seq, keys, dim]`.
fn split(packed: &Tensor, heads: Heads) -> Result<Vec<Tensor>, Error> {
    let (batch, seq, _) = packed.size3()?;
    let Heads { queries, keys, dim, .. } = heads;
    let packed = packed.f_view([batch, seq, queries + 2 * keys, dim])?;
    Ok(packed.f_split_with_sizes([queries + keys, keys], 2)?)
}

/// The same in libtorch's own operations.
fn unfused_attention(
    packed: &Tensor,
    heads: Heads,
    rotary: Option<&Rotary>,
    layer: Layer<'_>,
) -> Result<Tensor, Error> {
    let (batch, seq, _) = packed.size3()?;
    let context = layer.context;
    let Heads { queries, keys, dim, window } = heads;
    let parts = split(packed, heads)?;
    let rotated = match rotary {
        Some(rotary) => rotary.apply_rotary(&parts[0], context)?,
        None => parts[0].shallow_clone(),
    };
    let rotated = rotated.f_split_with_sizes([queries, keys], 2)?;
    // On a CPU, the float32 kernel is faster than the bfloat16 one.
    let kind = if packed.device() == Device::Cpu { Kind::Float } else { packed.kind() };
    let query = rotated[0].f_transpose(1, 2)?; // [batch, head, seq, dim]
    let (mut key, mut value) = (rotated[1].shallow_clone(), parts[1].shallow_clone()); // [batch, seq, head, dim]
    match context {
        Context::Rows | Context::PrefixTree(_) | Context::Whole(_) => {}
        Context::Prefill(prefill) => {
            prefill.cache.layer(layer.index).store_texts(prefill.first, &rotated[1], &parts[1])?;
        }
        Context::Step(step) => {
            (key, value) =
                step.cache.layer(layer.index).store_step(&step.positions, step.longest, &rotated[1], &parts[1])?;
        }
    }
    let key = repeat_kv(&key, queries)?.f_transpose(1, 2)?;
    let value = repeat_kv(&value, queries)?.f_transpose(1, 2)?;
    let [query, key, value] = [query.f_to_kind(kind)?, key.f_to_kind(kind)?, value.f_to_kind(kind)?];
    let mixed = if layer.drops_weights() {
        let scores = query.f_matmul(&key.f_transpose(2, 3)?)?.f_mul_scalar(1.0 / (dim as f64).sqrt())?;
        let scores = scores.f_add(&context.additive_mask(seq, window, packed.device())?)?;
        layer.drop_weights(scores.f_softmax(-1, Kind::Float)?)?.f_to_kind(kind)?.f_matmul(&value)?
    } else {
        let mask = match context.mask(seq, window, packed.device())? {
            Some(mask) if mask.kind() != Kind::Bool => Some(mask.f_to_kind(kind)?),
            mask => mask,
        };
        let causal = mask.is_none();
        Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask.as_ref(), 0.0, causal, None, false)?
    };
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
            let neox = Arch::ALL[6]; // rotates a quarter of each head
            for (batch, seq, queries, keys, dim, arch) in [
                (2, 1, 4, 4, 32, Some(Arch::Llama)),
                (1, 7, 2, 1, 64, Some(Arch::Llama)),
                (3, 64, 2, 2, 64, None),
                (2, 131, 6, 2, 32, Some(Arch::Llama)),
                (1, 200, 3, 3, 96, Some(Arch::Llama)),
                (2, 70, 3, 3, 32, Some(neox)),
            ] {
                let heads = Heads { queries, keys, dim, window: None };
                let shape = [batch, seq, (queries + 2 * keys) * dim];
                let config = |arch| ModelConfig { head_dim: dim as u32, max_positions: 256, ..small(arch) };
                let rotary = arch.map(|arch| Rotary::new(&config(arch), Device::Cpu).unwrap());
                let rotary = rotary.as_ref();
                let layer = Layer { context: Context::Rows, dropout: None, index: 0 };
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
                let fused = run(&|x| attention(x, heads, rotary, layer).unwrap(), kind);
                // The reference computes in float32 throughout.
                let wanted = run(&|x| unfused_attention(x, heads, rotary, layer).unwrap(), Kind::Float);
                for (what, (got, wanted)) in ["output", "gradient"].iter().zip(fused.iter().zip(&wanted)) {
                    assert_near(got, wanted, tolerance, &format!("{kind:?} {shape:?} {heads:?} {what}"));
                }
            }
        }
    }
}
