//! Cells and scores for the tests of this module.

use crate::domain::{CellRow, Mode, Score, ScoreRow, Suite};

/// A cell with these coordinates.
pub(super) fn cell(model: &str, dataset: Option<&str>, curriculum: &str, seed: u64) -> CellRow {
    CellRow {
        model: model.to_owned(),
        dataset: dataset.map(str::to_owned),
        curriculum: curriculum.to_owned(),
        seed,
        extra: String::new(),
    }
}

/// An accuracy of a cell: an aggregate, or that of a subtask.
pub(super) fn row(cell: &CellRow, suite: Suite, subtask: Option<&str>, value: f64) -> ScoreRow {
    let CellRow { model, dataset, curriculum, seed, extra } = cell;
    let label = format!("{model}/{dataset:?}/{curriculum}/{seed}{extra}");
    ScoreRow {
        experiment: "toy".to_owned(),
        job: format!("{label} {suite}"),
        cell: label,
        model: cell.model.clone(),
        dataset: cell.dataset.clone(),
        curriculum: cell.curriculum.clone(),
        seed: cell.seed,
        extra: cell.extra.clone(),
        score: Score {
            suite,
            task: suite.name().to_owned(),
            subtask: subtask.map(str::to_owned),
            metric: "accuracy".to_owned(),
            value,
            n: 100,
            stderr: Some(2.5),
            chance: Some(50.0),
            floor: Some(48.9),
            ties: 0,
            near_ties: 0,
            nans: 0,
            unscored: 0,
            classes: None,
            mode: Mode::FIXED,
        },
        checkpoint: "final".to_owned(),
        finetune_seed: None,
        data: "world".to_owned(),
    }
}
