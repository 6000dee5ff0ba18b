//! Comparing two values of an axis: what can be said about recipes.
//!
//! The unit is the training run: every interval and p-value is computed from the differences between two conditions for
//! each seed, never from items combined over seeds. `items` is the exception, and says so: it is about two trained models.

mod axis;
mod headline;
mod items;
mod labels;
mod pair;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use super::compared::{Compared, ComparedRow, Equivalence, Label, MissingSeed, SCHEMA, SeedDifference};
use super::marks::Marks;
use super::measure::{Condition, Measure};
use super::statistics::families::Correction;
use super::statistics::mean;
use super::statistics::paired::{equivalence, paired_t, pooled_t};
use super::table::Table;
use crate::domain::{ItemOutcome, ScoreRow};

use axis::Axis;
pub use axis::CompareError;
pub(super) use pair::ScoreMatrix;
use pair::{Missing, Pair, Pool};
pub use pair::{PlannedCells, Scope};

/// What a comparison computes in addition to the paired t test.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Options {
    /// The margin in points within which two conditions count as equivalent.
    pub equivalent: Option<f64>,
    /// Whether to add tests with the pooled spread of all conditions.
    pub pooled: bool,
}

/// The plan and the scores of an experiment.
#[derive(Debug, Clone, Copy)]
pub struct ExperimentScores<'p, 's> {
    /// The name of the experiment.
    pub name: &'p str,
    /// The planned cells.
    pub planned: &'p PlannedCells,
    /// The scores.
    pub scores: &'s [ScoreRow],
}

/// The pairs of conditions of a comparison, with their scores.
pub struct Comparison<'a> {
    axis: Axis,
    first: String,
    second: String,
    scope: Scope,
    pairs: Vec<Pair<'a>>,
    /// The tasks whose two sides are the same jobs.
    same_jobs: Vec<String>,
    scores: ScoreMatrix<'a>,
}

impl<'a> Comparison<'a> {
    /// Finds the axis that has both values, and all pairs of conditions that agree on every other axis.
    ///
    /// # Errors
    /// If the values are not on the same axis, if one of them has no scores, or if no two conditions differ only in them.
    pub fn new(
        planned: &PlannedCells,
        scores: &'a [ScoreRow],
        scope: Scope,
        first: &str,
        second: &str,
    ) -> Result<Self, CompareError> {
        if first == second {
            return Err(CompareError::Same { value: first.to_owned() });
        }
        let axis = Axis::with(planned.conditions(), first, second)?;
        let scores = ScoreMatrix::new(scores, &scope);
        let of = |value| scores.conditions.iter().filter(move |condition| axis.of(condition) == Some(value));
        if let Some(value) = [first, second].into_iter().find(|value| of(value).next().is_none()) {
            return Err(CompareError::Unscored { value: value.to_owned() });
        }
        let both = of(first).flat_map(|one| of(second).map(move |other| (one, other)));
        let agreeing = both.filter(|(one, other)| axis.is_only_difference(one, other));
        let pairs: Vec<Pair> =
            agreeing.flat_map(|(one, other)| scores.pairs((one, planned), &scores, (other, planned))).collect();
        if pairs.is_empty() {
            return Err(CompareError::NoPair { first: first.to_owned(), second: second.to_owned() });
        }
        Ok(Self::of_pairs(axis, (first, second), scope, pairs, scores))
    }

    /// Pairs the conditions that two experiments have in common; `None` if no score exists in both, or if all of them are
    /// from the same jobs.
    pub fn of_experiments(first: ExperimentScores<'_, 'a>, second: ExperimentScores<'_, 'a>) -> Option<Self> {
        let scope = Scope::Aggregates;
        let (one, other) = (ScoreMatrix::new(first.scores, &scope), ScoreMatrix::new(second.scores, &scope));
        let pairs = one.conditions.iter();
        let pairs =
            pairs.flat_map(|condition| one.pairs((condition, first.planned), &other, (condition, second.planned)));
        let pairs: Vec<Pair> = pairs.collect();
        let comparison = Self::of_pairs(Axis::Experiment, (first.name, second.name), scope, pairs, one);
        (!comparison.pairs.is_empty()).then_some(comparison)
    }

    /// Leaves out the pairs whose two sides are the same jobs, because their difference measures nothing.
    fn of_pairs(
        axis: Axis,
        (first, second): (&str, &str),
        scope: Scope,
        pairs: Vec<Pair<'a>>,
        scores: ScoreMatrix<'a>,
    ) -> Self {
        let (same, pairs): (Vec<Pair>, Vec<Pair>) = pairs.into_iter().partition(Pair::is_same_job);
        let measures: Vec<Measure> = same.iter().map(|pair| pair.measure.clone()).collect();
        let same_jobs: BTreeSet<String> = measures.iter().map(|measure| measure.head(&measures)).collect();
        let (first, second) = (first.to_owned(), second.to_owned());
        Self { axis, first, second, scope, pairs, same_jobs: same_jobs.into_iter().collect(), scores }
    }

