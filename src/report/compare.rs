//! Two values of an axis against each other, pair by pair, with intervals and tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::measure::{Condition, Measure, push_new};
use super::statistics::{SeedDifferences, crossed_bootstrap, holm, mcnemar, mean, nested_mean, t_interval};
use super::table::{Cell, Table};
use crate::domain::{CellRow, ItemOutcome, SINGLE, ScoreRow, counted};

/// Values that cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A word that is on no axis.
    #[error("compare '{value}': no axis has it{}; there are {}",
        .near.as_ref().map_or(String::new(), |near| format!(" (did you mean '{near}'?)")), .known.join(", "))]
    Unknown {
        /// The word.
        value: String,
        /// The nearest known one.
        near: Option<String>,
        /// All values of all axes.
        known: Vec<String>,
    },
    /// A value whose cells have no score.
    #[error("compare '{value}': none of its cells is scored yet")]
    Unscored {
        /// The word.
        value: String,
    },
    /// A value with itself.
    #[error("compare '{value}' with itself: name two values")]
    Same {
        /// The word.
        value: String,
    },
    /// Values of different axes.
    #[error("compare '{first}' with '{second}': they are on different axes")]
    Axes {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// No two cells differ in these values alone.
    #[error("compare '{first}' with '{second}': no two scored cells differ in these alone")]
    NoPair {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
}

/// What two conditions may differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Model,
    Dataset,
    Curriculum,
    Extra,
    /// Nothing but the experiment that they belong to.
    Experiment,
}

impl Axis {
    /// Those that a word may be on.
    const NAMED: [Axis; 4] = [Axis::Curriculum, Axis::Dataset, Axis::Model, Axis::Extra];

    fn of(self, condition: &Condition) -> Option<&str> {
        match self {
            Axis::Model => Some(&condition.model),
            Axis::Dataset => condition.dataset.as_deref(),
            Axis::Curriculum => Some(&condition.curriculum),
            Axis::Extra => Some(condition.extra.as_str()).filter(|extra| !extra.is_empty()),
            Axis::Experiment => None,
        }
    }
}

/// What a condition says on an axis.
type Of = fn(&Condition) -> &str;
/// A column that names a row: its head, and what it says.
type Label = (&'static str, Of);

/// A comparison that can be made.
pub struct Comparison<'a> {
    axis: Axis,
    first: String,
    second: String,
    pairs: Vec<Pair<'a>>,
}

/// Two conditions that differ in the compared values alone.
struct Pair<'a> {
    first: Condition,
    second: Condition,
    measure: Measure,
    /// For each seed that both have, the two scores of it: one pair, or one for each seed of a fine-tuning.
    seeds: Vec<Vec<(&'a ScoreRow, &'a ScoreRow)>>,
}

/// The scores of one condition on one measure, by seed and, where there is one, seed of the fine-tuning.
type BySeed<'a> = BTreeMap<(u64, Option<u64>), &'a ScoreRow>;

/// The aggregates of final models, with their conditions and measures in the order of first sight.
#[derive(Default)]
struct Scored<'a> {
    conditions: Vec<Condition>,
    measures: Vec<Measure>,
    by: HashMap<(Condition, Measure), BySeed<'a>>,
}

impl<'a> Scored<'a> {
    fn of(scores: &'a [ScoreRow]) -> Self {
        let mut scored = Self::default();
        for row in scores.iter().filter(|row| row.is_final() && row.score.subtask.is_none()) {
            let (condition, measure) = (Condition::of_score(row), Measure::of(row));
            push_new(&mut scored.conditions, condition.clone());
            push_new(&mut scored.measures, measure.clone());
            scored.by.entry((condition, measure)).or_default().insert((row.seed, row.finetune_seed), row);
        }
        scored
    }

