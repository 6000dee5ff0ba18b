//! Tasks in which the candidate with the greatest score is chosen and candidate 0 is right.

use std::collections::BTreeMap;

use crate::domain::{Digest, ItemOutcome, Mode, Nan, Score, Suite, Sums, Ties};

use super::item::{Item, Likelihood};

/// Two scores closer than this, in nats, may change places on other hardware.
const NEAR: f64 = 1e-4;

/// What the scores of one item say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decision {
    /// The chosen candidate; of a tie the lowest, unless ties are drawn.
    pub(super) chosen: usize,
    /// Credit for candidate 0 being right, in 0..=1.
    pub(super) credit: f64,
    /// Whether several candidates had the greatest score.
    pub(super) tie: bool,
    /// Whether the two greatest scores are closer than [`NEAR`].
    pub(super) near_tie: bool,
    /// Whether a score is not a number; such an item is neither a tie nor a near tie.
    pub(super) nan: bool,
}

/// Chooses the candidate with the greatest score, under the rules for ties, NaNs and the numbers of the comparison.
///
/// Candidate 0 is right. `name` names the item, so that a tie that is drawn is always drawn alike.
pub(super) fn decide(mode: Mode, name: (&str, u32), scores: &[f64]) -> Decision {
    let nan = scores.iter().any(|score| score.is_nan());
    let rank = |&score: &f64| match (mode.nan, mode.sums) {
        (Nan::Loses, _) if score.is_nan() => f64::NEG_INFINITY,
        (_, Sums::Single) => f64::from(score as f32),
        (_, Sums::Double) => score,
    };
    let rank: Vec<f64> = scores.iter().map(rank).collect();
    let first_nan = rank.iter().position(|score| score.is_nan());
    let best = rank.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let winners: Vec<usize> = match first_nan {
        Some(index) => vec![index],
        None => (0..rank.len()).filter(|&index| rank[index] == best).collect(),
    };
    let chosen = match mode.ties {
        Ties::First | Ties::Credit => winners[0],
        Ties::Random => winners[draw(name, winners.len())],
    };
    let tie = winners.len() > 1;
    let runner_up = (0..rank.len()).filter(|&index| index != chosen).map(|index| rank[index]).fold(f64::NAN, f64::max);
    let credit = match mode.ties {
        Ties::Credit if chosen == 0 => 1.0 / winners.len() as f64,
        Ties::First | Ties::Random | Ties::Credit => f64::from(u8::from(chosen == 0)),
    };
    Decision { chosen, credit, tie: tie && !nan, near_tie: !nan && (tie || best - runner_up < NEAR), nan }
}

/// One of so many, by the name of the item; the bias is below 1 / 2^32.
fn draw((subtask, index): (&str, u32), among: usize) -> usize {
    let digest = Digest::of(format!("tie in {subtask} {index}").as_bytes()).to_string();
    let number = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
    ((u128::from(number) * among as u128) >> 64) as usize
}

/// Credit for choosing the text with the fewest characters, blind to the model; 1/k in a tie of k.
fn shortest(item: &Item) -> f64 {
    let lengths: Vec<usize> = item.candidates.iter().map(|candidate| candidate.text.chars().count()).collect();
    let least = lengths.iter().min();
    match lengths.iter().filter(|&length| Some(length) == least).count() {
        tied if lengths.first() == least => 1.0 / tied as f64,
        _ => 0.0,
    }
}

/// The sums of an item as an outcome keeps them.
pub(super) fn kept(measured: &[Likelihood]) -> Vec<Option<f64>> {
    measured.iter().map(|&Likelihood { sum, .. }| sum.is_finite().then_some(sum)).collect()
}

/// Accuracy per subtask, and the official mean over subtasks.
pub(super) fn score(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let mut subtasks: Vec<Subtask> = Vec::new();
    let mut outcomes = Vec::with_capacity(items.len());
    for (item, measured) in items.iter().zip(measured) {
        let decision = decide(mode, (&item.subtask, item.index), &item.scores(mode.length, measured));
        outcomes.push(ItemOutcome {
            task: item.task.clone(),
            subtask: item.subtask.clone(),
            item: item.index,
            chosen: decision.chosen as u32,
            correct: decision.credit == 1.0,
            credit: decision.credit,
            scores: kept(measured),
        });
        // Items of a subtask are neighbours, or nearly so: look from the end.
        let same = |subtask: &&mut Subtask| subtask.name == item.subtask && subtask.group == item.group;
        let subtask = match subtasks.iter_mut().rev().find(same) {
            Some(subtask) => subtask,
            None => {
                subtasks.push(Subtask::new(item));
                let last = subtasks.len() - 1;
                &mut subtasks[last]
            }
        };
        subtask.add(item, decision);
    }
    let mut scores: Vec<Score> = subtasks.iter().map(|subtask| subtask.score(suite, mode)).collect();
    let groups = match suite {
        // Splits count equally even where one has more numbers of operations than another.
        Suite::EntityTracking => by_group(&subtasks, &scores),
        _ => vec![scores.iter().collect()],
    };
    scores.extend(aggregate(&groups));
    (scores, outcomes)
}

