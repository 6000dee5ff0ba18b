//! Batches of prompts whose replies grow together.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

use grid::domain::{Precision, SamplingOptions};
use tch::{Device, Tensor};

use super::choice::choose;
use super::prompt::{Prompt, SampledReply, Unsamplable};
use crate::ml::error::Error;
use crate::ml::models::{Cache, Model};

/// The number of prompts in a chunk.
const CHUNK: usize = 256;

/// The chunks of this number of prompts, as ranges of their indices: 256 prompts each, the last one fewer. Another number
/// of prompts has the same chunks up to the last whole one.
pub fn chunks(prompts: usize) -> impl Iterator<Item = Range<usize>> {
    (0..prompts).step_by(CHUNK).map(move |start| start..prompts.min(start + CHUNK))
}

/// Continues prompts with one model. See the [module](super) for what a reply depends on.
#[derive(Debug, Clone)]
pub struct Sampler<'a> {
    model: &'a Model,
    options: SamplingOptions,
    precision: Precision,
    limits: Limits,
}

/// The sizes of batches.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The most prompts in a batch.
    rows: usize,
    /// The most bytes of the cache, as far as it has more than one prompt.
    cache_bytes: u64,
    /// The most tokens of prompts in one forward pass, padding included, if it has more than one prompt.
    tokens: usize,
}

/// Prompts that are being continued.
#[derive(Debug)]
pub struct Sampling<'a> {
    sampler: Sampler<'a>,
    prompts: &'a [Prompt],
    /// The indices of the prompts that have not begun, the longest first.
    waiting: VecDeque<usize>,
    batch: Option<Batch>,
    replies: Vec<Option<SampledReply>>,
    tokens: u64,
}

/// The prompts whose keys and values are in a cache.
#[derive(Debug)]
struct Batch {
    cache: Cache,
    slots: usize,
    /// The number of tokens that a text may have.
    capacity: usize,
    /// The replies in the order of the cache; each has at least one token, the last of which is not in the cache.
    growing: Vec<GrowingReply>,
}

#[derive(Debug)]
struct GrowingReply {
    prompt: usize,
    ids: Vec<u32>,
}

impl<'a> Sampler<'a> {
    /// A sampler for a model.
    ///
    /// # Errors
    /// For options that are impossible, also with this model.
    pub fn new(model: &'a Model, options: SamplingOptions, precision: Precision) -> Result<Self, Error> {
        if let Some(problem) = options.problem() {
            return Err(Error::Input(problem));
        }
        let vocab_size = model.config().vocab_size;
        if let Some(id) = options.stop.iter().find(|&&id| id >= vocab_size) {
            return Err(Error::Input(format!("stop token {id} is not in the model's vocabulary of {vocab_size}")));
        }
        if options.min_new_tokens > 0 && (0..vocab_size).all(|id| options.stop.contains(&id)) {
            return Err(Error::Input("every token is a stop token, so no reply can have min_new_tokens".to_owned()));
        }
        let limits = match model.device() {
            Device::Cpu => Limits { rows: 64, cache_bytes: 1 << 30, tokens: 4_096 },
            _ => Limits { rows: 256, cache_bytes: 8 << 30, tokens: 65_536 },
        };
        Ok(Self { model, options, precision, limits })
    }

