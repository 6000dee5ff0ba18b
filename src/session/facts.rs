//! What the data and the models on this machine say about a plan: amounts of text, model shapes and file sizes.

use std::collections::BTreeMap;
use std::fs;

use super::spec_text::{SpecOrigin, SpecText};
use crate::data::{self, DataError, Survey};
use crate::domain::{
    ConfigFile, DataEntry, FinishedOutput, Grid, Job, JobId, JobKind, LocatedSource, Origin, PrepareJob, Prepared,
    Source, TextSize,
};
use crate::plan::{Decision, Facts, Plan, PlannedJob, RecordedJob, TextEstimate};

/// Gathers the facts of a plan.
pub(super) fn gather(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    outputs: &BTreeMap<JobId, FinishedOutput>,
    recorded: &BTreeMap<JobId, RecordedJob>,
    places: BTreeMap<String, String>,
    survey: &mut Survey,
) -> Result<Facts, DataError> {
    let models = existing_models(plan, recorded, outputs)?;
    Ok(Facts {
        amounts: amounts(plan, decisions, outputs, survey)?,
        dropouts: models.iter().map(|(id, file)| (*id, file.dropout)).collect(),
        models: models.into_iter().map(|(id, file)| (id, file.model)).collect(),
        bytes: evaluation_bytes(plan),
        places,
        detected: BTreeMap::new(),
    })
}

/// Where the spec names the data that were not found, by location. A generated spec has no places.
pub(super) fn places_of_missing(
    spec: &SpecText,
    grid: &Grid,
    located: &BTreeMap<Source, LocatedSource>,
) -> BTreeMap<String, String> {
    let place = |entry: &DataEntry| match &located.get(&entry.source)?.origin {
        Origin::Missing { location } => Some((location.clone(), entry.place.clone())),
        Origin::World { .. } | Origin::Content { .. } => None,
    };
    match spec.origin {
        // The first of several places wins.
        SpecOrigin::File(_) => grid.data.iter().rev().filter_map(place).collect(),
        SpecOrigin::Generated => BTreeMap::new(),
    }
}

/// The configurations of the models that already exist: those to import, and those of recorded jobs.
fn existing_models(
    plan: &Plan,
    recorded: &BTreeMap<JobId, RecordedJob>,
    outputs: &BTreeMap<JobId, FinishedOutput>,
) -> Result<BTreeMap<JobId, ConfigFile>, DataError> {
    let folder = |job: &PlannedJob| match recorded.contains_key(&job.id) {
        true => Some(outputs.get(&job.id)?.folder.clone()),
        false if job.job.kind() == JobKind::Import => Some(job.sources.first()?.1.first()?.path.parent()?.to_owned()),
        false => None,
    };
    let folders = plan.jobs().filter_map(|job| Some((job.id, folder(job)?)));
    folders.map(|(id, folder)| Ok((id, data::model_config(&folder)?))).collect()
}

/// Sizes of the files that evaluations and fine-tunings read; none for the toy world.
fn evaluation_bytes(plan: &Plan) -> BTreeMap<JobId, u64> {
    let reads = |planned: &&PlannedJob| matches!(planned.job, Job::Eval(_) | Job::Finetune(_));
    let size = |planned: &PlannedJob| -> u64 {
        let files = planned.sources.iter().flat_map(|(_, files)| files);
        files.filter_map(|file| fs::metadata(&file.path).ok()).map(|metadata| metadata.len()).sum()
    };
    plan.jobs().filter(reads).map(|planned| (planned.id, size(planned))).filter(|(_, size)| *size > 0).collect()
}

/// The text of each prepare job: from its ledger if the job is done, otherwise from the survey of the data, or what the
/// spec expects of data that are missing.
fn amounts(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    outputs: &BTreeMap<JobId, FinishedOutput>,
    survey: &mut Survey,
) -> Result<BTreeMap<JobId, TextEstimate>, DataError> {
    let mut amounts = BTreeMap::new();
    for planned in plan.jobs() {
        let Job::Prepare(job) = &planned.job else { continue };
        let amount = match (decisions.get(&planned.id), outputs.get(&planned.id)) {
            (Some(Decision::Reuse), Some(output)) => Some(prepared_amount(&data::Ledger::open(&output.folder)?)),
            _ => surveyed_amount(planned, job, survey)?,
        };
        amounts.extend(amount.map(|amount| (planned.id, amount)));
    }
    Ok(amounts)
}

/// The text that a finished prepare job counted.
fn prepared_amount(ledger: &data::Ledger) -> TextEstimate {
    let data::Ledger { train, validation, .. } = ledger;
    let extent = |units: u64, words: u64| TextSize { units: Some(units), words };
    TextEstimate {
        whole: extent(train.units + validation.units, train.words + validation.words),
        train: extent(train.units, train.words),
        tokens: Some(train.tokens),
        units_estimated: false,
        measured: true,
        blank: 0,
    }
}

/// The text that a prepare job will read; `None` if it is missing and the spec does not say how much is expected.
fn surveyed_amount(
    planned: &PlannedJob,
    job: &PrepareJob,
    survey: &mut Survey,
) -> Result<Option<TextEstimate>, DataError> {
    let Some((origin, files)) = planned.sources.first() else { return Ok(None) };
    let amount = |whole: TextSize, measured: bool, blank: u64| {
        let train = whole.without_held_out(job.held_out);
        let units_estimated = job.held_out > 0.0 && job.data.is_grouped();
        TextEstimate { whole, train, tokens: None, units_estimated, measured, blank }
    };
    if planned.missing().next().is_some() {
        let expected = planned.text.as_ref().and_then(|text| text.expected);
        return Ok(expected.map(|expected| amount(expected, false, 0)));
    }
    let located = LocatedSource { origin: origin.clone(), files: files.clone() };
    let volume = match &job.data {
        Prepared::Corpus(_, format) => survey.measure_corpus(&located, format)?,
        Prepared::Dataset(_, format, _) => survey.measure_dataset(&located, format)?,
    };
    let whole = TextSize { units: Some(volume.units), words: volume.words };
    Ok(Some(amount(whole, true, volume.blank)))
}
