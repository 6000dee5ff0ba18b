//! The pairs of a comparison: two conditions on one measure, seed by seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::measure::{Condition, Measure, push_new};
use super::super::statistics::mean;
use crate::domain::{CellRow, ScoreRow, Suite, blimp_term};

/// Which scores are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The official aggregate of every task.
    Aggregates,
    /// The subtasks of the suite or test set of this name.
    Subtasks(String),
    /// The phenomena that the subtasks of BLiMP belong to.
    Phenomena,
}

impl Scope {
    /// What `--subtasks` compares for a suite: the subtasks and, for BLiMP, the phenomena if every subtask belongs to one.
    pub fn of_suite(name: &str, scores: &[ScoreRow]) -> Vec<Self> {
        let mut subtasks =
            scores.iter().filter(|row| row.score.test_name() == name).filter_map(|row| row.score.subtask.as_ref());
        let terms = name == Suite::Blimp.name() && subtasks.all(|subtask| blimp_term(subtask).is_some());
        terms.then_some(Scope::Phenomena).into_iter().chain([Scope::Subtasks(name.to_owned())]).collect()
    }

    /// The noun for one measure of this scope.
    pub fn noun(&self) -> &'static str {
        match self {
            Scope::Aggregates => "task",
            Scope::Subtasks(_) => "subtask",
            Scope::Phenomena => "phenomenon",
        }
    }

    /// The measure that a score belongs to; `None` if it is not in this scope.
    fn measure(&self, row: &ScoreRow) -> Option<Measure> {
        let measure = Measure::of(row);
        match (self, &measure.subtask) {
            (Scope::Aggregates, None) => Some(measure),
            (Scope::Subtasks(name), Some(_)) if name == row.score.test_name() => Some(measure),
            (Scope::Phenomena, Some(subtask)) if measure.suite == Suite::Blimp => {
                let term = blimp_term(subtask)?.to_owned();
                Some(Measure { subtask: Some(term), ..measure })
            }
            _ => None,
        }
    }
}

/// The planned cells of an experiment, and which of them have failed.
#[derive(Debug, Default)]
pub struct PlannedCells {
    conditions: Vec<Condition>,
    seeds: BTreeMap<Condition, BTreeSet<u64>>,
    failed: BTreeSet<(Condition, u64)>,
}

impl PlannedCells {
    /// `cells` are all cells of an experiment, and `failed` those with a failed job.
    pub fn new(cells: &[CellRow], failed: &[CellRow]) -> Self {
        let mut planned = Self::default();
        for cell in cells {
            let condition = Condition::of_cell(cell);
            planned.seeds.entry(condition.clone()).or_default().insert(cell.seed);
            push_new(&mut planned.conditions, condition);
        }
        planned.failed = failed.iter().map(|cell| (Condition::of_cell(cell), cell.seed)).collect();
        planned
    }

    /// The conditions in the order of the cells.
    pub(super) fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn seeds(&self, condition: &Condition) -> impl Iterator<Item = u64> {
        self.seeds.get(condition).into_iter().flatten().copied()
    }

    /// Why a condition has no score for a seed.
    fn reason(&self, condition: &Condition, seed: u64) -> MissingReason {
        let planned = self.seeds.get(condition).is_some_and(|seeds| seeds.contains(&seed));
        match planned {
            _ if self.failed.contains(&(condition.clone(), seed)) => MissingReason::Failed,
            true => MissingReason::NotRun,
            false => MissingReason::NotPlanned,
        }
    }
}

/// Why a seed is missing in a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MissingReason {
    /// A job of the cell has failed.
    Failed,
    /// Not all jobs of the cell have run.
    NotRun,
    /// The experiment does not have the cell.
    NotPlanned,
    /// The two sides were scored on different items.
    OtherData,
}

impl MissingReason {
    /// The words in tables and JSON.
    pub(super) fn text(self) -> &'static str {
        match self {
            MissingReason::Failed => "failed",
            MissingReason::NotRun => "not run",
            MissingReason::NotPlanned => "not planned",
            MissingReason::OtherData => "other data",
        }
    }
}

/// A seed that only one side has, or whose scores cannot be compared.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Missing {
    pub seed: u64,
    /// The side that lacks it; `None` if both sides have a score, but on different items.
    pub condition: Option<Condition>,
    pub reason: MissingReason,
}

/// The scores of both sides for one seed.
#[derive(Debug, Clone)]
pub(super) struct SeedPair<'a> {
    pub seed: u64,
    pub first: Vec<&'a ScoreRow>,
    pub second: Vec<&'a ScoreRow>,
}

impl SeedPair<'_> {
    /// The score of each side: the mean over the fine-tunings and tunings of one pretrained model.
    pub(super) fn values(&self) -> (f64, f64) {
        (value(&self.first), value(&self.second))
    }
}

