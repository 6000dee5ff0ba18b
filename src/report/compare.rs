//! Two values of an axis against each other, pair by pair, with intervals and tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::figure::{Figure, Mark, Panel};
use super::measure::{Condition, Measure, push_new};
use super::statistics::{SeedDifferences, crossed_bootstrap, holm, mcnemar, mean, nested_mean, t_interval};
use super::table::{Cell, Table};
use crate::domain::{CellRow, ItemOutcome, ScoreRow, counted};

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

/// An axis of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Model,
    Dataset,
    Curriculum,
    Extra,
}

impl Axis {
    const ALL: [Axis; 4] = [Axis::Curriculum, Axis::Dataset, Axis::Model, Axis::Extra];

    fn of(self, condition: &Condition) -> Option<&str> {
        match self {
            Axis::Model => Some(&condition.model),
            Axis::Dataset => condition.dataset.as_deref(),
            Axis::Curriculum => Some(&condition.curriculum),
            Axis::Extra => Some(condition.extra.as_str()).filter(|extra| !extra.is_empty()),
        }
    }
}

/// Columns of the table of a comparison.
const FIRST: usize = 3;
const SECOND: usize = 4;
const DIFFERENCE: usize = 5;
const INTERVAL: usize = 6;
const P: usize = 7;

/// A comparison that can be made.
pub struct Comparison<'a> {
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

impl<'a> Comparison<'a> {
    /// Finds the axis that has both values, and every pair of conditions that agree on all other axes.
    ///
    /// For curricula, datasets agree when they are the same set: both orders of a sequence are compared with the one
    /// merged model. `cells` are all cells that were planned, scored or not.
    pub fn new(cells: &[CellRow], scores: &'a [ScoreRow], first: &str, second: &str) -> Result<Self, CompareError> {
        if first == second {
            return Err(CompareError::Same { value: first.to_owned() });
        }
        let mut planned: Vec<Condition> = vec![];
        cells.iter().for_each(|cell| push_new(&mut planned, Condition::of_cell(cell)));
        let mut conditions: Vec<Condition> = vec![];
        let mut measures: Vec<Measure> = vec![];
        let mut by: HashMap<(usize, usize), BySeed> = HashMap::new();
        for row in scores.iter().filter(|row| row.is_final() && row.score.subtask.is_none()) {
            let condition = index_of(&mut conditions, Condition::of_score(row));
            let measure = index_of(&mut measures, Measure::of(row));
            by.entry((condition, measure)).or_default().insert((row.seed, row.finetune_seed), row);
        }
        let has = |axis: Axis, value: &str| planned.iter().any(|condition| axis.of(condition) == Some(value));
        if let Some(value) = [first, second].into_iter().find(|value| !Axis::ALL.iter().any(|axis| has(*axis, value))) {
            return Err(unknown(value, &planned));
        }
        let different = || CompareError::Axes { first: first.to_owned(), second: second.to_owned() };
        let axis = Axis::ALL.into_iter().find(|axis| has(*axis, first) && has(*axis, second)).ok_or_else(different)?;
        let scored = |value: &str| conditions.iter().any(|condition| axis.of(condition) == Some(value));
        if let Some(value) = [first, second].into_iter().find(|value| !scored(value)) {
            return Err(CompareError::Unscored { value: value.to_owned() });
        }
        let mut pairs = vec![];
        for (a, one) in conditions.iter().enumerate().filter(|(_, one)| axis.of(one) == Some(first)) {
            for (b, other) in conditions.iter().enumerate().filter(|(_, other)| axis.of(other) == Some(second)) {
                if !agree(axis, one, other) {
                    continue;
                }
                for (m, measure) in measures.iter().enumerate() {
                    let (Some(left), Some(right)) = (by.get(&(a, m)), by.get(&(b, m))) else { continue };
                    let both = left.iter().filter_map(|(seed, row)| Some((*row, *right.get(seed)?)));
                    let both: Vec<(&ScoreRow, &ScoreRow)> = both.collect();
                    let seeds: Vec<_> =
                        both.chunk_by(|one, next| one.0.seed == next.0.seed).map(<[_]>::to_vec).collect();
                    if !seeds.is_empty() {
                        pairs.push(Pair { first: one.clone(), second: other.clone(), measure: measure.clone(), seeds });
                    }
                }
            }
        }
        if pairs.is_empty() {
            return Err(CompareError::NoPair { first: first.to_owned(), second: second.to_owned() });
        }
        Ok(Self { first: first.to_owned(), second: second.to_owned(), pairs })
    }

