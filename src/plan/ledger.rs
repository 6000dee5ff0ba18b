//! The word ledger: how many words of which text each model reads, and whether that is within the budget.
//!
//! | column | meaning |
//! |---|---|
//! | words | words in one pass over a text, including the held-out part (it influences the training through validation) |
//! | seen | the same for all passes |
//! | trained on | words in all passes over the part that is not held out |
//! | text | words of different text, that of teachers included; instruction data made from the files of a corpus adds none |
//!
//! What a teacher has seen does not count as seen by the model that learns from it.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::facts::{Facts, epochs};
use super::planned::{Plan, PlannedJob, Role};
use crate::domain::{Budget, CellKey, Job, JobId, Origin, Training, TuneJob, TunePart, grouped};

/// How much one training stage reads of one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageReading {
    /// The stage: `pretrain tiny`, `tune tiny/chat`.
    pub stage: String,
    /// The text: `corpus speech`, `dataset chat`.
    pub text: String,
    /// Words in one pass.
    pub words: Option<u64>,
    /// Number of passes.
    pub passes: Option<f64>,
    /// Words in all passes.
    pub seen: Option<u64>,
    /// The part of `seen` that is trained on.
    pub trained: Option<u64>,
    /// Whether the text was counted. Otherwise it is not available yet, and the numbers are those that the spec expects.
    pub measured: bool,
}

/// How much the final model of a cell has read; cells that differ only in the seed share one account.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelAccount {
    /// The label of the cell, without its seed.
    pub model: String,
    /// Its stages, in order.
    pub stages: Vec<String>,
    /// Words of different text, repetitions excluded: that of the model and of its teachers.
    pub text: Option<u64>,
    /// Words seen, repetitions included.
    pub seen: Option<u64>,
    /// The part of `seen` that is trained on.
    pub trained: Option<u64>,
    /// Whether all text was counted.
    pub measured: bool,
    /// Whether it starts from or learns from an imported model, whose own training text is unknown.
    pub foreign: bool,
    /// The stages of its teachers.
    #[serde(skip)]
    of_teachers: Vec<String>,
    /// The contribution of each text to `text`, largest first.
    #[serde(skip)]
    sources: Vec<(String, Option<u64>)>,
}

/// The words that an experiment reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    /// One entry for each stage and text.
    pub readings: Vec<StageReading>,
    /// One entry for each model.
    pub accounts: Vec<ModelAccount>,
    /// The budget, if there is one.
    pub budget: Option<Budget>,
}

/// Adds up the words that the models of a plan read.
pub fn ledger(plan: &Plan, facts: &Facts, budget: Option<Budget>) -> Ledger {
    let mut ledger = Ledger { readings: vec![], accounts: vec![], budget };
    for cell in &plan.cells {
        let model = cell.jobs.iter().find(|(_, role)| *role == Role::Model).and_then(|(id, _)| plan.job(id));
        let jobs = model.map_or(vec![], |model| chain(plan, model));
        let teachers = teachers(plan, &jobs);
        for job in jobs.iter().chain(teachers.iter().flatten()) {
            if !ledger.readings.iter().any(|reading| reading.stage == stage(job)) {
                ledger.readings.extend(readings(plan, facts, job));
            }
        }
        let model = without_seed(&cell.key);
        if !ledger.accounts.iter().any(|account| account.model == model) {
            ledger.accounts.push(account(plan, facts, &ledger.readings, model, &jobs, &teachers));
        }
    }
    ledger
}

/// The training jobs that lead to a model, in order.
fn chain<'a>(plan: &'a Plan, model: &'a PlannedJob) -> Vec<&'a PlannedJob> {
    let before = |job: &&PlannedJob| match &job.job {
        Job::Tune(tune) => plan.job(&tune.parent),
        _ => None,
    };
    let mut jobs: Vec<&PlannedJob> = std::iter::successors(Some(model), before).collect();
    jobs.reverse();
    jobs
}

