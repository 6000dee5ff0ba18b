//! Dropout inside a model (Srivastava et al. 2014).

use grid::domain::Dropout;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tch::{Device, Tensor};

use crate::ml::error::Error;

/// What a forward pass of a training drops.
///
/// The numbers that are dropped of a row are a function of the seed, the step, the number of the row in its batch, and the
/// place. Neither the padding nor the other rows of the forward pass have an effect.
#[derive(Debug, Clone)]
pub struct DropoutMasks {
    shares: Dropout,
    key: [u8; 32],
    rows: Vec<DropoutRow>,
    device: Device,
}

/// A row of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropoutRow {
    /// Its number in the batch of the step.
    pub number: usize,
    /// The number of its tokens, without padding.
    pub length: usize,
}

/// What is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The embeddings of the tokens.
    Embedding,
    /// The embeddings of relative positions, in this layer.
    Relative(usize),
    /// The weights of the attention of this layer.
    Weights(usize),
    /// The output of the attention of this layer.
    Attention(usize),
    /// The same in LTG-BERT, where the share is that of the weights.
    AttentionOfLtgBert(usize),
    /// The output of the feed-forward layer of this layer.
    FeedForward(usize),
}

impl Place {
    fn share(self, shares: &Dropout) -> f64 {
        match self {
            Place::Embedding => shares.embedding,
            Place::Relative(_) | Place::Weights(_) | Place::AttentionOfLtgBert(_) => shares.attention,
            Place::Attention(_) | Place::FeedForward(_) => shares.residual,
        }
    }

    /// A number of its own, below 2^32.
    fn number(self) -> u64 {
        let (kind, layer) = match self {
            Place::Embedding => (0, 0),
            Place::Relative(layer) => (1, layer),
            Place::Weights(layer) => (2, layer),
            Place::Attention(layer) | Place::AttentionOfLtgBert(layer) => (3, layer),
            Place::FeedForward(layer) => (4, layer),
        };
        8 * layer as u64 + kind
    }
}

/// Stands in place of a row number for tensors that all rows share.
const SHARED: u64 = u32::MAX as u64;

