//! What `grid plan` prints: counts, savings, models, training stages, and the decision on every job.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::decide::Decision;
use super::expand::Plan;
use super::facts::{Amount, Facts};
use crate::domain::{Job, JobId, Kind, Length, ModelConfig};

/// Tokens per word assumed before a corpus is tokenized; English byte-level BPE gives 1.2 to 1.6.
pub(super) const TOKENS_PER_WORD: f64 = 1.4;

/// A plan for people and scripts.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// Experiment.
    pub experiment: String,
    /// Distinct cells.
    pub cells: usize,
    /// Combinations of axis values before equal cells collapsed.
    pub combinations: usize,
    /// Distinct jobs.
    pub jobs_total: usize,
    /// Jobs if no two cells shared any.
    pub jobs_unshared: usize,
    /// Counts by kind.
    pub kinds: Vec<KindCount>,
    /// The models.
    pub models: Vec<ModelLine>,
    /// The training stages, those that differ only in the seed as one.
    pub stages: Vec<StageLine>,
    /// Data that were not found.
    pub missing: Vec<String>,
    /// Every job.
    pub jobs: Vec<JobLine>,
}

/// Jobs of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct KindCount {
    /// Kind.
    pub kind: Kind,
    /// Distinct jobs.
    pub jobs: usize,
    /// To run.
    pub run: usize,
    /// To reuse.
    pub reuse: usize,
    /// Blocked by missing data.
    pub blocked: usize,
    /// Jobs if no two cells shared any.
    pub unshared: usize,
}

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelLine {
    /// Name on the model axis.
    pub name: String,
    /// Trainable parameters, exactly.
    pub parameters: u64,
    /// Shape.
    pub config: ModelConfig,
}

/// One training stage.
#[derive(Debug, Clone, Serialize)]
pub struct StageLine {
    /// Model and path of stages: `tiny/chat>questions`.
    pub label: String,
    /// Jobs (seeds) of this stage.
    pub jobs: usize,
    /// Documents or records per epoch.
    pub units: Option<u64>,
    /// Words per epoch.
    pub words: Option<u64>,
    /// Tokens per epoch.
    pub tokens: Option<u64>,
    /// Whether `tokens` and `steps` are estimates, the text not being tokenized yet.
    pub estimated: bool,
    /// Epochs, or `None` for a fixed number of steps.
    pub epochs: Option<u32>,
    /// Optimiser steps.
    pub steps: Option<u64>,
}

/// One job.
#[derive(Debug, Clone, Serialize)]
pub struct JobLine {
    /// Full id.
    pub id: JobId,
    /// Kind.
    pub kind: Kind,
    /// Name.
    pub label: String,
    /// Full ids.
    pub parents: Vec<JobId>,
    /// What to do.
    pub decision: Decision,
}

/// Describes a plan.
pub fn describe(plan: &Plan, decisions: &BTreeMap<JobId, Decision>, facts: &Facts) -> Description {
    let decision = |id: &JobId| decisions.get(id).cloned().unwrap_or(Decision::Reuse);
    let jobs: Vec<JobLine> = plan
        .jobs()
        .map(|job| JobLine {
            id: job.id,
            kind: job.job.kind(),
            label: job.label.clone(),
            parents: job.parents.clone(),
            decision: decision(&job.id),
        })
        .collect();
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let of_kind = || jobs.iter().filter(move |job| job.kind == kind);
        let unshared = plan.jobs().filter(|job| job.job.kind() == kind).map(|job| job.cells).sum();
        (unshared > 0).then(|| KindCount {
            kind,
            jobs: of_kind().count(),
            run: of_kind().filter(|job| matches!(job.decision, Decision::Run(_))).count(),
            reuse: of_kind().filter(|job| job.decision == Decision::Reuse).count(),
            blocked: of_kind().filter(|job| matches!(job.decision, Decision::Blocked(_))).count(),
            unshared,
        })
    });
    let mut missing: Vec<String> = plan.jobs().flat_map(|job| job.missing().map(str::to_owned)).collect();
    missing.sort();
    missing.dedup();
    Description {
        experiment: plan.name.clone(),
        cells: plan.cells.len(),
        combinations: plan.combinations,
        jobs_total: jobs.len(),
        jobs_unshared: plan.unshared(),
        kinds: kinds.collect(),
        models: models(plan, facts),
        stages: stages(plan, &facts.amounts),
        missing,
        jobs,
    }
}

fn models(plan: &Plan, facts: &Facts) -> Vec<ModelLine> {
    let mut lines: Vec<ModelLine> = vec![];
    for cell in &plan.cells {
        // A pretrain or import job, or one that stands in the plan alone.
        let bases = cell.jobs.iter().filter(|(id, _)| {
            facts.models.contains_key(id)
                || plan.job(id).is_some_and(|job| matches!(job.job.kind(), Kind::Pretrain | Kind::Import))
        });
        for config in bases.filter_map(|(id, _)| facts.model(plan, id)) {
            if !lines.iter().any(|line| line.name == cell.key.model && line.config == *config) {
                let (name, config) = (cell.key.model.clone(), config.clone());
                lines.push(ModelLine { name, parameters: config.parameters(), config });
            }
        }
    }
    lines
}

