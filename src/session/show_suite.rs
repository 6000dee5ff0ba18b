//! The items of an evaluation suite as they are scored.

use serde::Serialize;

use super::failure::{Exit, Failure};
use super::open::Session;
use super::show::{located, tokenizer_of};
use crate::data;
use crate::domain::{Arch, EvalJob, Job, JobId, Mode, Suite, did_you_mean};
use crate::plan::PlannedJob;
use crate::scoring::{ScoringContext, loss_warning, read_items};

/// Items of a suite as token ids.
#[derive(Debug, Clone, Serialize)]
pub struct ShownSuite {
    /// The suite or test set.
    pub suite: String,
    /// The scoring rules.
    pub mode: Mode,
    /// The model whose tokenizer is used.
    pub model: String,
    /// The number of items.
    pub items: usize,
    /// What the tokenizer does not keep of the texts of these items, where it matters for the score.
    pub warning: Option<String>,
    /// The first items.
    pub shown: Vec<ShownItem>,
}

/// An item as token ids.
#[derive(Debug, Clone, Serialize)]
pub struct ShownItem {
    /// The subtask that it belongs to.
    pub subtask: String,
    /// Its position within the subtask, from 0.
    pub index: u32,
    /// Its candidates. Candidate 0 is the right one, where one is.
    pub candidates: Vec<ShownCandidate>,
}

/// A candidate as the sequences whose log-probabilities add up to its score.
#[derive(Debug, Clone, Serialize)]
pub struct ShownCandidate {
    /// The sequences.
    pub sequences: Vec<Vec<ScoredToken>>,
}

/// A token of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScoredToken {
    /// The id.
    pub id: u32,
    /// The decoded text.
    pub text: String,
    /// Whether its log-probability counts.
    pub scored: bool,
}

/// The first `count` items of a suite, with the tokenizer of the first model that is evaluated on it.
///
/// # Errors
/// A suite that no cell is evaluated on, or whose items have no candidates; missing or invalid data.
pub fn show_suite(session: &Session, name: &str, count: usize) -> Result<ShownSuite, Failure> {
    let (planned, job) = eval_job(session, name)?;
    located(planned)?;
    let (items, _) =
        read_items(job, |origin| planned.located(origin)).map_err(|error| Failure::new(Exit::Environment, error))?;
    let release = job.mode.transformers();
    let (tokenizer, _) = tokenizer_of(session, &tokenizer_job(session, &job.model)?, release)?;
    let positions = positions_of(session, &job.model);
    let arch = session.facts.model(&session.plan, &job.model).map_or(Arch::Llama, |model| model.arch);
    let backend =
        job.mode.backend.of(arch).map_err(|problem| Failure::text(Exit::Usage, format!("grid: {problem}")))?;
    let (mut shown, mut texts) = (vec![], vec![]);
    for item in items.iter().take(count) {
        let mut candidates = vec![];
        for candidate in &item.candidates {
            let mut sequences = vec![];
            let first_token = job.mode.first_token;
            let masking = job.mode.masking;
            let context = ScoringContext { tokenizer: &tokenizer, first_token, positions, backend, masking };
            let requests = context.requests(candidate).map_err(|error| Failure::new(Exit::Environment, error))?;
            for request in &requests.sequences {
                let token = |(place, id): (usize, &u32)| {
                    Ok(ScoredToken {
                        id: *id,
                        text: tokenizer.decode(&[*id])?,
                        scored: request.scored.contains(&place),
                    })
                };
                sequences.push(request.ids.iter().enumerate().map(token).collect::<Result<_, data::DataError>>()?);
            }
            candidates.push(ShownCandidate { sequences });
            texts.push(requests);
        }
        shown.push(ShownItem { subtask: item.subtask.clone(), index: item.index, candidates });
    }
    let model = session.plan.job(&job.model).map_or_else(String::new, |job| job.group.clone());
    let warning = loss_warning(&job.test, &tokenizer, &texts);
    Ok(ShownSuite { suite: job.test.to_string(), mode: job.mode, model, items: items.len(), warning, shown })
}

/// The first job that evaluates a model on the suite of this name.
fn eval_job<'s>(session: &'s Session, name: &str) -> Result<(&'s PlannedJob, &'s EvalJob), Failure> {
    let jobs = session.plan.jobs().filter_map(|planned| match &planned.job {
        Job::Eval(job) => Some((planned, job)),
        _ => None,
    });
    let jobs: Vec<_> = jobs.collect();
    if let Some(found) = jobs.iter().find(|(_, job)| job.test.name() == name) {
        return Ok(*found);
    }
    let mut known: Vec<&str> = jobs.iter().map(|(_, job)| job.test.name()).collect();
    known.sort_unstable();
    known.dedup();
    let hint = match (Suite::Glue.name() == name, &known[..]) {
        (true, _) => "the items of glue are classified and have no candidates".to_owned(),
        (false, []) => "no cell of this spec is evaluated".to_owned(),
        (false, known) => {
            did_you_mean(name, known.iter().copied()).unwrap_or_else(|| format!("the suites are {}", known.join(", ")))
        }
    };
    let message = format!("grid: no cell is evaluated on the suite '{name}' item by item\n  help: {hint}");
    Err(Failure::text(Exit::NothingMatches, message))
}

/// The number of tokens that a model reads at once; unlimited where the model is not on this machine yet.
fn positions_of(session: &Session, model: &JobId) -> usize {
    let limit = session.plan.job(model).and_then(|planned| match &planned.job {
        Job::Pretrain(job) => Some(job.model.max_positions as usize),
        Job::Tune(job) => Some(positions_of(session, &job.parent)),
        _ => {
            let own = planned.sources.iter().flat_map(|(_, files)| files).find_map(|file| file.path.parent());
            let folder = session.outputs.get(model).map_or(own, |output| Some(output.folder.as_path()));
            folder.and_then(|folder| Some(data::model_config(folder).ok()?.model.max_positions as usize))
        }
    });
    limit.unwrap_or(usize::MAX / 4)
}

/// The job whose output has the tokenizer of a model.
fn tokenizer_job(session: &Session, model: &JobId) -> Result<JobId, Failure> {
    match session.plan.job(model).map(|planned| &planned.job) {
        Some(Job::Pretrain(job)) => Ok(job.tokenizer),
        Some(Job::Tune(job)) if !session.outputs.contains_key(model) => tokenizer_job(session, &job.parent),
        _ => Ok(*model),
    }
}
