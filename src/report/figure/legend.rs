//! The legend of a figure.

use std::collections::BTreeSet;
use std::fmt::Result;

use super::content::{ErrorBarKind, Figure, Mark, Panel};
use super::shapes::{BLUE, PALE, YELLOW, dashed, diamond, error_bar, line, point, rectangle, text};

/// In pixels: the width of a symbol, the height of a line, and the approximate width of a character.
const SYMBOL: f64 = 28.0;
const LINE: f64 = 18.0;
const CHARACTER: f64 = 6.6;
/// The gaps in pixels between a symbol and its text, and between two entries.
const GAPS: (f64, f64) = (6.0, 20.0);

/// A symbol of the figure.
enum Symbol {
    ErrorBar(ErrorBarKind),
    Published,
    Line(usize),
    Band,
    Box,
    Mean,
    Outlier,
}

/// An explained symbol.
struct Entry {
    symbol: Symbol,
    text: String,
}

/// The entries for the symbols that the figure contains.
pub(super) struct Legend(Vec<Entry>);

impl Legend {
    pub(super) fn of(figure: &Figure) -> Self {
        let marks = || figure.panels.iter().flat_map(|panel| &panel.marks);
        let kind = |mark: &Mark| match mark {
            Mark::Value { error_bar, .. } => error_bar.map(|bar| bar.kind),
            Mark::Interval(..) => Some(ErrorBarKind::Interval),
            Mark::Published(..) | Mark::Box(_) | Mark::Missing => None,
        };
        let mut entries: Vec<Entry> = vec![];
        let mut push = |symbol, text: &str| entries.push(Entry { symbol, text: text.to_owned() });
        for kind in marks().filter_map(kind).collect::<BTreeSet<ErrorBarKind>>() {
            let text = match kind {
                ErrorBarKind::Deviation => "mean ± sd over seeds",
                ErrorBarKind::StandardError => "score ± standard error over items, clustered by item group",
                ErrorBarKind::Interval => "95% interval",
            };
            push(Symbol::ErrorBar(kind), text);
        }
        if marks().any(|mark| matches!(mark, Mark::Published(..))) {
            push(Symbol::Published, "published by others");
        }
        if marks().any(|mark| matches!(mark, Mark::Box(_))) {
            push(Symbol::Box, "quartiles and median");
            push(Symbol::Mean, "mean");
        }
        let outlier = |mark: &Mark| match mark {
            Mark::Box(row) => row.points.iter().any(|(_, value)| row.plot.is_outlier(*value)),
            _ => false,
        };
        if marks().any(outlier) {
            push(Symbol::Outlier, "more than 1.5 IQR from the box");
        }
        let lines = figure.panels.iter().map(|panel| panel.lines.len()).max().unwrap_or(0);
        for number in 0..lines {
            let line = |panel: &Panel| {
                let line = panel.lines.get(number)?;
                line.values.iter().any(Option::is_some).then(|| line.name.clone())
            };
            if let Some(name) = figure.panels.iter().find_map(line) {
                push(Symbol::Line(number), &name);
            }
        }
        if let Some(bands) = figure.panels.iter().find_map(|panel| panel.bands.as_ref()) {
            push(Symbol::Band, &bands.name);
        }
        Self(entries)
    }

    /// The position of each entry relative to the upper left corner, in a figure of this width.
    fn places(&self, width: f64) -> Vec<(f64, f64)> {
        let (mut x, mut y) = (0.0, 0.0);
        let place = |entry: &Entry| {
            let wide = SYMBOL + GAPS.0 + entry.text.chars().count() as f64 * CHARACTER;
            if x > 0.0 && x + wide > width {
                (x, y) = (0.0, y + LINE);
            }
            let at = (x, y);
            x += wide + GAPS.1;
            at
        };
        self.0.iter().map(place).collect()
    }

    /// The height in pixels.
    pub(super) fn height(&self, width: f64) -> f64 {
        self.places(width).last().map_or(0.0, |(_, y)| y + LINE)
    }

    pub(super) fn draw(&self, out: &mut String, (left, top): (f64, f64), width: f64) -> Result {
        for (entry, (x, y)) in self.0.iter().zip(self.places(width)) {
            let (x, y) = (left + x, top + y + LINE / 2.0);
            entry.symbol.draw(out, x, y)?;
            text(out, (x + SYMBOL + GAPS.0, y + 4.0), r#"font-size="11""#, &entry.text)?;
        }
        Ok(())
    }
}

impl Symbol {
    fn draw(&self, out: &mut String, x: f64, y: f64) -> Result {
        let middle = x + SYMBOL / 2.0;
        match self {
            Symbol::ErrorBar(kind) => {
                error_bar(out, *kind, y, [(x + 2.0, false), (x + SYMBOL - 2.0, false)])?;
                sample(out, middle, y, BLUE)
            }
            Symbol::Published => sample(out, middle, y, "white"),
            Symbol::Line(number) => dashed(out, (x, y), (x + SYMBOL, y), *number),
            Symbol::Band => rectangle(out, (x, y - 6.0), (SYMBOL, 12.0), &format!(r#"fill="{YELLOW}""#)),
            Symbol::Box => {
                let style = format!(r#"fill="{PALE}" stroke="{BLUE}""#);
                rectangle(out, (x + 4.0, y - 5.0), (SYMBOL - 8.0, 10.0), &style)?;
                line(out, (middle, y - 5.0), (middle, y + 5.0), &format!(r#"stroke="{BLUE}" stroke-width="3""#))
            }
            Symbol::Mean => diamond(out, middle, y, "mean"),
            Symbol::Outlier => sample(out, middle, y, "white"),
        }
    }
}

fn sample(out: &mut String, x: f64, y: f64, fill: &str) -> Result {
    point(out, x, y, fill, "sample")
}
