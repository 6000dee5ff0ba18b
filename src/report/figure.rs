//! A picture of a table, as SVG: a row for each row, and beside each other a panel for each column of numbers.

use std::fmt::{Result, Write};

use super::statistics::BoxPlot;
use super::table::{Cell, Score, Table};

/// Rows, and panels that each show one number, or one box, of every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// Names of the rows.
    pub labels: Vec<String>,
    /// From left to right, then below.
    pub panels: Vec<Panel>,
    /// What a reader must know, one sentence each.
    pub notes: Vec<String>,
}

/// An axis, and on it a mark for each row.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What the axis measures.
    pub head: String,
    /// One for each row.
    pub marks: Vec<Mark>,
    /// Values of other panels that its axis holds too, so that all of them are on one scale.
    pub beside: Vec<f64>,
    /// Values that are not measured, such as chance, for each row under their names: the same ones in every panel.
    pub lines: Vec<(String, Vec<Option<f64>>)>,
}

/// What is drawn of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Mark {
    /// A number, and how far its doubt reaches.
    Value {
        /// The number.
        value: f64,
        /// Lower and upper end.
        reach: Option<(f64, f64)>,
        /// What stands behind it.
        remarks: String,
    },
    /// An interval that goes with no number.
    Interval(f64, f64),
    /// A number that others have published.
    Published(f64),
    /// Several numbers.
    Box(Distribution),
    /// Nothing was measured.
    Missing,
}

/// Named values of one row, and their box.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// What was measured, and its value.
    pub points: Vec<(&'static str, f64)>,
    /// The mean of the values.
    pub mean: f64,
    /// Their box.
    pub plot: BoxPlot,
}

/// Pixels: of the whole picture at least, around it, between panels, of a row, of a line of text, and of a character, about.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 16.0;
const GAP: f64 = 56.0;
const ROW: f64 = 24.0;
const LINE: f64 = 16.0;
const CHARACTER: f64 = 6.6;
/// Pixels of a character of a head, about.
const BOLD: f64 = 7.4;
/// Characters of a line of notes, at most.
const NOTE: usize = 160;
/// Strokes of the lines of a panel: the first, and all others.
const DASHES: [&str; 2] = ["5 3", "1 3"];
/// Width of a panel, where there are several and its head is not wider, and of a tick with the room around it.
const PANEL: (f64, f64) = (150.0, 300.0);
const TICK: f64 = 50.0;

const BLUE: &str = "#4c78a8";
const PALE: &str = "#c6d5e6";
const RED: &str = "#b13f3f";
const GREY: &str = "#888888";
const GRID: &str = "#e2e2e2";

impl Figure {
    /// The columns of scores, other numbers and intervals; the footer's numbers are lines.
    pub fn of(table: &Table) -> Self {
        let rows = || table.rows.iter().chain(&table.published);
        let label = |row: &Vec<Cell>| {
            let names: Vec<String> = row[..table.labels].iter().map(Cell::text).collect();
            names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<String>>().join(" ")
        };
        let panel = |index: usize| {
            let published = table.published.iter().map(|row| match Mark::of(&row[index]) {
                Mark::Value { value, .. } => Mark::Published(value),
                mark => mark,
            });
            let line = |row: &Vec<Cell>| match row[index] {
                Cell::Number(value, _) => (row[0].text(), vec![Some(value); rows().count()]),
                _ => (row[0].text(), vec![None; rows().count()]),
            };
            Panel {
                head: table.heads[index].clone(),
                marks: table.rows.iter().map(|row| Mark::of(&row[index])).chain(published).collect(),
                beside: vec![],
                lines: table.footer.iter().map(line).collect(),
            }
        };
        let panels = (table.labels..table.heads.len()).map(panel);
        let mut notes = table.notes.clone();
        notes.extend(
            table.footer.iter().zip(["dashed", "dotted"]).map(|(row, line)| format!("{line}: {}", row[0].text())),
        );
        Self {
            title: table.title.clone(),
            labels: rows().map(label).collect(),
            panels: panels.filter(|panel| panel.marks.iter().any(|mark| *mark != Mark::Missing)).collect(),
            notes,
        }
    }

