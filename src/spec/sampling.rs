//! Data that a model of the grid makes: the keys `sample:` and `teacher:`.

use std::path::Path;

use crate::domain::{
    DatasetFormat, Layout, Pattern, PieceSelection, Ranking, Replies, RowFormat, SamplingOptions, TeacherMode,
    TeacherPrompt, TeacherRequest, TeacherService,
};

use super::build;
use super::fields::Fields;
use super::names::Names;
use super::problem::{Log, Mark};
use super::ranking::ranking;
use super::scalars::{self, Within, choice, path, real, reference, small, text};
use super::selection::Select;
use super::tree::{Node, Value};

/// The mapping that says how replies are sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SamplingPlace {
    /// `sample:` of a curriculum with rounds.
    Round,
    /// `build:` of a dataset.
    Dataset,
}

/// How replies are sampled and judged, before the prompts are looked up.
#[derive(Debug, Clone)]
pub(super) struct Sampling {
    pub prompts: PromptName,
    /// The most prompts.
    pub most: Option<u32>,
    /// Replies to each prompt; 0 if the model only selects them.
    pub replies: u32,
    pub options: SamplingOptions,
    /// The name of the model that replies; `None` for the model at the start of a round.
    pub model: Option<String>,
    pub teacher: Option<TeacherKeys>,
    ranking: Option<Ranking>,
}

/// Who corrects or scores replies, before models are looked up.
#[derive(Debug, Clone)]
pub(super) enum TeacherKeys {
    Endpoint(TeacherRequest, TeacherService),
    Model { name: String, scores: bool },
}

impl TeacherKeys {
    fn scores(&self) -> bool {
        match self {
            TeacherKeys::Endpoint(request, _) => matches!(request.mode, TeacherMode::Score { .. }),
            TeacherKeys::Model { scores, .. } => *scores,
        }
    }
}

/// The name of the text that prompts come from.
#[derive(Debug, Clone)]
pub(super) enum PromptName {
    Dataset(String),
    Corpus { name: String, context: u32 },
    Selected { from: String, against: String, selection: PieceSelection },
}

/// What a teacher is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Replies,
    Pieces,
}

impl Sampling {
    /// Decodes `sample:` of a curriculum with rounds, or `build:` of a dataset with the key `sample:`, and the keys `teacher:`
    /// and `pairs:` beside it.
    ///
    /// | key | meaning | default |
    /// |---|---|---|
    /// | `sample:` | the model of the spec that replies, before any tuning (only in `build:`) | required |
    /// | `corpus:` | a corpus, whose pieces begin with the prompts | this or `dataset:` |
    /// | `context:` | tokens of the beginning of a piece (`corpus`) | 256 |
    /// | `dataset:` | a dataset with the prompts | |
    /// | `prompts:` | the most prompts, of a curriculum the most of each round | all |
    /// | `n:` | replies to each prompt | 1; 4 with scores |
    /// | `max_tokens:`, `min_tokens:` | tokens of a reply | 256, 1 |
    /// | `temperature:`, `top_p:`, `top_k:` | the sampling; a temperature of 0 takes the most probable token | 1, 1, none |
    ///
    /// `teacher:` is decoded by [`teacher`]. `pairs:` says how a pair is picked out of several replies with scores, those of
    /// the teacher or those of `constraints:`; see [`ranking`].
    pub(super) fn decode(
        place: SamplingPlace,
        node: &Node,
        beside: &mut Fields,
        names: &Names,
        root: &Path,
        log: &Log,
    ) -> Option<Sampling> {
        if let (SamplingPlace::Dataset, Some(select)) = (place, node.get("select")) {
            return Self::decode_selection(node, select, beside, names, root, log);
        }
        let judge = beside.take("teacher").map(|node| teacher(node, Subject::Replies, names, root, log));
        let pairs = beside.take("pairs").map(|node| node.mark);
        let scores = pairs.is_some() || judge.iter().flatten().any(TeacherKeys::scores);
        let ranking = if scores { Some(ranking(beside, RowFormat::Replies).unwrap_or_default()) } else { None };
        check_scores(pairs, judge.as_ref(), ranking.as_ref(), log);
        let subject = match place {
            SamplingPlace::Round => "'sample'",
            SamplingPlace::Dataset => "'build'",
        };
        let mut own = Fields::of(node, subject, log)?;
        let model = match place {
            SamplingPlace::Round => Some(None),
            SamplingPlace::Dataset => {
                own.required("sample", "a model of the spec", reference("model", &names.models)).map(Some)
            }
        };
        let prompts = prompts(subject, &mut own, names);
        let most = own.get("prompts", None, |value| small(1..=100_000_000)(value).map(Some));
        let replies = own.get("n", if scores { 4 } else { 1 }, small(1..=1_000));
        if let Some(node) = own.take("n").filter(|_| (replies > 1) != scores) {
            let (reason, hint) = match scores {
                true => ("a pair is picked out of at least two replies", "set `n: 4`"),
                false => (
                    "several replies to a prompt need scores",
                    "set `n: 1`, or have the replies scored: `teacher: {mode: score}` or `pairs: {constraints: ...}`",
                ),
            };
            log.add(node.mark, reason, Some(hint.into()));
        }
        let options = options(&mut own);
        own.finish();
        let teacher = match judge {
            Some(judge) => Some(judge?),
            None => None,
        };
        Some(Sampling { prompts: prompts?, most, replies, options, model: model?, teacher, ranking })
    }

