//! How files of text become documents and records.

use serde::{Deserialize, Serialize};

use super::template::Pattern;

/// The layout of a file of rows with named fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A JSON object on every line, or one JSON list of objects.
    #[default]
    Json,
    /// Comma-separated values under a line of names.
    Csv,
    /// Tab-separated values under a line of names.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

/// What separates the documents of a text corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Documents {
    /// Blank lines.
    #[default]
    BlankLine,
    /// Every line is one.
    Line,
    /// So many consecutive lines are one (text without borders, such as transcripts).
    Lines(u32),
    /// Every row of a file of rows is one.
    Rows {
        /// Layout of the file.
        layout: Layout,
        /// The field that holds the text.
        text: String,
    },
}

/// How a corpus is cut and cleaned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusFormat {
    /// Document borders.
    pub documents: Documents,
    /// Lines with fewer whitespace-separated words are dropped; 0 or 1 keeps all.
    pub min_words: u32,
    /// Characters that are taken out before anything is counted; runs of spaces then become one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remove: String,
    /// Whether neighbouring `A:<TAB>utterance` lines of one speaker become one line, after short ones were dropped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub merge_turns: bool,
}

/// How a dataset's files become prompt/reply records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "format")]
pub enum DatasetFormat {
    /// Rows with fields for each side; a field that is a list of texts stands for its first.
    Records {
        /// Layout of the file.
        #[serde(default, skip_serializing_if = "is_json")]
        layout: Layout,
        /// The prompt.
        prompt: Pattern,
        /// The reply.
        reply: Pattern,
        /// How many rows are read, the first ones; `None` reads all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
    },
    /// Dialogues: `A:<TAB>utterance` lines, or JSON lines with `turns: [[speaker, text, ...], ...]`. Utterances of
    /// fewer than `min_words` words are dropped, neighbours of one speaker merged, then every turn but the last is
    /// a prompt and the turn after it its reply (CLASS-IT section 3).
    Dialogue {
        /// Shortest utterance kept, in words.
        min_words: u32,
        /// Whether the borders of dialogues within a file (blank lines, JSON lines) are ignored: turns then merge and
        /// windows run across them.
        #[serde(default, skip_serializing_if = "is_false")]
        across: bool,
        /// Characters that are taken out first, as in [`CorpusFormat::remove`].
        #[serde(default, skip_serializing_if = "String::is_empty")]
        remove: String,
    },
    /// SQuAD-format JSON: the prompt is the question, the reply its first answer.
    Squad {
        /// Whether the paragraph stands before the question in the prompt.
        with_context: bool,
    },
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_json(layout: &Layout) -> bool {
    *layout == Layout::Json
}

impl DatasetFormat {
    /// JSON rows with the sides in these fields.
    pub fn json(prompt: &str, reply: &str) -> Self {
        let (prompt, reply) = (Pattern::field(prompt), Pattern::field(reply));
        DatasetFormat::Records { layout: Layout::Json, prompt, reply, first: None }
    }

    /// Dialogues with their borders and all characters.
    pub fn dialogue(min_words: u32) -> Self {
        DatasetFormat::Dialogue { min_words, across: false, remove: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Formats that say nothing new keep the identity they had.
    #[test]
    fn what_is_left_out_is_not_in_the_identity() {
        let json = |format: &DatasetFormat| serde_json::to_string(format).unwrap();
        assert_eq!(json(&DatasetFormat::json("q", "a")), r#"{"format":"records","prompt":"q","reply":"a"}"#);
        assert_eq!(json(&DatasetFormat::dialogue(3)), r#"{"format":"dialogue","min_words":3}"#);
        let corpus = serde_json::to_string(&CorpusFormat::default()).unwrap();
        assert_eq!(corpus, r#"{"documents":"blank_line","min_words":0}"#);
    }
}
