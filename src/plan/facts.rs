//! Facts about the data and models of a plan that the identities of its jobs do not contain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::planned::{Plan, PlannedJob};
use crate::domain::{
    Arch, Job, JobId, Length, LossMask, Milestone, ModelConfig, Origin, PretrainJob, SampledCount, TextSize, TunePart,
    counted,
};

/// Tokens per word, assumed before a corpus is tokenized. English byte-level BPE gives 1.2 to 1.6.
pub(super) const TOKENS_PER_WORD: f64 = 1.4;

/// Fraction of a record's tokens that belong to the reply, assumed to estimate how much text is replayed beside it.
const REPLY_SHARE: f64 = 0.5;

/// How much text a prepare job produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEstimate {
    /// The whole text.
    pub whole: TextSize,
    /// The training part.
    pub train: TextSize,
    /// Tokens in the training part; `None` before the job has run.
    pub tokens: Option<u64>,
    /// Whether `train.units` is an estimate, because whole dialogues or paragraphs are held out; the exact number is known
    /// once the job has run.
    pub units_estimated: bool,
    /// Whether the text was counted. Otherwise it is not available yet, and the sizes are those that the spec expects.
    pub measured: bool,
    /// Records that are left out because they have no text to train on; 0 once the job has run.
    pub blank: u64,
}

impl TextEstimate {
    /// Tokens in the training part, estimated before the job has run.
    pub fn tokens(&self) -> u64 {
        self.tokens.unwrap_or((self.train.words as f64 * TOKENS_PER_WORD) as u64)
    }
}

/// The amount of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextAmount {
    /// Words.
    pub words: u64,
    /// Bytes, if the budget counts them and the text is available.
    pub bytes: Option<u64>,
}

/// The number of prompts of a sample job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptCount {
    /// The number.
    pub count: u64,
    /// Whether it is an estimate, because the text is not tokenized yet.
    pub estimated: bool,
    /// Whether it is an upper limit, because the prompts are not selected yet.
    pub at_most: bool,
}

/// A milestone that a pretraining does not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreachedMilestone {
    /// The stage of the pretraining, without the seed: `tiny`.
    pub stage: String,
    /// The first milestone beyond its end.
    pub milestone: Milestone,
    /// The words or tokens that the training sees, in the unit of the milestone.
    pub seen: u64,
    /// Whether this is certain. Otherwise `seen` is an estimate, because the text is not prepared yet.
    pub certain: bool,
}

impl fmt::Display for UnreachedMilestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, milestone, seen, certain } = self;
        let (about, seen) =
            (if *certain { "" } else { "about " }, counted(*seen, milestone.unit().trim_end_matches('s')));
        write!(f, "pretrain {stage} ends before its milestone of {}: it sees {about}{seen}", milestone.label())
    }
}

/// Facts about the data and models of a plan, by job.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The text of each prepare job, if it is available or the spec says how much to expect.
    pub amounts: BTreeMap<JobId, TextEstimate>,
    /// The bytes of the text of each prepare job, if the budget counts bytes and the text is available.
    pub text_bytes: BTreeMap<JobId, u64>,
    /// The amounts of the texts that tokenizers are trained on or that prompts are from, and that no job prepares.
    pub further_text: BTreeMap<Origin, TextAmount>,
    /// The number of records without input of each prepare job whose dataset has the instruction after the input, if it is
    /// available.
    pub without_input: BTreeMap<JobId, u64>,
    /// The number of prompts of each sample job, if their text is available or the spec says how much to expect.
    pub prompts: BTreeMap<JobId, PromptCount>,
    /// What each finished sample or teach job made.
    pub sampled: BTreeMap<JobId, SampledCount>,
    /// The shapes of imported models, and of recorded models that are in the plan without their ancestors.
    pub models: BTreeMap<JobId, ModelConfig>,
    /// The dropout in the configuration of each imported model; 0 for none.
    pub dropouts: BTreeMap<JobId, f64>,
    /// The size of the files that each evaluation and fine-tuning job reads, in bytes.
    pub bytes: BTreeMap<JobId, u64>,
    /// Where the spec names the data that was not found, by location: `experiments/x.yaml:12:5`.
    pub places: BTreeMap<String, String>,
    /// The format that each dataset without `format:` was found to have, by name.
    pub detected: BTreeMap<String, String>,
}

