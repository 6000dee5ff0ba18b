//! Texts that a model continues token by token, with their keys and values in a cache.

use grid::domain::Precision;
use tch::{Kind, Tensor};

use super::cache::Cache;
use super::context::{Context, Prefill, Step};
use super::layers::row_linear;
use super::model::Model;
use crate::ml::error::Error;
use crate::ml::shim;

impl Model {
    /// An empty cache for this many texts of at most `capacity` tokens each.
    ///
    /// # Errors
    /// For a model that is evaluated only, or if there is not enough memory.
    pub fn cache(&self, slots: usize, capacity: usize, precision: Precision) -> Result<Cache, Error> {
        let config = self.config();
        if !config.arch.is_trained() {
            let name = config.arch.name();
            return Err(Error::Input(format!(
                "models of the architecture {name} predict masked tokens and write no text"
            )));
        }
        Cache::new(config, self.device(), precision, slots, capacity)
    }

    /// Adds texts to a cache of this model. Returns the logits of the token after each, float32 `[texts, vocab]`.
    ///
    /// # Errors
    /// If a text is empty or too long, the cache has no room for it, or libtorch fails.
    pub fn prefill(&self, cache: &mut Cache, texts: &[&[u32]]) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        let (first, longest) = (cache.lengths.len(), texts.iter().map(|text| text.len()).max().unwrap_or(0));
        if texts.iter().any(|text| text.is_empty()) || (first + texts.len()) as i64 > cache.slots {
            return Err(Error::Input("a cache takes texts of at least one token, one for each slot".to_owned()));
        }
        self.check_positions(cache, longest as i64)?;
        let (mut ids, mut last) = (vec![0i64; texts.len() * longest], vec![]);
        for (index, (row, text)) in ids.chunks_mut(longest.max(1)).zip(texts).enumerate() {
            row.iter_mut().zip(*text).for_each(|(slot, &id)| *slot = id.into());
            last.push((index * longest + text.len() - 1) as i64);
        }
        let put = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to_device(cache.device);
        let ids = put(&ids)?.f_view([texts.len() as i64, longest as i64])?;
        let context = Context::Prefill(Prefill { cache, first: first as i64 });
        let hidden = self.decode(&ids, context, cache.precision)?; // [texts, longest, hidden]
        let hidden = hidden.f_flatten(0, 1)?.f_index_select(0, &put(&last)?)?;
        cache.lengths.extend(texts.iter().map(|text| text.len() as i64));
        self.logits(&hidden)
    }

    /// Adds one token to each text of a cache of this model. Returns the logits of the
    /// token after it, float32 `[texts, vocab]`.
    ///
    /// # Errors
    /// If there is not one id for each text, a text becomes too long, or libtorch fails.
    pub fn step(&self, cache: &mut Cache, ids: &[u32]) -> Result<Tensor, Error> {
        let _no_grad = tch::no_grad_guard();
        if ids.len() != cache.lengths.len() {
            return Err(Error::Input(format!("{} ids for {} texts", ids.len(), cache.lengths.len())));
        }
        let longest = cache.lengths.iter().max().map_or(0, |length| length + 1);
        self.check_positions(cache, longest)?;
        let put = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to_device(cache.device);
        let ids: Vec<i64> = ids.iter().map(|&id| id.into()).collect();
        let step = Step::new(cache, put(&cache.lengths)?, longest);
        let hidden = self.decode(&put(&ids)?.f_unsqueeze(1)?, Context::Step(&step), cache.precision)?;
        cache.lengths.iter_mut().for_each(|length| *length += 1);
        self.logits(&hidden.f_squeeze_dim(1)?)
    }

    /// The logits of final hidden states, in float32 whatever the precision: `[texts, hidden]` -> `[texts, vocab]`.
    fn logits(&self, hidden: &Tensor) -> Result<Tensor, Error> {
        row_linear(&hidden.f_to_kind(Kind::Float)?, self.head())
    }

    /// Whether the logits of a text in a cache are the same bit for bit, whatever other texts are beside it and however many
    /// threads compute them.
    pub fn steps_are_exact(&self) -> bool {
        let config = self.config();
        let widths = [config.hidden, config.heads * config.head_dim, config.head_dim, config.intermediate];
        widths.into_iter().all(|width| shim::can_fuse(self.head(), width.into()))
    }

    fn check_positions(&self, cache: &Cache, longest: i64) -> Result<(), Error> {
        let limit = self.position_limit().map_or(cache.capacity(), i64::from).min(cache.capacity());
        match longest <= limit {
            true => Ok(()),
            false => Err(Error::Input(format!("a text of {longest} tokens does not fit into a cache of {limit}"))),
        }
    }
}

#[cfg(test)]
mod tests;
