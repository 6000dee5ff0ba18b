//! Datasets that a language model behind an endpoint generates from text.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::source::Corpus;

/// How to generate question-answer records from the documents of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
    /// The name of the dataset in the spec.
    pub dataset: String,
    /// The file to write, from which the dataset is read.
    pub to: PathBuf,
    /// The corpus; each document is one request.
    pub corpus: Corpus,
    /// What to ask about each document.
    pub question: Question,
    /// The base URL of the service, such as `http://localhost:8000/v1`.
    pub endpoint: String,
    /// The environment variable that holds the API key.
    pub api_key: Option<String>,
    /// The most requests per call.
    pub requests: u64,
    /// The most concurrent requests.
    pub parallel: u32,
}

/// Everything about a request that changes the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The name of the model, as the service knows it.
    pub model: String,
    /// The instruction before the text.
    pub instruction: String,
    /// Question-answer pairs per document.
    pub pairs: u32,
    /// The length in words of the shortest document that is used.
    pub min_words: u32,
    /// The number of words after which longer documents are cut.
    pub max_words: u32,
    /// The sampling temperature.
    pub temperature: f64,
    /// The sampling seed, for services that accept one.
    pub seed: u64,
}

impl Question {
    /// The prompt of CLASS-IT (section 3) for this number of pairs.
    pub fn of_class_it(pairs: u32) -> String {
        format!(
            "Based on the following text, generate {pairs} questions and detailed, informative answers. Each answer \
             should be easy for a young person to understand and at least 2–3 sentences long. Explain things in simple \
             language, with clear and friendly sentences. Avoid short or vague replies and give enough detail so a kid \
             can learn something new."
        )
    }
}
