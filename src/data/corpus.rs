//! Text corpora: files to documents.

use std::fs;
use std::path::Path;

use crate::domain::{CorpusFormat, Documents, Located, Origin, Volume, WorldPart};

use super::error::DataError;
use super::{words, world};

/// The documents of a corpus, in the order of its files and lines.
///
/// Lines of fewer than `min_words` words are dropped, and blank lines always; the lines of a document are joined by
/// `\n`, whatever ended them in the file. No document crosses from one file into the next.
///
/// # Errors
/// Missing or unreadable files, text that is not UTF-8, a part of the toy world that is no corpus.
pub fn documents(located: &Located, format: &CorpusFormat) -> Result<Vec<String>, DataError> {
    let mut documents = Vec::new();
    each_text(located, |text| split(text, format, |document| documents.push(document)))?;
    Ok(documents)
}

/// How much text [`documents`] would give, without holding it.
pub(super) fn volume(located: &Located, format: &CorpusFormat) -> Result<Volume, DataError> {
    let mut volume = Volume { units: 0, words: 0 };
    each_text(located, |text| {
        split(text, format, |document| {
            volume.units += 1;
            volume.words += words(&document);
        });
    })?;
    Ok(volume)
}

fn each_text(located: &Located, mut visit: impl FnMut(&str)) -> Result<(), DataError> {
    match &located.origin {
        Origin::World { part, seed, size } => match part {
            WorldPart::Speech | WorldPart::Dialogues | WorldPart::Articles => {
                visit(&world::corpus(*part, *seed, *size))
            }
            WorldPart::Chat | WorldPart::Questions | WorldPart::Evaluation => {
                let (wanted, choices) = ("a corpus", "speech, dialogues, articles");
                return Err(DataError::WrongPart { part: *part, wanted, choices });
            }
        },
        Origin::Content { .. } => {
            for path in &located.files {
                visit(&read_text(path)?);
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

/// Cuts one file's text into documents.
fn split(text: &str, format: &CorpusFormat, mut visit: impl FnMut(String)) {
    let longest = match format.documents {
        Documents::BlankLine => usize::MAX,
        Documents::Line => 1,
        Documents::Lines(lines) => lines.max(1) as usize,
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut flush = |kept: &mut Vec<&str>| {
        if !kept.is_empty() {
            visit(kept.join("\n"));
            kept.clear();
        }
    };
    for line in text.lines() {
        let length = words(line);
        if length == 0 && format.documents == Documents::BlankLine {
            flush(&mut kept);
        }
        if length == 0 || length < u64::from(format.min_words) {
            continue;
        }
        kept.push(line);
        if kept.len() == longest {
            flush(&mut kept);
        }
    }
    flush(&mut kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, documents: Documents, min_words: u32) -> Vec<String> {
        let mut all = Vec::new();
        split(text, &CorpusFormat { documents, min_words }, |document| all.push(document));
        all
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
