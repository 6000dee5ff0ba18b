//! Drawing a figure as SVG.

use std::fmt::{Result, Write};

use super::super::human::wrapped;
use super::super::statistics::BoxPlot;
use super::super::table::Scale;
use super::axis::Axis;
use super::content::{Distribution, ErrorBar, ErrorBarKind, Figure, Mark, Named, Panel};
use super::legend::Legend;
use super::shapes::{
    BLUE, GREY, GRID, PALE, PALE_GRID, YELLOW, dashed, diamond, error_bar, escaped, line, point, rectangle, text,
};

/// The minimum width of a figure in pixels, for wide and for narrow screens.
const WIDTH: f64 = 960.0;
const NARROW: f64 = 380.0;
/// In pixels: the margin of the figure, the height of a row and of a line of text, and the minimum gap between panels.
const MARGIN: f64 = 16.0;
const ROW: f64 = 24.0;
const LINE: f64 = 16.0;
const GAP: f64 = 40.0;
/// The height of a line of the smallest text, in pixels.
const SMALL_LINE: f64 = 12.0;
/// The approximate width of a character in pixels: of a label, a head, the title, and a note or an annotation. The widths
/// are those of a wide font, so that texts do not overlap in any font.
const CHARACTER: f64 = 7.0;
const BOLD: f64 = 8.0;
const TITLE: f64 = 9.5;
const SMALL: f64 = 6.2;
/// The minimum and the maximum width of an axis in pixels, if there are several panels.
const AXIS: (f64, f64) = (110.0, 300.0);
/// The largest factor by which the range of an axis may grow to contain a reference line.
const MAX_LINE_GROWTH: f64 = 2.0;

/// The layout of a figure.
struct Layout {
    width: f64,
    /// The left end of the axes in pixels: after the names of the rows, or after the margin if they are above the marks.
    left: f64,
    row: f64,
    /// The panels, line by line.
    lines: Vec<Vec<Place>>,
}

/// The position of a panel: the left and the right end of its axis in pixels.
struct Place {
    panel: usize,
    left: f64,
    right: f64,
}

impl Layout {
    fn wide(figure: &Figure) -> Self {
        let left = 2.0 * MARGIN + longest(figure.labels.iter().map(String::as_str)) as f64 * CHARACTER;
        // All axes of a figure have the same width, and a head fits over its axis and the space beside it.
        let least = |panel: &Panel| panel.head_width() + MARGIN - panel.right();
        let least = figure.panels.iter().map(least).fold(AXIS.0, f64::max);
        let widest = figure.panels.iter().map(Panel::right).fold(0.0, f64::max);
        let width = WIDTH.max(left + least + widest);
        let available = width - left;
        let mut lines: Vec<Vec<usize>> = vec![];
        let mut taken = f64::INFINITY;
        for (index, panel) in figure.panels.iter().enumerate() {
            let own = least + panel.right();
            match lines.last_mut().filter(|_| taken + own <= available) {
                Some(line) => {
                    line.push(index);
                    taken += own;
                }
                None => {
                    lines.push(vec![index]);
                    taken = own;
                }
            }
        }
        // The fullest line determines how wide the axes can be.
        let share = |line: &Vec<usize>| {
            let beside: f64 = line.iter().map(|index| figure.panels[*index].right()).sum();
            (available - beside) / line.len() as f64
        };
        let most = if figure.panels.len() > 1 { AXIS.1.max(least) } else { f64::INFINITY };
        let axis = lines.iter().map(share).fold(most, f64::min);
        let place = |line: Vec<usize>| {
            let mut from = left;
            let place = |panel: usize| {
                let place = Place { panel, left: from, right: from + axis };
                from += axis + figure.panels[panel].right();
                place
            };
            line.into_iter().map(place).collect()
        };
        Self { width, left, row: ROW, lines: lines.into_iter().map(place).collect() }
    }

    /// All panels below each other, and the names of the rows above their marks.
    fn narrow(figure: &Figure) -> Self {
        let head = figure.panels.iter().map(Panel::head_width).fold(0.0, f64::max);
        let label = longest(figure.labels.iter().map(String::as_str)) as f64 * CHARACTER;
        let width = NARROW.max(2.0 * MARGIN + head.max(label));
        let place = |(panel, one): (usize, &Panel)| {
            // Half of the last tick's label is to the right of the axis.
            vec![Place { panel, left: MARGIN, right: width - one.annotation_width().max(1.5 * MARGIN) }]
        };
        Self { width, left: MARGIN, row: ROW + LINE, lines: figure.panels.iter().enumerate().map(place).collect() }
    }

    /// Whether the names of the rows are above their marks.
    fn is_stacked(&self) -> bool {
        self.row > ROW
    }

    /// The vertical position of the marks of a row, for rows that start at `top`.
    fn middle(&self, top: f64, row: usize) -> f64 {
        top + (row + 1) as f64 * self.row - ROW / 2.0
    }
}

/// The number of characters of the longest text.
fn longest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

