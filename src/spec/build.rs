//! The key `build:` of a dataset.

use std::path::PathBuf;

use crate::domain::{Corpus, Generation, Question};

use super::fields::{Fault, Fields, Scalar};
use super::problem::Log;
use super::scalars::{Within, count, real, reference, small, text};
use super::tree::{Node, Value};

/// `build:`, before its corpus is looked up.
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
    /// Decodes how the file of a dataset is made by a model behind an OpenAI-compatible endpoint.
    ///
    /// | key | meaning | default |
    /// |---|---|---|
    /// | `corpus:` | whose documents are asked about | required |
    /// | `endpoint:` | base address, such as `http://localhost:8000/v1` | required |
    /// | `model:` | its name there | required |
    /// | `requests:` | most requests of one `grid data build` | required |
    /// | `api_key:` | the environment variable that holds the key | none |
    /// | `pairs:` | question-answer pairs of a document | 3 |
    /// | `instruction:` | what stands before the text | the prompt of CLASS-IT, section 3 |
    /// | `min_words:` | shorter documents are left out | 50 |
    /// | `max_words:` | of longer documents only so many words are shown | 2000 |
    /// | `temperature:`, `seed:` | randomness of the answers | 0.7, 1 |
    /// | `parallel:` | requests under way at a time | 4 |
    pub fn decode(dataset: &str, to: PathBuf, node: &Node, corpora: &[String], log: &Log) -> Option<Build> {
        let mut fields = Fields::of(node, "'build'", log)?;
        let corpus = fields.need("corpus", "whose documents are asked about", reference("corpus", corpora));
        let endpoint = fields.need("endpoint", "such as `endpoint: http://localhost:8000/v1`", super::remote::address);
        let model = fields.need("model", "the name of the model at the endpoint", text);
        let requests = fields.need("requests", "the most requests of one build, such as 10k", count(1..=1_000_000_000));
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

    /// The same with its corpus.
    pub fn of(self, corpora: &[Corpus]) -> Option<Generation> {
        let Build { dataset, to, corpus, question, endpoint, api_key, requests, parallel } = self;
        let corpus = corpora.iter().find(|known| known.name == corpus)?.clone();
        Some(Generation { dataset, to, corpus, question, endpoint, api_key, requests, parallel })
    }
}

/// The name of an environment variable; a key itself must not stand in a spec.
fn variable(value: &Value) -> Scalar<String> {
    let text = text(value)?;
    let named = text.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if named {
        return Ok(text);
    }
    let hint = "such as OPENAI_API_KEY; the key itself does not belong into a file";
    Err(Fault::plain("'api_key' must be the name of an environment variable, in capitals", hint))
}
