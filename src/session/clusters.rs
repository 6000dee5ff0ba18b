//! Clusters for items that were recorded by versions of grid without clusters.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::runs_folder::{RunsFolder, survey_of};
use super::spec_text::SpecText;
use crate::data;
use crate::domain::{Grid, ItemOutcome, Job, JobId, LocatedSource, Origin, Source, Stderr, Suite, counted};
use crate::scoring::read_items;
use crate::store::Store;
use crate::suites::{self, glue};

/// Fills in the clusters of an experiment's items where the database lacks them, and the standard errors that follow from
/// them. This is needed once, for items that older versions of grid recorded. Returns notes for the user.
///
/// The clusters come from the evaluation data, which are located as the spec of the experiment says, and used only if
/// they have the digest of the data that were scored. A database that cannot be written stays unchanged, and a note
/// says so.
///
/// # Errors
/// Those of the database. Missing data lead to a note, not an error.
pub async fn fill_clusters(folder: &RunsFolder, store: &Store, experiment: &str) -> Result<Vec<String>, Failure> {
    let jobs = store.jobs_without_clusters(experiment).await?;
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    if !store.is_writable() {
        return Ok(vec![note(jobs.len(), "because the database cannot be written")]);
    }
    let stored = store.experiment(Some(experiment)).await?;
    let located = evaluation_data(folder, &SpecText::stored(stored.experiment));
    let mut unknown = 0;
    for id in jobs {
        let id_text = id.to_string();
        let recorded = store.items(std::slice::from_ref(&id_text)).await?.remove(&id_text);
        match clustered(store, id, &located, recorded.unwrap_or_default()).await? {
            Some((items, stderrs)) => store.record_clusters(id, &items, &stderrs).await?,
            None => unknown += 1,
        }
    }
    Ok(if unknown == 0 { vec![] } else { vec![note(unknown, "because their data are no longer there")] })
}

fn note(jobs: usize, why: &str) -> String {
    format!(
        "the items of {} have no clusters, {why}; each item counts as a cluster of its own",
        counted(jobs as u64, "job")
    )
}

/// The recorded items of a job with their clusters, and the standard errors of its scores; `None` if its data are
/// missing.
async fn clustered(
    store: &Store,
    id: JobId,
    located: &BTreeMap<Origin, LocatedSource>,
    mut items: Vec<ItemOutcome>,
) -> Result<Option<(Vec<ItemOutcome>, Vec<Stderr>)>, Failure> {
    let Some((job, _)) = store.job(id).await? else { return Ok(None) };
    let stderrs = match &job {
        Job::Eval(eval) => found(&eval.data, located)
            .and_then(|data| read_items(eval, |_| data.clone()).ok())
            .and_then(|(rows, _)| suites::recluster(eval.test.suite(), &rows, &mut items)),
        Job::Finetune(finetune) => found(&finetune.valid, located)
            .and_then(|data| data::evaluation_file(&data, Suite::Glue, &finetune.task.valid_file()).ok())
            .and_then(|(file, bytes)| glue::read(finetune.task, &file, &bytes).ok())
            .and_then(|rows| glue::recluster(finetune.task, &rows, &mut items)),
        Job::Tokenizer(_)
        | Job::Prepare(_)
        | Job::Pretrain(_)
        | Job::Import(_)
        | Job::Logprobs(_)
        | Job::Sample(_)
        | Job::Teach(_)
        | Job::Tune(_) => None,
    };
    Ok(stderrs.map(|stderrs| (items, stderrs)))
}

/// The data that a job was scored on; the toy world needs no files.
fn found(origin: &Origin, located: &BTreeMap<Origin, LocatedSource>) -> Option<LocatedSource> {
    match origin {
        Origin::World { .. } => Some(LocatedSource { origin: origin.clone(), files: vec![] }),
        Origin::Content { .. } => located.get(origin).cloned(),
        Origin::Output { .. } | Origin::Missing { .. } => None,
    }
}

