//! Texts that are embedded: the pieces of a corpus, and the records of a dataset.

use crate::domain::{CorpusFormat, DatasetFormat, LocatedSource, PieceSelection, PieceUnit};

use super::corpus::documents;
use super::error::DataError;
use super::generate::truncate;
use super::records::records;
use super::words::count_words;

/// The pieces of a corpus that a selection considers, in their order, each text once.
///
/// # Errors
/// Those of [`documents`].
pub fn pieces(
    located: &LocatedSource,
    format: &CorpusFormat,
    selection: &PieceSelection,
) -> Result<Vec<String>, DataError> {
    let documents = documents(located, format)?;
    let cut: Vec<&str> = match selection.unit {
        PieceUnit::Document => documents.iter().map(String::as_str).collect(),
        PieceUnit::Paragraph => documents.iter().flat_map(|document| document.lines()).collect(),
    };
    let long_enough = |text: &&str| count_words(text) >= u64::from(selection.min_words.max(1));
    let cut = cut.into_iter().filter(long_enough).map(|text| truncate(text.to_owned(), selection.max_words));
    let mut seen = std::collections::HashSet::new();
    Ok(cut.filter(|text| seen.insert(text.clone())).collect())
}

/// The texts of the records of a dataset without bad replies: prompt and reply, or messages, on lines of their own and
/// without a template. A record of token ids has no text, and is left out.
///
/// # Errors
/// Those of [`records()`].
pub fn record_texts(located: &LocatedSource, format: &DatasetFormat) -> Result<Vec<String>, DataError> {
    let good = records(located, format)?.into_iter().filter(|record| !record.is_rejected());
    let texts = good.map(|record| record.texts().join("\n")).filter(|text| count_words(text) > 0);
    Ok(texts.collect())
}

#[cfg(test)]
mod tests {
    use crate::domain::{Bandwidth, DensityLimit, Digest, Origin};

    use super::super::source_file::tests::planned;
    use super::*;

    #[test]
    fn pieces_are_documents_or_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.txt");
        std::fs::write(&path, "one two three\nfour five\n\nsix\n\none two three\n\na b c d e").unwrap();
        let located =
            LocatedSource { origin: Origin::Content { digest: Digest::of(b"") }, files: vec![planned(&path)] };
        let cut = |unit, min_words| {
            let (bandwidth, below) = (Bandwidth::Scott, DensityLimit::Quantile(0.05));
            let selection = PieceSelection { unit, min_words, max_words: 4, dims: 2, bandwidth, below, most: None };
            pieces(&located, &CorpusFormat::default(), &selection).unwrap()
        };
        assert_eq!(cut(PieceUnit::Document, 0), ["one two three\nfour", "six", "one two three", "a b c d"]);
        assert_eq!(cut(PieceUnit::Paragraph, 2), ["one two three", "four five", "a b c d"]);
    }
}