/// The items of one subtask, counted.
struct Subtask<'a> {
    task: &'a str,
    name: &'a str,
    group: &'a str,
    credits: Vec<f64>,
    chance: f64,
    floor: f64,
    ties: u64,
    near_ties: u64,
    nans: u64,
}

impl<'a> Subtask<'a> {
    fn new(item: &'a Item) -> Subtask<'a> {
        let (task, name, group) = (&item.task, &item.subtask, &item.group);
        Subtask { task, name, group, credits: Vec::new(), chance: 0.0, floor: 0.0, ties: 0, near_ties: 0, nans: 0 }
    }

    fn add(&mut self, item: &Item, decision: Decision) {
        self.credits.push(decision.credit);
        // A running mean: exact when all items have as many candidates.
        self.chance += (1.0 / item.candidates.len() as f64 - self.chance) / self.credits.len() as f64;
        self.floor += shortest(item);
        self.ties += u64::from(decision.tie);
        self.near_ties += u64::from(decision.near_tie);
        self.nans += u64::from(decision.nan);
    }

    fn score(&self, suite: Suite, mode: Mode) -> Score {
        let n = self.credits.len() as f64;
        let mean = self.credits.iter().sum::<f64>() / n;
        let squares = self.credits.iter().map(|credit| (credit - mean).powi(2)).sum::<f64>();
        Score {
            suite,
            task: self.task.to_owned(),
            subtask: Some(self.name.to_owned()),
            metric: "accuracy".to_owned(),
            value: 100.0 * mean,
            n: self.credits.len() as u64,
            // One item says nothing about its own spread.
            stderr: (n > 1.0).then(|| 100.0 * (squares / (n - 1.0) / n).sqrt()),
            chance: Some(100.0 * self.chance),
            floor: Some(100.0 * self.floor / n),
            ties: self.ties,
            near_ties: self.near_ties,
            nans: self.nans,
            classes: None,
            mode,
        }
    }
}

/// The scores of the subtasks of each group.
fn by_group<'a>(subtasks: &[Subtask], scores: &'a [Score]) -> Vec<Vec<&'a Score>> {
    let mut groups: BTreeMap<&str, Vec<&Score>> = BTreeMap::new();
    for (subtask, score) in subtasks.iter().zip(scores) {
        groups.entry(subtask.group).or_default().push(score);
    }
    groups.into_values().collect()
}

/// The mean over the subtasks of each group, and of these over groups; the subtasks' errors are independent.
fn aggregate(groups: &[Vec<&Score>]) -> Option<Score> {
    let all = || groups.iter().flatten();
    let mean = |number: fn(&Score) -> Option<f64>| -> Option<f64> {
        let of_group =
            |group: &Vec<&Score>| Some(mean(group.iter().map(|score| number(score)).collect::<Option<_>>()?));
        Some(self::mean(groups.iter().map(of_group).collect::<Option<_>>()?))
    };
    let variance = |group: &Vec<&Score>| -> Option<f64> {
        let share = (groups.len() * group.len()) as f64;
        group.iter().map(|score| Some((score.stderr? / share).powi(2))).sum()
    };
    let first = *all().next()?;
    Some(Score {
        subtask: None,
        value: mean(|score| Some(score.value))?,
        n: all().map(|score| score.n).sum(),
        stderr: groups.iter().map(variance).sum::<Option<f64>>().map(f64::sqrt),
        chance: mean(|score| score.chance),
        floor: mean(|score| score.floor),
        ties: all().map(|score| score.ties).sum(),
        near_ties: all().map(|score| score.near_ties).sum(),
        nans: all().map(|score| score.nans).sum(),
        ..first.clone()
    })
}

/// The arithmetic mean.
fn mean(numbers: Vec<f64>) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests;
