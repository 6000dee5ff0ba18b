//! What the marks of a picture mean, said in the picture.

use std::collections::BTreeSet;
use std::fmt::Result;

use super::content::{Doubt, Figure, Mark, Panel};
use super::shapes::{BLUE, PALE, YELLOW, dashed, diamond, doubt, line, point, rectangle, text};

/// Pixels: of a sign, of a line, and of a character, about.
const SIGN: f64 = 28.0;
const LINE: f64 = 18.0;
const CHARACTER: f64 = 6.6;
/// Pixels between a sign and its meaning, and between two entries.
const GAPS: (f64, f64) = (6.0, 20.0);

/// A sign that is drawn in the picture.
enum Sign {
    Doubt(Doubt),
    Published,
    Line(usize),
    Band,
    Box,
    Mean,
    Outlier,
}

/// The entries of a picture: what is drawn in it, and nothing else.
pub(super) struct Legend(Vec<(Sign, String)>);

impl Legend {
    pub fn of(figure: &Figure) -> Self {
        let marks = || figure.panels.iter().flat_map(|panel| &panel.marks);
        let doubt = |mark: &Mark| match mark {
            Mark::Value { reach, .. } => reach.map(|reach| reach.doubt),
            Mark::Interval(..) => Some(Doubt::Interval),
            Mark::Published(..) | Mark::Box(_) | Mark::Missing => None,
        };
        let mut entries: Vec<(Sign, String)> = vec![];
        for doubt in marks().filter_map(doubt).collect::<BTreeSet<Doubt>>() {
            let meaning = match doubt {
                Doubt::Deviation => "mean ± sd over seeds",
                Doubt::StandardError => "score ± standard error over items, clustered by item group",
                Doubt::Interval => "95% interval",
            };
            entries.push((Sign::Doubt(doubt), meaning.to_owned()));
        }
        if marks().any(|mark| matches!(mark, Mark::Published(..))) {
            entries.push((Sign::Published, "published by others".to_owned()));
        }
        if marks().any(|mark| matches!(mark, Mark::Box(_))) {
            entries.push((Sign::Box, "quartiles and median".to_owned()));
            entries.push((Sign::Mean, "mean".to_owned()));
        }
        let outlier = |mark: &Mark| match mark {
            Mark::Box(row) => row.points.iter().any(|(_, value)| row.plot.is_outlier(*value)),
            _ => false,
        };
        if marks().any(outlier) {
            entries.push((Sign::Outlier, "more than 1.5 IQR from the box".to_owned()));
        }
        let lines = figure.panels.iter().map(|panel| panel.lines.len()).max().unwrap_or(0);
        for number in 0..lines {
            let line = |panel: &Panel| {
                let (name, values) = panel.lines.get(number)?;
                values.iter().any(Option::is_some).then(|| name.clone())
            };
            entries.extend(figure.panels.iter().find_map(line).map(|name| (Sign::Line(number), name)));
        }
        let band = figure.panels.iter().find_map(|panel| panel.bands.as_ref());
        entries.extend(band.map(|(name, _)| (Sign::Band, name.clone())));
        Self(entries)
    }

    /// Where each entry stands, right and below of a corner, in a picture of this width.
    fn places(&self, width: f64) -> Vec<(f64, f64)> {
        let (mut x, mut y) = (0.0, 0.0);
        let place = |(_, meaning): &(Sign, String)| {
            let wide = SIGN + GAPS.0 + meaning.chars().count() as f64 * CHARACTER;
            if x > 0.0 && x + wide > width {
                (x, y) = (0.0, y + LINE);
            }
            let at = (x, y);
            x += wide + GAPS.1;
            at
        };
        self.0.iter().map(place).collect()
    }

    /// Pixels from top to bottom.
    pub fn height(&self, width: f64) -> f64 {
        self.places(width).last().map_or(0.0, |(_, y)| y + LINE)
    }

    pub fn draw(&self, out: &mut String, (left, top): (f64, f64), width: f64) -> Result {
        for ((sign, meaning), (x, y)) in self.0.iter().zip(self.places(width)) {
            let (x, y) = (left + x, top + y + LINE / 2.0);
            sign.draw(out, x, y)?;
            text(out, (x + SIGN + GAPS.0, y + 4.0), r#"font-size="11""#, meaning)?;
        }
        Ok(())
    }
}

impl Sign {
    fn draw(&self, out: &mut String, x: f64, y: f64) -> Result {
        let middle = x + SIGN / 2.0;
        match self {
            Sign::Doubt(kind) => {
                doubt(out, *kind, y, [(x + 2.0, false), (x + SIGN - 2.0, false)])?;
                sample(out, middle, y, BLUE)
            }
            Sign::Published => sample(out, middle, y, "white"),
            Sign::Line(number) => dashed(out, (x, y), (x + SIGN, y), *number),
            Sign::Band => rectangle(out, (x, y - 6.0), (SIGN, 12.0), &format!(r#"fill="{YELLOW}""#)),
            Sign::Box => {
                let style = format!(r#"fill="{PALE}" stroke="{BLUE}""#);
                rectangle(out, (x + 4.0, y - 5.0), (SIGN - 8.0, 10.0), &style)?;
                line(out, (middle, y - 5.0), (middle, y + 5.0), &format!(r#"stroke="{BLUE}" stroke-width="3""#))
            }
            Sign::Mean => diamond(out, middle, y, "mean"),
            Sign::Outlier => sample(out, middle, y, "white"),
        }
    }
}

fn sample(out: &mut String, x: f64, y: f64, fill: &str) -> Result {
    point(out, x, y, fill, "an example")
}
