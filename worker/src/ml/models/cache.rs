//! The key/value cache of generation: what earlier tokens contribute to attention, so that each new token is one step.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

use grid::domain::{ModelConfig, Precision};
use tch::{Device, Kind, Tensor};

use super::angles::Angles;
use crate::ml::error::Error;

/// The keys and values of a number of texts. Text *i* is in slot *i*; texts are added behind the last one, and the last one
/// takes the slot of one that is removed.
///
/// It belongs to the weights of one model: it holds copies of them in other layouts, so they may not change while it exists.
#[derive(Debug)]
pub struct Cache {
    layers: Vec<CachedLayer>,
    pub(super) slots: i64,
    capacity: i64,
    pub(super) precision: Precision,
    pub(super) device: Device,
    /// The number of cached tokens of each text.
    pub(super) lengths: Vec<i64>,
    /// Weights in another kind or layout, by the address of the weight.
    copies: RefCell<HashMap<usize, Tensor>>,
    angles: OnceCell<Angles>,
}

/// The keys, which have been rotated, and values of one layer: float32 on a CPU, otherwise of the kind of the activations.
#[derive(Debug)]
pub(super) struct CachedLayer {
    /// `[slots, heads, dim, capacity]`, so that products with a query add vectors of adjacent positions.
    pub keys: Tensor,
    /// `[slots, heads, capacity, dim]`.
    pub values: Tensor,
}

impl Cache {
    /// An empty cache for this many texts of at most `capacity` tokens each.
    pub(super) fn new(
        config: &ModelConfig,
        device: Device,
        precision: Precision,
        slots: usize,
        capacity: usize,
    ) -> Result<Self, Error> {
        let (heads, dim) = (i64::from(config.kv_heads), i64::from(config.head_dim));
        // A whole number of vectors, because the fused operations read whole vectors of positions.
        let (slots, capacity) = (slots as i64, capacity.next_multiple_of(64) as i64);
        let options = (kind(device, precision), device);
        let layer = || {
            Ok(CachedLayer {
                keys: Tensor::f_zeros([slots, heads, dim, capacity], options)?,
                values: Tensor::f_zeros([slots, heads, capacity, dim], options)?,
            })
        };
        Ok(Self {
            layers: (0..config.layers).map(|_| layer()).collect::<Result<_, Error>>()?,
            slots,
            capacity,
            precision,
            device,
            lengths: vec![],
            copies: RefCell::default(),
            angles: OnceCell::new(),
        })
    }

    /// The number of bytes that one token takes in a cache for a model of this configuration.
    pub fn bytes_per_token(config: &ModelConfig, device: Device, precision: Precision) -> u64 {
        let bytes = if kind(device, precision) == Kind::Float { 4 } else { 2 };
        2 * u64::from(config.layers) * u64::from(config.kv_heads) * u64::from(config.head_dim) * bytes
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Removes a text; the last one takes its place.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn swap_remove(&mut self, text: usize) -> Result<(), Error> {
        let last = self.lengths.len() - 1;
        let _no_grad = tch::no_grad_guard();
        if text != last {
            let length = self.lengths[last];
            for CachedLayer { keys, values } in &self.layers {
                for (whole, positions) in [(keys, 3), (values, 2)] {
                    let slot = |slot: usize| whole.f_select(0, slot as i64)?.f_narrow(positions - 1, 0, length);
                    slot(text)?.f_copy_(&slot(last)?)?;
                }
            }
        }
        self.lengths.swap_remove(text);
        Ok(())
    }

    /// The number of tokens that a text may have.
    pub(super) fn capacity(&self) -> i64 {
        self.capacity
    }

    /// The keys and values of a layer.
    pub(super) fn layer(&self, layer: usize) -> &CachedLayer {
        &self.layers[layer]
    }

    /// The angles of rotary positions up to the capacity, which are computed once.
    pub(super) fn angles(&self, compute: impl FnOnce(i64) -> Result<Angles, Error>) -> Result<Angles, Error> {
        if let Some(angles) = self.angles.get() {
            return Ok(angles.shallow_clone());
        }
        let angles = compute(self.capacity)?;
        Ok(self.angles.get_or_init(|| angles).shallow_clone())
    }

    /// A weight in another kind.
    pub(super) fn converted(&self, weight: &Tensor, kind: Kind) -> Result<Tensor, Error> {
        self.copy_of(weight, |weight| Ok(weight.f_to_kind(kind)?))
    }

    /// A weight `[in, out]` as `[out, in]` of this kind.
    pub(super) fn transposed(&self, weight: &Tensor, kind: Kind) -> Result<Tensor, Error> {
        self.copy_of(weight, |weight| Ok(weight.f_tr()?.f_contiguous()?.f_to_kind(kind)?))
    }

    fn copy_of(&self, weight: &Tensor, copy: impl FnOnce(&Tensor) -> Result<Tensor, Error>) -> Result<Tensor, Error> {
        let address = weight.data_ptr() as usize;
        if let Some(copy) = self.copies.borrow().get(&address) {
            return Ok(copy.shallow_clone());
        }
        let copy = copy(&weight.f_detach()?)?;
        self.copies.borrow_mut().insert(address, copy.shallow_clone());
        Ok(copy)
    }
}

impl CachedLayer {
    /// Stores the keys and values `[batch, seq, heads, dim]` of new texts.
    pub(super) fn store_texts(&self, first: i64, keys: &Tensor, values: &Tensor) -> Result<(), Error> {
        let (batch, seq, _, _) = keys.size4()?;
        let slots = |whole: &Tensor| whole.f_narrow(0, first, batch);
        slots(&self.keys)?.f_narrow(3, 0, seq)?.f_copy_(&keys.f_permute([0, 2, 3, 1])?)?;
        slots(&self.values)?.f_narrow(2, 0, seq)?.f_copy_(&values.f_transpose(1, 2)?)?;
        Ok(())
    }

    /// Stores the key and value `[batch, 1, heads, dim]` of one more token of each text, at positions `[batch]` that are below
    /// `longest`, and returns the keys and values
    /// `[batch, longest, heads, dim]` of all tokens.
    pub(super) fn store_step(
        &self,
        positions: &Tensor,
        longest: i64,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), Error> {
        let (batch, _, _, _) = keys.size4()?;
        let rows = Tensor::f_arange(batch, (Kind::Int64, keys.device()))?;
        let (rows, positions) = (Some(&rows), Some(positions));
        let new = |x: &Tensor| x.f_squeeze_dim(1)?.f_to_kind(self.keys.kind()); // [batch, heads, dim]
        let _same = self.keys.shallow_clone().f_index_put_(&[rows, None, None, positions], &new(keys)?, false)?;
        let _same = self.values.shallow_clone().f_index_put_(&[rows, None, positions], &new(values)?, false)?;
        let keys = self.keys.f_narrow(0, 0, batch)?.f_narrow(3, 0, longest)?.f_permute([0, 3, 1, 2])?;
        Ok((keys, self.values.f_narrow(0, 0, batch)?.f_narrow(2, 0, longest)?.f_transpose(1, 2)?))
    }
}

/// The kind of the numbers in a cache. On a CPU, the float32 kernels of attention are faster than the bfloat16 ones.
fn kind(device: Device, precision: Precision) -> Kind {
    match (device, precision) {
        (Device::Cpu, _) | (_, Precision::F32) => Kind::Float,
        (_, Precision::Bf16) => Kind::BFloat16,
    }
}
