//! Score a model on a suite.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use grid::data::{self, DataError, Encoding, Tokenizer};
use grid::domain::{Assignment, EvalJob, Event, FirstToken};
use grid::suites::{self, Candidate, Likelihood, Tokenized};
use rayon::prelude::*;

use super::{MILESTONES, Memory, located, parent};
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Model, Scorer, Sequence};

/// How often the journal says where the work stands.
const TELL: Duration = Duration::from_secs(1);

/// A model and its tokenizer.
pub(super) struct Scorable {
    pub(super) model: Model,
    pub(super) tokenizer: Tokenizer,
}

impl Scorable {
    /// Reads a model folder.
    pub(super) fn read(folder: &Path, device: &str) -> Result<Self, JobError> {
        let model = ml::hf::read(folder, ml::runtime::device(device)?)?;
        Ok(Self { model, tokenizer: Tokenizer::load(folder)? })
    }
}

/// Leaves `items.jsonl` in the attempt's folder, and scores in the journal.
pub(super) fn run(
    job: &EvalJob,
    assignment: &Assignment,
    attempt: &mut Attempt,
    memory: &mut Memory,
) -> Result<(), JobError> {
    let files = data::evaluation_files(&located(assignment, &job.data), job.suite)?;
    let items = suites::read(job.suite, job.mode, &files)?;
    let mut folder = parent(assignment, &job.model)?.to_owned();
    if let Some(milestone) = job.milestone {
        folder = folder.join(MILESTONES).join(milestone.to_string());
    }
    if memory.scored.as_ref().is_none_or(|(scored, _)| *scored != folder) {
        memory.scored = None; // frees the one before
        let scorable = Scorable::read(&folder, &assignment.settings.device)?;
        memory.scored = Some((folder, scorable));
    }
    let Some((_, scorable)) = &memory.scored else { unreachable!("loaded above") };

    let likelihoods = score_candidates(scorable, &items, job.mode.first_token, attempt)?;
    let mut likelihoods = likelihoods.into_iter();
    let of_item = |item: &suites::Item| likelihoods.by_ref().take(item.candidates.len()).collect();
    let measured: Vec<Vec<Likelihood>> = items.iter().map(of_item).collect();
    let (scores, outcomes) = suites::score(job.suite, job.mode, &items, &measured);
    attempt.items(&outcomes)?;
    for score in scores {
        attempt.emit(Event::Scored(score))?;
    }
    Ok(())
}

/// Likelihoods of the candidates of all items, one after another; equal ones are computed once.
fn score_candidates(
    scorable: &Scorable,
    items: &[suites::Item],
    first_token: FirstToken,
    attempt: &mut Attempt,
) -> Result<Vec<Likelihood>, JobError> {
    let (mut distinct, mut numbers): (Vec<&Candidate>, HashMap<&Candidate, usize>) = (vec![], HashMap::new());
    let number = |candidate| {
        *numbers.entry(candidate).or_insert_with(|| {
            distinct.push(candidate);
            distinct.len() - 1
        })
    };
    let wanted: Vec<usize> = items.iter().flat_map(|item| &item.candidates).map(number).collect();
    let Scorable { model, tokenizer } = scorable;
    let requests = |candidate: &&Candidate| requests(tokenizer, candidate, first_token);
    let requests: Vec<Vec<Sequence>> = distinct.par_iter().map(requests).collect::<Result<_, DataError>>()?;
    let counts: Vec<usize> = requests.iter().map(Vec::len).collect();
    let sequences: Vec<Sequence> = requests.into_iter().flatten().collect();

    let mut scoring = Scorer::new(model).begin(&sequences)?;
    let mut told = Instant::now();
    loop {
        let more = scoring.advance()?;
        if attempt.stop_requested() {
            return Err(JobError::Interrupted { step: 0 });
        }
        if !more || told.elapsed() >= TELL {
            let (done, total) = scoring.progress();
            let (done, total) = (done as u64, total as u64);
            attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
            told = Instant::now();
        }
        if !more {
            break;
        }
    }
    let mut scored = scoring.finish().into_iter();
    let likelihood = |count: usize| {
        let logprobs: Vec<f32> = scored.by_ref().take(count).flatten().collect();
        Likelihood { sum: logprobs.iter().copied().map(f64::from).sum(), tokens: logprobs.len() as u32 }
    };
    let likelihoods: Vec<Likelihood> = counts.into_iter().map(likelihood).collect();
    Ok(wanted.into_iter().map(|number| likelihoods[number]).collect())
}

/// The sequences whose scored log-probabilities add up to a candidate's score.
fn requests(tokenizer: &Tokenizer, candidate: &Candidate, first_token: FirstToken) -> Result<Vec<Sequence>, DataError> {
    let encode = |text: &str| -> Result<Encoding, DataError> {
        let mut encoding = tokenizer.encode_with_offsets(text, true)?;
        let bare = encoding.offsets.first().is_none_or(|(_, end)| *end > 0);
        if first_token == FirstToken::EndOfText && bare {
            encoding.ids.insert(0, tokenizer.end_of_text()?);
            encoding.offsets.insert(0, (0, 0));
        }
        Ok(encoding)
    };
    match candidate.tokenized {
        Tokenized::Whole => {
            let encoding = encode(&candidate.text)?;
            // A token counts if it ends behind the border; special tokens end at 0 and never do.
            let counts = |(_, end): &(usize, usize)| *end > candidate.scored_from;
            let first = encoding.offsets.iter().position(counts).unwrap_or(encoding.ids.len());
            let last = encoding.offsets.iter().rposition(counts).map_or(first, |last| last + 1);
            Ok(vec![Sequence { ids: encoding.ids, scored: first.max(1)..last.max(first.max(1)) }])
        }
        Tokenized::Piecewise => {
            let mut before = candidate.context().to_owned();
            let mut sequences = vec![];
            for (place, id) in tokenizer.encode(candidate.scored())?.into_iter().enumerate() {
                let text = tokenizer.decode(&[id])?;
                let target = if place == 0 { Some(id) } else { tokenizer.encode(&text)?.first().copied() };
                if let Some(target) = target {
                    let mut ids = encode(&before)?.ids;
                    ids.push(target);
                    sequences.push(Sequence { scored: ids.len() - 1..ids.len(), ids });
                }
                before.push_str(&text);
            }
            Ok(sequences)
        }
    }
}
