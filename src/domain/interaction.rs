//! Data that a model of the grid makes: its replies to prompts, and what a teacher makes of the replies.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::base_model::NamedModel;
use super::formatting::Formatting;
use super::sampling::SamplingOptions;
use super::selection::PieceSelection;
use super::source::{Corpus, Dataset, Source};
use super::training::Precision;

/// Where the records of a dataset come from that a stage trains on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum DatasetSource {
    /// Data that exist before the experiment.
    Data(Source),
    /// A model of the experiment makes them.
    Sampled(Box<SampledData>),
}

/// A dataset that a stage trains on.
pub type StageDataset = Dataset<DatasetSource>;

/// The replies of a model to prompts, with or without the judgement of a teacher.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampledData {
    /// The model that replies.
    pub model: SampledModel,
    /// What it replies to.
    pub prompts: PromptSource,
    /// The prompts that are used.
    pub part: PromptPart,
    /// Replies to each prompt; 0 if the model only selects them.
    pub replies: u32,
    /// How replies are sampled.
    pub options: SamplingOptions,
    /// The arithmetic of the model.
    pub precision: Precision,
    /// Who corrects or scores the replies, or rewrites what was selected.
    pub teacher: Option<Teacher>,
}

impl SampledData {
    /// How a prompt and a reply are formatted as text.
    pub fn formatting(&self) -> Formatting {
        match &self.prompts {
            PromptSource::Dataset(dataset) => dataset.formatting.clone(),
            PromptSource::Selected(source) if self.teacher.is_some() => source.against.formatting.clone(),
            // What follows a prompt continues it, and a piece that is not rewritten has nothing but itself.
            PromptSource::Corpus { .. } | PromptSource::Selected(_) => Formatting::CONTINUATION,
        }
    }

    /// The models of the spec that it needs.
    pub fn models(&self) -> impl Iterator<Item = &NamedModel> {
        let own = match &self.model {
            SampledModel::AtStartOfRound => None,
            SampledModel::Named(model) => Some(model),
        };
        let teacher = match &self.teacher {
            Some(Teacher::Model { model, .. }) => Some(model),
            Some(Teacher::Endpoint(..)) | None => None,
        };
        own.into_iter().chain(teacher)
    }

    /// The same, to be changed.
    pub fn models_mut(&mut self) -> impl Iterator<Item = &mut NamedModel> {
        let own = match &mut self.model {
            SampledModel::AtStartOfRound => None,
            SampledModel::Named(model) => Some(model),
        };
        let teacher = match &mut self.teacher {
            Some(Teacher::Model { model, .. }) => Some(model),
            Some(Teacher::Endpoint(..)) | None => None,
        };
        own.into_iter().chain(teacher)
    }

    /// The data that its prompts come from, or that they are selected by.
    pub fn sources(&self) -> Vec<&Source> {
        match &self.prompts {
            PromptSource::Corpus { corpus, .. } => vec![&corpus.source],
            PromptSource::Dataset(dataset) => vec![&dataset.source],
            PromptSource::Selected(source) => vec![&source.corpus.source, &source.against.source],
        }
    }
}

/// The model that replies to prompts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum SampledModel {
    /// The model that the round of a curriculum starts with.
    AtStartOfRound,
    /// A model of the spec before any tuning.
    Named(NamedModel),
}

/// Where prompts come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum PromptSource {
    /// The prompts of the records of a dataset.
    Dataset(Box<Dataset>),
    /// The beginnings of the pieces that a corpus is cut into.
    Corpus {
        /// The corpus.
        corpus: Box<Corpus>,
        /// Tokens of a beginning. A piece has as many more as a reply has at most.
        context: u32,
    },
    /// The pieces of a corpus that a dataset lacks.
    Selected(Box<PieceSource>),
}

/// A corpus, of which the pieces are selected that a dataset lacks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PieceSource {
    /// The corpus.
    pub corpus: Corpus,
    /// The dataset.
    pub against: Dataset,
    /// Which pieces are selected.
    pub selection: PieceSelection,
}

