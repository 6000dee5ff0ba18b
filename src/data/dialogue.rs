//! Dialogues: from lines with speakers to turns.

use std::path::Path;

use serde_json::Value;

use crate::domain::refuse_carriage_returns;

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
    refuse_carriage_returns(text).map_err(DataError::not_text(path))?;
    let mut all = Vec::new();
    let mut current = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            all.push(std::mem::take(&mut current));
            continue;
        }
        let spoken = split_speaker(line).filter(|(speaker, _)| is_speaker(speaker));
        let (speaker, text) = spoken.ok_or_else(|| {
            let fault = Fault { line: index + 1, problem: no_speaker(line) };
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

/// Words before a colon that begin an address or a remark, and name nobody.
const NO_SPEAKERS: [&str; 12] =
    ["http", "https", "ftp", "file", "mailto", "note", "notes", "comment", "comments", "source", "date", "title"];

/// Whether a mark can be that of a speaker. CHAT marks its dependent tiers with `%`, and its headers with `@`.
fn is_speaker(mark: &str) -> bool {
    !mark.starts_with(['%', '@']) && !NO_SPEAKERS.contains(&mark.to_ascii_lowercase().as_str())
}

/// Why a line has no speaker, and what to do.
fn no_speaker(line: &str) -> String {
    let start: String = line.trim_end().chars().take(40).collect();
    let utterances = r"keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`";
    let mark = line.split_once(':').filter(|(_, text)| text.starts_with(['\t', ' '])).map(|(mark, _)| mark);
    match (line.chars().next(), mark) {
        (Some('%' | '@'), _) => format!("'{start}' is a tier or header of CHAT and no utterance; {utterances}"),
        (Some('\t'), _) => {
            format!("'{}' begins with a tab, as lines of CHAT that continue the one before; {utterances}", start.trim())
        }
        (Some('0'..='9' | '[' | '('), None) => {
            format!("no speaker in '{start}'; if it begins with a time stamp, remove the time stamps")
        }
        (_, Some(mark)) if NO_SPEAKERS.contains(&mark.to_ascii_lowercase().as_str()) => {
            format!("'{mark}' in '{start}' is hardly a speaker; remove the line, or give the speaker another name")
        }
        (_, Some(mark)) if mark.contains(char::is_whitespace) => {
            let joined = mark.split_whitespace().collect::<Vec<_>>().join("_");
            format!("no speaker in '{start}'; a speaker has no spaces, so write '{joined}:' if it is one")
        }
        (_, None) if line.contains('\u{ff1a}') => {
            format!("no speaker in '{start}'; its colon is a full-width one (U+FF1A), write ':' and a space")
        }
        _ => format!("no speaker in '{start}'"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = parse_dialogues(Path::new("x.txt"), text).unwrap_err().to_string();
        let (error, _) = error.split_once("; expected 'A:<TAB>utterance'").unwrap_or((&error, ""));
        error.trim_start_matches("read x.txt: ").to_owned()
    }

    #[test]
    fn lines_that_are_no_utterance_are_refused_with_a_remedy() {
        let texts = [
            "*MOT:\twhere is it ?\n%mor:\tpro|where v|be",
            "@Begin\n*MOT:\thello",
            "@Languages:\teng",
            "*MOT:\ta long\n\tline",
            "SPEAKER 1: hello",
            "A\u{ff1a}hello",
            "[00:01:02] A: hello",
            "00:01 A: hello",
            "A: hi\nnote: the door opens",
            "http: //x",
            "https://x",
            "Note:\tA laughs",
            "just a sentence",
            "A:hello",
            "A: one\rB: two\rA: three",
        ];
        insta::assert_snapshot!(texts.map(refusal).join("\n"), @r"
        line 2: '%mor:\tpro|where v|be' is a tier or header of CHAT and no utterance; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
        line 1: '@Begin' is a tier or header of CHAT and no utterance; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
        line 1: '@Languages:\teng' is a tier or header of CHAT and no utterance; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
        line 2: 'line' begins with a tab, as lines of CHAT that continue the one before; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
        line 1: no speaker in 'SPEAKER 1: hello'; a speaker has no spaces, so write 'SPEAKER_1:' if it is one
        line 1: no speaker in 'A：hello'; its colon is a full-width one (U+FF1A), write ':' and a space
        line 1: no speaker in '[00:01:02] A: hello'; if it begins with a time stamp, remove the time stamps
        line 1: no speaker in '00:01 A: hello'; if it begins with a time stamp, remove the time stamps
        line 2: 'note' in 'note: the door opens' is hardly a speaker; remove the line, or give the speaker another name
        line 1: 'http' in 'http: //x' is hardly a speaker; remove the line, or give the speaker another name
        line 1: no speaker in 'https://x'
        line 1: 'Note' in 'Note:\tA laughs' is hardly a speaker; remove the line, or give the speaker another name
        line 1: no speaker in 'just a sentence'
        line 1: no speaker in 'A:hello'
        its lines end with a carriage return (CR) alone; convert it: `tr '\r' '\n' < FILE > NEW`
        ");
    }

    #[test]
    fn marks_of_speakers_are_read_as_before() {
        let text = "A:\tone: two\nB: three\n*CHI:\tfour\r\nuser:\nMr.X: five\n\nÜ: http://x\n1:\tsix";
        let speakers: Vec<Vec<String>> = parse_dialogues(Path::new("x"), text)
            .unwrap()
            .into_iter()
            .map(|dialogue| dialogue.into_iter().map(|utterance| utterance.speaker).collect())
            .collect();
        assert_eq!(speakers, [vec!["A", "B", "*CHI", "user", "Mr.X"], vec!["Ü", "1"]]);
    }
}
