//! The content of `grid plan`: counts, savings, models, training stages, words, and the decision on every job.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decide::Decision;
use super::facts::Facts;
use super::forecast::weight;
use super::ledger::{Ledger, ledger};
use super::planned::{Plan, Role};
use super::sampled::{SampledLine, sampled_lines};
use crate::domain::{
    Budget, Distillation, Job, JobId, JobKind, Length, ModelConfig, PretrainJob, Suite, TextSize, TuneObjective,
    counted, grouped,
};

/// A plan as `grid plan` prints it, as text or JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Description {
    /// The name of the experiment.
    pub experiment: String,
    /// Number of distinct cells.
    pub cells: usize,
    /// Number of combinations of axis values, before equal cells became one.
    pub combinations: usize,
    /// Number of distinct jobs.
    pub jobs_total: usize,
    /// Number of jobs if cells did not share any.
    pub jobs_unshared: usize,
    /// Numbers of jobs by kind.
    pub kinds: Vec<KindCount>,
    /// The models of all cells.
    pub models: Vec<ModelLine>,
    /// The training stages; stages that differ only in the seed are one.
    pub stages: Vec<StageLine>,
    /// The replies of models to prompts.
    pub sampled: Vec<SampledLine>,
    /// How many words the models read.
    pub ledger: Ledger,
    /// The format that each dataset without `format:` was found to have, by name.
    pub detected: BTreeMap<String, String>,
    /// What to check before running the plan.
    pub warnings: Vec<String>,
    /// The data that was not found.
    pub missing: Vec<MissingLine>,
    /// Every job, parents before children.
    pub jobs: Vec<JobLine>,
}

/// The number of jobs of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct KindCount {
    /// The kind.
    pub kind: JobKind,
    /// Number of distinct jobs.
    pub jobs: usize,
    /// Jobs to run.
    pub run: usize,
    /// Jobs whose result is reused.
    pub reuse: usize,
    /// Jobs blocked by missing data.
    pub blocked: usize,
    /// Number of jobs if cells did not share any.
    pub unshared: usize,
    /// Estimated fraction of the floating-point operations of all jobs; `None` if data is missing.
    pub share: Option<f64>,
}

/// One model of the plan.
#[derive(Debug, Clone, Serialize)]
pub struct ModelLine {
    /// Its name on the model axis.
    pub name: String,
    /// Exact number of trainable parameters.
    pub parameters: u64,
    /// Its shape.
    pub config: ModelConfig,
}

/// One training stage of the plan.
#[derive(Debug, Clone, Serialize)]
pub struct StageLine {
    /// The model and the path of stages, `tiny/chat>questions`. If a stage has several parts under one schedule, each part
    /// has its own line: `tiny/chat>>questions (1 of 2)`.
    pub label: String,
    /// The label of the stage that it continues.
    pub after: Option<String>,
    /// What it minimizes, with the parameters.
    pub objective: String,
    /// Number of jobs (seeds) of this stage.
    pub jobs: usize,
    /// Documents or records per epoch.
    pub units: Option<u64>,
    /// Words per epoch.
    pub words: Option<u64>,
    /// Tokens per epoch.
    pub tokens: Option<u64>,
    /// Whether `tokens` is an estimate, because the text is not tokenized yet.
    pub estimated: bool,
    /// Whether `steps_per_epoch` is an estimate; it follows from the tokens of a pretraining, or the records of a tuning.
    pub steps_estimated: bool,
    /// Whether the text was counted. Otherwise it is not available yet, and the numbers are those that the spec expects.
    pub measured: bool,
    /// Epochs, or `None` for a fixed number of steps.
    pub epochs: Option<u32>,
    /// Optimizer steps per epoch.
    pub steps_per_epoch: Option<u64>,
    /// Optimizer steps in all epochs.
    pub steps: Option<u64>,
}

/// Data that was not found.
#[derive(Debug, Clone, Serialize)]
pub struct MissingLine {
    /// Where it was looked for.
    pub location: String,
    /// Where the spec names it, such as `experiments/x.yaml:12:5`.
    pub place: Option<String>,
    /// The corpora, datasets and suites that need it.
    pub needed_by: Vec<String>,
    /// Where to download it, if that is known.
    pub download: Option<&'static str>,
}

/// One job of the plan.
#[derive(Debug, Clone, Serialize)]
pub struct JobLine {
    /// The full id.
    pub id: JobId,
    /// The kind.
    pub kind: JobKind,
    /// The label, unique within its kind.
    pub label: String,
    /// The group of similar jobs: a stage without the seed, or a suite or task for all models.
    #[serde(skip)]
    pub(super) group: String,
    /// The full ids of the jobs that it depends on.
    pub parents: Vec<JobId>,
    /// What a run does about it.
    pub decision: Decision,
    /// Estimated fraction of the floating-point operations of all jobs; `None` if data is missing.
    pub share: Option<f64>,
}

