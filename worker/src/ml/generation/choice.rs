//! The choice of one token by its logits.

use std::cmp::Ordering;

use grid::domain::SamplingOptions;

use crate::ml::error::Error;

/// Chooses token `number` (from 0) of a reply with this seed: logits `[vocab]`.
///
/// # Errors
/// If a logit, or the greatest one, is not a number.
pub(super) fn choose(logits: &[f32], options: &SamplingOptions, seed: u64, number: u32) -> Result<u32, Error> {
    let excluded: &[u32] = if number < options.min_new_tokens { &options.stop } else { &[] };
    let mut kept;
    let logits = if excluded.is_empty() {
        logits
    } else {
        kept = logits.to_vec();
        excluded.iter().for_each(|&id| kept[id as usize] = f32::NEG_INFINITY);
        &kept
    };
    let greatest = greatest(logits);
    if !greatest.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
        return Err(Error::Input("the logits of the model are not finite numbers: its weights are damaged".to_owned()));
    }
    if options.temperature == 0.0 {
        return Ok(logits.iter().position(|&logit| logit == greatest).unwrap_or(0) as u32);
    }
    Ok(sample(logits, greatest, options, uniform(seed, number)))
}

/// The greatest number; NaNs do not count.
fn greatest(logits: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    // Several maxima at a time, which the compiler turns into vectors.
    let (parts, rest) = logits.as_chunks::<16>();
    let mut greatest = [f32::NEG_INFINITY; 16];
    for part in parts {
        greatest.iter_mut().zip(part).for_each(|(most, &logit)| *most = larger(*most, logit));
    }
    greatest.into_iter().chain(rest.iter().copied()).fold(f32::NEG_INFINITY, larger)
}

/// A number in 0..1, of 53 random bits, for the draw of token `number` of a reply.
fn uniform(seed: u64, number: u32) -> f64 {
    let mut hasher = blake3::Hasher::new_derive_key("grid draws of sampled tokens 1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1u64 << 53) as f64
}

/// Draws an id with a uniform number in 0..1 at this temperature. Weights are computed in f64. Ids are sorted by falling
/// logit, equal ones by rising id; the fewest first ones stay whose weight is at least `top_p` of that of all (or of the
/// first `top_k`); the first of them is drawn up to which the weight exceeds the uniform number times the weight of those
/// that stay.
fn sample(logits: &[f32], greatest: f32, options: &SamplingOptions, uniform: f64) -> u32 {
    let weight = |id: u32| {
        let below = f64::from(logits[id as usize]) - f64::from(greatest);
        (below / options.temperature).exp()
    };
    let mut sorted = Descending::new(logits);
    let count = options.top_k.map_or(logits.len(), |top_k| logits.len().min(top_k as usize));
    let mut total: f64 = match options.top_k {
        Some(_) => (0..count).map(|place| weight(sorted.get(place))).sum(),
        None => (0..logits.len() as u32).map(weight).sum(),
    };
    let mut kept = count;
    if options.top_p < 1.0 {
        let mut sum = 0.0;
        kept = 0;
        while kept < count && (kept == 0 || sum < options.top_p * total) {
            sum += weight(sorted.get(kept));
            kept += 1;
        }
        total = sum;
    }
    let (mut sum, mut drawn) = (0.0, sorted.get(0));
    for place in 0..kept {
        let id = sorted.get(place);
        let weight = weight(id);
        if weight == 0.0 {
            break; // and all that follow; the sum was rounded differently than the total
        }
        sum += weight;
        drawn = id;
        if sum > uniform * total {
            break;
        }
    }
    drawn
}

/// The ids by falling logit, sorted as far as they are needed: usually the first few of many.
struct Descending<'a> {
    logits: &'a [f32],
    ids: Vec<u32>,
    /// The number of first ids that are sorted.
    sorted: usize,
}

impl<'a> Descending<'a> {
    fn new(logits: &'a [f32]) -> Self {
        Self { logits, ids: (0..logits.len() as u32).collect(), sorted: 0 }
    }

    fn get(&mut self, place: usize) -> u32 {
        if place >= self.sorted {
            let logits = self.logits;
            let order =
                |a: &u32, b: &u32| -> Ordering { logits[*b as usize].total_cmp(&(logits[*a as usize])).then(a.cmp(b)) };
            let rest = &mut self.ids[self.sorted..];
            let more = (place + 1 - self.sorted).max(3 * self.sorted).max(32).min(rest.len());
            if more < rest.len() {
                rest.select_nth_unstable_by(more - 1, order);
            }
            rest[..more].sort_unstable_by(order);
            self.sorted += more;
        }
        self.ids[place]
    }
}

#[cfg(test)]
mod tests;
