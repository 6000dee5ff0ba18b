//! The output of sample and teach jobs: rows with prompts and replies, and a count of them.
//!
//! | job | row |
//! |---|---|
//! | sample | `{"prompt": ..., "replies": [...]}` |
//! | teach, if the teacher corrects | `{"prompt": ..., "chosen": ..., "rejected": ...}` |
//! | teach, if the teacher scores | `{"prompt": ..., "replies": [...], "scores": [...]}` |
//! | teach, if the teacher rewrites | `{"prompt": ..., "reply": ..., "piece": ...}` |
//!
//! A sample job that selects pieces writes each of them as a prompt without replies.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::atomic::replace_file;
use super::error::DataError;
use super::files::read_text;
use super::words::count_words;
use crate::domain::{SampledCount, SourceFile};

/// What stands between two documents in the prompts and replies of rows whose replies continue a piece of a corpus. It is the
/// same whatever the end-of-text token of the model is, because a model with another one may read the rows.
pub const DOCUMENT_BORDER: &str = "<|endoftext|>";

/// The file with the rows.
pub const ROWS: &str = "rows.jsonl";

/// The file with the [`SampledCount`].
const COUNT: &str = "count.json";

/// A prompt and the replies of a model to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampledRow {
    /// The prompt, without its template.
    pub prompt: String,
    /// The replies, in the order of their draws.
    pub replies: Vec<String>,
    /// Whether the prompt is the beginning of a piece of a corpus, which the replies continue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

/// A prompt with the reply of the student and a better one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CorrectedRow {
    /// The prompt.
    pub prompt: String,
    /// The reply of the teacher.
    pub chosen: String,
    /// The reply of the student.
    pub rejected: String,
}

/// A prompt with the replies of the student and their scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredRow {
    /// The prompt.
    pub prompt: String,
    /// The replies.
    pub replies: Vec<String>,
    /// Their scores; higher is better.
    pub scores: Vec<f64>,
}

/// An instruction with its response, as which a piece of text was rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewrittenRow {
    /// The instruction.
    pub prompt: String,
    /// The response.
    pub reply: String,
    /// The digest of the piece.
    pub piece: String,
}

impl RewrittenRow {
    /// Words of the instruction and the response.
    pub fn teacher_words(&self) -> u64 {
        count_words(&self.prompt) + count_words(&self.reply)
    }
}

impl SampledRow {
    /// The prompt, or one of the replies, as people read it: with blank lines between documents.
    pub fn readable(&self, text: &str) -> String {
        match self.continues {
            true => text.replace(DOCUMENT_BORDER, "\n\n").trim().to_owned(),
            false => text.trim().to_owned(),
        }
    }

    /// The reply of a teacher, with a space before it if it continues the prompt with a new word.
    pub fn join(&self, reply: &str) -> String {
        let closes = |c: char| ".,;:!?)]}'’”…%".contains(c) || c.is_whitespace();
        let separate = self.continues && !self.prompt.ends_with(char::is_whitespace) && !reply.starts_with(closes);
        if separate { format!(" {reply}") } else { reply.to_owned() }
    }

    /// Words of all replies.
    pub fn reply_words(&self) -> u64 {
        self.replies.iter().map(|reply| count_words(reply)).sum()
    }
}

impl CorrectedRow {
    /// Words of the reply of the student.
    pub fn student_words(&self) -> u64 {
        count_words(&self.rejected)
    }

    /// Words of the reply of the teacher.
    pub fn teacher_words(&self) -> u64 {
        count_words(&self.chosen)
    }
}

impl ScoredRow {
    /// Words of all replies.
    pub fn student_words(&self) -> u64 {
        self.replies.iter().map(|reply| count_words(reply)).sum()
    }
}

/// Writes the output of a sample or teach job into its folder.
///
/// # Errors
/// A disk that cannot be written.
pub fn write_sampled<T: Serialize>(folder: &Path, rows: &[T], count: SampledCount) -> Result<(), DataError> {
    let path = folder.join(ROWS);
    let write = || {
        let mut file = BufWriter::new(fs::File::create(&path)?);
        for row in rows {
            serde_json::to_writer(&mut file, row)?;
            file.write_all(b"\n")?;
        }
        file.into_inner().map_err(|error| error.into_error())?.sync_all()
    };
    write().map_err(DataError::io("write", &path))?;
    let path = folder.join(COUNT);
    let text = serde_json::to_vec_pretty(&count).expect("a count has string keys");
    replace_file(&path, &text).map_err(DataError::io("write", &path))
}

/// The rows that a sample job wrote.
///
/// # Errors
/// A file that cannot be read, that is not the expected one, or whose lines are not such rows.
pub fn sampled_rows(file: &SourceFile) -> Result<Vec<SampledRow>, DataError> {
    let text = read_text(file)?;
    let damaged = |(line, error): (usize, serde_json::Error)| DataError::Damaged {
        path: file.path.clone(),
        problem: format!("line {}: {error}", line + 1),
    };
    let row = |(line, text)| serde_json::from_str(text).map_err(|error| damaged((line, error)));
    text.lines().enumerate().map(row).collect()
}

/// How much a job made, whose output folder this is.
///
/// # Errors
/// A file that cannot be read or is damaged.
pub fn sampled_count(folder: &Path) -> Result<SampledCount, DataError> {
    read_json(&folder.join(COUNT))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, DataError> {
    let bytes = fs::read(path).map_err(DataError::io("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| DataError::Damaged { path: path.to_owned(), problem: error.to_string() })
}
