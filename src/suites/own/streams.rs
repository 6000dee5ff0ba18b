//! Learning in context: how far the loss on a stream in a random language is above the entropy of the language.

use std::collections::BTreeMap;

use super::super::item::{Candidate, Item, Likelihood, Tokenization, Truth, finite_sums};
use super::power_law::log_log_slope;
use crate::domain::{Cluster, ItemOutcome, Mode, Score, ScoringMethod, Suite};

/// The metric of the mean loss, from which the regret is the distance to the entropy.
const LOSS: &str = "loss";

/// The metric of the slope of the regret against the position on logarithmic axes.
const SLOPE: &str = "slope";

/// Streams as items: of each stream, one item for each range of positions. The position of a symbol is the number of symbols
/// before it.
///
/// `streams` are texts of ASCII characters with the entropy of each of them in nats. The ranges begin at the powers of two
/// and at `after`; the first symbol, before which there is nothing, belongs to none.
pub fn stream_items(task: &str, streams: impl Iterator<Item = (String, Vec<f64>)>, after: u32) -> Vec<Item> {
    let mut items = vec![];
    for (index, (text, entropies)) in streams.enumerate() {
        for (from, end) in ranges(entropies.len(), after as usize) {
            items.push(Item {
                task: task.to_owned(),
                subtask: label(from, end, entropies.len()),
                group: task.to_owned(),
                report_labels: vec![],
                index: index as u32,
                candidates: vec![Candidate {
                    text: text[..end].to_owned(),
                    scored_from: from,
                    tokenized: Tokenization::Symbols,
                }],
                truth: Truth::Entropy(entropies[from..end].iter().sum()),
                cluster: Cluster::shared(index.to_string()),
            });
        }
    }
    items
}

