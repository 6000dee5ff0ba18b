//! A picture as SVG.

use std::fmt::{Result, Write};

use super::super::human::wrapped;
use super::super::statistics::BoxPlot;
use super::super::table::Scale;
use super::axis::Axis;
use super::content::{Distribution, Doubt, Figure, Mark, Panel, Reach};
use super::legend::Legend;
use super::shapes::{
    BLUE, GREY, GRID, PALE, PALE_GRID, YELLOW, dashed, diamond, doubt, escaped, line, point, rectangle, text,
};

/// Pixels: of a whole picture at least, and of one for a narrow screen.
const WIDTH: f64 = 960.0;
const NARROW: f64 = 380.0;
/// Pixels: around a picture, of a row, of a line of text, between panels at least.
const MARGIN: f64 = 16.0;
const ROW: f64 = 24.0;
const LINE: f64 = 16.0;
const GAP: f64 = 40.0;
/// Pixels of a line of the smallest text.
const SMALL_LINE: f64 = 12.0;
/// Pixels of a character: of a label, of a head, of a title, and of a note or a remark, about. Fonts differ; these are
/// of a wide one, so that texts do not overlap.
const CHARACTER: f64 = 7.0;
const BOLD: f64 = 8.0;
const TITLE: f64 = 9.5;
const SMALL: f64 = 6.2;
/// Width of a panel's axis, where there are several panels.
const AXIS: (f64, f64) = (110.0, 300.0);
/// How much wider than the data an axis may become to hold a line such as chance.
const WITH_LINES: f64 = 2.0;

/// How a picture is laid out.
struct Layout {
    width: f64,
    /// Pixels of the names of rows, which stand beside the axes; a margin where they stand above the marks.
    left: f64,
    row: f64,
    /// Panels beside each other, and below.
    bands: Vec<Vec<Place>>,
}

/// Where a panel stands in its band: the left end of its axis, and the right one.
struct Place {
    panel: usize,
    left: f64,
    right: f64,
}

impl Layout {
    fn wide(figure: &Figure) -> Self {
        let left = 2.0 * MARGIN + longest(figure.labels.iter().map(String::as_str)) as f64 * CHARACTER;
        // All axes of a picture are equally wide, and no head is wider than the axis and the room beside it.
        let least = |panel: &Panel| panel.head_width() + MARGIN - panel.right();
        let least = figure.panels.iter().map(least).fold(AXIS.0, f64::max);
        let widest = figure.panels.iter().map(Panel::right).fold(0.0, f64::max);
        let width = WIDTH.max(left + least + widest);
        let room = width - left;
        let mut bands: Vec<Vec<usize>> = vec![];
        let mut taken = f64::INFINITY;
        for (index, panel) in figure.panels.iter().enumerate() {
            let own = least + panel.right();
            match bands.last_mut().filter(|_| taken + own <= room) {
                Some(band) => (band.push(index), taken += own).1,
                None => (bands.push(vec![index]), taken = own).1,
            }
        }
        // The fullest band says how wide they can be.
        let share = |band: &Vec<usize>| {
            let beside: f64 = band.iter().map(|index| figure.panels[*index].right()).sum();
            (room - beside) / band.len() as f64
        };
        let most = if figure.panels.len() > 1 { AXIS.1.max(least) } else { f64::INFINITY };
        let axis = bands.iter().map(share).fold(most, f64::min);
        let place = |band: Vec<usize>| {
            let mut from = left;
            let place = |panel: usize| {
                let place = Place { panel, left: from, right: from + axis };
                from += axis + figure.panels[panel].right();
                place
            };
            band.into_iter().map(place).collect()
        };
        Self { width, left, row: ROW, bands: bands.into_iter().map(place).collect() }
    }

    /// Every panel below the other, and every name above its mark.
    fn narrow(figure: &Figure) -> Self {
        let head = figure.panels.iter().map(Panel::head_width).fold(0.0, f64::max);
        let label = longest(figure.labels.iter().map(String::as_str)) as f64 * CHARACTER;
        let width = NARROW.max(2.0 * MARGIN + head.max(label));
        let place = |(panel, one): (usize, &Panel)| {
            // Half of the last tick's label is to the right of the axis.
            vec![Place { panel, left: MARGIN, right: width - one.remarks_width().max(1.5 * MARGIN) }]
        };
        Self { width, left: MARGIN, row: ROW + LINE, bands: figure.panels.iter().enumerate().map(place).collect() }
    }

    /// Whether names stand above their marks.
    fn is_stacked(&self) -> bool {
        self.row > ROW
    }

    /// The height of a row's marks below `top`.
    fn middle(&self, top: f64, row: usize) -> f64 {
        top + (row + 1) as f64 * self.row - ROW / 2.0
    }
}

fn longest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

