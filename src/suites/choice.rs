//! Scoring of suites in which the candidate with the greatest score is chosen and is right or wrong.

use std::collections::BTreeMap;

use crate::domain::{
    Cluster, Digest, ItemOutcome, Mode, Nan, Score, Stderr, Stratum, Suite, Sums, Ties, clustered_stderr,
};

use super::clusters;
use super::item::{Item, Likelihood, Truth, finite_sums};

/// In nats: on other hardware, two scores closer than this may be ordered differently.
const NEAR: f64 = 1e-4;

const ACCURACY: &str = "accuracy";

/// The choice for one item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// The chosen candidate. In a tie it is the lowest one, unless the mode draws one at random.
    pub(super) candidate: usize,
    /// The credit, from 0 to 1; 0 if no score is a number, unless the mode lets NaN win.
    pub(super) credit: f64,
    /// Whether several candidates had the greatest score.
    pub(super) tie: bool,
    /// Whether the two greatest scores are closer than [`NEAR`].
    pub(super) near_tie: bool,
    /// Whether a score is NaN; such an item is neither a tie nor a near tie.
    pub(super) nan: bool,
}

/// Chooses the candidate with the greatest score, following the mode's rules for ties, NaNs and precision.
///
/// The name of the item seeds the random choice in a tie, so that every model gets the same one.
pub(super) fn choose(mode: Mode, name: (&str, u32), truth: &Truth, scores: &[f64]) -> Choice {
    let nan = scores.iter().any(|score| score.is_nan());
    let rank = |&score: &f64| match (mode.nan, mode.sums) {
        (Nan::Loses | Nan::MinusInfinity, _) if score.is_nan() => f64::NEG_INFINITY,
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
    let candidate = match mode.ties {
        Ties::First | Ties::Credit => winners[0],
        Ties::Random => winners[draw(name, winners.len())],
    };
    let tie = winners.len() > 1;
    let runner_up =
        (0..rank.len()).filter(|&index| index != candidate).map(|index| rank[index]).fold(f64::NAN, f64::max);
    // A model without any number has chosen nothing.
    let undecided = mode.nan == Nan::Loses && scores.iter().all(|score| score.is_nan());
    let credit = match mode.ties {
        _ if undecided => 0.0,
        Ties::Credit => winners.iter().filter(|&&winner| truth.is_right(winner)).count() as f64 / winners.len() as f64,
        Ties::First | Ties::Random => f64::from(u8::from(truth.is_right(candidate))),
    };
    Choice { candidate, credit, tie: tie && !nan, near_tie: !nan && (tie || best - runner_up < NEAR), nan }
}

/// A pseudo-random index below `count`, a function of the name of the item; the bias is below 2^-32.
fn draw((subtask, index): (&str, u32), count: usize) -> usize {
    let digest = Digest::of(format!("tie in {subtask} {index}").as_bytes()).to_string();
    let number = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
    ((u128::from(number) * count as u128) >> 64) as usize
}

/// The credit for always choosing the text with the fewest characters; 1/k in a tie of k.
fn credit_of_shortest(item: &Item) -> f64 {
    let lengths: Vec<usize> = item.candidates.iter().map(|candidate| candidate.text.chars().count()).collect();
    let least = lengths.iter().min();
    let shortest: Vec<usize> = (0..lengths.len()).filter(|&index| lengths.get(index) == least).collect();
    let right = shortest.iter().filter(|&&candidate| item.truth.is_right(candidate)).count();
    right as f64 / shortest.len().max(1) as f64
}

/// What the official aggregate is a mean of.
#[derive(Clone, Copy)]
enum Aggregate {
    /// Every subtask counts equally.
    Subtasks,
    /// Every [group](Item::group) of subtasks counts equally, and within it every subtask.
    Groups,
}

/// Accuracy of each subtask, and the official mean over subtasks, with [standard errors over
/// clusters](clustered_stderr).
pub(super) fn score(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    score_with(Aggregate::Subtasks, suite, mode, items, measured)
}

/// [`score`] for a suite whose official aggregate is the mean over groups of the mean over subtasks.
pub(super) fn score_by_group(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    score_with(Aggregate::Groups, suite, mode, items, measured)
}

fn score_with(
    aggregate: Aggregate,
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    score_normalized(aggregate, suite, mode, items, measured, |item, measured| item.scores(mode.length, measured))
}

/// [`score`] with the scores of candidates that `normalized` makes of their likelihoods.
pub(super) fn score_as(
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
    normalized: impl Fn(&Item, &[Likelihood]) -> Vec<f64>,
) -> (Vec<Score>, Vec<ItemOutcome>) {
    score_normalized(Aggregate::Subtasks, suite, mode, items, measured, normalized)
}

fn score_normalized(
    aggregate: Aggregate,
    suite: Suite,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
    normalized: impl Fn(&Item, &[Likelihood]) -> Vec<f64>,
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let mut subtasks: Vec<Subtask> = Vec::new();
    let mut outcomes = Vec::with_capacity(items.len());
    for (item, measured) in items.iter().zip(measured) {
        let choice = choose(mode, (&item.subtask, item.index), &item.truth, &normalized(item, measured));
        outcomes.push(ItemOutcome {
            task: item.task.clone(),
            subtask: item.subtask.clone(),
            item: item.index,
            chosen: choice.candidate as u32,
            correct: choice.credit == 1.0,
            credit: choice.credit,
            scores: finite_sums(measured),
            cluster: item.cluster.clone(),
        });
        // The items of a subtask are almost always neighbours, so the search starts at the end.
        let same = |subtask: &&mut Subtask| subtask.items.is_of(&item.subtask, &item.group);
        let subtask = match subtasks.iter_mut().rev().find(same) {
            Some(subtask) => subtask,
            None => {
                subtasks.push(Subtask::new(item));
                let last = subtasks.len() - 1;
                &mut subtasks[last]
            }
        };
        subtask.add(item, choice, measured);
    }
    let mut scores: Vec<Score> = subtasks.iter().map(|subtask| subtask.score(suite, mode)).collect();
    let credits: Vec<&Credits> = subtasks.iter().map(|subtask| &subtask.items).collect();
    let groups = aggregate.groups(&credits);
    let of_groups: Vec<Vec<&Score>> =
        groups.iter().map(|group| group.iter().map(|&index| &scores[index]).collect()).collect();
    scores.extend(mean_of_groups(&of_groups, stderr_of_aggregate(&groups, &credits)));
    (scores, outcomes)
}

/// Gives recorded outcomes the clusters of their items, and recomputes the standard errors of the accuracies that
/// [`score`] gives; `None` if an outcome belongs to none of the items.
pub(super) fn recluster(_: Suite, items: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    recluster_with(Aggregate::Subtasks, items, outcomes)
}

/// The same for the scores of [`score_by_group`].
pub(super) fn recluster_by_group(_: Suite, items: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    recluster_with(Aggregate::Groups, items, outcomes)
}

fn recluster_with(aggregate: Aggregate, items: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    let of_outcomes = clusters::assign(items, outcomes)?;
    Some(stderrs(aggregate, &of_outcomes, outcomes))
}

/// The standard errors of the accuracies, from recorded outcomes and the item of each.
fn stderrs(aggregate: Aggregate, items: &[&Item], outcomes: &[ItemOutcome]) -> Vec<Stderr> {
    let mut subtasks: Vec<Credits> = Vec::new();
    for (item, outcome) in items.iter().zip(outcomes) {
        let group = &item.group;
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
    all.push(stderr(first.task, None, stderr_of_aggregate(&aggregate.groups(&credits), &credits)));
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

    /// The credits in percent, as a stratum of this weight.
    fn stratum(&self, weight: f64) -> Stratum<'_> {
        Stratum { weight: 100.0 * weight, items: self.of_items.clone() }
    }

    /// Standard error of the accuracy, in percent.
    fn stderr(&self) -> Option<f64> {
        clustered_stderr(&[self.stratum(1.0)])
    }
}

impl Aggregate {
    /// The subtasks of each group, by index.
    fn groups(self, subtasks: &[&Credits]) -> Vec<Vec<usize>> {
        match self {
            Aggregate::Subtasks => vec![(0..subtasks.len()).collect()],
            Aggregate::Groups => {
                let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
                for (index, subtask) in subtasks.iter().enumerate() {
                    groups.entry(subtask.group).or_default().push(index);
                }
                groups.into_values().collect()
            }
        }
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

/// Running totals over the items of one subtask.
struct Subtask<'a> {
    items: Credits<'a>,
    chance: f64,
    floor: f64,
    ties: u64,
    near_ties: u64,
    nans: u64,
    unscored: u64,
}

impl<'a> Subtask<'a> {
    fn new(item: &'a Item) -> Subtask<'a> {
        let items = Credits { task: &item.task, name: &item.subtask, group: &item.group, of_items: Vec::new() };
        Subtask { items, chance: 0.0, floor: 0.0, ties: 0, near_ties: 0, nans: 0, unscored: 0 }
    }

    fn add(&mut self, item: &'a Item, choice: Choice, measured: &[Likelihood]) {
        self.items.of_items.push((choice.credit, &item.cluster));
        // A running mean is exact if all items have the same number of candidates.
        let right = (0..item.candidates.len()).filter(|&candidate| item.truth.is_right(candidate)).count();
        self.chance += (right as f64 / item.candidates.len() as f64 - self.chance) / self.items.of_items.len() as f64;
        self.floor += credit_of_shortest(item);
        self.ties += u64::from(choice.tie);
        self.near_ties += u64::from(choice.near_tie);
        self.nans += u64::from(choice.nan);
        self.unscored += u64::from(measured.iter().any(|candidate| candidate.tokens == 0));
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
            unscored: self.unscored,
            classes: None,
            mode,
        }
    }
}

/// The mean over the subtasks of each group, then over the groups.
fn mean_of_groups(groups: &[Vec<&Score>], stderr: Option<f64>) -> Option<Score> {
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
        unscored: all().map(|score| score.unscored).sum(),
        ..first.clone()
    })
}

fn mean(numbers: Vec<f64>) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[cfg(test)]
mod tests;