    /// Decodes `build: {select: ...}`, and the key `teacher:` beside it.
    fn decode_selection(
        node: &Node,
        select: &Node,
        beside: &mut Fields,
        names: &Names,
        root: &Path,
        log: &Log,
    ) -> Option<Sampling> {
        let teacher = beside.take("teacher").map(|node| teacher(node, Subject::Pieces, names, root, log));
        beside.forbid("pairs", "has no meaning for pieces of text, to which nobody replies");
        let mut own = Fields::of(node, "'build'", log)?;
        own.take("select");
        let all: Vec<&str> = node.entries().iter().map(|(key, _)| key.text.as_str()).collect();
        for key in all.into_iter().filter(|key| *key != "select") {
            own.forbid(key, "cannot be combined with 'select'");
        }
        own.finish();
        let Select { embed, from, against, selection } = Select::decode(select, names, log)?;
        let teacher = match teacher {
            Some(teacher) => Some(teacher?),
            None => None,
        };
        let prompts = PromptName::Selected { from, against, selection };
        let options = SamplingOptions::greedy(0, vec![]);
        Some(Sampling { prompts, most: None, replies: 0, options, model: Some(embed), teacher, ranking: None })
    }

    /// The names of the models of the spec that it needs.
    pub(super) fn models(&self) -> impl Iterator<Item = &String> {
        let teacher = match &self.teacher {
            Some(TeacherKeys::Model { name, .. }) => Some(name),
            Some(TeacherKeys::Endpoint(..)) | None => None,
        };
        self.model.iter().chain(teacher)
    }

    /// The most tokens of a prompt and its reply, if prompts are the beginnings of pieces of text.
    pub(super) fn piece(&self) -> Option<u32> {
        match &self.prompts {
            PromptName::Dataset(_) | PromptName::Selected { .. } => None,
            PromptName::Corpus { context, .. } => Some(context + self.options.max_new_tokens),
        }
    }

    /// The names of the corpus and the dataset that prompts come from.
    pub(super) fn text(&self) -> (Option<&String>, Option<&String>) {
        match &self.prompts {
            PromptName::Dataset(name) => (None, Some(name)),
            PromptName::Corpus { name, .. } => (Some(name), None),
            PromptName::Selected { from, against, .. } => (Some(from), Some(against)),
        }
    }

    /// The format of the rows that the last job writes.
    pub(super) fn format(&self) -> DatasetFormat {
        match (&self.ranking, &self.teacher) {
            (Some(ranking), _) => match DatasetFormat::rows(Layout::Json, RowFormat::Replies) {
                DatasetFormat::Rows { layout, row, fields, roles, position, uncertainty, first, .. } => {
                    let (replies, ranking) = (Replies::Good, Some(ranking.clone()));
                    DatasetFormat::Rows { layout, row, fields, roles, replies, ranking, position, uncertainty, first }
                }
                other => other,
            },
            (None, Some(TeacherKeys::Endpoint(TeacherRequest { mode: TeacherMode::Rewrite { .. }, .. }, _))) => {
                DatasetFormat::json("prompt", "reply")
            }
            // Selected pieces are texts.
            (None, None) if matches!(self.prompts, PromptName::Selected { .. }) => {
                match DatasetFormat::rows(Layout::Json, RowFormat::Text) {
                    DatasetFormat::Rows {
                        layout, row, roles, replies, ranking, position, uncertainty, first, ..
                    } => {
                        let fields = [("text".to_owned(), "prompt".to_owned())].into();
                        DatasetFormat::Rows {
                            layout,
                            row,
                            fields,
                            roles,
                            replies,
                            ranking,
                            position,
                            uncertainty,
                            first,
                        }
                    }
                    other => other,
                }
            }
            (None, Some(_)) => DatasetFormat::rows(Layout::Json, RowFormat::Preference),
            // Of a list of replies, the first one is used.
            (None, None) => DatasetFormat::Records {
                layout: Layout::Json,
                prompt: Pattern::field("prompt"),
                reply: Pattern::field("replies"),
                first: None,
            },
        }
    }
}

