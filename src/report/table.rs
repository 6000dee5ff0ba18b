//! A table as data, independent of the output format.

use std::fmt;

use serde::Serialize;

use super::compared::Compared;
use crate::domain::one_line;

/// A table with a title, heads, rows and notes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Table {
    /// The title.
    pub title: String,
    /// The main result, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headline: Option<String>,
    /// What ± means in all cells.
    pub spread: Spread,
    /// The heads of the columns.
    pub heads: Vec<String>,
    /// The number of columns that name the row, which come first.
    pub labels: usize,
    /// The rows, each with one cell per head.
    pub rows: Vec<Vec<Cell>>,
    /// Rows of published numbers, which are shown below a rule. Their first cell says that they are published.
    pub published: Vec<Vec<Cell>>,
    /// Rows that are not conditions, such as chance, which are shown below a rule.
    pub footer: Vec<Vec<Cell>>,
    /// Notes for the reader, shown below the table.
    pub notes: Vec<String>,
    /// The marks of the cells, for CSV; `notes` has them as text.
    #[serde(skip)]
    pub marks: Vec<MarkNote>,
    /// The index of the column of corrected p-values, which a figure shows instead of others.
    #[serde(skip)]
    pub corrected_p: Option<usize>,
    /// Additional columns of `rows` that only CSV shows.
    #[serde(skip)]
    pub csv_columns: Vec<Column>,
    /// The comparison that the table shows, for JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Compared>,
}

/// What a letter beside a number means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkNote {
    /// The letter.
    pub letter: char,
    /// What it says about the number.
    pub reason: String,
}

impl fmt::Display for MarkNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.letter, self.reason)
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The head.
    pub head: String,
    /// One cell for each row.
    pub cells: Vec<Cell>,
}

/// What ± means in a table. It is a property of the table, so that ± cannot have two meanings in one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// No cell has a ±.
    #[default]
    None,
    /// Sample standard deviation over model seeds.
    Seeds,
    /// Standard error over items, if every condition of the table has one seed.
    Items,
}

impl Spread {
    /// The line under the title.
    pub fn head(self) -> Option<&'static str> {
        match self {
            Spread::None => None,
            Spread::Seeds => Some("mean ± sd over seeds"),
            Spread::Items => Some("score ± standard error over items, clustered by item group"),
        }
    }

    /// The number after ± of a score; `None` if it has none.
    pub(super) fn of(self, score: &Score) -> Option<f64> {
        match self {
            Spread::None => None,
            Spread::Seeds => score.deviation,
            Spread::Items => score.stderr,
        }
    }
}

/// The range of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// A percentage: 0 to 100.
    Percent,
    /// A correlation times 100, or a mean that includes one: -100 to 100.
    Correlation,
    /// Bits per byte, a perplexity, a loss or a regret: the lower the better.
    Cost,
    /// A slope on logarithmic axes: the lower the faster the fall.
    Slope,
}

impl Scale {
    /// The scale of a metric, a value of [`Score::metric`](crate::domain::Score::metric).
    pub(super) fn of_metric(metric: &str) -> Self {
        match metric {
            "spearman" | "pearson" | "mcc" => Scale::Correlation,
            "bits-per-byte" | "perplexity" | "regret" | "loss" => Scale::Cost,
            "slope" => Scale::Slope,
            _ => Scale::Percent,
        }
    }