impl DropoutMasks {
    /// What a step of a training with this seed drops of these rows of its batch; `None` if nothing.
    ///
    /// # Errors
    /// For shares that are not between 0 and 1, and for dropout of whole layers, which is not computed here.
    pub fn new(shares: Dropout, seed: u64, step: u64, rows: Vec<DropoutRow>) -> Result<Option<Self>, Error> {
        let Dropout { embedding, attention, residual, layers } = shares;
        if layers != 0.0 {
            return Err(Error::Input(format!(
                "the configuration of the model drops whole layers ('layerdrop' is {layers}), which grid does not compute: \
                 write `dropout: none` or a share under 'finetune'"
            )));
        }
        if let Some(share) = [embedding, attention, residual].into_iter().find(|share| !(0.0..1.0).contains(share)) {
            return Err(Error::Input(format!(
                "a dropout probability of the model is {share}; grid computes those from 0 to below 1: write `dropout: \
                 none` or a share under 'finetune'"
            )));
        }
        if shares.largest() == 0.0 {
            return Ok(None);
        }
        let mut hasher = blake3::Hasher::new_derive_key("grid dropout of the body 1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(&step.to_le_bytes());
        Ok(Some(Self { shares, key: *hasher.finalize().as_bytes(), rows, device: Device::Cpu }))
    }

    /// The same for tensors on a device.
    #[must_use]
    pub fn on(&self, device: Device) -> Self {
        Self { device, ..self.clone() }
    }

    /// Whether weights of attention are dropped.
    pub(super) fn drops_weights(&self) -> bool {
        self.shares.attention > 0.0
    }

    /// Drops numbers of hidden states, `[row, token, width]`.
    pub(super) fn drop_hidden(&self, x: &Tensor, place: Place) -> Result<Tensor, Error> {
        let (rows, width, hidden) = x.size3()?;
        self.drop(x, place, [rows, width * hidden], |row, dropped, draw| {
            dropped[..row.length * hidden as usize].iter_mut().for_each(|dropped| *dropped = draw());
        })
    }

    /// Drops weights of the attention of a layer, `[row, head, token, token that it attends to]`.
    pub(super) fn drop_weights(&self, x: &Tensor, layer: usize) -> Result<Tensor, Error> {
        let (rows, heads, width, _) = x.size4()?;
        let width_of_token = width.max(1) as usize;
        self.drop(x, Place::Weights(layer), [rows, heads * width * width], |row, dropped, draw| {
            for head in dropped.chunks_mut(width_of_token * width_of_token) {
                for token in head.chunks_mut(width_of_token).take(row.length) {
                    token[..row.length].iter_mut().for_each(|dropped| *dropped = draw());
                }
            }
        })
    }

    /// Drops numbers of the embeddings of relative positions in a layer, `[embedding, width]`, which all rows share.
    pub(super) fn drop_relative(&self, x: &Tensor, layer: usize) -> Result<Tensor, Error> {
        let place = Place::Relative(layer);
        let share = place.share(&self.shares);
        if share == 0.0 {
            return Ok(x.shallow_clone());
        }
        let mut draw = self.draws(place, SHARED);
        let dropped: Vec<bool> = (0..x.numel()).map(|_| draw()).collect();
        let dropped = Tensor::f_from_slice(&dropped)?.f_to_device(self.device)?.f_view(x.size().as_slice())?;
        scaled(x, &dropped, share)
    }

    /// Drops numbers of rows; `mark` sets which ones of a row, of `shape[1]` each.
    fn drop(
        &self,
        x: &Tensor,
        place: Place,
        shape: [i64; 2],
        mark: impl Fn(DropoutRow, &mut [bool], &mut dyn FnMut() -> bool),
    ) -> Result<Tensor, Error> {
        let share = place.share(&self.shares);
        if share == 0.0 {
            return Ok(x.shallow_clone());
        }
        if shape[0] != self.rows.len() as i64 {
            return Err(Error::Input(format!("dropout of {} rows in a forward pass of {}", self.rows.len(), shape[0])));
        }
        let mut dropped = vec![false; (shape[0] * shape[1]) as usize];
        for (row, dropped) in self.rows.iter().zip(dropped.chunks_mut(shape[1].max(1) as usize)) {
            mark(*row, dropped, &mut self.draws(place, row.number as u64));
        }
        let dropped = Tensor::f_from_slice(&dropped)?.f_to_device(self.device)?.f_view(x.size().as_slice())?;
        scaled(x, &dropped, share)
    }

    /// Whether each number is dropped, in turn.
    fn draws(&self, place: Place, row: u64) -> impl FnMut() -> bool {
        let mut random = ChaCha8Rng::from_seed(self.key);
        random.set_stream((place.number() << 32) | row);
        let threshold = (place.share(&self.shares) * 2f64.powi(32)) as u64;
        move || u64::from(random.next_u32()) < threshold
    }
}

/// Zeros where a number is dropped; the others grow, so that the mean stays.
fn scaled(x: &Tensor, dropped: &Tensor, share: f64) -> Result<Tensor, Error> {
    Ok(x.f_masked_fill(dropped, 0.0)?.f_mul_scalar(1.0 / (1.0 - share))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    const SHARES: Dropout = Dropout { embedding: 0.1, attention: 0.25, residual: 0.4, layers: 0.0 };

    fn masks(step: u64, rows: &[(usize, usize)]) -> DropoutMasks {
        let rows = rows.iter().map(|&(number, length)| DropoutRow { number, length }).collect();
        DropoutMasks::new(SHARES, 7, step, rows).unwrap().unwrap()
    }

    /// The share of zeros and the mean of ones after dropout.
    fn measured(x: &Tensor) -> (f64, f64) {
        let zeros = x.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        (zeros, x.mean(Kind::Double).double_value(&[]))
    }

    #[test]
    fn every_place_drops_its_share_and_keeps_the_mean() {
        let masks = masks(3, &[(0, 60), (1, 60)]);
        let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
        let hidden = |place| masks.drop_hidden(&ones(&[2, 60, 2_000]), place).unwrap();
        let places = [
            (hidden(Place::Embedding), 0.1),
            (hidden(Place::Attention(1)), 0.4),
            (hidden(Place::AttentionOfLtgBert(1)), 0.25),
            (hidden(Place::FeedForward(1)), 0.4),
            (masks.drop_weights(&ones(&[2, 30, 60, 60]), 1).unwrap(), 0.25),
            (masks.drop_relative(&ones(&[63, 3_000]), 0).unwrap(), 0.25),
        ];
        for (index, (x, share)) in places.iter().enumerate() {
            let (zeros, mean) = measured(x);
            // Five standard errors of 180,000 draws or more.
            assert!((zeros - share).abs() < 0.006 && (mean - 1.0).abs() < 0.01, "place {index}: {zeros}, {mean}");
        }
    }

    /// A row is dropped alike alone and among others, whatever the padding; other rows, steps, layers and places differ.
    #[test]
    fn masks_are_a_function_of_step_row_and_place() {
        let ones = |rows: i64, width: i64| Tensor::ones([rows, width, 50], (Kind::Float, Device::Cpu));
        let together = masks(3, &[(4, 9), (7, 5)]);
        let both = together.drop_hidden(&ones(2, 9), Place::FeedForward(0)).unwrap();
        let alone = masks(3, &[(7, 5)]).drop_hidden(&ones(1, 5), Place::FeedForward(0)).unwrap();
        assert_eq!(both.narrow(0, 1, 1).narrow(1, 0, 5), alone);
        assert_eq!(measured(&both.narrow(0, 1, 1).narrow(1, 5, 4)).0, 0.0, "padding is not dropped");
        let of = |masks: DropoutMasks, place| masks.drop_hidden(&ones(1, 5), place).unwrap();
        let others = [
            of(masks(3, &[(4, 5)]), Place::FeedForward(0)),
            of(masks(4, &[(7, 5)]), Place::FeedForward(0)),
            of(masks(3, &[(7, 5)]), Place::FeedForward(1)),
            of(masks(3, &[(7, 5)]), Place::Attention(0)),
        ];
        assert!(others.iter().all(|other| *other != alone));

        let weights = |width: i64| Tensor::ones([1, 3, width, width], (Kind::Float, Device::Cpu));
        let [narrow, wide] = [5, 8].map(|width| masks(3, &[(7, 5)]).drop_weights(&weights(width), 0).unwrap());
        assert_eq!(wide.narrow(2, 0, 5).narrow(3, 0, 5), narrow);
    }

    #[test]
    fn shares_that_cannot_be_computed_are_refused() {
        let made = |shares| DropoutMasks::new(shares, 1, 1, vec![]);
        assert!(made(Dropout::default()).unwrap().is_none());
        let refusal = |shares| made(shares).unwrap_err().to_string();
        assert!(refusal(Dropout { layers: 0.1, ..SHARES }).contains("'layerdrop' is 0.1"));
        assert!(refusal(Dropout { residual: 1.0, ..SHARES }).contains("probability of the model is 1;"));
    }
}
