//! Instruction datasets: files to prompt/reply records.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{DatasetFormat, Located, Origin, Volume, WorldPart};

use super::corpus::read_text;
use super::error::DataError;
use super::{words, world};

/// One instruction and its answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// What the model is given.
    pub prompt: String,
    /// What it is to say; never blank in what [`records`] returns.
    pub reply: String,
}

/// The records of a dataset, in the order of its files and lines; those with a blank reply are dropped.
///
/// The toy world's [`WorldPart::Chat`] and [`WorldPart::Questions`] are records already and take no notice of the
/// format; its [`WorldPart::Dialogues`] can be read as [`DatasetFormat::Dialogue`].
///
/// # Errors
/// Missing or unreadable files, lines that do not follow the format, a part of the toy world that holds no records.
pub fn records(located: &Located, format: &DatasetFormat) -> Result<Vec<Record>, DataError> {
    let mut records = match &located.origin {
        Origin::World { part, seed, size } => match (part, format) {
            (WorldPart::Chat | WorldPart::Questions, _) => world::records(*part, *seed, *size),
            (WorldPart::Dialogues, DatasetFormat::Dialogue { .. }) => {
                parse(Path::new("the toy world"), &world::corpus(*part, *seed, *size), format)?
            }
            _ => {
                let (wanted, choices) = ("a dataset", "chat, questions, or dialogues in the dialogue format");
                return Err(DataError::WrongPart { part: *part, wanted, choices });
            }
        },
        Origin::Content { .. } => {
            let mut all = Vec::new();
            for path in &located.files {
                all.extend(parse(path, &read_text(path)?, format)?);
            }
            all
        }
        Origin::Missing { location } => return Err(DataError::Missing { location: location.clone() }),
    };
    records.retain(|record| !record.reply.trim().is_empty());
    Ok(records)
}

/// How much text [`records`] gives: both sides of each record.
pub(super) fn volume(located: &Located, format: &DatasetFormat) -> Result<Volume, DataError> {
    let records = records(located, format)?;
    let words = records.iter().map(|record| words(&record.prompt) + words(&record.reply)).sum();
    Ok(Volume { units: records.len() as u64, words })
}

fn parse(path: &Path, text: &str, format: &DatasetFormat) -> Result<Vec<Record>, DataError> {
    match format {
        DatasetFormat::Records { prompt, reply } => json_lines(text, |object| {
            let side = |field: &str| text_of(object.get(field)).map_err(|problem| format!("field '{field}' {problem}"));
            Ok(Record { prompt: side(prompt)?, reply: side(reply)? })
        })
        .map_err(|fault| {
            fault.expecting(path, format!("a JSON object with the texts '{prompt}' and '{reply}' on every line"))
        }),
        DatasetFormat::Dialogue { min_words } => {
            Ok(dialogues(path, text)?.into_iter().flat_map(|dialogue| windows(dialogue, *min_words)).collect())
        }
        DatasetFormat::Squad { with_context } => squad(path, text, *with_context),
    }
}

/// A line that could not be read, before it is known what was expected there.
struct Fault {
    line: usize,
    problem: String,
}

impl Fault {
    fn expecting(self, path: &Path, expected: String) -> DataError {
        DataError::Malformed { path: path.to_owned(), line: self.line, problem: self.problem, expected }
    }
}

/// Reads every line that is not blank as one JSON object.
fn json_lines<T>(text: &str, read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, Fault> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, line)| {
            let value = serde_json::from_str(line).map_err(|error| format!("not JSON ({error})"));
            value.and_then(|value| read(&value)).map_err(|problem| Fault { line: index + 1, problem })
        })
        .collect()
}

/// A string, or the first of a list of strings (none is the empty text).
fn text_of(value: Option<&Value>) -> Result<String, &'static str> {
    match value {
        None => Err("is missing"),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(texts)) => match texts.first() {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err("is a list of something else than texts"),
        },
        Some(_) => Err("is not a text"),
    }
}