    /// The eval jobs whose items the intervals need.
    pub fn jobs(&self) -> Vec<String> {
        let both = |(one, other): &(&ScoreRow, &ScoreRow)| [one.job.clone(), other.job.clone()];
        let jobs: BTreeSet<String> =
            self.pairs.iter().flat_map(|pair| pair.seeds.iter().flatten()).flat_map(both).collect();
        jobs.into_iter().collect()
    }

    /// The table: a row for each pair and task.
    pub fn table(&self, experiment: &str, items: &BTreeMap<String, Vec<ItemOutcome>>) -> Table {
        let measured: Vec<Measured> = self.pairs.par_iter().map(|pair| pair.measure(items)).collect();
        let tested: Vec<f64> = measured.iter().filter_map(|one| one.p).collect();
        let mut corrected = holm(&tested).into_iter();
        let measures: Vec<Measure> = self.pairs.iter().map(|pair| pair.measure.clone()).collect();
        let rows = self.pairs.iter().zip(&measured).map(|(pair, found)| {
            let dataset = |condition: &Condition| condition.dataset.clone().unwrap_or_default();
            let datasets = match (dataset(&pair.first), dataset(&pair.second)) {
                (first, second) if first == second => first,
                (first, second) => format!("{first} / {second}"),
            };
            let p = found.p.and_then(|_| corrected.next());
            vec![
                Cell::Label(if self.first == pair.first.model { String::new() } else { pair.first.model.clone() }),
                Cell::Label(datasets),
                Cell::Label(pair.measure.head(&measures)),
                Cell::Number(found.first, 1),
                Cell::Number(found.second, 1),
                Cell::Difference(found.second - found.first, 1),
                found.interval.map_or(Cell::Missing, |(low, high)| Cell::Interval(low, high)),
                p.map_or(Cell::Missing, Cell::Probability),
                Cell::Count(pair.seeds.len() as u64),
                found.items.map_or(Cell::Missing, Cell::Count),
            ]
        });
        let rows: Vec<Vec<Cell>> = rows.collect();
        let heads = [
            "model",
            "datasets",
            "task",
            &self.first,
            &self.second,
            "difference",
            "95% interval",
            "p",
            "seeds",
            "items",
        ];
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
            heads: heads.map(str::to_owned).into(),
            labels: 3,
            rows,
            published: vec![],
            footer: vec![],
            notes,
        }
    }
}

/// The picture of a comparison's table: both values on one scale, and the difference with its interval and its p.
pub fn compared(table: &Table) -> Figure {
    let column = |index: usize| table.rows.iter().map(|row| Mark::of(&row[index])).collect::<Vec<Mark>>();
    let panel = |head: &str, marks: Vec<Mark>| Panel { head: head.to_owned(), marks, beside: vec![], lines: vec![] };
    let values = [FIRST, SECOND].map(column);
    let both: Vec<f64> = values.iter().flatten().flat_map(Mark::values).collect();
    let heads = [FIRST, SECOND].map(|index| table.heads[index].as_str());
    let values =
        heads.into_iter().zip(values).map(|(head, marks)| Panel { beside: both.clone(), ..panel(head, marks) });
    let difference = |row: &Vec<Cell>| match row[DIFFERENCE] {
        Cell::Difference(value, _) => Mark::Value {
            value,
            reach: if let Cell::Interval(low, high) = row[INTERVAL] { Some((low, high)) } else { None },
            remarks: if let Cell::Probability(_) = row[P] { format!("p {}", row[P].text()) } else { String::new() },
        },
        _ => Mark::Missing,
    };
    let zero = ("no difference".to_owned(), vec![Some(0.0); table.rows.len()]);
    let differences = table.rows.iter().map(difference).collect();
    let difference = Panel { lines: vec![zero], ..panel("difference, 95% interval", differences) };
    Figure { panels: values.chain([difference]).collect(), ..Figure::of(table) }
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
        let (first, second) = (of(seed.0)?, of(seed.1)?);
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

fn index_of<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}

fn agree(axis: Axis, one: &Condition, other: &Condition) -> bool {
    let names = |condition: &Condition| -> BTreeSet<String> {
        condition.dataset.iter().flat_map(|dataset| dataset.split('+')).map(str::to_owned).collect()
    };
    // A pretrained model has no datasets: it is the baseline of all.
    let datasets = one.dataset == other.dataset
        || (axis == Axis::Curriculum
            && (names(one) == names(other) || one.dataset.is_none() || other.dataset.is_none()));
    (axis == Axis::Model || one.model == other.model)
        && (axis == Axis::Dataset || datasets)
        && (axis == Axis::Curriculum || one.curriculum == other.curriculum)
        && (axis == Axis::Extra || one.extra == other.extra)
}

fn unknown(value: &str, conditions: &[Condition]) -> CompareError {
    let mut known: Vec<String> = vec![];
    for axis in Axis::ALL {
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
