//! Text corpora: from files to documents.

use std::borrow::Cow;

use crate::domain::{CorpusFormat, Documents, LocatedSource, MeasuredText, Origin, WorldPart, refuse_carriage_returns};

use super::clean::remove_characters;
use super::dialogue::split_speaker;
use super::error::DataError;
use super::files::read_text;
use super::rows::each_row;
use super::words::count_words;
use super::world;

/// The documents of a corpus, in the order of its files and lines.
///
/// Characters are removed first, then lines that are blank or have fewer than `min_words` words are dropped, then
/// consecutive turns of one speaker are merged. The lines of a document are joined by `\n`. A document never continues in
/// the next file.
///
/// # Errors
/// Missing or unreadable files, text that is not UTF-8 or whose lines end with a carriage return alone, a part of the toy world that is not a corpus.
pub fn documents(located: &LocatedSource, format: &CorpusFormat) -> Result<Vec<String>, DataError> {
    let mut documents = Vec::new();
    each_document(located, format, |document| documents.push(document))?;
    Ok(documents)
}

/// The size of the text that [`documents`] returns, without keeping it in memory.
pub(super) fn measure(located: &LocatedSource, format: &CorpusFormat) -> Result<MeasuredText, DataError> {
    let mut size = MeasuredText { units: 0, words: 0, blank: 0 };
    each_document(located, format, |document| {
        size.units += 1;
        size.words += count_words(&document);
    })?;
    Ok(size)
}

/// The bytes of the documents that [`documents`] returns.
pub(super) fn count_bytes(located: &LocatedSource, format: &CorpusFormat) -> Result<u64, DataError> {
    let mut bytes = 0;
    each_document(located, format, |document| bytes += document.len() as u64)?;
    Ok(bytes)
}

/// The streams of a test set of in-context learning, which only the toy world has, because it knows their entropies.
///
/// # Errors
/// A source that is not [`WorldPart::MetaLang`].
pub fn streams(located: &LocatedSource) -> Result<impl Iterator<Item = world::Stream>, DataError> {
    match &located.origin {
        Origin::World { part: WorldPart::MetaLang(family), seed, size } => Ok(world::streams(*family, *seed, *size)),
        Origin::World { part, .. } => {
            let wanted = "a test set of in-context learning";
            Err(DataError::WrongPart { part: *part, wanted, choices: "metalang" })
        }
        Origin::Content { .. } | Origin::Output { .. } => {
            Err(DataError::Missing { location: "streams with their entropies".to_owned() })
        }
        Origin::Missing { location } => Err(DataError::Missing { location: location.clone() }),
    }
}

fn each_document(
    located: &LocatedSource,
    format: &CorpusFormat,
    mut visit: impl FnMut(String),
) -> Result<(), DataError> {
    match &located.origin {
        Origin::World { part, seed, size } => match part {
            WorldPart::Speech | WorldPart::Dialogues | WorldPart::Articles | WorldPart::MetaLang(_) => {
                split(&world::corpus(*part, *seed, *size), format, visit);
            }
            WorldPart::Chat
            | WorldPart::Questions
            | WorldPart::Preferences
            | WorldPart::Habits
            | WorldPart::Evaluation
            | WorldPart::DialoguePairs
            | WorldPart::Maxims => {
                let (wanted, choices) = ("a corpus", "speech, dialogues, articles, metalang");
                return Err(DataError::WrongPart { part: *part, wanted, choices });
            }
        },
        Origin::Content { .. } | Origin::Output { .. } => {
            for file in &located.files {
                match &format.documents {
                    Documents::Rows { layout, text } => each_row(file, *layout, &[text.as_str()], |row| {
                        split(&row.concat(), format, &mut visit);
                    })?,
                    Documents::BlankLine | Documents::Line | Documents::Lines(_) => {
                        let text = read_text(file)?;
                        refuse_carriage_returns(&text).map_err(DataError::not_text(&file.path))?;
                        split(&text, format, &mut visit);
                    }
                }
            }
        }
        Origin::Missing { location } => return Err(DataError::Missing { location: location.clone() }),
    }
    Ok(())
}

/// Splits a text into documents.
fn split(text: &str, format: &CorpusFormat, mut visit: impl FnMut(String)) {
    let text = remove_characters(text, &format.remove);
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
        let turn = if format.merge_turns { split_speaker(line) } else { None };
        let length = count_words(turn.map_or(line, |(_, text)| text));
        if length == 0 && format.documents == Documents::BlankLine {
            flush(&mut kept);
        }
        if length == 0 || length < u64::from(format.min_words) {
            continue;
        }
        if let (Some((speaker, text)), Some(last)) = (turn, kept.last_mut())
            && split_speaker(last).is_some_and(|(before, _)| before == speaker)
        {
            *last = Cow::Owned(format!("{last} {text}"));
            continue;
        }
        // After merging, so that a turn never continues in the next document.
        if kept.len() == longest {
            flush(&mut kept);
        }
        kept.push(Cow::Borrowed(line));
    }
    flush(&mut kept);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::domain::{Digest, Layout};

    use super::super::source_file::tests::planned;
    use super::*;

    fn documents_of(text: &str, documents: Documents, min_words: u32) -> Vec<String> {
        let mut all = Vec::new();
        split(text, &CorpusFormat { documents, min_words, ..CorpusFormat::default() }, |document| all.push(document));
        all
    }

    #[test]
    fn characters_are_removed_before_words_are_counted() {
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
        assert_eq!(all, expected, "dropped first, then merged; the name of the speaker is not a word");
    }

    #[test]
    fn rows_are_documents() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        fs::write(&path, "{\"text\": \"one two\\n\\nx\\nthree four\"}\n{\"text\": \"\"}\n{\"text\": \"five six\"}")
            .unwrap();
        let rows = Documents::Rows { layout: Layout::Json, text: "text".into() };
        let format = CorpusFormat { documents: rows, min_words: 2, ..CorpusFormat::default() };
        let located =
            LocatedSource { origin: Origin::Content { digest: Digest::of(b"") }, files: vec![planned(&path)] };
        assert_eq!(documents(&located, &format).unwrap(), ["one two\nthree four", "five six"]);
    }

    #[test]
    fn blank_lines_separate_documents_and_short_lines_are_dropped() {
        let text = "one two three\r\nshort\r\nfour five six\r\n \r\n\r\nseven eight nine\n";
        assert_eq!(documents_of(text, Documents::BlankLine, 3), ["one two three\nfour five six", "seven eight nine"]);
        assert_eq!(
            documents_of(text, Documents::BlankLine, 0),
            ["one two three\nshort\nfour five six", "seven eight nine"]
        );
    }

    #[test]
    fn lines_and_groups_of_lines_are_documents() {
        let text = "a\nb\n\nc\nd\ne";
        assert_eq!(documents_of(text, Documents::Line, 0), ["a", "b", "c", "d", "e"]);
        assert_eq!(documents_of(text, Documents::Lines(2), 1), ["a\nb", "c\nd", "e"]);
        assert!(documents_of("\n \n", Documents::Line, 0).is_empty());
    }
}
