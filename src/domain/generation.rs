//! Datasets that are made from text by a model behind an endpoint.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::source::Corpus;

/// How question-answer records are made of the documents of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
    /// Name of the dataset.
    pub dataset: String,
    /// The file that it is read from, which is written.
    pub to: PathBuf,
    /// The text, a document at a time.
    pub corpus: Corpus,
    /// What is asked.
    pub question: Question,
    /// Base address of the service, such as `http://localhost:8000/v1`.
    pub endpoint: String,
    /// Environment variable that holds the key of the service.
    pub api_key: Option<String>,
    /// Requests that one call may make.
    pub requests: u64,
    /// Requests under way at a time.
    pub parallel: u32,
}

/// What is asked about a document, as far as it changes the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Name of the model, as the service knows it.
    pub model: String,
    /// What stands before the text.
    pub instruction: String,
    /// Question-answer pairs of a document.
    pub pairs: u32,
    /// Shorter documents are left out.
    pub min_words: u32,
    /// Of longer documents only so many words are shown.
    pub max_words: u32,
    /// Randomness of the answer.
    pub temperature: f64,
    /// Seed of that randomness, for services that take one.
    pub seed: u64,
}

impl Question {
    /// The prompt of CLASS-IT (section 3), for so many pairs.
    pub fn of_class_it(pairs: u32) -> String {
        format!(
            "Based on the following text, generate {pairs} questions and detailed, informative answers. Each answer \
             should be easy for a young person to understand and at least 2–3 sentences long. Explain things in simple \
             language, with clear and friendly sentences. Avoid short or vague replies and give enough detail so a kid \
             can learn something new."
        )
    }
}