impl Figure {
    /// The figure as an SVG file. Tooltips show the value of every mark.
    pub fn svg(&self) -> String {
        self.laid_out(&Layout::wide(self))
    }

    /// The figure for narrow screens such as those of phones.
    pub fn narrow_svg(&self) -> String {
        self.laid_out(&Layout::narrow(self))
    }

    fn laid_out(&self, layout: &Layout) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.draw(&mut out, layout);
        out
    }

    fn draw(&self, out: &mut String, layout: &Layout) -> Result {
        let Layout { width, left, .. } = *layout;
        let inner = width - 2.0 * MARGIN;
        let title = wrapped(&self.title, (inner / TITLE) as usize);
        let notes: Vec<String> = self.notes.iter().flat_map(|note| wrapped(note, (inner / SMALL) as usize)).collect();
        let legend = Legend::of(self);
        let tall = self.labels.len() as f64 * layout.row;
        let places = || layout.lines.iter().flatten();
        let beyond = places().map(|place| self.panels[place.panel].axis(place.left, place.right).1.len());
        // The head, the rows, the ticks, the lines beyond the axis, and some space.
        let panel_height = 1.5 * LINE + tall + 2.0 * LINE + beyond.max().unwrap_or(0) as f64 * SMALL_LINE;
        let under_title = MARGIN + title.len() as f64 * 1.2 * LINE;
        let top = under_title + legend.height(inner) + 0.5 * LINE;
        let under_panels = top + layout.lines.len() as f64 * panel_height;
        let height = under_panels + notes.len() as f64 * LINE + MARGIN / 2.0;
        writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{}" font-family="Helvetica, Arial, sans-serif" font-size="12" fill="black">"#,
            escaped(&self.title)
        )?;
        writeln!(out, r#"<rect width="{width}" height="{height}" fill="white"/>"#)?;
        for (index, part) in title.iter().enumerate() {
            let y = MARGIN + 0.8 * LINE + index as f64 * 1.2 * LINE;
            text(out, (MARGIN, y), r#"font-size="14" font-weight="bold""#, part)?;
        }
        legend.draw(out, (MARGIN, under_title), inner)?;
        for (number, places) in layout.lines.iter().enumerate() {
            let top = top + number as f64 * panel_height + 1.5 * LINE;
            for Place { panel, left, right } in places {
                self.panels[*panel].draw(out, layout, (*left, *right), top)?;
            }
            for (index, label) in self.labels.iter().enumerate() {
                let y = layout.middle(top, index);
                match layout.is_stacked() {
                    // The halo keeps reference lines from crossing the letters.
                    true => {
                        let halo = r#"stroke="white" stroke-width="4" stroke-linejoin="round" paint-order="stroke""#;
                        text(out, (left, y - ROW / 2.0 - 2.0), halo, label)?;
                    }
                    false => text(out, (left - MARGIN, y + 4.0), r#"text-anchor="end""#, label)?,
                }
            }
        }
        for (index, note) in notes.iter().enumerate() {
            let y = under_panels + (index as f64 + 0.5) * LINE;
            text(out, (MARGIN, y), r##"font-size="11" fill="#555555""##, note)?;
        }
        writeln!(out, "</svg>")
    }
}

impl Panel {
    /// The approximate width of the head in pixels.
    fn head_width(&self) -> f64 {
        self.head.chars().count() as f64 * BOLD
    }

    /// Pixels of the remarks to the right of its axis.
    fn annotation_width(&self) -> f64 {
        let longest = longest(self.marks.iter().map(Mark::annotation));
        if longest > 0 { longest as f64 * SMALL + LINE } else { 0.0 }
    }

    /// Pixels between its axis and that of the next panel.
    fn right(&self) -> f64 {
        GAP.max(self.annotation_width())
    }

    /// The axis, and texts for the reference lines that are too far from the data to be on it.
    fn axis(&self, left: f64, right: f64) -> (Axis, Vec<String>) {
        let ends = self.scale.map_or((f64::NEG_INFINITY, f64::INFINITY), Scale::ends);
        let (mut values, bar_ends) = (self.values(), self.error_bar_ends());
        let mut axis = Axis::over(&values, &bar_ends, ends, left, right);
        let span = axis.high - axis.low;
        let mut beyond = vec![];
        for Named { name, values: line } in &self.lines {
            let line: Vec<f64> = line.iter().flatten().copied().collect();
            let with = Axis::over(&[values.clone(), line.clone()].concat(), &bar_ends, ends, left, right);
            if with.high - with.low <= MAX_LINE_GROWTH * span {
                values.extend(line);
                axis = with;
                continue;
            }
            let mut off: Vec<f64> = line.into_iter().filter(|value| !axis.contains(*value)).collect();
            off.sort_by(f64::total_cmp);
            off.dedup();
            beyond.extend(match off[..] {
                [] => None,
                [one] => Some(format!("{} {name} {one:.1}", if one < axis.low { '◂' } else { '▸' })),
                [first, .., last] => Some(format!("◂▸ {name} {first:.1} to {last:.1}")),
            });
        }
        (axis, beyond)
    }

    fn draw(&self, out: &mut String, layout: &Layout, (left, right): (f64, f64), top: f64) -> Result {
        let bottom = top + self.marks.len() as f64 * layout.row;
        let (axis, beyond) = self.axis(left, right);
        let head = r#"text-anchor="middle" font-weight="bold""#;
        text(out, ((left + right) / 2.0, top - 6.0), head, &self.head)?;
        for (index, band) in self.bands.iter().flat_map(|bands| &bands.values).enumerate() {
            let Some((low, high)) = band else { continue };
            let (from, to) = (axis.x(*low), axis.x(*high));
            let above = layout.middle(top, index) - ROW / 2.0;
            rectangle(out, (from, above), (to - from, ROW), &format!(r#"fill="{YELLOW}""#))?;
        }
        for index in 0..self.marks.len() {
            let y = layout.middle(top, index);
            line(out, (left, y), (right, y), &format!(r#"stroke="{PALE_GRID}""#))?;
        }
        for tick in axis.ticks() {
            let x = axis.x(tick);
            line(out, (x, top), (x, bottom), &format!(r#"stroke="{GRID}""#))?;
            text(out, (x, bottom + 0.9 * LINE), r#"text-anchor="middle""#, &axis.label(tick))?;
        }
        line(out, (left, bottom), (right, bottom), &format!(r#"stroke="{GREY}""#))?;
        for (index, beyond) in beyond.iter().enumerate() {
            let y = bottom + 1.8 * LINE + index as f64 * SMALL_LINE;
            text(out, (left, y), &format!(r#"font-size="10" fill="{GREY}""#), beyond)?;
        }
        for (number, Named { name, values }) in self.lines.iter().enumerate() {
            let name = escaped(name);
            let mut row = 0;
            for same in values.chunk_by(|one, next| one == next) {
                let (from, to) = (top + row as f64 * layout.row, top + (row + same.len()) as f64 * layout.row);
                row += same.len();
                let Some(value) = same[0].filter(|value| axis.contains(*value)) else { continue };
                let x = axis.x(value);
                write!(out, "<g><title>{name} {value}</title>")?;
                dashed(out, (x, from), (x, to), number)?;
                writeln!(out, "</g>")?;
            }
        }
        for (index, mark) in self.marks.iter().enumerate() {
            let y = layout.middle(top, index);
            mark.draw(out, &axis, y)?;
            if !mark.annotation().is_empty() {
                text(out, (right + 8.0, y + 4.0), r#"font-size="11""#, mark.annotation())?;
            }
        }
        Ok(())
    }
}

impl Mark {
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        match self {
            Mark::Value { value, error_bar, .. } => {
                if let Some(error_bar) = error_bar {
                    error_bar.draw(out, axis, y)?;
                }
                point(out, axis.x(*value), y, BLUE, &format!("{value:.2}"))
            }
            Mark::Interval(low, high) => {
                ErrorBar { kind: ErrorBarKind::Interval, low: *low, high: *high }.draw(out, axis, y)
            }
            Mark::Published(value, _) => point(out, axis.x(*value), y, "white", &format!("{value}")),
            Mark::Box(row) => row.draw(out, axis, y),
            Mark::Missing => {
                let middle = ((axis.left + axis.right) / 2.0, y + 4.0);
                text(out, middle, &format!(r#"text-anchor="middle" fill="{GREY}""#), "—")
            }
        }
    }
}

impl ErrorBar {
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        error_bar(out, self.kind, y, [self.low, self.high].map(|end| (axis.x(end), !axis.contains(end))))
    }
}

impl Distribution {
    /// Draws whiskers, box, median, the points, and the mean as a diamond. Outliers are rings.
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        let BoxPlot { low, first, median, third, high } = self.plot;
        let (from, to, above, below) = (axis.x(first), axis.x(third), y - 0.32 * ROW, y + 0.32 * ROW);
        let thin = format!(r#"stroke="{BLUE}" stroke-width="1.3""#);
        line(out, (axis.x(low), y), (axis.x(high), y), &thin)?;
        for end in [low, high] {
            line(out, (axis.x(end), y - 4.0), (axis.x(end), y + 4.0), &thin)?;
        }
        let style = format!(r#"fill="{PALE}" stroke="{BLUE}" stroke-width="1.3""#);
        rectangle(out, (from, above), (to - from, below - above), &style)?;
        let x = axis.x(median);
        line(out, (x, above), (x, below), &format!(r#"stroke="{BLUE}" stroke-width="3""#))?;
        for (name, value) in &self.points {
            let fill = if self.plot.is_outlier(*value) { "white" } else { BLUE };
            point(out, axis.x(*value), y, fill, &format!("{name} {value:+.2}"))?;
        }
        diamond(out, axis.x(self.mean), y, &format!("mean {:+.2}", self.mean))
    }
}
