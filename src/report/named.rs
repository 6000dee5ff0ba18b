//! Tables that a spec defines: quantities as scores, as z-scores over the models, or as box plots of the z-scores.
//!
//! z(m, t) = (score(m, t) − mean over the models) / population deviation over the models. The box of a model is the
//! distribution of its z over the columns (CLASS-IT, figures 3, 5 and 6). Published rows are not included in either.

use super::conditions::ConditionColumns;
use super::equal_models::{EqualModels, equal_models};
use super::figure::{Distribution, Figure, Mark, Named, Panel};
use super::marks::Marks;
use super::measure::{is_scored_as, scored_with, wide_intervals};
use super::published::Published;
use super::seeds::{ScoredCondition, ScoredConditions, SeedScores, nesting, remarks};
use super::statistics::{BoxPlot, mean, z_scores};
use super::table::{Cell, Spread, Table};
use crate::domain::{CellRow, NamedTable, Quantity, Reference, ScoreRow, TableView, counted};

/// A table that the spec defines, without milestones: a row for each condition.
pub fn named_table(
    experiment: &str,
    table: &NamedTable,
    cells: &[CellRow],
    scores: &[ScoreRow],
    references: &[Reference],
) -> Table {
    let all: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).collect();
    let lines = ScoredConditions::of(cells, &all);
    let names = ConditionColumns::of(&lines);
    let mut heads = names.heads();
    let labels = heads.len();
    let columns: Vec<Vec<SeedScores>> = table.columns.iter().map(|quantity| lines.by_quantity(*quantity)).collect();
    let mut marks = Marks::among(all.iter().copied());
    let shown = match table.show {
        TableView::Scores => scored(&lines, &table.columns, &columns, &mut marks),
        TableView::ZScores => ZScores::of(&table.columns, &columns).z_scores(),
        TableView::Boxes => ZScores::of(&table.columns, &columns).boxes(),
    };
    heads.extend(shown.heads);
    let row = |(line, values): (&ScoredCondition, Vec<Cell>)| [names.cells(&line.condition), values].concat();
    let rows = lines.iter().zip(shown.rows).map(row).collect();
    let (mut published, mut footer) = (Published::default(), vec![]);
    if table.show == TableView::Scores {
        let columns: Vec<Option<Quantity>> = table.columns.iter().copied().map(Some).collect();
        let chosen = references.iter().filter(|reference| table.references.contains(&reference.name));
        published = Published::of(&chosen.cloned().collect::<Vec<_>>(), labels, &columns, &mut marks);
        footer = floors(labels, &table.columns, &all);
    }
    let mut notes = shown.notes;
    let marks = marks.into_notes();
    notes.extend(marks.iter().map(ToString::to_string));
    notes.extend(published.notes);
    let title = format!("{experiment}: {}", table.name);
    Table {
        title,
        spread: shown.spread,
        heads,
        labels,
        rows,
        published: published.rows,
        footer,
        notes,
        marks,
        ..Table::default()
    }
}

/// The figure of a table of boxes, without milestones: a box for each condition.
pub fn box_figure(experiment: &str, table: &NamedTable, cells: &[CellRow], scores: &[ScoreRow]) -> Figure {
    let all: Vec<&ScoreRow> = scores.iter().filter(|row| row.is_final()).collect();
    let lines = ScoredConditions::of(cells, &all);
    let columns: Vec<Vec<SeedScores>> = table.columns.iter().map(|quantity| lines.by_quantity(*quantity)).collect();
    let z_scores = ZScores::of(&table.columns, &columns);
    let marks = z_scores.distributions().into_iter().map(|row| row.map_or(Mark::Missing, Mark::Box)).collect();
    let bands = z_scores.equal.iter().flat_map(|equal| &equal.bands);
    let bands: Vec<Option<(f64, f64)>> = bands.map(|half| half.map(|half| (-half, half))).collect();
    let panel = Panel {
        bands: z_scores
            .equal
            .is_some()
            .then(|| Named { name: "95% band of the mean of equally good models".to_owned(), values: bands }),
        lines: vec![Named { name: "mean over the models".to_owned(), values: vec![Some(0.0); lines.iter().count()] }],
        ..Panel::new("z-score over the models".to_owned(), marks)
    };
    let mut notes = z_scores.notes();
    notes.push(format!("Points: {}.", names(&table.columns).join(", ")));
    Figure { panels: vec![panel], notes, ..Figure::of(&named_table(experiment, table, cells, scores, &[])) }
}

