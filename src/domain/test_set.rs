//! Test sets of the user's own, beside the suites of the official evaluation.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::suite::Suite;
use super::table::{OwnQuantity, Quantity};
use super::text_format::{CorpusFormat, Layout};

/// What a model is scored on: an official suite, or a test set of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Test {
    /// A suite of the official evaluation.
    Official(Suite),
    /// A test set that a spec or a task file defines.
    Own(Box<TestSet>),
}

impl Test {
    /// The name shown in tables.
    pub fn name(&self) -> &str {
        match self {
            Test::Official(suite) => suite.name(),
            Test::Own(set) => &set.name,
        }
    }

    /// The suite; for a test set of the user's own, the one that stands for its format.
    pub fn suite(&self) -> Suite {
        match self {
            Test::Official(suite) => *suite,
            Test::Own(set) => set.items.suite(),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<Suite> for Test {
    fn from(suite: Suite) -> Self {
        Test::Official(suite)
    }
}

/// A test set of the user's own. Its name is part of the identity of a job, because scores and items are recorded under it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSet {
    /// The name shown in tables, the task of its scores.
    pub name: String,
    /// What its items are.
    pub items: TestItems,
}

/// How the files of a test set become items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum TestItems {
    /// Options, one of which is right, as they are.
    Pairs(PairsFormat),
    /// A multiple-choice task as lm-evaluation-harness defines it.
    MultipleChoice(Box<MultipleChoice>),
    /// Text whose bits per byte are measured.
    Perplexity(ScoredText),
    /// Streams in random languages, of which a model can only learn from the stream itself.
    InContext(ScoredStreams),
}

impl TestSet {
    /// The column of tables that shows its score.
    pub fn quantity(&self) -> Quantity {
        let metric = match &self.items {
            TestItems::MultipleChoice(task) => task.metrics.first().map_or("accuracy", |metric| metric.score_metric()),
            TestItems::Pairs(_) | TestItems::Perplexity(_) | TestItems::InContext(_) => {
                self.items.suite().scoring().metric()
            }
        };
        Quantity::Own(OwnQuantity::new(self.items.suite(), &self.name, metric))
    }
}

impl TestItems {
    /// The suite that stands for the format.
    pub fn suite(&self) -> Suite {
        match self {
            TestItems::Pairs(_) => Suite::Pairs,
            TestItems::MultipleChoice(_) => Suite::MultipleChoice,
            TestItems::Perplexity(_) => Suite::Perplexity,
            TestItems::InContext(_) => Suite::InContext,
        }
    }
}

/// How a row becomes an item with options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairsFormat {
    /// The format of the files.
    pub layout: Layout,
    /// Other names of fields, by the name in [`PairsFormat::FIELDS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// The text between the prefix and an option.
    pub separator: String,
    /// Demonstrations before each item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shots: Option<PairShots>,
}

/// Demonstrations before the items of a test set: the prefixes of other items with their right options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairShots {
    /// The number of demonstrations. There are fewer if the test set has fewer other items.
    pub k: u32,
    /// The text after each demonstration.
    pub delimiter: String,
    /// How often each item is scored, with other demonstrations each time.
    pub draws: u32,
}

impl PairsFormat {
    /// The fields of a row: `good` and `bad`, or `options` and `gold`; the others are optional.
    pub const FIELDS: [&'static str; 7] = ["good", "bad", "options", "gold", "prefix", "group", "cluster"];

    /// The default of [`PairsFormat::separator`].
    pub const SEPARATOR: &'static str = " ";

    /// The name of a field in the files.
    pub fn name<'n>(&'n self, field: &'n str) -> &'n str {
        self.fields.get(field).map_or(field, String::as_str)
    }
}

/// Text whose bits per byte are measured, document by document.
///
/// A document that does not fit into the model is scored in windows: each of them scores `stride` further tokens after as
/// many of the tokens before them as the model has positions for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredText {
    /// How the files become documents.
    pub text: CorpusFormat,
    /// The number of tokens that each further window scores; `None` for half of the positions of the model.
    pub stride: Option<u32>,
}

/// Streams whose symbols a model predicts, each after all symbols before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredStreams {
    /// The score is the mean over the symbols that have at least this many symbols before them.
    pub after: u32,
}

