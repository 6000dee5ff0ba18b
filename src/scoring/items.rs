//! From the files of a suite or test set to its items.

use thiserror::Error;

use crate::data::{self, DataError};
use crate::domain::{EvalJob, ExamplePool, Layout, LocatedSource, MultipleChoice, Origin, Test, TestItems};
use crate::suites::{self, Item, SuiteError, own};

/// A reason why the items of a job cannot be read.
#[derive(Debug, Error)]
pub enum ItemsError {
    /// The files cannot be read.
    #[error("failed to {0}")]
    Data(#[from] DataError),
    /// The rows are not those of the suite.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// A test set without rows or documents.
    #[error("the test set {0} has no items")]
    Empty(String),
    /// The rows of a test set cannot be used together.
    #[error("the test set {name}: {problem}")]
    TestSet {
        /// The name of the test set.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// The items of a job, and the names of the files that they come from. `locate` finds the files of an origin of the job.
///
/// # Errors
/// Missing, changed or unreadable files; rows that do not follow the format.
pub fn read_items(
    job: &EvalJob,
    locate: impl Fn(&Origin) -> LocatedSource,
) -> Result<(Vec<Item>, Vec<String>), ItemsError> {
    let located = locate(&job.data);
    let set = match &job.test {
        Test::Official(suite) => {
            let files = data::evaluation_files(&located, *suite)?;
            let items = suites::read(*suite, job.mode, &files)?;
            return Ok((items, files.into_iter().map(|(name, _)| name).collect()));
        }
        Test::Own(set) => set,
    };
    let items = match &set.items {
        TestItems::Pairs(format) => {
            let mut reader = own::PairsReader::new(&set.name, format);
            data::each_row_of(&located, format.layout, |row| reader.read(row))?;
            reader.finish()
        }
        TestItems::MultipleChoice(task) => {
            let failed = |problem| ItemsError::TestSet { name: set.name.clone(), problem };
            let rows = rows(&located, task.layout)?;
            let pool = example_pool(task, &rows, job.examples.as_ref().map(locate))?;
            let mut reader = own::TaskReader::new(&set.name, task, pool).map_err(failed)?;
            // The types of columns depend on all rows, so the rows are read again for the place of a problem.
            let mut typed = rows.iter();
            data::each_row_of(&located, task.layout, |row| reader.read(typed.next().unwrap_or(row)))?;
            reader.finish()
        }
        TestItems::Perplexity(text) => own::documents(&set.name, data::documents(&located, &text.text)?, text.stride),
        TestItems::InContext(streams) => {
            let read = data::streams(&located)?.map(|stream| (stream.text, stream.entropies));
            own::stream_items(&set.name, read, streams.after)
        }
    };
    let names = located.files.iter().filter_map(|file| Some(file.path.file_name()?.to_string_lossy().into_owned()));
    match items.is_empty() {
        true => Err(ItemsError::Empty(set.name.clone())),
        false => Ok((items, names.collect())),
    }
}

/// The rows that examples are drawn from.
fn example_pool(
    task: &MultipleChoice,
    scored: &[serde_json::Value],
    others: Option<LocatedSource>,
) -> Result<Vec<serde_json::Value>, DataError> {
    match task.examples.as_ref().map(|examples| &examples.pool) {
        None => Ok(vec![]),
        Some(ExamplePool::Listed(listed)) => Ok(listed.clone()),
        Some(ExamplePool::ScoredRows) => Ok(scored.to_vec()),
        Some(ExamplePool::OtherRows(layout)) => {
            let missing = || DataError::Missing { location: "the files of the examples".to_owned() };
            rows(&others.ok_or_else(missing)?, *layout)
        }
    }
}

/// The rows of a task. Columns of text files have the types that the harness infers.
fn rows(located: &LocatedSource, layout: Layout) -> Result<Vec<serde_json::Value>, DataError> {
    let mut rows = vec![];
    data::each_row_of(located, layout, |row| {
        rows.push(row.clone());
        Ok(())
    })?;
    if matches!(layout, Layout::Csv | Layout::Tsv) {
        own::infer_types(&mut rows);
    }
    Ok(rows)
}
