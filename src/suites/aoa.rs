//! Age of acquisition: whether a model learns words in the order in which children do.
//!
//! A model's age for a word is the amount of text after which the word's surprisal has fallen half of the way, according
//! to a sigmoid over the checkpoints of one pretraining run. A child's age is the month at which half of the children say
//! the word. The score is the correlation of the two over words. Every item is a cluster of its own.

mod fit;
mod official;

use std::collections::BTreeMap;

use serde_json::Value;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::domain::{AoaFit, Cluster, Edition, ItemOutcome, Mode, Score, Stderr, Suite, parse_json};

use super::correlation::pearson;
use super::definition::{Definition, Official, OfficialReport, Sizes};
use super::error::SuiteError;
use super::files;
use super::item::{Candidate, Item, Likelihood, Tokenization, Truth, finite_sums};
use super::official::report;
use fit::{Sigmoid, fit};

pub use official::{checkpoints, surprisals};

pub(super) const DEFINITION: Definition = Definition {
    read,
    score: None, // `score_checkpoints` scores a whole training run
    recluster,
    official: Some(Official {
        folder: "AoA_word",
        folder_per_set: false,
        sizes: Sizes::OfEachCheckpoint(8_005),
        predictions_file: "surprisal.json",
        predictions: official::surprisals,
        report: Some(OfficialReport { file: "aoa_score.json", since: Edition::Of2026, write: official::correlation }),
        fast_result: report::fast_accuracies,
    }),
};

/// The file with the contexts of each word.
const CONTEXTS: &str = "cdi_childes.json";
/// The file with the fraction of children who say each word, by month of age.
const CHILDREN: &str = "cdi_human.csv";

/// Months of age for which the table of children may have a column.
const MONTHS: std::ops::RangeInclusive<u32> = 16..=30;

/// The number of words among which an untrained model guesses, according to the official pipeline.
const OFFICIAL_CEILING: f64 = 300_000.0;

/// The p-value above which the repaired pipeline treats a correlation as chance.
const SIGNIFICANT: f64 = 0.1;

/// The likelihoods of all items at one checkpoint of a training run.
#[derive(Debug, Clone, PartialEq)]
pub struct AoaCheckpoint {
    /// The name of the checkpoint, which is the subtask of its outcomes.
    pub name: String,
    /// Words seen in training up to the checkpoint.
    pub words: u64,
    /// The likelihood of each item, in the order of the items.
    pub likelihoods: Vec<Likelihood>,
}

/// Reads every word in every context, in order of the words.
fn read(suite: Suite, _: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    let find = |wanted: &'static str| {
        let named = |(path, _): &&(String, Vec<u8>)| path.rsplit('/').next() == Some(wanted);
        let missing = SuiteError::NoItems { suite: suite.name(), files: files.len(), wanted };
        files.iter().find(named).map(|(_, bytes)| bytes.as_slice()).ok_or(missing)
    };
    let (contexts, children) = (find(CONTEXTS)?, find(CHILDREN)?);
    let ages = child_ages(children)?;
    let wrong = |reason: String| SuiteError::Row { file: CONTEXTS.to_owned(), line: 1, reason };
    let contexts = parse_json(files::text(CONTEXTS, contexts)?).map_err(|problem| SuiteError::Row {
        line: problem.line,
        file: CONTEXTS.to_owned(),
        reason: problem.to_string(),
    })?;
    let contexts =
        contexts.as_object().ok_or_else(|| wrong("expected an object with an entry for each word".to_owned()))?;
    let mut items = vec![];
    for (word, rows) in contexts.iter().filter(|(word, _)| word.chars().count() > 1) {
        let rows = rows.as_array().ok_or_else(|| wrong(format!("`{word}` should be a list of contexts")))?;
        for row in rows {
            let context = row.get("context").and_then(Value::as_str);
            let context = context.ok_or_else(|| wrong(format!("a context of `{word}` has no field `context`")))?;
            let candidate = Candidate::after(&format!("{} ", context.trim()), word.trim(), Tokenization::Whole);
            items.push(Item {
                task: suite.name().to_owned(),
                subtask: word.clone(),
                group: suite.name().to_owned(),
                report_labels: vec![],
                index: items.len() as u32,
                candidates: vec![candidate],
                truth: Truth::Learned(ages.get(word).copied().flatten()),
                cluster: Cluster::Itself,
            });
        }
    }
    match items.is_empty() {
        true => Err(wrong("the file has no word with a context".to_owned())),
        false => Ok(items),
    }
}

