//! The content of a figure, independent of its layout.

use super::super::statistics::BoxPlot;
use super::super::table::{Cell, Scale, Score, Spread, Table};

/// Rows, and panels that each show one number or one box of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// The title.
    pub title: String,
    /// The names of the rows.
    pub(in super::super) labels: Vec<String>,
    /// The panels, from left to right and from top to bottom.
    pub(in super::super) panels: Vec<Panel>,
    /// Notes for the reader, shown below the panels.
    pub notes: Vec<String>,
}

/// A named series with a value for each row; `None` for a row without a value.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Named<T> {
    /// The name in the legend.
    pub name: String,
    /// One for each row.
    pub values: Vec<Option<T>>,
}

/// An axis with a mark for each row.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Panel {
    /// What the axis measures.
    pub head: String,
    /// One for each row.
    pub marks: Vec<Mark>,
    /// The range of possible values; `None` if there is no limit.
    pub scale: Option<Scale>,
    /// Values of other panels that the axis must contain too, so that all of them have the same scale.
    pub beside: Vec<f64>,
    /// Reference lines, such as chance: the same ones in every panel.
    pub lines: Vec<Named<f64>>,
    /// A shaded range of the axis: its lower and upper end.
    pub bands: Option<Named<(f64, f64)>>,
}

/// What is drawn for one row.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Mark {
    /// A number, with an error bar if there is one.
    Value {
        /// The number.
        value: f64,
        /// The error bar.
        error_bar: Option<ErrorBar>,
        /// The text beside the panel.
        annotation: String,
    },
    /// A 95% interval without a number.
    Interval(f64, f64),
    /// A published number, and the text beside the panel.
    Published(f64, String),
    /// A box plot of several numbers.
    Box(Distribution),
    /// Nothing was measured.
    Missing,
}

/// The kinds of error bars, each with a shape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum ErrorBarKind {
    /// One standard deviation over seeds to either side.
    Deviation,
    /// One standard error over items to either side.
    StandardError,
    /// A 95% interval.
    Interval,
}

