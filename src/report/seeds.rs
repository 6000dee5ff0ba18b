//! Scores by model seed, which is the unit of every ± and of every test over seeds.
//!
//! A model seed has several scores of one task if its tuning or its fine-tuning was run with several seeds. They are
//! averaged within the model seed, because two fine-tunings of one model say nothing about another pretraining run.

use std::collections::{BTreeMap, BTreeSet};

use super::measure::{Condition, Measure, is_scored_as, modes, push_new};
use super::statistics::{deviation, mean};
use super::table::{Cell, Scale, Score, Spread};
use crate::domain::{CellRow, Mode, Quantity, ScoreRow};

/// The conditions of an experiment in the order of their cells, with their scores.
pub(super) struct ScoredConditions<'a>(Vec<ScoredCondition<'a>>);

/// A condition with its planned cells and its scores.
#[derive(Clone)]
pub(super) struct ScoredCondition<'a> {
    pub(super) condition: Condition,
    /// The number of planned cells of each model seed; several tunings can share one pretrained model.
    planned: BTreeMap<u64, usize>,
    rows: Vec<&'a ScoreRow>,
}

impl ScoredCondition<'_> {
    /// The number of planned model seeds.
    pub(super) fn expected(&self) -> usize {
        self.planned.len()
    }

    /// Whether the condition has any score.
    pub(super) fn is_scored(&self) -> bool {
        !self.rows.is_empty()
    }
}

impl<'a> ScoredConditions<'a> {
    /// A line for each condition of these cells.
    pub(super) fn of(cells: &[CellRow], scores: &[&'a ScoreRow]) -> Self {
        let mut conditions: Vec<Condition> = vec![];
        cells.iter().for_each(|cell| push_new(&mut conditions, Condition::of_cell(cell)));
        let line = |condition: Condition| {
            let mut planned: BTreeMap<u64, usize> = BTreeMap::new();
            for cell in cells.iter().filter(|cell| Condition::of_cell(cell) == condition) {
                *planned.entry(cell.seed).or_default() += 1;
            }
            let rows = scores.iter().copied().filter(|row| Condition::of_score(row) == condition).collect();
            ScoredCondition { condition, planned, rows }
        };
        Self(conditions.into_iter().map(line).collect())
    }

    /// The same conditions with only the scores of this mode.
    pub(super) fn of_mode(&self, mode: Mode) -> Self {
        self.filtered(|row| row.score.mode == mode)
    }

    /// The same conditions with only the scores that `keep` accepts.
    pub(super) fn filtered(&self, keep: impl Fn(&ScoreRow) -> bool) -> Self {
        let line = |line: &ScoredCondition<'a>| {
            let rows = line.rows.iter().copied().filter(|row| keep(row)).collect();
            ScoredCondition { rows, ..line.clone() }
        };
        Self(self.0.iter().map(line).collect())
    }

    /// Iterates over the lines in the order of the cells.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, ScoredCondition<'a>> {
        self.0.iter()
    }

    /// What ± means for these cells: the deviation over seeds or, if every condition has one seed, the standard error of
    /// recorded scores over items.
    pub(super) fn spread<'c>(&self, cells: impl IntoIterator<Item = &'c Cell>) -> Spread {
        let has_stderr = |cell: &Cell| matches!(cell, Cell::Score(Score { stderr: Some(_), .. }));
        match self.0.iter().any(|line| line.expected() > 1) {
            true => Spread::Seeds,
            false if cells.into_iter().any(has_stderr) => Spread::Items,
            false => Spread::None,
        }
    }

    /// The column of a measure: the scores of each line.
    pub(super) fn by_measure(&self, measure: &Measure) -> Vec<SeedScores<'a>> {
        self.by(|row| Measure::of(row) == *measure)
    }

    /// The column of a quantity: the scores of each line, or the mean of the parts of the quantity.
    pub(super) fn by_quantity(&self, quantity: Quantity) -> Vec<SeedScores<'a>> {
        match &quantity.parts()[..] {
            [] => self.by(|row| is_scored_as(quantity, row)),
            parts => mean_of(&parts.iter().map(|part| self.by_quantity(*part)).collect::<Vec<_>>()),
        }
    }

    fn by(&self, is: impl Fn(&ScoreRow) -> bool) -> Vec<SeedScores<'a>> {
        let rows = self.0.iter().map(|line| line.rows.iter().copied().filter(|row| is(row)).collect());
        let rows: Vec<Vec<&ScoreRow>> = rows.collect();
        // The number of planned fine-tunings is not recorded; it is taken to be the largest number that any model has.
        let runs = rows.iter().flat_map(|rows| by_cell(rows)).flat_map(|(_, cells)| cells.into_values());
        let most = runs.map(|runs| runs.len()).max().unwrap_or(0);
        let seeds = self.0.iter().zip(rows).map(|(line, rows)| {
            let of_seed = |(seed, cells): (u64, BTreeMap<&str, Vec<&ScoreRow>>)| {
                let planned = line.planned.get(&seed).copied().unwrap_or(0);
                let complete = cells.len() >= planned && cells.values().all(|runs| runs.len() == most);
                Some((seed, OfSeed { value: averaged(&cells, |row| row.score.value)?, complete }))
            };
            let by_seed = by_cell(&rows).into_iter().filter_map(of_seed).collect();
            SeedScores { by_seed, rows, expected: line.expected(), is_mean: false }
        });
        seeds.collect()
    }
}

