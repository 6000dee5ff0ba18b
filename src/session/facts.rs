//! What the data and the models on this machine say about a plan: amounts of text, model shapes and file sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::spec_text::{SpecOrigin, SpecText};
use crate::data::{self, DataError, Survey, TextFormat};
use crate::domain::{
    ConfigFile, DataEntry, FinishedOutput, Grid, InstructionPosition, Job, JobId, JobKind, JobTeacher, LocatedSource,
    Origin, PieceUnit, PrepareJob, Prepared, Prompts, SampleJob, SampledCount, SelectedPieces, Source, TeachJob,
    TeacherMode, TextSize,
};
use crate::plan::{
    Decision, Facts, Plan, PlannedJob, PreparedText, PromptCount, RecordedJob, TextAmount, TextEstimate,
};

/// Gathers the facts of a plan.
pub(super) fn gather(
    plan: &Plan,
    decisions: &BTreeMap<JobId, Decision>,
    outputs: &BTreeMap<JobId, FinishedOutput>,
    recorded: &BTreeMap<JobId, RecordedJob>,
    places: BTreeMap<String, String>,
    counts_bytes: bool,
    survey: &mut Survey,
) -> Result<Facts, DataError> {
    let models = existing_models(plan, recorded, outputs)?;
    let mut text = Text::default();
    for planned in plan.jobs() {
        text.add(plan, planned, decisions, outputs, survey)?;
    }
    let Text { amounts, without_input, prompts, sampled } = text;
    let text_bytes = if counts_bytes { prepared_bytes(plan, survey)? } else { BTreeMap::new() };
    Ok(Facts {
        amounts,
        text_bytes,
        further_text: further_text(plan, counts_bytes, survey)?,
        without_input,
        prompts,
        sampled,
        dropouts: models.iter().map(|(id, file)| (*id, file.dropout.largest())).collect(),
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
        Origin::World { .. } | Origin::Content { .. } | Origin::Output { .. } => None,
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

/// The bytes of the text of each prepare job whose data is on this machine. Token ids have no bytes.
fn prepared_bytes(plan: &Plan, survey: &mut Survey) -> Result<BTreeMap<JobId, u64>, DataError> {
    let mut all = BTreeMap::new();
    for planned in plan.jobs() {
        let Job::Prepare(job) = &planned.job else { continue };
        if let Origin::Content { .. } | Origin::World { .. } = job.data.origin() {
            let bytes = survey.count_bytes(&planned.located(job.data.origin()), text_of(&job.data))?;
            all.extend((bytes > 0).then_some((planned.id, bytes)));
        }
    }
    Ok(all)
}

fn text_of(data: &Prepared) -> TextFormat<'_> {
    match data {
        Prepared::Corpus(_, format) => TextFormat::Corpus(format),
        Prepared::Dataset(_, format, _) => TextFormat::Dataset(format),
    }
}

/// The amounts of the texts that tokenizers are trained on or that prompts are from, and that no job prepares.
fn further_text(
    plan: &Plan,
    counts_bytes: bool,
    survey: &mut Survey,
) -> Result<BTreeMap<Origin, TextAmount>, DataError> {
    let prepared: BTreeSet<&Origin> = plan
        .jobs()
        .filter_map(|job| if let Job::Prepare(job) = &job.job { Some(job.data.origin()) } else { None })
        .collect();
    let mut all = BTreeMap::new();
    for planned in plan.jobs() {
        let texts: Vec<(&Origin, TextFormat<'_>, Option<&PreparedText>)> = match &planned.job {
            Job::Tokenizer(job) => {
                let corpora = job.corpora.iter().map(|(origin, format)| (origin, TextFormat::Corpus(format)));
                let datasets = job.datasets.iter().map(|(origin, format)| (origin, TextFormat::Dataset(format)));
                let known = planned.tokenizer_texts.iter().map(Some).chain(std::iter::repeat(None));
                corpora.chain(datasets).zip(known).map(|((origin, format), text)| (origin, format, text)).collect()
            }
            Job::Sample(SampleJob { prompts: Prompts::Records { data, format, .. }, .. }) => {
                vec![(data, TextFormat::Dataset(format), planned.text.as_ref())]
            }
            _ => vec![],
        };
        for (origin, format, text) in texts.into_iter().filter(|(origin, ..)| !prepared.contains(origin)) {
            let located = planned.located(origin);
            let amount = match origin {
                Origin::Output { .. } => None,
                Origin::Missing { .. } => {
                    let expected = text.and_then(|text| text.expected);
                    expected.map(|expected| TextAmount { words: expected.words, bytes: None })
                }
                Origin::World { .. } | Origin::Content { .. } => {
                    let bytes = if counts_bytes { survey.count_bytes(&located, format)? } else { 0 };
                    let words = match format {
                        TextFormat::Corpus(format) => survey.measure_corpus(&located, format)?.words,
                        TextFormat::Dataset(format) => survey.measure_dataset(&located, format)?.words,
                    };
                    Some(TextAmount { words, bytes: (bytes > 0).then_some(bytes) })
                }
            };
            all.extend(amount.map(|amount| (origin.clone(), amount)));
        }
    }
    Ok(all)
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

/// The amounts of text of a plan.
#[derive(Default)]
struct Text {
    amounts: BTreeMap<JobId, TextEstimate>,
    without_input: BTreeMap<JobId, u64>,
    prompts: BTreeMap<JobId, PromptCount>,
    sampled: BTreeMap<JobId, SampledCount>,
}

impl Text {
    /// Adds what is known of the text of a job, whose parents have been added: from its output if the job is done, otherwise
    /// from the survey of the data, or what the spec expects of data that are missing.
    fn add(
        &mut self,
        plan: &Plan,
        planned: &PlannedJob,
        decisions: &BTreeMap<JobId, Decision>,
        outputs: &BTreeMap<JobId, FinishedOutput>,
        survey: &mut Survey,
    ) -> Result<(), DataError> {
        let done = match decisions.get(&planned.id) {
            Some(Decision::Reuse) => outputs.get(&planned.id),
            _ => None,
        };
        if let (Job::Sample(_) | Job::Teach(_), Some(output)) = (&planned.job, done) {
            self.sampled.insert(planned.id, data::sampled_count(&output.folder)?);
        }
        match &planned.job {
            Job::Prepare(job) => {
                let amount = match (done, job.data.origin()) {
                    (Some(output), _) => Some(prepared_amount(&data::Ledger::open(&output.folder)?)),
                    (None, Origin::Output { job: made_by }) => self.sampled_amount(plan, made_by, job.held_out),
                    (None, _) => surveyed_amount(planned, job, survey)?,
                };
                self.amounts.extend(amount.map(|amount| (planned.id, amount)));
                let without_input = count_without_input(planned, job, survey)?;
                self.without_input.extend(without_input.map(|count| (planned.id, count)));
            }
            Job::Sample(job) => {
                let prompts = self.count_prompts(planned, job, survey)?;
                self.prompts.extend(prompts.map(|prompts| (planned.id, prompts)));
            }
            _ => {}
        }
        Ok(())
    }

    /// The number of prompts of a sample job.
    fn count_prompts(
        &self,
        planned: &PlannedJob,
        job: &SampleJob,
        survey: &mut Survey,
    ) -> Result<Option<PromptCount>, DataError> {
        if let Prompts::Selected(selected) = &job.prompts {
            return match self.sampled.get(&planned.id) {
                Some(count) => Ok(Some(PromptCount { count: count.rows, estimated: false, at_most: false })),
                None => most_pieces(planned, selected, survey),
            };
        }
        let all = match &job.prompts {
            Prompts::Pieces { corpus, context } => {
                let pieces = |amount: &TextEstimate| amount.tokens() / u64::from(context + job.options.max_new_tokens);
                self.amounts.get(corpus).map(|amount| (pieces(amount), amount.tokens.is_none()))
            }
            Prompts::Records { data: Origin::Output { job }, .. } => {
                self.sampled.get(job).map(|count| (count.rows, false))
            }
            Prompts::Records { data, format, .. } => match planned.missing().next() {
                Some(_) => None,
                None => Some((survey.measure_dataset(&planned.located(data), format)?.units, false)),
            },
            Prompts::Selected(_) => None, // above
        };
        let count = |all: u64| job.part.places(all as usize, job.seed).len() as u64;
        Ok(all.map(|(all, estimated)| PromptCount { count: count(all), estimated, at_most: false }))
    }

    /// The most text that a prepare job will read from a sample or teach job; `None` if the number of prompts is unknown.
    fn sampled_amount(&self, plan: &Plan, made_by: &JobId, held_out: f64) -> Option<TextEstimate> {
        let (id, job) = plan.samples(made_by)?;
        let prompts = self.prompts.get(&id)?.count;
        if let Prompts::Selected(selected) = &job.prompts {
            let (units, words) = match plan.job(made_by).map(|planned| &planned.job) {
                Some(Job::Teach(TeachJob { teacher: JobTeacher::Endpoint(request), .. })) => match request.mode {
                    TeacherMode::Rewrite { pairs } => (u64::from(pairs), u64::from(request.max_tokens)),
                    TeacherMode::Correct | TeacherMode::Score { .. } => return None,
                },
                _ => (1, u64::from(selected.selection.max_words)),
            };
            return Some(most_text(TextSize { units: Some(prompts * units), words: prompts * words }, held_out));
        }
        let units = prompts;
        let words = units * u64::from(job.prompts.context().unwrap_or(0) + job.options.max_new_tokens);
        Some(most_text(TextSize { units: Some(units), words }, held_out))
    }
}

/// The most text that a prepare job will read from another job.
fn most_text(whole: TextSize, held_out: f64) -> TextEstimate {
    let train = whole.without_held_out(held_out);
    TextEstimate { whole, train, tokens: None, units_estimated: true, measured: false, blank: 0 }
}

/// The most pieces that a job can select; `None` if the corpus is missing.
fn most_pieces(
    planned: &PlannedJob,
    selected: &SelectedPieces,
    survey: &mut Survey,
) -> Result<Option<PromptCount>, DataError> {
    let SelectedPieces { corpus, corpus_format, selection, .. } = selected;
    if planned.missing().next().is_some() {
        return Ok(None);
    }
    let size = survey.measure_corpus(&planned.located(corpus), corpus_format)?;
    let long_enough = size.words / u64::from(selection.min_words.max(1));
    let pieces = match selection.unit {
        PieceUnit::Document => size.units.min(long_enough),
        PieceUnit::Paragraph => long_enough,
    };
    let count = selection.most.map_or(pieces, |most| most.of(pieces));
    Ok(Some(PromptCount { count, estimated: false, at_most: true }))
}

/// The number of records without input, if the instruction is to stand after the input and the files are on this machine.
fn count_without_input(planned: &PlannedJob, job: &PrepareJob, survey: &mut Survey) -> Result<Option<u64>, DataError> {
    let Prepared::Dataset(origin, format, _) = &job.data else { return Ok(None) };
    if format.position() != Some(InstructionPosition::Post) || planned.missing().next().is_some() {
        return Ok(None);
    }
    survey.count_without_input(&planned.located(origin), format).map(Some)
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
