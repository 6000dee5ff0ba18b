//! What a table shows: quantities of models, published numbers beside them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::finetune::GlueTask;
use super::suite::Suite;

/// One number about a model, as a column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// The official aggregate of a zero-shot suite that has one: an accuracy, or a correlation with people.
    Suite(Suite),
    /// The share of "-ity" forms that is preferred in WUG's adjectives: its official metric until August 2025.
    WugAccuracy,
    /// What the model adds to a prediction of reading times, eye-tracked.
    EyeTracking,
    /// The same, self-paced.
    SelfPaced,
    /// Accuracy of a task of fine-tuning.
    Task(GlueTask),
    /// Mean over the seven tasks of fine-tuning.
    Glue,
    /// Mean of the two scores of reading.
    Reading,
    /// Mean of BLiMP, Supplement, EWoK, entity tracking, COMPS and GLUE.
    Language,
    /// Mean of reading, both WUGs and age of acquisition.
    HumanLikeness,
    /// Mean of the two before.
    Macro,
    /// Mean of the ten tasks, reading counted once.
    TextAverage,
}

impl Quantity {
    /// All of them, in the order of the leaderboard.
    pub const ALL: [Quantity; 24] = [
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
        }
    }

    /// What it is the mean of; nothing for a score of its own.
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
            | Quantity::Task(_) => vec![],
        }
    }

    /// Its value where `known` has it or all of its parts; a mean of which a part is missing is missing, since one over
    /// fewer tasks would be another number.
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

/// A model that others have published numbers of: shown beside what was measured, in no statistic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reference {
    /// What tables call it.
    pub name: String,
    /// Where the numbers are printed.
    pub source: String,
    /// The numbers, in the units of [`Score::value`](super::Score::value).
    pub scores: BTreeMap<Quantity, f64>,
}

impl Reference {
    /// The number that is published, or the mean of those published of its parts.
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        quantity.value(&|quantity| self.scores.get(&quantity).copied())
    }
}

/// What a named table does with its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TableView {
    /// The scores: mean and deviation over seeds.
    Scores,
    /// How many standard deviations each model lies from the mean over the models of the table.
    ZScores,
    /// The distribution of a model's z-scores over the columns: what a box plot draws.
    Boxes,
}

/// A table that a spec defines.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedTable {
    /// Its name.
    pub name: String,
    /// The columns, each once.
    pub columns: Vec<Quantity>,
    /// What it shows of them.
    pub show: TableView,
    /// Names of the published rows that stand beside its scores.
    pub references: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_parts_are_leaves_or_means_of_leaves() {
        let names: std::collections::BTreeSet<&str> = Quantity::ALL.iter().map(|quantity| quantity.name()).collect();
        assert_eq!(names.len(), Quantity::ALL.len());
        assert_eq!(Quantity::TextAverage.parts().len(), 10);
        assert!(Quantity::ALL.iter().all(|quantity| quantity.parts().iter().all(|part| Quantity::ALL.contains(part))));
    }

    /// GPT-BERT mixed (100M words, MNTP): its tasks give its aggregates as published.
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
        assert_eq!(row.value(Q::Reading), Some(6.0), "what is published goes before what follows from it");
    }
}
