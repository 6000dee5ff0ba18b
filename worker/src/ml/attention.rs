//! Causal attention, the one layer that both families share.

use tch::{Device, Kind, Tensor};

use super::error::Error;
use super::shim::Autocast;

/// Rows that hold several texts with common beginnings, instead of one text from its start.
#[derive(Debug)]
pub struct Forest {
    /// How many tokens stand before each in its text, int64 `[batch, seq]`: its position.
    pub depths: Tensor,
    /// 0 where a token sees another, far below zero elsewhere, float32 `[batch, 1, seq, seq]`.
    pub mask: Tensor,
}

/// Softmax attention of each position to itself and those before it, or in a forest to itself and those before it in
/// its text; all `[batch, head, seq, head_dim]`.
///
/// On a CPU it computes in float32 even where the rest is bfloat16: that kernel is the faster of the two.
pub fn causal_attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    forest: Option<&Forest>,
) -> Result<Tensor, Error> {
    let mask = forest.map(|forest| &forest.mask);
    let attend = |query: &Tensor, key: &Tensor, value: &Tensor| {
        Tensor::f_scaled_dot_product_attention(query, key, value, mask, 0.0, mask.is_none(), None, false)
    };
    if query.device() != Device::Cpu {
        return Ok(attend(query, key, value)?);
    }
    let _full = Autocast::off(Device::Cpu)?;
    let float = |x: &Tensor| x.f_to_kind(Kind::Float);
    Ok(attend(&float(query)?, &float(key)?, &float(value)?)?)
}
