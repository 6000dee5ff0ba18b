//! Items and the requests they make.

use crate::domain::{Cluster, PerLength};

/// A text whose continuation from some character on is to be scored.
///
/// The score is the sum of natural-log probabilities of the tokens that count, each given all tokens before it. There
/// is no normalisation by length, and the first token of all never counts: nothing stands before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// The whole text.
    pub text: String,
    /// Where scoring starts, in Unicode scalar values from the start of `text`.
    pub scored_from: usize,
    /// How the text becomes tokens, and with it which tokens count.
    pub tokenized: Tokenized,
}

impl Candidate {
    /// A text scored from its first character.
    pub fn whole(text: &str) -> Candidate {
        Candidate { text: text.to_owned(), scored_from: 0, tokenized: Tokenized::Whole }
    }

    /// `context` followed by a scored `continuation`.
    pub fn after(context: &str, continuation: &str, tokenized: Tokenized) -> Candidate {
        Candidate { text: format!("{context}{continuation}"), scored_from: context.chars().count(), tokenized }
    }

    /// What stands before the scored part.
    pub fn context(&self) -> &str {
        self.text.split_at(self.border()).0
    }

    /// The scored part.
    pub fn scored(&self) -> &str {
        self.text.split_at(self.border()).1
    }

    /// The byte at which the scored part begins.
    fn border(&self) -> usize {
        self.text.char_indices().nth(self.scored_from).map_or(self.text.len(), |(byte, _)| byte)
    }
}

/// How a [`Candidate`] becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tokenized {
    /// The text is tokenized once, as a whole. A token counts if it ends after `scored_from`, so one that straddles the
    /// border counts entirely.
    Whole,
    /// The official reading task's way. Let `context` and `word` be the text before and after `scored_from`, and `ids`
    /// the tokens of `word` alone, without special tokens. The first factor is the probability of `ids[0]` after
    /// `tokenize(context)`. For each further id, with `pieces` the decoded texts of the ids before it, the next factor
    /// is the probability of the first token of `tokenize(decode(id))` (without special tokens) after
    /// `tokenize(context + pieces)`. The score is the log of the product.
    Piecewise,
}

/// What a model says of a [`Candidate`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Likelihood {
    /// Sum of the natural-log probabilities of the tokens that count.
    pub sum: f64,
    /// How many count.
    pub tokens: u32,
}

/// What people did, or what is right.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// Candidate 0 is right, all others are wrong.
    First,
    /// The share of people who gave candidate 0, in 0..=1.
    Share(f64),
    /// The age in months at which half of the children say the word; `None` where none can be told.
    Learned(Option<f64>),
    /// How people read the word; candidate 0 is the word, candidate 1, where there is one, the word before it.
    Measured(Box<Measurements>),
}

/// A word of the reading suite: what explains reading times without a model, and the times. `None` is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurements {
    /// Log frequency of the word (`Subtlex_log10`).
    pub frequency: Option<f64>,
    /// Characters of the word.
    pub length: Option<f64>,
    /// Words before it in the sentence.
    pub context_length: Option<f64>,
    /// Characters of the word before; -1 when there is none.
    pub previous_length: Option<f64>,
    /// First fixation, first pass, go-past and right-bounded time, in milliseconds.
    pub eye_tracking: [Option<f64>; 4],
    /// Self-paced reading time, in milliseconds.
    pub self_paced: Option<f64>,
    /// ELAN, LAN, N400, P600, EPNP and PNP: event-related potentials, in microvolts.
    pub potentials: [Option<f64>; 6],
}

/// One row of an evaluation file.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// The task it belongs to.
    pub task: String,
    /// Its subtask, the `UID` of the official pipeline.
    pub subtask: String,
    /// What the subtask belongs to: the linguistic field of BLiMP, the split of entity tracking; else the suite.
    pub group: String,
    /// Further words by which the official report counts, each with the name of its block.
    pub kinds: Vec<(&'static str, String)>,
    /// Position within the subtask, from 0, rows that the mode drops included.
    pub index: u32,
    /// The requests.
    pub candidates: Vec<Candidate>,
    /// What they are judged by.
    pub truth: Truth,
    /// The items of the task that it shares material with; never [`Cluster::Unknown`].
    pub cluster: Cluster,
}

impl Item {
    /// The score of each candidate: its log-probability, divided by what the rules say.
    pub(super) fn scores(&self, length: PerLength, measured: &[Likelihood]) -> Vec<f64> {
        let score = |(candidate, measured): (&Candidate, &Likelihood)| match length {
            PerLength::Whole => measured.sum,
            // A candidate none of whose tokens counts has the sum 0.
            PerLength::Token => measured.sum / f64::from(measured.tokens.max(1)),
            PerLength::Byte => measured.sum / candidate.scored().len().max(1) as f64,
        };
        self.candidates.iter().zip(measured).map(score).collect()
    }
}
