//! Tasks in which the candidate with the greatest score is chosen and candidate 0 is right.

use std::collections::BTreeMap;

use crate::domain::{
    Cluster, Digest, ItemOutcome, Mode, Nan, Score, Stderr, Stratum, Suite, Sums, Ties, clustered_stderr,
};

use super::item::{Item, Likelihood};

/// Two scores closer than this, in nats, may change places on other hardware.
const NEAR: f64 = 1e-4;

/// The metric.
const ACCURACY: &str = "accuracy";

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

/// Accuracy per subtask, and the official mean over subtasks, with [standard errors over clusters](clustered_stderr).
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
            cluster: item.cluster.clone(),
        });
        // Items of a subtask are neighbours, or nearly so: look from the end.
        let same = |subtask: &&mut Subtask| subtask.items.is_of(&item.subtask, &item.group);
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
    let credits: Vec<&Credits> = subtasks.iter().map(|subtask| &subtask.items).collect();
    let groups = groups(suite, &credits);
    let of_groups: Vec<Vec<&Score>> =
        groups.iter().map(|group| group.iter().map(|&index| &scores[index]).collect()).collect();
    scores.extend(aggregate(&of_groups, stderr_of_aggregate(&groups, &credits)));
    (scores, outcomes)
}

/// The standard errors of the accuracies that [`score`] gives, from recorded outcomes; `groups` has the group of each.
pub(super) fn stderrs(suite: Suite, groups: &[&str], outcomes: &[ItemOutcome]) -> Vec<Stderr> {
    let mut subtasks: Vec<Credits> = Vec::new();
    for (group, outcome) in groups.iter().zip(outcomes) {
        let ItemOutcome { task, subtask, credit, cluster, .. } = outcome;
        let subtask = match subtasks.iter_mut().rev().find(|known| known.is_of(subtask, group)) {
            Some(known) => known,
            None => {
                subtasks.push(Credits { task, name: subtask, group, of_items: Vec::new() });
                let last = subtasks.len() - 1;
                &mut subtasks[last]
            }
        };
        subtask.of_items.push((*credit, cluster));
    }
    let Some(first) = subtasks.first() else { return vec![] };
    let stderr = |task: &str, subtask: Option<&str>, value| Stderr {
        task: task.to_owned(),
        subtask: subtask.map(str::to_owned),
        metric: ACCURACY.to_owned(),
        value,
    };
    let mut all: Vec<Stderr> =
        subtasks.iter().map(|subtask| stderr(subtask.task, Some(subtask.name), subtask.stderr())).collect();
    let credits: Vec<&Credits> = subtasks.iter().collect();
    all.push(stderr(first.task, None, stderr_of_aggregate(&self::groups(suite, &credits), &credits)));
    all
}

/// The credits of the items of one subtask.
struct Credits<'a> {
    task: &'a str,
    name: &'a str,
    group: &'a str,
    of_items: Vec<(f64, &'a Cluster)>,
}

impl Credits<'_> {
    fn is_of(&self, subtask: &str, group: &str) -> bool {
        self.name == subtask && self.group == group
    }

    /// In percent.
    fn stratum(&self, weight: f64) -> Stratum<'_> {
        Stratum { weight: 100.0 * weight, items: self.of_items.clone() }
    }

    /// Standard error of the accuracy, in percent.
    fn stderr(&self) -> Option<f64> {
        clustered_stderr(&[self.stratum(1.0)])
    }
}

/// The subtasks, by index, whose means are averaged before the aggregate averages over groups.
fn groups(suite: Suite, subtasks: &[&Credits]) -> Vec<Vec<usize>> {
    match suite {
        // Splits count equally even where one has more numbers of operations than another.
        Suite::EntityTracking => {
            let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (index, subtask) in subtasks.iter().enumerate() {
                groups.entry(subtask.group).or_default().push(index);
            }
            groups.into_values().collect()
        }
        _ => vec![(0..subtasks.len()).collect()],
    }
}

/// Standard error of the aggregate, in percent; a cluster may span subtasks.
fn stderr_of_aggregate(groups: &[Vec<usize>], subtasks: &[&Credits]) -> Option<f64> {
    let strata = groups.iter().flat_map(|group| {
        let weight = 1.0 / (groups.len() * group.len()) as f64;
        group.iter().map(move |&index| subtasks[index].stratum(weight))
    });
    clustered_stderr(&strata.collect::<Vec<_>>())
}

/// The items of one subtask, counted.
struct Subtask<'a> {
    items: Credits<'a>,
    chance: f64,
    floor: f64,
    ties: u64,
    near_ties: u64,
    nans: u64,
}

impl<'a> Subtask<'a> {
    fn new(item: &'a Item) -> Subtask<'a> {
        let items = Credits { task: &item.task, name: &item.subtask, group: &item.group, of_items: Vec::new() };
        Subtask { items, chance: 0.0, floor: 0.0, ties: 0, near_ties: 0, nans: 0 }
    }

    fn add(&mut self, item: &'a Item, decision: Decision) {
        self.items.of_items.push((decision.credit, &item.cluster));
        // A running mean: exact when all items have as many candidates.
        self.chance += (1.0 / item.candidates.len() as f64 - self.chance) / self.items.of_items.len() as f64;
        self.floor += shortest(item);
        self.ties += u64::from(decision.tie);
        self.near_ties += u64::from(decision.near_tie);
        self.nans += u64::from(decision.nan);
    }

    fn score(&self, suite: Suite, mode: Mode) -> Score {
        let n = self.items.of_items.len() as f64;
        let mean = self.items.of_items.iter().map(|(credit, _)| credit).sum::<f64>() / n;
        Score {
            suite,
            task: self.items.task.to_owned(),
            subtask: Some(self.items.name.to_owned()),
            metric: ACCURACY.to_owned(),
            value: 100.0 * mean,
            n: self.items.of_items.len() as u64,
            stderr: self.items.stderr(),
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

/// The mean over the subtasks of each group, and of these over groups.
fn aggregate(groups: &[Vec<&Score>], stderr: Option<f64>) -> Option<Score> {
    let all = || groups.iter().flatten();
    let mean = |number: fn(&Score) -> Option<f64>| -> Option<f64> {
        let of_group =
            |group: &Vec<&Score>| Some(mean(group.iter().map(|score| number(score)).collect::<Option<_>>()?));
        Some(self::mean(groups.iter().map(of_group).collect::<Option<_>>()?))
    };
    let first = *all().next()?;
    Some(Score {
        subtask: None,
        value: mean(|score| Some(score.value))?,
        n: all().map(|score| score.n).sum(),
        stderr,
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
