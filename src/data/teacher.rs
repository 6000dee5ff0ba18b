//! Answers of a teacher: a model behind an OpenAI-compatible endpoint that corrects or scores replies, or rewrites
//! pieces of text.
//!
//! Answers are cached by everything that changes them: the request parameters, the prompt and the reply. So no request is
//! sent twice, an interrupted job continues where it was, and a repeated one needs no service.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::domain::{Digest, TeacherAccess, TeacherMode, TeacherPrompt, TeacherRequest};

use super::atomic::replace_file;
use super::download::{JsonClient, RetryPolicy};
use super::error::DataError;
use super::generate::{api_key, format_of_pairs, generation_retry_policy};
use super::in_parallel::work_in_parallel;

/// The number of unusable answers after which a reply has none.
const ATTEMPTS: u64 = 3;

/// What a teacher says about a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherAnswer {
    /// A better reply.
    Correction(String),
    /// The score of the reply.
    Score(f64),
    /// What the piece is rewritten as.
    Pairs(Vec<RewrittenPair>),
    /// No answer was usable.
    Unusable,
}

/// An instruction with its response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewrittenPair {
    /// The instruction.
    pub instruction: String,
    /// The response.
    pub response: String,
}

/// The answers about all replies.
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherAnswers {
    /// In the order of the replies; `None` for those without an answer yet, because the work was stopped.
    pub answers: Vec<Option<TeacherAnswer>>,
    /// Requests that were sent.
    pub requests: u64,
}

/// Asks a teacher about replies, each with its prompt, or about pieces of text, each with an empty reply, unless the
/// answer is known. `proceed` is called with the number of answered replies before each request; when it returns false,
/// no further request is sent.
///
/// # Errors
/// Requests that are refused or fail too many times; a missing API key; missing answers without a network; a disk that
/// cannot be written. The answers received before remain in the cache.
pub fn ask_teacher(
    access: &TeacherAccess,
    request: &TeacherRequest,
    replies: &[(String, String)],
    proceed: &(dyn Fn(u64) -> bool + Sync),
) -> Result<TeacherAnswers, DataError> {
    ask_with(access, request, replies, generation_retry_policy(), proceed)
}

fn ask_with(
    access: &TeacherAccess,
    request: &TeacherRequest,
    replies: &[(String, String)],
    policy: RetryPolicy,
    proceed: &(dyn Fn(u64) -> bool + Sync),
) -> Result<TeacherAnswers, DataError> {
    let recipe = Digest::of(&serde_json::to_vec(request).expect("a request has string keys"));
    let folder = access.answers.join(&recipe.to_string()[..32]);
    let path = |(prompt, reply): &(String, String)| {
        let key = serde_json::to_vec(&[prompt, reply]).expect("texts are JSON");
        folder.join(format!("{}.json", Digest::of(&key)))
    };
    let mut open: Vec<&(String, String)> = replies.iter().filter(|reply| read(&path(reply)).is_none()).collect();
    open.sort_unstable();
    open.dedup();
    if access.offline && !open.is_empty() {
        return Err(DataError::NoAnswers { missing: open.len(), of: replies.len(), folder });
    }
    let requests = AtomicU64::new(0);
    if !open.is_empty() {
        fs::create_dir_all(&folder).map_err(DataError::io("create folder", &folder))?;
        let key = access.service.api_key.as_ref().map(|name| api_key(name)).transpose()?;
        let client = JsonClient::new(&access.service.endpoint, key, policy);
        let done = AtomicU64::new((replies.len() - open.len()) as u64);
        let may_send = || {
            let proceeds = proceed(done.load(Ordering::SeqCst));
            requests.fetch_add(u64::from(proceeds), Ordering::SeqCst);
            proceeds
        };
        work_in_parallel(&open, access.service.parallel, |reply| {
            let Some(answer) = ask(&client, request, reply, &may_send)? else { return Ok(false) };
            let (path, text) = (path(reply), serde_json::to_vec(&answer).expect("an answer is JSON"));
            replace_file(&path, &text).map_err(DataError::io("write", &path))?;
            done.fetch_add(1, Ordering::SeqCst);
            Ok::<_, DataError>(true)
        })?;
    }
    let answers = replies.iter().map(|reply| read(&path(reply))).collect();
    Ok(TeacherAnswers { answers, requests: requests.into_inner() })
}

/// Asks about one reply; `None` if no further request may be sent.
fn ask(
    client: &JsonClient,
    request: &TeacherRequest,
    (prompt, reply): &(String, String),
    may_send: &dyn Fn() -> bool,
) -> Result<Option<TeacherAnswer>, DataError> {
    for attempt in 0..ATTEMPTS {
        let Some(response) = client.post("chat/completions", &body(request, prompt, reply, attempt), may_send)? else {
            return Ok(None);
        };
        let content = response["choices"][0]["message"]["content"].as_str();
        if let Some(answer) = content.and_then(|content| parse(request.mode, content, prompt)) {
            return Ok(Some(answer));
        }
        tracing::debug!(%response, "an answer of the teacher is not usable");
    }
    Ok(Some(TeacherAnswer::Unusable))
}

