//! Text corpora: files to documents.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use crate::domain::{CorpusFormat, Documents, Located, MeasuredText, Origin, WorldPart};

use super::dialogue::spoken;
use super::error::DataError;
use super::rows::each_row;
use super::{words, world};

/// The documents of a corpus, in the order of its files and lines.
///
/// Characters are taken out first, then lines of fewer than `min_words` words are dropped, and blank lines always, then
/// the turns of one speaker merged; the lines of a document are joined by `\n`, whatever ended them in the file. No
/// document crosses from one file into the next.
///
/// # Errors
/// Missing or unreadable files, text that is not UTF-8, a part of the toy world that is no corpus.
pub fn documents(located: &Located, format: &CorpusFormat) -> Result<Vec<String>, DataError> {
    let mut documents = Vec::new();
    each_document(located, format, |document| documents.push(document))?;
    Ok(documents)
}

/// How much text [`documents`] would give, without holding it.
pub(super) fn volume(located: &Located, format: &CorpusFormat) -> Result<MeasuredText, DataError> {
    let mut volume = MeasuredText { units: 0, words: 0, blank: 0 };
    each_document(located, format, |document| {
        volume.units += 1;
        volume.words += words(&document);
    })?;
    Ok(volume)
}

fn each_document(located: &Located, format: &CorpusFormat, mut visit: impl FnMut(String)) -> Result<(), DataError> {
    match &located.origin {
        Origin::World { part, seed, size } => match part {
            WorldPart::Speech | WorldPart::Dialogues | WorldPart::Articles => {
                split(&world::corpus(*part, *seed, *size), format, visit)
            }
            WorldPart::Chat | WorldPart::Questions | WorldPart::Evaluation => {
                let (wanted, choices) = ("a corpus", "speech, dialogues, articles");
                return Err(DataError::WrongPart { part: *part, wanted, choices });
            }
        },
        Origin::Content { .. } => {
            for path in &located.files {
                match &format.documents {
                    Documents::Rows { layout, text } => each_row(path, *layout, &[text.as_str()], |row| {
                        split(&row.concat(), format, &mut visit);
                    })?,
                    Documents::BlankLine | Documents::Line | Documents::Lines(_) => {
                        split(&read_text(path)?, format, &mut visit)
                    }
                }
            }
        }
        Origin::Missing { location } => return Err(DataError::Missing { location: location.clone() }),
    }
    Ok(())
}

/// The whole file as text, without a byte-order mark.
pub(super) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(DataError::io("read", path))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        DataError::NotUtf8 { path: path.to_owned(), line, byte: before.len() - line_start + 1 }
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// The text without these characters; where one was taken out of a line, its runs of spaces become one.
pub(super) fn without<'a>(text: &'a str, characters: &str) -> Cow<'a, str> {
    if characters.is_empty() || !text.contains(|c| characters.contains(c)) {
        return Cow::Borrowed(text);
    }
    let clean = |line: &str| -> String {
        if !line.contains(|c| characters.contains(c)) {
            return line.to_owned();
        }
        let kept: String = line.chars().filter(|&c| !characters.contains(c)).collect();
        // A tab separates the speaker from what is said.
        let parts = kept.split('\t').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
        parts.collect::<Vec<_>>().join("\t").trim_end().to_owned()
    };
    Cow::Owned(text.lines().map(clean).collect::<Vec<_>>().join("\n"))
}

/// Cuts one text into documents.
fn split(text: &str, format: &CorpusFormat, mut visit: impl FnMut(String)) {
    let text = without(text, &format.remove);
    let longest = match format.documents {
        Documents::BlankLine | Documents::Rows { .. } => usize::MAX,
        Documents::Line => 1,
        Documents::Lines(lines) => lines.max(1) as usize,
    };
    let mut kept: Vec<Cow<str>> = Vec::new();
    let mut flush = |kept: &mut Vec<Cow<str>>| {
        if !kept.is_empty() {
            visit(kept.join("\n"));
            kept.clear();
        }
    };
    for line in text.lines() {
        let said = if format.merge_turns { spoken(line) } else { None };
        let length = words(said.map_or(line, |(_, text)| text));
        if length == 0 && format.documents == Documents::BlankLine {
            flush(&mut kept);
        }
        if length == 0 || length < u64::from(format.min_words) {
            continue;
        }
        if let (Some((speaker, text)), Some(last)) = (said, kept.last_mut())
            && spoken(last).is_some_and(|(before, _)| before == speaker)
        {
            *last = Cow::Owned(format!("{last} {text}"));
            continue;
        }
        // Only now, so that a turn that goes on stays in one document.
        if kept.len() == longest {
            flush(&mut kept);
        }
        kept.push(Cow::Borrowed(line));
    }
    flush(&mut kept);
}