/// The chains of all models that these jobs, and in turn the jobs of these models, learn from.
fn teachers<'a>(plan: &'a Plan, jobs: &[&'a PlannedJob]) -> Vec<Vec<&'a PlannedJob>> {
    let own = jobs.iter().flat_map(|job| job.job.teachers()).filter_map(|id| plan.job(id));
    own.map(|teacher| chain(plan, teacher))
        .flat_map(|chain| {
            let before = teachers(plan, &chain);
            std::iter::once(chain).chain(before)
        })
        .collect()
}

/// Whether a chain starts from a model whose training text is unknown.
fn is_foreign(jobs: &[&PlannedJob]) -> bool {
    !jobs.first().is_some_and(|job| matches!(job.job, Job::Pretrain(_)) && !job.parents.is_empty())
}

fn stage(job: &PlannedJob) -> String {
    format!("{} {}", job.job.kind(), job.group)
}

/// The label of a cell without its seeds: the seed of the pretraining, and the value of an axis over `tune.seed`.
fn without_seed(key: &CellKey) -> String {
    let mut key = key.clone();
    key.extra.remove("tune.seed");
    let label = key.label();
    label.strip_suffix(&format!("/seed{}", key.seed)).map_or(label.clone(), str::to_owned)
}

/// The texts of a training job, each with the number of passes over it in all parts; corpora before datasets.
fn passes(facts: &Facts, job: &Job) -> Vec<(JobId, Option<f64>)> {
    match job {
        Job::Pretrain(pretrain) => {
            let Training { length, batch_size, .. } = pretrain.training;
            let epochs = epochs(length, batch_size, facts.pretrain_epoch(pretrain).rows);
            pretrain.corpora.iter().map(|id| (*id, epochs)).collect()
        }
        Job::Tune(tune) => {
            let parts = tune.parts();
            let corpora = parts.iter().flat_map(|part| passes_over_corpora(facts, tune, part));
            let datasets = parts.iter().flat_map(|part| passes_over_datasets(facts, tune, part));
            let demonstrations = parts.iter().flat_map(|part| passes_over_demonstrations(facts, tune, part));
            let mut all: Vec<(JobId, Option<f64>)> = vec![];
            for (id, passes) in corpora.chain(datasets).chain(demonstrations) {
                match all.iter_mut().find(|(known, _)| *known == id) {
                    Some((_, before)) => *before = before.zip(passes).map(|(before, passes)| before + passes),
                    None => all.push((id, passes)),
                }
            }
            all
        }
        Job::Tokenizer(_)
        | Job::Prepare(_)
        | Job::Import(_)
        | Job::Logprobs(_)
        | Job::Sample(_)
        | Job::Teach(_)
        | Job::Eval(_)
        | Job::Finetune(_) => {
            vec![]
        }
    }
}

fn passes_over_datasets(facts: &Facts, tune: &TuneJob, part: &TunePart) -> Vec<(JobId, Option<f64>)> {
    let epochs = epochs(part.length, tune.training.batch_size, facts.tune_epoch(tune.loss, part).rows);
    let records = |id: &JobId| facts.amounts.get(id).and_then(|amount| amount.train.units);
    let all: Option<u64> = part.datasets.iter().map(records).sum();
    let weights: f64 = part.shares.iter().sum();
    let of_dataset = |(place, id): (usize, &JobId)| {
        let share = match part.shares.get(place) {
            // An epoch has as many rows as all datasets together have records.
            Some(share) => share / weights * all? as f64 / records(id)? as f64,
            None => 1.0,
        };
        Some(epochs? * share)
    };
    part.datasets.iter().enumerate().map(|dataset| (*dataset.1, of_dataset(dataset))).collect()
}

/// The passes over the datasets of demonstrations that these make; an upper limit, because a record has fewer of them
/// if they do not fit into the maximum length, or if too few others have another prompt.
fn passes_over_demonstrations(facts: &Facts, tune: &TuneJob, part: &TunePart) -> Vec<(JobId, Option<f64>)> {
    let Some(shots) = &tune.shots else { return vec![] };
    let records = |id: &JobId| facts.amounts.get(id).and_then(|amount| amount.train.units);
    let of_dataset = |(dataset, passes): (JobId, Option<f64>)| {
        let pool = shots.pool.unwrap_or(dataset);
        let others = records(&pool).map(|records| records.saturating_sub(u64::from(pool == dataset)));
        let passes = passes.zip(records(&dataset)).zip(records(&pool).zip(others));
        let passes = passes.map(|((passes, rows), (records, others))| {
            passes * rows as f64 * others.min(shots.k.into()) as f64 / records.max(1) as f64
        });
        (pool, passes)
    };
    passes_over_datasets(facts, tune, part).into_iter().map(of_dataset).collect()
}

fn passes_over_corpora(facts: &Facts, tune: &TuneJob, part: &TunePart) -> Vec<(JobId, Option<f64>)> {
    let Some(replay) = &part.replay else { return vec![] };
    let epoch = facts.tune_epoch(tune.loss, part);
    let epochs = epochs(part.length, tune.training.batch_size, epoch.rows);
    let text: Option<u64> = replay.corpora.iter().map(|id| facts.amounts.get(id).map(|amount| amount.tokens())).sum();
    let windows = epoch.rows.zip(epoch.units).map(|(rows, records)| rows - records);
    let read = windows.map(|windows| windows * u64::from(replay.sequence_length));
    let share = read.zip(text).map(|(read, text)| read as f64 / text.max(1) as f64);
    let share = epochs.zip(share).map(|(epochs, share)| epochs * share);
    replay.corpora.iter().map(|id| (*id, share)).collect()
}

fn readings(plan: &Plan, facts: &Facts, job: &PlannedJob) -> Vec<StageReading> {
    let reading = |(id, passes): (JobId, Option<f64>)| {
        let text = plan.job(&id)?; // a recorded model is in the plan without its texts
        let amount = facts.amounts.get(&id);
        let times = |words: u64| passes.map(|passes| (words as f64 * passes).round() as u64);
        Some(StageReading {
            stage: stage(job),
            text: text.what(),
            words: amount.map(|amount| amount.whole.words),
            passes,
            seen: amount.and_then(|amount| times(amount.whole.words)),
            trained: amount.and_then(|amount| times(amount.train.words)),
            measured: amount.is_none_or(|amount| amount.measured),
        })
    };
    passes(facts, &job.job).into_iter().filter_map(reading).collect()
}

fn account(
    plan: &Plan,
    facts: &Facts,
    readings: &[StageReading],
    model: String,
    jobs: &[&PlannedJob],
    teachers: &[Vec<&PlannedJob>],
) -> ModelAccount {
    let all = || jobs.iter().chain(teachers.iter().flatten());
    let stages: Vec<String> = jobs.iter().map(|job| stage(job)).collect();
    let known: Vec<String> = all().map(|job| stage(job)).collect();
    let own: Vec<&StageReading> = readings.iter().filter(|reading| stages.contains(&reading.stage)).collect();
    let mut sources: BTreeMap<(&Origin, bool), (String, Option<u64>)> = BTreeMap::new();
    let texts = all().flat_map(|job| passes(facts, &job.job)).filter_map(|(id, _)| plan.job(&id));
    for text in texts {
        let Some((origin, _)) = text.sources.first() else { continue };
        let all = facts.amounts.get(&text.id).map(|amount| amount.whole.words);
        let new = match origin {
            // The prompts are text of the corpus or dataset that they are from.
            Origin::Output { job } => facts.sampled.get(job).map(|count| count.student_words + count.teacher_words),
            _ => text.text.as_ref().and_then(|text| text.new_words),
        };
        // Files that are read both as a corpus and as a dataset count once, unless the spec says otherwise.
        sources.entry((origin, new.is_some())).or_insert_with(|| (text.what(), new.or(all)));
    }
    let mut sources: Vec<(String, Option<u64>)> = sources.into_values().collect();
    sources.sort_by_key(|(_, words)| std::cmp::Reverse(*words));
    ModelAccount {
        model,
        stages,
        text: sources.iter().map(|(_, words)| *words).sum(),
        seen: own.iter().map(|reading| reading.seen).sum(),
        trained: own.iter().map(|reading| reading.trained).sum(),
        measured: readings.iter().filter(|one| known.contains(&one.stage)).all(|reading| reading.measured),
        foreign: is_foreign(jobs) || teachers.iter().any(|chain| is_foreign(chain)),
        of_teachers: teachers.iter().flatten().map(|job| stage(job)).collect(),
        sources,
    }
}

impl Ledger {
    /// The texts whose size is unknown, so that a budget cannot be checked.
    pub fn unknown(&self) -> Vec<&str> {
        let mut unknown: Vec<&str> = self
            .readings
            .iter()
            .filter(|reading| reading.seen.is_none())
            .map(|reading| reading.text.as_str())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// How the model that exceeds the budget most does so; `None` if no model exceeds it.
    pub fn violation(&self) -> Option<String> {
        let budget = self.budget?;
        let beyond = |account: &&ModelAccount| {
            account.text.is_some_and(|words| words > budget.words) || account.seen.is_some_and(|n| n > budget.seen())
        };
        let beyond: Vec<&ModelAccount> = self.accounts.iter().filter(beyond).collect();
        let worst = beyond.iter().rev().max_by_key(|account| (account.seen, account.text))?;
        let mut out = format!("over the budget ({budget})\n");
        // Writing to a String cannot fail.
        let _ = self.explain(&mut out, worst, budget);
        match beyond.len() - 1 {
            0 => {}
            1 => out.push_str("  1 more model exceeds it\n"),
            more => out.push_str(&format!("  {more} more models exceed it\n")),
        }
        out.push_str("  help: train for fewer epochs, on less text, or change `budget`");
        Some(out)
    }

    fn explain(&self, out: &mut String, account: &ModelAccount, budget: Budget) -> std::fmt::Result {
        let number = |n: Option<u64>| n.map_or("?".to_owned(), grouped);
        let model = &account.model;
        if let Some(seen) = account.seen.filter(|seen| *seen > budget.seen()) {
            writeln!(out, "  {model} sees {} words, but {} are allowed:", grouped(seen), grouped(budget.seen()))?;
            for stage in &account.stages {
                let own = self.readings.iter().filter(|reading| reading.stage == *stage);
                writeln!(out, "    {stage}: {}", number(own.map(|reading| reading.seen).sum()))?;
            }
        }
        if let Some(text) = account.text.filter(|text| *text > budget.words) {
            let words = grouped(budget.words);
            writeln!(out, "  {model} has {} words of different text, but {words} are allowed:", grouped(text))?;
            for (text, words) in &account.sources {
                let stages = self.readings.iter().filter(|reading| reading.text == *text);
                let mut stages: Vec<&str> = stages.map(|reading| reading.stage.as_str()).collect();
                stages.retain(|stage| account.stages.iter().chain(&account.of_teachers).any(|own| own == stage));
                writeln!(out, "    {text}, in {}: {}", stages.join(" and "), number(*words))?;
            }
        }
        Ok(())
    }
}
