//! What a picture shows, before it has a form.

use super::super::statistics::BoxPlot;
use super::super::table::{Cell, Scale, Score, Spread, Table};

/// Rows, and panels that each show one number, or one box, of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// Names of the rows.
    pub(in super::super) labels: Vec<String>,
    /// From left to right, then below.
    pub(in super::super) panels: Vec<Panel>,
    /// What a reader must know, one sentence each.
    pub notes: Vec<String>,
}

/// A value of each row, where it has one, under their name.
pub(in super::super) type Named<T> = (String, Vec<Option<T>>);

/// An axis, and on it a mark for each row.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Panel {
    /// What the axis measures.
    pub head: String,
    /// One for each row.
    pub marks: Vec<Mark>,
    /// The values that its numbers can have; `None` where there is no limit.
    pub scale: Option<Scale>,
    /// Values of other panels that its axis holds too, so that all of them are on one scale.
    pub beside: Vec<f64>,
    /// Values that are not measured, such as chance: the same ones in every panel.
    pub lines: Vec<Named<f64>>,
    /// A part of the axis with a meaning of its own, lower and upper end.
    pub bands: Option<Named<(f64, f64)>>,
}

/// What is drawn of one row.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Mark {
    /// A number, and how far its doubt reaches.
    Value {
        /// The number.
        value: f64,
        /// How far its doubt reaches, and which one.
        reach: Option<Reach>,
        /// What stands behind it.
        remarks: String,
    },
    /// A 95% interval that goes with no number.
    Interval(f64, f64),
    /// A number that others have published, and what stands behind it.
    Published(f64, String),
    /// Several numbers.
    Box(Distribution),
    /// Nothing was measured.
    Missing,
}

/// Kinds of doubt, each drawn as a mark of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Doubt {
    /// One standard deviation over seeds to either side.
    Deviation,
    /// One standard error over items to either side.
    StandardError,
    /// A 95% interval.
    Interval,
}

/// From where to where a doubt reaches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) struct Reach {
    /// Which doubt it is.
    pub doubt: Doubt,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Named values of one row, and their box.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Distribution {
    /// What was measured, and its value.
    pub points: Vec<(&'static str, f64)>,
    /// The mean of the values.
    pub mean: f64,
    /// Their box.
    pub plot: BoxPlot,
    /// What stands behind it.
    pub remarks: String,
}

impl Figure {
    /// The columns of scores, other numbers and intervals; the footer's numbers are lines.
    pub fn of(table: &Table) -> Self {
        let rows = || table.rows.iter().chain(&table.published);
        let label = |row: &Vec<Cell>| {
            let names: Vec<String> = row[..table.labels].iter().map(Cell::text).collect();
            names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<String>>().join(" ")
        };
        let panel = |index: usize| {
            let published = table.published.iter().map(|row| match Mark::of(&row[index], table.spread) {
                Mark::Value { value, remarks, .. } => Mark::Published(value, remarks),
                mark => mark,
            });
            let line = |row: &Vec<Cell>| match row[index] {
                Cell::Number(value, _) => (row[0].text(), vec![Some(value); rows().count()]),
                _ => (row[0].text(), vec![None; rows().count()]),
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

    /// With rows for panels and a panel for each row, all on one scale, where there are more panels than rows.
    pub fn upright(self) -> Self {
        let Self { title, labels, panels, notes } = self;
        if panels.len() <= labels.len() {
            return Self { title, labels, panels, notes };
        }
        let values: Vec<f64> = panels.iter().flat_map(Panel::values).collect();
        let scale = panels.iter().map(|panel| panel.scale).reduce(|one, other| Some(one?.join(other?))).flatten();
        let names = panels.first().map_or(vec![], |panel| panel.lines.iter().map(|(name, _)| name.clone()).collect());
        let turned = labels.into_iter().enumerate().map(|(row, head)| {
            let line = |(number, name): (usize, &String)| {
                (name.clone(), panels.iter().map(|panel| panel.lines[number].1[row]).collect())
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
    /// An axis without limits and without lines.
    pub fn new(head: String, marks: Vec<Mark>) -> Self {
        Self { head, marks, scale: None, beside: vec![], lines: vec![], bands: None }
    }

    /// All numbers that must lie on its axis.
    pub fn values(&self) -> Vec<f64> {
        self.marks.iter().flat_map(Mark::values).chain(self.beside.iter().copied()).collect()
    }

    /// The ends of what is drawn around its numbers: on the axis as far as a number can lie there.
    pub fn reaches(&self) -> Vec<f64> {
        let bands = self.bands.iter().flat_map(|(_, bands)| bands.iter().flatten());
        let reach = |mark: &Mark| if let Mark::Value { reach, .. } = mark { *reach } else { None };
        let reaches = self.marks.iter().filter_map(reach).map(|reach| (reach.low, reach.high));
        reaches.chain(bands.copied()).flat_map(|(low, high)| [low, high]).collect()
    }
}

impl Mark {
    /// The mark of a cell in a table with such a ±.
    pub fn of(cell: &Cell, spread: Spread) -> Self {
        match cell {
            Cell::Score(score) => {
                let Score { mean, .. } = score;
                let doubt = match spread {
                    Spread::Items => Doubt::StandardError,
                    Spread::Seeds | Spread::None => Doubt::Deviation,
                };
                let around = |size: f64| Reach { doubt, low: mean - size, high: mean + size };
                let reach = spread.of(score).map(around);
                Mark::Value { value: *mean, reach, remarks: score.remarks().trim_start().to_owned() }
            }
            Cell::Marked(value, _, marks) => Mark::Value { value: *value, reach: None, remarks: marks.clone() },
            Cell::Number(value, _) | Cell::Difference(value, _) => {
                Mark::Value { value: *value, reach: None, remarks: String::new() }
            }
            Cell::Interval(low, high) => Mark::Interval(*low, *high),
            Cell::Label(_) | Cell::Probability(_) | Cell::Count(_) | Cell::Missing => Mark::Missing,
        }
    }

    /// Its numbers.
    pub fn values(&self) -> Vec<f64> {
        match self {
            Mark::Value { value, .. } | Mark::Published(value, _) => vec![*value],
            Mark::Interval(low, high) => vec![*low, *high],
            Mark::Box(row) => row.points.iter().map(|(_, value)| *value).chain([row.plot.low, row.plot.high]).collect(),
            Mark::Missing => vec![],
        }
    }

    /// What stands beside it.
    pub fn remarks(&self) -> &str {
        match self {
            Mark::Value { remarks, .. } | Mark::Published(_, remarks) => remarks,
            Mark::Box(row) => &row.remarks,
            Mark::Interval(..) | Mark::Missing => "",
        }
    }
}