/// The part of a table that depends on what it shows.
struct Shown {
    heads: Vec<String>,
    spread: Spread,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

fn names(columns: &[Quantity]) -> Vec<String> {
    columns.iter().map(|quantity| quantity.name().to_owned()).collect()
}

fn scored(lines: &ScoredConditions, quantities: &[Quantity], columns: &[Vec<SeedScores>], marks: &mut Marks) -> Shown {
    let cell = |quantity: &Quantity, seeds: &SeedScores, marks: &mut Marks| {
        // A mean has no score of guessing.
        let letters = if quantity.parts().is_empty() { marks.of(&[seeds.rows()]) } else { String::new() };
        seeds.cell(letters)
    };
    let row = |line: usize| {
        let both = quantities.iter().zip(columns);
        both.map(|(quantity, column)| cell(quantity, &column[line], marks)).collect::<Vec<Cell>>()
    };
    let rows: Vec<Vec<Cell>> = (0..lines.iter().count()).map(row).collect();
    let spread = lines.spread(rows.iter().flatten());
    let shown = columns.iter().flatten().flat_map(|seeds| seeds.rows().iter().copied());
    let mut notes: Vec<String> = scored_with(shown.clone().map(|row| row.score.mode)).into_iter().collect();
    notes.extend(nesting(columns.iter().flatten()));
    notes.extend(remarks(spread, rows.iter().flatten()));
    if spread != Spread::Items {
        notes.extend(wide_intervals(shown));
    }
    if quantities.iter().any(|quantity| !quantity.parts().is_empty()) {
        notes.push("Means are computed seed by seed, over the seeds that have every part.".to_owned());
    }
    Shown { heads: names(quantities), spread, rows, notes }
}

/// The rows with the scores of guessing and of a trivial strategy, if the suites define them.
fn floors(labels: usize, columns: &[Quantity], all: &[&ScoreRow]) -> Vec<Vec<Cell>> {
    let line = |name: &str, of: fn(&ScoreRow) -> Option<f64>| {
        let blank = (1..labels).map(|_| Cell::Label(String::new()));
        let number = |quantity: &Quantity| {
            let value = all.iter().find(|row| is_scored_as(*quantity, row)).and_then(|row| of(row));
            value.map_or(Cell::Missing, |value| Cell::Number(value, 1))
        };
        std::iter::once(Cell::Label(name.to_owned())).chain(blank).chain(columns.iter().map(number)).collect()
    };
    let lines: [Vec<Cell>; 2] = [line("chance", |row| row.score.chance), line("trivial floor", |row| row.score.floor)];
    lines.into_iter().filter(|row| row.iter().any(|cell| matches!(cell, Cell::Number(..)))).collect()
}

/// The z-scores of a table.
struct ZScores<'a> {
    quantities: &'a [Quantity],
    /// The z of every model in every column; `None` if it is not defined.
    zs: Vec<Vec<Option<f64>>>,
    /// The number of models that have a score in any column.
    models: usize,
    /// What the mean z-scores would be if all models were equally good.
    equal: Option<EqualModels>,
}

impl<'a> ZScores<'a> {
    fn of(quantities: &'a [Quantity], columns: &[Vec<SeedScores>]) -> Self {
        let means: Vec<Vec<Option<f64>>> =
            columns.iter().map(|column| column.iter().map(SeedScores::mean).collect()).collect();
        let by_column: Vec<Vec<Option<f64>>> = means.iter().map(|column| z_scores(column)).collect();
        let lines = columns.first().map_or(0, Vec::len);
        let row = |by: &[Vec<Option<f64>>], line: usize| by.iter().map(|column| column[line]).collect::<Vec<_>>();
        let zs: Vec<Vec<Option<f64>>> = (0..lines).map(|line| row(&by_column, line)).collect();
        let scored: Vec<Vec<bool>> = zs.iter().map(|zs| zs.iter().map(Option::is_some).collect()).collect();
        let models = (0..lines).filter(|line| row(&means, *line).iter().any(Option::is_some)).count();
        Self { quantities, zs, models, equal: equal_models(&scored) }
    }