/// Describes a plan for printing.
pub fn describe(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    facts: &Facts,
    budget: Option<&Budget>,
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
        sampled: sampled_lines(plan, facts),
        detected: facts.detected.clone(),
        warnings: warnings(plan, facts, budget),
        ledger: ledger(plan, facts, budget),
        missing,
        jobs,
    }
}

fn models(plan: &Plan, facts: &Facts) -> Vec<ModelLine> {
    let mut lines: Vec<ModelLine> = vec![];
    for cell in &plan.cells {
        let model = cell.jobs.iter().find(|(_, role)| *role == Role::Model);
        if let Some(config) = model.and_then(|(id, _)| facts.model(plan, id))
            && !lines.iter().any(|line| line.name == cell.key.model && line.config == *config)
        {
            let (name, config) = (cell.key.model.clone(), config.clone());
            lines.push(ModelLine { name, parameters: config.parameters(), config });
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
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Eval(_)
            | Job::Finetune(_) => continue,
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
                objective: objective(plan, &job.job),
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

/// What a training minimizes, with the parameters and the teachers; empty for other jobs.
pub(super) fn objective(plan: &Plan, job: &Job) -> String {
    let objective = match job {
        Job::Pretrain(PretrainJob { distillation: None, .. }) => "next token".to_owned(),
        Job::Pretrain(PretrainJob { distillation: Some(Distillation { settings, .. }), .. }) => {
            TuneObjective::Distill(*settings).to_string()
        }
        Job::Tune(tune) => tune.objective.to_string(),
        _ => return String::new(),
    };
    let mut teachers: Vec<&str> =
        job.teachers().iter().filter_map(|id| plan.job(id)).map(|teacher| teacher.group.as_str()).collect();
    teachers.sort_unstable();
    if teachers.is_empty() { objective } else { format!("{objective} from {}", teachers.join(" and ")) }
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
                // Prepare jobs usually need the same data, and are more informative.
                Job::Tokenizer(_) => continue,
                Job::Eval(eval) => line.download = eval.test.suite().official_data().map(|data| data.download),
                Job::Finetune(_) => line.download = Suite::Glue.official_data().map(|data| data.download),
                Job::Prepare(_)
                | Job::Pretrain(_)
                | Job::Import(_)
                | Job::Logprobs(_)
                | Job::Sample(_)
                | Job::Teach(_)
                | Job::Tune(_) => {}
            }
            if !line.needed_by.contains(&job.what()) {
                line.needed_by.push(job.what());
            }
        }
    }
    lines.into_values().collect()
}

/// What to check before running a plan, such as text whose size is not what the spec expects, or a budget that cannot be
/// checked.
pub fn warnings(plan: &Plan, facts: &Facts, budget: Option<&Budget>) -> Vec<String> {
    let unexpected = |(what, found, expected): (String, TextSize, TextSize)| {
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
    let mut warnings: Vec<String> = facts.unexpected_sizes(plan).into_iter().map(unexpected).collect();
    let blank = |(what, blank): (String, u64)| {
        let (records, verb) = (counted(blank, "record"), if blank == 1 { "has" } else { "have" });
        format!("{records} of {what} {verb} no text to train on and will be left out")
    };
    warnings.extend(facts.ignored_dropout(plan).map(|(label, share)| {
        format!(
            "{label} is trained without the dropout of {share} in its configuration; of the trainings of grid, only \
             fine-tuning can have it: `finetune: {{dropout: model}}`"
        )
    }));
    warnings.extend(facts.blank_replies(plan).into_iter().map(blank));
    let without_input = |(what, (count, all)): (String, (u64, Option<u64>))| {
        let records = all.map_or_else(
            || counted(count, "record"),
            |all| format!("{} of {}", grouped(count), counted(all, "record")),
        );
        let (verb, them) = if count == 1 { ("has", "it") } else { ("have", "them") };
        format!("{records} of {what} {verb} no input, so `position: post` changes nothing for {them}")
    };
    warnings.extend(facts.without_input(plan).into_iter().map(without_input));
    warnings
        .extend(facts.unreached(plan).iter().map(|one| one.to_string() + "; train longer, or remove the milestone"));
    if let Some(budget) = budget {
        let ledger = ledger(plan, facts, Some(budget));
        let unknown = ledger.unknown();
        if !unknown.is_empty() {
            let texts = unknown.join(", ");
            warnings.push(format!(
                "the budget ({budget}) cannot be checked, because the size of {texts} is unknown; {}",
                match budget.premiums {
                    None => "add `expect: {words: ...}`",
                    Some(_) =>
                        "its bytes are counted once the data is there, and those of replies that a model makes are not",
                }
            ));
        }
        if ledger.accounts.iter().any(|account| account.foreign) {
            warnings.push("the word ledger does not include the text that imported models were trained on".to_owned());
        }
    }
    warnings
}