/// The evaluation data of a spec that still exist, by origin; none for a spec that this version cannot read.
fn evaluation_data(folder: &RunsFolder, spec: &SpecText) -> BTreeMap<Origin, LocatedSource> {
    let Ok(grid) = spec.grid() else { return BTreeMap::new() };
    let mut survey = survey_of(&folder.path, spec.data_cache().ok());
    let located = evaluation_sources(&grid).into_iter().filter_map(|source| survey.locate(&source).ok());
    located.map(|located| (located.origin.clone(), located)).collect()
}

/// The sources that the models of a spec are scored on.
fn evaluation_sources(grid: &Grid) -> Vec<Source> {
    let mut sources: Vec<Source> = vec![];
    for recipe in grid.cells.iter().map(|cell| &cell.recipe) {
        let evaluations = recipe.evaluations.iter().chain(&recipe.milestone_evaluations);
        let finetunings = recipe.finetunings.iter().map(|finetuning| &finetuning.valid);
        for source in evaluations.map(|evaluation| &evaluation.source).chain(finetunings) {
            if !sources.contains(source) {
                sources.push(source.clone());
            }
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::{Cluster, Score, ScoreRow};

    /// A folder with an experiment on the toy world that the last version without clusters recorded.
    fn recorded() -> (tempfile::TempDir, RunsFolder) {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layout-1.db");
        std::fs::copy(fixture, folder.path().join("runs.db")).unwrap();
        let runs = RunsFolder { path: folder.path().to_owned(), database: None };
        (folder, runs)
    }

    /// A score without its standard error.
    fn without_stderr(row: &ScoreRow) -> ScoreRow {
        ScoreRow { score: Score { stderr: None, ..row.score.clone() }, ..row.clone() }
    }

    #[tokio::test]
    async fn items_of_an_older_version_get_the_clusters_that_this_version_records() {
        let (folder, runs) = recorded();
        let store = Store::open_existing(folder.path(), None).await.unwrap();
        let before = store.scores("layout-1").await.unwrap();
        assert_eq!(fill_clusters(&runs, &store, "layout-1").await.unwrap(), Vec::<String>::new());
        assert_eq!(store.jobs_without_clusters("layout-1").await.unwrap(), []);

        let after = store.scores("layout-1").await.unwrap();
        assert_eq!(
            after.iter().map(without_stderr).collect::<Vec<_>>(),
            before.iter().map(without_stderr).collect::<Vec<_>>()
        );
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        };
        let changed: Vec<Suite> = (before.iter().zip(&after))
            .filter(|(before, after)| !near(before.score.stderr, after.score.stderr))
            .map(|(_, after)| after.score.suite)
            .collect();
        // In this fixture every row has its own story and questions; only EWoK has pairs.
        assert!(!changed.is_empty() && changed.iter().all(|suite| *suite == Suite::Ewok), "{changed:?}");
        for row in after.iter().filter(|row| row.score.suite == Suite::Ewok && row.score.subtask.is_none()) {
            let items = store.items(std::slice::from_ref(&row.job)).await.unwrap().remove(&row.job).unwrap();
            for pair in items.chunks(2) {
                assert!(pair[0].cluster.is_shared() && pair[0].cluster == pair[1].cluster, "{pair:?}");
            }
        }
        let jobs: Vec<String> = after.iter().map(|row| row.job.clone()).collect();
        let items = store.items(&jobs).await.unwrap();
        assert!(items.values().flatten().all(|item| item.cluster != Cluster::Unknown));
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_written_stays_unchanged_and_a_note_says_so() {
        let (folder, runs) = recorded();
        let store = Store::open_read_only(folder.path(), None).await.unwrap();
        let before = store.scores("layout-1").await.unwrap();
        let notes = fill_clusters(&runs, &store, "layout-1").await.unwrap();
        insta::assert_snapshot!(notes.join("\n"), @"the items of 16 jobs have no clusters, because the database cannot be written; each item counts as a cluster of its own");
        assert_eq!(store.scores("layout-1").await.unwrap(), before);
        assert_eq!(store.jobs_without_clusters("layout-1").await.unwrap().len(), 16);
    }
}
