//! Score a model on a suite.

use std::collections::HashMap;

use grid::data::{self, DataError, Tokenizer};
use grid::domain::{Assignment, EvalJob, Event};
use grid::suites::{self, Candidate, Tokenized};

use super::{Memory, TOKENIZER, located, parent};
use crate::attempt::{Attempt, JobError};
use crate::ml::{self, Model, Scorer, Sequence};

/// Requests of one call to the model: enough to sort by length, few enough to report progress.
const CHUNK: usize = 4096;

/// A model and its tokenizer.
pub(super) struct Scorable {
    model: Model,
    tokenizer: Tokenizer,
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
        let folder = parent(assignment, &job.model)?;
        let model = ml::hf::read(folder, ml::runtime::device(&assignment.settings.device)?)?;
        let tokenizer = Tokenizer::load(&folder.join(TOKENIZER))?;
        memory.scored = Some((job.model, Scorable { model, tokenizer }));
    }
    let Some((_, scorable)) = &memory.scored else { unreachable!("loaded above") };

    let candidates: Vec<&Candidate> = items.iter().flat_map(|item| &item.candidates).collect();
    let mut sums = vec![];
    for chunk in candidates.chunks(CHUNK) {
        if attempt.stop_requested() {
            return Err(JobError::Interrupted { step: 0 });
        }
        sums.extend(score_candidates(scorable, chunk)?);
        let (done, total) = (sums.len() as u64, candidates.len() as u64);
        attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
    }
    let mut sums = sums.into_iter();
    let sums: Vec<Vec<f64>> = items.iter().map(|item| sums.by_ref().take(item.candidates.len()).collect()).collect();
    let (scores, outcomes) = suites::score(job.suite, job.mode, &items, &sums);
    attempt.items(&outcomes)?;
    for score in scores {
        attempt.emit(Event::Scored(score))?;
    }
    Ok(())
}

/// Log-probability sums of candidates, in nats. Equal candidates are computed once.
fn score_candidates(scorable: &Scorable, candidates: &[&Candidate]) -> Result<Vec<f64>, JobError> {
    let mut distinct: HashMap<&Candidate, usize> = HashMap::new();
    let (mut sequences, mut owner) = (vec![], vec![]);
    for candidate in candidates {
        let number = distinct.len();
        if distinct.contains_key(candidate) {
            continue;
        }
        distinct.insert(candidate, number);
        for sequence in requests(&scorable.tokenizer, candidate)? {
            sequences.push(sequence);
            owner.push(number);
        }
    }
    let mut sums = vec![0.0; distinct.len()];
    for (number, logprob) in owner.into_iter().zip(Scorer::new(&scorable.model).logprobs(&sequences)?) {
        sums[number] += logprob;
    }
    Ok(candidates.iter().map(|candidate| sums[distinct[candidate]]).collect())
}

/// The sequences whose scored log-probabilities add up to a candidate's score.
fn requests(tokenizer: &Tokenizer, candidate: &Candidate) -> Result<Vec<Sequence>, DataError> {
    match candidate.tokenized {
        Tokenized::Whole => {
            let encoding = tokenizer.encode_with_offsets(&candidate.text, true)?;
            // A token counts if it ends behind the border; special tokens end at 0 and never do.
            let counts = |(_, end): &(usize, usize)| *end > candidate.scored_from;
            let first = encoding.offsets.iter().position(counts).unwrap_or(encoding.ids.len());
            let last = encoding.offsets.iter().rposition(counts).map_or(first, |last| last + 1);
            Ok(vec![Sequence { ids: encoding.ids, scored: first.max(1)..last.max(first.max(1)) }])
        }
        Tokenized::Piecewise => {
            let border = candidate.text.char_indices().nth(candidate.scored_from);
            let (context, word) = candidate.text.split_at(border.map_or(candidate.text.len(), |(byte, _)| byte));
            let mut before = context.to_owned();
            let mut sequences = vec![];
            for (place, id) in tokenizer.encode(word)?.into_iter().enumerate() {
                let text = tokenizer.decode(&[id])?;
                let target = if place == 0 { Some(id) } else { tokenizer.encode(&text)?.first().copied() };
                if let Some(target) = target {
                    let mut ids = tokenizer.encode_with_offsets(&before, true)?.ids;
                    ids.push(target);
                    sequences.push(Sequence { scored: ids.len() - 1..ids.len(), ids });
                }
                before.push_str(&text);
            }
            Ok(sequences)
        }
    }
}