/// A multiple-choice task in the format of lm-evaluation-harness. The names of the fields are those of its YAML files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MultipleChoice {
    /// The format of the files.
    pub layout: Layout,
    /// The question.
    pub doc_to_text: RowRule,
    /// The right answer: its text, or its index.
    pub doc_to_target: RowRule,
    /// The answers.
    pub doc_to_choice: ChoiceRule,
    /// The text before everything else, a template.
    pub description: String,
    /// The text between question and answer.
    pub target_delimiter: String,
    /// The examples before the question, if there are any.
    pub examples: Option<Examples>,
    /// The metrics; the first one is the score of the task.
    pub metrics: Vec<ChoiceMetric>,
}

/// How a text or index is made from a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RowRule {
    /// The name of a field, if the rows have a field of that name, and otherwise a Jinja template.
    FieldOrTemplate(String),
    /// The same index for every row.
    Index(u32),
}

/// How the answers are made from a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ChoiceRule {
    /// The name of a field with a list, if the rows have a field of that name, and otherwise a Jinja expression.
    FieldOrTemplate(String),
    /// The same answers for every row.
    Same(Vec<String>),
}

/// The examples before a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// How many.
    pub count: u32,
    /// Where they come from.
    pub pool: ExamplePool,
    /// How they are chosen.
    pub sampler: ExampleSampler,
    /// Whether the row that is scored is never one of its own examples.
    pub without_scored_row: bool,
    /// The question of an example.
    pub doc_to_text: RowRule,
    /// The answer of an example.
    pub doc_to_target: RowRule,
    /// The answers that an index refers to; without them, an index is an error.
    pub doc_to_choice: Option<ChoiceRule>,
    /// The text between question and answer.
    pub target_delimiter: String,
    /// The text after each example.
    pub delimiter: String,
}

/// Where examples come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExamplePool {
    /// The rows that are scored.
    ScoredRows,
    /// The rows of other files.
    OtherRows(Layout),
    /// Rows that the task file lists.
    Listed(Vec<serde_json::Value>),
}

/// How examples are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExampleSampler {
    /// The first ones.
    First,
    /// As Python's `random.Random(seed).sample` draws them, row after row.
    Random {
        /// The seed.
        seed: u32,
    },
}

/// A metric of a multiple-choice task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ChoiceMetric {
    /// The answer with the greatest log-probability is chosen.
    Acc,
    /// The log-probability is divided by the number of characters of the answer.
    AccNorm,
    /// The log-probability is divided by the number of UTF-8 bytes of the answer.
    AccBytes,
}

impl ChoiceMetric {
    /// All metrics.
    pub const ALL: [ChoiceMetric; 3] = [ChoiceMetric::Acc, ChoiceMetric::AccNorm, ChoiceMetric::AccBytes];

    /// The name in task files.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The value of [`Score::metric`](super::Score::metric).
    pub fn score_metric(self) -> &'static str {
        match self {
            ChoiceMetric::Acc => "accuracy",
            ChoiceMetric::AccNorm => "accuracy-per-character",
            ChoiceMetric::AccBytes => "accuracy-per-byte",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The identities of jobs on official suites do not depend on this type.
    #[test]
    fn an_official_suite_is_written_as_its_name() {
        let test = Test::from(Suite::BlimpSupplement);
        assert_eq!(serde_json::to_string(&test).unwrap(), r#""blimp-supplement""#);
        assert_eq!(serde_json::from_str::<Test>(r#""blimp-supplement""#).unwrap(), test);
    }

    #[test]
    fn a_test_set_is_read_as_it_is_written() {
        let rule = || RowRule::FieldOrTemplate("question".into());
        let choices = MultipleChoice {
            layout: Layout::Json,
            doc_to_text: rule(),
            doc_to_target: RowRule::Index(0),
            doc_to_choice: ChoiceRule::Same(vec!["a".into()]),
            description: String::new(),
            target_delimiter: " ".into(),
            examples: None,
            metrics: ChoiceMetric::ALL.into(),
        };
        let pairs = PairsFormat { layout: Layout::Csv, fields: BTreeMap::new(), separator: " ".into(), shots: None };
        let text = ScoredText { text: CorpusFormat::default(), stride: Some(8) };
        for items in [
            TestItems::Pairs(pairs),
            TestItems::MultipleChoice(Box::new(choices)),
            TestItems::Perplexity(text),
            TestItems::InContext(ScoredStreams { after: 32 }),
        ] {
            let suite = items.suite();
            let test = Test::Own(Box::new(TestSet { name: "mine".into(), items }));
            let json = serde_json::to_string(&test).unwrap();
            assert_eq!(serde_json::from_str::<Test>(&json).unwrap(), test);
            assert!(json.contains(&format!(r#""format":"{suite}""#)), "the database reads it: {json}");
        }
    }
}
