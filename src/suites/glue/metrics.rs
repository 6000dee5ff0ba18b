//! Accuracy, F1 and Matthews correlation, with standard errors.

use crate::domain::GlueTask;

use super::Example;

/// How often each class was predicted for each: `counts[label][predicted]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    pub(super) fn of(task: GlueTask, examples: &[Example], predicted: &[u32]) -> Confusion {
        Confusion::of_some(task, examples, predicted, |_| true)
    }

    /// Of the rows whose index passes.
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

    /// Different classes among the predictions.
    pub(super) fn predicted_classes(&self) -> u64 {
        let predicted = |class: &usize| self.counts.iter().any(|row| row[*class] > 0);
        (0..self.counts.len()).filter(predicted).count() as u64
    }
}

/// A number about predictions, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// Share of right predictions.
    Accuracy,
    /// Harmonic mean of precision and recall of class 1; 0 where it is undefined. Two classes only.
    F1,
    /// Matthews correlation; 0 where it is undefined. Two classes only.
    Mcc,
}

impl Metric {
    /// What the official pipeline reports for a task.
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
                // Four roots: the product of all four sums may be too large for an exact one.
                let sums = [tp + fp, tp + fn_, tn + fp, tn + fn_].map(f64::sqrt);
                defined(tp * tn - fp * fn_, sums.iter().product()).clamp(-100.0, 100.0)
            }
        }
    }

    /// Standard error over rows, by the jackknife; of the accuracy it is the usual one. `None` of a single row.
    pub(super) fn stderr(self, confusion: &Confusion) -> Option<f64> {
        let n = confusion.total();
        if n < 2 {
            return None;
        }
        let mut without = vec![];
        for (label, row) in confusion.counts.iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                let mut rest = confusion.clone();
                rest.counts[label][predicted] -= 1;
                without.push((count as f64, self.value(&rest)));
            }
        }
        let n = n as f64;
        let mean = without.iter().map(|(count, value)| count * value).sum::<f64>() / n;
        let squares = without.iter().map(|(count, value)| count * (value - mean).powi(2)).sum::<f64>();
        Some(((n - 1.0) / n * squares).sqrt())
    }
}