impl Figure {
    /// A picture that stands alone. A viewer that shows tooltips tells the value of every mark.
    pub fn svg(&self) -> String {
        self.laid_out(&Layout::wide(self))
    }

    /// The same for a screen as narrow as that of a telephone.
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
        let places = || layout.bands.iter().flatten();
        let beyond = places().map(|place| self.panels[place.panel].axis(place.left, place.right).1.len());
        // A head, the rows, the ticks and what is beyond the axis, and some air.
        let band = 1.5 * LINE + tall + 2.0 * LINE + beyond.max().unwrap_or(0) as f64 * SMALL_LINE;
        let under_title = MARGIN + title.len() as f64 * 1.2 * LINE;
        let top = under_title + legend.height(inner) + 0.5 * LINE;
        let under_panels = top + layout.bands.len() as f64 * band;
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
        for (number, places) in layout.bands.iter().enumerate() {
            let top = top + number as f64 * band + 1.5 * LINE;
            for Place { panel, left, right } in places {
                self.panels[*panel].draw(out, layout, (*left, *right), top)?;
            }
            for (index, label) in self.labels.iter().enumerate() {
                let y = layout.middle(top, index);
                match layout.is_stacked() {
                    // In front of lines, such as that of chance, which pass between its letters.
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
    /// Pixels of its head, about.
    fn head_width(&self) -> f64 {
        self.head.chars().count() as f64 * BOLD
    }

    /// Pixels of the remarks to the right of its axis.
    fn remarks_width(&self) -> f64 {
        let longest = longest(self.marks.iter().map(Mark::remarks));
        if longest > 0 { longest as f64 * SMALL + LINE } else { 0.0 }
    }

    /// Pixels between its axis and that of the next panel.
    fn right(&self) -> f64 {
        GAP.max(self.remarks_width())
    }

    /// Its axis, and the lines that are too far from the data to be on it.
    fn axis(&self, left: f64, right: f64) -> (Axis, Vec<String>) {
        let ends = self.scale.map_or((f64::NEG_INFINITY, f64::INFINITY), Scale::ends);
        let (mut values, reaches) = (self.values(), self.reaches());
        let mut axis = Axis::over(&values, &reaches, ends, left, right);
        let span = axis.high - axis.low;
        let mut beyond = vec![];
        for (name, line) in &self.lines {
            let line: Vec<f64> = line.iter().flatten().copied().collect();
            let with = Axis::over(&[values.clone(), line.clone()].concat(), &reaches, ends, left, right);
            if with.high - with.low <= WITH_LINES * span {
                values.extend(line);
                axis = with;
                continue;
            }
            let mut off: Vec<f64> = line.into_iter().filter(|value| !axis.holds(*value)).collect();
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
        for (index, band) in self.bands.iter().flat_map(|(_, bands)| bands).enumerate() {
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
        for (number, (name, values)) in self.lines.iter().enumerate() {
            let name = escaped(name);
            let mut row = 0;
            for same in values.chunk_by(|one, next| one == next) {
                let (from, to) = (top + row as f64 * layout.row, top + (row + same.len()) as f64 * layout.row);
                row += same.len();
                let Some(value) = same[0].filter(|value| axis.holds(*value)) else { continue };
                let x = axis.x(value);
                write!(out, "<g><title>{name} {value}</title>")?;
                dashed(out, (x, from), (x, to), number)?;
                writeln!(out, "</g>")?;
            }
        }
        for (index, mark) in self.marks.iter().enumerate() {
            let y = layout.middle(top, index);
            mark.draw(out, &axis, y)?;
            if !mark.remarks().is_empty() {
                text(out, (right + 8.0, y + 4.0), r#"font-size="11""#, mark.remarks())?;
            }
        }
        Ok(())
    }
}

impl Mark {
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        match self {
            Mark::Value { value, reach, .. } => {
                if let Some(reach) = reach {
                    reach.draw(out, axis, y)?;
                }
                point(out, axis.x(*value), y, BLUE, &format!("{value:.2}"))
            }
            Mark::Interval(low, high) => Reach { doubt: Doubt::Interval, low: *low, high: *high }.draw(out, axis, y),
            Mark::Published(value, _) => point(out, axis.x(*value), y, "white", &format!("{value}")),
            Mark::Box(row) => row.draw(out, axis, y),
            Mark::Missing => {
                let middle = ((axis.left + axis.right) / 2.0, y + 4.0);
                text(out, middle, &format!(r#"text-anchor="middle" fill="{GREY}""#), "—")
            }
        }
    }
}

impl Reach {
    fn draw(&self, out: &mut String, axis: &Axis, y: f64) -> Result {
        doubt(out, self.doubt, y, [self.low, self.high].map(|end| (axis.x(end), !axis.holds(end))))
    }
}

impl Distribution {
    /// Whiskers, box, median, the points over them, and the mean as a diamond; outliers are rings.
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