    /// The same sampler with another limit to the memory of the cache. A single prompt may need more.
    #[cfg(test)]
    fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.limits.cache_bytes = bytes;
        self
    }

    /// The same sampler with another limit to the number of prompts in a batch.
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.limits.rows = rows.max(1);
        self
    }

    /// Whether replies are the same bit for bit however prompts are arranged; see the [module](super).
    pub fn is_exact(&self) -> bool {
        self.model.steps_are_exact()
    }

    /// Checks that a prompt can be continued.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, prompt: &Prompt) -> Result<(), Unsamplable> {
        let (ids, new) = (&prompt.ids, self.options.max_new_tokens);
        if ids.is_empty() {
            return Err(Unsamplable::Empty);
        }
        // The last new token needs no position.
        if let Some(limit) = self.model.position_limit().filter(|&limit| self.needed(prompt) > limit as usize) {
            return Err(Unsamplable::TooLong { prompt: ids.len(), new, limit });
        }
        let vocab_size = self.model.config().vocab_size;
        match ids.iter().find(|&&id| id >= vocab_size) {
            Some(&id) => Err(Unsamplable::NotInVocabulary { id, vocab_size }),
            None => Ok(()),
        }
    }

    /// The replies to the prompts, in their order.
    ///
    /// # Errors
    /// See [`Sampler::begin`] and [`Sampling::advance`].
    pub fn replies(&self, prompts: &[Prompt]) -> Result<Vec<SampledReply>, Error> {
        let mut sampling = self.begin(prompts)?;
        while sampling.advance()? {}
        Ok(sampling.finish())
    }

    /// Checks and sorts the prompts.
    ///
    /// # Errors
    /// If any of the prompts cannot be continued.
    pub fn begin<'b>(&self, prompts: &'b [Prompt]) -> Result<Sampling<'b>, Error>
    where
        'a: 'b,
    {
        for (index, prompt) in prompts.iter().enumerate() {
            self.check(prompt).map_err(|problem| Error::Input(format!("prompt {index}: {problem}")))?;
        }
        let mut waiting: Vec<usize> = (0..prompts.len()).collect();
        waiting.sort_by_key(|&index| Reverse(prompts[index].ids.len()));
        let replies = prompts.iter().map(|_| None).collect();
        Ok(Sampling { sampler: self.clone(), prompts, waiting: waiting.into(), batch: None, replies, tokens: 0 })
    }

    /// The number of tokens of a text in the cache; the last new one is only predicted.
    fn needed(&self, prompt: &Prompt) -> usize {
        prompt.ids.len() + self.options.max_new_tokens as usize - 1
    }
}

