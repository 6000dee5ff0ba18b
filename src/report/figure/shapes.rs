//! The shapes of a figure in SVG. The functions return a `Result` because they use `write!`, which cannot fail here.

use std::fmt::{Result, Write};

use super::content::ErrorBarKind;
use crate::domain::one_line;

/// Colours that colour-blind readers can distinguish (Okabe and Ito 2008), and greys.
pub(super) const BLUE: &str = "#0072b2";
pub(super) const SKY: &str = "#56b4e9";
pub(super) const PALE: &str = "#cfe5f3";
pub(super) const RED: &str = "#d55e00";
pub(super) const YELLOW: &str = "#fbf5c4";
pub(super) const GREY: &str = "#767676";
pub(super) const GRID: &str = "#e2e2e2";
pub(super) const PALE_GRID: &str = "#f1f1f1";
/// The dash patterns of reference lines: of the first, and of all others.
pub(super) const DASHES: [&str; 2] = ["6 3", "1.5 2.5"];

/// Draws an error bar: a standard deviation as a thin line with caps, a standard error as a thick line, and an interval as
/// a line in brackets. Each end has a position in pixels and says whether it is cut off; such an end has no cap.
pub(super) fn error_bar(out: &mut String, kind: ErrorBarKind, y: f64, [low, high]: [(f64, bool); 2]) -> Result {
    let thin = format!(r#"stroke="{BLUE}" stroke-width="1.3""#);
    match kind {
        ErrorBarKind::StandardError => {
            return line(out, (low.0, y), (high.0, y), &format!(r#"stroke="{SKY}" stroke-width="6""#));
        }
        ErrorBarKind::Deviation | ErrorBarKind::Interval => line(out, (low.0, y), (high.0, y), &thin)?,
    }
    for ((x, cut), inwards) in [(low, 4.0), (high, -4.0)] {
        if cut {
            continue;
        }
        line(out, (x, y - 5.0), (x, y + 5.0), &thin)?;
        if kind == ErrorBarKind::Interval {
            line(out, (x, y - 5.0), (x + inwards, y - 5.0), &thin)?;
            line(out, (x, y + 5.0), (x + inwards, y + 5.0), &thin)?;
        }
    }
    Ok(())
}

pub(super) fn point(out: &mut String, x: f64, y: f64, fill: &str, title: &str) -> Result {
    let title = escaped(title);
    writeln!(
        out,
        r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{fill}" stroke="{BLUE}"><title>{title}</title></circle>"#
    )
}

pub(super) fn diamond(out: &mut String, x: f64, y: f64, title: &str) -> Result {
    let (west, east, north, south) = (x - 5.0, x + 5.0, y - 5.0, y + 5.0);
    let title = escaped(title);
    writeln!(
        out,
        r#"<path d="M{west:.1} {y:.1}L{x:.1} {north:.1}L{east:.1} {y:.1}L{x:.1} {south:.1}Z" fill="{RED}"><title>{title}</title></path>"#
    )
}

pub(super) fn rectangle(out: &mut String, (x, y): (f64, f64), (width, height): (f64, f64), style: &str) -> Result {
    writeln!(out, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" {style}/>"#)
}

pub(super) fn line(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) -> Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    writeln!(out, r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#)
}

/// Draws a reference line; `number` selects the dash pattern.
pub(super) fn dashed(out: &mut String, from: (f64, f64), to: (f64, f64), number: usize) -> Result {
    let dashes = DASHES[number.min(1)];
    line(out, from, to, &format!(r#"stroke="{GREY}" stroke-width="1.3" stroke-dasharray="{dashes}""#))
}

pub(super) fn text(out: &mut String, at: (f64, f64), attributes: &str, content: &str) -> Result {
    let (x, y) = at;
    writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {attributes}>{}</text>"#, escaped(content))
}

pub(super) fn escaped(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