fn body(request: &TeacherRequest, prompt: &str, reply: &str, attempt: u64) -> Value {
    let text = match &request.prompt {
        TeacherPrompt::Text(text) => text.as_str(),
        TeacherPrompt::File(_) => unreachable!("the text of a file replaces it before jobs are planned"),
    };
    let message = |(role, content): (&str, String)| json!({"role": role, "content": content});
    let messages: Vec<Value> =
        TeacherPrompt::fill(text, request.mode, prompt, reply).into_iter().map(message).collect();
    let mut body = json!({
        "model": request.model,
        "messages": messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        // Another seed, for a different answer.
        "seed": request.seed + attempt,
    });
    if let TeacherMode::Rewrite { pairs } = request.mode {
        body["response_format"] = format_of_pairs(["instruction", "response"], pairs);
    }
    body
}

/// The answer in the text of a response, if it is usable: a correction that is not blank, after the prompt if that is
/// repeated; or the only number in the text, if it is on the scale. The highest score after a slash or `of` does not count,
/// as in `7/10` and `7 out of 10`. Of a piece, the requested number of pairs, none of which is blank, with or without a
/// fence of Markdown.
fn parse(mode: TeacherMode, content: &str, prompt: &str) -> Option<TeacherAnswer> {
    match mode {
        TeacherMode::Correct => {
            let text = content.trim();
            let text = text.strip_prefix(prompt.trim()).unwrap_or(text).trim();
            (!text.is_empty()).then(|| TeacherAnswer::Correction(text.to_owned()))
        }
        TeacherMode::Rewrite { pairs } => {
            let text = content.trim();
            let text = text.strip_prefix("```json").or(text.strip_prefix("```")).unwrap_or(text);
            let mut answer: Rewritten = serde_json::from_str(text.strip_suffix("```").unwrap_or(text)).ok()?;
            for RewrittenPair { instruction, response } in &mut answer.pairs {
                (*instruction, *response) = (instruction.trim().to_owned(), response.trim().to_owned());
            }
            let is_blank = |pair: &RewrittenPair| pair.instruction.is_empty() || pair.response.is_empty();
            let fits = answer.pairs.len() == pairs as usize && !answer.pairs.iter().any(is_blank);
            fits.then_some(TeacherAnswer::Pairs(answer.pairs))
        }
        TeacherMode::Score { least, greatest } => {
            let spaced = content.replace('/', " of ");
            let words: Vec<&str> = spaced.split(|c: char| c.is_whitespace() || ",;:!?()*\"".contains(c)).collect();
            let words = words.into_iter().map(|word| word.trim_end_matches('.')).filter(|word| !word.is_empty());
            let words: Vec<&str> = words.collect();
            let mut scores: Vec<f64> = vec![];
            for (place, word) in
                words.iter().enumerate().filter(|(_, word)| word.contains(|c: char| c.is_ascii_digit()))
            {
                // A word such as `7th` or `3-4` leaves it open what the score is.
                let number: f64 = word.parse().ok()?;
                let is_scale = number == greatest && place > 0 && words[place - 1].eq_ignore_ascii_case("of");
                scores.extend((!is_scale).then_some(number));
            }
            match scores[..] {
                [score] if (least..=greatest).contains(&score) => Some(TeacherAnswer::Score(score)),
                _ => None,
            }
        }
    }
}

/// The text of an answer that rewrites a piece.
#[derive(Deserialize)]
struct Rewritten {
    pairs: Vec<RewrittenPair>,
}

fn read(path: &Path) -> Option<TeacherAnswer> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_parsed_or_unusable() {
        let correct = |content| parse(TeacherMode::Correct, content, "The dog ");
        let text = |text: &str| Some(TeacherAnswer::Correction(text.to_owned()));
        assert_eq!(correct(" ran away.\n"), text("ran away."));
        assert_eq!(correct("The dog ran away."), text("ran away."));
        assert_eq!([correct(" \n"), correct("The dog")], [None, None]);
        let score = |content| parse(TeacherMode::Score { least: -1.0, greatest: 9.5 }, content, "");
        assert_eq!(score("I give it 7 of 9.5."), Some(TeacherAnswer::Score(7.0)));
        assert_eq!(score("Score: -0.5."), Some(TeacherAnswer::Score(-0.5)));
        for text in ["4/9.5", "4 / 9.5", "Out of 9.5, I give it **4**.", "4"] {
            assert_eq!(score(text), Some(TeacherAnswer::Score(4.0)), "{text}");
        }
        assert_eq!(score("9.5 out of 9.5"), Some(TeacherAnswer::Score(9.5)));
        let rewrite = |content: &str| parse(TeacherMode::Rewrite { pairs: 1 }, content, "");
        let one = r#"{"pairs": [{"instruction": " What is it? ", "response": "A dog."}]}"#;
        let pair = RewrittenPair { instruction: "What is it?".to_owned(), response: "A dog.".to_owned() };
        for text in [one.to_owned(), format!("```json\n{one}\n```"), format!("```\n{one}```\n")] {
            assert_eq!(rewrite(&text), Some(TeacherAnswer::Pairs(vec![pair.clone()])), "{text}");
        }
        for text in
            [one.replace("A dog.", " "), one.replace("}]", "}, {}]"), r#"{"pairs": []}"#.into(), "A dog.".into()]
        {
            assert_eq!(rewrite(&text), None, "{text}");
        }
        // Nothing, off the scale, or several numbers of which any may be the score.
        for text in
            ["none", "12", "", "- .", "9, since 3 words are good", "between 0 and 9.5, a 4", "3-4", "the 2nd: 4"]
        {
            assert_eq!(score(text), None, "{text}");
        }
    }
}
