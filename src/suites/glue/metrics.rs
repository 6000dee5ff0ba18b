//! Accuracy, F1 and Matthews correlation, with standard errors.

use std::collections::BTreeMap;

use crate::domain::{Cluster, Criterion, GlueTask, Stratum, clustered_stderr};

use super::example::Example;

/// How often each class was predicted for each: `counts[label][predicted]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    pub(super) fn of(task: GlueTask, examples: &[Example], predicted: &[u32]) -> Confusion {
        Confusion::of_some(task, examples, predicted, |_| true)
    }

    /// The same for the rows whose index passes.
    pub(super) fn of_some(
        task: GlueTask,
        examples: &[Example],
        predicted: &[u32],
        rows: impl Fn(usize) -> bool,
    ) -> Confusion {
        assert_eq!(examples.len(), predicted.len(), "one prediction for each row");
        let classes = task.classes() as usize;
        let mut counts = vec![vec![0; classes]; classes];
        for (index, (example, class)) in examples.iter().zip(predicted).enumerate() {
            if rows(index) {
                counts[example.label as usize][*class as usize] += 1;
            }
        }
        Confusion { counts }
    }

    fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// The number of distinct classes among the predictions.
    pub(super) fn predicted_classes(&self) -> u64 {
        let predicted = |class: &usize| self.counts.iter().any(|row| row[*class] > 0);
        (0..self.counts.len()).filter(predicted).count() as u64
    }
}

/// A metric of predictions, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// Fraction of correct predictions.
    Accuracy,
    /// Harmonic mean of precision and recall of class 1; 0 if it is undefined. For two classes only.
    F1,
    /// Matthews correlation; 0 if it is undefined. For two classes only.
    Mcc,
}

impl Metric {
    /// The metrics that the official pipeline reports for a task.
    pub(super) fn of(task: GlueTask) -> &'static [Metric] {
        match task.classes() {
            2 => &[Metric::Accuracy, Metric::F1, Metric::Mcc],
            _ => &[Metric::Accuracy],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::F1 => "f1",
            Metric::Mcc => "mcc",
        }
    }

    pub(super) fn value(self, confusion: &Confusion) -> f64 {
        let defined = |numerator: f64, denominator: f64| match denominator {
            0.0 => 0.0,
            denominator => 100.0 * numerator / denominator,
        };
        let at = |label: usize, predicted: usize| confusion.counts[label][predicted] as f64;
        match self {
            Metric::Accuracy => {
                let right: f64 = (0..confusion.counts.len()).map(|class| at(class, class)).sum();
                defined(right, confusion.total() as f64)
            }
            Metric::F1 => defined(2.0 * at(1, 1), 2.0 * at(1, 1) + at(0, 1) + at(1, 0)),
            Metric::Mcc => {
                let (tp, tn, fp, fn_) = (at(1, 1), at(0, 0), at(0, 1), at(1, 0));
                // The product of all four sums may exceed the integers that f64 represents exactly, so take four roots.
                let sums = [tp + fp, tp + fn_, tn + fp, tn + fn_].map(f64::sqrt);
                defined(tp * tn - fp * fn_, sums.iter().product()).clamp(-100.0, 100.0)
            }
        }
    }
}

/// The data from which the standard errors of some predictions are computed.
pub(super) struct Spread<'a> {
    /// For each row, 100 if it is predicted correctly and otherwise 0, with its cluster.
    right: Vec<(f64, &'a Cluster)>,
    /// The confusion matrix of all rows.
    whole: Confusion,
    /// The confusion matrix of a cluster's rows, and the number of clusters that have it.
    clusters: BTreeMap<Confusion, u64>,
}

impl<'a> Spread<'a> {
    /// `clusters` has the cluster of each row.
    pub(super) fn of(task: GlueTask, examples: &[Example], predicted: &[u32], clusters: &'a [Cluster]) -> Spread<'a> {
        let whole = Confusion::of(task, examples, predicted);
        let empty = Confusion::of_some(task, examples, predicted, |_| false);
        let (mut shared, mut kinds) = (BTreeMap::<&str, Confusion>::new(), BTreeMap::new());
        for ((example, class), cluster) in examples.iter().zip(predicted).zip(clusters) {
            let (label, class) = (example.label as usize, *class as usize);
            match cluster {
                Cluster::Shared(key) => shared.entry(key).or_insert_with(|| empty.clone()).counts[label][class] += 1,
                Cluster::Itself | Cluster::Unknown => {
                    let mut alone = empty.clone();
                    alone.counts[label][class] = 1;
                    *kinds.entry(alone).or_default() += 1;
                }
            }
        }
        for rows in shared.into_values() {
            *kinds.entry(rows).or_default() += 1;
        }
        let right = |((example, class), cluster): ((&Example, &u32), &'a Cluster)| {
            (if example.label == *class { 100.0 } else { 0.0 }, cluster)
        };
        let right = examples.iter().zip(predicted).zip(clusters).map(right).collect();
        Spread { right, whole, clusters: kinds }
    }

    /// The standard error over clusters of rows, in percent; `None` for fewer than two clusters.
    ///
    /// That of the accuracy is [`clustered_stderr`]. F1 and the Matthews correlation are not means, so theirs is the
    /// jackknife that leaves out one cluster at a time:
    /// `SE^2 = (G - 1) / G * sum over clusters c of (value without c - mean of these)^2`. For an accuracy whose rows are
    /// all clusters of their own, both are the same.
    pub(super) fn stderr(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => clustered_stderr(&[Stratum { weight: 1.0, items: self.right.clone() }]),
            Metric::F1 | Metric::Mcc => self.jackknife(metric),
        }
    }

    pub(super) fn jackknife(&self, metric: Metric) -> Option<f64> {
        let clusters = self.clusters.values().sum::<u64>() as f64;
        if clusters < 2.0 {
            return None;
        }
        let without = |(rows, count): (&Confusion, &u64)| {
            let mut rest = self.whole.clone();
            for (rest, rows) in rest.counts.iter_mut().flatten().zip(rows.counts.iter().flatten()) {
                *rest -= rows;
            }
            (*count as f64, metric.value(&rest))
        };
        let without: Vec<(f64, f64)> = self.clusters.iter().map(without).collect();
        let mean = without.iter().map(|(count, value)| count * value).sum::<f64>() / clusters;
        let squares = without.iter().map(|(count, value)| count * (value - mean).powi(2)).sum::<f64>();
        Some(((clusters - 1.0) / clusters * squares).sqrt())
    }
}

/// The metric by which epochs are compared, over the rows whose index passes.
pub(super) fn criterion(task: GlueTask, examples: &[Example], predicted: &[u32], rows: impl Fn(usize) -> bool) -> f64 {
    let confusion = Confusion::of_some(task, examples, predicted, rows);
    match task.criterion() {
        Criterion::Accuracy => Metric::Accuracy.value(&confusion),
        Criterion::F1 => Metric::F1.value(&confusion),
    }
}
