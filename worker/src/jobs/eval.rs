//! Score a model on a suite.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use grid::data::Tokenizer;
use grid::domain::hugging_face::files::TOKENIZER_CONFIG;
use grid::domain::{
    EvalJob, Event, ItemOutcome, Milestone, Mode, Nan, Score, ScoringBackend, ScoringMethod, ScoringRequest, grouped,
};
use grid::scoring::{self, RequestError, ScoringContext, TextRequests};
use grid::suites::{self, AoaCheckpoint, Candidate, Item, Likelihood};
use rayon::prelude::*;

use super::inputs::Inputs;
use super::milestones::WordMilestone;
use super::scorable::{ModelCache, Scorable};
use super::unscorable_item;
use crate::attempt::{Attempt, JobError};
use crate::ml::{Masking, Scorer};

/// The interval at which progress is written to the journal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Writes `items.jsonl` in the folder of the attempt, and scores in the journal.
pub(super) fn run(
    job: &EvalJob,
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
    cache: &mut ModelCache,
) -> Result<(), JobError> {
    let (items, files) = scoring::read_items(job, |origin| inputs.located(origin))?;
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let evaluation = Evaluation { job, files: &names, items: &items };
    let (scores, outcomes) = match job.test.suite().scoring() {
        ScoringMethod::AgeOfAcquisition => {
            let (score, outcomes) = score_milestones(evaluation, inputs, attempt)?;
            (vec![score], outcomes)
        }
        ScoringMethod::Finetuning => {
            return Err(JobError::failed(format!("{} is scored by jobs of the kind finetune", job.test)));
        }
        ScoringMethod::Choice
        | ScoringMethod::Rank
        | ScoringMethod::ReadingTimes
        | ScoringMethod::BitsPerByte
        | ScoringMethod::Regret => {
            let folder = match job.milestone.filter(|_| job.revisions.is_empty()) {
                Some(milestone) => inputs.milestone(&job.model, milestone)?,
                None => inputs.model(&job.model)?.to_owned(),
            };
            let scorable = cache.get(folder, inputs)?;
            scorable.warn_of_damage(attempt)?;
            scorable.warn_of_release(job.mode.transformers(), attempt)?;
            let tokenizer = scorable.tokenizer(job.mode.transformers())?;
            let likelihoods = evaluation.score_candidates(scorable, &tokenizer, WorkPart::WHOLE, attempt)?;
            let mut likelihoods = likelihoods.into_iter();
            let of_item = |item: &Item| likelihoods.by_ref().take(item.candidates.len()).collect();
            let measured: Vec<Vec<Likelihood>> = items.iter().map(of_item).collect();
            suites::score(&job.test, job.mode, &items, &measured)
        }
    };
    if scores.is_empty() {
        return Err(JobError::failed(format!("{}: no text has a token that can be scored", job.test)));
    }
    attempt.append_items(&outcomes)?;
    for score in scores {
        attempt.emit(Event::Scored(score))?;
    }
    Ok(())
}

/// Scores every milestone of a training that counts words, and the amounts of words at which they have learned each word.
fn score_milestones(
    evaluation: Evaluation<'_>,
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
) -> Result<(Score, Vec<ItemOutcome>), JobError> {
    let Evaluation { job, items, .. } = evaluation;
    // Each with the folder of its model.
    let kept: Vec<(WordMilestone, PathBuf)> = match &job.revisions[..] {
        [] => {
            let kept = inputs.word_milestones(&job.model)?.into_iter();
            let folder = |milestone: WordMilestone| {
                let folder = inputs.milestone(&job.model, Milestone::Words(milestone.words))?;
                Ok((milestone, folder))
            };
            kept.map(folder).collect::<Result<_, JobError>>()?
        }
        revisions => {
            let in_words = revisions.iter().filter_map(|(one, id)| Some((WordMilestone::of(*one)?, id)));
            in_words.map(|(one, id)| Ok((one, inputs.model(id)?.to_owned()))).collect::<Result<_, JobError>>()?
        }
    };
    if kept.len() < 3 {
        return Err(JobError::failed(format!(
            "{} needs at least three milestones in words of the pretraining, but there are {}: add them to \
             `milestones` in `pretrain`, or `revisions` to an imported model",
            job.test,
            kept.len()
        )));
    }
    let (mut pieces, mut vocabulary, mut stages) = (BTreeMap::new(), 0, vec![]);
    for (index, (WordMilestone { words }, folder)) in kept.iter().enumerate() {
        let scorable = Scorable::read(folder, inputs)?;
        let part = WorkPart { index, of: kept.len() };
        let tokenizer = scorable.tokenizer(job.mode.transformers())?;
        let likelihoods = evaluation.score_candidates(&scorable, &tokenizer, part, attempt)?;
        stages.push(AoaCheckpoint { name: Milestone::Words(*words).to_string(), words: *words, likelihoods });
        vocabulary = tokenizer.vocab_size();
        let alone = tokenizer.encode("The")?.len();
        for item in items {
            let within = tokenizer.encode(&format!("The {}", item.subtask))?.len();
            pieces.insert(item.subtask.clone(), within.saturating_sub(alone) as u32);
        }
    }
    Ok(suites::score_checkpoints(job.mode, items, &stages, &pieces, vocabulary))
}

/// How tokens are masked; `None` for the causal backend.
fn masking(backend: ScoringBackend, tokenizer: &Tokenizer) -> Result<Option<Masking>, JobError> {
    match (backend.masks(), tokenizer.mask()) {
        (false, _) => Ok(None),
        (true, Some((_, mask))) => Ok(Some(Masking { mask, backend })),
        (true, None) => Err(JobError::failed(format!(
            "the backend '{backend}' masks tokens, but {TOKENIZER_CONFIG} names no 'mask_token' of the tokenizer"
        ))),
    }
}

