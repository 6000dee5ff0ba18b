//! What a comparison says, in full: the numbers behind its table, for programs.

use serde::Serialize;

use super::statistics::families::Correction;
use super::statistics::paired::Estimate;

/// Bumped whenever the fields below change their meaning.
pub const SCHEMA: u32 = 1;

/// A comparison of two values of an axis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Version of these fields, raised whenever one of them changes its meaning.
    pub schema: u32,
    /// The value that is compared with.
    pub first: String,
    /// The value that is compared; a difference is its score minus that of `first`.
    pub second: String,
    /// What the p-values and intervals are by.
    pub method: &'static str,
    /// How `p_corrected` accounts for the number of tests.
    #[serde(serialize_with = "name")]
    pub correction: Correction,
    /// How many tests the correction is for.
    pub tests: usize,
    /// What a row is about: `task`, `subtask` or `phenomenon`.
    pub about: &'static str,
    /// The contrast over all rows that allow it.
    pub overall: Option<Overall>,
    /// One for each pair of conditions and task.
    pub rows: Vec<Row>,
    /// Tasks that are left out, as both sides are the same jobs.
    pub same_jobs: Vec<String>,
    /// What the letters of the rows mean: `a: not shown to be above chance (...)`.
    pub marks: Vec<String>,
}

fn name<S: serde::Serializer>(correction: &Correction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(correction.name())
}

/// The mean difference over tasks and pairs of conditions, seed by seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overall {
    /// The tasks, each counted once.
    pub tasks: Vec<String>,
    /// Pairs of conditions.
    pub pairs: usize,
    /// Pairs that are left out, as they lack a seed of the others.
    pub pairs_left_out: usize,
    /// The mean difference with each seed, in points.
    pub seeds: Vec<SeedDifference>,
    /// Mean over the seeds, in points.
    pub difference: f64,
    /// Interval and test; `None` of one seed, and where all differences are equal.
    #[serde(flatten)]
    pub test: Option<Test>,
    /// The smallest difference in points that these seeds find in 8 of 10 experiments, with this spread.
    pub smallest_difference: Option<f64>,
    /// The seeds that find a difference of one point in 8 of 10 experiments, with this spread.
    pub seeds_for_one_point: Option<u64>,
    /// The test of equivalence, where one was asked for.
    pub equivalence: Option<Equivalence>,
}

/// One pair of conditions on one task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What tells the row from the others: names of the columns, and values of the two sides.
    pub labels: Vec<Label>,
    /// The task or subtask.
    pub task: String,
    /// The task as tables head it: with metric or rules where several rows differ in them alone.
    #[serde(skip)]
    pub head: String,
    /// The suite it belongs to.
    pub suite: &'static str,
    /// `accuracy`, ...
    pub metric: String,
    /// The rules it was scored by.
    pub mode: String,
    /// Mean of the first value over the seeds below.
    pub first: f64,
    /// Mean of the second value over the seeds below.
    pub second: f64,
    /// Second minus first.
    pub difference: f64,
    /// Interval and test; `None` of one seed, and where all differences are equal.
    #[serde(flatten)]
    pub test: Option<Test>,
    /// The p-value corrected for the number of tests in the table.
    pub p_corrected: Option<f64>,
    /// The scores of both sides and their difference with each seed.
    pub seeds: Vec<SeedDifference>,
    /// Seeds that were planned for either side.
    pub seeds_planned: usize,
    /// Seeds that are missing, each with the reason.
    pub missing: Vec<MissingSeed>,
    /// The test of equivalence, where one was asked for.
    pub equivalence: Option<Equivalence>,
    /// The pooled interval and test, where they were asked for.
    pub pooled: Option<Test>,
    /// Letters of the marks on the scores of the first and the second side.
    pub marks: [String; 2],
}

/// A column that names a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Its head.
    pub axis: &'static str,
    /// What the first side has there.
    pub first: String,
    /// What the second side has there.
    pub second: String,
}

impl Label {
    /// Both values, or the one that they share.
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

/// The scores of both sides with one seed; of an overall contrast their means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SeedDifference {
    /// Seed axis.
    pub seed: u64,
    /// The first side.
    pub first: f64,
    /// The second side.
    pub second: f64,
    /// Second minus first.
    pub difference: f64,
}

/// A seed that could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingSeed {
    /// Seed axis.
    pub seed: u64,
    /// The conditions that lack it; empty where both have a score, but of different items.
    pub condition: String,
    /// `failed`, `not run`, `not planned` or `other data`.
    pub reason: &'static str,
}

/// An interval and a p-value by Student's t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Test {
    /// Standard deviation of a difference.
    pub sd: f64,
    /// Degrees of freedom.
    pub df: u64,
    /// 95% interval of the difference.
    pub interval: (f64, f64),
    /// Two-sided p-value of no difference.
    pub p: f64,
}

impl From<Estimate> for Test {
    fn from(Estimate { sd, df, interval, p, .. }: Estimate) -> Self {
        Self { sd, df, interval, p }
    }
}

/// Two one-sided t tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Equivalence {
    /// The margin, in points.
    pub margin: f64,
    /// The p-value of a difference of the margin or more; `None` as for the paired test.
    pub p: Option<f64>,
}
