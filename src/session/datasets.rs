//! What the files of datasets say about how they are read: detected formats, and the texts of chat templates.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::failure::{Exit, Failure};
use crate::data::{DataError, Survey};
use crate::domain::{
    BaseModel, ChatTemplate, Dataset, DatasetFormat, DatasetSource, Formatting, Grid, LocatedSource, Origin,
    PromptSource, Recipe, Source, Stage, StageDataset, Teacher, TeacherMode, TeacherPrompt,
};

/// Replaces the formats to detect by those of the files, and the paths of chat templates by their texts. Returns the
/// detected formats by the name of the dataset. Datasets without files keep theirs.
///
/// # Errors
/// Files that have no known format, or that cannot be read.
pub(super) fn complete(
    grid: &mut Grid,
    located: &BTreeMap<Source, LocatedSource>,
    survey: &mut Survey,
) -> Result<BTreeMap<String, String>, Failure> {
    refuse_template_of_trained_tokenizer(grid)?;
    let mut detected = BTreeMap::new();
    for cell in &mut grid.cells {
        for dataset in tokenizer_datasets(&mut cell.recipe) {
            let source = dataset.source.clone();
            complete_dataset(dataset, &source, located, survey, &mut detected)?;
        }
        for dataset in stage_datasets(&mut cell.recipe) {
            complete_stage_dataset(dataset, located, survey, &mut detected)?;
        }
    }
    for dataset in &mut grid.datasets {
        let source = dataset.source.clone();
        complete_dataset(dataset, &source, located, survey, &mut detected)?;
    }
    refuse_missing_replies(grid)?;
    Ok(detected)
}

/// Completes a dataset that exists before the experiment; `source` is its source.
fn complete_dataset<S>(
    dataset: &mut Dataset<S>,
    source: &Source,
    located: &BTreeMap<Source, LocatedSource>,
    survey: &mut Survey,
    detected: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    let Dataset { name, format, formatting, .. } = dataset;
    if let Formatting::Chat { chat_template } = formatting
        && let ChatTemplate::File(path) = chat_template
    {
        let what = format!("the chat template {} of dataset {name}", path.display());
        let hint = "`chat_template` is `none`, `chatml`, `tokenizer` or the path of a Jinja file";
        *chat_template = ChatTemplate::Text(text_of(path, &what, hint)?);
    }
    if let (DatasetFormat::Detected { first }, Some(found)) = (&format, files_of(source, located)) {
        *format = survey.detect_format(found, *first)?;
        detected.insert(name.clone(), describe(format));
    }
    Ok(())
}

/// Completes a dataset that a stage trains on.
fn complete_stage_dataset(
    dataset: &mut StageDataset,
    located: &BTreeMap<Source, LocatedSource>,
    survey: &mut Survey,
    detected: &mut BTreeMap<String, String>,
) -> Result<(), Failure> {
    let name = dataset.name.clone();
    let sampled = match &mut dataset.source {
        DatasetSource::Data(source) => {
            let source = source.clone();
            return complete_dataset(dataset, &source, located, survey, detected);
        }
        DatasetSource::Sampled(sampled) => sampled,
    };
    if let Some(Teacher::Endpoint(request, _)) = &mut sampled.teacher
        && let TeacherPrompt::File(path) = &request.prompt
    {
        let what = format!("the prompt {} of the teacher of dataset {name}", path.display());
        let (place, hint) = match request.mode {
            TeacherMode::Correct | TeacherMode::Score { .. } => {
                ("{reply}", "it is a text in which {prompt} and {reply} stand for those of the student")
            }
            TeacherMode::Rewrite { .. } => ("{text}", "it is a text in which {text} stands for a piece of the corpus"),
        };
        let text = text_of(path, &what, hint)?;
        if !text.contains(place) {
            let message = format!("grid: {what} does not contain {place}\n  help: {hint}");
            return Err(Failure::text(Exit::Usage, message));
        }
        request.prompt = TeacherPrompt::Text(text);
    }
    for tokenizer in sampled.models_mut().flat_map(|model| model.base.tokenizer_datasets_mut()) {
        let source = tokenizer.source.clone();
        complete_dataset(tokenizer, &source, located, survey, detected)?;
    }
    let of_prompts = match &mut sampled.prompts {
        PromptSource::Dataset(prompts) => Some(&mut **prompts),
        PromptSource::Selected(source) => Some(&mut source.against),
        PromptSource::Corpus { .. } => None,
    };
    if let Some(prompts) = of_prompts {
        let source = prompts.source.clone();
        complete_dataset(prompts, &source, located, survey, detected)?;
        dataset.formatting = sampled.formatting();
    }
    Ok(())
}

