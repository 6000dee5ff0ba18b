//! Dialogues: from lines with speakers to turns.

use std::path::Path;

use serde_json::Value;

use super::error::DataError;
use super::rows::{Fault, each_object};
use super::words::count_words;

/// An utterance of one speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Utterance {
    pub speaker: String,
    pub text: String,
}

/// Parses the dialogues of a text: one per JSON line, or separated by blank lines.
///
/// # Errors
/// Lines without a speaker.
pub(super) fn parse_dialogues(path: &Path, text: &str) -> Result<Vec<Vec<Utterance>>, DataError> {
    if text.trim_start().starts_with('{') {
        let mut all = vec![];
        let read = |object: &Value| {
            all.push(turns(object)?);
            Ok(())
        };
        let expected = r#"{"turns": [["A", "text"], ...]} on every line"#;
        return each_object(text, read).map_err(|fault| fault.expecting(path, expected)).map(|()| all);
    }
    let mut all = Vec::new();
    let mut current = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            all.push(std::mem::take(&mut current));
            continue;
        }
        let (speaker, text) = split_speaker(line).ok_or_else(|| {
            let start: String = line.chars().take(40).collect();
            let fault = Fault { line: index + 1, problem: format!("no speaker in '{start}'") };
            fault.expecting(path, "'A:<TAB>utterance': a speaker without spaces, a colon, a tab or space")
        })?;
        current.push(Utterance { speaker: speaker.to_owned(), text: text.to_owned() });
    }
    all.push(current);
    Ok(all)
}

/// Splits `A:<TAB>text` into speaker and text. A space is accepted in place of the tab, since some releases of the
/// corpora have it.
pub(super) fn split_speaker(line: &str) -> Option<(&str, &str)> {
    let (speaker, text) = line.trim_end().split_once(':')?;
    let valid = !speaker.is_empty()
        && !speaker.contains(char::is_whitespace)
        && (text.is_empty() || text.starts_with(['\t', ' ']));
    valid.then(|| (speaker, text.trim()))
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

/// Drops short utterances and then merges consecutive ones of one speaker, so that speakers alternate.
pub(super) fn merge_turns(dialogue: Vec<Utterance>, min_words: u32) -> Vec<Utterance> {
    let mut turns: Vec<Utterance> = Vec::new();
    for utterance in dialogue {
        let length = count_words(&utterance.text);
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
    turns
}