/// What one speaker says at once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Utterance {
    speaker: String,
    text: String,
}

fn dialogues(path: &Path, text: &str) -> Result<Vec<Vec<Utterance>>, DataError> {
    if text.trim_start().starts_with('{') {
        return json_lines(text, turns)
            .map_err(|fault| fault.expecting(path, r#"{"turns": [["A", "text"], ...]} on every line"#.to_owned()));
    }
    let mut all = Vec::new();
    let mut current = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            all.push(std::mem::take(&mut current));
            continue;
        }
        let utterance = spoken(line).ok_or_else(|| {
            let start: String = line.chars().take(40).collect();
            let fault = Fault { line: index + 1, problem: format!("no speaker in '{start}'") };
            fault.expecting(path, "'A:<TAB>utterance': a speaker without spaces, a colon, a tab or space".to_owned())
        })?;
        current.push(utterance);
    }
    all.push(current);
    Ok(all)
}

/// Reads `A:<TAB>text`; a space instead of the tab will do, as some releases of the corpora have it.
fn spoken(line: &str) -> Option<Utterance> {
    let (speaker, text) = line.trim_end().split_once(':')?;
    let fits = !speaker.is_empty()
        && !speaker.contains(char::is_whitespace)
        && (text.is_empty() || text.starts_with(['\t', ' ']));
    fits.then(|| Utterance { speaker: speaker.to_owned(), text: text.trim().to_owned() })
}

fn turns(object: &Value) -> Result<Vec<Utterance>, String> {
    let turns = object.get("turns").and_then(Value::as_array).ok_or("field 'turns' is missing or not a list")?;
    let read = |(index, turn): (usize, &Value)| {
        let part = |position: usize| turn.get(position).and_then(Value::as_str);
        match (part(0), part(1)) {
            (Some(speaker), Some(text)) => Ok(Utterance { speaker: speaker.to_owned(), text: text.trim().to_owned() }),
            _ => Err(format!("turn {} is not a list of speaker and text", index + 1)),
        }
    };
    turns.iter().enumerate().map(read).collect()
}

/// Drops short utterances, merges neighbours of one speaker, pairs every turn with the next (CLASS-IT section 3).
fn windows(dialogue: Vec<Utterance>, min_words: u32) -> Vec<Record> {
    let mut turns: Vec<Utterance> = Vec::new();
    for utterance in dialogue {
        let length = words(&utterance.text);
        if length == 0 || length < u64::from(min_words) {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.speaker == utterance.speaker => {
                last.text.push(' ');
                last.text.push_str(&utterance.text);
            }
            _ => turns.push(utterance),
        }
    }
    turns.windows(2).map(|pair| Record { prompt: pair[0].text.clone(), reply: pair[1].text.clone() }).collect()
}

#[derive(Deserialize)]
struct Squad {
    data: Vec<Article>,
}

#[derive(Deserialize)]
struct Article {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    qas: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    #[serde(default)]
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    text: String,
}

/// SQuAD-format JSON; questions without an answer get an empty reply.
fn squad(path: &Path, text: &str, with_context: bool) -> Result<Vec<Record>, DataError> {
    let squad: Squad = serde_json::from_str(text).map_err(|error| {
        let fault = Fault { line: error.line(), problem: error.to_string() };
        fault
            .expecting(path, "SQuAD JSON: data > paragraphs > {context, qas > {question, answers > {text}}}".to_owned())
    })?;
    let mut records = Vec::new();
    for paragraph in squad.data.into_iter().flat_map(|article| article.paragraphs) {
        for asked in paragraph.qas {
            let question = asked.question.trim();
            let prompt =
                if with_context { format!("{}\n{question}", paragraph.context.trim()) } else { question.to_owned() };
            let reply = asked.answers.into_iter().next().map(|answer| answer.text).unwrap_or_default();
            records.push(Record { prompt, reply });
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