    /// The pairs, one for each measure, of a condition here with one of `others`.
    fn pairs(&self, one: &Condition, others: &Scored<'a>, other: &Condition) -> Vec<Pair<'a>> {
        let pair = |measure: &Measure| {
            let left = self.by.get(&(one.clone(), measure.clone()))?;
            let right = others.by.get(&(other.clone(), measure.clone()))?;
            let both: Vec<(&ScoreRow, &ScoreRow)> =
                left.iter().filter_map(|(seed, row)| Some((*row, *right.get(seed)?))).collect();
            let seeds: Vec<_> = both.chunk_by(|one, next| one.0.seed == next.0.seed).map(<[_]>::to_vec).collect();
            let (first, second, measure) = (one.clone(), other.clone(), measure.clone());
            (!seeds.is_empty()).then_some(Pair { first, second, measure, seeds })
        };
        self.measures.iter().filter_map(pair).collect()
    }
}

impl<'a> Comparison<'a> {
    /// Finds the axis that has both values, and every pair of conditions that agree on all other axes.
    ///
    /// For curricula, datasets agree when they are the same set: both orders of a sequence are compared with the one
    /// merged model. For datasets, the curriculum of a single one agrees with every other. `cells` are all cells that
    /// were planned, scored or not.
    pub fn new(cells: &[CellRow], scores: &'a [ScoreRow], first: &str, second: &str) -> Result<Self, CompareError> {
        if first == second {
            return Err(CompareError::Same { value: first.to_owned() });
        }
        let mut planned: Vec<Condition> = vec![];
        cells.iter().for_each(|cell| push_new(&mut planned, Condition::of_cell(cell)));
        let scored = Scored::of(scores);
        let has = |axis: Axis, value: &str| planned.iter().any(|condition| axis.of(condition) == Some(value));
        if let Some(value) = [first, second].into_iter().find(|value| !Axis::NAMED.iter().any(|axis| has(*axis, value)))
        {
            return Err(unknown(value, &planned));
        }
        let different = || CompareError::Axes { first: first.to_owned(), second: second.to_owned() };
        let axis =
            Axis::NAMED.into_iter().find(|axis| has(*axis, first) && has(*axis, second)).ok_or_else(different)?;
        let of = |value| scored.conditions.iter().filter(move |condition| axis.of(condition) == Some(value));
        if let Some(value) = [first, second].into_iter().find(|value| of(value).next().is_none()) {
            return Err(CompareError::Unscored { value: value.to_owned() });
        }
        let both = of(first).flat_map(|one| of(second).map(move |other| (one, other)));
        let agreeing = both.filter(|(one, other)| agree(axis, one, other));
        let pairs: Vec<Pair> = agreeing.flat_map(|(one, other)| scored.pairs(one, &scored, other)).collect();
        if pairs.is_empty() {
            return Err(CompareError::NoPair { first: first.to_owned(), second: second.to_owned() });
        }
        Ok(Self { axis, first: first.to_owned(), second: second.to_owned(), pairs })
    }

    /// Pairs the conditions that two experiments, each with its name and its scores, have in common; `None` where
    /// nothing is scored in both, or all of it by the same jobs.
    pub fn of_experiments(first: (&str, &'a [ScoreRow]), second: (&str, &'a [ScoreRow])) -> Option<Self> {
        let (one, other) = (Scored::of(first.1), Scored::of(second.1));
        let differ = |pair: &Pair| pair.seeds.iter().flatten().any(|(one, other)| one.job != other.job);
        let pairs = one.conditions.iter().flat_map(|condition| one.pairs(condition, &other, condition));
        let pairs: Vec<Pair> = pairs.filter(differ).collect();
        let axis = Axis::Experiment;
        (!pairs.is_empty()).then(|| Self { axis, first: first.0.to_owned(), second: second.0.to_owned(), pairs })
    }

    /// The eval jobs whose items the intervals need.
    pub fn jobs(&self) -> Vec<String> {
        let both = |(one, other): &(&ScoreRow, &ScoreRow)| [one.job.clone(), other.job.clone()];
        let jobs: BTreeSet<String> =
            self.pairs.iter().flat_map(|pair| pair.seeds.iter().flatten()).flat_map(both).collect();
        jobs.into_iter().collect()
    }

