//! The columns of tables, and published scores to show beside measured ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::finetune::GlueTask;
use super::suite::Suite;

/// A column of a table: a score of a model, or a mean of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// The official aggregate of a zero-shot suite, if it has one: an accuracy, or a correlation with human data.
    Suite(Suite),
    /// The share of preferred "-ity" forms in WUG adjectives, the official metric until August 2025.
    WugAccuracy,
    /// The partial R² of the model in the regression of eye-tracking times.
    EyeTracking,
    /// The partial R² of the model in the regression of self-paced reading times.
    SelfPaced,
    /// The accuracy on a GLUE task.
    Task(GlueTask),
    /// The mean over the seven GLUE tasks.
    Glue,
    /// The mean of the two reading scores.
    Reading,
    /// The mean of BLiMP, BLiMP Supplement, EWoK, entity tracking, COMPS and GLUE.
    Language,
    /// The mean of reading, both WUG suites and age of acquisition.
    HumanLikeness,
    /// The mean of [`Quantity::Language`] and [`Quantity::HumanLikeness`].
    Macro,
    /// The mean over the ten tasks; reading counts once.
    TextAverage,
    /// The first metric of a test set of the user's own.
    Own(OwnQuantity),
}

/// The first metric of a test set. Its texts are kept for the life of the process, so that a quantity can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnQuantity {
    /// The suite that stands for the format of the test set.
    pub suite: Suite,
    /// The name of the test set, which is the task of its scores.
    pub name: &'static str,
    /// The metric.
    pub metric: &'static str,
}

impl OwnQuantity {
    /// The quantity of a test set of this name.
    pub fn new(suite: Suite, name: &str, metric: &str) -> Self {
        Self { suite, name: kept(name), metric: kept(metric) }
    }
}

/// A copy of a text that is never freed; equal texts share one.
fn kept(text: &str) -> &'static str {
    static TEXTS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    match texts.get(text) {
        Some(known) => known,
        None => {
            let text: &'static str = Box::leak(text.into());
            texts.insert(text);
            text
        }
    }
}

impl Quantity {
    /// The quantities of the official evaluation, in the order of its leaderboard.
    const LEADERBOARD: [Quantity; 24] = [
        Quantity::Suite(Suite::Blimp),
        Quantity::Suite(Suite::BlimpSupplement),
        Quantity::Suite(Suite::Ewok),
        Quantity::Suite(Suite::EntityTracking),
        Quantity::Suite(Suite::Comps),
        Quantity::Task(GlueTask::Boolq),
        Quantity::Task(GlueTask::Mnli),
        Quantity::Task(GlueTask::Mrpc),
        Quantity::Task(GlueTask::Multirc),
        Quantity::Task(GlueTask::Qqp),
        Quantity::Task(GlueTask::Rte),
        Quantity::Task(GlueTask::Wsc),
        Quantity::Glue,
        Quantity::EyeTracking,
        Quantity::SelfPaced,
        Quantity::Reading,
        Quantity::Suite(Suite::WugAdj),
        Quantity::WugAccuracy,
        Quantity::Suite(Suite::WugPast),
        Quantity::Suite(Suite::Aoa),
        Quantity::Language,
        Quantity::HumanLikeness,
        Quantity::Macro,
        Quantity::TextAverage,
    ];

    /// All quantities of the official evaluation: those of the leaderboard in its order, then the suites that it does not
    /// have.
    pub fn all() -> impl Iterator<Item = Quantity> {
        let known = |suite: &Suite| Quantity::LEADERBOARD.iter().any(|quantity| quantity.name() == suite.name());
        let further = Suite::official().filter(move |suite| !known(suite)).map(Quantity::Suite);
        Quantity::LEADERBOARD.into_iter().chain(further)
    }

