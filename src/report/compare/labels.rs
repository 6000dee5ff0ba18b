//! The columns that name a row of a comparison: all axes except the compared one.

use super::super::compared::Label;
use super::super::measure::Condition;
use super::axis::Axis;
use super::pair::Pair;

/// The column of an axis.
#[derive(Clone, Copy)]
pub(super) struct LabelColumn {
    /// The head.
    pub head: &'static str,
    of: fn(&Condition) -> &str,
}

impl LabelColumn {
    /// The values of both sides of a pair on the axis.
    pub(super) fn label(self, pair: &Pair) -> Label {
        let of = |condition: &Condition| (self.of)(condition).to_owned();
        Label { axis: self.head, first: of(&pair.first), second: of(&pair.second) }
    }
}

/// The columns for these pairs. The column of further axes is left out if no pair has any.
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