    /// Notes on how to read z-scores.
    fn notes(&self) -> Vec<String> {
        let models = self.models;
        let mut notes = vec![
            format!(
                "z is the distance from the mean of these {models} models in population standard deviations over the \
                 models. Published rows are not included."
            ),
            "A column in which the models differ only by noise has the same weight as any other. A column in which all \
             models are equal has no z."
                .to_owned(),
        ];
        if let Some(EqualModels { bands, expected_range, high_range }) = &self.equal {
            // The band of a model with the most columns.
            let most = self.zs.iter().map(|zs| zs.iter().flatten().count()).max().unwrap_or(0);
            let whole = self.zs.iter().position(|zs| zs.iter().flatten().count() == most);
            if let Some(half) = whole.and_then(|whole| bands[whole]) {
                notes.push(format!(
                    "If all {models} models were equally good, 95% of them would have a mean z between -{half:.2} and \
                     +{half:.2} over {}. The range of their mean z would be {expected_range:.2} on average, and above \
                     {high_range:.2} in 5% of tables (simulated with independent normal scores).",
                    counted(most as u64, "column")
                ));
            }
            if self.zs.iter().any(|zs| (1..most).contains(&zs.iter().flatten().count())) {
                let note = "A model with fewer columns has a wider band, and its mean z is not comparable with others.";
                notes.push(note.to_owned());
            }
        }
        notes
    }

    /// The number of columns in which a model has a z, of all.
    fn columns(&self, known: usize) -> String {
        format!("{known} of {}", self.quantities.len())
    }

    fn z_scores(&self) -> Shown {
        let number = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Number(value, 2));
        let row = |zs: &Vec<Option<f64>>| {
            let known: Vec<f64> = zs.iter().flatten().copied().collect();
            let numbers = zs.iter().copied().chain([mean(&known)]).map(number);
            numbers.chain([Cell::Label(self.columns(known.len()))]).collect()
        };
        let rows = self.zs.iter().map(row).collect();
        let heads = names(self.quantities).into_iter().chain(["mean z", "columns"].map(str::to_owned)).collect();
        Shown { heads, spread: Spread::None, rows, notes: self.notes() }
    }

    /// The distribution of the z-scores of each model; `None` for a model without any.
    fn distributions(&self) -> Vec<Option<Distribution>> {
        let of_model = |zs: &Vec<Option<f64>>| {
            let points: Vec<(&str, f64)> =
                self.quantities.iter().zip(zs).filter_map(|(quantity, z)| Some((quantity.name(), (*z)?))).collect();
            let values: Vec<f64> = points.iter().map(|(_, z)| *z).collect();
            let lacks = values.len() < self.quantities.len();
            let annotation = if lacks { self.columns(values.len()) } else { String::new() };
            Some(Distribution { mean: mean(&values)?, plot: BoxPlot::of(&values)?, points, annotation })
        };
        self.zs.iter().map(of_model).collect()
    }

    fn boxes(&self) -> Shown {
        let rows = self.distributions().into_iter().map(|row| {
            let count = |known: usize| Cell::Label(self.columns(known));
            let Some(Distribution { points, mean, plot, .. }) = row else {
                return [vec![count(0)], vec![Cell::Missing; 8]].concat();
            };
            let outliers = points.iter().filter(|(_, z)| plot.is_outlier(*z));
            let outliers: Vec<String> = outliers.map(|(name, z)| format!("{name} {z:+.2}")).collect();
            let BoxPlot { low, first, median, third, high } = plot;
            let numbers = [mean, median, third - first, first, third, low, high].map(|value| Cell::Number(value, 2));
            [vec![count(points.len())], numbers.into(), vec![Cell::Label(outliers.join(", "))]].concat()
        });
        let rows = rows.collect();
        let heads = ["columns", "mean z", "median", "IQR", "Q1", "Q3", "low", "high", "outliers"];
        let mut notes = self.notes();
        notes.push(format!(
            "Each box is the distribution of the z-scores of a model over {}.",
            names(self.quantities).join(", ")
        ));
        notes.push(
            "Low and high are the furthest values within 1.5 IQR of the box; values beyond them are outliers."
                .to_owned(),
        );
        Shown { heads: heads.map(str::to_owned).into(), spread: Spread::None, rows, notes }
    }
}

#[cfg(test)]
mod tests;
