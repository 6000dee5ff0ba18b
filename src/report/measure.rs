//! Conditions and measures: what the rows and the columns of tables are.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{CellRow, Edition, GlueTask, Mode, OwnQuantity, Quantity, ScoreRow, Suite};

/// The prefix of the axis over tuning seeds in [`CellRow::extra`].
const TUNING_SEED: &str = "tune.seed=";

/// A condition: all coordinates of a cell except its seeds.
///
/// `extra` does not include the tuning seed: several tunings of one pretrained model are not independent training runs of
/// the condition. Their scores are averaged within the model seed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Condition {
    pub(super) model: String,
    pub(super) dataset: Option<String>,
    pub(super) curriculum: String,
    pub(super) extra: String,
}

/// A measure: what identifies one number of each model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Measure {
    pub(super) suite: Suite,
    pub(super) task: String,
    pub(super) subtask: Option<String>,
    pub(super) metric: String,
    pub(super) mode: Mode,
}

impl Condition {
    pub(super) fn of_cell(cell: &CellRow) -> Self {
        Self {
            model: cell.model.clone(),
            dataset: cell.dataset.clone(),
            curriculum: cell.curriculum.clone(),
            extra: without_tuning_seed(&cell.extra),
        }
    }

    pub(super) fn of_score(row: &ScoreRow) -> Self {
        Self {
            model: row.model.clone(),
            dataset: row.dataset.clone(),
            curriculum: row.curriculum.clone(),
            extra: without_tuning_seed(&row.extra),
        }
    }
}

impl Measure {
    pub(super) fn of(row: &ScoreRow) -> Self {
        let score = &row.score;
        Self {
            suite: score.suite,
            task: score.task.clone(),
            subtask: score.subtask.clone(),
            metric: score.metric.clone(),
            mode: score.mode,
        }
    }

    /// The quantity that this measure is, if any.
    pub(super) fn quantity(&self) -> Option<Quantity> {
        if self.suite.official_data().is_none() {
            let own = OwnQuantity::new(self.suite, &self.task, &self.metric);
            return self.subtask.is_none().then_some(Quantity::Own(own));
        }
        Quantity::all().find(|quantity| {
            scored_as(*quantity).is_some_and(|id| {
                id.suite == self.suite && id.task == self.task && id.metric == self.metric && self.subtask.is_none()
            })
        })
    }

    /// A head that distinguishes this measure from all others of the table.
    pub(super) fn head(&self, all: &[Measure]) -> String {
        let mut head = self.subtask.as_ref().unwrap_or(&self.task).clone();
        let twins = |same: &dyn Fn(&Measure) -> bool| {
            all.iter()
                .any(|other| other != self && other.task == self.task && other.subtask == self.subtask && same(other))
        };
        if twins(&|other| other.metric != self.metric) {
            head.push_str(&format!(" {}", self.metric));
        }
        if twins(&|other| other.mode != self.mode) {
            head.push_str(&format!(" ({})", self.mode));
        }
        head
    }
}

/// The further axes without the tuning seed.
fn without_tuning_seed(extra: &str) -> String {
    let parts: Vec<&str> = extra.split(", ").filter(|part| !part.starts_with(TUNING_SEED)).collect();
    parts.join(", ")
}

/// Pushes a value unless the list contains it, so that values stay in the order of their first occurrence.
pub(super) fn push_new<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

/// The metric whose scores can be averaged over suites.
pub(super) const ACCURACY: &str = "accuracy";

/// What identifies the scores that a quantity is read from.
struct ScoreId {
    suite: Suite,
    task: &'static str,
    metric: &'static str,
    /// Whether they are official aggregates of the task; otherwise those of a subtask are meant too.
    is_aggregate: bool,
}

impl ScoreId {
    /// The official aggregate of a task.
    fn aggregate(suite: Suite, task: &'static str) -> Self {
        Self { suite, task, metric: suite.scoring().metric(), is_aggregate: true }
    }
}

/// The scores that are this quantity; `None` for a mean.
fn scored_as(quantity: Quantity) -> Option<ScoreId> {
    match quantity {
        Quantity::Suite(suite) => Some(ScoreId::aggregate(suite, suite.name())),
        Quantity::WugAccuracy => {
            let (suite, metric) = (Suite::WugAdj, ACCURACY);
            Some(ScoreId { suite, task: suite.name(), metric, is_aggregate: false })
        }
        Quantity::EyeTracking => Some(ScoreId::aggregate(Suite::Reading, "eye-tracking")),
        Quantity::SelfPaced => Some(ScoreId::aggregate(Suite::Reading, "self-paced")),
        Quantity::Task(task) => Some(ScoreId::aggregate(Suite::Glue, GlueTask::name(task))),
        Quantity::Own(OwnQuantity { suite, name, metric }) => {
            Some(ScoreId { suite, task: name, metric, is_aggregate: true })
        }
        Quantity::Glue
        | Quantity::Reading
        | Quantity::Language
        | Quantity::HumanLikeness
        | Quantity::Macro
        | Quantity::TextAverage => None,
    }
}

