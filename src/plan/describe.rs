//! What `grid plan` prints: counts, savings, models, training stages, words, and the decision on every job.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decide::Decision;
use super::facts::Facts;
use super::forecast::weight;
use super::ledger::{Ledger, ledger};
use super::planned::Plan;
use crate::domain::{Budget, Job, JobId, JobKind, Length, ModelConfig, Suite, TextSize, counted, grouped};

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
    /// The words that the models read.
    pub ledger: Ledger,
    /// What somebody should look at before running it.
    pub warnings: Vec<String>,
    /// Data that were not found.
    pub missing: Vec<MissingLine>,
    /// Every job.
    pub jobs: Vec<JobLine>,
}

/// Jobs of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct KindCount {
    /// Kind.
    pub kind: JobKind,
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
    /// Their share of the arithmetic of all jobs, about; `None` where data are missing.
    pub share: Option<f64>,
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
    /// Model and path of stages: `tiny/chat>questions`; of several parts under one schedule each has a line of its own,
    /// `tiny/chat>>questions (1 of 2)`.
    pub label: String,
    /// The label of the stage that it goes on from.
    pub after: Option<String>,
    /// Jobs (seeds) of this stage.
    pub jobs: usize,
    /// Documents or records per epoch.
    pub units: Option<u64>,
    /// Words per epoch.
    pub words: Option<u64>,
    /// Tokens per epoch.
    pub tokens: Option<u64>,
    /// Whether `tokens` is an estimate, the text not being tokenized yet.
    pub estimated: bool,
    /// Whether the steps of an epoch are an estimate: those of a pretraining follow from its tokens, those of a tuning
    /// from its records.
    pub steps_estimated: bool,
    /// Whether the text was counted; otherwise it is not there, and the spec says what to expect.
    pub measured: bool,
    /// Epochs, or `None` for a fixed number of steps.
    pub epochs: Option<u32>,
    /// Optimiser steps per epoch.
    pub steps_per_epoch: Option<u64>,
    /// Optimiser steps.
    pub steps: Option<u64>,
}

/// Data that were not found.
#[derive(Debug, Clone, Serialize)]
pub struct MissingLine {
    /// Where they were looked for.
    pub location: String,
    /// Where the spec names them, such as `experiments/x.yaml:12:5`.
    pub place: Option<String>,
    /// What needs them: corpora, datasets, suites.
    pub needed_by: Vec<String>,
    /// Where they can be had from, where that is known.
    pub download: Option<&'static str>,
}

/// One job.
#[derive(Debug, Clone, Serialize)]
pub struct JobLine {
    /// Full id.
    pub id: JobId,
    /// Kind.
    pub kind: JobKind,
    /// Name.
    pub label: String,
    /// Its like together: a stage without the seed, or a suite or task whichever model it scores.
    #[serde(skip)]
    pub(super) group: String,
    /// Full ids.
    pub parents: Vec<JobId>,
    /// What to do.
    pub decision: Decision,
    /// Its share of the arithmetic of all jobs, about; `None` where data are missing.
    pub share: Option<f64>,
}

