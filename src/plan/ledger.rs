//! The word ledger: how many words of which text each model reads, and whether that is within the budget.
//!
//! | column | meaning |
//! |---|---|
//! | words | words in one pass over a text, including the held-out part (it influences the training through validation) |
//! | seen | the same for all passes |
//! | trained on | words in all passes over the part that is not held out |
//! | text | words of different text: what the model, its teachers and the models that make its data read, what models and teachers write for it, the text of prompts, and that of tokenizers; instruction data made from the files of a corpus adds none |
//!
//! What a teacher has seen does not count as seen by the model that learns from it. Under a budget with byte premiums, `seen`
//! and `text` of a model are in English words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use super::facts::{Facts, epochs};
use super::planned::{Plan, PlannedJob, PreparedText, Role};
use crate::domain::{
    Budget, CellKey, Job, JobId, JobTeacher, Origin, PrepareJob, Prompts, Training, TuneJob, TunePart, grouped,
};

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
    /// `seen` in the words of the budget: as `seen`, or English words.
    #[serde(skip)]
    counted: Option<u64>,
    /// The part of `counted` that is trained on.
    #[serde(skip)]
    counted_in_training: Option<u64>,
    /// Whether the text was counted. Otherwise it is not available yet, and the numbers are those that the spec expects.
    pub measured: bool,
}

/// Why a text counts for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TextRole {
    /// The model reads it.
    Read,
    /// A teacher, or another model that makes data for the model, reads it.
    Teacher,
    /// Models and teachers write it for the model.
    Made,
    /// The prompts of what they write are from it.
    Prompts,
    /// Only the tokenizer of the model, or of another model that counts, is trained on it.
    Tokenizer,
}

impl TextRole {
    /// The name in tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            TextRole::Read => "read",
            TextRole::Teacher => "read by teachers",
            TextRole::Made => "written by models",
            TextRole::Prompts => "prompts",
            TextRole::Tokenizer => "tokenizer alone",
        }
    }
}

/// A text that counts for a model, once however often and by whom it is read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CountedText {
    /// The text: `corpus speech`, `dataset chat`.
    pub text: String,
    /// Why it counts.
    pub role: TextRole,
    /// The words that no other text of the model contains.
    pub words: Option<u64>,
    /// The same in the words of the budget; `None` if they are not known.
    pub counted: Option<u64>,
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
    pub sources: Vec<CountedText>,
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
pub fn ledger(plan: &Plan, facts: &Facts, budget: Option<&Budget>) -> Ledger {
    let mut ledger = Ledger { readings: vec![], accounts: vec![], budget: budget.cloned() };
    let count = Count { plan, facts, budget };
    for cell in &plan.cells {
        let model = cell.jobs.iter().find(|(_, role)| *role == Role::Model).and_then(|(id, _)| plan.job(id));
        let jobs = model.map_or(vec![], |model| chain(plan, model));
        let teachers = teachers(plan, &jobs);
        for job in jobs.iter().chain(teachers.iter().flatten()) {
            if !ledger.readings.iter().any(|reading| reading.stage == stage(job)) {
                ledger.readings.extend(count.readings(job));
            }
        }
        let model = without_seed(&cell.key);
        if !ledger.accounts.iter().any(|account| account.model == model) {
            ledger.accounts.push(count.account(&ledger.readings, model, &jobs, &teachers));
        }
    }
    ledger
}

/// The training jobs that lead to a model, in order.
pub(super) fn chain<'a>(plan: &'a Plan, model: &'a PlannedJob) -> Vec<&'a PlannedJob> {
    let before = |job: &&PlannedJob| match &job.job {
        Job::Tune(tune) => plan.job(&tune.parent),
        _ => None,
    };
    let mut jobs: Vec<&PlannedJob> = std::iter::successors(Some(model), before).collect();
    jobs.reverse();
    jobs
}

