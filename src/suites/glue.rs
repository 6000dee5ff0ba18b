//! (Super)GLUE: pairs of texts with a class, learned by fine-tuning.
//!
//! The worker trains a classifier on the rows of the training file; this module has the rows, the selection of the epoch
//! whose predictions count, and the scores.

mod example;
mod floor;
mod metrics;
pub(super) mod official;
mod selection;
#[cfg(test)]
mod tests;

use crate::domain::{Cluster, GlueTask, ItemOutcome, Mode, Score, Stderr, Suite};

use super::definition::Definition;
use super::error::SuiteError;
use metrics::{Confusion, Metric, Spread};

pub use example::{Example, read};
pub use selection::{CandidateEpoch, ClassLogits, EpochSelection};

/// The suite has no items with candidates: it is read by [`read`] and scored by [`score`], task by task.
pub(super) const DEFINITION: Definition = Definition {
    read: |suite, _, _| Err(SuiteError::Finetuned { suite: suite.name() }),
    score: None,
    recluster: |_, _, _| None,
    official: None,
};

/// In nats: on other hardware, two class scores closer than this may be ordered differently.
const NEAR: f64 = 1e-4;

/// The metrics of a task after an epoch, in percent, for a learning curve.
pub fn measures(task: GlueTask, examples: &[Example], classes: &ClassLogits) -> Vec<(&'static str, f64)> {
    let confusion = Confusion::of(task, examples, &classes.predicted());
    Metric::of(task).iter().map(|metric| (metric.name(), metric.value(&confusion))).collect()
}

/// The metric of the last epoch's predictions, recorded if another epoch was chosen.
const OF_LAST_EPOCH: &str = "accuracy-of-last-epoch";

/// Scores the predictions for the rows of the validation file: all metrics of the subtask, then the official accuracy
/// (`subtask: None`), and an outcome for every row.
///
/// `train` are the rows that the floor learns from. `chosen` are the predictions that count. `last` are those of the last
/// epoch, if another one was chosen; their accuracy becomes a further metric. Standard errors treat the rows of one
/// [`Cluster`] together.
pub fn score(
    task: GlueTask,
    mode: Mode,
    train: &[Example],
    valid: &[Example],
    chosen: &ClassLogits,
    last: Option<&ClassLogits>,
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let predicted = chosen.predicted();
    let of = |predicted: &[u32]| Confusion::of(task, valid, predicted);
    let confusion = of(&predicted);
    let constants: Vec<Confusion> = (0..task.classes()).map(|class| of(&vec![class; valid.len()])).collect();
    let by_first_word = of(&floor::first_word(train, valid));
    let margins: Vec<Margin> = chosen.logits().iter().map(|logits| Margin::of(logits)).collect();
    let count = |property: fn(&Margin) -> bool| margins.iter().filter(|margin| property(margin)).count() as u64;
    let clusters: Vec<Cluster> = valid.iter().map(|example| example.cluster(task)).collect();
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
        ties: count(|margin| margin.tie),
        near_ties: count(|margin| margin.near_tie),
        nans: count(|margin| margin.nan),
        unscored: 0,
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

/// Gives outcomes that were recorded without clusters the clusters of their rows, and recomputes the standard errors as
/// [`score`] does. A task whose rows are independent has no standard errors to recompute.
///
/// `valid` are the rows of the validation file. `None` if an outcome belongs to none of them.
pub fn recluster(task: GlueTask, valid: &[Example], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    let (mut rows, mut predicted) = (vec![], vec![]);
    for outcome in outcomes.iter_mut() {
        let row = valid.get(outcome.item as usize).filter(|_| outcome.chosen < task.classes())?;
        outcome.cluster = row.cluster(task);
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
    // The last epoch's predictions for each row are not recorded.
    stderrs.push(stderr(OF_LAST_EPOCH, Some(task.name()), None));
    stderrs.push(stderr(Metric::Accuracy.name(), None, spread.stderr(Metric::Accuracy)));
    Some(stderrs)
}

/// How clearly the greatest class score of one row leads.
struct Margin {
    tie: bool,
    near_tie: bool,
    nan: bool,
}

impl Margin {
    fn of(logits: &[f32]) -> Margin {
        let mut sorted: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        let nan = sorted.iter().any(|logit| logit.is_nan());
        sorted.sort_by(|a, b| b.total_cmp(a));
        Margin { tie: !nan && sorted[0] == sorted[1], near_tie: !nan && sorted[0] - sorted[1] < NEAR, nan }
    }
}

/// The log-probability of each class, in nats.
fn log_probabilities(logits: &[f32]) -> Vec<Option<f64>> {
    let logits: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
    logits.iter().map(|logit| Some(logit - greatest - sum.ln()).filter(|number| number.is_finite())).collect()
}