    /// A note for tables that show scores of one of these metrics of which lower values are better.
    pub(super) fn note_on_costs<'m>(metrics: impl Iterator<Item = &'m str>) -> Option<String> {
        let is_cost = |metric: &&str| matches!(Scale::of_metric(metric), Scale::Cost | Scale::Slope);
        let costs: Vec<&str> = metrics.filter(is_cost).collect();
        let of_text = costs.iter().any(|metric| matches!(*metric, "bits-per-byte" | "perplexity"));
        let of_streams = costs.iter().any(|metric| matches!(*metric, "regret" | "loss" | "slope"));
        let named = match (of_text, of_streams) {
            (false, false) => return None,
            (true, false) => "bits per byte and perplexity",
            (false, true) => "regret, loss and slope",
            (true, true) => "bits per byte, perplexity, regret, loss and slope",
        };
        Some(format!("For {named}, lower values are better."))
    }

    /// The scale of a mean of scores of both scales.
    pub(super) fn join(self, other: Self) -> Self {
        if self == other { self } else { Scale::Correlation }
    }

    /// The lowest and the highest possible value.
    pub(super) fn ends(self) -> (f64, f64) {
        match self {
            Scale::Percent => (0.0, 100.0),
            Scale::Correlation => (-100.0, 100.0),
            Scale::Cost => (0.0, f64::INFINITY),
            Scale::Slope => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The number of decimals that are shown.
    pub(super) fn decimals(self) -> usize {
        match self {
            Scale::Percent | Scale::Correlation => 1,
            Scale::Cost => 4,
            Scale::Slope => 3,
        }
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// A name.
    Label(String),
    /// A score over seeds.
    Score(Score),
    /// A number, and the number of decimals shown.
    Number(f64, usize),
    /// A number, its decimals, and the letters of its marks.
    #[serde(rename = "number")]
    Marked(f64, usize, String),
    /// A difference, shown with its sign, and its decimals.
    #[serde(rename = "number")]
    Difference(f64, usize),
    /// A 95% interval, and the number of decimals shown.
    Interval(f64, f64, #[serde(skip)] usize),
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
    /// The mean over the measured seeds.
    pub mean: f64,
    /// The sample standard deviation over model seeds; `None` for one seed.
    pub deviation: Option<f64>,
    /// The standard error over items, clustered by item group; only for a single recorded score.
    pub stderr: Option<f64>,
    /// The number of model seeds that are complete.
    pub seeds: usize,
    /// The number of model seeds that are planned.
    pub seeds_expected: usize,
    /// The letters of its marks; see [`Table::marks`].
    pub marks: String,
    /// The scoring modes.
    #[serde(rename = "rules")]
    pub modes: String,
    /// The range of the values.
    pub scale: Scale,
}

impl Score {
    /// The text after the number: the count of seeds if some are missing, and the marks.
    pub(super) fn remarks(&self) -> String {
        match self.seeds < self.seeds_expected {
            true => format!(" [{}/{}]{}", self.seeds, self.seeds_expected, self.marks),
            false => self.marks.clone(),
        }
    }
}

impl Table {
    /// The heads, each on one line.
    pub(super) fn head_lines(&self) -> impl Iterator<Item = String> {
        self.heads.iter().map(|head| one_line(head).into_owned())
    }

    /// The text of a cell of this table.
    pub fn text(&self, cell: &Cell) -> String {
        match cell {
            Cell::Score(score) => {
                let digits = score.scale.decimals();
                let spread = self.spread.of(score).map_or(String::new(), |spread| format!(" ± {spread:.digits$}"));
                format!("{:.digits$}{spread}{}", score.mean, score.remarks())
            }
            other => other.text(),
        }
    }
}

impl Cell {
    /// The text of the cell. A score has no ±, whose meaning depends on the table; see [`Table::text`].
    pub fn text(&self) -> String {
        match self {
            Cell::Label(text) => one_line(text).into_owned(),
            Cell::Score(score) => format!("{:.*}{}", score.scale.decimals(), score.mean, score.remarks()),
            Cell::Marked(value, digits, marks) => format!("{value:.digits$}{marks}"),
            Cell::Number(value, digits) => positive_zero(format!("{value:.digits$}")),
            Cell::Difference(value, digits) => signed(*value, *digits),
            Cell::Interval(low, high, digits) => format!("[{}, {}]", signed(*low, *digits), signed(*high, *digits)),
            Cell::Probability(p) if *p < 0.001 => "<0.001".to_owned(),
            Cell::Probability(p) => format!("{p:.3}"),
            Cell::Count(count) => count.to_string(),
            Cell::Missing => "—".to_owned(),
        }
    }
}

impl Cell {
    /// The text for programs: unrounded numbers, and an empty text for a missing value.
    pub(super) fn plain(&self) -> String {
        match self {
            Cell::Number(value, _)
            | Cell::Marked(value, ..)
            | Cell::Difference(value, _)
            | Cell::Probability(value) => value.to_string(),
            Cell::Missing => String::new(),
            Cell::Label(_) | Cell::Score(_) | Cell::Interval(..) | Cell::Count(_) => self.text(),
        }
    }
}

/// A number with its sign, which is plus if the number rounds to zero.
fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    if is_zero(&text) { text.replace('-', "+") } else { text }
}

/// The text of a number without the sign of a negative zero.
fn positive_zero(text: String) -> String {
    if is_zero(&text) { text.replace('-', "") } else { text }
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'-' | b'.' | b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_rounds_to_zero_is_not_negative() {
        let text = |value: f64| Cell::Difference(value, 1).text();
        assert_eq!([-0.04, 0.0, -0.06, 12.34, -10.0].map(text), ["+0.0", "+0.0", "-0.1", "+12.3", "-10.0"]);
        assert_eq!(Cell::Interval(-0.01, 0.5, 1).text(), "[+0.0, +0.5]");
        assert_eq!(Cell::Difference(f64::NAN, 1).text(), "NaN");
        assert_eq!([-0.004, 0.0, -0.006].map(|value| Cell::Number(value, 2).text()), ["0.00", "0.00", "-0.01"]);
    }

    /// A score that has both a deviation and a standard error is shown with the one that its table uses.
    #[test]
    fn a_table_shows_one_kind_of_spread() {
        let (deviation, stderr, marks, modes) = (Some(2.0), Some(0.5), "a".to_owned(), "fixed".to_owned());
        let scale = Scale::Percent;
        let score =
            Cell::Score(Score { mean: 60.0, deviation, stderr, seeds: 2, seeds_expected: 3, marks, modes, scale });
        let text = |spread| Table { spread, ..Table::default() }.text(&score);
        assert_eq!(
            [Spread::Seeds, Spread::Items, Spread::None].map(text),
            ["60.0 ± 2.0 [2/3]a", "60.0 ± 0.5 [2/3]a", "60.0 [2/3]a"]
        );
    }

    #[test]
    fn a_mean_of_percentages_and_correlations_can_be_negative() {
        let scale = |metrics: &[&str]| metrics.iter().map(|metric| Scale::of_metric(metric)).reduce(Scale::join);
        assert_eq!(scale(&["accuracy", "f1", "partial-r2"]).map(Scale::ends), Some((0.0, 100.0)));
        assert_eq!(scale(&["partial-r2", "spearman"]).map(Scale::ends), Some((-100.0, 100.0)));
    }
}
