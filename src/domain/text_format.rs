//! How files of text become documents and records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::objective::Replies;
use super::ranking::Ranking;
use super::row_format::{InstructionPosition, Role, RowFormat};
use super::template::Pattern;

/// The file format of rows with named fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Layout {
    /// A JSON object on every line, or one JSON array of objects.
    #[default]
    Json,
    /// Comma-separated values with a header line.
    Csv,
    /// Tab-separated values with a header line.
    Tsv,
    /// Apache Parquet.
    Parquet,
}

impl Layout {
    /// The layout of a file of this name, by its extension before `.gz`; JSON for an unknown extension.
    pub fn of_file(name: &str) -> Self {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("csv") => Layout::Csv,
            Some("tsv") => Layout::Tsv,
            Some("parquet") => Layout::Parquet,
            _ => Layout::Json,
        }
    }

    /// The name used in specs and messages.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How a text corpus is divided into documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Documents {
    /// Blank lines separate documents.
    #[default]
    BlankLine,
    /// Every line is a document.
    Line,
    /// This number of consecutive lines is a document, for text without document boundaries such as transcripts.
    Lines(u32),
    /// Every row of a file with rows is a document.
    Rows {
        /// The format of the file.
        layout: Layout,
        /// The field that holds the text.
        text: String,
    },
}

/// How a corpus is divided into documents and cleaned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusFormat {
    /// How the text is divided into documents.
    pub documents: Documents,
    /// Lines with fewer whitespace-separated words are dropped; 0 or 1 keeps all.
    pub min_words: u32,
    /// Characters to remove before anything is counted; runs of spaces around them become one space.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remove: String,
    /// Whether consecutive `A:<TAB>utterance` lines of one speaker are merged into one, after short ones were dropped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub merge_turns: bool,
}

