//! The columns that name the condition of a row.

use super::measure::Condition;
use super::seeds::ScoredConditions;
use super::table::Cell;

/// Model, datasets and curriculum, and further axes if any condition has them.
#[derive(Clone, Copy)]
pub(super) struct ConditionColumns {
    has_extra: bool,
}

impl ConditionColumns {
    /// The columns that these lines need.
    pub(super) fn of(lines: &ScoredConditions) -> Self {
        Self { has_extra: lines.iter().any(|line| !line.condition.extra.is_empty()) }
    }

    /// The heads of the columns.
    pub(super) fn heads(self) -> Vec<String> {
        let heads = ["model", "datasets", "curriculum"].into_iter().chain(self.has_extra.then_some("with"));
        heads.map(str::to_owned).collect()
    }

    /// The cells that name a condition.
    pub(super) fn cells(self, condition: &Condition) -> Vec<Cell> {
        let Condition { model, dataset, curriculum, extra } = condition;
        let names = [model.as_str(), dataset.as_deref().unwrap_or_default(), curriculum];
        let names = names.into_iter().chain(self.has_extra.then_some(extra.as_str()));
        names.map(|name| Cell::Label(name.to_owned())).collect()
    }
}