/// Where prompts come from.
fn prompts(subject: &str, own: &mut Fields, names: &Names) -> Option<PromptName> {
    let corpus = own.get("corpus", None, |value| reference("corpus", &names.corpora)(value).map(Some));
    let dataset = own.get("dataset", None, |value| names.given_dataset(value).map(Some));
    let context = own.get("context", 256, small(1..=1_048_576));
    match (own.take("corpus").is_some(), own.take("dataset").is_some()) {
        (true, false) => Some(PromptName::Corpus { name: corpus?, context }),
        (false, true) => {
            own.forbid("context", "has no meaning for the prompts of a dataset");
            Some(PromptName::Dataset(dataset?))
        }
        _ => {
            let hint = "what the model replies to, such as `corpus: speech` or `dataset: questions`";
            own.log.add(own.mark, format!("{subject} needs one of 'corpus' and 'dataset'"), Some(hint.into()));
            None
        }
    }
}

/// How replies are sampled.
fn options(own: &mut Fields) -> SamplingOptions {
    let max_new_tokens = own.get("max_tokens", 256, small(1..=1_048_576));
    let min_new_tokens = own.get("min_tokens", 1, small(0..=1_048_576));
    if let Some(node) = own.take("min_tokens").filter(|_| min_new_tokens > max_new_tokens) {
        own.log.add(node.mark, "'min_tokens' is greater than 'max_tokens'", None);
    }
    SamplingOptions {
        max_new_tokens,
        min_new_tokens: min_new_tokens.min(max_new_tokens),
        temperature: own.get("temperature", 1.0, real(Within::NotNegative)),
        top_p: own.get("top_p", 1.0, real(Within::PositiveFraction)),
        top_k: own.get("top_k", None, |value| small(1..=10_000_000)(value).map(Some)),
        stop: vec![],
    }
}

/// Reports scores that nobody gives, or that two give. `pairs` is the place of that key.
fn check_scores(pairs: Option<Mark>, judge: Option<&Option<TeacherKeys>>, ranking: Option<&Ranking>, log: &Log) {
    let Some(place) = pairs else { return };
    let constrained = ranking.is_some_and(|ranking| !ranking.constraints.is_empty());
    let (reason, hint) = match judge {
        None if !constrained => {
            ("the replies have no scores", "add `constraints:` to `pairs`, or a `teacher:` with `mode: score`")
        }
        Some(Some(judge)) if !judge.scores() => {
            ("a teacher that corrects and 'pairs' cannot be combined", "remove one of them")
        }
        Some(Some(_)) if constrained => {
            ("a teacher that scores and 'constraints' cannot be combined", "remove one of them")
        }
        _ => return,
    };
    log.add(place, reason, Some(hint.into()));
}