/// The mean of the scores of one seed.
pub(super) fn value(rows: &[&ScoreRow]) -> f64 {
    mean(&rows.iter().map(|row| row.score.value).collect::<Vec<f64>>()).unwrap_or(f64::NAN)
}

/// Two conditions that differ only in the compared values, on one measure.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    pub first: Condition,
    pub second: Condition,
    pub measure: Measure,
    /// The seeds that can be compared, ascending.
    pub seeds: Vec<SeedPair<'a>>,
    /// The other seeds of either side, ascending.
    pub missing: Vec<Missing>,
}

impl<'a> Pair<'a> {
    /// The scores of the first and of the second condition for all seeds that are compared.
    pub(super) fn sides(&self) -> [Vec<&'a ScoreRow>; 2] {
        let first = self.seeds.iter().flat_map(|seed| seed.first.iter().copied());
        let second = self.seeds.iter().flat_map(|seed| seed.second.iter().copied());
        [first.collect(), second.collect()]
    }

    /// Whether both sides are the same jobs, as when a model is its own baseline.
    pub(super) fn is_same_job(&self) -> bool {
        let jobs = |rows: &[&ScoreRow]| rows.iter().map(|row| row.job.clone()).collect::<BTreeSet<String>>();
        self.seeds.iter().all(|seed| jobs(&seed.first) == jobs(&seed.second))
    }
}

/// The number of different fine-tuning seeds of some scores.
fn finetunings(rows: &[&ScoreRow]) -> usize {
    rows.iter().map(|row| row.finetune_seed).collect::<BTreeSet<_>>().len()
}

/// The scores of final models by condition and measure, both in the order of their first occurrence.
#[derive(Default)]
pub(in super::super) struct ScoreMatrix<'a> {
    pub conditions: Vec<Condition>,
    pub measures: Vec<Measure>,
    by: HashMap<(Condition, Measure), BTreeMap<u64, Vec<&'a ScoreRow>>>,
}

impl<'a> ScoreMatrix<'a> {
    pub(in super::super) fn new(scores: &'a [ScoreRow], scope: &Scope) -> Self {
        let mut scored = Self::default();
        for row in scores.iter().filter(|row| row.is_final()) {
            let Some(measure) = scope.measure(row) else { continue };
            let condition = Condition::of_score(row);
            push_new(&mut scored.conditions, condition.clone());
            push_new(&mut scored.measures, measure.clone());
            scored.by.entry((condition, measure)).or_default().entry(row.seed).or_default().push(row);
        }
        scored
    }