/// An error bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct ErrorBar {
    /// What the error bar means.
    pub kind: ErrorBarKind,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The values of one row, and their box plot.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Distribution {
    /// What was measured and its value.
    pub points: Vec<(&'static str, f64)>,
    /// The mean of the values.
    pub mean: f64,
    /// Their box plot.
    pub plot: BoxPlot,
    /// The text beside the panel.
    pub annotation: String,
}

impl Figure {
    /// The figure of a table: a panel for each column of scores, other numbers or intervals. The numbers of the footer are
    /// reference lines.
    pub fn of(table: &Table) -> Self {
        let rows = || table.rows.iter().chain(&table.published);
        let label = |row: &Vec<Cell>| {
            let names: Vec<String> = row[..table.labels].iter().map(Cell::text).collect();
            names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<String>>().join(" ")
        };
        let panel = |index: usize| {
            let published = table.published.iter().map(|row| match Mark::of(&row[index], table.spread) {
                Mark::Value { value, annotation, .. } => Mark::Published(value, annotation),
                mark => mark,
            });
            let line = |row: &Vec<Cell>| {
                let value = if let Cell::Number(value, _) = row[index] { Some(value) } else { None };
                Named { name: row[0].text(), values: vec![value; rows().count()] }
            };
            let scale = |row: &Vec<Cell>| if let Cell::Score(score) = &row[index] { Some(score.scale) } else { None };
            let measured = table.rows.iter().map(|row| Mark::of(&row[index], table.spread));
            Panel {
                scale: table.rows.iter().filter_map(scale).reduce(Scale::join),
                lines: table.footer.iter().map(line).collect(),
                ..Panel::new(table.heads[index].clone(), measured.chain(published).collect())
            }
        };
        let panels = (table.labels..table.heads.len()).map(panel);
        Self {
            title: table.title.clone(),
            labels: rows().map(label).collect(),
            panels: panels.filter(|panel| panel.marks.iter().any(|mark| *mark != Mark::Missing)).collect(),
            notes: table.notes.clone(),
        }
    }

    /// Swaps rows and panels if there are more panels than rows. All panels then have the same scale.
    pub fn upright(self) -> Self {
        let Self { title, labels, panels, notes } = self;
        if panels.len() <= labels.len() {
            return Self { title, labels, panels, notes };
        }
        let values: Vec<f64> = panels.iter().flat_map(Panel::values).collect();
        let scale = panels.iter().map(|panel| panel.scale).reduce(|one, other| Some(one?.join(other?))).flatten();
        let names = panels.first().map_or(vec![], |panel| panel.lines.iter().map(|line| line.name.clone()).collect());
        let turned = labels.into_iter().enumerate().map(|(row, head)| {
            let line = |(number, name): (usize, &String)| {
                let values = panels.iter().map(|panel| panel.lines[number].values[row]).collect();
                Named { name: name.clone(), values }
            };
            Panel {
                scale,
                beside: values.clone(),
                lines: names.iter().enumerate().map(line).collect(),
                ..Panel::new(head, panels.iter().map(|panel| panel.marks[row].clone()).collect())
            }
        });
        let turned = turned.collect();
        Self { title, labels: panels.into_iter().map(|panel| panel.head).collect(), panels: turned, notes }
    }
}

impl Panel {
    /// A panel without limits and reference lines.
    pub(crate) fn new(head: String, marks: Vec<Mark>) -> Self {
        Self { head, marks, scale: None, beside: vec![], lines: vec![], bands: None }
    }

    /// All numbers that the axis must contain.
    pub(crate) fn values(&self) -> Vec<f64> {
        self.marks.iter().flat_map(Mark::values).chain(self.beside.iter().copied()).collect()
    }

    /// The ends of error bars and bands, which the axis contains as far as they are possible values.
    pub(crate) fn error_bar_ends(&self) -> Vec<f64> {
        let bands = self.bands.iter().flat_map(|bands| bands.values.iter().flatten());
        let error_bar = |mark: &Mark| if let Mark::Value { error_bar, .. } = mark { *error_bar } else { None };
        let error_bars = self.marks.iter().filter_map(error_bar).map(|bar| (bar.low, bar.high));
        error_bars.chain(bands.copied()).flat_map(|(low, high)| [low, high]).collect()
    }
}

impl Mark {
    /// The mark of a cell in a table with this ±.
    pub(crate) fn of(cell: &Cell, spread: Spread) -> Self {
        match cell {
            Cell::Score(score) => {
                let Score { mean, .. } = score;
                let kind = match spread {
                    Spread::Items => ErrorBarKind::StandardError,
                    Spread::Seeds | Spread::None => ErrorBarKind::Deviation,
                };
                let error_bar = spread.of(score).map(|size| ErrorBar { kind, low: mean - size, high: mean + size });
                Mark::Value { value: *mean, error_bar, annotation: score.remarks().trim_start().to_owned() }
            }
            Cell::Marked(value, _, marks) => Mark::Value { value: *value, error_bar: None, annotation: marks.clone() },
            Cell::Number(value, _) | Cell::Difference(value, _) => {
                Mark::Value { value: *value, error_bar: None, annotation: String::new() }
            }
            Cell::Interval(low, high, _) => Mark::Interval(*low, *high),
            Cell::Label(_) | Cell::Probability(_) | Cell::Count(_) | Cell::Missing => Mark::Missing,
        }
    }

    /// The numbers of the mark.
    pub(crate) fn values(&self) -> Vec<f64> {
        match self {
            Mark::Value { value, .. } | Mark::Published(value, _) => vec![*value],
            Mark::Interval(low, high) => vec![*low, *high],
            Mark::Box(row) => row.points.iter().map(|(_, value)| *value).chain([row.plot.low, row.plot.high]).collect(),
            Mark::Missing => vec![],
        }
    }

    /// The text beside the panel.
    pub(crate) fn annotation(&self) -> &str {
        match self {
            Mark::Value { annotation, .. } | Mark::Published(_, annotation) => annotation,
            Mark::Box(row) => &row.annotation,
            Mark::Interval(..) | Mark::Missing => "",
        }
    }
}