fn stages(plan: &Plan, amounts: &BTreeMap<JobId, Amount>) -> Vec<StageLine> {
    let mut lines: Vec<StageLine> = vec![];
    for job in plan.jobs() {
        let (training, prepared, window) = match &job.job {
            Job::Pretrain(pretrain) => {
                (&pretrain.training, &pretrain.corpora, Some(u64::from(pretrain.sequence_length)))
            }
            Job::Tune(tune) => (&tune.training, &tune.datasets, None),
            Job::Tokenizer(_) | Job::Prepare(_) | Job::Import(_) | Job::Eval(_) | Job::Finetune(_) => continue,
        };
        let known: Option<Vec<Amount>> = prepared.iter().map(|id| amounts.get(id).copied()).collect();
        let sum = |of: fn(&Amount) -> u64| known.as_ref().map(|amounts| amounts.iter().map(of).sum::<u64>());
        let (units, words) = (sum(|amount| amount.units), sum(|amount| amount.words));
        let exact = known.as_ref().and_then(|all| all.iter().map(|amount| amount.tokens).sum::<Option<u64>>());
        let tokens = exact.or(words.map(|words| (words as f64 * TOKENS_PER_WORD) as u64));
        let per_epoch = match window {
            Some(window) => tokens.map(|tokens| tokens / window),
            None => units.map(|records| match &job.job {
                Job::Tune(tune) => tune.rows(records),
                _ => records,
            }),
        }
        .map(|rows| rows.div_ceil(u64::from(training.batch_size)));
        let (epochs, steps) = match training.length {
            Length::Epochs(epochs) => (Some(epochs), per_epoch.map(|steps| steps * u64::from(epochs))),
            Length::Steps(steps) => (None, Some(steps)),
        };
        let label = job.group.clone();
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.jobs += 1,
            None => lines.push(StageLine {
                label,
                jobs: 1,
                units,
                words,
                tokens,
                estimated: exact.is_none() && tokens.is_some(),
                epochs,
                steps,
            }),
        }
    }
    lines
}

impl Description {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        write!(out, "{}: {}", self.experiment, count(self.cells, "cell"))?;
        if self.combinations > self.cells {
            write!(out, " ({} combinations, equal ones collapsed)", self.combinations)?;
        }
        writeln!(out, ", {}; unshared it would be {}\n", count(self.jobs_total, "job"), self.jobs_unshared)?;
        let kinds = self.kinds.iter().map(|kind| {
            vec![
                kind.kind.to_string(),
                kind.jobs.to_string(),
                kind.run.to_string(),
                kind.reuse.to_string(),
                kind.blocked.to_string(),
                (kind.unshared - kind.jobs).to_string(),
            ]
        });
        columns(out, &["kind", "jobs", "run", "reuse", "blocked", "saved by sharing"], 1, kinds)?;
        let models = self.models.iter().map(|ModelLine { name, parameters, config }| {
            vec![
                name.clone(),
                config.arch.name().to_owned(),
                grouped(*parameters),
                config.layers.to_string(),
                config.hidden.to_string(),
                config.heads.to_string(),
                grouped(u64::from(config.vocab_size)),
            ]
        });
        columns(out, &["model", "family", "parameters", "layers", "hidden", "heads", "vocabulary"], 2, models)?;
        let number = |n: Option<u64>| n.map_or("?".to_owned(), grouped);
        let stages = self.stages.iter().map(|stage| {
            let about = |n: Option<u64>| if stage.estimated { format!("~{}", number(n)) } else { number(n) };
            vec![
                stage.label.clone(),
                stage.jobs.to_string(),
                number(stage.units),
                number(stage.words),
                about(stage.tokens),
                stage.epochs.map_or("-".to_owned(), |epochs| epochs.to_string()),
                match stage.epochs {
                    Some(_) => about(stage.steps),
                    None => number(stage.steps),
                },
            ]
        });
        let heads = ["training stage", "jobs", "units/epoch", "words/epoch", "tokens/epoch", "epochs", "steps"];
        columns(out, &heads, 1, stages)?;
        let jobs = self
            .jobs
            .iter()
            .map(|job| vec![job.kind.to_string(), job.id.short(), job.label.clone(), job.decision.to_string()]);
        columns(out, &["job", "id", "what", "decision"], 4, jobs)?;
        for location in &self.missing {
            writeln!(out, "not found: {location}")?;
        }
        Ok(())
    }
}

/// Aligned columns, the first `left` of them to the left, the others to the right; a blank line after.
fn columns(out: &mut String, heads: &[&str], left: usize, rows: impl Iterator<Item = Vec<String>>) -> std::fmt::Result {
    let rows: Vec<Vec<String>> =
        std::iter::once(heads.iter().map(|head| (*head).to_owned()).collect()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = (row.iter().zip(&widths).enumerate())
            .map(|(i, (text, &width))| if i < left { format!("{text:<width$}") } else { format!("{text:>width$}") })
            .collect();
        writeln!(out, "  {}", cells.join("  ").trim_end())?;
    }
    writeln!(out)
}

/// `140231872` is `140,231,872`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 140_231_872].map(grouped), ["0", "999", "1,000", "140,231,872"]);
    }
}