    /// The columns that name a row, without the compared one: heads and what they say of a pair.
    fn labels(&self) -> Vec<Label> {
        let extra = self.pairs.iter().any(|pair| !pair.first.extra.is_empty());
        let all: [(Axis, &'static str, Of); 4] = [
            (Axis::Model, "model", |condition| &condition.model),
            (Axis::Dataset, "datasets", |condition| condition.dataset.as_deref().unwrap_or_default()),
            (Axis::Curriculum, "curriculum", |condition| &condition.curriculum),
            (Axis::Extra, "with", |condition| &condition.extra),
        ];
        let told = |axis: Axis| axis != self.axis && (axis != Axis::Extra || extra);
        all.into_iter().filter(|(axis, ..)| told(*axis)).map(|(_, head, of)| (head, of)).collect()
    }

    /// The table: a row for each pair and task.
    pub fn table(&self, experiment: &str, items: &BTreeMap<String, Vec<ItemOutcome>>) -> Table {
        let measured: Vec<Measured> = self.pairs.par_iter().map(|pair| pair.measure(items)).collect();
        let tested: Vec<f64> = measured.iter().filter_map(|one| one.p).collect();
        let mut corrected = holm(&tested).into_iter();
        let measures: Vec<Measure> = self.pairs.iter().map(|pair| pair.measure.clone()).collect();
        let labels = self.labels();
        let rows = self.pairs.iter().zip(&measured).map(|(pair, found)| {
            let label = |(_, of): &Label| {
                Cell::Label(match (of(&pair.first), of(&pair.second)) {
                    (first, second) if first == second => first.to_owned(),
                    (first, second) => format!("{first} / {second}"),
                })
            };
            let p = found.p.and_then(|_| corrected.next());
            let numbers = [
                Cell::Label(pair.measure.head(&measures)),
                Cell::Number(found.first, 1),
                Cell::Number(found.second, 1),
                Cell::Difference(found.second - found.first, 1),
                found.interval.map_or(Cell::Missing, |(low, high)| Cell::Interval(low, high)),
                p.map_or(Cell::Missing, Cell::Probability),
                Cell::Count(pair.seeds.len() as u64),
                found.items.map_or(Cell::Missing, Cell::Count),
            ];
            labels.iter().map(label).chain(numbers).collect()
        });
        let rows: Vec<Vec<Cell>> = rows.collect();
        let heads = ["task", &self.first, &self.second, "difference", "95% interval", "p", "seeds", "items"];
        let heads = labels.iter().map(|(head, _)| *head).chain(heads);
        let mut notes = vec![format!(
            "difference: {} minus {}; interval: paired bootstrap over seeds and the items of each subtask; p: exact \
             McNemar over the items of all seeds, Holm-corrected for {}",
            self.second,
            self.first,
            counted(tested.len() as u64, "test")
        )];
        if self.pairs.iter().any(|pair| pair.seeds.len() < 3) {
            notes.push("with fewer than three seeds the interval says little about other seeds".to_owned());
        }
        if measured.iter().any(|one| one.items.is_none()) {
            notes.push("without items: interval by Student's t over seeds, — for one seed; no p".to_owned());
        }
        Table {
            title: format!("{experiment}: {} against {}", self.second, self.first),
            heads: heads.map(str::to_owned).collect(),
            labels: labels.len() + 1,
            rows,
            notes,
            ..Table::default()
        }
    }
}

/// What is known of a pair.
struct Measured {
    first: f64,
    second: f64,
    interval: Option<(f64, f64)>,
    p: Option<f64>,
    /// Items per seed that both have.
    items: Option<u64>,
}

impl Pair<'_> {
    fn measure(&self, items: &BTreeMap<String, Vec<ItemOutcome>>) -> Measured {
        let values = |of: fn(&(&ScoreRow, &ScoreRow)) -> f64| -> Vec<f64> {
            self.seeds.iter().filter_map(|runs| mean(&runs.iter().map(of).collect::<Vec<f64>>())).collect()
        };
        let (first, second) = (values(|pair| pair.0.score.value), values(|pair| pair.1.score.value));
        let differences: Vec<f64> = second.iter().zip(&first).map(|(second, first)| second - first).collect();
        let mut measured = Measured {
            first: mean(&first).unwrap_or(f64::NAN),
            second: mean(&second).unwrap_or(f64::NAN),
            interval: None,
            p: None,
            items: None,
        };
        let paired: Option<Vec<Paired>> = match self.measure.metric.as_str() {
            "accuracy" => self.seeds.iter().map(|seed| self.paired(seed, items)).collect(),
            _ => None,
        };
        let credit = |seeds: &[Paired]| seeds.iter().map(|seed| seed.differences.clone()).collect::<Vec<_>>();
        // Items speak for the score only where they add up to it.
        let exact = |seeds: &Vec<Paired>| {
            let both = nested_mean(&credit(seeds)).zip(mean(&differences));
            both.is_some_and(|(of_items, of_scores)| (of_items - of_scores).abs() < 1e-6)
        };
        match paired.filter(exact) {
            Some(seeds) => {
                let credit = credit(&seeds);
                measured.interval = crossed_bootstrap(&credit);
                let sum = |of: fn(&Paired) -> u64| seeds.iter().map(of).sum::<u64>();
                measured.p = Some(mcnemar(sum(|seed| seed.only_first), sum(|seed| seed.only_second)));
                measured.items = seeds.iter().map(|seed| seed.differences.iter().map(|d| d.len() as u64).sum()).min();
            }
            None => measured.interval = t_interval(&differences),
        }
        measured
    }

