//! The labels of the jobs of a plan.

use std::collections::HashMap;

use petgraph::graph::{DiGraph, NodeIndex};

use super::planned::{PlannedCell, PlannedJob};
use crate::domain::{JobId, RecordOrder, Round, Stage, StageDataset, StagePart};

/// The parts of a job's label.
#[derive(Clone)]
pub(super) struct JobName {
    /// The label without seeds.
    pub group: String,
    /// The seed that the job depends on, if any.
    pub seed: Option<u64>,
    /// The value of `tune.seed`, if the job depends on a tuning.
    pub tune_seed: Option<u64>,
}

impl JobName {
    /// The whole label.
    pub(super) fn label(&self) -> String {
        let tuning = self.tune_seed.map_or(String::new(), |seed| format!("/tune.seed={seed}"));
        let seed = self.seed.map_or(String::new(), |seed| format!("/seed{seed}"));
        format!("{}{tuning}{seed}", self.group)
    }

    /// The name of a job that does not depend on a seed.
    pub(super) fn seedless(group: String) -> Self {
        Self { group, seed: None, tune_seed: None }
    }
}

/// The name of a stage: `a+b` shuffled, `a|b` interleaved, `a,b` in turn, `2:a+1:b` weighted, `carried:a+10%text`, and
/// `a>>b` for parts that follow each other under one schedule; in a curriculum with rounds, `a round 3` or `a round 3.2`.
pub(super) fn stage_name(stage: &Stage) -> String {
    let start = if stage.optimizer.is_fresh() { "" } else { "carried:" };
    let parts: Vec<String> = stage.parts().iter().map(part_name).collect();
    let round = match stage.round {
        Some(Round { number, stages: 1, .. }) => format!(" round {}", number + 1),
        Some(Round { number, stage, .. }) => format!(" round {}.{}", number + 1, stage + 1),
        None => String::new(),
    };
    format!("{start}{}{round}", parts.join(">>"))
}

fn part_name(part: &StagePart) -> String {
    let weighted = |(place, dataset): (usize, &StageDataset)| match part.shares.get(place) {
        Some(share) => format!("{share}:{}", dataset.name),
        None => dataset.name.clone(),
    };
    let separator = match part.order {
        RecordOrder::Shuffled => "+",
        RecordOrder::Interleaved => "|",
        RecordOrder::InTurn => ",",
    };
    let datasets = part.datasets.iter().enumerate().map(weighted).collect::<Vec<_>>().join(separator);
    let replay = part.replay.map_or(String::new(), |share| format!("+{:.0}%text", 100.0 * f64::from(share)));
    format!("{datasets}{replay}")
}

/// Makes the labels of each kind unique: by the values of the field axes, or else by the ids.
pub(super) fn distinguish_labels(
    graph: &mut DiGraph<PlannedJob, ()>,
    index: &HashMap<JobId, NodeIndex>,
    cells: &Vec<PlannedCell>,
) {
    let mut extra: HashMap<NodeIndex, String> = HashMap::new();
    for cell in cells {
        let text: Vec<String> = cell.key.extra.iter().map(|(name, value)| format!("{name}={value}")).collect();
        for (id, _) in &cell.jobs {
            extra.entry(index[id]).or_insert_with(|| text.join(", "));
        }
    }
    let ambiguous = |graph: &DiGraph<PlannedJob, ()>| -> Vec<NodeIndex> {
        let mut count: HashMap<(&str, &str), usize> = HashMap::new();
        for job in graph.node_weights() {
            *count.entry((job.job.kind().name(), &job.label)).or_default() += 1;
        }
        graph.node_indices().filter(|n| count[&(graph[*n].job.kind().name(), graph[*n].label.as_str())] > 1).collect()
    };
    for node in ambiguous(graph) {
        if let Some(text) = extra.get(&node).filter(|text| !text.is_empty()) {
            graph[node].label.push_str(&format!(" ({text})"));
            graph[node].group.push_str(&format!(" ({text})"));
        }
    }
    for node in ambiguous(graph) {
        let short = graph[node].id.short();
        graph[node].label.push_str(&format!(" [{short}]"));
        graph[node].group.push_str(&format!(" [{short}]"));
    }
}
