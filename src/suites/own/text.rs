//! Bits per byte: the log-probability of whole texts, which depends neither on the tokenizer nor on its vocabulary.

use super::super::item::{Candidate, Item, Likelihood, Tokenization, Truth, finite_sums};
use crate::domain::{Cluster, ItemOutcome, Mode, Score, ScoringMethod, Suite};

/// The metric of the same likelihood by token, which can be compared only between models of one tokenizer.
const PERPLEXITY: &str = "perplexity";

/// The documents of a test set as items.
pub fn documents(task: &str, documents: Vec<String>, stride: Option<u32>) -> Vec<Item> {
    let item = |(index, text): (usize, String)| Item {
        task: task.to_owned(),
        subtask: task.to_owned(),
        group: task.to_owned(),
        report_labels: vec![],
        index: index as u32,
        candidates: vec![Candidate { text, scored_from: 0, tokenized: Tokenization::Windows { stride } }],
        truth: Truth::Among(vec![]),
        cluster: Cluster::Itself,
    };
    documents.into_iter().enumerate().map(item).collect()
}

/// Bits per byte, `-Σ ln p / (ln 2 × bytes)` over the tokens that count, and the perplexity, `exp(-Σ ln p / tokens)`.
///
/// The standard error of bits per byte is that of a ratio of two sums over documents. A document whose log-probability is
/// not finite is left out and counted.
pub(in super::super) fn score(
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
    let all = || measured.iter().flatten();
    let counted: Vec<&Likelihood> = all().filter(|one| one.sum.is_finite() && one.tokens > 0).collect();
    let sum = |number: fn(&Likelihood) -> f64| counted.iter().map(|one| number(one)).sum::<f64>();
    let (nats, bytes, tokens) = (-sum(|one| one.sum), sum(|one| one.bytes as f64), sum(|one| f64::from(one.tokens)));
    let bits = |nats: f64| nats / std::f64::consts::LN_2;
    if counted.is_empty() {
        return (vec![], outcomes);
    }
    let per_byte = bits(nats) / bytes;
    let score = |metric: &str, value: f64, stderr: Option<f64>| Score {
        suite: Suite::Perplexity,
        task: task.clone(),
        subtask: None,
        metric: metric.to_owned(),
        value,
        n: counted.len() as u64,
        stderr,
        chance: None,
        floor: None,
        ties: 0,
        near_ties: 0,
        nans: all().filter(|one| !one.sum.is_finite()).count() as u64,
        unscored: all().filter(|one| one.tokens == 0).count() as u64,
        classes: None,
        mode,
    };
    let residual = |one: &&Likelihood| bits(-one.sum) - per_byte * one.bytes as f64;
    let squares: f64 = counted.iter().map(|one| residual(one).powi(2)).sum();
    let n = counted.len() as f64;
    let stderr = (n > 1.0).then(|| (squares * n / (n - 1.0)).sqrt() / bytes);
    let scores = vec![
        score(ScoringMethod::BitsPerByte.metric(), per_byte, stderr),
        score(PERPLEXITY, (nats / tokens).exp(), None),
    ];
    (scores, outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(measured: &[(f64, u32, u64)]) -> Vec<Score> {
        let items = documents("text", measured.iter().map(|_| "x".to_owned()).collect(), None);
        let measured: Vec<Vec<Likelihood>> =
            measured.iter().map(|&(sum, tokens, bytes)| vec![Likelihood { sum, tokens, bytes }]).collect();
        score(Mode::FIXED, &items, &measured).0
    }

    /// The hand-computed values are 8 bits for a uniform distribution over 256 bytes, and 3 / (4 ln 2) for 3 nats on each
    /// token of 4 bytes.
    #[test]
    fn bits_per_byte_are_those_of_the_definition() {
        let uniform = scored(&[(-10.0 * 256f64.ln(), 10, 10), (-3.0 * 256f64.ln(), 3, 3)]);
        assert_eq!((uniform[0].metric.as_str(), uniform[0].value), ("bits-per-byte", 8.0));
        assert!((uniform[1].value - 256.0).abs() < 1e-9 && uniform[0].stderr.unwrap() < 1e-12);
        let other = scored(&[(-30.0, 10, 40)]);
        assert!((other[0].value - 1.082_021_280_7).abs() < 1e-9);
        assert_eq!(other[0].stderr, None, "one document has no spread");
    }

    #[test]
    fn documents_without_a_number_or_a_token_are_counted_and_left_out() {
        let scores = scored(&[(-8.0 * std::f64::consts::LN_2, 4, 8), (f64::NAN, 4, 8), (0.0, 0, 0)]);
        let first = &scores[0];
        assert!((first.value - 1.0).abs() < 1e-12);
        assert_eq!((first.n, first.nans, first.unscored), (1, 1, 1));
        assert!(scored(&[(f64::NAN, 1, 1)]).is_empty());
    }

    /// The standard error of a ratio: for equal lengths it is that of a mean.
    #[test]
    fn the_standard_error_is_that_of_a_mean_for_equal_lengths() {
        let nats = |bits: f64| -bits * std::f64::consts::LN_2;
        let scores = scored(&[(nats(10.0), 1, 10), (nats(20.0), 1, 10), (nats(30.0), 1, 10)]);
        assert!((scores[0].value - 2.0).abs() < 1e-12);
        assert!((scores[0].stderr.unwrap() - 1.0 / 3f64.sqrt()).abs() < 1e-12);
    }
}
