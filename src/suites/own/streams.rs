//! Learning in context: how far the loss on a stream in a random language is above the entropy of the language.

use std::collections::BTreeMap;

use super::super::item::{Candidate, Item, Likelihood, Tokenization, Truth, finite_sums};
use crate::domain::{Cluster, ItemOutcome, Mode, Score, ScoringMethod, Suite};

/// The metric of the mean loss, from which the regret is the distance to the entropy.
const LOSS: &str = "loss";

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

/// What a model loses on some symbols of a stream, in nats.
#[derive(Clone, Copy, Default)]
struct Loss {
    nats: f64,
    entropy: f64,
    symbols: f64,
}

impl Loss {
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
    let mut ranges: Vec<(String, Vec<Loss>)> = vec![];
    let mut later: BTreeMap<u32, Loss> = BTreeMap::new();
    for (item, measured) in items.iter().zip(measured) {
        let (Truth::Entropy(entropy), [candidate], [likelihood]) = (&item.truth, &item.candidates[..], &measured[..])
        else {
            unreachable!("a stream has an entropy and one candidate");
        };
        let loss = Loss { nats: -likelihood.sum, entropy: *entropy, symbols: f64::from(likelihood.tokens) };
        match ranges.iter_mut().find(|(name, _)| *name == item.subtask) {
            Some((_, losses)) => losses.push(loss),
            None => ranges.push((item.subtask.clone(), vec![loss])),
        }
        if candidate.scored_from >= after as usize {
            let sum = later.entry(item.index).or_default();
            *sum = sum.and(loss);
        }
    }
    let mut scores: Vec<Score> =
        ranges.iter().flat_map(|(name, losses)| means(&task, Some(name), losses, mode)).collect();
    let later: Vec<Loss> = later.into_values().collect();
    scores.extend(means(&task, None, &later, mode));
    (scores, outcomes)
}

/// The mean regret and the mean loss over streams; none if no stream has a number.
fn means(task: &str, subtask: Option<&String>, losses: &[Loss], mode: Mode) -> Vec<Score> {
    let (finite, other): (Vec<Loss>, Vec<Loss>) =
        losses.iter().partition(|loss| loss.nats.is_finite() && loss.symbols > 0.0);
    let n = finite.len() as f64;
    if finite.is_empty() {
        return vec![];
    }
    let score = |metric: &str, of_stream: &dyn Fn(&Loss) -> f64| {
        let values: Vec<f64> = finite.iter().map(of_stream).collect();
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Score {
            suite: Suite::InContext,
            task: task.to_owned(),
            subtask: subtask.cloned(),
            metric: metric.to_owned(),
            value: mean,
            n: finite.len() as u64,
            stderr: (n > 1.0).then(|| (squares / (n - 1.0) / n).sqrt()),
            chance: None,
            floor: None,
            ties: 0,
            near_ties: 0,
            nans: other.len() as u64,
            unscored: 0,
            classes: None,
            mode,
        }
    };
    vec![
        score(ScoringMethod::Regret.metric(), &|loss| (loss.nats - loss.entropy) / loss.symbols),
        score(LOSS, &|loss| loss.nats / loss.symbols),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two_streams() -> Vec<Item> {
        let streams = ["01230123".to_owned(), "32103210".to_owned()].map(|text| (text, vec![0.5; 8]));
        stream_items("lang", streams.into_iter(), 3)
    }

    #[test]
    fn ranges_begin_at_powers_of_two_and_at_the_given_position() {
        let items = two_streams();
        let shown: Vec<String> = items
            .iter()
            .map(|item| {
                let candidate = &item.candidates[0];
                format!("{} {} {}|{}", item.index, item.subtask, candidate.context(), candidate.scored())
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        0 1 0|1
        0 2 01|2
        0 3 012|3
        0 4-7 0123|0123
        1 1 3|2
        1 2 32|1
        1 3 321|0
        1 4-7 3210|3210
        ");
        assert_eq!(label(4, 8, 100), "04-07");
        assert_eq!(items[2].truth, Truth::Entropy(0.5));
        assert_eq!(items[3].truth, Truth::Entropy(2.0));
    }

    /// With a loss of 2 and an entropy of 0.5 nats at each symbol, and in the second stream of 1 nat from position 4 on: the
    /// regret is 1.5 before and (1.5 + 0.5) / 2 = 1 from there on; from position 3 on, that of the second stream is
    /// (1.5 + 4 * 0.5) / 5 = 0.7.
    #[test]
    fn the_regret_is_the_loss_above_the_entropy() {
        let items = two_streams();
        let likelihood = |item: &Item| {
            let candidate = &item.candidates[0];
            let symbols = candidate.scored().len() as u32;
            let nats = if item.index == 1 && candidate.scored_from >= 4 { 1.0 } else { 2.0 };
            vec![Likelihood { sum: -nats * f64::from(symbols), tokens: symbols, bytes: u64::from(symbols) }]
        };
        let measured: Vec<Vec<Likelihood>> = items.iter().map(likelihood).collect();
        let (scores, outcomes) = score(3, Mode::FIXED, &items, &measured);
        let shown: Vec<String> = scores
            .iter()
            .map(|score| {
                let stderr = score.stderr.unwrap_or(f64::NAN);
                let subtask = score.subtask.as_deref().unwrap_or("all");
                format!("{subtask} {} {:.3} ± {stderr:.3}, {} streams", score.metric, score.value, score.n)
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @"
        1 regret 1.500 ± 0.000, 2 streams
        1 loss 2.000 ± 0.000, 2 streams
        2 regret 1.500 ± 0.000, 2 streams
        2 loss 2.000 ± 0.000, 2 streams
        3 regret 1.500 ± 0.000, 2 streams
        3 loss 2.000 ± 0.000, 2 streams
        4-7 regret 1.000 ± 0.500, 2 streams
        4-7 loss 1.500 ± 0.500, 2 streams
        all regret 1.100 ± 0.400, 2 streams
        all loss 1.600 ± 0.400, 2 streams
        ");
        assert_eq!(outcomes.len(), items.len());
    }

    #[test]
    fn a_stream_without_a_number_is_counted_and_left_out() {
        let items = two_streams();
        let likelihood = |item: &Item| {
            let sum = if item.index == 0 { f64::NAN } else { -1.0 };
            vec![Likelihood { sum, tokens: item.candidates[0].scored().len() as u32, bytes: 1 }]
        };
        let measured: Vec<Vec<Likelihood>> = items.iter().map(likelihood).collect();
        let (scores, _) = score(3, Mode::FIXED, &items, &measured);
        assert!(scores.iter().all(|score| (score.n, score.nans) == (1, 1) && score.value.is_finite()));
    }

    proptest! {
        /// The ranges cover all positions but the first once, and one begins at `after`.
        #[test]
        fn ranges_cover_every_position(length in 2..600usize, after in 1..700usize) {
            let ranges = ranges(length, after);
            let covered: Vec<usize> = ranges.iter().flat_map(|&(from, end)| from..end).collect();
            prop_assert_eq!(covered, (1..length).collect::<Vec<_>>());
            prop_assert_eq!(after < length, ranges.iter().any(|&(from, _)| from == after));
        }
    }
}