    /// The eval and finetune jobs whose items `--items` needs.
    pub fn jobs(&self) -> Vec<String> {
        let seeds = self.pairs.iter().flat_map(|pair| &pair.seeds);
        let rows = seeds.flat_map(|seed| seed.first.iter().chain(&seed.second));
        let jobs: BTreeSet<String> = rows.map(|row| row.job.clone()).collect();
        jobs.into_iter().collect()
    }

    /// The table of `--items`, which compares the trained models of each seed by the items of [`Self::jobs`].
    pub fn items(&self, items: &BTreeMap<String, Vec<ItemOutcome>>, title: &str) -> Table {
        items::table((self.axis, &self.pairs), items, (&self.first, &self.second), title)
    }

    /// How the p-values of the table are corrected for their number. Each task is a claim of its own, whereas phenomena and
    /// subtasks are screened for those that differ.
    fn correction(&self) -> Correction {
        match self.scope {
            Scope::Aggregates => Correction::Holm,
            Scope::Subtasks(_) | Scope::Phenomena => Correction::BenjaminiHochberg,
        }
    }

    /// Computes every number of the comparison.
    pub fn evaluate(&self, options: Options) -> Compared {
        let measures: Vec<Measure> = self.pairs.iter().map(|pair| pair.measure.clone()).collect();
        let columns = labels::columns(self.axis, &self.pairs);
        let mut marks = Marks::among(self.pairs.iter().flat_map(|pair| pair.sides().concat()));
        let row = |pair: &Pair| {
            let labels = columns.iter().map(|column| column.label(pair)).collect();
            let marks = pair.sides().map(|side| marks.of(&[&side]));
            self.row(pair, &measures, labels, marks, options)
        };
        let mut rows: Vec<ComparedRow> = self.pairs.iter().map(row).collect();
        let tested: Vec<f64> = rows.iter().filter_map(|row| Some(row.test?.p)).collect();
        let mut corrected = self.correction().apply(&tested).into_iter();
        for row in &mut rows {
            row.p_corrected = row.test.and_then(|_| corrected.next());
        }
        Compared {
            schema: SCHEMA,
            first: self.first.clone(),
            second: self.second.clone(),
            method: "paired t over seeds",
            correction: self.correction(),
            tests: tested.len(),
            about: self.scope.noun(),
            overall: headline::overall(&rows, options.equivalent),
            rows,
            same_jobs: self.same_jobs.clone(),
            marks: marks.into_notes().iter().map(ToString::to_string).collect(),
        }
    }

    fn row(
        &self,
        pair: &Pair,
        measures: &[Measure],
        labels: Vec<Label>,
        marks: [String; 2],
        options: Options,
    ) -> ComparedRow {
        let seed = |seed: &pair::SeedPair| {
            let (first, second) = seed.values();
            SeedDifference { seed: seed.seed, first, second, difference: second - first }
        };
        let seeds: Vec<SeedDifference> = pair.seeds.iter().map(seed).collect();
        let of = |number: fn(&SeedDifference) -> f64| seeds.iter().map(number).collect::<Vec<f64>>();
        let differences = of(|seed| seed.difference);
        let mean_of = |values: &[f64]| mean(values).unwrap_or(f64::NAN);
        let pooled = || {
            let Pool { scores, first, second } = self.scores.pool(pair)?;
            pooled_t(&scores, first, second)
        };
        // The seeds of two models or two experiments have nothing in common that a seed effect could model.
        let poolable = options.pooled && !matches!(self.axis, Axis::Model | Axis::Experiment);
        let missing: Vec<MissingSeed> = pair.missing.iter().map(|missing| self.missing(missing)).collect();
        let lacking: BTreeSet<u64> = missing.iter().map(|missing| missing.seed).collect();
        ComparedRow {
            labels,
            task: pair.measure.subtask.as_ref().unwrap_or(&pair.measure.task).clone(),
            head: pair.measure.head(measures),
            suite: pair.measure.suite.name(),
            metric: pair.measure.metric.clone(),
            mode: pair.measure.mode.to_string(),
            first: mean_of(&of(|seed| seed.first)),
            second: mean_of(&of(|seed| seed.second)),
            difference: mean_of(&differences),
            test: paired_t(&differences).map(Into::into),
            p_corrected: None,
            seeds_planned: seeds.len() + lacking.len(),
            missing,
            equivalence: options.equivalent.map(|margin| Equivalence { margin, p: equivalence(&differences, margin) }),
            pooled: if poolable { pooled().map(Into::into) } else { None },
            marks,
            seeds,
        }
    }

    fn missing(&self, missing: &Missing) -> MissingSeed {
        let name = |condition: &Condition| {
            let mut parts = vec![condition.model.as_str()];
            parts.extend(condition.dataset.as_deref());
            parts.push(&condition.curriculum);
            parts.extend(Some(condition.extra.as_str()).filter(|extra| !extra.is_empty()));
            parts.join(" ")
        };
        MissingSeed {
            seed: missing.seed,
            condition: missing.condition.as_ref().map_or(String::new(), name),
            reason: missing.reason.text(),
        }
    }
}

#[cfg(test)]
mod null_worlds;
#[cfg(test)]
mod tests;