/// Nothing depends on the clusters, and outcomes are filed by checkpoint and not by item.
fn recluster(_: Suite, _: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    outcomes.iter_mut().for_each(|outcome| outcome.cluster = Cluster::Itself);
    Some(vec![])
}

/// The age in months at which half of the children say each word; `None` if it cannot be determined.
fn child_ages(bytes: &[u8]) -> Result<BTreeMap<String, Option<f64>>, SuiteError> {
    let wrong = |line: u64, reason: String| SuiteError::Row { file: CHILDREN.to_owned(), line: line as usize, reason };
    let mut reader = csv::Reader::from_reader(files::text(CHILDREN, bytes)?.as_bytes());
    let unreadable = |error: csv::Error| files::not_csv(CHILDREN, &error);
    let header = reader.headers().map_err(unreadable)?.clone();
    let column = |name: &str| header.iter().position(|known| known == name);
    let word = column("word").ok_or_else(|| wrong(1, "column `word` is missing".to_owned()))?;
    let months: Vec<(f64, usize)> =
        MONTHS.filter_map(|month| Some((f64::from(month), column(&month.to_string())?))).collect();
    let mut ages = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let cell = |place: usize| record.get(place).unwrap_or_default().trim();
        let mut shares = vec![];
        for &(month, place) in &months {
            match cell(place) {
                "" | "NA" | "nan" | "NaN" => {}
                text => match text.parse::<f64>() {
                    Ok(share) if (0.0..=1.0).contains(&share) => shares.push((month, share)),
                    _ => {
                        let line = record.position().map_or(1, csv::Position::line);
                        return Err(wrong(
                            line,
                            format!("column `{month}` should be a fraction of children, from 0 to 1, not `{text}`"),
                        ));
                    }
                },
            }
        }
        ages.insert(cell(word).to_owned(), child_age(&shares));
    }
    Ok(ages)
}

/// The month at which half of the children say a word, according to a sigmoid over `(month, fraction)` points.
fn child_age(shares: &[(f64, f64)]) -> Option<f64> {
    let (first, last) = (shares.first()?.0, shares.last()?.0);
    if shares.len() < 3 {
        return None;
    }
    let middle = shares.iter().map(|(month, _)| month).sum::<f64>() / shares.len() as f64;
    let guess = Sigmoid { amplitude: 1.0, slope: 0.1, middle, base: 0.0 };
    let bounds = [(0.0, 2.0), (0.0, 1.0), (first, last), (-0.5, 0.5)];
    let sigmoid = fit(shares, guess, Some(bounds), 5_000)?;
    let age = sigmoid.crossing(0.5).filter(|_| sigmoid.slope > 0.0 && sigmoid.amplitude > 0.0)?;
    (first..=last).contains(&age).then_some(age)
}

/// The log10 of (words seen + 1) at which a model has learned a word, from `(words seen, surprisal in nats)` points.
///
/// `ceiling` is the surprisal of an untrained model. A word counts as learned halfway from there to its lowest surprisal.
fn model_age(rules: AoaFit, points: &[(u64, f64)], ceiling: f64) -> Option<f64> {
    let mut points: Vec<(f64, f64)> =
        points.iter().map(|&(words, surprisal)| ((words as f64 + 1.0).log10(), -surprisal)).collect();
    if rules == AoaFit::Repaired {
        points = means(&points); // a checkpoint with a NaN is left out
    }
    points.retain(|(_, height)| !height.is_nan());
    let fold = |of: fn(&(f64, f64)) -> f64, pick: fn(f64, f64) -> f64| points.iter().map(of).reduce(pick);
    let (least, most) = (fold(|point| point.1, f64::min)?, fold(|point| point.1, f64::max)?);
    let (first, last) = (fold(|point| point.0, f64::min)?, fold(|point| point.0, f64::max)?);
    if points.len() < 3 {
        return None;
    }
    let range = most - least;
    let middle = points.iter().map(|point| point.0).sum::<f64>() / points.len() as f64;
    let guess = Sigmoid { amplitude: range, slope: 1.0, middle, base: least };
    let (bounds, evaluations, positive) = match rules {
        // The official limit is 1,000 evaluations, of which numerical derivatives take four in five.
        AoaFit::Official => (None, 200, 0.0),
        AoaFit::Repaired => {
            let bounds = [
                (0.0, 10.0 * range + 1.0),
                (0.0, 100.0),
                (first - 1.0, last + 1.0),
                (least - 2.0 * range - 1.0, most + 1.0),
            ];
            (Some(bounds), 20_000, 1e-6)
        }
    };
    let sigmoid = fit(&points, guess, bounds, evaluations)?;
    let threshold = ceiling - 0.5 * (ceiling + most);
    let age = sigmoid.crossing(-threshold).filter(|_| sigmoid.slope > positive && sigmoid.amplitude > positive)?;
    (first..=last).contains(&age).then_some(age)
}

