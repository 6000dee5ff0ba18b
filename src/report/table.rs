//! A table as data, before it has a form.

use serde::Serialize;

use super::compared::Compared;

/// Rows under heads, with notes below.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What it says, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// Heads of the columns.
    pub heads: Vec<String>,
    /// How many of the columns name the row; they stand on the left.
    pub labels: usize,
    /// One cell per head in each row.
    pub rows: Vec<Vec<Cell>>,
    /// Rows of published numbers, each said to be so in its first cell; set apart below.
    pub published: Vec<Vec<Cell>>,
    /// Rows that are no conditions, such as chance; set apart below.
    pub footer: Vec<Vec<Cell>>,
    /// What a reader must know, one sentence each.
    pub notes: Vec<String>,
    /// Further columns of `rows`, which only CSV has.
    #[serde(skip)]
    pub columns_for_programs: Vec<Column>,
    /// The comparison that it shows, which only JSON has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Compared>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its head.
    pub head: String,
    /// One cell for each row.
    pub cells: Vec<Cell>,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// A name.
    Label(String),
    /// A score over seeds.
    Score(Score),
    /// One number with so many digits after the point.
    Number(f64, usize),
    /// The same of a difference, which people see with its sign.
    #[serde(rename = "number")]
    Difference(f64, usize),
    /// A 95% interval.
    Interval(f64, f64),
    /// A p-value.
    Probability(f64),
    /// A whole number.
    Count(u64),
    /// Not measured, or not defined.
    Missing,
}

/// A score over seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Mean over the seeds measured.
    pub mean: f64,
    /// Sample standard deviation over seeds; `None` for one seed.
    pub deviation: Option<f64>,
    /// Standard error over items; for one seed only.
    pub stderr: Option<f64>,
    /// Seeds measured.
    pub seeds: usize,
    /// Seeds that the experiment has.
    pub seeds_expected: usize,
    /// Letters of the notes that concern it.
    pub marks: String,
    /// The rules that it was scored by.
    pub rules: String,
}

impl Score {
    /// What stands behind the number: seeds where some are missing, and the marks.
    pub(super) fn remarks(&self) -> String {
        match self.seeds < self.seeds_expected {
            true => format!(" [{}/{}]{}", self.seeds, self.seeds_expected, self.marks),
            false => self.marks.clone(),
        }
    }
}

impl Cell {
    /// For people.
    pub fn text(&self) -> String {
        match self {
            Cell::Label(text) => text.clone(),
            Cell::Score(score) => {
                let spread = match (score.deviation, score.stderr) {
                    (Some(deviation), _) => format!(" ± {deviation:.1}"),
                    (None, Some(stderr)) => format!(" (±{stderr:.1})"),
                    (None, None) => String::new(),
                };
                format!("{:.1}{spread}{}", score.mean, score.remarks())
            }
            Cell::Number(value, digits) => format!("{value:.digits$}"),
            Cell::Difference(value, digits) => signed(*value, *digits),
            Cell::Interval(low, high) => format!("[{}, {}]", signed(*low, 1), signed(*high, 1)),
            Cell::Probability(p) if *p < 0.001 => "<0.001".to_owned(),
            Cell::Probability(p) => format!("{p:.3}"),
            Cell::Count(count) => count.to_string(),
            Cell::Missing => "—".to_owned(),
        }
    }
}

impl Cell {
    /// For programs: numbers in full, nothing for what is missing.
    pub(super) fn plain(&self) -> String {
        match self {
            Cell::Number(value, _) | Cell::Difference(value, _) | Cell::Probability(value) => value.to_string(),
            Cell::Missing => String::new(),
            Cell::Label(_) | Cell::Score(_) | Cell::Interval(..) | Cell::Count(_) => self.text(),
        }
    }
}

/// A number with its sign; what rounds to nothing has none but plus.
fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    let nothing = text.bytes().all(|byte| matches!(byte, b'-' | b'.' | b'0'));
    if nothing { text.replace('-', "+") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_difference_is_less_than_nothing() {
        let text = |value: f64| Cell::Difference(value, 1).text();
        assert_eq!([-0.04, 0.0, -0.06, 12.34, -10.0].map(text), ["+0.0", "+0.0", "-0.1", "+12.3", "-10.0"]);
        assert_eq!(Cell::Interval(-0.01, 0.5).text(), "[+0.0, +0.5]");
        assert_eq!(Cell::Difference(f64::NAN, 1).text(), "NaN");
    }
}