    /// With rows for panels and a panel for each row, all on one scale, where there are more panels than rows.
    pub fn upright(self) -> Self {
        let Self { title, labels, panels, notes } = self;
        if panels.len() <= labels.len() {
            return Self { title, labels, panels, notes };
        }
        let values: Vec<f64> = panels.iter().flat_map(Panel::values).collect();
        let names = panels.first().map_or(vec![], |panel| panel.lines.iter().map(|(name, _)| name.clone()).collect());
        let turned = labels.into_iter().enumerate().map(|(row, head)| {
            let line = |(number, name): (usize, &String)| {
                (name.clone(), panels.iter().map(|panel| panel.lines[number].1[row]).collect())
            };
            Panel {
                head,
                marks: panels.iter().map(|panel| panel.marks[row].clone()).collect(),
                beside: values.clone(),
                lines: names.iter().enumerate().map(line).collect(),
            }
        });
        let turned = turned.collect();
        Self { title, labels: panels.into_iter().map(|panel| panel.head).collect(), panels: turned, notes }
    }

    /// A picture that stands alone. A viewer that shows tooltips tells the value of every mark.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.draw(&mut out);
        out
    }

    fn draw(&self, out: &mut String) -> Result {
        let longest = self.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let left = 2.0 * MARGIN + longest as f64 * CHARACTER;
        let head = self.panels.iter().map(|panel| panel.head.chars().count()).max().unwrap_or(0);
        let least = PANEL.0.max(head as f64 * BOLD + GAP / 2.0);
        let most = PANEL.1.max(least);
        let whole = WIDTH.max(left + least);
        let room = whole - left;
        let side_by_side = ((room / least) as usize).clamp(1, self.panels.len().max(1));
        let width = (room / side_by_side as f64).min(if self.panels.len() > 1 { most } else { room });
        let tall = self.labels.len() as f64 * ROW;
        // A head, the rows, the ticks, and some air.
        let band = LINE + tall + 2.5 * LINE;
        let bands = self.panels.len().div_ceil(side_by_side);
        let top = MARGIN + 2.0 * LINE;
        let notes = top + bands as f64 * band;
        let said: Vec<String> = self.notes.iter().flat_map(|note| wrapped(note)).collect();
        let height = notes + said.len() as f64 * LINE + MARGIN / 2.0;
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{height}" viewBox="0 0 {whole} {height}" font-family="sans-serif" font-size="12" fill="black">"#
        )?;
        writeln!(out, r#"<rect width="{whole}" height="{height}" fill="white"/>"#)?;
        text(out, (MARGIN, MARGIN + 0.8 * LINE), r#"font-size="14" font-weight="bold""#, &self.title)?;
        for (number, panels) in self.panels.chunks(side_by_side).enumerate() {
            let top = top + number as f64 * band + LINE;
            for (index, label) in self.labels.iter().enumerate() {
                text(out, (left - MARGIN, middle(top, index) + 4.0), r#"text-anchor="end""#, label)?;
            }
            for (index, panel) in panels.iter().enumerate() {
                let from = left + index as f64 * width;
                panel.draw(out, (from, from + width - GAP), top)?;
            }
        }
        for (index, note) in said.iter().enumerate() {
            text(out, (MARGIN, notes + index as f64 * LINE), r##"font-size="11" fill="#555555""##, note)?;
        }
        writeln!(out, "</svg>")
    }
}

/// The height of a row's middle below `top`.
fn middle(top: f64, row: usize) -> f64 {
    top + (row as f64 + 0.5) * ROW
}

impl Panel {
    /// All values that must lie on its axis.
    fn values(&self) -> Vec<f64> {
        let lines = self.lines.iter().flat_map(|(_, values)| values.iter().flatten());
        self.marks.iter().flat_map(Mark::values).chain(lines.copied()).chain(self.beside.iter().copied()).collect()
    }

    fn draw(&self, out: &mut String, (left, right): (f64, f64), top: f64) -> Result {
        let bottom = top + self.marks.len() as f64 * ROW;
        let axis = Axis::over(self.values(), left, right);
        text(out, ((left + right) / 2.0, top - 5.0), r#"text-anchor="middle" font-weight="bold""#, &self.head)?;
        for tick in axis.ticks() {
            let x = axis.x(tick);
            line(out, (x, top), (x, bottom), &format!(r#"stroke="{GRID}""#))?;
            text(out, (x, bottom + 0.9 * LINE), r#"text-anchor="middle""#, &axis.label(tick))?;
        }
        for (index, (name, values)) in self.lines.iter().enumerate() {
            let (name, dashes) = (escaped(name), DASHES[index.min(1)]);
            let mut row = 0;
            for same in values.chunk_by(|one, next| one == next) {
                let (from, to) = (top + row as f64 * ROW, top + (row + same.len()) as f64 * ROW);
                row += same.len();
                let Some(value) = same[0] else { continue };
                let x = axis.x(value);
                write!(out, "<g><title>{name} {value}</title>")?;
                line(out, (x, from), (x, to), &format!(r#"stroke="{GREY}" stroke-dasharray="{dashes}""#))?;
                writeln!(out, "</g>")?;
            }
        }
        for (index, mark) in self.marks.iter().enumerate() {
            mark.draw(out, &axis, middle(top, index))?;
        }
        Ok(())
    }
}

impl Mark {
    pub(super) fn of(cell: &Cell) -> Self {
        match cell {
            Cell::Score(score) => {
                let Score { mean, deviation, stderr, .. } = score;
                let reach = deviation.or(*stderr).map(|spread| (mean - spread, mean + spread));
                Mark::Value { value: *mean, reach, remarks: score.remarks().trim_start().to_owned() }
            }
            Cell::Number(value, _) | Cell::Marked(value, ..) | Cell::Difference(value, _) => {
                Mark::Value { value: *value, reach: None, remarks: String::new() }
            }
            Cell::Interval(low, high) => Mark::Interval(*low, *high),
            Cell::Label(_) | Cell::Probability(_) | Cell::Count(_) | Cell::Missing => Mark::Missing,
        }
    }

    /// All values that must lie on the axis.
    pub(super) fn values(&self) -> Vec<f64> {
        match self {
            Mark::Value { value, reach, .. } => reach.map_or(vec![*value], |(low, high)| vec![*value, low, high]),
            Mark::Interval(low, high) => vec![*low, *high],
            Mark::Published(value) => vec![*value],
            Mark::Box(row) => row.points.iter().map(|(_, value)| *value).chain([row.plot.low, row.plot.high]).collect(),
            Mark::Missing => vec![],
        }
    }

    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        match self {
            Mark::Value { value, reach, remarks } => {
                if let Some((low, high)) = reach {
                    whiskers(out, axis, y, (*low, *high))?;
                }
                if !remarks.is_empty() {
                    let end = axis.x(reach.map_or(*value, |(_, high)| high.max(*value)));
                    text(out, (end + 6.0, y + 4.0), r#"font-size="11""#, remarks)?;
                }
                point(out, axis, y, *value, BLUE, &format!("{value:.2}"))
            }
            Mark::Interval(low, high) => whiskers(out, axis, y, (*low, *high)),
            Mark::Published(value) => point(out, axis, y, *value, "white", &format!("{value}")),
            Mark::Box(row) => row.draw(out, axis, y),
            Mark::Missing => {
                let middle = ((axis.left + axis.right) / 2.0, y + 4.0);
                text(out, middle, &format!(r#"text-anchor="middle" fill="{GREY}""#), "—")
            }
        }
    }
}

impl Distribution {
    /// Whiskers, box, median, the points over them, and the mean as a diamond; outliers are rings.
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        let BoxPlot { low, first, median, third, high } = self.plot;
        let (from, to, above, below) = (axis.x(first), axis.x(third), y - 0.32 * ROW, y + 0.32 * ROW);
        whiskers(out, axis, y, (low, high))?;
        let (width, height) = (to - from, below - above);
        writeln!(
            out,
            r#"<rect x="{from:.1}" y="{above:.1}" width="{width:.1}" height="{height:.1}" fill="{PALE}" stroke="{BLUE}" stroke-width="1.5"/>"#
        )?;
        let x = axis.x(median);
        line(out, (x, above), (x, below), &format!(r#"stroke="{BLUE}" stroke-width="3""#))?;
        for (name, value) in &self.points {
            let fill = if self.plot.is_outlier(*value) { "white" } else { BLUE };
            point(out, axis, y, *value, fill, &format!("{name} {value:+.2}"))?;
        }
        let (x, mean) = (axis.x(self.mean), self.mean);
        let (west, east, north, south) = (x - 5.0, x + 5.0, y - 5.0, y + 5.0);
        writeln!(
            out,
            r#"<path d="M{west:.1} {y:.1}L{x:.1} {north:.1}L{east:.1} {y:.1}L{x:.1} {south:.1}Z" fill="{RED}"><title>mean {mean:+.2}</title></path>"#
        )
    }
}

/// Values along the width of a panel.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
    left: f64,
    right: f64,
}

impl Axis {
    /// From one tick to another, so that all values lie between; ticks at 1, 2 or 5 times a power of ten.
    fn over(values: Vec<f64>, left: f64, right: f64) -> Self {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (lowest, highest) = match highest - lowest {
            span if !span.is_finite() => (0.0, 1.0),
            span if span <= 1e-9 * highest.abs() || span == 0.0 => (lowest - 0.5, highest + 0.5),
            _ => (lowest, highest),
        };
        let wanted = (highest - lowest) / ((right - left) / TICK).max(2.0);
        let power = 10f64.powf(wanted.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|one| one * power).find(|step| *step >= wanted);
        let step = step.unwrap_or(10.0 * power);
        Self { low: (lowest / step).floor() * step, high: (highest / step).ceil() * step, step, left, right }
    }

    fn x(&self, value: f64) -> f64 {
        self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / self.step).round() as i64, (self.high / self.step).round() as i64);
        let step = self.step;
        (first..=last).map(move |tick| tick as f64 * step)
    }

    /// With as many decimals as tell ticks apart.
    fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        format!("{tick:.decimals$}")
    }
}

/// A note in lines that are not too long.
fn wrapped(note: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in note.split(' ') {
        let last = lines.len() - 1;
        match lines[last].is_empty() || lines[last].len() + word.len() < NOTE {
            true => lines[last] = format!("{} {word}", lines[last]).trim_start().to_owned(),
            false => lines.push(word.to_owned()),
        }
    }
    lines
}

fn whiskers(out: &mut String, axis: &Axis, y: f64, (low, high): (f64, f64)) -> Result {
    let style = format!(r#"stroke="{BLUE}" stroke-width="1.5""#);
    line(out, (axis.x(low), y), (axis.x(high), y), &style)?;
    [low, high].into_iter().try_for_each(|end| line(out, (axis.x(end), y - 4.0), (axis.x(end), y + 4.0), &style))
}

fn point(out: &mut String, axis: &Axis, y: f64, value: f64, fill: &str, title: &str) -> Result {
    let (x, title) = (axis.x(value), escaped(title));
    writeln!(
        out,
        r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{fill}" stroke="{BLUE}"><title>{title}</title></circle>"#
    )
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) -> Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(out, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#)
}

fn text(out: &mut String, at: (f64, f64), attributes: &str, content: &str) -> Result {
    let (x, y) = at;
    writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, escaped(content))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
