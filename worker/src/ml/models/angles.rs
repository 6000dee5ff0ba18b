//! The angles of rotary position embeddings.

use tch::{Device, Kind, Tensor};

use crate::ml::error::Error;

/// The cosines and sines of the angles of the positions 0, 1, ...
#[derive(Debug)]
pub(super) struct Angles {
    /// `[positions, width / 2]`, float32.
    pub cosine: Tensor,
    /// `[positions, width / 2]`, float32.
    pub sine: Tensor,
}

impl Angles {
    /// Of all positions up to a number of them. They are computed on the CPU.
    pub(super) fn new(positions: i64, frequencies: &Tensor, factor: f64) -> Result<Self, Error> {
        let device = frequencies.device();
        let steps = Tensor::f_arange(positions, (Kind::Float, Device::Cpu))?;
        let Angles { cosine, sine } = Self::of(&steps, &frequencies.f_to_device(Device::Cpu)?, factor)?;
        Ok(Self { cosine: cosine.f_to_device(device)?, sine: sine.f_to_device(device)? })
    }

    /// Of these positions.
    pub(super) fn of(positions: &Tensor, frequencies: &Tensor, factor: f64) -> Result<Self, Error> {
        let angles = positions.f_to_kind(Kind::Float)?.f_outer(frequencies)?; // [positions, width / 2]
        let scaled = |x: Tensor| if factor == 1.0 { Ok(x) } else { x.f_mul_scalar(factor) };
        Ok(Self { cosine: scaled(angles.f_cos()?)?, sine: scaled(angles.f_sin()?)? })
    }

    /// The number of positions.
    pub(super) fn positions(&self) -> i64 {
        self.cosine.size()[0]
    }

    pub(super) fn shallow_clone(&self) -> Self {
        Self { cosine: self.cosine.shallow_clone(), sine: self.sine.shallow_clone() }
    }
}
