//! (Super)GLUE: pairs of texts with a class, learned by fine-tuning.
//!
//! The classes of a row come from a classifier that somebody else trains on the rows of the training file; here are the
//! rows, the choice of the epoch that counts, and the scores.

mod floor;
mod metrics;
mod selection;
#[cfg(test)]
mod tests;

use crate::domain::{Cluster, Criterion, GlueTask, ItemOutcome, Mode, Score, Stderr, Suite};

use super::clusters;
use super::error::SuiteError;
use super::row::Row;
use metrics::{Confusion, Metric, Spread};
pub use selection::{Chosen, Classes};

/// Two classes closer than this, in nats, may change places on other hardware.
const NEAR: f64 = 1e-4;

/// A row of a task: two texts and their class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Text A.
    pub first: String,
    /// Text B.
    pub second: String,
    /// The class, below [`GlueTask::classes`].
    pub label: u32,
}

/// Reads the rows of a file of a task; `file` is its name.
///
/// # Errors
/// A row that is not as the task's format has it, naming file, line and field; no row at all.
pub fn read(task: GlueTask, file: &str, bytes: &[u8]) -> Result<Vec<Example>, SuiteError> {
    let examples: Vec<Example> = Row::all(file, bytes).map(|row| example(task, &row?)).collect::<Result<_, _>>()?;
    match examples.is_empty() {
        true => Err(SuiteError::NoItems { suite: task.name(), files: 1, extension: ".jsonl" }),
        false => Ok(examples),
    }
}

fn example(task: GlueTask, row: &Row) -> Result<Example, SuiteError> {
    let text = |field: &str| row.text(field).map(str::to_owned);
    let (first, second) = match task {
        GlueTask::Boolq => (text("question")?, text("passage")?),
        GlueTask::Mnli => (text("premise")?, text("hypothesis")?),
        GlueTask::Mrpc | GlueTask::Rte => (text("sentence1")?, text("sentence2")?),
        GlueTask::Multirc => {
            let asked = format!("Question: {} Answer: {}", row.text("question")?, row.text("answer")?);
            (asked, text("paragraph")?)
        }
        GlueTask::Qqp => (text("question1")?, text("question2")?),
        GlueTask::Wsc => {
            let (pronoun, noun) = (row.text("span2_text")?, row.text("span1_text")?);
            (format!("Does \"{pronoun}\" refer to \"{noun}\" in this passage?"), text("text")?)
        }
    };
    let label = row.natural("label")?;
    match u32::try_from(label).ok().filter(|label| *label < task.classes()) {
        Some(label) => Ok(Example { first, second, label }),
        None => {
            let last = task.classes() - 1;
            Err(row.error(format!("field `label` should be a class from 0 to {last}, not {label}")))
        }
    }
}

/// The values of the metrics of a task after an epoch, in percent: what a learning curve shows.
pub fn measures(task: GlueTask, examples: &[Example], classes: &Classes) -> Vec<(&'static str, f64)> {
    let confusion = Confusion::of(task, examples, &classes.predicted());
    Metric::of(task).iter().map(|metric| (metric.name(), metric.value(&confusion))).collect()
}

/// The metric of the predictions of the last epoch, where another one was chosen.
const OF_LAST_EPOCH: &str = "accuracy-of-last-epoch";

