//! What a look at the data has told about the jobs of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::planned::{Plan, PlannedJob};
use crate::domain::{Job, JobId, Length, LossMask, Milestone, ModelConfig, PretrainJob, TextSize, TunePart, counted};

/// Tokens per word assumed before a corpus is tokenized; English byte-level BPE gives 1.2 to 1.6.
pub(super) const TOKENS_PER_WORD: f64 = 1.4;

/// Share of the tokens of a record that are its reply, assumed to forecast how much text is replayed beside it.
const REPLY_SHARE: f64 = 0.5;

/// How much text a prepare job yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextEstimate {
    /// All of it.
    pub whole: TextSize,
    /// The training part.
    pub train: TextSize,
    /// Tokens in the training part; `None` before the job has run.
    pub tokens: Option<u64>,
    /// Whether `train.units` is an estimate: records of whole dialogues or paragraphs are held out, and how many that
    /// are is known once the job has run.
    pub units_estimated: bool,
    /// Whether it was counted. Otherwise it is what the spec expects of text that is not there.
    pub measured: bool,
    /// Records that are left out, as their reply is blank; 0 once the job has run.
    pub blank: u64,
}

impl TextEstimate {
    /// Tokens in the training part, estimated before the job has run.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens.unwrap_or((self.train.words as f64 * TOKENS_PER_WORD) as u64)
    }
}

/// A milestone to which a pretraining does not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    /// Its stage, whatever the seed: `tiny`.
    pub stage: String,
    /// The milestone.
    pub milestone: Milestone,
    /// What the training sees, in the unit of the milestone.
    pub seen: u64,
    /// Whether that is so however the text is prepared; otherwise it is an estimate.
    pub certain: bool,
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stage, milestone, seen, certain } = self;
        let (about, seen) =
            (if *certain { "" } else { "about " }, counted(*seen, milestone.unit().trim_end_matches('s')));
        write!(f, "the milestone of {} lies beyond pretrain {stage}, which sees {about}{seen}", milestone.label())
    }
}

/// What identities do not tell.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The text of the prepare jobs, as far as it is there or its amount is in the spec.
    pub amounts: BTreeMap<JobId, TextEstimate>,
    /// The shapes of the models that import jobs bring, and of those that stand in the plan without their ancestors.
    pub models: BTreeMap<JobId, ModelConfig>,
    /// The dropout with which the models of import jobs are configured to be trained; 0 for none.
    pub dropouts: BTreeMap<JobId, f64>,
    /// Sizes of the files that evaluation and fine-tuning jobs read, in bytes.
    pub bytes: BTreeMap<JobId, u64>,
    /// Where the spec names the data that were not found, by their locations: `experiments/x.yaml:12:5`.
    pub places: BTreeMap<String, String>,
}

/// One epoch of a training job, as far as its text is known.
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
    /// Rows of batches: windows of packed text, or records.
    pub rows: Option<u64>,
    /// Whether `rows` is an estimate.
    pub rows_estimated: bool,
}

impl Facts {
    /// The shape of the model that a job leaves or begins with.
    pub fn model<'a>(&'a self, plan: &'a Plan, id: &JobId) -> Option<&'a ModelConfig> {
        if let Some(model) = self.models.get(id) {
            return Some(model);
        }
        match &plan.job(id)?.job {
            Job::Pretrain(pretrain) => Some(&pretrain.model),
            Job::Import(_) => None,
            Job::Tune(tune) => self.model(plan, &tune.parent),
            Job::Eval(eval) => self.model(plan, &eval.model),
            Job::Finetune(finetune) => self.model(plan, &finetune.model),
            Job::Tokenizer(_) | Job::Prepare(_) => None,
        }
    }

