//! The records of a dataset as they are trained.

use std::path::PathBuf;

use serde::Serialize;

use super::failure::{Exit, Failure};
use super::open::Session;
use crate::data::{self, Formatter, Tokenizer};
use crate::domain::{
    Artifact, DatasetFormat, FinishedOutput, Formatting, Job, JobId, LocatedSource, LossMask, Origin, PrepareJob,
    Prepared, Shots, SourceFile, Transformers, did_you_mean,
};
use crate::plan::{Decision, PlannedJob};

/// Records of a dataset as token ids.
#[derive(Debug, Clone, Serialize)]
pub struct ShownDataset {
    /// The name of the dataset.
    pub dataset: String,
    /// The format of its files, as it enters the identity of the job.
    pub format: DatasetFormat,
    /// How a record becomes text.
    pub formatting: Formatting,
    /// The name of the tokenizer.
    pub tokenizer: String,
    /// The number of records, without those that have no text to train on.
    pub records: usize,
    /// Records that have no text to train on.
    pub left_out: usize,
    /// The longest record in tokens; `None` if no stage trains on the dataset.
    pub max_length: Option<u32>,
    /// The tokens that receive loss.
    pub loss: LossMask,
    /// The demonstrations before each record, which are drawn in training and not shown.
    pub shots: Option<Shots<String>>,
    /// The first records.
    pub shown: Vec<ShownRecord>,
}

/// A record as token ids.
#[derive(Debug, Clone, Serialize)]
pub struct ShownRecord {
    /// The number of the record, from 1.
    pub number: usize,
    /// Whether its reply is bad: the rejected one of a pair, or one that is labelled so.
    pub rejected: bool,
    /// The tokens, without those that are cut.
    pub tokens: Vec<ShownToken>,
    /// The number of tokens that receive loss.
    pub trained: usize,
    /// The number of tokens that are cut because the record is too long.
    pub cut: usize,
}

/// A token of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownToken {
    /// The id.
    pub id: u32,
    /// The decoded text.
    pub text: String,
    /// Whether it receives loss.
    pub trained: bool,
}

/// The first `count` records of a dataset, with the tokenizer of the first model that is trained on it. A tokenizer that
/// is not trained yet is trained in memory.
///
/// # Errors
/// A dataset that no cell uses; missing or invalid data; a model that is not imported yet.
pub fn show_dataset(session: &Session, name: &str, count: usize) -> Result<ShownDataset, Failure> {
    let (planned, job) = prepare_job(session, name)?;
    let Prepared::Dataset(_, format, formatting) = &job.data else { unreachable!("`prepare_job` finds datasets") };
    let located = match job.data.origin() {
        Origin::Output { job } => written_rows(session, name, job)?,
        _ => located(planned)?,
    };
    let (tokenizer, folder) = tokenizer_of(session, &job.tokenizer, Transformers::V5)?;
    let formatter = Formatter::new(formatting, &tokenizer, &folder)?.mark_own_text(job.own_text);
    let (records, left_out) = data::records_and_blank(&located, format)?;
    let (max_length, loss, shots) = trained_as(session, &planned.id);
    let mut shown = vec![];
    for (index, record) in records.iter().take(count).enumerate() {
        let tokenized = formatter.tokenize(record)?;
        let kept = max_length.map_or(tokenized.ids.len(), |length| tokenized.ids.len().min(length as usize));
        let mut tokens = vec![];
        for (place, (id, trained)) in tokenized.ids.iter().zip(&tokenized.trained).take(kept).enumerate() {
            // The first token has nothing before it from which it could be predicted.
            let trained = match loss {
                // The cross entropy beside an objective never covers a bad reply.
                _ if tokenized.rejected => *trained,
                LossMask::Reply => *trained,
                LossMask::Instruction => *trained || tokenized.own[place],
                LossMask::All => true,
            };
            let trained = trained && place > 0;
            tokens.push(ShownToken { id: *id, text: tokenizer.decode(&[*id])?, trained });
        }
        shown.push(ShownRecord {
            number: index + 1,
            rejected: tokenized.rejected,
            trained: tokens.iter().filter(|token| token.trained).count(),
            cut: tokenized.ids.len() - kept,
            tokens,
        });
    }
    Ok(ShownDataset {
        dataset: name.to_owned(),
        format: format.clone(),
        formatting: formatting.clone(),
        tokenizer: session.plan.job(&job.tokenizer).map_or_else(String::new, |job| job.label.clone()),
        records: records.len(),
        left_out,
        max_length,
        loss,
        shots,
        shown,
    })
}

