//! The key `build:` of a dataset.

use std::path::PathBuf;

use crate::domain::{Corpus, Generation, Question};

use super::fields::{Fault, Fields, Scalar};
use super::problem::Log;
use super::scalars::{Within, count, real, reference, small, text};
use super::tree::{Node, Value};

/// The key `build:`, before its corpus is looked up.
pub(super) struct Build {
    dataset: String,
    to: PathBuf,
    corpus: String,
    question: Question,
    endpoint: String,
    api_key: Option<String>,
    requests: u64,
    parallel: u32,
}

impl Build {
    /// Decodes how a model behind an OpenAI-compatible endpoint generates the file of a dataset.
    ///
    /// | key | meaning | default |
    /// |---|---|---|
    /// | `corpus:` | the corpus whose documents the questions are about | required |
    /// | `endpoint:` | base URL, such as `http://localhost:8000/v1` | required |
    /// | `model:` | the name of the model at the endpoint | required |
    /// | `requests:` | the most requests of one `grid data build` | required |
    /// | `api_key:` | the environment variable that contains the API key | none |
    /// | `pairs:` | question-answer pairs for each document | 3 |
    /// | `instruction:` | the prompt before the document | the prompt of CLASS-IT, section 3 |
    /// | `min_words:` | documents with fewer words are skipped | 50 |
    /// | `max_words:` | longer documents are cut to this many words | 2000 |
    /// | `temperature:`, `seed:` | sampling of the answers | 0.7, 1 |
    /// | `parallel:` | concurrent requests | 4 |
    pub(super) fn decode(dataset: &str, to: PathBuf, node: &Node, corpora: &[String], log: &Log) -> Option<Build> {
        let mut fields = Fields::of(node, "'build'", log)?;
        let corpus = fields.required(
            "corpus",
            "the corpus whose documents the questions are about",
            reference("corpus", corpora),
        );
        let endpoint = fields.required("endpoint", "such as `endpoint: http://localhost:8000/v1`", super::remote::url);
        let model = fields.required("model", "the name of the model at the endpoint", text);
        let requests =
            fields.required("requests", "the most requests of one build, such as 10k", count(1..=1_000_000_000));
        let api_key = fields.get("api_key", None, |value| variable(value).map(Some));
        let pairs = fields.get("pairs", 3, small(1..=100));
        let instruction = fields.get("instruction", Question::of_class_it(pairs), text);
        let min_words = fields.get("min_words", 50, small(0..=1_000_000));
        let max_words = fields.get("max_words", 2_000, small(1..=1_000_000));
        let temperature = fields.get("temperature", 0.7, real(Within::NotNegative));
        let seed = fields.get("seed", 1, super::scalars::seed);
        let parallel = fields.get("parallel", 4, small(1..=256));
        fields.finish();
        let question = Question { model: model?, instruction, pairs, min_words, max_words, temperature, seed };
        let (corpus, endpoint, requests) = (corpus?, endpoint?, requests?);
        Some(Build { dataset: dataset.to_owned(), to, corpus, question, endpoint, api_key, requests, parallel })
    }

    /// Looks up the corpus.
    pub(super) fn resolve(self, corpora: &[Corpus]) -> Option<Generation> {
        let Build { dataset, to, corpus, question, endpoint, api_key, requests, parallel } = self;
        let corpus = corpora.iter().find(|known| known.name == corpus)?.clone();
        Some(Generation { dataset, to, corpus, question, endpoint, api_key, requests, parallel })
    }
}

/// The name of an environment variable; a spec must not contain the API key itself.
pub(super) fn variable(value: &Value) -> Scalar<String> {
    let text = text(value)?;
    let named = text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if named {
        return Ok(text);
    }
    let hint = "write the name of the variable, such as OPENAI_API_KEY, and never the key itself";
    Err(Fault::plain("'api_key' must be the name of an environment variable, in capital letters", hint))
}