    /// The items of one seed, where both models have the same ones; of several fine-tunings the mean difference.
    fn paired(&self, runs: &[(&ScoreRow, &ScoreRow)], items: &BTreeMap<String, Vec<ItemOutcome>>) -> Option<Paired> {
        let mut runs_paired = runs.iter().map(|run| self.run_paired(run, items));
        let mut sum = runs_paired.next()??;
        for run in runs_paired {
            let run = run?;
            sum.only_first += run.only_first;
            sum.only_second += run.only_second;
            for (differences, more) in sum.differences.iter_mut().zip(&run.differences) {
                differences.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
        }
        sum.differences.iter_mut().flatten().for_each(|difference| *difference /= runs.len() as f64);
        Some(sum)
    }

    /// The items of one run.
    fn run_paired(&self, seed: &(&ScoreRow, &ScoreRow), items: &BTreeMap<String, Vec<ItemOutcome>>) -> Option<Paired> {
        let of = |row: &ScoreRow| -> Option<BTreeMap<(&str, u32), &ItemOutcome>> {
            let own = items.get(&row.job)?.iter().filter(|item| item.task == self.measure.task);
            Some(own.map(|item| ((item.subtask.as_str(), item.item), item)).collect())
        };
        // Of other data the same places have other items.
        let (first, second) = if seed.0.data == seed.1.data { (of(seed.0)?, of(seed.1)?) } else { return None };
        if first.is_empty() || !first.keys().eq(second.keys()) {
            return None;
        }
        let mut subtasks: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut paired = Paired::default();
        for ((subtask, _), (one, other)) in first.keys().zip(first.values().zip(second.values())) {
            subtasks.entry(subtask).or_default().push(100.0 * (other.credit - one.credit));
            paired.only_first += u64::from(one.correct && !other.correct);
            paired.only_second += u64::from(other.correct && !one.correct);
        }
        paired.differences = subtasks.into_values().collect();
        Some(paired)
    }
}

#[derive(Default)]
struct Paired {
    differences: SeedDifferences,
    only_first: u64,
    only_second: u64,
}

fn agree(axis: Axis, one: &Condition, other: &Condition) -> bool {
    let names = |condition: &Condition| -> BTreeSet<String> {
        condition.dataset.iter().flat_map(|dataset| dataset.split('+')).map(str::to_owned).collect()
    };
    // A pretrained model has no datasets: it is the baseline of all.
    let datasets = one.dataset == other.dataset
        || (axis == Axis::Curriculum
            && (names(one) == names(other) || one.dataset.is_none() || other.dataset.is_none()));
    // One dataset is merged as well as in sequence.
    let single = axis == Axis::Dataset && [one, other].iter().any(|condition| condition.curriculum == SINGLE);
    (axis == Axis::Model || one.model == other.model)
        && (axis == Axis::Dataset || datasets)
        && (axis == Axis::Curriculum || one.curriculum == other.curriculum || single)
        && (axis == Axis::Extra || one.extra == other.extra)
}

fn unknown(value: &str, conditions: &[Condition]) -> CompareError {
    let mut known: Vec<String> = vec![];
    for axis in Axis::NAMED {
        for condition in conditions {
            if let Some(name) = axis.of(condition).filter(|name| !known.iter().any(|other| other == name)) {
                known.push(name.to_owned());
            }
        }
    }
    let near = known.iter().map(|name| (strsim::damerau_levenshtein(name, value), name)).min();
    let near = near.filter(|(distance, _)| *distance <= 2).map(|(_, name)| name.clone());
    CompareError::Unknown { value: value.to_owned(), near, known }
}

#[cfg(test)]
mod tests;