/// How the files of a dataset become records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "format")]
pub enum DatasetFormat {
    /// Unknown until the files are found; then it is replaced by the format that the fields of the first row show. Jobs
    /// have it only while their data are missing.
    Detected {
        /// Read only the first rows, this many; `None` reads all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
    },
    /// Rows in a published layout, with the fields that it defines.
    Rows {
        /// The format of the file.
        #[serde(default, skip_serializing_if = "is_json")]
        layout: Layout,
        /// The layout of a row.
        row: RowFormat,
        /// Other names of fields, by the name that the layout defines.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<String, String>,
        /// What other names of roles mean: `user`, `assistant`, `system` or `tool`, by the name in the data.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        roles: BTreeMap<String, Role>,
        /// The replies to read, of layouts that also have bad ones.
        #[serde(default, skip_serializing_if = "Replies::is_good")]
        replies: Replies,
        /// How a pair is picked out of several replies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ranking: Option<Ranking>,
        /// Where the instruction of a row with an input stands.
        #[serde(default, skip_serializing_if = "InstructionPosition::is_pre")]
        position: InstructionPosition,
        /// The field with the uncertainty of the reply, a number that is not negative. Of the toy world it is `random`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uncertainty: Option<String>,
        /// Read only the first rows, this many; `None` reads all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
    },
    /// Rows with fields for prompt and reply. Of a field that is a list of texts, the first one is used.
    Records {
        /// The format of the file.
        #[serde(default, skip_serializing_if = "is_json")]
        layout: Layout,
        /// The prompt.
        prompt: Pattern,
        /// The reply.
        reply: Pattern,
        /// Read only the first rows, this many; `None` reads all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u64>,
    },
    /// Dialogues: `A:<TAB>utterance` lines, or JSON lines with `turns: [[speaker, text, ...], ...]`. Utterances of
    /// fewer than `min_words` words are dropped, consecutive ones of one speaker are merged, and then every turn except
    /// the last is a prompt with the next turn as its reply (CLASS-IT section 3).
    Dialogue {
        /// The shortest utterance that is kept, in words.
        min_words: u32,
        /// Whether to ignore the boundaries of dialogues within a file (blank lines, JSON lines), so that turns are merged
        /// and paired across them.
        #[serde(default, skip_serializing_if = "is_false")]
        across: bool,
        /// Characters to remove first, as in [`CorpusFormat::remove`].
        #[serde(default, skip_serializing_if = "String::is_empty")]
        remove: String,
    },
    /// SQuAD JSON: the prompt is the question, the reply is its first answer.
    Squad {
        /// Whether the prompt contains the paragraph before the question.
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
    /// JSON rows with prompt and reply in these fields.
    pub fn json(prompt: &str, reply: &str) -> Self {
        let (prompt, reply) = (Pattern::field(prompt), Pattern::field(reply));
        DatasetFormat::Records { layout: Layout::Json, prompt, reply, first: None }
    }

    /// Dialogues that are kept separate and with all characters.
    pub fn dialogue(min_words: u32) -> Self {
        DatasetFormat::Dialogue { min_words, across: false, remove: String::new() }
    }

    /// Rows in a published layout, with its own names of fields.
    pub fn rows(layout: Layout, row: RowFormat) -> Self {
        let (fields, roles) = (BTreeMap::new(), BTreeMap::new());
        DatasetFormat::Rows {
            layout,
            row,
            fields,
            roles,
            replies: Replies::Good,
            ranking: None,
            position: InstructionPosition::Pre,
            uncertainty: None,
            first: None,
        }
    }

    /// The same files, with these replies of each row; `None` if they have no such replies.
    pub fn with_replies(&self, wanted: Replies) -> Option<Self> {
        let mut format = self.clone();
        match (&mut format, wanted) {
            (DatasetFormat::Rows { row: RowFormat::Preference, replies, .. }, _)
            | (DatasetFormat::Rows { row: RowFormat::Replies, replies, .. }, Replies::Good | Replies::Pairs)
            | (DatasetFormat::Rows { row: RowFormat::Kto, replies, .. }, Replies::Good | Replies::Labelled) => {
                *replies = wanted;
            }
            // What the files have is not known yet.
            (DatasetFormat::Detected { .. }, _) | (_, Replies::Good) => {}
            (_, Replies::Pairs | Replies::Labelled) => return None,
        }
        Some(format)
    }

    /// The same rows, with the uncertainty of each in this field; other formats have no such field and stay as they are.
    pub fn with_uncertainty(mut self, field: Option<&str>) -> Self {
        if let DatasetFormat::Rows { uncertainty, .. } = &mut self {
            *uncertainty = field.map(str::to_owned);
        }
        self
    }

    /// The position of the instruction, if rows can have an input.
    pub fn position(&self) -> Option<InstructionPosition> {
        match self {
            DatasetFormat::Rows { row: RowFormat::Alpaca, position, .. } => Some(*position),
            _ => None,
        }
    }

    /// The same rows, with the instruction in this position; other formats have no input and stay as they are.
    pub fn with_position(mut self, wanted: InstructionPosition) -> Self {
        if let DatasetFormat::Rows { row: RowFormat::Alpaca, position, .. } = &mut self {
            *position = wanted;
        }
        self
    }

    /// Whether each record has an uncertainty.
    pub fn has_uncertainty(&self) -> bool {
        matches!(self, DatasetFormat::Rows { uncertainty: Some(_), .. })
    }

    /// The replies that are read.
    pub fn replies(&self) -> Replies {
        match self {
            DatasetFormat::Rows { replies, .. } => *replies,
            _ => Replies::Good,
        }
    }

    /// The number of rows to read, if it is limited.
    pub fn first(&self) -> Option<u64> {
        match self {
            DatasetFormat::Detected { first }
            | DatasetFormat::Rows { first, .. }
            | DatasetFormat::Records { first, .. } => *first,
            DatasetFormat::Dialogue { .. } | DatasetFormat::Squad { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options that were added later leave the identity of formats without them unchanged.
    #[test]
    fn default_options_are_not_part_of_the_identity() {
        let json = |format: &DatasetFormat| serde_json::to_string(format).unwrap();
        assert_eq!(json(&DatasetFormat::json("q", "a")), r#"{"format":"records","prompt":"q","reply":"a"}"#);
        assert_eq!(json(&DatasetFormat::dialogue(3)), r#"{"format":"dialogue","min_words":3}"#);
        let corpus = serde_json::to_string(&CorpusFormat::default()).unwrap();
        assert_eq!(corpus, r#"{"documents":"blank_line","min_words":0}"#);
    }
}
