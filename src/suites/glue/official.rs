//! The official result files of the fine-tuning tasks.

use serde_json::{Value, json};

use super::super::official::result_file::ResultFile;
use crate::domain::{Gap, GlueTask, ItemOutcome, Score, Suite};

/// The files of a fine-tuning: predicted classes, and the metrics as fractions.
pub fn files(task: GlueTask, outcomes: &[ItemOutcome], scores: &[&Score]) -> Vec<ResultFile> {
    let file = |name: &str, text: String| ResultFile { path: format!("finetune/{task}/{name}"), text };
    let metrics = ["accuracy", "f1", "mcc"].iter().filter_map(|metric| {
        let score = scores.iter().find(|score| score.subtask.is_some() && score.metric == *metric)?;
        Some(format!("{metric}: {}", score.value / 100.0))
    });
    let metrics: Vec<String> = metrics.collect();
    vec![file("predictions.json", predictions(task, outcomes).to_string()), file("results.txt", metrics.join("\n"))]
}

/// The object in `predictions.json` of a fine-tuning.
pub fn predictions(task: GlueTask, outcomes: &[ItemOutcome]) -> Value {
    let row = |outcome: &ItemOutcome| json!({"id": format!("{task}_{}", outcome.item), "pred": outcome.chosen});
    let rows: Vec<Value> = outcomes.iter().map(row).collect();
    json!({task.name(): {"predictions": rows}})
}

/// The difference between the number of predictions of a fine-tuning and the official one, if there is one.
pub fn problems(task: GlueTask, outcomes: &[ItemOutcome]) -> Option<Gap> {
    let wanted = match task {
        GlueTask::Boolq => 1_635,
        GlueTask::Mnli => 4_908,
        GlueTask::Mrpc => 204,
        GlueTask::Multirc => 2_424,
        GlueTask::Qqp => 20_215,
        GlueTask::Rte => 139,
        GlueTask::Wsc => 52,
    };
    let found = outcomes.len();
    let reason = || format!("{task} has {found} predictions instead of {wanted}");
    (found != wanted).then(|| Gap::new(Suite::Glue.name(), reason()))
}