/// The scores of one condition in one column, by model seed.
#[derive(Debug, Clone)]
pub(super) struct SeedScores<'a> {
    by_seed: BTreeMap<u64, OfSeed>,
    rows: Vec<&'a ScoreRow>,
    expected: usize,
    is_mean: bool,
}

#[derive(Debug, Clone, Copy)]
struct OfSeed {
    value: f64,
    /// Whether all planned tunings, and as many fine-tunings as other models have, are included.
    complete: bool,
}

impl<'a> SeedScores<'a> {
    /// The mean over the measured seeds.
    pub(super) fn mean(&self) -> Option<f64> {
        mean(&self.values())
    }

    /// The recorded scores behind the column.
    pub(super) fn rows(&self) -> &[&'a ScoreRow] {
        &self.rows
    }

    /// Whether a seed has several scores of one task, which are averaged within the seed.
    pub(super) fn is_nested(&self) -> bool {
        let mut seen = BTreeSet::new();
        !self.rows.iter().all(|row| seen.insert((Measure::of(row), row.seed)))
    }

    fn values(&self) -> Vec<f64> {
        self.by_seed.values().map(|of_seed| of_seed.value).collect()
    }

    /// The cell of the table; `marks` are the letters of its marks.
    pub(super) fn cell(&self, marks: String) -> Cell {
        let values = self.values();
        let Some(mean) = mean(&values) else { return Cell::Missing };
        let scales = self.rows.iter().map(|row| Scale::of_metric(&row.score.metric));
        // The same model can be in several cells, as a pretrained model is for each seed of a tuning.
        let models: BTreeSet<(&str, Option<u64>)> =
            self.rows.iter().map(|row| (row.job.as_str(), row.finetune_seed)).collect();
        Cell::Score(Score {
            mean,
            deviation: deviation(&values),
            stderr: self.rows.first().filter(|_| models.len() == 1 && !self.is_mean).and_then(|row| row.score.stderr),
            seeds: self.by_seed.values().filter(|of_seed| of_seed.complete).count(),
            seeds_expected: self.expected,
            marks,
            modes: modes(&self.rows),
            scale: scales.reduce(Scale::join).unwrap_or(Scale::Percent),
        })
    }
}

/// The mean of several columns for each line, computed seed by seed over the seeds that have every column.
pub(super) fn mean_of<'a>(parts: &[Vec<SeedScores<'a>>]) -> Vec<SeedScores<'a>> {
    let lines = parts.iter().map(Vec::len).min().unwrap_or(0);
    let of_line = |line: usize| {
        let parts: Vec<&SeedScores> = parts.iter().map(|part| &part[line]).collect();
        let of_seed = |seed: &u64| {
            let values: Vec<OfSeed> =
                parts.iter().map(|part| part.by_seed.get(seed).copied()).collect::<Option<_>>()?;
            let complete = values.iter().all(|of_seed| of_seed.complete);
            let value = mean(&values.iter().map(|of_seed| of_seed.value).collect::<Vec<f64>>())?;
            Some((*seed, OfSeed { value, complete }))
        };
        let seeds: BTreeSet<u64> = parts.iter().flat_map(|part| part.by_seed.keys().copied()).collect();
        SeedScores {
            by_seed: seeds.iter().filter_map(of_seed).collect(),
            rows: parts.iter().flat_map(|part| part.rows.iter().copied()).collect(),
            expected: parts.iter().map(|part| part.expected).max().unwrap_or(0),
            is_mean: true,
        }
    };
    (0..lines).map(of_line).collect()
}

/// A number for each model seed of these scores, which belong to one condition and one measure: the mean over the tunings
/// of the mean over their fine-tunings.
pub(super) fn within_seeds(rows: &[&ScoreRow], value: impl Fn(&ScoreRow) -> f64) -> Vec<f64> {
    by_cell(rows).values().filter_map(|cells| averaged(cells, &value)).collect()
}

/// The scores by model seed and, within a seed, by the further axes, which distinguish its tunings.
fn by_cell<'a>(rows: &[&'a ScoreRow]) -> BTreeMap<u64, BTreeMap<&'a str, Vec<&'a ScoreRow>>> {
    let mut by: BTreeMap<u64, BTreeMap<&str, Vec<&ScoreRow>>> = BTreeMap::new();
    for row in rows {
        by.entry(row.seed).or_default().entry(row.extra.as_str()).or_default().push(row);
    }
    by
}

fn averaged(cells: &BTreeMap<&str, Vec<&ScoreRow>>, value: impl Fn(&ScoreRow) -> f64) -> Option<f64> {
    let of_cell = |runs: &Vec<&ScoreRow>| mean(&runs.iter().map(|row| value(row)).collect::<Vec<f64>>());
    mean(&cells.values().filter_map(of_cell).collect::<Vec<f64>>())
}

