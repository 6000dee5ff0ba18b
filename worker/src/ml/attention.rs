//! Causal attention, the one layer that both families share.

use tch::{Device, Kind, Tensor};

use super::error::Error;
use super::shim::Autocast;

/// Softmax attention of each position to itself and those before it; all `[batch, head, seq, head_dim]`.
///
/// On a CPU it computes in float32 even where the rest is bfloat16: that kernel is the faster of the two.
pub fn causal_attention(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor, Error> {
    let attend = |query: &Tensor, key: &Tensor, value: &Tensor| {
        Tensor::f_scaled_dot_product_attention(query, key, value, None::<&Tensor>, 0.0, true, None, false)
    };
    if query.device() != Device::Cpu {
        return Ok(attend(query, key, value)?);
    }
    let _full = Autocast::off(Device::Cpu)?;
    let float = |x: &Tensor| x.f_to_kind(Kind::Float);
    Ok(attend(&float(query)?, &float(key)?, &float(value)?)?)
}