    /// The tuning jobs whose records may be longer than their model from elsewhere can take: label, longest record
    /// and positions. Of models that are trained here the spec has been compared already.
    pub fn too_long<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, u32, u32)> {
        plan.jobs().filter_map(|planned| {
            let Job::Tune(tune) = &planned.job else { return None };
            let positions = self.model(plan, &planned.id)?.max_positions;
            (tune.max_length > positions).then_some((planned.label.as_str(), tune.max_length, positions))
        })
    }

    /// Corpora and datasets that are there and hold nothing.
    pub fn empty(&self, plan: &Plan) -> BTreeSet<String> {
        let nothing =
            |id: &JobId| self.amounts.get(id).is_some_and(|amount| amount.measured && amount.whole.words == 0);
        plan.jobs().filter(|planned| nothing(&planned.id)).map(PlannedJob::what).collect()
    }

    /// The nearest milestone of each pretraining that lies beyond its end, as far as its text is known.
    pub fn unreached(&self, plan: &Plan) -> Vec<Unreached> {
        let mut unreached: Vec<Unreached> = vec![];
        for planned in plan.jobs() {
            let Job::Pretrain(job) = &planned.job else { continue };
            let beyond = job.milestones.iter().find_map(|milestone| {
                let (seen, most) = self.seen(job, *milestone)?;
                let beyond = |end: f64| milestone.count() as f64 > end * (1.0 + Milestone::SHORTFALL);
                let certain = most.is_some_and(beyond);
                let (stage, milestone) = (planned.group.clone(), *milestone);
                beyond(seen).then_some(Unreached { stage, milestone, seen: seen as u64, certain })
            });
            unreached.extend(beyond.filter(|new| unreached.iter().all(|known| known.stage != new.stage)));
        }
        unreached
    }

    /// What a pretraining sees in the unit of a milestone, about, and what it can see at most, where that is known.
    fn seen(&self, job: &PretrainJob, milestone: Milestone) -> Option<(f64, Option<f64>)> {
        let epoch = self.pretrain_epoch(job);
        let (words, tokens) = (epoch.words? as f64, epoch.tokens? as f64);
        let epochs = epochs(job.training.length, job.training.batch_size, epoch.rows)?;
        Some(match (milestone, job.training.length) {
            (Milestone::Words(_), Length::Epochs(_)) => {
                // Before a text is prepared, how much of it is held out is known about.
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

    /// The texts that differ by more than 1 % from what the spec expects of them: what, found, expected.
    pub fn surprises(&self, plan: &Plan) -> Vec<(String, TextSize, TextSize)> {
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

    /// The models from elsewhere that are trained on without the dropout of their configuration: label and share.
    pub(super) fn undropped<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a str, f64)> {
        let trained = |id: &JobId| {
            plan.jobs().any(|job| match &job.job {
                Job::Tune(tune) => tune.parent == *id,
                Job::Finetune(finetune) => finetune.model == *id,
                _ => false,
            })
        };
        let dropouts = self.dropouts.iter().filter(move |(id, share)| **share > 0.0 && trained(id));
        dropouts.filter_map(|(id, share)| Some((plan.job(id)?.label.as_str(), *share)))
    }

    /// Datasets of which records are left out, as their reply is blank: what, and how many.
    pub(super) fn blank(&self, plan: &Plan) -> BTreeMap<String, u64> {
        let blank = |planned: &PlannedJob| Some((planned.what(), self.amounts.get(&planned.id)?.blank));
        plan.jobs().filter_map(blank).filter(|(_, blank)| *blank > 0).collect()
    }

    /// One epoch of each part of the training that a pretrain or tune job does, with its length; none for other jobs.
    pub(super) fn parts(&self, job: &Job) -> Vec<(Length, Epoch)> {
        match job {
            Job::Pretrain(pretrain) => vec![(pretrain.training.length, self.pretrain_epoch(pretrain))],
            Job::Tune(tune) => {
                tune.parts().iter().map(|part| (part.length, self.tune_epoch(tune.loss, part))).collect()
            }
            Job::Tokenizer(_) | Job::Prepare(_) | Job::Import(_) | Job::Eval(_) | Job::Finetune(_) => vec![],
        }
    }

    /// One epoch of a pretraining, whose rows are windows of packed text.
    pub(super) fn pretrain_epoch(&self, job: &PretrainJob) -> Epoch {
        let epoch = self.epoch(&job.corpora);
        let rows = epoch.tokens.map(|tokens| tokens / u64::from(job.sequence_length));
        Epoch { rows, rows_estimated: epoch.estimated, ..epoch }
    }

    /// One epoch of a part of a tuning, whose rows are records and windows of replayed text.
    pub(super) fn tune_epoch(&self, loss: LossMask, part: &TunePart) -> Epoch {
        let epoch = self.epoch(&part.datasets);
        let Some(replay) = &part.replay else { return epoch };
        let share = match loss {
            LossMask::All => 1.0,
            LossMask::Reply => REPLY_SHARE,
        };
        let trained = self.tokens_taken(part).map(|tokens| tokens * share);
        let windows = trained.map(|trained| replay.share.rows(trained, replay.sequence_length));
        let rows = epoch.units.zip(windows).map(|(records, windows)| records + windows);
        Epoch { rows, rows_estimated: true, ..epoch }
    }

    /// Tokens of the records of an epoch of a part, prompts included: of weighted datasets, those of the rows that each
    /// gives.
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

    /// One pass over the texts of these prepare jobs; its rows are its units.
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

/// Epochs of a training, or of a part of one, that has `rows` rows in each; a number of steps may end within an epoch.
pub(super) fn epochs(length: Length, batch_size: u32, rows: Option<u64>) -> Option<f64> {
    match length {
        Length::Epochs(epochs) => Some(f64::from(epochs)),
        Length::Steps(steps) => {
            let rows = rows.filter(|rows| *rows > 0)?;
            Some(steps as f64 * f64::from(batch_size) / rows as f64)
        }
    }
}
