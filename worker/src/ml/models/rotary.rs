//! Rotary position embeddings.

use grid::domain::ModelConfig;
use tch::{Device, Tensor};

use super::angles::Angles;
use super::context::{Context, PrefixTree};
use crate::ml::error::Error;

/// Rotary position embeddings in the half-split form of Hugging Face (Su et al. 2021): of the first `width` elements of a
/// query or key, i and i + width / 2 are a pair that is rotated by an angle; the others stay.
#[derive(Debug)]
pub(super) struct Rotary {
    frequencies: Tensor, // [width / 2], float32
    factor: f64,         // of the cosines and sines
    tables: Angles,      // of max_positions
}

impl Rotary {
    /// Precomputes the angles of all positions.
    pub(super) fn new(config: &ModelConfig, device: Device) -> Result<Self, Error> {
        let half = i64::from(config.rotary_width() / 2);
        // Hugging Face rounds the frequencies to float32 before it multiplies.
        let mut frequencies: Vec<f32> =
            (0..half).map(|i| config.rope_base.powf(-(i as f64) / half as f64) as f32).collect();
        let mut factor = 1.0;
        if let Some(scaling) = config.rope_scaling {
            frequencies = scaling.scale(&frequencies, config.rope_base);
            factor = scaling.attention_factor();
        }
        let frequencies = Tensor::f_from_slice(&frequencies)?.f_to_device(device)?;
        let tables = Angles::new(config.max_positions.into(), &frequencies, factor)?;
        Ok(Self { frequencies, factor, tables })
    }

    /// The number of elements of a query or key that are rotated.
    pub(super) fn width(&self) -> i64 {
        2 * self.frequencies.size()[0]
    }

    /// Tables that contain all positions that texts in this context may have, except those of a prefix tree.
    pub(super) fn tables(&self, context: Context<'_>) -> Result<Angles, Error> {
        match context.cache() {
            Some(cache) if cache.capacity() > self.tables.positions() => cache.angles(|capacity| self.long(capacity)),
            _ => Ok(self.tables.shallow_clone()),
        }
    }

    /// Angles, each of which is computed on its own: libtorch may round the last ones of a table differently, so that those
    /// of a position would depend on the length of the table.
    fn long(&self, positions: i64) -> Result<Angles, Error> {
        let frequencies = Vec::<f32>::try_from(self.frequencies.f_to_device(Device::Cpu)?)?;
        let factor = self.factor as f32;
        let table = |function: fn(f32) -> f32| {
            let of = move |position: i64, frequency: f32| function(position as f32 * frequency) * factor;
            let row = |position: i64| frequencies.iter().map(move |&frequency| of(position, frequency));
            let numbers: Vec<f32> = (0..positions).flat_map(row).collect();
            let table = Tensor::f_from_slice(&numbers)?.f_view([positions, frequencies.len() as i64])?;
            Ok::<Tensor, Error>(table.f_to_device(self.frequencies.device())?)
        };
        Ok(Angles { cosine: table(f32::cos)?, sine: table(f32::sin)? })
    }

    /// Rotates queries or keys `[batch, seq, head, dim]` by the positions of their tokens, in float32.
    pub(super) fn apply_rotary(&self, x: &Tensor, context: Context<'_>) -> Result<Tensor, Error> {
        let (_, seq, _, dim) = x.size4()?;
        let (cosine, sine) = match context {
            Context::Rows | Context::Whole(_) | Context::Prefill(_) => {
                let Angles { cosine, sine } = self.tables(context)?;
                (cosine.f_narrow(0, 0, seq)?, sine.f_narrow(0, 0, seq)?)
            }
            Context::PrefixTree(PrefixTree { position_ids, positions, .. }) => {
                let position_ids = position_ids.f_flatten(0, 1)?;
                match *positions <= self.tables.positions() {
                    true => {
                        let Angles { cosine, sine } = &self.tables;
                        (cosine.f_index_select(0, &position_ids)?, sine.f_index_select(0, &position_ids)?)
                    }
                    // A text that is longer than the tables.
                    false => {
                        let Angles { cosine, sine } = Angles::of(&position_ids, &self.frequencies, self.factor)?;
                        (cosine, sine)
                    }
                }
            }
            Context::Step(step) => {
                let Angles { cosine, sine } = self.tables(context)?;
                (cosine.f_index_select(0, &step.positions)?, sine.f_index_select(0, &step.positions)?)
            }
        };
        let half = self.width() / 2;
        let (cosine, sine) = (cosine.f_view([-1, seq, 1, half])?, sine.f_view([-1, seq, 1, half])?);
        let parts = x.f_split_with_sizes([half, half, dim - 2 * half], 3)?;
        let (low, high) = (&parts[0], &parts[1]); // [batch, seq, head, width / 2]
        let new_low = low.f_mul(&cosine)?.f_sub(&high.f_mul(&sine)?)?.f_to_kind(x.kind())?;
        let new_high = high.f_mul(&cosine)?.f_add(&low.f_mul(&sine)?)?.f_to_kind(x.kind())?;
        Ok(Tensor::f_cat(&[&new_low, &new_high, &parts[2]], 3)?)
    }
}
