//! The columns that name a row of a comparison: every axis but the compared one.

use super::super::compared::Label;
use super::super::measure::Condition;
use super::axis::Axis;
use super::pair::Pair;

/// An axis as a column.
#[derive(Clone, Copy)]
pub(super) struct LabelColumn {
    /// Its head.
    pub head: &'static str,
    of: fn(&Condition) -> &str,
}

impl LabelColumn {
    /// What both sides of a pair have on the axis.
    pub(super) fn label(self, pair: &Pair) -> Label {
        let of = |condition: &Condition| (self.of)(condition).to_owned();
        Label { axis: self.head, first: of(&pair.first), second: of(&pair.second) }
    }
}

/// The columns for these pairs; that of further axes only where there are any.
pub(super) fn columns(compared: Axis, pairs: &[Pair]) -> Vec<LabelColumn> {
    let extra = pairs.iter().any(|pair| !pair.first.extra.is_empty() || !pair.second.extra.is_empty());
    let all = [
        (Axis::Model, LabelColumn { head: "model", of: |condition| &condition.model }),
        (
            Axis::Dataset,
            LabelColumn { head: "datasets", of: |condition| condition.dataset.as_deref().unwrap_or_default() },
        ),
        (Axis::Curriculum, LabelColumn { head: "curriculum", of: |condition| &condition.curriculum }),
        (Axis::Extra, LabelColumn { head: "with", of: |condition| &condition.extra }),
    ];
    let shown = all.into_iter().filter(|(axis, _)| *axis != compared && (*axis != Axis::Extra || extra));
    shown.map(|(_, column)| column).collect()
}