/// One epoch of a training job; unknown numbers are `None`.
pub(super) struct Epoch {
    /// Documents or records.
    pub units: Option<u64>,
    /// Words.
    pub words: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Whether `tokens` is an estimate.
    pub estimated: bool,
    /// Whether all text was counted; see [`TextEstimate::measured`].
    pub measured: bool,
    /// Rows of all batches: windows of packed text, or records.
    pub rows: Option<u64>,
    /// Whether `rows` is an estimate.
    pub rows_estimated: bool,
}

impl Facts {
    /// The shape of the model that a job produces or scores.
    pub fn model<'a>(&'a self, plan: &'a Plan, id: &JobId) -> Option<&'a ModelConfig> {
        if let Some(model) = self.models.get(id) {
            return Some(model);
        }
        match &plan.job(id)?.job {
            Job::Pretrain(pretrain) => Some(&pretrain.model),
            Job::Import(_) => None,
            Job::Tune(tune) => self.model(plan, &tune.parent),
            Job::Logprobs(logprobs) => self.model(plan, &logprobs.model),
            Job::Sample(sample) => self.model(plan, &sample.model),
            Job::Eval(eval) => self.model(plan, &eval.model),
            Job::Finetune(finetune) => self.model(plan, &finetune.model),
            Job::Tokenizer(_) | Job::Prepare(_) | Job::Teach(_) => None,
        }
    }

