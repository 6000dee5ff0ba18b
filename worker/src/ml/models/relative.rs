//! Attention to relative positions, disentangled from that to contents (He et al. 2021).

use grid::domain::PositionSplit;
use tch::{Device, Kind, Tensor};

use super::attention::{Heads, Layer};
use super::context::Context;
use crate::ml::error::Error;

/// Which embedding of a relative position two tokens have.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelativePositions {
    /// Half of the number of embeddings, rounded up.
    pub bucket: i64,
    /// The number of positions; distances beyond it count as the longest one.
    pub most: i64,
    /// Which parts of a projected embedding are its query and its key.
    pub split: PositionSplit,
}

impl RelativePositions {
    /// The index of the embedding for each pair of tokens, int64 `[batch or 1, seq, seq]`. Distances below half of a bucket
    /// have embeddings of their own; longer ones share them on a logarithmic scale.
    pub(super) fn indices(self, context: Context<'_>, seq: i64, device: Device) -> Result<Tensor, Error> {
        let positions = match context {
            Context::PrefixTree(tree) => tree.position_ids.shallow_clone(),
            _ => Tensor::f_arange(seq, (Kind::Int64, device))?.f_unsqueeze(0)?,
        };
        let distance = positions.f_unsqueeze(2)?.f_sub(&positions.f_unsqueeze(1)?)?;
        let middle = self.bucket / 2;
        let absolute = distance.f_abs()?.f_clamp(middle - 1, self.most - 1)?;
        // In float32, as the original computes it.
        let longest = ((self.most - 1) as f64 / middle as f64).ln();
        let steps = absolute.f_to_kind(Kind::Float)?.f_div_scalar(middle)?.f_log()?.f_div_scalar(longest)?;
        let steps = steps.f_mul_scalar(middle - 1)?.f_ceil()?.f_to_kind(Kind::Int64)?.f_add_scalar(middle)?;
        let far = steps.f_mul(&distance.f_sign()?)?;
        Ok(far.f_where_self(&absolute.f_gt(middle)?, &distance)?.f_add_scalar(self.bucket - 1)?)
    }
}

/// The inputs of one attention layer; all in float32.
pub(super) struct RelativeAttention<'a> {
    /// The heads.
    pub heads: Heads,
    /// Queries, then keys, `[batch, seq, 2 * width]`.
    pub query_key: &'a Tensor,
    /// Values, `[batch, seq, width]`.
    pub value: &'a Tensor,
    /// The projected embeddings of relative positions, `[embeddings, 2 * width]`.
    pub relative: &'a Tensor,
    /// What [`RelativePositions::indices`] returns.
    pub indices: &'a Tensor,
    /// What is added to the scores, broadcast to `[batch, head, seq, seq]`.
    pub mask: &'a Tensor,
    /// The layer.
    pub layer: Layer<'a>,
}

impl RelativeAttention<'_> {
    /// Softmax attention whose scores are those of contents with contents, of contents with positions, and of positions
    /// with contents: `[batch, seq, width]`.
    pub(super) fn compute(&self, split: PositionSplit) -> Result<Tensor, Error> {
        let Heads { queries: heads, dim, .. } = self.heads;
        let (batch, seq, width) = self.value.size3()?;
        let by_head =
            |x: &Tensor| -> Result<Tensor, Error> { Ok(x.f_view([batch, seq, heads, dim])?.f_transpose(1, 2)?) };
        let halves = self.query_key.f_chunk(2, 2)?;
        let (query, key) = (by_head(&halves[0].f_contiguous()?)?, by_head(&halves[1].f_contiguous()?)?);
        let value = by_head(self.value)?;
        // [head, embeddings, dim]
        let (query_positions, key_positions) = match split {
            PositionSplit::Halves => {
                let halves = self.relative.f_view([-1, 2, heads, dim])?.f_permute([1, 2, 0, 3])?;
                (halves.f_select(0, 0)?, halves.f_select(0, 1)?)
            }
            PositionSplit::Heads => {
                let halves = self.relative.f_view([-1, heads, 2, dim])?.f_permute([2, 1, 0, 3])?;
                (halves.f_select(0, 0)?, halves.f_select(0, 1)?)
            }
        };
        let scale = 1.0 / (3.0 * dim as f64).sqrt();
        let index = self.indices.f_unsqueeze(1)?; // [batch or 1, 1, seq, seq]
        let size = [batch, heads, seq, seq];
        // Products with all embeddings, [batch, head, seq, embeddings], of which each pair of tokens takes one.
        let to_keys =
            query.f_matmul(&key_positions.f_transpose(1, 2)?)?.f_gather(3, &index.f_expand(size, false)?, false)?;
        let index = index.f_transpose(2, 3)?.f_expand(size, false)?;
        let to_queries = key.f_matmul(&query_positions.f_transpose(1, 2)?)?.f_gather(3, &index, false)?;
        let scores = query.f_matmul(&key.f_transpose(2, 3)?)?.f_add(&to_keys)?.f_add(&to_queries.f_transpose(2, 3)?)?;
        let weights = scores.f_mul_scalar(scale)?.f_add(self.mask)?.f_softmax(-1, Kind::Float)?;
        let weights = self.layer.drop_weights(weights)?;
        Ok(weights.f_matmul(&value)?.f_transpose(1, 2)?.f_reshape([batch, seq, width])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_distances_share_embeddings() {
        let positions = RelativePositions { bucket: 32, most: 512, split: PositionSplit::Halves };
        let indices = positions.indices(Context::Rows, 512, Device::Cpu).unwrap();
        let of = |from: i64, to: i64| indices.int64_value(&[0, from, to]);
        assert_eq!([of(3, 3), of(15, 0), of(16, 0), of(511, 0)], [31, 46, 47, 62]);
        assert_eq!([of(0, 15), of(0, 16), of(0, 17), of(0, 511)], [16, 15, 14, 0]);
    }
}
