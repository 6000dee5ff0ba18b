//! Age of acquisition: whether a model learns words in the order in which children do.
//!
//! A model's age for a word is the amount of text after which the word's surprisal has come half of the way down, read
//! off a sigmoid over the checkpoints of one pretraining; a child's age is the month at which half of the children say
//! the word. The score is the correlation of the two over words.

mod fit;

use std::collections::BTreeMap;

use serde_json::Value;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::domain::{AoaFit, Cluster, ItemOutcome, Mode, Score, Suite};

use super::choice::kept;
use super::error::SuiteError;
use super::item::{Candidate, Item, Likelihood, Tokenized, Truth};
use super::rank::pearson;
use fit::{Sigmoid, fit};

/// The two files: contexts of each word, and how many children say it.
const CONTEXTS: &str = "cdi_childes.json";
const CHILDREN: &str = "cdi_human.csv";

/// Months of age that the table of children may have columns for.
const MONTHS: std::ops::RangeInclusive<u32> = 16..=30;

/// What a model's surprisal starts from according to the official pipeline: a guess among 300,000 words, in bits.
const OFFICIAL_CEILING: f64 = 300_000.0;

/// Above this the repaired pipeline takes a correlation for chance.
const SIGNIFICANT: f64 = 0.1;

/// What a model said of all items at one point of its training.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its name, under which the outcomes of the items are filed.
    pub name: String,
    /// Words seen in training.
    pub words: u64,
    /// For each item in order, what it said.
    pub likelihoods: Vec<Likelihood>,
}

/// Reads every word in every context, in order of the words.
pub(super) fn read(files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    let find = |wanted: &'static str| {
        let named = |(path, _): &&(String, Vec<u8>)| path.rsplit('/').next() == Some(wanted);
        let missing = SuiteError::NoItems { suite: Suite::Aoa.name(), files: files.len(), extension: wanted };
        files.iter().find(named).map(|(_, bytes)| bytes.as_slice()).ok_or(missing)
    };
    let (contexts, children) = (find(CONTEXTS)?, find(CHILDREN)?);
    let ages = child_ages(children)?;
    let wrong = |reason: String| SuiteError::Row { file: CONTEXTS.to_owned(), line: 1, reason };
    let contexts: Value = serde_json::from_slice(contexts).map_err(|error| SuiteError::Row {
        line: error.line(),
        file: CONTEXTS.to_owned(),
        reason: format!("not valid JSON: {error}"),
    })?;
    let contexts = contexts.as_object().ok_or_else(|| wrong("expected an object of words".to_owned()))?;
    let mut items = vec![];
    for (word, rows) in contexts.iter().filter(|(word, _)| word.chars().count() > 1) {
        let rows = rows.as_array().ok_or_else(|| wrong(format!("word `{word}` should have a list of contexts")))?;
        for row in rows {
            let context = row.get("context").and_then(Value::as_str);
            let context = context.ok_or_else(|| wrong(format!("a context of `{word}` has no field `context`")))?;
            let candidate = Candidate::after(&format!("{} ", context.trim()), word.trim(), Tokenized::Whole);
            items.push(Item {
                task: Suite::Aoa.name().to_owned(),
                subtask: word.clone(),
                group: Suite::Aoa.name().to_owned(),
                kinds: vec![],
                index: items.len() as u32,
                candidates: vec![candidate],
                truth: Truth::Learned(ages.get(word).copied().flatten()),
                cluster: Cluster::Itself,
            });
        }
    }
    match items.is_empty() {
        true => Err(wrong("it has no word with a context".to_owned())),
        false => Ok(items),
    }
}

/// The age in months at which half of the children say each word; `None` where no age can be told.
fn child_ages(bytes: &[u8]) -> Result<BTreeMap<String, Option<f64>>, SuiteError> {
    let wrong = |line: u64, reason: String| SuiteError::Row { file: CHILDREN.to_owned(), line: line as usize, reason };
    let mut reader = csv::Reader::from_reader(bytes);
    let unreadable =
        |error: csv::Error| wrong(error.position().map_or(1, csv::Position::line), format!("not valid CSV: {error}"));
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
                    Ok(share) => shares.push((month, share)),
                    Err(_) => {
                        let line = record.position().map_or(1, csv::Position::line);
                        return Err(wrong(line, format!("column `{month}` should be a share, not `{text}`")));
                    }
                },
            }
        }
        ages.insert(cell(word).to_owned(), child_age(&shares));
    }
    Ok(ages)
}

/// When half of the children say a word, by a sigmoid over (month, share).
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

/// When a model has learned a word, in log10 of words seen + 1, from (words seen, surprisal in nats) points.
///
/// `ceiling` is the surprisal of knowing nothing. The word is learned half of the way from there to the least surprisal.
fn model_age(rules: AoaFit, points: &[(u64, f64)], ceiling: f64) -> Option<f64> {
    let mut points: Vec<(f64, f64)> = points
        .iter()
        .filter(|(_, surprisal)| !surprisal.is_nan())
        .map(|&(words, surprisal)| ((words as f64 + 1.0).log10(), -surprisal))
        .collect();
    if rules == AoaFit::Repaired {
        points = means(&points);
    }
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
        // Officially 1,000 evaluations with numerical derivatives, which take four of every five.
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

/// Scores a training: the correlation over words of a child's and the model's age, x 100, and what the model said of
/// every item at every stage.
///
/// `pieces` are the tokens of each word in the middle of a text, and `vocabulary` how many tokens there are.
///
/// # Panics
/// When a stage does not have a likelihood for each item.
pub fn score_stages(
    mode: Mode,
    items: &[Item],
    stages: &[Stage],
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
                scores: kept(&[*likelihood]),
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
    let value = if mode.aoa == AoaFit::Repaired && chance_of(r, n) > SIGNIFICANT { 0.0 } else { r };
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
        classes: None,
        mode,
    };
    (score, outcomes)
}

/// How likely a correlation at least as far from 0 is among so many unrelated pairs.
fn chance_of(r: f64, pairs: usize) -> f64 {
    let freedom = pairs as f64 - 2.0;
    if freedom <= 0.0 || r == 0.0 {
        return 1.0;
    }
    let t = r.abs() * (freedom / (1.0 - r * r).max(f64::MIN_POSITIVE)).sqrt();
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| 2.0 * (1.0 - student.cdf(t)))
}

#[cfg(test)]
mod tests;
