//! The table of reading times, with missing values as pandas recognizes them.

use csv::StringRecord;

use crate::domain::{Cluster, Mode, ReadingWord, Suite};

use super::super::error::SuiteError;
use super::super::files;
use super::super::item::{Candidate, Item, Measurements, Tokenization, Truth};
use super::word::{EYE_TRACKING, POTENTIALS, SELF_PACED};

/// The cells that pandas reads as missing.
const MISSING: [&str; 19] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// Reads a table of words in context: one item for each row, the first with index `start`.
///
/// An item has a candidate for the word after its context and, unless it is missing, one for the word before. A missing
/// context is read as the text "None", because the official table has a context that is the text "None". A missing
/// previous context stays missing in both modes, which excludes that one row.
pub(super) fn read(mode: Mode, file: &str, bytes: &[u8], start: u32) -> Result<Vec<Item>, SuiteError> {
    let mut reader = csv::Reader::from_reader(files::text(file, bytes)?.as_bytes());
    let unreadable = |error: csv::Error| files::not_csv(file, &error);
    let header = reader.headers().map_err(unreadable)?.clone();
    let mut items = Vec::new();
    for (index, record) in (start..).zip(reader.records()) {
        let record = record.map_err(unreadable)?;
        items.push(item(mode, index, &Cells { file, header: &header, record })?);
    }
    Ok(items)
}

fn item(mode: Mode, index: u32, cells: &Cells) -> Result<Item, SuiteError> {
    let candidate = |context: &str, word: &str| match mode.reading {
        ReadingWord::Pieces => Candidate::after(context, word, Tokenization::Piecewise),
        ReadingWord::Whole => Candidate::after(context, &format!(" {word}"), Tokenization::Whole),
    };
    let mut candidates = vec![candidate(cells.present("item")?.unwrap_or("None"), cells.text("word")?)];
    if let Some(context) = cells.present("prev_item")? {
        candidates.push(candidate(context, cells.text("prev_word")?));
    }
    let measured = Measurements {
        frequency: cells.number("Subtlex_log10")?,
        length: cells.number("length")?,
        context_length: cells.number("context_length")?,
        previous_length: cells.number("prev_length")?,
        eye_tracking: cells.numbers(EYE_TRACKING.1)?,
        self_paced: cells.number(SELF_PACED.1)?,
        potentials: cells.potentials()?,
    };
    let suite = Suite::Reading.name().to_owned();
    let truth = Truth::Measured(Box::new(measured));
    let cluster = Cluster::shared(cells.optional("sent_id").unwrap_or_default());
    let (task, subtask) = (suite.clone(), suite.clone());
    Ok(Item { task, subtask, group: suite, report_labels: vec![], index, candidates, truth, cluster })
}

/// One row of the table, by column name.
struct Cells<'a> {
    file: &'a str,
    header: &'a StringRecord,
    record: StringRecord,
}

impl Cells<'_> {
    fn text(&self, column: &str) -> Result<&str, SuiteError> {
        let place = self.header.iter().position(|name| name == column);
        let cell = place.and_then(|place| self.record.get(place));
        cell.ok_or_else(|| self.error(format!("column `{column}` is missing")))
    }

    /// A cell of an optional column.
    fn optional(&self, column: &str) -> Option<&str> {
        let place = self.header.iter().position(|name| name == column)?;
        self.record.get(place).filter(|text| !is_missing(text))
    }

    /// A cell, unless it is missing.
    fn present(&self, column: &str) -> Result<Option<&str>, SuiteError> {
        Ok(Some(self.text(column)?).filter(|text| !is_missing(text)))
    }

    fn number(&self, column: &str) -> Result<Option<f64>, SuiteError> {
        let Some(text) = self.present(column)? else { return Ok(None) };
        match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(self.error(format!("column `{column}` should be a number, not `{text}`"))),
        }
    }

    fn numbers<const N: usize>(&self, columns: [&str; N]) -> Result<[Option<f64>; N], SuiteError> {
        let mut numbers = [None; N];
        for (number, column) in numbers.iter_mut().zip(columns) {
            *number = self.number(column)?;
        }
        Ok(numbers)
    }

    /// No score uses the potentials, so a table need not have them.
    fn potentials(&self) -> Result<[Option<f64>; 6], SuiteError> {
        let has = |column: &&str| self.header.iter().any(|name| name == *column);

        if POTENTIALS.iter().all(has) { self.numbers(POTENTIALS) } else { Ok([None; 6]) }
    }

    fn error(&self, reason: String) -> SuiteError {
        let line = self.record.position().map_or(1, |position| position.line() as usize);
        SuiteError::Row { file: self.file.to_owned(), line, reason }
    }
}

fn is_missing(text: &str) -> bool {
    MISSING.contains(&text)
}