    /// The scores of a condition by seed, for the seeds that are complete: those with as many scores as any other seed,
    /// from `finetunings` different fine-tuning seeds.
    fn complete(
        &self,
        condition: &Condition,
        measure: &Measure,
        finetunings: usize,
    ) -> BTreeMap<u64, &Vec<&'a ScoreRow>> {
        let Some(seeds) = self.by.get(&(condition.clone(), measure.clone())) else { return BTreeMap::new() };
        let most = seeds.values().map(Vec::len).max().unwrap_or(0);
        let is_complete = |rows: &&Vec<&ScoreRow>| rows.len() == most && self::finetunings(rows) == finetunings;
        seeds.iter().filter(|(_, rows)| is_complete(rows)).map(|(seed, rows)| (*seed, rows)).collect()
    }

    /// The largest number of fine-tuning seeds that one model of a condition has.
    fn finetunings(&self, condition: &Condition, measure: &Measure) -> usize {
        let seeds = self.by.get(&(condition.clone(), measure.clone()));
        seeds.into_iter().flat_map(BTreeMap::values).map(|rows| finetunings(rows)).max().unwrap_or(0)
    }

    /// The pairs of a condition of this matrix with a condition of `others`, one for each measure that has a seed that can
    /// be compared.
    pub(super) fn pairs(
        &self,
        (one, planned): (&Condition, &PlannedCells),
        others: &ScoreMatrix<'a>,
        (other, others_planned): (&Condition, &PlannedCells),
    ) -> Vec<Pair<'a>> {
        let pair = |measure: &Measure| {
            let most = self.finetunings(one, measure).max(others.finetunings(other, measure));
            let (left, right) = (self.complete(one, measure, most), others.complete(other, measure, most));
            let (mut seeds, mut missing) = (vec![], vec![]);
            let all: BTreeSet<u64> = (planned.seeds(one).chain(others_planned.seeds(other)))
                .chain(left.keys().chain(right.keys()).copied())
                .collect();
            for seed in all {
                let (first, second) = (left.get(&seed), right.get(&seed));
                let lacks = |condition: &Condition, planned: &PlannedCells| {
                    let reason = planned.reason(condition, seed);
                    Missing { seed, condition: Some(condition.clone()), reason }
                };
                match (first, second) {
                    (Some(first), Some(second)) if data(first) == data(second) => {
                        seeds.push(SeedPair { seed, first: first.to_vec(), second: second.to_vec() });
                    }
                    (Some(_), Some(_)) => {
                        missing.push(Missing { seed, condition: None, reason: MissingReason::OtherData });
                    }
                    (first, second) => {
                        missing.extend(first.is_none().then(|| lacks(one, planned)));
                        missing.extend(second.is_none().then(|| lacks(other, others_planned)));
                    }
                }
            }
            let (first, second, measure) = (one.clone(), other.clone(), measure.clone());
            (!seeds.is_empty()).then_some(Pair { first, second, measure, seeds, missing })
        };
        self.measures.iter().filter_map(pair).collect()
    }

    /// The scores of one model on a measure for [`residual_sd`](super::super::statistics::paired::residual_sd): a row for
    /// each condition, with the seeds that most conditions have. `None` without scores.
    pub(in super::super) fn balanced(&self, model: &str, measure: &Measure) -> Option<Vec<Vec<f64>>> {
        let of_model: Vec<&Condition> = self.conditions.iter().filter(|condition| condition.model == model).collect();
        let whole = |condition: &&Condition| self.complete(condition, measure, self.finetunings(condition, measure));
        let sets: Vec<BTreeSet<u64>> = of_model.iter().map(whole).map(|seeds| seeds.into_keys().collect()).collect();
        let count = |wanted: &BTreeSet<u64>| sets.iter().filter(|seeds| seeds.is_superset(wanted)).count();
        let sets_of_any = sets.iter().filter(|seeds| !seeds.is_empty());
        let seeds = sets_of_any.max_by_key(|seeds| (count(seeds) * seeds.len(), seeds.len()))?;
        Some(self.matrix(of_model, measure, seeds).into_iter().map(|row| row.values).collect())
    }

    /// The scores for [`pooled_t`](super::super::statistics::paired::pooled_t): those of all conditions of the pair's model
    /// that have all seeds of the pair.
    pub(super) fn pool(&self, pair: &Pair) -> Option<Pool> {
        let ends = [&pair.first, &pair.second];
        // The compared conditions come first, because of conditions that share jobs only the first is kept.
        let rest = self.conditions.iter().filter(|one| one.model == pair.first.model && !ends.contains(one));
        let seeds: BTreeSet<u64> = pair.seeds.iter().map(|seed| seed.seed).collect();
        let mut rows = self.matrix(ends.into_iter().chain(rest).collect(), &pair.measure, &seeds);
        // Scores on other items may have a different spread.
        let data: Vec<BTreeSet<&str>> = pair.seeds.iter().map(|seed| data(&seed.first)).collect();
        rows.retain(|row| row.data == data);
        let place = |wanted: &Condition| rows.iter().position(|row| row.condition == wanted);
        let (first, second) = (place(&pair.first)?, place(&pair.second)?);
        Some(Pool { scores: rows.into_iter().map(|row| row.values).collect(), first, second })
    }

    /// A row for each of these conditions that has all of these seeds; of conditions that share their jobs, only the
    /// first.
    fn matrix<'b>(
        &'b self,
        conditions: Vec<&'b Condition>,
        measure: &Measure,
        seeds: &BTreeSet<u64>,
    ) -> Vec<MatrixRow<'b>> {
        let mut rows: Vec<MatrixRow> = vec![];
        for condition in conditions {
            let whole = self.complete(condition, measure, self.finetunings(condition, measure));
            let wanted: Option<Vec<&Vec<&ScoreRow>>> = seeds.iter().map(|seed| whole.get(seed).copied()).collect();
            let Some(wanted) = wanted else { continue };
            let jobs = wanted.iter().flat_map(|rows| rows.iter().map(|row| row.job.as_str())).collect();
            if rows.iter().any(|known| known.jobs == jobs) {
                continue;
            }
            let data = wanted.iter().map(|rows| data(rows)).collect();
            rows.push(MatrixRow { condition, jobs, data, values: wanted.iter().map(|rows| value(rows)).collect() });
        }
        rows
    }
}

/// The scores that a pooled test uses.
pub(super) struct Pool {
    /// A row for each condition, a column for each seed.
    pub scores: Vec<Vec<f64>>,
    /// The row of the first condition of the pair.
    pub first: usize,
    /// The row of the second condition of the pair.
    pub second: usize,
}

/// The scores of one condition, seed by seed.
struct MatrixRow<'a> {
    condition: &'a Condition,
    jobs: BTreeSet<&'a str>,
    /// The evaluation data behind the score of each seed.
    data: Vec<BTreeSet<&'a str>>,
    values: Vec<f64>,
}

/// The evaluation data behind some scores.
fn data<'a>(rows: &[&'a ScoreRow]) -> BTreeSet<&'a str> {
    rows.iter().map(|row| row.data.as_str()).collect()
}