/// Decodes `teacher:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `endpoint:` | base URL of an OpenAI-compatible service, such as `http://localhost:8000/v1` | a model of the spec |
/// | `model:` | the name of the model at the endpoint, or of a model of the spec | required |
/// | `prompt:` | a file with the instructions, in which `{prompt}` and `{reply}` stand for those of the student; a line `---` ends the message of the system, if there is one; with `rewrite`, `{text}` stands for the piece | required; with `rewrite`, instructions of grid |
/// | `mode:` | `correct`: it writes a better reply, which is chosen over that of the student; `score`: it answers with a number; `rewrite`: it rewrites a piece of text that `select:` found as instructions with responses | `correct`; `rewrite` with `select:` |
/// | `pairs:` | pairs of an instruction and a response out of each piece (`rewrite`) | 1 |
/// | `scale:` | the lowest and the highest score (`score`) | `[0, 10]` |
/// | `max_tokens:` | tokens of an answer | 512; 16 with `score`, 1024 with `rewrite` |
/// | `temperature:`, `seed:` | sampling of the answers | 0.7; 0 with `score`, 1 |
/// | `api_key:` | the environment variable that contains the API key | none |
/// | `parallel:` | concurrent requests | 4 |
///
/// A model of the spec has only `model:` and `mode:`. It corrects with its own replies to the same prompts, sampled in the same
/// way; its score is the mean log-probability of the tokens of a reply.
fn teacher(node: &Node, subject: Subject, names: &Names, root: &Path, log: &Log) -> Option<TeacherKeys> {
    let mut fields = Fields::of(node, "'teacher'", log)?;
    let (modes, default): (&[_], _) = match subject {
        Subject::Replies => (&[("correct", Mode::Correct), ("score", Mode::Score)], Mode::Correct),
        Subject::Pieces => (&[("rewrite", Mode::Rewrite)], Mode::Rewrite),
    };
    let mode = fields.get("mode", default, choice(modes.iter().copied()));
    let (scores, rewrites) = (mode == Mode::Score, mode == Mode::Rewrite);
    if rewrites && node.get("endpoint").is_none() {
        let hint = "add `endpoint: http://localhost:8000/v1`; a model of the spec does not follow instructions";
        log.add(node.mark, "a teacher that rewrites needs an 'endpoint'", Some(hint.into()));
        return None;
    }
    if node.get("endpoint").is_none() {
        let hint = "a model of the spec; the name of another model needs `endpoint:`";
        let name = fields.required("model", hint, reference("model", &names.models));
        for key in ENDPOINT_KEYS {
            fields.forbid(key, "has no meaning for a teacher without 'endpoint'");
        }
        fields.finish();
        return Some(TeacherKeys::Model { name: name?, scores });
    }
    let endpoint = fields.required("endpoint", "such as `endpoint: http://localhost:8000/v1`", super::remote::url);
    let model = fields.required("model", "the name of the model at the endpoint", text);
    let pairs = fields.get("pairs", 1, small(1..=100));
    if !rewrites {
        fields.forbid("pairs", "has no meaning for a teacher of replies");
    }
    let prompt = match node.get("prompt") {
        None if rewrites => Some(TeacherPrompt::of_rewriting(pairs)),
        _ => fields
            .required("prompt", "the file with the instructions for the teacher", path)
            .map(|path| TeacherPrompt::File(root.join(path))),
    };
    let scale = fields.take("scale").and_then(|node| scale(node, log)).unwrap_or([0.0, 10.0]);
    if !scores {
        fields.forbid("scale", "has no meaning for a teacher that gives no scores");
    }
    let most = match mode {
        Mode::Correct => 512,
        Mode::Score => 16,
        Mode::Rewrite => 1024,
    };
    let max_tokens = fields.get("max_tokens", most, small(1..=1_048_576));
    let temperature = fields.get("temperature", if scores { 0.0 } else { 0.7 }, real(Within::NotNegative));
    let seed = fields.get("seed", 1, scalars::seed);
    let api_key = fields.get("api_key", None, |value| build::variable(value).map(Some));
    let parallel = fields.get("parallel", 4, small(1..=256));
    fields.finish();
    let [least, greatest] = scale;
    let mode = match mode {
        Mode::Correct => TeacherMode::Correct,
        Mode::Score => TeacherMode::Score { least, greatest },
        Mode::Rewrite => TeacherMode::Rewrite { pairs },
    };
    let request = TeacherRequest { model: model?, prompt: prompt?, mode, max_tokens, temperature, seed };
    Some(TeacherKeys::Endpoint(request, TeacherService { endpoint: endpoint?, api_key, parallel }))
}

/// The words of `mode:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Correct,
    Score,
    Rewrite,
}

/// The keys of `teacher:` that only concern an endpoint.
const ENDPOINT_KEYS: [&str; 8] =
    ["pairs", "prompt", "scale", "max_tokens", "temperature", "seed", "api_key", "parallel"];

/// Two numbers, of which the first is lower.
fn scale(node: &Node, log: &Log) -> Option<[f64; 2]> {
    let number = |node: &Node| match node.value {
        Value::Whole(value) => Some(value as f64),
        Value::Real(value) if value.is_finite() => Some(value),
        _ => None,
    };
    if let Value::List(list) = &node.value
        && let [least, greatest] = &list[..]
        && let (Some(least), Some(greatest)) = (number(least), number(greatest))
        && least < greatest
    {
        return Some([least, greatest]);
    }
    log.add(node.mark, "'scale' must be the lowest and the highest score", Some("such as [0, 10]".into()));
    None
}