/// The text of a file that a spec names.
fn text_of(path: &Path, what: &str, hint: &str) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::text(Exit::Usage, format!("grid: failed to read {what}: {error}\n  help: {hint}")))
}

/// The files of a dataset, if they are on this machine.
fn files_of<'a>(source: &Source, located: &'a BTreeMap<Source, LocatedSource>) -> Option<&'a LocatedSource> {
    located.get(source).filter(|found| matches!(found.origin, Origin::Content { .. }))
}

/// The spec is checked as far as it names formats; this concerns those that were detected.
fn refuse_missing_replies(grid: &Grid) -> Result<(), Failure> {
    for stage in grid.cells.iter().flat_map(|cell| &cell.recipe.stages) {
        let objective = stage.objective;
        let lacks = |dataset: &&StageDataset| dataset.format.with_replies(objective.replies()).is_none();
        if let Some(dataset) = stage.all_datasets().find(lacks) {
            let (needed, formats) = objective.needs();
            let message = format!(
                "grid: the objective {} needs {needed}, but dataset {} has the format {}\n  help: use a dataset with \
                 {formats}",
                objective.name(),
                dataset.name,
                describe(&dataset.format),
            );
            return Err(Failure::text(Exit::Usage, message));
        }
    }
    Ok(())
}

/// A tokenizer that the experiment trains has no chat template.
fn refuse_template_of_trained_tokenizer(grid: &Grid) -> Result<(), Failure> {
    let own = Formatting::Chat { chat_template: ChatTemplate::Tokenizer };
    for cell in grid.cells.iter().filter(|cell| matches!(cell.recipe.base, BaseModel::Trained(_))) {
        let mut datasets = cell.recipe.stages.iter().flat_map(Stage::all_datasets);
        if let Some(dataset) = datasets.find(|dataset| dataset.formatting == own) {
            let message = format!(
                "grid: dataset {}: `chat_template: tokenizer` needs an imported model, but the tokenizer of {} is trained \
                 here and has no template\n  help: use `chat_template: chatml`, or name a file",
                dataset.name, cell.key.model
            );
            return Err(Failure::text(Exit::Usage, message));
        }
    }
    Ok(())
}

/// The datasets that the tokenizers of a cell are trained on, possibly with duplicates.
fn tokenizer_datasets(recipe: &mut Recipe) -> impl Iterator<Item = &mut Dataset> {
    let of_teachers = recipe.stages.iter_mut().flat_map(|stage| &mut stage.teachers);
    let of_teachers = of_teachers.flat_map(|model| model.base.tokenizer_datasets_mut());
    recipe.base.tokenizer_datasets_mut().into_iter().chain(of_teachers)
}

/// The datasets that a cell is trained on, those of its demonstrations included.
fn stage_datasets(recipe: &mut Recipe) -> impl Iterator<Item = &mut StageDataset> {
    recipe.stages.iter_mut().flat_map(Stage::all_datasets_mut)
}

/// Reads the datasets that no cell is trained on, so that a mistake in them is found before they are needed. Those that are
/// not on this machine are left out.
///
/// # Errors
/// Files that do not have their format.
pub(super) fn check_unused(
    grid: &Grid,
    located: &BTreeMap<Source, LocatedSource>,
    survey: &mut Survey,
) -> Result<(), DataError> {
    let stages = || grid.cells.iter().flat_map(|cell| &cell.recipe.stages);
    let is_used = |dataset: &Dataset| {
        let is_same = |used: &StageDataset| match &used.source {
            DatasetSource::Data(source) => *source == dataset.source && used.format == dataset.format,
            DatasetSource::Sampled(_) => false,
        };
        stages().flat_map(Stage::all_datasets).any(is_same)
    };
    for dataset in grid.datasets.iter().filter(|dataset| !is_used(dataset)) {
        if let Some(found) = files_of(&dataset.source, located) {
            survey.measure_dataset(found, &dataset.format)?;
        }
    }
    Ok(())
}

/// A format in the words of a spec.
fn describe(format: &DatasetFormat) -> String {
    match format {
        DatasetFormat::Rows { row, layout, .. } => format!("{row} ({})", layout.name()),
        DatasetFormat::Records { prompt, reply, layout, .. } => {
            format!("rows with prompt: {prompt}, reply: {reply} ({})", layout.name())
        }
        DatasetFormat::Dialogue { .. } => "dialogue".to_owned(),
        DatasetFormat::Squad { .. } => "squad".to_owned(),
        DatasetFormat::Detected { .. } => "not detected".to_owned(),
    }
}
