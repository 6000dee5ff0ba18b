//! Clusters for items that were recorded before there were any, from the data that they were scored on.

use std::collections::BTreeMap;

use super::args::Cli;
use super::failure::{Failure, store_failure};
use super::workspace::SpecText;
use crate::data::{self, Survey};
use crate::domain::{Grid, ItemOutcome, Job, JobId, LocatedSource, Origin, Source, Stderr, Suite, counted};
use crate::store::Store;
use crate::suites::{self, glue};

/// Gives the items of an experiment their clusters where the database does not have them, and the scores the standard
/// errors that follow: needed once, for what older builds of grid have recorded. Returns what the user should know.
///
/// Data are looked for where the spec of the experiment has them, and used only if their digest is that of the data
/// that were scored. A database that cannot be written stays as it is, and the note says so.
///
/// # Errors
/// Those of the database. Data that are gone are no error, but a note.
pub async fn fill_clusters(cli: &Cli, store: &Store, experiment: &str) -> Result<Vec<String>, Failure> {
    let jobs = store.jobs_without_clusters(experiment).await.map_err(store_failure)?;
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    if !store.is_writable() {
        return Ok(vec![note(jobs.len(), "as the database cannot be written")]);
    }
    let stored = store.experiment(Some(experiment)).await.map_err(store_failure)?;
    let located = evaluation_data(cli, &SpecText::kept(stored.experiment));
    let mut unknown = 0;
    for id in jobs {
        let id_text = id.to_string();
        let recorded = store.items(std::slice::from_ref(&id_text)).await.map_err(store_failure)?.remove(&id_text);
        match clustered(store, id, &located, recorded.unwrap_or_default()).await? {
            Some((items, stderrs)) => store.record_clusters(id, &items, &stderrs).await.map_err(store_failure)?,
            None => unknown += 1,
        }
    }
    Ok(if unknown == 0 { vec![] } else { vec![note(unknown, "as their data are no longer there")] })
}

fn note(jobs: usize, why: &str) -> String {
    format!(
        "the items of {} have no clusters, {why}; each item counts as a cluster of its own",
        counted(jobs as u64, "job")
    )
}

/// The recorded items of a job with their clusters, and the standard errors of its scores; `None` without its data.
async fn clustered(
    store: &Store,
    id: JobId,
    located: &BTreeMap<Origin, LocatedSource>,
    mut items: Vec<ItemOutcome>,
) -> Result<Option<(Vec<ItemOutcome>, Vec<Stderr>)>, Failure> {
    let Some((job, _)) = store.job(id).await.map_err(store_failure)? else { return Ok(None) };
    let stderrs = match &job {
        Job::Eval(eval) => found(&eval.data, located)
            .and_then(|data| data::evaluation_files(&data, eval.suite).ok())
            .and_then(|files| suites::read(eval.suite, eval.mode, &files).ok())
            .and_then(|rows| suites::recluster(eval.suite, &rows, &mut items)),
        Job::Finetune(finetune) => found(&finetune.valid, located)
            .and_then(|data| data::evaluation_file(&data, Suite::Glue, &finetune.task.valid_file()).ok())
            .and_then(|(file, bytes)| glue::read(finetune.task, &file, &bytes).ok())
            .and_then(|rows| glue::recluster(finetune.task, &rows, &mut items)),
        Job::Tokenizer(_) | Job::Prepare(_) | Job::Pretrain(_) | Job::Import(_) | Job::Tune(_) => None,
    };
    Ok(stderrs.map(|stderrs| (items, stderrs)))
}

/// The data that a job names; the toy world needs no file.
fn found(origin: &Origin, located: &BTreeMap<Origin, LocatedSource>) -> Option<LocatedSource> {
    match origin {
        Origin::World { .. } => Some(LocatedSource { origin: origin.clone(), files: vec![] }),
        Origin::Content { .. } => located.get(origin).cloned(),
        Origin::Missing { .. } => None,
    }
}

/// The evaluation data of a spec that are still there, by what they hold. A spec that this build cannot read has none.
fn evaluation_data(cli: &Cli, spec: &SpecText) -> BTreeMap<Origin, LocatedSource> {
    let Ok(grid) = spec.grid() else { return BTreeMap::new() };
    let mut survey = Survey::open(&cli.runs_dir.join("survey.json"));
    if let Ok(shelf) = spec.shelf() {
        survey = survey.with_cache(shelf);
    }
    let located = evaluation_sources(&grid).into_iter().filter_map(|source| survey.locate(&source).ok());
    located.map(|located| (located.origin.clone(), located)).collect()
}

/// What the models of a spec are scored on.
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

    use clap::Parser;

    use super::*;
    use crate::domain::{Cluster, Score, ScoreRow};

    /// A folder with what the last build without clusters recorded of an experiment on the toy world.
    fn recorded() -> (tempfile::TempDir, Cli) {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layout-1.db");
        std::fs::copy(fixture, folder.path().join("runs.db")).unwrap();
        let runs_dir = folder.path().to_str().unwrap().to_owned();
        let cli = Cli::try_parse_from(["grid", "--runs-dir", &runs_dir, "status"]).unwrap();
        (folder, cli)
    }

    /// A score without its standard error.
    fn rest(row: &ScoreRow) -> ScoreRow {
        ScoreRow { score: Score { stderr: None, ..row.score.clone() }, ..row.clone() }
    }

    #[tokio::test]
    async fn items_of_an_older_build_get_the_clusters_that_todays_would_record() {
        let (folder, cli) = recorded();
        let store = Store::open_existing(folder.path(), None).await.unwrap();
        let before = store.scores("layout-1").await.unwrap();
        assert_eq!(fill_clusters(&cli, &store, "layout-1").await.unwrap(), Vec::<String>::new());
        assert_eq!(store.jobs_without_clusters("layout-1").await.unwrap(), []);

        let after = store.scores("layout-1").await.unwrap();
        assert_eq!(after.iter().map(rest).collect::<Vec<_>>(), before.iter().map(rest).collect::<Vec<_>>());
        let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() < 1e-9,
            (a, b) => a == b,
        };
        let changed: Vec<Suite> = (before.iter().zip(&after))
            .filter(|(before, after)| !near(before.score.stderr, after.score.stderr))
            .map(|(_, after)| after.score.suite)
            .collect();
        // Here the stories and the questions of every row are its own; only EWoK has pairs.
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
    async fn a_database_that_cannot_be_written_stays_as_it_is_and_says_so() {
        let (folder, cli) = recorded();
        let store = Store::open_read_only(folder.path(), None).await.unwrap();
        let before = store.scores("layout-1").await.unwrap();
        let notes = fill_clusters(&cli, &store, "layout-1").await.unwrap();
        insta::assert_snapshot!(notes.join("\n"), @"the items of 16 jobs have no clusters, as the database cannot be written; each item counts as a cluster of its own");
        assert_eq!(store.scores("layout-1").await.unwrap(), before);
        assert_eq!(store.jobs_without_clusters("layout-1").await.unwrap().len(), 16);
    }
}