/// The mean y of each x.
fn means(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|left, right| left.0.total_cmp(&right.0));
    let mean = |same: &[(f64, f64)]| (same[0].0, same.iter().map(|point| point.1).sum::<f64>() / same.len() as f64);
    sorted.chunk_by(|left, right| left.0 == right.0).map(mean).collect()
}

/// Scores a training run: 100 x the correlation over words of the child's and the model's age, and an outcome for every
/// item at every checkpoint.
///
/// `pieces` has the number of tokens of each word in the middle of a text; `vocabulary` is the size of the vocabulary.
///
/// # Panics
/// If a checkpoint does not have a likelihood for each item.
pub fn score_checkpoints(
    mode: Mode,
    items: &[Item],
    stages: &[AoaCheckpoint],
    pieces: &BTreeMap<String, u32>,
    vocabulary: u32,
) -> (Score, Vec<ItemOutcome>) {
    let (mut outcomes, mut curves) = (vec![], BTreeMap::<&str, Vec<(u64, f64)>>::new());
    let mut nans = 0;
    for stage in stages {
        assert_eq!(stage.likelihoods.len(), items.len(), "a likelihood for each item at {}", stage.name);
        for (item, likelihood) in items.iter().zip(&stage.likelihoods) {
            nans += u64::from(likelihood.sum.is_nan());
            curves.entry(&item.subtask).or_default().push((stage.words, -likelihood.sum));
            outcomes.push(ItemOutcome {
                task: item.task.clone(),
                subtask: stage.name.clone(),
                item: item.index,
                chosen: 0,
                correct: false,
                credit: 0.0,
                scores: finite_sums(&[*likelihood]),
                cluster: item.cluster.clone(),
            });
        }
    }
    let ages: BTreeMap<&str, f64> = items
        .iter()
        .filter_map(
            |item| if let Truth::Learned(Some(age)) = item.truth { Some((item.subtask.as_str(), age)) } else { None },
        )
        .collect();
    let pair = |(word, age): (&&str, &f64)| {
        let ceiling = match mode.aoa {
            AoaFit::Official => OFFICIAL_CEILING.log2(),
            AoaFit::Repaired => f64::from(pieces.get(*word).copied().unwrap_or(1).max(1)) * f64::from(vocabulary).ln(),
        };
        Some((*age, model_age(mode.aoa, curves.get(*word)?, ceiling)?))
    };
    let (children, model): (Vec<f64>, Vec<f64>) = ages.iter().filter_map(pair).unzip();
    let n = children.len();
    let r = if n < 3 { 0.0 } else { pearson(&children, &model).unwrap_or(0.0) };
    let value = if mode.aoa == AoaFit::Repaired && p_value(r, n) > SIGNIFICANT { 0.0 } else { r };
    let score = Score {
        suite: Suite::Aoa,
        task: Suite::Aoa.name().to_owned(),
        subtask: None,
        metric: "pearson".to_owned(),
        value: 100.0 * value,
        n: n as u64,
        stderr: (n > 2).then(|| 100.0 * ((1.0 - r * r) / (n as f64 - 2.0)).sqrt()),
        chance: Some(0.0),
        floor: None,
        ties: 0,
        near_ties: 0,
        nans,
        unscored: 0,
        classes: None,
        mode,
    };
    (score, outcomes)
}

/// The two-sided p-value of a correlation over this many pairs.
fn p_value(r: f64, pairs: usize) -> f64 {
    let freedom = pairs as f64 - 2.0;
    if freedom <= 0.0 || r == 0.0 {
        return 1.0;
    }
    let t = r.abs() * (freedom / (1.0 - r * r).max(f64::MIN_POSITIVE)).sqrt();
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| 2.0 * (1.0 - student.cdf(t)))
}

#[cfg(test)]
mod tests;