/// Describes a plan.
pub fn describe(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    facts: &Facts,
    budget: Option<Budget>,
) -> Description {
    let decision = |id: &JobId| decisions.get(id).cloned().unwrap_or(Decision::Reuse);
    let missing = missing(plan, facts);
    let all = missing.is_empty().then(|| plan.jobs().map(|job| weight(plan, job, facts)).sum::<f64>());
    let jobs: Vec<JobLine> = plan
        .jobs()
        .map(|job| JobLine {
            id: job.id,
            kind: job.job.kind(),
            label: job.label.clone(),
            group: match job.job.kind() {
                JobKind::Eval | JobKind::Finetune => job.what(),
                _ => job.group.clone(),
            },
            parents: job.parents.clone(),
            decision: decision(&job.id),
            share: all.map(|all| weight(plan, job, facts) / all),
        })
        .collect();
    let kinds = JobKind::ALL.into_iter().filter_map(|kind| {
        let of_kind = || jobs.iter().filter(move |job| job.kind == kind);
        let unshared = plan.jobs().filter(|job| job.job.kind() == kind).map(|job| job.cells).sum();
        (unshared > 0).then(|| KindCount {
            kind,
            jobs: of_kind().count(),
            run: of_kind().filter(|job| matches!(job.decision, Decision::Run(_))).count(),
            reuse: of_kind().filter(|job| job.decision == Decision::Reuse).count(),
            blocked: of_kind().filter(|job| matches!(job.decision, Decision::Blocked(_))).count(),
            unshared,
            share: of_kind().map(|job| job.share).sum(),
        })
    });
    Description {
        experiment: plan.name.clone(),
        cells: plan.cells.len(),
        combinations: plan.combinations,
        jobs_total: jobs.len(),
        jobs_unshared: plan.unshared(),
        kinds: kinds.collect(),
        models: models(plan, facts),
        stages: stages(plan, facts),
        warnings: warnings(plan, facts, budget),
        ledger: ledger(plan, facts, budget),
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
                || plan.job(id).is_some_and(|job| matches!(job.job.kind(), JobKind::Pretrain | JobKind::Import))
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

fn stages(plan: &Plan, facts: &Facts) -> Vec<StageLine> {
    let mut lines: Vec<StageLine> = vec![];
    for job in plan.jobs() {
        let (training, parent) = match &job.job {
            Job::Pretrain(pretrain) => (&pretrain.training, None),
            Job::Tune(tune) => (&tune.training, plan.job(&tune.parent)),
            Job::Tokenizer(_) | Job::Prepare(_) | Job::Import(_) | Job::Eval(_) | Job::Finetune(_) => continue,
        };
        let label = job.group.clone();
        let parts = facts.parts(&job.job);
        let of_part = |place: usize| match parts.len() {
            1 => label.clone(),
            parts => format!("{label} ({} of {parts})", place + 1),
        };
        if let Some(known) = lines.iter().position(|line| line.label == of_part(0)) {
            lines[known..known + parts.len()].iter_mut().for_each(|line| line.jobs += 1);
            continue;
        }
        for (place, (length, epoch)) in parts.iter().enumerate() {
            let per_epoch = epoch.rows.map(|rows| rows.div_ceil(u64::from(training.batch_size)));
            let (epochs, steps) = match length {
                Length::Epochs(epochs) => (Some(*epochs), per_epoch.map(|steps| steps * u64::from(*epochs))),
                Length::Steps(steps) => (None, Some(*steps)),
            };
            lines.push(StageLine {
                label: of_part(place),
                after: match place {
                    0 => parent.map(|parent| parent.group.clone()),
                    place => Some(of_part(place - 1)),
                },
                jobs: 1,
                units: epoch.units,
                words: epoch.words,
                tokens: epoch.tokens,
                estimated: epoch.estimated,
                steps_estimated: epoch.rows_estimated,
                measured: epoch.measured,
                epochs,
                steps_per_epoch: per_epoch,
                steps,
            });
        }
    }
    lines
}

fn missing(plan: &Plan, facts: &Facts) -> Vec<MissingLine> {
    let mut lines: BTreeMap<&str, MissingLine> = BTreeMap::new();
    for job in plan.jobs() {
        for location in job.missing() {
            let line = lines.entry(location).or_insert_with(|| MissingLine {
                location: location.to_owned(),
                place: facts.places.get(location).cloned(),
                needed_by: vec![],
                download: None,
            });
            match &job.job {
                // Whatever it learns from is also prepared, or else stands here alone.
                Job::Tokenizer(_) => continue,
                Job::Eval(eval) => line.download = Some(eval.suite.download()),
                Job::Finetune(_) => line.download = Some(Suite::Glue.download()),
                Job::Prepare(_) | Job::Pretrain(_) | Job::Import(_) | Job::Tune(_) => {}
            }
            if !line.needed_by.contains(&job.what()) {
                line.needed_by.push(job.what());
            }
        }
    }
    lines.into_values().collect()
}

/// What somebody should look at before running a plan: text that is not what the spec expects, and words that the
/// budget cannot be held against.
pub fn warnings(plan: &Plan, facts: &Facts, budget: Option<Budget>) -> Vec<String> {
    let surprise = |(what, found, expected): (String, TextSize, TextSize)| {
        let units = |extent: TextSize| extent.units.map_or(String::new(), |n| format!(" in {}", counted(n, "piece")));
        let (found_units, expected_units) = match expected.units {
            Some(_) => (units(found), units(expected)),
            None => (String::new(), String::new()),
        };
        format!(
            "{what} has {}{found_units}, but the spec expects {}{expected_units}",
            counted(found.words, "word"),
            counted(expected.words, "word")
        )
    };
    let mut warnings: Vec<String> = facts.surprises(plan).into_iter().map(surprise).collect();
    let blank = |(what, blank): (String, u64)| {
        format!(
            "of {what} {} left out: nothing is replied",
            if blank == 1 { "1 record is".to_owned() } else { format!("{} records are", grouped(blank)) }
        )
    };
    warnings.extend(facts.undropped(plan).map(|(label, share)| {
        format!(
            "{label} is trained on without the dropout of {share} that its configuration has: nothing is dropped here"
        )
    }));
    warnings.extend(facts.blank(plan).into_iter().map(blank));
    warnings.extend(facts.unreached(plan).iter().map(|one| one.to_string() + ": train longer, or leave it out"));
    if let Some(budget) = budget {
        let ledger = ledger(plan, facts, Some(budget));
        let unknown = ledger.unknown();
        if !unknown.is_empty() {
            let texts = unknown.join(", ");
            warnings.push(format!(
                "the budget ({budget}) cannot be checked: nobody knows how much there is of {texts}; say so with \
                 `expect: {{words: ...}}`"
            ));
        }
        if ledger.accounts.iter().any(|account| account.foreign) {
            warnings.push("what models from elsewhere have read is not in the ledger".to_owned());
        }
    }
    warnings
}