/// A share of the prompts of a source. The shares of the same source have no prompt in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptPart {
    /// The number of this share, from 0.
    pub number: u32,
    /// The number of shares, at least 1.
    pub of: u32,
    /// The most prompts of this share; `None` for all.
    pub most: Option<u32>,
}

impl PromptPart {
    /// The places of the prompts of this share out of `count`, ascending. With several shares, or fewer prompts than there
    /// are, they are drawn as a function of the seed.
    pub fn places(&self, count: usize, seed: u64) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).collect();
        if self.of > 1 || self.most.is_some_and(|most| (most as usize) < count) {
            places.sort_by_key(|place| (super::seed::mix(seed ^ super::seed::mix(*place as u64)), *place));
        }
        let share = places.into_iter().skip(self.number as usize).step_by(self.of as usize);
        let mut share: Vec<usize> = share.take(self.most.map_or(usize::MAX, |most| most as usize)).collect();
        share.sort_unstable();
        share
    }
}

/// Who corrects or scores replies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Teacher {
    /// A model behind an OpenAI-compatible endpoint.
    Endpoint(TeacherRequest, TeacherService),
    /// A model of the spec before any tuning. It replies to the same prompts in the same way, or scores replies by their
    /// likelihood.
    Model {
        /// The model.
        model: NamedModel,
        /// Whether it scores.
        scores: bool,
    },
}

impl Teacher {
    /// Whether the teacher scores replies, and does not correct them.
    pub fn scores(&self) -> bool {
        match self {
            Teacher::Endpoint(request, _) => matches!(request.mode, TeacherMode::Score { .. }),
            Teacher::Model { scores, .. } => *scores,
        }
    }
}

/// What a teacher does with a reply, or with a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherMode {
    /// It writes a better reply. Both make a pair: its own reply is chosen and that of the student rejected.
    Correct,
    /// It scores the reply.
    Score {
        /// The lowest score.
        least: f64,
        /// The highest score.
        greatest: f64,
    },
    /// It rewrites the piece as instructions with responses.
    Rewrite {
        /// Pairs of an instruction and a response out of each piece.
        pairs: u32,
    },
}

/// Everything about a request to a teacher that changes the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeacherRequest {
    /// The name of the model, as the service knows it.
    pub model: String,
    /// The instructions.
    pub prompt: TeacherPrompt,
    /// What to do with a reply.
    pub mode: TeacherMode,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    /// The sampling temperature.
    pub temperature: f64,
    /// The sampling seed, for services that accept one.
    pub seed: u64,
}

/// The instructions for a teacher, in which `{prompt}` and `{reply}` stand for those of the student, or `{text}` for a
/// piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherPrompt {
    /// A file, whose text replaces it before jobs are planned.
    File(PathBuf),
    /// The text.
    Text(String),
}

impl TeacherPrompt {
    /// A line that separates the message of the system, which comes first, from that of the user.
    const BORDER: &str = "---";

    /// The message of the system, if there is one, and that of the user.
    fn messages(text: &str) -> (Option<String>, String) {
        let lines: Vec<&str> = text.lines().collect();
        match lines.iter().position(|line| line.trim_end() == Self::BORDER) {
            Some(border) => (Some(lines[..border].join("\n")), lines[border + 1..].join("\n")),
            None => (None, text.trim_end().to_owned()),
        }
    }

    /// Instructions for rewriting a piece as this many pairs.
    pub fn of_rewriting(pairs: u32) -> Self {
        let what = match pairs {
            1 => "one instruction with its response".to_owned(),
            more => format!("{more} different instructions, each with its response"),
        };
        Self::Text(format!(
            "Rewrite the text below as {what}. An instruction must make sense to somebody who does not know the text, \
             and a response must say only what the text says. Answer in JSON and with nothing else: {{\"pairs\": \
             [{{\"instruction\": \"...\", \"response\": \"...\"}}]}}\n\nText: {{text}}"
        ))
    }

