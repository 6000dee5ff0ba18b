//! Rows are conditions, columns are tasks.

use std::collections::{BTreeMap, BTreeSet};

use super::statistics::{deviation, mean};
use super::table::{Cell, Score, Table};
use crate::domain::{CellRow, Mode, ScoreRow, Suite};

/// Which scores make the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// The official aggregate of every task.
    Aggregates,
    /// The subtasks of one suite.
    Subtasks(Suite),
}

/// A row: everything about a cell but its seed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Condition {
    pub(super) model: String,
    pub(super) dataset: Option<String>,
    pub(super) curriculum: String,
    pub(super) extra: String,
}

/// A column: one number about each model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Measure {
    pub(super) suite: Suite,
    pub(super) task: String,
    pub(super) subtask: Option<String>,
    pub(super) metric: String,
    pub(super) mode: Mode,
}

impl Condition {
    pub(super) fn of_cell(cell: &CellRow) -> Self {
        Self {
            model: cell.model.clone(),
            dataset: cell.dataset.clone(),
            curriculum: cell.curriculum.clone(),
            extra: cell.extra.clone(),
        }
    }

    pub(super) fn of_score(row: &ScoreRow) -> Self {
        Self {
            model: row.model.clone(),
            dataset: row.dataset.clone(),
            curriculum: row.curriculum.clone(),
            extra: row.extra.clone(),
        }
    }
}

impl Measure {
    pub(super) fn of(row: &ScoreRow) -> Self {
        let score = &row.score;
        Self {
            suite: score.suite,
            task: score.task.clone(),
            subtask: score.subtask.clone(),
            metric: score.metric.clone(),
            mode: score.mode,
        }
    }

    /// A head that tells it from the others.
    pub(super) fn head(&self, all: &[Measure]) -> String {
        let mut head = self.subtask.as_ref().unwrap_or(&self.task).clone();
        let twins = |same: &dyn Fn(&Measure) -> bool| {
            all.iter()
                .any(|other| other != self && other.task == self.task && other.subtask == self.subtask && same(other))
        };
        if twins(&|other| other.metric != self.metric) {
            head.push_str(&format!(" {}", self.metric));
        }
        if twins(&|other| other.mode != self.mode) {
            head.push_str(&format!(" ({})", self.mode));
        }
        head
    }
}

/// Pushes what is not there yet: order of first sight.
pub(super) fn push_new<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

/// The values of each seed: one, or one for each seed of a fine-tuning.
fn by_seed(found: &[&ScoreRow]) -> Vec<Vec<f64>> {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for row in found {
        values.entry(row.seed).or_default().push(row.score.value);
    }
    values.into_values().collect()
}

