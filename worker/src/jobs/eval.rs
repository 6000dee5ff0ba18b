//! Score a model on a suite.

use std::collections::HashMap;
use std::path::Path;

use grid::data::{self, DataError, Encoding, Tokenizer};
use grid::domain::{Assignment, EvalJob, Event, FirstToken};
use grid::suites::{self, Candidate, Likelihood, Tokenized};

use super::{Memory, located, parent};
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Model, Scorer, Sequence};

/// Requests of one call to the model: enough to sort by length, few enough to report progress.
const CHUNK: usize = 4096;

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
    if memory.scored.as_ref().is_none_or(|(id, _)| *id != job.model) {
        memory.scored = None; // frees the one before
        let scorable = Scorable::read(parent(assignment, &job.model)?, &assignment.settings.device)?;
        memory.scored = Some((job.model, scorable));
    }
    let Some((_, scorable)) = &memory.scored else { unreachable!("loaded above") };

    let candidates: Vec<&Candidate> = items.iter().flat_map(|item| &item.candidates).collect();
    let mut likelihoods = vec![];
    for chunk in candidates.chunks(CHUNK) {
        if attempt.stop_requested() {
            return Err(JobError::Interrupted { step: 0 });
        }
        likelihoods.extend(score_candidates(scorable, chunk, job.mode.first_token)?);
        let (done, total) = (likelihoods.len() as u64, candidates.len() as u64);
        attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
    }
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

/// Likelihoods of candidates, in nats. Equal candidates are computed once.
fn score_candidates(
    scorable: &Scorable,
    candidates: &[&Candidate],
    first_token: FirstToken,
) -> Result<Vec<Likelihood>, JobError> {
    let mut distinct: HashMap<&Candidate, usize> = HashMap::new();
    let (mut sequences, mut owner) = (vec![], vec![]);
    for candidate in candidates {
        let number = distinct.len();
        if distinct.contains_key(candidate) {
            continue;
        }
        distinct.insert(candidate, number);
        for sequence in requests(&scorable.tokenizer, candidate, first_token)? {
            sequences.push(sequence);
            owner.push(number);
        }
    }
    let mut likelihoods = vec![Likelihood { sum: 0.0, tokens: 0 }; distinct.len()];
    let logprobs = Scorer::new(&scorable.model).logprobs(&sequences)?;
    for ((number, sequence), logprob) in owner.into_iter().zip(&sequences).zip(logprobs) {
        likelihoods[number].sum += logprob;
        likelihoods[number].tokens += sequence.scored.len() as u32;
    }
    Ok(candidates.iter().map(|candidate| likelihoods[distinct[candidate]]).collect())
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