    /// The jobs that tune a model of an architecture that is evaluated and fine-tuned only: label and architecture.
    pub fn untrained<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, Arch)> {
        plan.jobs().filter_map(|planned| {
            let trains = matches!(planned.job, Job::Tune(_) | Job::Logprobs(_));
            let arch = self.model(plan, &planned.id).filter(|_| trains)?.arch;
            (!arch.is_trained()).then_some((planned.label.as_str(), arch))
        })
    }

    /// The tuning jobs whose records may be longer than their model can take: label, longest record and positions. The
    /// decoding of the spec already checks this for models that are trained here, so this concerns imported models.
    pub fn too_long<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, u32, u32)> {
        plan.jobs().filter_map(|planned| {
            let Job::Tune(tune) = &planned.job else { return None };
            let positions = self.model(plan, &planned.id)?.max_positions;
            (tune.max_length > positions).then_some((planned.label.as_str(), tune.max_length, positions))
        })
    }

    /// The corpora and datasets that are available but empty.
    pub fn empty(&self, plan: &Plan) -> BTreeSet<String> {
        let nothing =
            |id: &JobId| self.amounts.get(id).is_some_and(|amount| amount.measured && amount.whole.words == 0);
        plan.jobs().filter(|planned| nothing(&planned.id)).map(PlannedJob::what).collect()
    }

    /// The first milestone beyond the end of each pretraining, if its text is known.
    pub fn unreached(&self, plan: &Plan) -> Vec<UnreachedMilestone> {
        let mut unreached: Vec<UnreachedMilestone> = vec![];
        for planned in plan.jobs() {
            let Job::Pretrain(job) = &planned.job else { continue };
            let beyond = job.milestones.iter().find_map(|milestone| {
                let (seen, most) = self.seen(job, *milestone)?;
                let beyond = |end: f64| milestone.count() as f64 > end * (1.0 + Milestone::SHORTFALL);
                let certain = most.is_some_and(beyond);
                let (stage, milestone) = (planned.group.clone(), *milestone);
                beyond(seen).then_some(UnreachedMilestone { stage, milestone, seen: seen as u64, certain })
            });
            unreached.extend(beyond.filter(|new| unreached.iter().all(|known| known.stage != new.stage)));
        }
        unreached
    }

    /// Approximately what a pretraining sees in the unit of a milestone, and an upper bound if one is known.
    fn seen(&self, job: &PretrainJob, milestone: Milestone) -> Option<(f64, Option<f64>)> {
        let epoch = self.pretrain_epoch(job);
        let (words, tokens) = (epoch.words? as f64, epoch.tokens? as f64);
        let epochs = epochs(job.training.length, job.training.batch_size, epoch.rows)?;
        Some(match (milestone, job.training.length) {
            (Milestone::Words(_), Length::Epochs(_)) => {
                // Before a text is prepared, how much of it is held out is an estimate.
                let whole =
                    || job.corpora.iter().filter_map(|id| self.amounts.get(id)).map(|one| one.whole.words).sum();
                let most: u64 = if epoch.estimated { whole() } else { epoch.words? };
                (words * epochs, epoch.measured.then_some(most as f64 * epochs))
            }
            (Milestone::Words(_), Length::Steps(_)) => (words * epochs, None),
            (Milestone::Tokens(_), Length::Epochs(_)) => (tokens * epochs, None),
            (Milestone::Tokens(_), Length::Steps(steps)) => {
                let rows = steps as f64 * f64::from(job.training.batch_size);
                let tokens = rows * f64::from(job.sequence_length + 1);
                (tokens, Some(tokens))
            }
        })
    }

    /// The texts whose size differs by more than 1 % from what the spec expects: name, found, expected.
    pub fn unexpected_sizes(&self, plan: &Plan) -> Vec<(String, TextSize, TextSize)> {
        let mut found: Vec<(String, TextSize, TextSize)> = vec![];
        for planned in plan.jobs() {
            let expected = planned.text.as_ref().and_then(|text| text.expected);
            let amount = self.amounts.get(&planned.id).filter(|amount| amount.measured);
            if let (Some(expected), Some(amount)) = (expected, amount)
                && amount.whole.deviates_from(expected)
                // Every vocabulary prepares the same text.
                && !found.iter().any(|(what, ..)| *what == planned.what())
            {
                found.push((planned.what(), amount.whole, expected));
            }
        }
        found
    }

    /// The imported models whose configuration has dropout and that are trained without it: label and dropout.
    pub(super) fn ignored_dropout<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, f64)> {
        let trained = |id: &JobId| {
            plan.jobs().any(|job| match &job.job {
                Job::Tune(tune) => tune.parent == *id,
                Job::Finetune(finetune) => finetune.model == *id && finetune.recipe.dropout.is_none(),
                _ => false,
            })
        };
        let dropouts = self.dropouts.iter().filter(move |(id, share)| **share > 0.0 && trained(id));
        dropouts.filter_map(|(id, share)| Some((plan.job(id)?.label.as_str(), *share)))
    }

    /// The datasets of which records are left out because they have no text to train on: name and number of records.
    pub(super) fn blank_replies(&self, plan: &Plan) -> BTreeMap<String, u64> {
        let blank = |planned: &PlannedJob| Some((planned.what(), self.amounts.get(&planned.id)?.blank));
        plan.jobs().filter_map(blank).filter(|(_, blank)| *blank > 0).collect()
    }

    /// The datasets in which `position: post` does not change all records: name, number of records without input, and number
    /// of all records if it is known.
    pub(super) fn without_input(&self, plan: &Plan) -> BTreeMap<String, (u64, Option<u64>)> {
        let counts = self.without_input.iter().filter(|(_, count)| **count > 0);
        let all = |id: &JobId| self.amounts.get(id).and_then(|amount| amount.whole.units);
        counts.filter_map(|(id, count)| Some((plan.job(id)?.what(), (*count, all(id))))).collect()
    }

    /// Length and epoch of each part of the training of a pretrain or tune job; empty for other jobs.
    pub(super) fn parts(&self, job: &Job) -> Vec<(Length, Epoch)> {
        match job {
            Job::Pretrain(pretrain) => vec![(pretrain.training.length, self.pretrain_epoch(pretrain))],
            Job::Tune(tune) => {
                tune.parts().iter().map(|part| (part.length, self.tune_epoch(tune.loss, part))).collect()
            }
            Job::Tokenizer(_)
            | Job::Prepare(_)
            | Job::Import(_)
            | Job::Logprobs(_)
            | Job::Sample(_)
            | Job::Teach(_)
            | Job::Eval(_)
            | Job::Finetune(_) => vec![],
        }
    }

    /// One epoch of a pretraining; its rows are windows of packed text.
    pub(super) fn pretrain_epoch(&self, job: &PretrainJob) -> Epoch {
        let epoch = self.epoch(&job.corpora);
        let rows = epoch.tokens.map(|tokens| tokens / u64::from(job.sequence_length));
        Epoch { rows, rows_estimated: epoch.estimated, ..epoch }
    }

    /// One epoch of a part of a tuning; its rows are records and windows of replayed text.
    pub(super) fn tune_epoch(&self, loss: LossMask, part: &TunePart) -> Epoch {
        let epoch = self.epoch(&part.datasets);
        let Some(replay) = &part.replay else { return epoch };
        let share = match loss {
            LossMask::All | LossMask::Instruction => 1.0,
            LossMask::Reply => REPLY_SHARE,
        };
        let trained = self.tokens_taken(part).map(|tokens| tokens * share);
        let windows = trained.map(|trained| replay.share.rows(trained, replay.sequence_length));
        let rows = epoch.units.zip(windows).map(|(records, windows)| records + windows);
        Epoch { rows, rows_estimated: true, ..epoch }
    }

    /// Tokens of the records of an epoch of a part, including prompts. A weighted dataset contributes the rows that its
    /// weight gives.
    fn tokens_taken(&self, part: &TunePart) -> Option<f64> {
        let amounts: Vec<&TextEstimate> = part.datasets.iter().map(|id| self.amounts.get(id)).collect::<Option<_>>()?;
        if part.shares.is_empty() {
            return Some(amounts.iter().map(|amount| amount.tokens() as f64).sum());
        }
        let records: u64 = amounts.iter().map(|amount| amount.train.units).sum::<Option<u64>>()?;
        let weights: f64 = part.shares.iter().sum();
        let tokens = |(amount, share): (&&TextEstimate, &f64)| {
            let rows = records as f64 * share / weights;
            Some(rows * amount.tokens() as f64 / amount.train.units?.max(1) as f64)
        };
        amounts.iter().zip(&part.shares).map(tokens).sum()
    }

    /// One pass over the texts of these prepare jobs; its rows are documents or records.
    fn epoch(&self, prepared: &[JobId]) -> Epoch {
        let known: Option<Vec<&TextEstimate>> = prepared.iter().map(|id| self.amounts.get(id)).collect();
        let all = || known.iter().flatten();
        let units: Option<u64> = all().map(|amount| amount.train.units).sum();
        let units = units.filter(|_| known.is_some());
        Epoch {
            units,
            words: known.as_ref().map(|all| all.iter().map(|amount| amount.train.words).sum()),
            tokens: known.as_ref().map(|all| all.iter().map(|amount| amount.tokens()).sum::<u64>()),
            estimated: all().any(|amount| amount.tokens.is_none()),
            measured: all().all(|amount| amount.measured),
            rows: units,
            rows_estimated: all().any(|amount| amount.units_estimated),
        }
    }
}

/// Epochs of a training, or of a part of one, with `rows` rows per epoch. A fixed number of steps may end within an epoch.
pub(super) fn epochs(length: Length, batch_size: u32, rows: Option<u64>) -> Option<f64> {
    match length {
        Length::Epochs(epochs) => Some(f64::from(epochs)),
        Length::Steps(steps) => {
            let rows = rows.filter(|rows| *rows > 0)?;
            Some(steps as f64 * f64::from(batch_size) / rows as f64)
        }
    }
}