    /// The roles and contents of the messages about one reply, or about a piece with an empty reply.
    ///
    /// Placeholders within the texts that are filled in have no meaning.
    pub fn fill(text: &str, mode: TeacherMode, prompt: &str, reply: &str) -> Vec<(&'static str, String)> {
        let values: &[(&str, &str)] = match mode {
            TeacherMode::Correct | TeacherMode::Score { .. } => &[("{prompt}", prompt), ("{reply}", reply)],
            TeacherMode::Rewrite { .. } => &[("{text}", prompt)],
        };
        let (system, user) = Self::messages(text);
        let user = fill(&user, values);
        system.map(|system| ("system", fill(&system, values))).into_iter().chain([("user", user)]).collect()
    }
}

fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(place) = rest.find('{') {
        filled.push_str(&rest[..place]);
        rest = &rest[place..];
        match values.iter().find(|(name, _)| rest.starts_with(name)) {
            Some((name, value)) => {
                filled.push_str(value);
                rest = &rest[name.len()..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// The service behind which a teacher is. It does not change the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherService {
    /// The base URL, such as `http://localhost:8000/v1`.
    pub endpoint: String,
    /// The environment variable that holds the API key.
    pub api_key: Option<String>,
    /// The most concurrent requests.
    pub parallel: u32,
}

/// How a job reaches a teacher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeacherAccess {
    /// The service.
    pub service: TeacherService,
    /// The folder with the answers of teachers so far.
    pub answers: PathBuf,
    /// Whether no request may be sent, so that only these answers are used.
    pub offline: bool,
}

/// How much a sample or teach job made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampledCount {
    /// Rows: one for each prompt, or for each pair that a piece is rewritten as.
    pub rows: u64,
    /// Words of the student's replies in the rows.
    pub student_words: u64,
    /// Words of the teacher's replies in the rows, or of its instructions and responses.
    pub teacher_words: u64,
    /// Prompts that were left out, because an answer of the teacher was not usable.
    pub unusable: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_prompts_are_disjoint_and_complete() {
        let part = |number, of, most| PromptPart { number, of, most };
        assert_eq!(part(0, 1, None).places(4, 7), [0, 1, 2, 3]);
        let shares: Vec<Vec<usize>> = (0..3).map(|number| part(number, 3, None).places(10, 7)).collect();
        assert_eq!(shares.iter().map(Vec::len).collect::<Vec<_>>(), [4, 3, 3]);
        let mut all = shares.concat();
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(0..10));
        assert_ne!(shares[0], [0, 3, 6, 9], "they are drawn");
        assert_ne!(part(0, 3, None).places(10, 8), shares[0], "by the seed");
        assert_eq!(part(0, 1, Some(2)).places(10, 7).len(), 2);
        assert!(shares[1].ends_with(&part(1, 3, Some(3)).places(10, 7)));
        assert_eq!(part(2, 3, None).places(2, 7), [0usize; 0]);
    }

    #[test]
    fn prompts_of_teachers_are_filled_in_once() {
        let text = "Correct {it}.\n---\nText: {prompt}\nReply: {reply}{\n";
        let fill = |text, prompt, reply| TeacherPrompt::fill(text, TeacherMode::Correct, prompt, reply);
        let messages = fill(text, "a {reply}", "b {prompt}");
        assert_eq!(
            messages,
            [("system", "Correct {it}.".to_owned()), ("user", "Text: a {reply}\nReply: b {prompt}{".to_owned())]
        );
        assert_eq!(fill("{reply}\n", "a", "b"), [("user", "b".to_owned())]);
        let TeacherPrompt::Text(text) = TeacherPrompt::of_rewriting(2) else { panic!("a text") };
        let messages = TeacherPrompt::fill(&text, TeacherMode::Rewrite { pairs: 2 }, "a {reply}", "");
        assert!(messages[0].1.ends_with("\"}]}\n\nText: a {reply}"), "{messages:?}");
    }
}