/// The ranges of positions in a stream of this length, as (first, end).
fn ranges(length: usize, after: usize) -> Vec<(usize, usize)> {
    let mut bounds: Vec<usize> = (0..usize::BITS).map(|power| 1 << power).take_while(|bound| *bound < length).collect();
    bounds.extend([after, length]);
    bounds.retain(|bound| (1..=length).contains(bound));
    bounds.sort_unstable();
    bounds.dedup();
    bounds.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The name of a range of positions, with leading zeros so that names sort as positions do: `04-07`.
fn label(from: usize, end: usize, length: usize) -> String {
    let width = length.saturating_sub(1).to_string().len();
    match end - from {
        1 => format!("{from:0width$}"),
        _ => format!("{from:0width$}-{:0width$}", end - 1),
    }
}

/// What a model loses on a range of positions.
struct RangeLosses {
    /// The name of the range.
    subtask: String,
    /// The geometric mean of the positions.
    position: f64,
    /// The losses, by stream.
    losses: Vec<Loss>,
}

/// What a model loses on some symbols of a stream, in nats.
#[derive(Clone, Copy, Default)]
struct Loss {
    nats: f64,
    entropy: f64,
    symbols: f64,
}

impl Loss {
    /// The regret for each symbol.
    fn regret(&self) -> f64 {
        (self.nats - self.entropy) / self.symbols
    }

    fn is_finite(&self) -> bool {
        self.nats.is_finite() && self.symbols > 0.0
    }

    fn and(self, other: Loss) -> Loss {
        Loss {
            nats: self.nats + other.nats,
            entropy: self.entropy + other.entropy,
            symbols: self.symbols + other.symbols,
        }
    }
}

/// The regret `(-Σ ln p - Σ H) / symbols` in nats, where p is the probability that the model gives to a symbol and H the
/// entropy of the symbol given those before it, and the loss `-Σ ln p / symbols`: of each range of positions, then of all
/// positions from `after` on.
///
/// Both are means over streams, of which the standard error is that of a mean. A stream with a log-probability that is not
/// finite is left out and counted.
///
/// Then the [slope](slope) of the regret against the position, if it is defined.
pub(in super::super) fn score(
    after: u32,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let outcome = |(item, measured): (&Item, &Vec<Likelihood>)| ItemOutcome {
        task: item.task.clone(),
        subtask: item.subtask.clone(),
        item: item.index,
        chosen: 0,
        correct: false,
        credit: 0.0,
        scores: finite_sums(measured),
        cluster: item.cluster.clone(),
    };
    let outcomes = items.iter().zip(measured).map(outcome).collect();
    let Some(task) = items.first().map(|item| item.task.clone()) else { return (vec![], outcomes) };
    // By range of positions, in their order, and by stream; and over all ranges from `after` on.
    let mut ranges: Vec<RangeLosses> = vec![];
    let mut later: BTreeMap<u32, Loss> = BTreeMap::new();
    for (item, measured) in items.iter().zip(measured) {
        let (Truth::Entropy(entropy), [candidate], [likelihood]) = (&item.truth, &item.candidates[..], &measured[..])
        else {
            unreachable!("a stream has an entropy and one candidate");
        };
        let loss = Loss { nats: -likelihood.sum, entropy: *entropy, symbols: f64::from(likelihood.tokens) };
        match ranges.iter_mut().find(|range| range.subtask == item.subtask) {
            Some(range) => range.losses.push(loss),
            None => {
                let position = geometric_mean(candidate.scored_from, candidate.text.len());
                ranges.push(RangeLosses { subtask: item.subtask.clone(), position, losses: vec![loss] });
            }
        }
        if candidate.scored_from >= after as usize {
            let sum = later.entry(item.index).or_default();
            *sum = sum.and(loss);
        }
    }
    let mut scores: Vec<Score> =
        ranges.iter().flat_map(|range| means(&task, Some(&range.subtask), &range.losses, mode)).collect();
    let later: Vec<Loss> = later.into_values().collect();
    scores.extend(means(&task, None, &later, mode));
    scores.extend(slope(&task, &ranges, mode));
    (scores, outcomes)
}

/// The geometric mean of the positions in a range.
fn geometric_mean(from: usize, end: usize) -> f64 {
    ((from..end).map(|position| (position as f64).ln()).sum::<f64>() / (end - from) as f64).exp()
}

/// The slope of the regret against the position on logarithmic axes, by least squares over the ranges of positions: -0.5 if
/// four times as many symbols halve the regret (for regression in context, theory gives such slopes: arXiv 2408.12186). The
/// position of a range is the geometric mean of its positions.
///
/// The standard error is over streams, by the jackknife: with b(i) the slope without stream i, the square root of
/// (n - 1) / n Σ (b(i) - mean b)². Streams without a number in some range are left out and counted.
///
/// `None` if there are fewer than two ranges, or if the mean regret in a range is not positive.
fn slope(task: &str, ranges: &[RangeLosses], mode: Mode) -> Option<Score> {
    let streams = ranges.first()?.losses.len();
    let of_stream = |stream: usize| -> Option<Vec<f64>> {
        let losses = ranges.iter().map(|range| range.losses.get(stream).filter(|loss| loss.is_finite()));
        losses.map(|loss| loss.map(Loss::regret)).collect()
    };
    let regrets: Vec<Vec<f64>> = (0..streams).filter_map(of_stream).collect();
    let n = regrets.len() as f64;
    let sums: Vec<f64> = (0..ranges.len()).map(|range| regrets.iter().map(|stream| stream[range]).sum()).collect();
    let fit =
        |sums: &[f64], n: f64| log_log_slope(ranges.iter().zip(sums).map(|(range, sum)| (range.position, sum / n)));
    let value = fit(&sums, n)?;
    let without = |stream: &Vec<f64>| {
        let others: Vec<f64> = sums.iter().zip(stream).map(|(sum, own)| sum - own).collect();
        fit(&others, n - 1.0)
    };
    let stderr = regrets.iter().map(without).collect::<Option<Vec<f64>>>().filter(|_| n > 1.0).map(|slopes| {
        let mean = slopes.iter().sum::<f64>() / n;
        let squares: f64 = slopes.iter().map(|slope| (slope - mean).powi(2)).sum();
        ((n - 1.0) / n * squares).sqrt()
    });
    Some(score_of(task, None, SLOPE, value, stderr, [regrets.len(), streams - regrets.len()], mode))
}

/// The mean regret and the mean loss over streams; none if no stream has a number.
fn means(task: &str, subtask: Option<&String>, losses: &[Loss], mode: Mode) -> Vec<Score> {
    let (finite, other): (Vec<Loss>, Vec<Loss>) = losses.iter().partition(|loss| loss.is_finite());
    let n = finite.len() as f64;
    if finite.is_empty() {
        return vec![];
    }
    let score = |metric: &str, of_stream: &dyn Fn(&Loss) -> f64| {
        let values: Vec<f64> = finite.iter().map(of_stream).collect();
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let stderr = (n > 1.0).then(|| (squares / (n - 1.0) / n).sqrt());
        score_of(task, subtask, metric, mean, stderr, [finite.len(), other.len()], mode)
    };
    vec![score(ScoringMethod::Regret.metric(), &Loss::regret), score(LOSS, &|loss| loss.nats / loss.symbols)]
}

/// A score over this number of streams, and another number of streams that are left out.
fn score_of(
    task: &str,
    subtask: Option<&String>,
    metric: &str,
    value: f64,
    stderr: Option<f64>,
    [scored, left_out]: [usize; 2],
    mode: Mode,
) -> Score {
    Score {
        suite: Suite::InContext,
        task: task.to_owned(),
        subtask: subtask.cloned(),
        metric: metric.to_owned(),
        value,
        n: scored as u64,
        stderr,
        chance: None,
        floor: None,
        ties: 0,
        near_ties: 0,
        nans: left_out as u64,
        unscored: 0,
        classes: None,
        mode,
    }
}

#[cfg(test)]
mod tests;
