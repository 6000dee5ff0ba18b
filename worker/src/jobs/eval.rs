//! Score a model on a suite.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use grid::data::{self, DataError, Encoding, Tokenizer};
use grid::domain::{Assignment, EvalJob, Event, FirstToken, ItemOutcome, Milestone, Mode, Score, Suite};
use grid::suites::{self, Candidate, Item, Likelihood, Stage, Tokenized};
use rayon::prelude::*;

use super::{MILESTONES, Memory, located, parent, read_model};
use crate::attempt::{Attempt, JobError};
use crate::ml::{Model, Scorer, Sequence};

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
        let model = read_model(folder, device)?;
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
    let (scores, outcomes) = match job.suite {
        Suite::Aoa => {
            let (score, outcomes) = stages(job, assignment, &items, attempt)?;
            (vec![score], outcomes)
        }
        _ => {
            let scorable = remembered(job, assignment, memory)?;
            let mut likelihoods = score_candidates(scorable, &items, job.mode, Part::WHOLE, attempt)?.into_iter();
            let of_item = |item: &Item| likelihoods.by_ref().take(item.candidates.len()).collect();
            let measured: Vec<Vec<Likelihood>> = items.iter().map(of_item).collect();
            suites::score(job.suite, job.mode, &items, &measured)
        }
    };
    attempt.items(&outcomes)?;
    for score in scores {
        attempt.emit(Event::Scored(score))?;
    }
    Ok(())
}

/// The model of the job, which the worker may still have from the job before.
fn remembered<'a>(job: &EvalJob, assignment: &Assignment, memory: &'a mut Memory) -> Result<&'a Scorable, JobError> {
    let mut folder = parent(assignment, &job.model)?.to_owned();
    if let Some(milestone) = job.milestone {
        folder = folder.join(MILESTONES).join(milestone.to_string());
    }
    if memory.scored.as_ref().is_none_or(|(scored, _)| *scored != folder) {
        memory.scored = None; // frees the one before
        let scorable = Scorable::read(&folder, &assignment.settings.device)?;
        memory.scored = Some((folder, scorable));
    }
    match &memory.scored {
        Some((_, scorable)) => Ok(scorable),
        None => unreachable!("loaded above"),
    }
}

/// Scores every milestone of a training whose unit is words, and the ages at which they have learned each word.
fn stages(
    job: &EvalJob,
    assignment: &Assignment,
    items: &[Item],
    attempt: &mut Attempt,
) -> Result<(Score, Vec<ItemOutcome>), JobError> {
    let kept = milestones(&parent(assignment, &job.model)?.join(MILESTONES))?;
    if kept.len() < 3 {
        return Err(JobError::failed(format!(
            "{} needs at least three word milestones of the pretraining, and there are {}: ask for them with \
             `milestones` in `pretrain`",
            job.suite,
            kept.len()
        )));
    }
    let (mut pieces, mut vocabulary, mut stages) = (BTreeMap::new(), 0, vec![]);
    for (index, (words, folder)) in kept.iter().enumerate() {
        let scorable = Scorable::read(folder, &assignment.settings.device)?;
        let part = Part { index, of: kept.len() };
        let likelihoods = score_candidates(&scorable, items, job.mode, part, attempt)?;
        stages.push(Stage { name: Milestone::Words(*words).to_string(), words: *words, likelihoods });
        vocabulary = scorable.tokenizer.vocab_size();
        let alone = scorable.tokenizer.encode("The")?.len();
        for item in items {
            let within = scorable.tokenizer.encode(&format!("The {}", item.subtask))?.len();
            pieces.insert(item.subtask.clone(), within.saturating_sub(alone) as u32);
        }
    }
    Ok(suites::score_stages(job.mode, items, &stages, &pieces, vocabulary))
}

/// The words seen and the folder of each milestone whose unit is words, the earliest first.
fn milestones(folder: &Path) -> Result<Vec<(u64, PathBuf)>, JobError> {
    let mut kept = vec![];
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Ok(Milestone::Words(words)) = name.parse() {
                kept.push((words, path));
            }
        }
    }
    kept.sort();
    Ok(kept)
}

/// Which part of the job's work this is, for its progress.
#[derive(Clone, Copy)]
struct Part {
    index: usize,
    of: usize,
}

impl Part {
    const WHOLE: Part = Part { index: 0, of: 1 };
}

/// Likelihoods of the candidates of all items, one after another; equal ones are computed once.
fn score_candidates(
    scorable: &Scorable,
    items: &[Item],
    mode: Mode,
    part: Part,
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
    let requests = |candidate: &&Candidate| requests(tokenizer, candidate, mode.first_token);
    let requests: Vec<Vec<Sequence>> = distinct.par_iter().map(requests).collect::<Result<_, DataError>>()?;
    let counts: Vec<usize> = requests.iter().map(Vec::len).collect();
    let sequences: Vec<Sequence> = requests.into_iter().flatten().collect();

    let mut scoring = Scorer::new(model).begin(&sequences)?;
    let mut told = Instant::now();
    loop {
        let more = scoring.advance()?;
        if !more || told.elapsed() >= TELL {
            let (done, total) = scoring.progress();
            let (done, total) = ((part.index * total + done) as u64, (part.of * total) as u64);
            attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
            told = Instant::now();
        }
        if !more {
            break;
        }
        if attempt.stop_requested() {
            return Err(JobError::Interrupted { step: 0 });
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