/// Whether a score is a value of this quantity; never for a mean.
pub(super) fn is_scored_as(quantity: Quantity, row: &ScoreRow) -> bool {
    scored_as(quantity).is_some_and(|id| {
        let level = row.score.subtask.is_none() || !id.is_aggregate;
        level && row.score.suite == id.suite && row.score.task == id.task && row.score.metric == id.metric
    })
}

/// The modes of these scores, each once.
pub(super) fn modes(scores: &[&ScoreRow]) -> String {
    let mut modes: Vec<String> = vec![];
    scores.iter().for_each(|row| push_new(&mut modes, row.score.mode.to_string()));
    modes.join(", ")
}

/// A note on the modes of the scores; `None` without any mode.
pub(super) fn scored_with(modes: impl IntoIterator<Item = Mode>) -> Option<String> {
    let modes: BTreeSet<Mode> = modes.into_iter().collect();
    let rules = match modes.into_iter().collect::<Vec<_>>()[..] {
        [] => return None,
        [mode @ (Mode::COMPAT | Mode::COMPAT_2026)] => {
            let edition = Edition::ALL.into_iter().find(|edition| edition.mode() == mode);
            let pipeline = edition.map_or("", Edition::pipeline);
            format!("`mode: {mode}` (the official pipeline with its defects: {pipeline})")
        }
        [Mode::FIXED] => "`mode: fixed` (corrected rules)".to_owned(),
        ref modes => {
            let modes: Vec<String> = modes.iter().map(|mode| format!("`mode: {mode}`")).collect();
            modes.join(" and ")
        }
    };
    Some(format!("Scored with {rules}."))
}

/// A note on each official suite with so few items that scores say little, among these scores; for tables whose ± is not the
/// standard error over items.
pub(super) fn wide_intervals<'s>(scores: impl IntoIterator<Item = &'s ScoreRow>) -> Vec<String> {
    const FEW_ITEMS: u64 = 200;
    const WIDE: f64 = 5.0; // points to either side
    let mut widest: BTreeMap<Suite, (u64, f64)> = BTreeMap::new();
    for ScoreRow { score, .. } in scores {
        let is_official = score.suite.official_data().is_some() && score.suite.is_zero_shot();
        let is_whole = is_official && score.subtask.is_none() && score.metric == ACCURACY;
        let half = score.stderr.map(|stderr| 1.96 * stderr);
        if let Some(half) = half.filter(|half| is_whole && score.n <= FEW_ITEMS && *half >= WIDE) {
            let entry = widest.entry(score.suite).or_insert((score.n, half));
            entry.1 = entry.1.max(half);
        }
    }
    let note = |(suite, (items, half)): (Suite, (u64, f64))| {
        format!("{suite} has {items} items: the 95% interval of a score is ± {half:.1} points.")
    };
    widest.into_iter().map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;

    #[test]
    fn few_items_give_a_note_on_the_interval() {
        let of = |suite: Suite, n: u64, stderr: f64| {
            let mut row = row(&cell("tiny", Some("a"), "single", 1), suite, None, 50.0);
            (row.score.n, row.score.stderr) = (n, Some(stderr));
            row
        };
        let rows = [of(Suite::GlobalPiqaParallel, 103, 4.95), of(Suite::GlobalPiqaParallel, 103, 4.9)];
        let others = [of(Suite::Blimp, 13_400, 4.95), of(Suite::GlobalPiqaNonparallel, 100, 1.0)];
        let notes = wide_intervals(rows.iter().chain(&others));
        assert_eq!(notes, ["global-piqa-parallel has 103 items: the 95% interval of a score is ± 9.7 points."]);
    }

    #[test]
    fn compat_names_the_commit_of_the_pipeline() {
        insta::assert_snapshot!(scored_with([Mode::COMPAT_2026]).unwrap(), @"Scored with `mode: compat-2026` (the official pipeline with its defects: babylm-org/babylm-eval at 3d57ddc, collation of 6f825c29).");
    }

    #[test]
    fn tunings_of_one_pretrained_model_are_one_condition() {
        let extra = |extra: &str| {
            let mut cell = cell("tiny", Some("a"), "single", 1);
            extra.clone_into(&mut cell.extra);
            let condition = Condition::of_cell(&cell);
            assert_eq!(condition, Condition::of_score(&row(&cell, Suite::Blimp, None, 50.0)));
            condition.extra
        };
        assert_eq!(extra("tune.seed=1"), "");
        assert_eq!(extra("tune.learning_rate=0.1, tune.seed=12"), "tune.learning_rate=0.1");
        assert_eq!(extra("lr=0.1, tune.seed=12, warmup=5"), "lr=0.1, warmup=5");
        assert_eq!(extra("pretune.seed=3, tune.seeds=4"), "pretune.seed=3, tune.seeds=4");
    }
}
