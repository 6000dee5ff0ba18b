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

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::facts::Facts;
use super::lineage::{chain, is_foreign, made_by, samples, teachers};
use super::passes::passes;
use super::planned::{Plan, PlannedJob, PreparedText, Role};
use crate::domain::{Budget, CellKey, Job, JobId, Origin, Prompts, grouped};

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
