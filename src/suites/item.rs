//! Items and their candidates, which are the requests to a model.

use crate::domain::{Cluster, PerLength};

/// A request: a text of which the part after some character is to be scored.
///
/// The likelihood of a candidate is the sum of the natural-log probabilities of the tokens that count, each given all
/// tokens before it. It is not normalized by length. The first token of the text does not count unless the mode puts a
/// token before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The whole text.
    pub text: String,
    /// The first scored character, in Unicode scalar values from the start of `text`.
    pub scored_from: usize,
    /// How the text is tokenized, which also determines the tokens that count.
    pub tokenized: Tokenization,
}

impl Candidate {
    /// A text that is scored from its first character.
    pub fn whole(text: &str) -> Candidate {
        Candidate { text: text.to_owned(), scored_from: 0, tokenized: Tokenization::Whole }
    }

    /// A `context`, and a `continuation` that is scored.
    pub fn after(context: &str, continuation: &str, tokenized: Tokenization) -> Candidate {
        Candidate { text: format!("{context}{continuation}"), scored_from: context.chars().count(), tokenized }
    }

    /// The part before the scored one.
    pub fn context(&self) -> &str {
        self.text.split_at(self.boundary()).0
    }

    /// The scored part.
    pub fn scored(&self) -> &str {
        self.text.split_at(self.boundary()).1
    }

    /// The byte at which the scored part starts.
    fn boundary(&self) -> usize {
        self.text.char_indices().nth(self.scored_from).map_or(self.text.len(), |(byte, _)| byte)
    }
}

/// How a [`Candidate`] is tokenized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tokenization {
    /// The text is tokenized once, as a whole. A token counts if it ends after `scored_from`; a token that straddles the
    /// boundary counts entirely.
    Whole,
    /// The method of the official reading task. Let `context` and `word` be the text before and after `scored_from`, and
    /// `ids` the tokens of `word` alone, without special tokens. The first factor is the probability of `ids[0]` after
    /// `tokenize(context)`. For each further id, with `pieces` the decoded texts of the ids before it, the next factor
    /// is the probability of the first token of `tokenize(decode(id))` (without special tokens) after
    /// `tokenize(context + pieces)`. The score is the log of the product.
    Piecewise,
    /// The method of lm-evaluation-harness. The text is tokenized as a whole, and so is the context alone. As many tokens as
    /// the context has do not count, whatever text they stand for; an empty context is the token that opens a text, or
    /// else the one that ends it. Of a text that is too long for the model, the beginning is cut off.
    Harness,
    /// The method for bits per byte. The text is tokenized once, after the token that opens a text, or else the one that
    /// ends it; without either, the first token does not count. A text that is too long for the model is scored in
    /// windows.
    Windows {
        /// The number of tokens that each window after the first one scores; `None` for half of the positions of the model.
        stride: Option<u32>,
    },
    /// The method for streams of symbols. The text is tokenized once, after the tokens that open a text, if there are any.
    /// Each character must be one token. Without a token before it, the first one does not count.
    Symbols,
}

/// The log-probability that a model assigns to a [`Candidate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// Sum of the natural-log probabilities of the tokens that count.
    pub sum: f64,
    /// The number of tokens that count.
    pub tokens: u32,
    /// The number of UTF-8 bytes from the start of the first token that counts to the end of the text.
    pub bytes: u64,
}

impl Truth {
    /// Whether a candidate is right. Of two nonce forms the first one counts as right; where only people's behaviour is
    /// recorded, none is.
    pub(super) fn is_right(&self, candidate: usize) -> bool {
        match self {
            Truth::First | Truth::Share(_) => candidate == 0,
            Truth::Among(right) | Truth::Answers(Answers { right, .. }) => {
                right.iter().any(|&right| right as usize == candidate)
            }
            Truth::Learned(_) | Truth::Measured(_) | Truth::Entropy(_) => false,
        }
    }
}

/// The right answer of an item, or what people did.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// Candidate 0 is right, all others are wrong.
    First,
    /// The candidates of these indices are right, all others are wrong.
    Among(Vec<u32>),
    /// The candidates are answers to a question.
    Answers(Answers),
    /// The fraction of people who gave candidate 0, from 0 to 1.
    Share(f64),
    /// The age in months at which half of the children say the word; `None` if it cannot be determined.
    Learned(Option<f64>),
    /// How people read a word. Candidate 0 is the word; candidate 1, if there is one, is the word before it.
    Measured(Box<Measurements>),
    /// The entropy of the scored part in nats, for someone who knows the language.
    Entropy(f64),
}

/// The answers to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// The text of each answer, by whose length its log-probability may be divided.
    pub texts: Vec<String>,
    /// The indices of the right ones.
    pub right: Vec<u32>,
}

/// A word of the reading suite: the predictors of its reading time that need no model, and the measured times. `None`
/// is a missing value.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurements {
    /// Log frequency of the word (`Subtlex_log10`).
    pub frequency: Option<f64>,
    /// Length of the word in characters.
    pub length: Option<f64>,
    /// Number of words before it in the sentence.
    pub context_length: Option<f64>,
    /// Length of the word before it in characters; -1 if there is none.
    pub previous_length: Option<f64>,
    /// First fixation, first pass, go-past and right-bounded time, in milliseconds.
    pub eye_tracking: [Option<f64>; 4],
    /// Self-paced reading time, in milliseconds.
    pub self_paced: Option<f64>,
    /// ELAN, LAN, N400, P600, EPNP and PNP: event-related potentials, in microvolts.
    pub potentials: [Option<f64>; 6],
}

/// A label of an item in the official report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLabel {
    /// The block of the report that counts by this label.
    pub block: &'static str,
    /// The line of the block that the item belongs to.
    pub value: String,
}

/// One row of an evaluation file.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The task that it belongs to.
    pub task: String,
    /// The subtask, which is the `UID` of the official pipeline.
    pub subtask: String,
    /// The group of the subtask: the linguistic field of BLiMP, the split of entity tracking, otherwise the suite.
    pub group: String,
    /// Further labels by which the official report breaks the accuracy down.
    pub report_labels: Vec<ReportLabel>,
    /// Position within the subtask, counted from 0; rows that the mode excludes are counted too.
    pub index: u32,
    /// The requests.
    pub candidates: Vec<Candidate>,
    /// The right answer.
    pub truth: Truth,
    /// The items of the task that it shares material with; never [`Cluster::Unknown`].
    pub cluster: Cluster,
}

impl Item {
    /// The score of each candidate: its log-probability, normalized as the mode says.
    pub(super) fn scores(&self, length: PerLength, measured: &[Likelihood]) -> Vec<f64> {
        let score = |(candidate, measured): (&Candidate, &Likelihood)| match length {
            PerLength::Whole => measured.sum,
            // If no token counts, the sum is 0.
            PerLength::Token => measured.sum / f64::from(measured.tokens.max(1)),
            PerLength::Byte => measured.sum / candidate.scored().len().max(1) as f64,
        };
        self.candidates.iter().zip(measured).map(score).collect()
    }
}

/// The sums of the candidates of an item, as its outcome records them.
pub(super) fn finite_sums(measured: &[Likelihood]) -> Vec<Option<f64>> {
    measured.iter().map(|&Likelihood { sum, .. }| sum.is_finite().then_some(sum)).collect()
}
