//! The hyper-parameters of the models of an experiment.

use super::failure::Failure;
use super::open::Session;
use super::runs_folder::RunsFolder;
use super::spec_text::SpecText;
use crate::domain::{FormStage, JobKind};
use crate::plan::{Role, TrainingStage, trainings};
use crate::store::{JobRow, JobState, LineageJob};

/// An experiment and every stage of its models.
#[derive(Debug, Clone, PartialEq)]
pub struct Form {
    /// The name of the experiment.
    pub experiment: String,
    /// The stages of all models, those of a model together and in order.
    pub stages: Vec<FormStage>,
}

/// Collects the hyper-parameters of all models of an experiment: from its spec, and from what its jobs have recorded.
///
/// # Errors
/// An experiment that does not exist; the refusals of [`Session::open`]; errors of the database.
pub async fn collect_form(folder: &RunsFolder, experiment: Option<&str>) -> Result<Form, Failure> {
    let store = folder.open_existing().await?;
    let stored = store.experiment(experiment).await?.experiment;
    let name = stored.name.clone();
    let spec = SpecText::stored(stored);
    let grid = spec.grid()?;
    let session = Session::open(&folder.path, spec, grid, Some(&store)).await?;
    let rows = store.job_rows(&name).await?;
    let mut stages = vec![];
    for cell in &session.plan.cells {
        let Some((model, _)) = cell.jobs.iter().find(|(_, role)| *role == Role::Model) else { continue };
        let lineage = store.lineage(*model).await?;
        let mut words_so_far = Some(0);
        for stage in trainings(&session.plan, &session.facts, model) {
            let id = stage.planned.id;
            let row = rows.iter().find(|row| row.id == id).filter(|row| row.state == JobState::Done);
            let recorded = row.and_then(|_| lineage.iter().find(|job| job.id == id));
            let steps = store.metrics(id, "words").await?.last().map(|point| point.step).filter(|_| row.is_some());
            let stage = form_stage(cell.key.label(), stage, row, recorded, steps, words_so_far);
            words_so_far = stage.words_so_far;
            stages.push(stage);
        }
    }
    store.close().await;
    Ok(Form { experiment: name, stages })
}

fn form_stage(
    model: String,
    stage: TrainingStage<'_>,
    row: Option<&JobRow>,
    recorded: Option<&LineageJob>,
    steps: Option<u64>,
    words_before: Option<u64>,
) -> FormStage {
    let TrainingStage { planned, config, recipe, epochs, flops_per_token } = stage;
    let (words, tokens) = recorded.map_or((None, None), |job| (job.words, job.tokens));
    let seconds = row.and_then(|row| row.seconds).filter(|seconds| *seconds > 0.0);
    FormStage {
        model,
        stage: format!("{} {}", planned.job.kind(), planned.group),
        job: planned.id,
        config: config.cloned(),
        recipe,
        epochs,
        words,
        // What an imported model has read is not known.
        words_so_far: words_before
            .zip(words)
            .map(|(before, words)| before + words)
            .filter(|_| planned.job.kind() != JobKind::Import),
        tokens,
        steps,
        tokens_per_second: tokens.zip(seconds).map(|(tokens, seconds)| tokens as f64 / seconds),
        flops: tokens.zip(flops_per_token).map(|(tokens, per_token)| tokens as f64 * per_token),
    }
}