/// A part of the work of a job, for its progress.
#[derive(Clone, Copy)]
struct WorkPart {
    index: usize,
    of: usize,
}

impl WorkPart {
    const WHOLE: WorkPart = WorkPart { index: 0, of: 1 };
}

/// What a job evaluates.
#[derive(Clone, Copy)]
struct Evaluation<'a> {
    job: &'a EvalJob,
    /// The names of the evaluation files.
    files: &'a [&'a str],
    items: &'a [Item],
}

impl Evaluation<'_> {
    /// The likelihoods of the candidates of all items, in order. Equal candidates are scored once.
    fn score_candidates(
        self,
        scorable: &Scorable,
        tokenizer: &Tokenizer,
        part: WorkPart,
        attempt: &mut Attempt,
    ) -> Result<Vec<Likelihood>, JobError> {
        let (mut distinct, mut numbers): (Vec<&Candidate>, HashMap<&Candidate, usize>) = (vec![], HashMap::new());
        let number = |candidate| {
            *numbers.entry(candidate).or_insert_with(|| {
                distinct.push(candidate);
                distinct.len() - 1
            })
        };
        let numbers_of_candidates: Vec<usize> =
            self.items.iter().flat_map(|item| &item.candidates).map(number).collect();
        let positions = scorable.model.config().max_positions as usize;
        let mode = self.job.mode;
        let backend = mode.backend.of(scorable.model.config().arch);
        let backend = backend.map_err(|problem| JobError::failed(format!("{}: {problem}", self.job.test)))?;
        let Mode { first_token, masking: span, .. } = mode;
        let context = ScoringContext { tokenizer, first_token, positions, backend, masking: span };
        let texts = distinct.par_iter().map(|candidate| context.requests(candidate));
        let texts: Vec<TextRequests> = texts.collect::<Result<_, RequestError>>()?;
        let scorer = Scorer::new(&scorable.model).with_masking(masking(backend, tokenizer)?);
        for (candidate, text) in distinct.iter().zip(&texts) {
            if let Some(problem) = text.sequences.iter().find_map(|request| scorer.check(request).err()) {
                let Self { job, files, items } = self;
                return Err(unscorable_item::error(&job.test, files, items, candidate, &problem, tokenizer));
            }
        }
        self.warn_of_cuts(&texts, positions, attempt)?;
        if let Some(message) = scoring::loss_warning(&self.job.test, tokenizer, &texts) {
            attempt.emit(Event::Warning { message })?;
        }
        let sizes: Vec<(usize, u64)> = texts.iter().map(|text| (text.sequences.len(), text.bytes)).collect();
        let requests: Vec<ScoringRequest> = texts.into_iter().flat_map(|text| text.sequences).collect();

        let mut scoring = scorer.begin(&requests)?;
        let mut last_progress = Instant::now();
        loop {
            let more = scoring.advance()?;
            if !more || last_progress.elapsed() >= PROGRESS_INTERVAL {
                let (done, total) = scoring.progress();
                let (done, total) = ((part.index * total + done) as u64, (part.of * total) as u64);
                attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
                last_progress = Instant::now();
            }
            if !more {
                break;
            }
            if attempt.stop_requested() {
                return Err(JobError::Interrupted { step: 0 });
            }
        }
        let mut scored = scoring.finish().into_iter();
        let likelihood = |(count, bytes): (usize, u64)| {
            let logprobs: Vec<f32> = scored.by_ref().take(count).flatten().collect();
            Likelihood { sum: logprobs.iter().copied().map(f64::from).sum(), tokens: logprobs.len() as u32, bytes }
        };
        let likelihoods: Vec<Likelihood> = sizes.into_iter().map(likelihood).collect();
        let likelihoods: Vec<Likelihood> =
            numbers_of_candidates.into_iter().map(|number| likelihoods[number]).collect();
        self.check_numbers(&likelihoods, attempt)?;
        Ok(likelihoods)
    }

    /// Warns of texts whose beginning was cut off, as lm-evaluation-harness does.
    fn warn_of_cuts(self, texts: &[TextRequests], positions: usize, attempt: &mut Attempt) -> Result<(), JobError> {
        let cut = texts.iter().filter(|text| text.cut > 0).count();
        if cut == 0 {
            return Ok(());
        }
        let message = format!(
            "{}: {} of {} texts are longer than the {positions} tokens that the model reads; their beginnings were cut off",
            self.job.test,
            grouped(cut as u64),
            grouped(texts.len() as u64)
        );
        attempt.emit(Event::Warning { message })
    }

    /// Warns of log-probabilities that are not a number, and fails if all of them are not, unless the mode lets them win.
    fn check_numbers(self, likelihoods: &[Likelihood], attempt: &mut Attempt) -> Result<(), JobError> {
        let (nans, all) = (likelihoods.iter().filter(|one| one.sum.is_nan()).count(), likelihoods.len());
        if nans == 0 {
            return Ok(());
        }
        let suite = &self.job.test;
        if nans == all && self.job.mode.nan == Nan::Loses {
            return Err(JobError::non_finite(format!(
                "{suite}: the log-probability of every candidate is not a number (NaN), so there is no score; are the \
                 weights of the model damaged?"
            )));
        }
        let message = format!(
            "{suite}: the log-probabilities of {} of {} candidates are not a number (NaN); the score means little",
            grouped(nans as u64),
            grouped(all as u64)
        );
        attempt.emit(Event::Warning { message })
    }
}