impl Sampling<'_> {
    /// Adds a token to each reply of the batch, or begins the next prompts, and returns whether work is left. When memory
    /// runs out, the prompts of the batch begin again in batches of half as many, down to a single one.
    ///
    /// # Errors
    /// If libtorch fails, or logits are not finite.
    pub fn advance(&mut self) -> Result<bool, Error> {
        let rows = match &self.batch {
            Some(batch) => batch.slots,
            None => self.sampler.limits.rows.min(self.waiting.len()),
        };
        match self.try_advance() {
            Err(Error::OutOfMemory(_)) if rows > 1 => {
                if let Some(batch) = self.batch.take() {
                    batch.growing.iter().rev().for_each(|reply| self.waiting.push_front(reply.prompt));
                }
                self.sampler.limits.rows = rows / 2;
                tracing::info!(rows = rows / 2, "out of memory while sampling: continuing with smaller batches");
            }
            result => result?,
        }
        Ok(!self.waiting.is_empty() || self.batch.as_ref().is_some_and(|batch| !batch.growing.is_empty()))
    }

    /// The number of replies that have ended, of all replies, and of new tokens.
    pub fn progress(&self) -> (usize, usize, u64) {
        let waiting = self.waiting.len() + self.batch.as_ref().map_or(0, |batch| batch.growing.len());
        (self.prompts.len() - waiting, self.prompts.len(), self.tokens)
    }

    /// The replies in the order of the prompts.
    ///
    /// # Panics
    /// If [`Sampling::advance`] has not returned false.
    pub fn finish(self) -> Vec<SampledReply> {
        let ended = |reply: Option<SampledReply>| reply.unwrap_or_else(|| panic!("a reply has not ended"));
        self.replies.into_iter().map(ended).collect()
    }

    fn try_advance(&mut self) -> Result<(), Error> {
        let mut batch = match self.batch.take() {
            Some(batch) if !batch.growing.is_empty() || self.fits(&batch) => batch,
            _ => match self.new_batch()? {
                Some(batch) => batch,
                None => return Ok(()),
            },
        };
        // Begins prompts in half of the slots at a time, because a few prompts cost almost as much as many.
        let result = match batch.growing.len() <= batch.slots / 2 && self.fits(&batch) {
            true => self.add_prompts(&mut batch),
            false => self.step(&mut batch),
        };
        self.batch = Some(batch);
        result
    }

    /// Whether the next prompt belongs into this batch. A much shorter one gets a batch with more slots instead.
    fn fits(&self, batch: &Batch) -> bool {
        let needed = self.waiting.front().map(|&index| self.sampler.needed(&self.prompts[index]));
        needed.is_some_and(|needed| needed <= batch.capacity && (2 * needed > batch.capacity || batch.slots > 32))
    }

    /// An empty batch for the longest of the waiting prompts; `None` if there is none.
    fn new_batch(&self) -> Result<Option<Batch>, Error> {
        let Some(&longest) = self.waiting.front() else { return Ok(None) };
        let Sampler { model, precision, limits, .. } = &self.sampler;
        let capacity = self.sampler.needed(&self.prompts[longest]);
        let bytes = Cache::bytes_per_token(model.config(), model.device(), *precision) * capacity as u64;
        let slots = usize::try_from(limits.cache_bytes / bytes).unwrap_or(usize::MAX);
        let slots = slots.min(limits.rows).min(self.waiting.len()).max(1);
        Ok(Some(Batch { cache: model.cache(slots, capacity, *precision)?, slots, capacity, growing: vec![] }))
    }

    /// Begins as many prompts as there are free slots, in forward passes of a limited size.
    fn add_prompts(&mut self, batch: &mut Batch) -> Result<(), Error> {
        while let Some(&longest) = self.waiting.front()
            && batch.growing.len() < batch.slots
            && self.fits(batch)
        {
            let count = self.sampler.limits.tokens / self.prompts[longest].ids.len();
            let count = count.clamp(1, (batch.slots - batch.growing.len()).min(self.waiting.len()));
            let added: Vec<usize> = self.waiting.iter().copied().take(count).collect();
            let texts: Vec<&[u32]> = added.iter().map(|&index| &self.prompts[index].ids[..]).collect();
            let logits = self.sampler.model.prefill(&mut batch.cache, &texts)?;
            let first = batch.growing.len();
            batch.growing.extend(added.iter().map(|&prompt| GrowingReply { prompt, ids: vec![] }));
            self.waiting.drain(..count);
            self.grow(batch, first, &logits)?;
        }
        Ok(())
    }

    /// Adds a token to each reply.
    fn step(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let last: Vec<u32> = batch.growing.iter().filter_map(|reply| reply.ids.last().copied()).collect();
        let logits = self.sampler.model.step(&mut batch.cache, &last)?;
        self.grow(batch, 0, &logits)
    }

    /// Chooses the next token of each reply from `first` on, logits `[replies, vocab]`, and removes those that have ended.
    fn grow(&mut self, batch: &mut Batch, first: usize, logits: &Tensor) -> Result<(), Error> {
        let options = &self.sampler.options;
        let (_, vocab) = logits.size2()?;
        let logits = Vec::<f32>::try_from(logits.f_to_device(Device::Cpu)?.f_flatten(0, 1)?)?;
        let rows = logits.chunks(vocab as usize);
        let choices: Vec<(&GrowingReply, &[f32])> = batch.growing[first..].iter().zip(rows).collect();
        let chosen = in_parallel(&choices, vocab as usize, |(reply, logits)| {
            choose(logits, options, self.prompts[reply.prompt].seed, reply.ids.len() as u32)
        })?;
        self.tokens += chosen.len() as u64;
        // From the last one on, so that a reply that takes the place of another has been visited.
        for (index, id) in (first..batch.growing.len()).zip(chosen).rev() {
            let reply = &mut batch.growing[index];
            let stop = options.stop.contains(&id).then_some(id);
            if stop.is_none() {
                reply.ids.push(id);
            }
            if stop.is_some() || reply.ids.len() == options.max_new_tokens as usize {
                batch.cache.swap_remove(index)?;
                let GrowingReply { prompt, ids } = batch.growing.swap_remove(index);
                self.replies[prompt] = Some(SampledReply { ids, stop });
            }
        }
        Ok(())
    }
}

/// Applies a function to all items, with as many threads as libtorch uses if each has much to do.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    cost: usize,
    apply: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    /// The cost that is worth a thread of its own, in logits.
    const WORTHWHILE: usize = 1 << 16;
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1).min(items.len() * cost / WORTHWHILE);
    if threads < 2 {
        return items.iter().map(apply).collect();
    }
    let apply = &apply;
    std::thread::scope(|scope| {
        let parts = items.chunks(items.len().div_ceil(threads));
        let running: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().map(apply).collect::<Result<Vec<R>, Error>>())).collect();
        let results =
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        Ok(results.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
    })
}

#[cfg(test)]
mod tests;
