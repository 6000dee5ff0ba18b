//! Which fine-tunings have dropout inside the model, as far as the models are known.

use std::collections::BTreeMap;

use super::failure::Failure;
use crate::data;
use crate::domain::{BaseModel, BodyDropout, Grid, Job, JobId, LocatedSource, Recipe, Source};
use crate::plan::RecordedJob;

/// Replaces `dropout: model` by none where the model has none in its configuration, so that the job is the same as without
/// the key. A model that is not on this machine keeps it.
pub(super) fn complete(
    grid: &mut Grid,
    located: &BTreeMap<Source, LocatedSource>,
    recorded: &BTreeMap<JobId, RecordedJob>,
) -> Result<(), Failure> {
    for cell in &mut grid.cells {
        let recipe = &mut cell.recipe;
        let asks = recipe.finetunings.iter().any(|finetuning| finetuning.recipe.dropout == BodyDropout::Model);
        if !asks || may_have_dropout(recipe, located, recorded)? {
            continue;
        }
        for finetuning in &mut recipe.finetunings {
            if finetuning.recipe.dropout == BodyDropout::Model {
                finetuning.recipe.dropout = BodyDropout::None;
            }
        }
    }
    Ok(())
}

/// Whether the configuration of the model that the cell fine-tunes has dropout, or may have it. Those of models that are
/// trained here have none.
fn may_have_dropout(
    recipe: &Recipe,
    located: &BTreeMap<Source, LocatedSource>,
    recorded: &BTreeMap<JobId, RecordedJob>,
) -> Result<bool, Failure> {
    if !recipe.stages.is_empty() {
        return Ok(false);
    }
    match &recipe.base {
        BaseModel::Trained(_) => Ok(false),
        BaseModel::Recorded(id) => Ok(matches!(recorded[id].job, Job::Import(_))),
        BaseModel::Imported(model) => {
            let files = located.get(&Source::Model(model.model.clone())).map(|located| &located.files[..]);
            match files.and_then(|files| files.first()?.path.parent()) {
                Some(folder) => Ok(data::model_config(folder)?.dropout.largest() > 0.0),
                None => Ok(true),
            }
        }
    }
}
