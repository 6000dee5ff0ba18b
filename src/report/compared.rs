//! The result of a comparison: all numbers behind its table, for programs.

use serde::Serialize;

use super::statistics::families::Correction;
use super::statistics::paired::Estimate;

/// Raised whenever a field below changes its meaning.
pub(super) const SCHEMA: u32 = 1;

/// The result of comparing two values of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Version of these fields, raised whenever one of them changes its meaning.
    pub schema: u32,
    /// The first value, the baseline.
    pub first: String,
    /// The second value; a difference is its score minus that of `first`.
    pub second: String,
    /// The test behind the p-values and intervals.
    pub method: &'static str,
    /// How `p_corrected` is corrected for the number of tests.
    #[serde(serialize_with = "serialize_name")]
    pub correction: Correction,
    /// The number of tests that the correction is for.
    pub tests: usize,
    /// The noun for the subject of a row: `task`, `subtask` or `phenomenon`.
    pub about: &'static str,
    /// The mean difference over the rows; `None` if no row can be included.
    pub overall: Option<Overall>,
    /// One row for each pair of conditions and task.
    pub rows: Vec<ComparedRow>,
    /// The tasks that are left out because both sides are the same jobs.
    pub same_jobs: Vec<String>,
    /// What the letters in `marks` of the rows mean: `a: not shown to be above chance (...)`.
    pub marks: Vec<String>,
}

fn serialize_name<S: serde::Serializer>(correction: &Correction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(correction.name())
}

/// The mean difference over tasks and pairs of conditions, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// The tasks that are included, each once.
    pub tasks: Vec<String>,
    /// The number of pairs of conditions.
    pub pairs: usize,
    /// The number of pairs that are left out because their seeds differ from those of the others.
    pub pairs_left_out: usize,
    /// The mean difference for each seed, in points.
    pub seeds: Vec<SeedDifference>,
    /// The mean over the seeds, in points.
    pub difference: f64,
    /// The interval and the p-value; `None` for one seed, and if all differences are equal.
    #[serde(flatten)]
    pub test: Option<TTest>,
    /// The smallest difference in points that these seeds detect in 8 of 10 experiments, with this spread.
    pub smallest_difference: Option<f64>,
    /// The number of seeds that detect a difference of one point in 8 of 10 experiments, with this spread.
    pub seeds_for_one_point: Option<u64>,
    /// The equivalence test, if it was requested.
    pub equivalence: Option<Equivalence>,
}

/// One pair of conditions on one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedRow {
    /// The coordinates of the row on the axes that are not compared.
    pub labels: Vec<Label>,
    /// The task or subtask.
    pub task: String,
    /// The task as the table shows it, with the metric or the mode if other rows differ only in them.
    #[serde(skip)]
    pub head: String,
    /// The suite of the task.
    pub suite: &'static str,
    /// The metric, such as `accuracy`.
    pub metric: String,
    /// The scoring mode.
    pub mode: String,
    /// The mean score of the first value over `seeds`.
    pub first: f64,
    /// The mean score of the second value over `seeds`.
    pub second: f64,
    /// The second score minus the first.
    pub difference: f64,
    /// The interval and the p-value; `None` for one seed, and if all differences are equal.
    #[serde(flatten)]
    pub test: Option<TTest>,
    /// The p-value corrected for the number of tests in the table.
    pub p_corrected: Option<f64>,
    /// The scores of both sides and their difference for each seed.
    pub seeds: Vec<SeedDifference>,
    /// The number of seeds that are planned for either side.
    pub seeds_planned: usize,
    /// The missing seeds, each with the reason.
    pub missing: Vec<MissingSeed>,
    /// The equivalence test, if it was requested.
    pub equivalence: Option<Equivalence>,
    /// The pooled interval and p-value, if they were requested.
    pub pooled: Option<TTest>,
    /// The letters of the marks on the scores of the first and the second side.
    pub marks: [String; 2],
}

/// The coordinate of a row on one axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The head of the column.
    pub axis: &'static str,
    /// The value of the first side.
    pub first: String,
    /// The value of the second side.
    pub second: String,
}

impl Label {
    /// Both values, or the value that they share.
    pub fn text(&self) -> String {
        match self.first == self.second {
            true => self.first.clone(),
            false => {
                let shown = |value: &str| if value.is_empty() { "—".to_owned() } else { value.to_owned() };
                format!("{} / {}", shown(&self.first), shown(&self.second))
            }
        }
    }
}

/// The scores of both sides for one seed; means of scores in [`Overall`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedDifference {
    /// The value on the seed axis.
    pub seed: u64,
    /// The score of the first side.
    pub first: f64,
    /// The score of the second side.
    pub second: f64,
    /// The second score minus the first.
    pub difference: f64,
}

/// A seed that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingSeed {
    /// The value on the seed axis.
    pub seed: u64,
    /// The condition that lacks it; empty if both sides have a score, but on different items.
    pub condition: String,
    /// `failed`, `not run`, `not planned` or `other data`.
    pub reason: &'static str,
}

/// An interval and a p-value from Student's t distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TTest {
    /// The standard deviation of a difference.
    pub sd: f64,
    /// The degrees of freedom.
    pub df: u64,
    /// The 95% interval of the difference.
    pub interval: (f64, f64),
    /// The two-sided p-value of no difference.
    pub p: f64,
}

impl From<Estimate> for TTest {
    fn from(Estimate { sd, df, interval, p, .. }: Estimate) -> Self {
        Self { sd, df, interval, p }
    }
}

/// The result of two one-sided t tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Equivalence {
    /// The margin, in points.
    pub margin: f64,
    /// The p-value of a difference of at least the margin; `None` in the same cases as the paired test.
    pub p: Option<f64>,
}
