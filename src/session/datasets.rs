//! What the files of datasets say about how they are read: detected formats, and the texts of chat templates.

use std::collections::BTreeMap;
use std::fs;

use super::failure::{Exit, Failure};
use crate::data::{DataError, Survey};
use crate::domain::{
    BaseModel, ChatTemplate, Dataset, DatasetFormat, Formatting, Grid, LocatedSource, Origin, Source, Stage,
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
    for dataset in datasets(grid) {
        let found = located.get(&dataset.source).filter(|found| matches!(found.origin, Origin::Content { .. }));
        if let (DatasetFormat::Detected { first }, Some(found)) = (&dataset.format, found) {
            dataset.format = survey.detect_format(found, *first)?;
            detected.insert(dataset.name.clone(), describe(&dataset.format));
        }
        if let Formatting::Chat { chat_template } = &mut dataset.formatting
            && let ChatTemplate::File(path) = chat_template
        {
            let text = fs::read_to_string(&*path).map_err(|error| {
                let hint = "`chat_template` is `none`, `chatml`, `tokenizer` or the path of a Jinja file";
                let message = format!(
                    "grid: failed to read the chat template {} of dataset {}: {error}\n  help: {hint}",
                    path.display(),
                    dataset.name
                );
                Failure::text(Exit::Usage, message)
            })?;
            *chat_template = ChatTemplate::Text(text);
        }
    }
    refuse_missing_replies(grid)?;
    Ok(detected)
}

/// The spec is checked as far as it names formats; this concerns those that were detected.
fn refuse_missing_replies(grid: &Grid) -> Result<(), Failure> {
    for stage in grid.cells.iter().flat_map(|cell| &cell.recipe.stages) {
        let objective = stage.objective;
        let lacks = |dataset: &&Dataset| dataset.format.with_replies(objective.replies()).is_none();
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

/// All datasets of a grid, each as often as it is used.
fn datasets(grid: &mut Grid) -> impl Iterator<Item = &mut Dataset> {
    let of_cells = grid.cells.iter_mut().flat_map(|cell| {
        let tokenizer = match &mut cell.recipe.base {
            BaseModel::Trained(base) => &mut base.tokenizer_datasets[..],
            BaseModel::Imported(_) | BaseModel::Recorded(_) => &mut [],
        };
        let stages = cell.recipe.stages.iter_mut().flat_map(|stage| {
            stage.datasets.iter_mut().chain(stage.then.iter_mut().flat_map(|part| &mut part.datasets))
        });
        tokenizer.iter_mut().chain(stages)
    });
    of_cells.chain(&mut grid.datasets)
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
    let is_used = |dataset: &Dataset| stages().flat_map(Stage::all_datasets).any(|used| used == dataset);
    for dataset in grid.datasets.iter().filter(|dataset| !is_used(dataset)) {
        if let Some(found) = located.get(&dataset.source).filter(|found| matches!(found.origin, Origin::Content { .. }))
        {
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