/// The table of an experiment, milestones left out. `cells` are all cells that were planned, scored or not.
pub fn pivot(experiment: &str, cells: &[CellRow], scores: &[ScoreRow], columns: Columns) -> Table {
    let wanted = |row: &&ScoreRow| match columns {
        Columns::Aggregates => row.score.subtask.is_none(),
        Columns::Subtasks(suite) => row.score.suite == suite && row.score.subtask.is_some(),
    };
    let scores: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).filter(wanted).collect();
    let (mut conditions, mut measures) = (vec![], vec![]);
    let mut seeds: BTreeMap<Condition, BTreeSet<u64>> = BTreeMap::new();
    for cell in cells {
        push_new(&mut conditions, Condition::of_cell(cell));
        seeds.entry(Condition::of_cell(cell)).or_default().insert(cell.seed);
    }
    for row in &scores {
        push_new(&mut measures, Measure::of(row));
    }
    let mut values: BTreeMap<(Condition, Measure), Vec<&ScoreRow>> = BTreeMap::new();
    for row in &scores {
        values.entry((Condition::of_score(row), Measure::of(row))).or_default().push(row);
    }

    let mut most_runs: BTreeMap<Measure, usize> = BTreeMap::new();
    for ((_, measure), found) in &values {
        let most = by_seed(found).iter().map(Vec::len).max().unwrap_or(0);
        let known = most_runs.entry(measure.clone()).or_default();
        *known = most.max(*known);
    }

    let extras = conditions.iter().any(|condition| !condition.extra.is_empty());
    let mut heads: Vec<String> = ["model", "datasets", "curriculum"].map(str::to_owned).into();
    if extras {
        heads.push("with".to_owned());
    }
    let labels = heads.len();
    heads.extend(measures.iter().map(|measure| measure.head(&measures)));
    let glue = |measure: &Measure| columns == Columns::Aggregates && measure.suite == Suite::Glue;
    let tasks = measures.iter().filter(|measure| glue(measure)).count();
    if tasks > 1 {
        heads.push("glue mean".to_owned());
    }
    let accuracies =
        measures.len() > 1 && tasks < measures.len() && measures.iter().all(|measure| measure.metric == "accuracy");
    if accuracies {
        heads.push("mean".to_owned());
    }

    let mut marks = Marks::default();
    let mut incomplete = false;
    let mut single = false;
    let mut of_tuning = false;
    let rows = conditions.iter().map(|condition| {
        let mut row = vec![
            Cell::Label(condition.model.clone()),
            condition.dataset.clone().map_or(Cell::Label(String::new()), Cell::Label),
            Cell::Label(condition.curriculum.clone()),
        ];
        if extras {
            row.push(Cell::Label(condition.extra.clone()));
        }
        let expected = seeds.get(condition).map_or(0, BTreeSet::len);
        let mut means = vec![];
        for measure in &measures {
            let found = values.get(&(condition.clone(), measure.clone())).map_or(&[][..], Vec::as_slice);
            let runs = by_seed(found);
            let numbers: Vec<f64> = runs.iter().filter_map(|values| mean(values)).collect();
            let Some(value) = mean(&numbers) else {
                incomplete = true;
                row.push(Cell::Missing);
                continue;
            };
            // Seeds of which every fine-tuning is there.
            let whole = runs.iter().filter(|values| values.len() == most_runs[measure]).count();
            incomplete |= whole < expected;
            single |= found.len() == 1;
            of_tuning |= runs.len() == 1 && found.len() > 1;
            means.push((measure, value));
            row.push(Cell::Score(Score {
                mean: value,
                deviation: deviation(if runs.len() == 1 { &runs[0] } else { &numbers }),
                stderr: if found.len() == 1 { found[0].score.stderr } else { None },
                seeds: whole,
                seeds_expected: expected,
                marks: marks.of(found, &scores),
            }));
        }
        let mut average = |values: Option<Vec<f64>>| {
            let value = values.and_then(|values| mean(&values));
            row.push(value.map_or(Cell::Missing, |mean| Cell::Number(mean, 1)));
        };
        let of_glue: Vec<f64> = means.iter().filter(|(measure, _)| glue(measure)).map(|(_, value)| *value).collect();
        let of_glue = Some(of_glue).filter(|values| values.len() == tasks);
        if tasks > 1 {
            average(of_glue.clone());
        }
        if accuracies {
            let others = means.iter().filter(|(measure, _)| !glue(measure)).map(|(_, value)| *value);
            // All tasks of glue together count as much as any other suite.
            let of_suites = of_glue.map(|tasks| others.chain(mean(&tasks)).collect());
            average(of_suites.filter(|_| means.len() == measures.len()));
        }
        row
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let footer = footer(&heads, labels, &measures, &scores);
    let mut notes = vec![legend(&measures, single)];
    if of_tuning {
        notes.push("glue, where there is one seed: ± sd over the seeds of the fine-tuning".to_owned());
    }
    if incomplete {
        notes.push("— or [k/n]: not measured with every seed; `grid status` says what is left to do".to_owned());
    }
    notes.extend(marks.notes);
    let title = match columns {
        Columns::Aggregates => experiment.to_owned(),
        Columns::Subtasks(suite) => format!("{experiment}: {suite} by subtask"),
    };
    Table { title, heads, labels, rows, footer, notes }
}

fn legend(measures: &[Measure], single: bool) -> String {
    let modes: BTreeSet<Mode> = measures.iter().map(|measure| measure.mode).collect();
    let rules = match modes.into_iter().collect::<Vec<_>>()[..] {
        [Mode::COMPAT] => "; scored as the official pipeline does (compat)".to_owned(),
        [Mode::FIXED] => "; scored by the repaired rules (fixed)".to_owned(),
        ref modes => {
            let others = modes.iter().filter(|mode| ![Mode::COMPAT, Mode::FIXED].contains(mode));
            let others: Vec<String> = others.map(|mode| mode.to_string()).collect();
            if others.is_empty() { String::new() } else { format!("; scored by the rules {}", others.join(", ")) }
        }
    };
    let spread = if single {
        "mean ± sd over seeds, or (± standard error over items) for one seed"
    } else {
        "mean ± sd over seeds"
    };
    format!("{spread}{rules}")
}

/// What guessing and what a trivial strategy give, where the suites say so.
fn footer(heads: &[String], labels: usize, measures: &[Measure], scores: &[&ScoreRow]) -> Vec<Vec<Cell>> {
    let line = |name: &str, of: &dyn Fn(&ScoreRow) -> Option<f64>| {
        let mut row = vec![Cell::Label(name.to_owned())];
        row.extend((1..labels).map(|_| Cell::Label(String::new())));
        for measure in measures {
            let first = scores.iter().find(|row| Measure::of(row) == *measure);
            row.push(first.and_then(|row| of(row)).map_or(Cell::Missing, |value| Cell::Number(value, 1)));
        }
        row.resize(heads.len(), Cell::Label(String::new()));
        row
    };
    let lines = [line("chance", &|row| row.score.chance), line("trivial floor", &|row| row.score.floor)];
    lines.into_iter().filter(|row| row.iter().any(|cell| matches!(cell, Cell::Number(..)))).collect()
}

/// Letters for scores that may mean nothing, each with its reason below the table.
#[derive(Default)]
struct Marks {
    notes: Vec<String>,
    letters: BTreeMap<String, char>,
}

impl Marks {
    fn of(&mut self, found: &[&ScoreRow], all: &[&ScoreRow]) -> String {
        let mut reasons: Vec<&str> = vec![];
        if found.iter().any(|row| row.score.nans > 0) {
            reasons.push("some candidates have no number for a score (NaN)");
        }
        if found.iter().any(|row| row.score.n > 0 && row.score.ties == row.score.n) {
            reasons.push("every item is a tie: the model does not tell the candidates apart");
        }
        if found.iter().any(|row| row.score.classes == Some(1)) {
            reasons.push("one class for every item: the classifier does not read its input");
        } else if found.iter().any(|row| row.score.classes.is_some() && Some(row.score.value) <= row.score.chance) {
            reasons.push("not above always guessing the most frequent class");
        }
        let trivial = |row: &&ScoreRow| {
            let floor = row.score.floor.filter(|_| row.score.n >= 1_000);
            floor.is_some_and(|floor| (row.score.value - floor).abs() < 1e-9)
        };
        if found.iter().any(trivial) {
            reasons.push("equal to the trivial floor to the last digit");
        }
        // Equal to the last bit with other weights: the score does not depend on the model. Few items can agree by
        // chance, so only scores that could take many values count.
        let twin = |row: &&ScoreRow| {
            row.score.n >= 1_000
                && all.iter().any(|other| {
                    other.job != row.job
                        && Measure::of(other) == Measure::of(row)
                        && other.score.value.to_bits() == row.score.value.to_bits()
                        && other.score.stderr == row.score.stderr
                })
        };
        if found.iter().any(twin) {
            reasons.push("equal to another model's score to the last digit");
        }
        reasons
            .into_iter()
            .map(|reason| {
                let next = (b'a' + self.letters.len() as u8) as char;
                *self.letters.entry(reason.to_owned()).or_insert_with(|| {
                    self.notes.push(format!("{next}: {reason}"));
                    next
                })
            })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn cell(model: &str, dataset: Option<&str>, curriculum: &str, seed: u64) -> CellRow {
        CellRow {
            model: model.to_owned(),
            dataset: dataset.map(str::to_owned),
            curriculum: curriculum.to_owned(),
            seed,
            extra: String::new(),
        }
    }

    pub(in super::super) fn row(cell: &CellRow, suite: Suite, subtask: Option<&str>, value: f64) -> ScoreRow {
        let label = format!("{}/{:?}/{}/{}", cell.model, cell.dataset, cell.curriculum, cell.seed);
        ScoreRow {
            experiment: "toy".to_owned(),
            job: format!("{label} {suite}"),
            cell: label,
            model: cell.model.clone(),
            dataset: cell.dataset.clone(),
            curriculum: cell.curriculum.clone(),
            seed: cell.seed,
            extra: cell.extra.clone(),
            score: crate::domain::Score {
                suite,
                task: suite.name().to_owned(),
                subtask: subtask.map(str::to_owned),
                metric: "accuracy".to_owned(),
                value,
                n: 100,
                stderr: Some(2.5),
                chance: Some(50.0),
                floor: Some(48.9),
                ties: 0,
                near_ties: 0,
                nans: 0,
                classes: None,
                mode: Mode::FIXED,
            },
            checkpoint: "final".to_owned(),
            finetune_seed: None,
        }
    }

    fn table() -> Table {
        let cells = [
            cell("tiny", None, "pretrained", 1),
            cell("tiny", None, "pretrained", 2),
            cell("tiny", Some("a+b"), "merged", 1),
            cell("tiny", Some("a+b"), "merged", 2),
            cell("tiny", Some("a+b"), "sequential", 1),
        ];
        let scores = [
            row(&cells[0], Suite::Blimp, None, 70.0),
            row(&cells[1], Suite::Blimp, None, 72.0),
            row(&cells[0], Suite::BlimpSupplement, None, 60.0),
            row(&cells[1], Suite::BlimpSupplement, None, 61.0),
            row(&cells[2], Suite::Blimp, None, 75.25),
        ];
        pivot("toy", &cells, &scores, Columns::Aggregates)
    }

    #[test]
    fn terminal() {
        insta::assert_snapshot!(table().terminal(), @r"
toy
─────────────────────────────────────────────────────────────────────────────────────
 model           datasets   curriculum               blimp   blimp-supplement   mean
═════════════════════════════════════════════════════════════════════════════════════
 tiny                       pretrained          71.0 ± 1.4         60.5 ± 0.7   65.8
 tiny            a+b        merged       75.2 (±2.5) [1/2]                  —      —
 tiny            a+b        sequential                   —                  —      —
─────────────────────────────────────────────────────────────────────────────────────
 chance                                               50.0               50.0
 trivial floor                                        48.9               48.9
─────────────────────────────────────────────────────────────────────────────────────
mean ± sd over seeds, or (± standard error over items) for one seed; scored by the repaired rules (fixed)
— or [k/n]: not measured with every seed; `grid status` says what is left to do
");
    }

    /// Two tasks, fine-tuned with two seeds each; the second model has one run less.
    #[test]
    fn tasks_of_glue_have_columns_of_their_own_and_count_as_one_suite() {
        let cells = [cell("tiny", None, "pretrained", 1), cell("small", None, "pretrained", 1)];
        let mut scores = vec![];
        for (cell, offset) in [(&cells[0], 0.0), (&cells[1], 10.0)] {
            scores.push(row(cell, Suite::Blimp, None, 70.0));
            for (task, value) in [("rte", 50.0), ("wsc", 60.0)] {
                for seed in [1, 2] {
                    let mut row = row(cell, Suite::Glue, None, value + offset + 2.0 * seed as f64);
                    row.score.task = task.to_owned();
                    row.score.chance = Some(58.0);
                    row.score.classes = Some(if task == "rte" && offset == 0.0 { 1 } else { 2 });
                    row.finetune_seed = Some(seed);
                    scores.push(row);
                }
            }
        }
        scores.pop();
        insta::assert_snapshot!(pivot("toy", &cells, &scores, Columns::Aggregates).terminal(), @r"
toy
──────────────────────────────────────────────────────────────────────────────────────────────────────────
 model           datasets   curriculum         blimp           rte                 wsc   glue mean   mean
══════════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny                       pretrained   70.0 (±2.5)   53.0 ± 1.4a          63.0 ± 1.4        58.0   64.0
 small                      pretrained   70.0 (±2.5)    63.0 ± 1.4   72.0 (±2.5) [0/1]        67.5   68.8
──────────────────────────────────────────────────────────────────────────────────────────────────────────
 chance                                         50.0          58.0                58.0
 trivial floor                                  48.9          48.9                48.9
──────────────────────────────────────────────────────────────────────────────────────────────────────────
mean ± sd over seeds, or (± standard error over items) for one seed; scored by the repaired rules (fixed)
glue, where there is one seed: ± sd over the seeds of the fine-tuning
— or [k/n]: not measured with every seed; `grid status` says what is left to do
a: one class for every item: the classifier does not read its input
");
    }

    #[test]
    fn markdown() {
        insta::assert_snapshot!(table().markdown(), @r"
**toy**

| model | datasets | curriculum | blimp | blimp-supplement | mean |
| --- | --- | --- | ---: | ---: | ---: |
| tiny |  | pretrained | 71.0 ± 1.4 | 60.5 ± 0.7 | 65.8 |
| tiny | a+b | merged | 75.2 (±2.5) [1/2] | — | — |
| tiny | a+b | sequential | — | — | — |
| chance |  |  | 50.0 | 50.0 |  |
| trivial floor |  |  | 48.9 | 48.9 |  |

mean ± sd over seeds, or (± standard error over items) for one seed; scored by the repaired rules (fixed)

— or [k/n]: not measured with every seed; `grid status` says what is left to do
");
    }

    #[test]
    fn csv() {
        insta::assert_snapshot!(table().csv(), @r"
model,datasets,curriculum,blimp,blimp_sd,blimp_seeds,blimp-supplement,blimp-supplement_sd,blimp-supplement_seeds,mean
tiny,,pretrained,71,1.4142135623730951,2,60.5,0.7071067811865476,2,65.75
tiny,a+b,merged,75.25,,1,,,,
tiny,a+b,sequential,,,,,,,
");
    }

    #[test]
    fn a_planned_cell_without_a_score_stays_in_the_table() {
        let table = table();
        let last = table.rows.last().unwrap();
        assert_eq!(last[2..], [Cell::Label("sequential".into()), Cell::Missing, Cell::Missing, Cell::Missing]);
    }

    #[test]
    fn degenerate_scores_are_marked_with_the_reason() {
        let cells = [cell("m", None, "pretrained", 1), cell("n", None, "pretrained", 1)];
        let mut scores = [row(&cells[0], Suite::Blimp, None, 50.0), row(&cells[1], Suite::Blimp, None, 50.0)];
        for row in &mut scores {
            row.score.n = 5_000;
        }
        scores[0].score.nans = 3;
        let table = pivot("toy", &cells, &scores, Columns::Aggregates);
        let marks = |row: usize| match &table.rows[row][3] {
            Cell::Score(score) => score.marks.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((marks(0), marks(1)), ("ab".to_owned(), "b".to_owned()));
        assert!(table.notes.iter().any(|note| note.starts_with("b: equal to another")));
    }
}
