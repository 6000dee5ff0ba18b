//! Question-answer records, generated from text by a model behind an OpenAI-compatible endpoint.
//!
//! Answers are cached by the request parameters and the digest of the document, so that no request is sent twice and an
//! interrupted build can continue. The records are written when all documents have an answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::{Digest, Generation, LocatedSource, Question};

use super::atomic::replace_file;
use super::documents;
use super::download::{DataCache, JsonClient, RetryPolicy};
use super::error::DataError;
use super::in_parallel::work_in_parallel;
use super::words::count_words;

/// The number of unusable answers after which a document is skipped.
const ATTEMPTS: u64 = 3;

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// Documents that are long enough.
    pub documents: usize,
    /// Requests sent by this call.
    pub requests: u64,
    /// Documents without an answer; the records are written when there are none.
    pub left: usize,
    /// Documents without a usable answer, which give no records.
    pub unusable: usize,
    /// Records written.
    pub records: usize,
}

/// A cached answer; it has no pairs if no answer was usable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answer {
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    question: String,
    answer: String,
}

/// A row of the dataset file.
#[derive(Serialize)]
struct DatasetRow<'a> {
    prompt: &'a str,
    reply: &'a str,
    /// The digest of the source document.
    document: String,
}

/// Requests an answer for every document of a corpus that has none, and writes the records when all have one. `show` is
/// called with the number of answered documents and of all documents.
///
/// # Errors
/// Text that cannot be read; requests that are refused or fail too many times; a disk that cannot be written. The answers
/// received before remain in the cache.
pub fn generate(
    generation: &Generation,
    located: &LocatedSource,
    cache: &DataCache,
    policy: RetryPolicy,
    show: &(dyn Fn(usize, usize) + Sync),
) -> Result<Generated, DataError> {
    let question = &generation.question;
    let recipe = serde_json::to_vec(question).expect("a question has string keys");
    let folder = cache.generated(Digest::of(&recipe));
    fs::create_dir_all(&folder).map_err(DataError::io("create folder", &folder))?;
    let long_enough = |text: &String| count_words(text) >= u64::from(question.min_words);
    let texts: Vec<String> = documents(located, &generation.corpus.format)?.into_iter().filter(long_enough).collect();
    let texts: Vec<String> = texts.into_iter().map(|text| truncate(text, question.max_words)).collect();
    let cached = |text: &str| folder.join(format!("{}.json", Digest::of(text.as_bytes())));
    let mut seen = BTreeSet::new();
    let open: Vec<&String> = texts.iter().filter(|text| read(&cached(text)).is_none() && seen.insert(*text)).collect();

    let asked = AtomicU64::new(0);
    let key = generation.api_key.as_ref().map(|name| api_key(name)).transpose()?;
    let client = JsonClient::new(&generation.endpoint, key, policy);
    let spend = || {
        asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < generation.requests).then_some(n + 1)).is_ok()
    };
    let done = AtomicUsize::new(texts.len() - open.len());
    work_in_parallel(&open, generation.parallel, |text| {
        let Some(answer) = ask(&client, question, text, &spend)? else { return Ok(false) };
        write(&cached(text), &serde_json::to_vec(&answer).expect("text"))?;
        show(done.fetch_add(1, Ordering::SeqCst) + 1, texts.len());
        Ok::<_, DataError>(true)
    })?;
    let answers: Vec<Option<Answer>> = texts.iter().map(|text| read(&cached(text))).collect();
    let unusable = answers.iter().flatten().filter(|answer| answer.pairs.is_empty()).count();
    let left = answers.iter().filter(|answer| answer.is_none()).count();
    let mut generated = Generated { documents: texts.len(), requests: asked.into_inner(), left, unusable, records: 0 };
    if left == 0 {
        let mut lines = String::new();
        for (text, answer) in texts.iter().zip(answers.iter().flatten()) {
            for Pair { question, answer } in &answer.pairs {
                let document = Digest::of(text.as_bytes()).to_string();
                let row = DatasetRow { prompt: question, reply: answer, document };
                lines.push_str(&(serde_json::to_string(&row).expect("text") + "\n"));
                generated.records += 1;
            }
        }
        if generated.records > 0 {
            let parent = generation.to.parent().unwrap_or(Path::new(""));
            fs::create_dir_all(parent).map_err(DataError::io("create folder", parent))?;
            write(&generation.to, lines.as_bytes())?;
        }
    }
    Ok(generated)
}

/// The retry policy for a service that may take minutes to answer.
pub fn generation_retry_policy() -> RetryPolicy {
    RetryPolicy { timeout: Duration::from_secs(600), ..RetryPolicy::default() }
}

/// The key in an environment variable.
pub(super) fn api_key(name: &str) -> Result<String, DataError> {
    let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    value.map(|value| value.trim().to_owned()).ok_or_else(|| DataError::NoKey { variable: name.to_owned() })
}

/// The first `most` words of a text.
pub(super) fn truncate(text: String, most: u32) -> String {
    let mut starts = text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize);
    match starts.nth(most as usize) {
        Some(end) => text[..end].trim_end().to_owned(),
        None => text,
    }
}

/// Requests an answer for one text; `None` if no further request is allowed.
fn ask(
    client: &JsonClient,
    question: &Question,
    text: &str,
    spend: &dyn Fn() -> bool,
) -> Result<Option<Answer>, DataError> {
    for attempt in 0..ATTEMPTS {
        let Some(reply) = client.post("chat/completions", &request(question, text, attempt), spend)? else {
            return Ok(None);
        };
        if let Some(answer) = parse_answer(&reply, question.pairs) {
            return Ok(Some(answer));
        }
    }
    Ok(Some(Answer { pairs: vec![] }))
}

/// The body of a request for structured output.
fn request(question: &Question, text: &str, attempt: u64) -> Value {
    json!({
        "model": question.model,
        "messages": [{"role": "user", "content": format!("{}\n\n{text}", question.instruction)}],
        "response_format": format_of_pairs(["question", "answer"], question.pairs),
        "temperature": question.temperature,
        // Another seed, for a different answer.
        "seed": question.seed + attempt,
    })
}

/// The format of an answer with this many pairs of texts that have these names.
pub(super) fn format_of_pairs(names: [&str; 2], pairs: u32) -> Value {
    let [first, second] = names;
    let pair = json!({
        "type": "object",
        "properties": {first: {"type": "string"}, second: {"type": "string"}},
        "required": names,
        "additionalProperties": false,
    });
    let schema = json!({
        "type": "object",
        "properties": {"pairs": {"type": "array", "items": pair, "minItems": pairs, "maxItems": pairs}},
        "required": ["pairs"],
        "additionalProperties": false,
    });
    json!({"type": "json_schema", "json_schema": {"name": "pairs", "strict": true, "schema": schema}})
}

/// The answer in a response, if it has the requested number of pairs and none is empty.
fn parse_answer(reply: &Value, pairs: u32) -> Option<Answer> {
    let content = reply["choices"][0]["message"]["content"].as_str()?;
    let mut answer: Answer = serde_json::from_str(content).ok()?;
    for Pair { question, answer } in &mut answer.pairs {
        (*question, *answer) = (question.trim().to_owned(), answer.trim().to_owned());
    }
    let complete = answer.pairs.iter().all(|pair| !pair.question.is_empty() && !pair.answer.is_empty());
    (complete && answer.pairs.len() == pairs as usize).then_some(answer)
}

fn read(path: &Path) -> Option<Answer> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    replace_file(path, bytes).map_err(DataError::io("write", path))
}