/// Notes on missing seeds and on numbers without ± among these cells.
pub(super) fn remarks<'c>(spread: Spread, cells: impl IntoIterator<Item = &'c Cell> + Clone) -> Vec<String> {
    let short = |cell: &Cell| match cell {
        Cell::Score(score) => score.seeds < score.seeds_expected,
        cell => *cell == Cell::Missing,
    };
    let one = |cell: &Cell| matches!(cell, Cell::Score(Score { deviation: None, .. }));
    let mut notes = vec![];
    if spread == Spread::Seeds && cells.clone().into_iter().any(one) {
        notes.push("A score without ± is from a single seed.".to_owned());
    }
    if cells.into_iter().any(short) {
        let note = "[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.";
        notes.push(note.to_owned());
    }
    notes
}

/// A note if scores were averaged within seeds before ± was computed.
pub(super) fn nesting<'s>(seeds: impl IntoIterator<Item = &'s SeedScores<'s>>) -> Option<String> {
    let note = "The score of a model seed is the mean over its tunings and fine-tunings.";
    seeds.into_iter().any(SeedScores::is_nested).then(|| note.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;
    use crate::domain::Suite;

    fn score(cell: &Cell) -> &Score {
        match cell {
            Cell::Score(score) => score,
            other => panic!("{other:?}"),
        }
    }

    /// One pretrained model with three tunings is one seed without a deviation. Two of them have the deviation of their
    /// means.
    #[test]
    fn tunings_of_one_pretrained_model_are_averaged() {
        let nested = |seed: u64, tuning: u64| {
            let mut cell = cell("tiny", Some("a"), "single", seed);
            cell.extra = format!("tune.seed={tuning}");
            cell
        };
        let one: Vec<CellRow> = [1, 2, 3].map(|tuning| nested(1, tuning)).into();
        let scores = |cells: &[CellRow]| -> Vec<ScoreRow> {
            let value = |cell: &CellRow| 50.0 + 10.0 * cell.seed as f64 + cell.extra.len() as f64;
            let shift = |cell: &CellRow| if cell.extra.ends_with('3') { 3.0 } else { 0.0 };
            cells.iter().map(|cell| row(cell, Suite::Blimp, None, value(cell) + shift(cell))).collect()
        };
        let column = |cells: &[CellRow], scores: &[ScoreRow]| {
            let lines = ScoredConditions::of(cells, &scores.iter().collect::<Vec<_>>());
            assert_eq!(lines.iter().count(), 1);
            let column = lines.by_quantity(Quantity::Suite(Suite::Blimp));
            assert!(column[0].is_nested());
            column[0].cell(String::new())
        };
        let all = scores(&one);
        let cell = column(&one, &all);
        assert_eq!((score(&cell).mean, score(&cell).deviation, score(&cell).stderr), (72.0, None, None));
        assert_eq!((score(&cell).seeds, score(&cell).seeds_expected), (1, 1));
        let cell = column(&one, &all[..2]);
        assert_eq!((score(&cell).mean, score(&cell).seeds), (71.0, 0), "a tuning is missing");

        let two: Vec<CellRow> = one.iter().cloned().chain([1, 2, 3].map(|tuning| nested(2, tuning))).collect();
        let cell = column(&two, &scores(&two));
        assert_eq!((score(&cell).mean, score(&cell).seeds, score(&cell).seeds_expected), (77.0, 2, 2));
        // The sample deviation of 72 and 82, not of six scores.
        assert!((score(&cell).deviation.unwrap() - 50f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_mean_uses_the_seeds_that_have_every_part() {
        let cells = [1, 2, 3].map(|seed| cell("tiny", None, "pretrained", seed));
        let mut rows = vec![];
        for (cell, value) in cells.iter().zip([60.0, 70.0, 80.0]) {
            rows.push(row(cell, Suite::Blimp, None, value));
            if cell.seed < 3 {
                rows.push(row(cell, Suite::Ewok, None, value - 20.0));
            }
        }
        let lines = ScoredConditions::of(&cells, &rows.iter().collect::<Vec<_>>());
        let parts = [Suite::Blimp, Suite::Ewok].map(|suite| lines.by_quantity(Quantity::Suite(suite)));
        let cell = mean_of(&parts)[0].cell(String::new());
        // 50 and 60; the mean of the columns, 70 and 45, would be 57.5.
        assert_eq!((score(&cell).mean, score(&cell).seeds, score(&cell).seeds_expected), (55.0, 2, 3));
        assert!((score(&cell).deviation.unwrap() - 50f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn a_planned_seed_counts_once_however_many_tunings_it_has() {
        let mut cells = [1, 1, 2].map(|seed| cell("tiny", Some("a"), "single", seed));
        "tune.seed=7".clone_into(&mut cells[1].extra);
        let lines = ScoredConditions::of(&cells, &[]);
        let line = lines.iter().next().unwrap();
        assert_eq!((line.expected(), line.is_scored()), (2, false));
        assert_eq!(lines.by_quantity(Quantity::Macro)[0].cell(String::new()), Cell::Missing);
    }
}
