//! The axis that two values are on, and the conditions that differ only on that axis.

use std::collections::BTreeSet;

use super::super::measure::Condition;
use crate::domain::{SINGLE, closest};

/// Why two values cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A value is not on any axis.
    #[error("compare '{value}': no axis has this value{}; the known values are {}",
        .near.as_ref().map_or(String::new(), |near| format!(" (did you mean '{near}'?)")), .known.join(", "))]
    Unknown {
        /// The value.
        value: String,
        /// The most similar known value.
        near: Option<String>,
        /// All values of all axes.
        known: Vec<String>,
    },
    /// The cells of a value have no score.
    #[error("compare '{value}': none of its cells has a score yet")]
    Unscored {
        /// The value.
        value: String,
    },
    /// A value is compared with itself.
    #[error("compare '{value}' with itself: choose two different values")]
    Same {
        /// The value.
        value: String,
    },
    /// The values are on different axes.
    #[error("compare '{first}' with '{second}': they are on different axes")]
    Axes {
        /// The first value.
        first: String,
        /// The second value.
        second: String,
    },
    /// There are no two scored cells that differ only in these values.
    #[error("compare '{first}' with '{second}': no two scored cells differ only in these values")]
    NoPair {
        /// The first value.
        first: String,
        /// The second value.
        second: String,
    },
}

/// What two compared conditions differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Model,
    Dataset,
    Curriculum,
    Extra,
    /// Only the experiment that they belong to.
    Experiment,
}

impl Axis {
    /// The axes whose values can be named, in the order in which they are searched.
    const NAMED: [Axis; 4] = [Axis::Curriculum, Axis::Dataset, Axis::Model, Axis::Extra];

    /// The value of a condition on this axis.
    pub(super) fn of(self, condition: &Condition) -> Option<&str> {
        match self {
            Axis::Model => Some(&condition.model),
            Axis::Dataset => condition.dataset.as_deref(),
            Axis::Curriculum => Some(&condition.curriculum),
            Axis::Extra => Some(condition.extra.as_str()).filter(|extra| !extra.is_empty()),
            Axis::Experiment => None,
        }
    }

    /// Finds the axis that has both values among the planned conditions.
    pub(super) fn with(planned: &[Condition], first: &str, second: &str) -> Result<Self, CompareError> {
        let has = |axis: Axis, value: &str| planned.iter().any(|condition| axis.of(condition) == Some(value));
        if let Some(value) = [first, second].into_iter().find(|value| !Axis::NAMED.iter().any(|axis| has(*axis, value)))
        {
            return Err(unknown(value, planned));
        }
        let different = || CompareError::Axes { first: first.to_owned(), second: second.to_owned() };
        Axis::NAMED.into_iter().find(|axis| has(*axis, first) && has(*axis, second)).ok_or_else(different)
    }

    /// Whether two conditions agree on every other axis.
    ///
    /// When curricula are compared, datasets agree if they are the same set, so that both orders of a sequence are
    /// compared with the same merged model, and a model without tuning is the baseline of every dataset. When datasets are
    /// compared, the curriculum of a single dataset agrees with every curriculum.
    pub(super) fn is_only_difference(self, one: &Condition, other: &Condition) -> bool {
        let names = |condition: &Condition| -> BTreeSet<String> {
            condition.dataset.iter().flat_map(|dataset| dataset.split('+')).map(str::to_owned).collect()
        };
        let datasets = one.dataset == other.dataset
            || (self == Axis::Curriculum
                && (names(one) == names(other) || one.dataset.is_none() || other.dataset.is_none()));
        let single = self == Axis::Dataset && [one, other].iter().any(|condition| condition.curriculum == SINGLE);
        (self == Axis::Model || one.model == other.model)
            && (self == Axis::Dataset || datasets)
            && (self == Axis::Curriculum || one.curriculum == other.curriculum || single)
            && (self == Axis::Extra || one.extra == other.extra)
    }
}

fn unknown(value: &str, conditions: &[Condition]) -> CompareError {
    let mut known: Vec<String> = vec![];
    for axis in Axis::NAMED {
        for condition in conditions {
            if let Some(name) = axis.of(condition).filter(|name| !known.iter().any(|other| other == name)) {
                known.push(name.to_owned());
            }
        }
    }
    let near = closest(value, known.iter().map(String::as_str)).map(str::to_owned);
    CompareError::Unknown { value: value.to_owned(), near, known }
}
