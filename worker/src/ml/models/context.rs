//! What the rows of a forward pass hold, and what each of their tokens attends to.

use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

use super::cache::Cache;
use crate::ml::error::Error;

/// What the mask adds to an attention score that does not count. It is far below every score. Minus infinity would give
/// NaN where a kernel processes a block that is masked entirely.
pub const MASKED: f64 = -1e30;

/// What the rows of a forward pass hold. A family passes it on to attention, linear layers and position embeddings.
#[derive(Debug, Clone, Copy)]
pub enum Context<'a> {
    /// Each row is one text that starts at position 0.
    Rows,
    /// Each row holds several texts whose shared prefixes appear once.
    PrefixTree(&'a PrefixTree),
    /// Each row is one text that starts at position 0, and whose tokens attend to all of its tokens.
    Whole(&'a Padding),
    /// Each row is one text that starts at position 0, and whose keys and values are stored in the cache.
    Prefill(Prefill<'a>),
    /// Each row is the next token of a text whose earlier keys and values are in the cache.
    Step(&'a Step<'a>),
}

/// The structure of rows that hold several texts whose shared prefixes appear once.
#[derive(Debug)]
pub struct PrefixTree {
    /// The position of each token in its text, int64 `[batch, seq]`.
    pub position_ids: Tensor,
    /// The number of positions: one more than the greatest of `position_ids`.
    pub positions: i64,
    /// The attention mask, float32 `[batch, 1, seq, seq]`: 0 where a token attends to another, far below zero elsewhere.
    pub mask: Tensor,
}

/// The padding of rows with texts of different lengths.
#[derive(Debug)]
pub struct Padding {
    /// What is added to the scores of attention, float32 `[batch, 1, 1, seq]`: 0 for a token of a text, far below zero for
    /// padding.
    pub mask: Tensor,
}

/// New texts of a cache.
#[derive(Debug, Clone, Copy)]
pub struct Prefill<'a> {
    /// The cache.
    pub(super) cache: &'a Cache,
    /// The slot of the first row; the others follow it.
    pub(super) first: i64,
}

/// One more token of each text of a cache.
#[derive(Debug)]
pub struct Step<'a> {
    /// The cache.
    pub(super) cache: &'a Cache,
    /// The position of each token, int64 `[batch]`.
    pub(super) positions: Tensor,
    /// The number of positions: one more than the greatest of `positions`.
    pub(super) longest: i64,
    mask: OnceCell<Tensor>,
}

impl<'a> Step<'a> {
    pub(super) fn new(cache: &'a Cache, positions: Tensor, longest: i64) -> Self {
        Self { cache, positions, longest, mask: OnceCell::new() }
    }

    /// Which of the positions 0..longest each token attends to, bool `[batch, 1, 1, longest]`.
    pub(super) fn mask(&self) -> Result<Tensor, Error> {
        if let Some(mask) = self.mask.get() {
            return Ok(mask.shallow_clone());
        }
        let all = Tensor::f_arange(self.longest, (Kind::Int64, self.positions.device()))?;
        let mask = all.f_unsqueeze(0)?.f_le_tensor(&self.positions.f_unsqueeze(1)?)?; // [batch, longest]
        let mask = mask.f_unsqueeze(1)?.f_unsqueeze(1)?;
        Ok(self.mask.get_or_init(|| mask).shallow_clone())
    }
}

