//! The records of instruction datasets.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::domain::{Replies, Role};

use super::words::count_words;

/// A record of a dataset: text of which a part is trained on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// An instruction and its reply, which is trained on.
    Pair {
        /// The text given to the model.
        prompt: String,
        /// The expected reply; never blank in the records that [`records`](super::records()) returns.
        reply: String,
    },
    /// The messages of a conversation, of which those of the assistant are trained on.
    Conversation(Vec<Message>),
    /// The messages of a prompt and those of its completion. Everything that a chat template writes after the generation
    /// prompt is trained on.
    Completion {
        /// The messages that are given.
        prompt: Vec<Message>,
        /// The messages that follow.
        completion: Vec<Message>,
    },
    /// A text, all of which is trained on.
    Text(String),
    /// One text with parts that are trained on.
    Marked(Vec<Segment>),
    /// Pieces that are tokenized one by one and to which nothing is added.
    Segments(Vec<Segment>),
    /// Token ids, and whether each is trained on. Both lists have the same length.
    Tokens {
        /// The ids.
        ids: Vec<u32>,
        /// Whether each id is trained on.
        trained: Vec<bool>,
    },
    /// A record whose reply is bad: the rejected one of a pair, or one that is labelled so. Only objectives that compare
    /// replies read such records.
    Rejected(Box<Record>),
    /// A record whose reply is uncertain to a degree.
    Uncertain(Box<Record>, Uncertainty),
}

/// How uncertain a reply is: a finite number that is not negative.
#[derive(Debug, Clone, Copy)]
pub struct Uncertainty(f64);

impl Uncertainty {
    /// `None` for other numbers.
    pub fn new(value: f64) -> Option<Self> {
        (value.is_finite() && value >= 0.0).then_some(Self(value.abs()))
    }

    /// The number.
    pub fn value(self) -> f64 {
        self.0
    }

    /// Numbers that are not negative have the order of their bits.
    fn bits(self) -> u64 {
        self.0.to_bits()
    }
}

impl PartialEq for Uncertainty {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Uncertainty {}

impl PartialOrd for Uncertainty {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Uncertainty {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bits().cmp(&other.bits())
    }
}

impl Hash for Uncertainty {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// Whether the message is trained on; only messages of the assistant are.
    pub trained: bool,
}

/// A piece of text that is trained on or only conditions what follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Whether it is trained on.
    pub trained: bool,
}

impl Record {
    /// A prompt and its reply.
    pub fn pair(prompt: impl Into<String>, reply: impl Into<String>) -> Self {
        Record::Pair { prompt: prompt.into(), reply: reply.into() }
    }

    /// These replies of a chosen and a rejected record.
    pub(super) fn of_pair([chosen, rejected]: [Record; 2], replies: Replies) -> Vec<Record> {
        match replies {
            Replies::Good => vec![chosen],
            Replies::Pairs | Replies::Labelled => vec![chosen, Record::Rejected(Box::new(rejected))],
        }
    }

    /// Prompt and reply of a pair.
    #[cfg(test)]
    pub(super) fn prompt_and_reply(&self) -> (&str, &str) {
        match self {
            Record::Pair { prompt, reply } => (prompt, reply),
            other => panic!("{other:?} is not a pair"),
        }
    }

    /// Whether nothing but white space is trained on.
    pub(super) fn is_blank(&self) -> bool {
        match self {
            Record::Pair { reply, .. } => reply.trim().is_empty(),
            Record::Conversation(messages) => {
                messages.iter().all(|message| !message.trained || message.content.trim().is_empty())
            }
            Record::Completion { completion, .. } => completion.iter().all(|message| message.content.trim().is_empty()),
            Record::Text(text) => text.trim().is_empty(),
            Record::Marked(segments) | Record::Segments(segments) => {
                segments.iter().all(|segment| !segment.trained || segment.text.trim().is_empty())
            }
            Record::Tokens { trained, .. } => !trained.contains(&true),
            Record::Rejected(record) | Record::Uncertain(record, _) => record.is_blank(),
        }
    }

    /// The text of the record, without what is said about its reply.
    pub fn content(&self) -> &Record {
        match self {
            Record::Rejected(record) | Record::Uncertain(record, _) => record.content(),
            record => record,
        }
    }

    /// Whether its reply is bad.
    pub fn is_rejected(&self) -> bool {
        match self {
            Record::Rejected(_) => true,
            Record::Uncertain(record, _) => record.is_rejected(),
            _ => false,
        }
    }

    /// How uncertain its reply is, if that is known.
    pub fn uncertainty(&self) -> Option<f64> {
        match self {
            Record::Uncertain(_, uncertainty) => Some(uncertainty.value()),
            Record::Rejected(record) => record.uncertainty(),
            _ => None,
        }
    }

    /// The texts of the record, in order; none for token ids.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Record::Pair { prompt, reply } => vec![prompt, reply],
            Record::Conversation(messages) => messages.iter().map(|message| message.content.as_str()).collect(),
            Record::Completion { prompt, completion } => {
                prompt.iter().chain(completion).map(|message| message.content.as_str()).collect()
            }
            Record::Text(text) => vec![text],
            Record::Marked(segments) | Record::Segments(segments) => {
                segments.iter().map(|segment| segment.text.as_str()).collect()
            }
            Record::Tokens { .. } => vec![],
            Record::Rejected(record) | Record::Uncertain(record, _) => record.texts(),
        }
    }

    /// The number of words in the texts. The text of token ids is not known here, so every id counts as a word.
    pub(super) fn words(&self) -> u64 {
        match self {
            Record::Tokens { ids, .. } => ids.len() as u64,
            Record::Marked(segments) | Record::Segments(segments) => {
                // A word may reach over the border of two segments.
                count_words(&segments.iter().map(|segment| segment.text.as_str()).collect::<String>())
            }
            Record::Pair { .. } | Record::Conversation(_) | Record::Completion { .. } | Record::Text(_) => {
                self.texts().into_iter().map(count_words).sum()
            }
            Record::Rejected(record) | Record::Uncertain(record, _) => record.words(),
        }
    }

    /// The approximate length of the record in bytes of text.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Record::Tokens { ids, .. } => 4 * ids.len(),
            Record::Rejected(record) | Record::Uncertain(record, _) => record.bytes(),
            _ => self.texts().into_iter().map(str::len).sum(),
        }
    }
}