/// Scores the predictions for the rows of the valid file: the official accuracy (`subtask: None`) after all metrics of
/// the subtask, and every row's outcome.
///
/// `train` is what the trivial strategy learns from. `chosen` are the predictions that count; `last` are those of the
/// last epoch, whose accuracy is told beside where one was chosen. Standard errors take the rows of one
/// [`Cluster`] together.
pub fn score(
    task: GlueTask,
    mode: Mode,
    train: &[Example],
    valid: &[Example],
    chosen: &Classes,
    last: Option<&Classes>,
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let predicted = chosen.predicted();
    let of = |predicted: &[u32]| Confusion::of(task, valid, predicted);
    let confusion = of(&predicted);
    let constants: Vec<Confusion> = (0..task.classes()).map(|class| of(&vec![class; valid.len()])).collect();
    let by_first_word = of(&floor::first_word(train, valid));
    let decisions: Vec<Decision> = chosen.logits().iter().map(|logits| Decision::of(logits)).collect();
    let count = |what: fn(&Decision) -> bool| decisions.iter().filter(|decision| what(decision)).count() as u64;
    let clusters: Vec<Cluster> = valid.iter().map(|example| clusters::example(task, example)).collect();
    let spread = |predicted: &[u32]| Spread::of(task, valid, predicted, &clusters);
    let of_chosen = spread(&predicted);
    let row = |metric: Metric, confusion: &Confusion, spread: &Spread, name: &str, subtask: Option<&str>| Score {
        suite: Suite::Glue,
        task: task.name().to_owned(),
        subtask: subtask.map(str::to_owned),
        metric: name.to_owned(),
        value: metric.value(confusion),
        n: valid.len() as u64,
        stderr: spread.stderr(metric),
        chance: constants.iter().map(|constant| metric.value(constant)).reduce(f64::max),
        floor: Some(metric.value(&by_first_word)),
        ties: count(|decision| decision.tie),
        near_ties: count(|decision| decision.near_tie),
        nans: count(|decision| decision.nan),
        classes: Some(confusion.predicted_classes()),
        mode,
    };
    let of_metric = |metric: &Metric| row(*metric, &confusion, &of_chosen, metric.name(), Some(task.name()));
    let mut scores: Vec<Score> = Metric::of(task).iter().map(of_metric).collect();
    if let Some(last) = last {
        let predicted = last.predicted();
        let (confusion, spread) = (of(&predicted), spread(&predicted));
        scores.push(row(Metric::Accuracy, &confusion, &spread, OF_LAST_EPOCH, Some(task.name())));
    }
    scores.push(row(Metric::Accuracy, &confusion, &of_chosen, Metric::Accuracy.name(), None));
    let outcomes =
        valid.iter().zip(chosen.logits()).zip(&predicted).enumerate().map(|(item, ((example, logits), &class))| {
            let correct = class == example.label;
            ItemOutcome {
                task: task.name().to_owned(),
                subtask: task.name().to_owned(),
                item: item as u32,
                chosen: class,
                correct,
                credit: f64::from(u8::from(correct)),
                scores: log_probabilities(logits),
                cluster: clusters[item].clone(),
            }
        });
    (scores, outcomes.collect())
}

/// Gives outcomes that were recorded without clusters those of their rows, and computes the standard errors anew: what
/// [`score`] would have given. Where rows are independent there is no standard error to change.
///
/// `valid` are the rows of the same file. `None` where an outcome is not about one of them.
pub fn recluster(task: GlueTask, valid: &[Example], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    let (mut rows, mut predicted) = (vec![], vec![]);
    for outcome in outcomes.iter_mut() {
        let row = valid.get(outcome.item as usize).filter(|_| outcome.chosen < task.classes())?;
        outcome.cluster = clusters::example(task, row);
        rows.push(row.clone());
        predicted.push(outcome.chosen);
    }
    let clusters: Vec<Cluster> = outcomes.iter().map(|outcome| outcome.cluster.clone()).collect();
    if !clusters.iter().any(Cluster::is_shared) {
        return Some(vec![]);
    }
    let spread = Spread::of(task, &rows, &predicted, &clusters);
    let stderr = |metric: &str, subtask: Option<&str>, value| Stderr {
        task: task.name().to_owned(),
        subtask: subtask.map(str::to_owned),
        metric: metric.to_owned(),
        value,
    };
    let of_metric = |metric: &Metric| stderr(metric.name(), Some(task.name()), spread.stderr(*metric));
    let mut stderrs: Vec<Stderr> = Metric::of(task).iter().map(of_metric).collect();
    // What the last epoch predicted for each row is not on record.
    stderrs.push(stderr(OF_LAST_EPOCH, Some(task.name()), None));
    stderrs.push(stderr(Metric::Accuracy.name(), None, spread.stderr(Metric::Accuracy)));
    Some(stderrs)
}

/// What the class scores of one row say about their own reliability.
struct Decision {
    tie: bool,
    near_tie: bool,
    nan: bool,
}

impl Decision {
    fn of(logits: &[f32]) -> Decision {
        let mut sorted: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        let nan = sorted.iter().any(|logit| logit.is_nan());
        sorted.sort_by(|a, b| b.total_cmp(a));
        Decision { tie: !nan && sorted[0] == sorted[1], near_tie: !nan && sorted[0] - sorted[1] < NEAR, nan }
    }
}

/// The log-probability of each class, in nats.
fn log_probabilities(logits: &[f32]) -> Vec<Option<f64>> {
    let logits: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
    logits.iter().map(|logit| Some(logit - greatest - sum.ln()).filter(|number| number.is_finite())).collect()
}

/// The metric that tells a good epoch from a bad one, of these rows.
fn criterion(task: GlueTask, examples: &[Example], predicted: &[u32], rows: impl Fn(usize) -> bool) -> f64 {
    let confusion = Confusion::of_some(task, examples, predicted, rows);
    match task.criterion() {
        Criterion::Accuracy => Metric::Accuracy.value(&confusion),
        Criterion::F1 => Metric::F1.value(&confusion),
    }
}