/// The rows of a dataset that a job of the experiment writes.
fn written_rows(session: &Session, name: &str, job: &JobId) -> Result<LocatedSource, Failure> {
    let output = session.outputs.get(job).filter(|_| session.decisions.get(job) == Some(&Decision::Reuse));
    let Some(FinishedOutput { folder, artifacts }) = output else {
        let message = format!(
            "grid: dataset {name} does not exist yet: the job '{}' makes it\n  help: `grid run` the experiment first",
            session.job_name(job)
        );
        return Err(Failure::text(Exit::NothingMatches, message));
    };
    let rows = artifacts.iter().filter(|artifact| artifact.path.ends_with(data::ROWS));
    let file = |artifact: &Artifact| SourceFile { path: folder.join(&artifact.path), digest: artifact.digest };
    Ok(LocatedSource { origin: Origin::Output { job: *job }, files: rows.map(file).collect() })
}

/// The first job that prepares a dataset of this name.
fn prepare_job<'s>(session: &'s Session, name: &str) -> Result<(&'s PlannedJob, &'s PrepareJob), Failure> {
    let datasets = session.plan.jobs().filter_map(|planned| match (&planned.job, &planned.text) {
        (Job::Prepare(job @ PrepareJob { data: Prepared::Dataset(..), .. }), Some(text)) => {
            Some((planned, job, text.name.as_str()))
        }
        _ => None,
    });
    let datasets: Vec<_> = datasets.collect();
    if let Some((planned, job, _)) = datasets.iter().find(|(.., known)| *known == name) {
        return Ok((planned, job));
    }
    let known: Vec<&str> = datasets.iter().map(|(.., name)| *name).collect();
    let hint = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match &known[..] {
        [] => "no cell of this spec is trained on a dataset".to_owned(),
        known => format!("the datasets are {}", known.join(", ")),
    });
    let message = format!("grid: no cell is trained on a dataset '{name}'\n  help: {hint}");
    Err(Failure::text(Exit::NothingMatches, message))
}

/// The data that a job reads.
pub(super) fn located(planned: &PlannedJob) -> Result<LocatedSource, Failure> {
    if let Some(location) = planned.missing().next() {
        let message =
            format!("grid: not found: {location} ({})\n  help: `grid data fetch` fetches remote data", planned.what());
        return Err(Failure::text(Exit::Environment, message));
    }
    let (origin, files) = planned.sources.first().expect("a prepare job reads one source");
    Ok(LocatedSource { origin: origin.clone(), files: files.clone() })
}

/// The tokenizer that a job outputs, and a folder with its files.
pub(super) fn tokenizer_of(
    session: &Session,
    id: &JobId,
    release: Transformers,
) -> Result<(Tokenizer, PathBuf), Failure> {
    if let (Some(Decision::Reuse), Some(output)) = (session.decisions.get(id), session.outputs.get(id)) {
        return Ok((Tokenizer::load_as(&output.folder, release)?, output.folder.clone()));
    }
    let planned = session.plan.job(id).expect("the parents of a planned job are planned");
    match &planned.job {
        Job::Tokenizer(job) => {
            let texts = data::tokenizer_texts(job, |origin, texts| texts(&planned.located(origin)))?;
            Ok((Tokenizer::train_with(job.vocab_size, &job.special_tokens, texts.iter())?, PathBuf::new()))
        }
        _ => match planned.sources.iter().flat_map(|(_, files)| files).next().and_then(|file| file.path.parent()) {
            Some(folder) => Ok((Tokenizer::load_as(folder, release)?, folder.to_owned())),
            None => {
                let message = format!("grid: the tokenizer of {} is not on this machine yet", planned.label);
                Err(Failure::text(Exit::Environment, message))
            }
        },
    }
}

/// The longest record and the loss mask of the first stage that trains on a prepared dataset.
fn trained_as(session: &Session, prepared: &JobId) -> (Option<u32>, LossMask, Option<Shots<String>>) {
    let stage = session.plan.jobs().find_map(|planned| match &planned.job {
        Job::Tune(job) if job.parts().iter().any(|part| part.datasets.contains(prepared)) => {
            let name = |id: &JobId| session.plan.job(id).and_then(|pool| Some(pool.text.as_ref()?.name.clone()));
            let shots = job.shots.as_ref().map(|shots| shots.with_pool(shots.pool.as_ref().and_then(name)));
            Some((Some(job.max_length), job.loss, shots))
        }
        _ => None,
    });
    stage.unwrap_or((None, LossMask::Reply, None))
}
