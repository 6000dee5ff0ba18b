//! The rows of the tasks.

use crate::domain::{Cluster, GlueTask, NotText};

use super::super::clusters;
use super::super::error::SuiteError;
use super::super::json_lines::JsonRow;

/// A row of a task: two texts and their class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The first text of the input.
    pub first: String,
    /// The second text of the input; may be empty.
    pub second: String,
    /// The class, less than [`GlueTask::classes`].
    pub label: u32,
}

impl Example {
    /// The rows about one text form a cluster: the paragraph of MultiRC, the passage of BoolQ.
    pub(in crate::suites) fn cluster(&self, task: GlueTask) -> Cluster {
        match task {
            GlueTask::Boolq | GlueTask::Multirc => clusters::sharing(&[&self.second]),
            GlueTask::Mnli | GlueTask::Mrpc | GlueTask::Qqp | GlueTask::Rte | GlueTask::Wsc => Cluster::Itself,
        }
    }
}

/// Reads the rows of the file of a task.
///
/// # Errors
/// If a row does not have the task's format, naming file, line and field, or if there is no row.
pub fn read(task: GlueTask, file: &str, bytes: &[u8]) -> Result<Vec<Example>, SuiteError> {
    let rows = JsonRow::all(file, bytes)?;
    let examples: Vec<Example> = rows.iter().map(|row| example(task, row)).collect::<Result<_, _>>()?;
    match examples.is_empty() {
        true => Err(SuiteError::NotText { file: file.to_owned(), problem: NotText::Empty }),
        false => Ok(examples),
    }
}

fn example(task: GlueTask, row: &JsonRow) -> Result<Example, SuiteError> {
    let text = |field: &str| row.text(field).map(str::to_owned);
    let (first, second) = match task {
        GlueTask::Boolq => (text("question")?, text("passage")?),
        GlueTask::Mnli => (text("premise")?, text("hypothesis")?),
        GlueTask::Mrpc | GlueTask::Rte => (text("sentence1")?, text("sentence2")?),
        GlueTask::Multirc => {
            let question = format!("Question: {} Answer: {}", row.text("question")?, row.text("answer")?);
            (question, text("paragraph")?)
        }
        GlueTask::Qqp => (text("question1")?, text("question2")?),
        GlueTask::Wsc => {
            let (pronoun, noun) = (row.text("span2_text")?, row.text("span1_text")?);
            (format!("Does \"{pronoun}\" refer to \"{noun}\" in this passage?"), text("text")?)
        }
    };
    let label = row.integer("label")?;
    match u32::try_from(label).ok().filter(|label| *label < task.classes()) {
        Some(label) => Ok(Example { first, second, label }),
        None => {
            let last = task.classes() - 1;
            Err(row.error(format!("field `label` should be a class from 0 to {last}, not {label}")))
        }
    }
}