/// The chains of all models that these jobs, and in turn the jobs of these models, learn from: teachers, and other models that
/// make their data.
fn teachers<'a>(plan: &'a Plan, jobs: &[&'a PlannedJob]) -> Vec<Vec<&'a PlannedJob>> {
    let makers = samples(plan, jobs).into_iter().filter_map(|made| makers(&made.job));
    let mut own: Vec<JobId> = jobs.iter().flat_map(|job| job.job.teachers().iter().copied()).chain(makers).collect();
    let mut seen: BTreeSet<JobId> = jobs.iter().map(|job| job.id).collect();
    own.retain(|id| seen.insert(*id));
    own.iter()
        .filter_map(|id| plan.job(id))
        .map(|teacher| chain(plan, teacher))
        .flat_map(|chain| {
            let before = teachers(plan, &chain);
            std::iter::once(chain).chain(before)
        })
        .collect()
}

/// The sample and teach jobs that made the data of these jobs, each once.
fn samples<'a>(plan: &'a Plan, jobs: &[&'a PlannedJob]) -> Vec<&'a PlannedJob> {
    let prepared = jobs.iter().flat_map(|job| &job.parents).filter_map(|id| plan.job(id));
    let mut open: Vec<JobId> = prepared.filter_map(made_by).collect();
    let mut all: Vec<&PlannedJob> = vec![];
    while let Some(id) = open.pop() {
        let Some(planned) = plan.job(&id).filter(|planned| !all.iter().any(|known| known.id == planned.id)) else {
            continue;
        };
        all.push(planned);
        match &planned.job {
            Job::Sample(job) => match &job.prompts {
                Prompts::Records { data: Origin::Output { job }, .. } => open.push(*job),
                Prompts::Selected(selected) => {
                    if let Origin::Output { job } = &selected.against {
                        open.push(*job);
                    }
                }
                Prompts::Records { .. } | Prompts::Pieces { .. } => {}
            },
            Job::Teach(job) => open.extend(std::iter::once(job.samples).chain(job.teacher.samples())),
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Pretrain(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Tune(_)
            | Job::Eval(_)
            | Job::Finetune(_) => {}
        }
    }
    all
}

/// The job that made the data of a prepare job, if one did.
fn made_by(prepared: &PlannedJob) -> Option<JobId> {
    match &prepared.job {
        Job::Prepare(PrepareJob { data, .. }) => match data.origin() {
            Origin::Output { job } => Some(*job),
            Origin::World { .. } | Origin::Content { .. } | Origin::Missing { .. } => None,
        },
        _ => None,
    }
}

/// The models that write or score replies in a job.
fn makers(job: &Job) -> Option<JobId> {
    match job {
        Job::Sample(job) => Some(job.model),
        Job::Teach(job) => match &job.teacher {
            JobTeacher::Likelihood { model, .. } => Some(*model),
            JobTeacher::Endpoint(_) | JobTeacher::Samples { .. } => None,
        },
        _ => None,
    }
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

/// What counts the text of a plan.
#[derive(Clone, Copy)]
struct Count<'a> {
    plan: &'a Plan,
    facts: &'a Facts,
    budget: Option<&'a Budget>,
}

/// The texts that count for a model, by their origin, and whether the spec says how many of their words are new.
type Sources<'a> = BTreeMap<(&'a Origin, bool), CountedText>;

impl<'a> Count<'a> {
    /// An amount of text in the words of the budget.
    fn counted(self, language: Option<&str>, words: Option<u64>, bytes: Option<u64>) -> Option<u64> {
        match self.budget.and_then(|budget| budget.premiums.as_ref()) {
            None => words,
            Some(_) if words == Some(0) => words,
            Some(premiums) => premiums.words(language?, bytes?),
        }
    }

    /// A text of which the spec may say how many words are new.
    fn text(
        self,
        text: String,
        role: TextRole,
        prepared: Option<&PreparedText>,
        words: Option<u64>,
        bytes: Option<u64>,
    ) -> CountedText {
        let new = prepared.and_then(|text| text.new_words);
        // New words are taken to be as long as the others.
        let share = new.zip(words).map_or(1.0, |(new, words)| new as f64 / words.max(1) as f64);
        let bytes = bytes.map(|bytes| (bytes as f64 * share).round() as u64);
        let words = new.or(words);
        let language = prepared.and_then(|text| text.language.as_deref());
        CountedText { text, role, words, counted: self.counted(language, words, bytes) }
    }

    fn readings(self, job: &PlannedJob) -> Vec<StageReading> {
        let facts = self.facts;
        let reading = |(id, passes): (JobId, Option<f64>)| {
            let text = self.plan.job(&id)?; // a recorded model is in the plan without its texts
            let amount = facts.amounts.get(&id);
            let times = |words: u64| passes.map(|passes| (words as f64 * passes).round() as u64);
            let words = amount.map(|amount| amount.whole.words);
            let language = text.text.as_ref().and_then(|text| text.language.as_deref());
            let counted = self.counted(language, words, facts.text_bytes.get(&id).copied());
            let trained = amount.map(|amount| amount.train.words as f64 / amount.whole.words.max(1) as f64);
            let in_training = |(counted, share): (u64, f64)| (counted as f64 * share).round() as u64;
            Some(StageReading {
                stage: stage(job),
                text: text.what(),
                words,
                passes,
                seen: words.and_then(times),
                trained: amount.and_then(|amount| times(amount.train.words)),
                counted: counted.and_then(times),
                counted_in_training: counted.zip(trained).map(in_training).and_then(times),
                measured: amount.is_none_or(|amount| amount.measured),
            })
        };
        passes(facts, &job.job).into_iter().filter_map(reading).collect()
    }

    fn account(
        self,
        readings: &[StageReading],
        model: String,
        jobs: &[&'a PlannedJob],
        teachers: &[Vec<&'a PlannedJob>],
    ) -> ModelAccount {
        let all: Vec<&PlannedJob> = jobs.iter().chain(teachers.iter().flatten()).copied().collect();
        let stages: Vec<String> = jobs.iter().map(|job| stage(job)).collect();
        let known: Vec<String> = all.iter().map(|job| stage(job)).collect();
        let own: Vec<&StageReading> = readings.iter().filter(|reading| stages.contains(&reading.stage)).collect();
        let mut sources = Sources::new();
        for (jobs, role) in
            std::iter::once((jobs, TextRole::Read)).chain(teachers.iter().map(|chain| (&chain[..], TextRole::Teacher)))
        {
            for (id, _) in jobs.iter().flat_map(|job| passes(self.facts, &job.job)) {
                self.add_prepared(&mut sources, &id, role);
            }
        }
        for made in samples(self.plan, &all) {
            self.add_prompts(&mut sources, made);
        }
        for job in &all {
            self.add_tokenizer(&mut sources, job);
        }
        let mut sources: Vec<CountedText> = sources.into_values().collect();
        sources.sort_by_key(|text| std::cmp::Reverse(text.counted));
        ModelAccount {
            model,
            stages,
            text: sources.iter().map(|text| text.counted).sum(),
            seen: own.iter().map(|reading| reading.counted).sum(),
            trained: own.iter().map(|reading| reading.counted_in_training).sum(),
            measured: readings.iter().filter(|one| known.contains(&one.stage)).all(|reading| reading.measured),
            foreign: is_foreign(jobs) || teachers.iter().any(|chain| is_foreign(chain)),
            of_teachers: teachers.iter().flatten().map(|job| stage(job)).collect(),
            sources,
        }
    }

    /// Adds the text of a prepare job. Files that are read both as a corpus and as a dataset count once, unless the spec says
    /// otherwise.
    fn add_prepared(self, sources: &mut Sources<'a>, id: &JobId, role: TextRole) {
        let Some(prepared) = self.plan.job(id) else { return };
        let Some((origin, _)) = prepared.sources.first() else { return };
        let words = self.facts.amounts.get(id).map(|amount| amount.whole.words);
        let (is_new, text) = match made_by(prepared) {
            // The prompts are text of the corpus or dataset that they are from.
            Some(job) => {
                let written = self.facts.sampled.get(&job).map(|count| count.student_words + count.teacher_words);
                (written.is_some(), self.text(prepared.what(), TextRole::Made, None, written.or(words), None))
            }
            None => {
                let (text, bytes) = (prepared.text.as_ref(), self.facts.text_bytes.get(id).copied());
                let is_new = text.is_some_and(|text| text.new_words.is_some());
                (is_new, self.text(prepared.what(), role, text, words, bytes))
            }
        };
        sources.entry((origin, is_new)).or_insert(text);
    }

    /// Adds the text that the prompts of a sample job are from.
    fn add_prompts(self, sources: &mut Sources<'a>, made: &'a PlannedJob) {
        let Job::Sample(job) = &made.job else { return };
        match &job.prompts {
            Prompts::Pieces { corpus, .. } => self.add_prepared(sources, corpus, TextRole::Prompts),
            Prompts::Records { data: Origin::Output { .. }, .. } => {} // written by a model
            Prompts::Records { data, .. } => {
                let name = made.text.as_ref().map_or(String::new(), |text| text.name.clone());
                self.add_further(sources, data, format!("dataset {name}"), made.text.as_ref(), TextRole::Prompts);
            }
            Prompts::Selected(selected) => {
                let text = made.text.as_ref();
                let name = text.map_or(String::new(), |text| text.name.clone());
                self.add_further(sources, &selected.corpus, format!("corpus {name}"), text, TextRole::Prompts);
                if !matches!(selected.against, Origin::Output { .. }) {
                    self.add_further(sources, &selected.against, format!("dataset of {name}"), text, TextRole::Prompts);
                }
            }
        }
    }

    /// Adds the text of the tokenizer of a training.
    fn add_tokenizer(self, sources: &mut Sources<'a>, job: &PlannedJob) {
        let Job::Pretrain(pretrain) = &job.job else { return };
        let Some(planned) = self.plan.job(&pretrain.tokenizer) else { return };
        let Job::Tokenizer(tokenizer) = &planned.job else { return };
        let corpora = tokenizer.corpora.iter().map(|(origin, _)| ("corpus", origin));
        let datasets = tokenizer.datasets.iter().map(|(origin, _)| ("dataset", origin));
        for ((kind, origin), text) in corpora.chain(datasets).zip(&planned.tokenizer_texts) {
            let name = format!("{kind} {}", text.name);
            self.add_further(sources, origin, name, Some(text), TextRole::Tokenizer);
        }
    }

    /// Adds a text that no job of the model reads, unless it is one of its texts already.
    fn add_further(
        self,
        sources: &mut Sources<'a>,
        origin: &'a Origin,
        name: String,
        text: Option<&PreparedText>,
        role: TextRole,
    ) {
        if [false, true].iter().any(|is_new| sources.contains_key(&(origin, *is_new))) {
            return;
        }
        let is_same = |job: &&PlannedJob| matches!(&job.job, Job::Prepare(job) if job.data.origin() == origin);
        match self.plan.jobs().find(is_same) {
            Some(prepared) => self.add_prepared(sources, &prepared.id, role),
            None => {
                let amount = self.facts.further_text.get(origin);
                let (words, bytes) = (amount.map(|amount| amount.words), amount.and_then(|amount| amount.bytes));
                let is_new = text.is_some_and(|text| text.new_words.is_some());
                sources.insert((origin, is_new), self.text(name, role, text, words, bytes));
            }
        }
    }
}

impl Ledger {
    /// The texts whose size is unknown, so that a budget cannot be checked.
    pub fn unknown(&self) -> Vec<&str> {
        let mut unknown: Vec<&str> = self
            .readings
            .iter()
            .filter(|reading| reading.counted.is_none())
            .map(|reading| reading.text.as_str())
            .collect();
        let texts = self.accounts.iter().flat_map(|account| &account.sources);
        unknown.extend(texts.filter(|text| text.counted.is_none()).map(|text| text.text.as_str()));
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// How the model that exceeds the budget most does so; `None` if no model exceeds it.
    pub fn violation(&self) -> Option<String> {
        let budget = self.budget.as_ref()?;
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

    fn explain(&self, out: &mut String, account: &ModelAccount, budget: &Budget) -> std::fmt::Result {
        let number = |n: Option<u64>| n.map_or("?".to_owned(), grouped);
        let model = &account.model;
        if let Some(seen) = account.seen.filter(|seen| *seen > budget.seen()) {
            writeln!(out, "  {model} sees {} words, but {} are allowed:", grouped(seen), grouped(budget.seen()))?;
            for stage in &account.stages {
                let own = self.readings.iter().filter(|reading| reading.stage == *stage);
                writeln!(out, "    {stage}: {}", number(own.map(|reading| reading.counted).sum()))?;
            }
        }
        if let Some(text) = account.text.filter(|text| *text > budget.words) {
            let words = grouped(budget.words);
            writeln!(out, "  {model} has {} words of different text, but {words} are allowed:", grouped(text))?;
            for CountedText { text, role, counted, .. } in &account.sources {
                let stages = self.readings.iter().filter(|reading| reading.text == *text);
                let mut stages: Vec<&str> = stages.map(|reading| reading.stage.as_str()).collect();
                stages.retain(|stage| account.stages.iter().chain(&account.of_teachers).any(|own| own == stage));
                let place =
                    if stages.is_empty() { role.name().to_owned() } else { format!("in {}", stages.join(" and ")) };
                writeln!(out, "    {text}, {place}: {}", number(*counted))?;
            }
        }
        Ok(())
    }
}