#[cfg(test)]
mod tests {
    use crate::domain::{Digest, Layout};

    use super::*;

    fn cut(text: &str, documents: Documents, min_words: u32) -> Vec<String> {
        let mut all = Vec::new();
        split(text, &CorpusFormat { documents, min_words, ..CorpusFormat::default() }, |document| all.push(document));
        all
    }

    #[test]
    fn characters_are_taken_out_before_words_are_counted() {
        assert_eq!(
            without("= = = Title = = =\n*A:\tso | it goes \n plain  line", "=*|"),
            "Title\nA:\tso it goes\n plain  line"
        );
        assert!(matches!(without("plain", "="), Cow::Borrowed("plain")));
        let mut all = vec![];
        let format = CorpusFormat { min_words: 2, remove: "=".into(), ..CorpusFormat::default() };
        split("= Title =\none two\n= =\nthree four", &format, |document| all.push(document));
        assert_eq!(all, ["one two", "three four"], "a line of removed characters alone is blank");
    }

    #[test]
    fn turns_of_one_speaker_become_one_line() {
        let text = "A:\tuh huh\nB:\tI think it is\nA:\tyes\nB:\tand so do I\nA:\twell then that is it\nno speaker here now\nA:\tone two three";
        let mut all = vec![];
        let format =
            CorpusFormat { documents: Documents::Lines(2), min_words: 3, merge_turns: true, ..CorpusFormat::default() };
        split(text, &format, |document| all.push(document));
        let expected =
            ["B:\tI think it is and so do I\nA:\twell then that is it", "no speaker here now\nA:\tone two three"];
        assert_eq!(all, expected, "dropped first, then merged; the speaker's letter is no word");
    }

    #[test]
    fn rows_are_documents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        fs::write(&path, "{\"text\": \"one two\\n\\nx\\nthree four\"}\n{\"text\": \"\"}\n{\"text\": \"five six\"}")
            .unwrap();
        let rows = Documents::Rows { layout: Layout::Json, text: "text".into() };
        let format = CorpusFormat { documents: rows, min_words: 2, ..CorpusFormat::default() };
        let located = Located { origin: Origin::Content { digest: Digest::of(b"") }, files: vec![path] };
        assert_eq!(documents(&located, &format).unwrap(), ["one two\nthree four", "five six"]);
    }

    #[test]
    fn blank_lines_separate_documents_and_short_lines_go() {
        let text = "one two three\r\nshort\r\nfour five six\r\n \r\n\r\nseven eight nine\n";
        assert_eq!(cut(text, Documents::BlankLine, 3), ["one two three\nfour five six", "seven eight nine"]);
        assert_eq!(cut(text, Documents::BlankLine, 0), ["one two three\nshort\nfour five six", "seven eight nine"]);
    }

    #[test]
    fn lines_and_groups_of_lines_are_documents() {
        let text = "a\nb\n\nc\nd\ne";
        assert_eq!(cut(text, Documents::Line, 0), ["a", "b", "c", "d", "e"]);
        assert_eq!(cut(text, Documents::Lines(2), 1), ["a\nb", "c\nd", "e"]);
        assert!(cut("\n \n", Documents::Line, 0).is_empty());
    }

    #[test]
    fn what_is_not_text_is_named_by_line_and_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin.txt");
        fs::write(&path, b"good line\ncaf\xe9").unwrap();
        match read_text(&path) {
            Err(DataError::NotUtf8 { line: 2, byte: 4, .. }) => {}
            other => panic!("{other:?}"),
        }
        fs::write(&path, "\u{feff}text").unwrap();
        assert_eq!(read_text(&path).unwrap(), "text");
    }
}