    /// The name used in specs and tables.
    pub fn name(self) -> &'static str {
        match self {
            Quantity::Suite(suite) => suite.name(),
            Quantity::WugAccuracy => "wug-adj-accuracy",
            Quantity::EyeTracking => "eye-tracking",
            Quantity::SelfPaced => "self-paced",
            Quantity::Task(task) => task.name(),
            Quantity::Glue => "glue",
            Quantity::Reading => "reading",
            Quantity::Language => "nlp",
            Quantity::HumanLikeness => "human-likeness",
            Quantity::Macro => "macro",
            Quantity::TextAverage => "text-average",
            Quantity::Own(own) => own.name,
        }
    }

    /// The quantities of which this one is the mean; empty for a score.
    pub fn parts(self) -> Vec<Quantity> {
        let language = [Suite::Blimp, Suite::BlimpSupplement, Suite::Ewok, Suite::EntityTracking, Suite::Comps];
        let language = || language.map(Quantity::Suite).into_iter().chain([Quantity::Glue]);
        let wugs = [Suite::WugAdj, Suite::WugPast].map(Quantity::Suite);
        let human = || [Quantity::Reading].into_iter().chain(wugs).chain([Quantity::Suite(Suite::Aoa)]);
        match self {
            Quantity::Glue => GlueTask::ALL.map(Quantity::Task).into(),
            Quantity::Reading => vec![Quantity::EyeTracking, Quantity::SelfPaced],
            Quantity::Language => language().collect(),
            Quantity::HumanLikeness => human().collect(),
            Quantity::Macro => vec![Quantity::Language, Quantity::HumanLikeness],
            Quantity::TextAverage => language().chain(human()).collect(),
            Quantity::Suite(_)
            | Quantity::WugAccuracy
            | Quantity::EyeTracking
            | Quantity::SelfPaced
            | Quantity::Task(_)
            | Quantity::Own(_) => vec![],
        }
    }

    /// The value from `known`, or else the mean of the parts. It is `None` if a part is missing, since a mean over fewer
    /// tasks would not be comparable.
    pub fn value(self, known: &impl Fn(Quantity) -> Option<f64>) -> Option<f64> {
        known(self).or_else(|| {
            let parts: Vec<f64> = self.parts().into_iter().map(|part| part.value(known)).collect::<Option<_>>()?;
            (!parts.is_empty()).then(|| parts.iter().sum::<f64>() / parts.len() as f64)
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Published scores of a model, shown beside measured scores and not used in any statistic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reference {
    /// The name shown in tables.
    pub name: String,
    /// The publication.
    pub source: String,
    /// The scores, in the units of [`Score::value`](super::Score::value).
    pub scores: BTreeMap<Quantity, f64>,
}

impl Reference {
    /// The published score, or the mean of the published scores of its parts.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        quantity.value(&|quantity| self.scores.get(&quantity).copied())
    }
}

/// What a named table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableView {
    /// The scores: mean and standard deviation over seeds.
    Scores,
    /// The z-scores: the distance of each model from the mean over the models of the table, in standard deviations.
    ZScores,
    /// The distribution of the z-scores of each model over the columns, as a box plot shows it.
    Boxes,
}

/// A table defined in a spec.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedTable {
    /// The name of the table.
    pub name: String,
    /// The columns, without duplicates.
    pub columns: Vec<Quantity>,
    /// What the table shows.
    pub show: TableView,
    /// The names of the published rows to show beside the scores.
    pub references: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_parts_are_quantities() {
        let all: Vec<Quantity> = Quantity::all().collect();
        let names: BTreeSet<&str> = all.iter().map(|quantity| quantity.name()).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(Quantity::TextAverage.parts().len(), 10);
        assert!(all.iter().all(|quantity| quantity.parts().iter().all(|part| all.contains(part))));
    }

    /// GPT-BERT mixed (100M words, MNTP): the published aggregates follow from the published tasks.
    #[test]
    fn a_published_row_gives_the_published_aggregates() {
        use Quantity as Q;
        let tasks = [73.4, 63.4, 85.8, 69.8, 81.2, 59.0, 63.5];
        let suites = [
            (Suite::Blimp, 80.5),
            (Suite::BlimpSupplement, 73.0),
            (Suite::Ewok, 52.4),
            (Suite::EntityTracking, 39.9),
            (Suite::Comps, 59.7),
            (Suite::WugAdj, 41.2),
            (Suite::WugPast, 27.1),
        ];
        let others = [(Q::EyeTracking, 8.7), (Q::SelfPaced, 3.0), (Q::Suite(Suite::Aoa), 22.3)];
        let scores = suites.map(|(suite, value)| (Q::Suite(suite), value)).into_iter().chain(others);
        let scores = scores.chain(GlueTask::ALL.into_iter().zip(tasks).map(|(task, value)| (Q::Task(task), value)));
        let mut row = Reference { name: "x".into(), source: "x".into(), scores: scores.collect() };
        let near = |quantity, published: f64, row: &Reference| (row.value(quantity).unwrap() - published).abs() < 0.1;
        assert!(near(Q::Glue, 70.9, &row) && near(Q::Language, 62.7, &row) && near(Q::HumanLikeness, 24.2, &row));
        assert!(near(Q::Macro, 43.5, &row));
        row.scores.remove(&Q::SelfPaced);
        assert_eq!((row.value(Q::Reading), row.value(Q::TextAverage)), (None, None));
        row.scores.insert(Q::Reading, 6.0);
        assert_eq!(row.value(Q::Reading), Some(6.0), "published means take precedence over computed ones");
    }
}