impl<'a> Context<'a> {
    /// The cache that keys and values are stored in, if there is one.
    pub(super) fn cache(self) -> Option<&'a Cache> {
        match self {
            Context::Rows | Context::PrefixTree(_) | Context::Whole(_) => None,
            Context::Prefill(prefill) => Some(prefill.cache),
            Context::Step(step) => Some(step.cache),
        }
    }

    /// The rows of a table of learned positions, `[positions, width]`, for `seq` tokens in each row of the batch:
    /// `[batch or 1, seq, width]` or `[seq, width]`, to be added to the embeddings of the tokens.
    pub(super) fn position_embeddings(self, table: &Tensor, seq: i64) -> Result<Tensor, Error> {
        let select = |ids: &Tensor| Tensor::f_embedding(table, ids, -1, false, false);
        Ok(match self {
            Context::Rows | Context::Whole(_) | Context::Prefill(_) => table.f_narrow(0, 0, seq)?,
            Context::PrefixTree(tree) => select(&tree.position_ids)?,
            Context::Step(step) => select(&step.positions.f_unsqueeze(1)?)?,
        })
    }

    /// Which tokens attend to each other: bool, or a float32 number that is added to the scores. `None` if each token attends
    /// to itself and all tokens before it in its row. With a window, a token attends to that many tokens at most, itself
    /// included.
    ///
    /// `[batch or 1, 1, seq, seq]`; for the next tokens of texts, `[batch, 1, 1, longest]`.
    pub(super) fn mask(self, seq: i64, window: Option<i64>, device: Device) -> Result<Option<Tensor>, Error> {
        // Whether a token is in the window of another one, by their positions.
        let near = |from: &Tensor, to: &Tensor, window: i64| -> Result<Tensor, Error> {
            let distance = from.f_unsqueeze(-1)?.f_sub(&to.f_unsqueeze(-2)?)?;
            Ok(distance.f_lt(window)?) // [.., from, to]
        };
        Ok(match self {
            Context::Rows | Context::Prefill(_) => match window.filter(|&window| window < seq) {
                None => None,
                Some(window) => {
                    let positions = Tensor::f_arange(seq, (Kind::Int64, device))?;
                    let later = near(&positions, &positions, 0)?;
                    let mask = near(&positions, &positions, window)?.f_logical_and(&later.f_logical_not()?)?;
                    Some(mask.f_unsqueeze(0)?.f_unsqueeze(0)?)
                }
            },
            Context::PrefixTree(PrefixTree { position_ids, positions, mask }) => Some(match window {
                Some(window) if window < *positions => {
                    let far = near(position_ids, position_ids, window)?.f_logical_not()?;
                    mask.f_masked_fill(&far.f_unsqueeze(1)?, MASKED)?
                }
                _ => mask.shallow_clone(),
            }),
            Context::Whole(padding) => Some(padding.mask.shallow_clone()),
            Context::Step(step) => Some(match window {
                Some(window) if window < step.longest => {
                    let all = Tensor::f_arange(step.longest, (Kind::Int64, device))?;
                    let near = near(&step.positions.f_unsqueeze(-1)?, &all.f_unsqueeze(0)?, window)?; // [batch, 1, longest]
                    step.mask()?.f_logical_and(&near.f_unsqueeze(1)?)?
                }
                _ => step.mask()?,
            }),
        })
    }

    /// What is added to the scores of attention, broadcast to `[batch, head, seq, seq]`. See [`Context::mask`].
    pub(super) fn additive_mask(self, seq: i64, window: Option<i64>, device: Device) -> Result<Tensor, Error> {
        match self.mask(seq, window, device)? {
            Some(mask) if mask.kind() != Kind::Bool => Ok(mask),
            Some(mask) => {
                let zeros = Tensor::f_zeros(mask.size().as_slice(), (Kind::Float, device))?;
                Ok(zeros.f_masked_fill(&mask.f_logical_not()?, MASKED)?)
            }
            None => {
                let full = Tensor::f_full([seq, seq], MASKED, (Kind::Float, device))?;
                Ok(full.f_triu(1)?)
            }
        }
    }

    /// A weight in the kind of the activations. With a cache, it is converted once for all forward passes.
    pub(super) fn weight(self, weight: &Tensor, kind: Kind) -> Result<Tensor, Error> {
        match self.cache() {
            Some(cache) if weight.kind() != kind => cache.converted(weight, kind),
            _ => Ok(weight.f_to_kind(kind)?),
        }
    }
}
