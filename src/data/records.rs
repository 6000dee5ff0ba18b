//! Instruction datasets: from files to records.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{
    DatasetFormat, InstructionPosition, LocatedSource, MeasuredText, Origin, Pattern, Replies, SourceFile, WorldPart,
};

use super::clean::remove_characters;
use super::detect::detect_format;
use super::dialogue::{Utterance, merge_turns, parse_dialogues};
use super::error::DataError;
use super::files::read_text;
use super::record::{Record, Uncertainty};
use super::row_records::RowReader;
use super::rows::{Columns, Fault, each_row, each_value};
use super::world;

/// The records of a dataset, in the order of its files and lines, without those that have no text to train on.
///
/// These are the records of [`record_groups`].
///
/// # Errors
/// As [`record_groups`].
pub fn records(located: &LocatedSource, format: &DatasetFormat) -> Result<Vec<Record>, DataError> {
    Ok(record_groups(located, format)?.into_iter().flatten().collect())
}

/// The records of a dataset in groups that share text: the turns of one dialogue, in which the reply of a record is the
/// prompt of the next one; the questions about one paragraph; a single row. No group is empty.
///
/// The parts of the toy world for datasets are records already, so of the format only its replies and whether
/// it has an uncertainty apply to them; its [`WorldPart::Dialogues`] can be read as [`DatasetFormat::Dialogue`].
///
/// # Errors
/// Missing or unreadable files, lines that do not follow the format, a part of the toy world that has no records.
pub fn record_groups(located: &LocatedSource, format: &DatasetFormat) -> Result<Vec<Vec<Record>>, DataError> {
    let mut groups = all_groups(located, format)?;
    groups.iter_mut().for_each(|group| drop_blank(group, format.replies()));
    groups.retain(|group| !group.is_empty());
    Ok(groups)
}

/// Removes the records of a group that have no text to train on. A pair that lacks one of its replies is removed.
fn drop_blank(group: &mut Vec<Record>, replies: Replies) {
    match replies {
        Replies::Good | Replies::Labelled => group.retain(|record| !record.is_blank()),
        Replies::Pairs if group.iter().any(Record::is_blank) => group.clear(),
        Replies::Pairs => {}
    }
}

/// As [`record_groups`], including records that have no text to train on.
fn all_groups(located: &LocatedSource, format: &DatasetFormat) -> Result<Vec<Vec<Record>>, DataError> {
    match &located.origin {
        Origin::World { part, seed, size } => match (part, format) {
            (WorldPart::Chat | WorldPart::Questions, _) => {
                let groups = single(world::records(*part, *seed, *size));
                Ok(with_uncertainty(groups, *part, *seed, format))
            }
            (WorldPart::Preferences | WorldPart::Habits, _) => {
                let pairs = world::pairs(*part, *seed, *size);
                let groups = pairs.into_iter().map(|pair| Record::of_pair(pair, format.replies())).collect();
                Ok(with_uncertainty(groups, *part, *seed, format))
            }
            (WorldPart::Dialogues, DatasetFormat::Dialogue { .. }) => {
                parse_text(Path::new("the toy world"), &world::corpus(*part, *seed, *size), format)
            }
            _ => {
                let choices = "chat, questions, preferences, habits, or dialogues in the dialogue format";
                let wanted = "a dataset";
                Err(DataError::WrongPart { part: *part, wanted, choices })
            }
        },
        Origin::Content { .. } | Origin::Output { .. } => {
            let detected = match format {
                DatasetFormat::Detected { .. } => Some(detect_format(located, format.first())?),
                _ => None,
            };
            let format = detected.as_ref().unwrap_or(format);
            let mut all = Vec::new();
            for file in &located.files {
                all.extend(parse(file, format)?);
            }
            if let Some(first) = format.first() {
                // Each row is its own group.
                all.truncate(usize::try_from(first).unwrap_or(usize::MAX));
            }
            Ok(all)
        }
        Origin::Missing { location } => Err(DataError::Missing { location: location.clone() }),
    }
}

/// The groups of a part of the toy world, each with an uncertainty if the format has one. Both replies of a pair have the
/// same, as those of a row in a file do.
fn with_uncertainty(groups: Vec<Vec<Record>>, part: WorldPart, seed: u64, format: &DatasetFormat) -> Vec<Vec<Record>> {
    if !format.has_uncertainty() {
        return groups;
    }
    let uncertain = |(group, index): (Vec<Record>, u64)| {
        let uncertainty = Uncertainty::new(world::random_uncertainty(part, seed, index));
        let add = |record| match uncertainty {
            Some(uncertainty) => Record::Uncertain(Box::new(record), uncertainty),
            None => record,
        };
        group.into_iter().map(add).collect()
    };
    groups.into_iter().zip(0..).map(uncertain).collect()
}

/// As [`records`], with the number of records that have no text to train on.
///
/// # Errors
/// As [`record_groups`].
pub fn records_and_blank(located: &LocatedSource, format: &DatasetFormat) -> Result<(Vec<Record>, usize), DataError> {
    let mut groups = all_groups(located, format)?;
    let count = |groups: &[Vec<Record>]| groups.iter().map(Vec::len).sum::<usize>();
    let all = count(&groups);
    groups.iter_mut().for_each(|group| drop_blank(group, format.replies()));
    let blank = all - count(&groups);
    Ok((groups.into_iter().flatten().collect(), blank))
}

/// The size of the text of [`records`]. The units of pairs of replies are pairs.
pub(super) fn measure(located: &LocatedSource, format: &DatasetFormat) -> Result<MeasuredText, DataError> {
    let (records, blank) = records_and_blank(located, format)?;
    let words = records.iter().map(Record::words).sum();
    let records_per_unit = format.replies().records_per_unit();
    Ok(MeasuredText { units: records.len() as u64 / records_per_unit, words, blank: blank as u64 / records_per_unit })
}

/// The bytes of the texts of [`records`]; 0 for token ids, whose text is not known.
pub(super) fn count_bytes(located: &LocatedSource, format: &DatasetFormat) -> Result<u64, DataError> {
    let texts = |record: &Record| record.texts().iter().map(|text| text.len() as u64).sum::<u64>();
    Ok(records(located, format)?.iter().map(texts).sum())
}

/// The number of [`records`] that are the same with the instruction before and after the input, because they have no input.
pub(super) fn count_without_input(located: &LocatedSource, format: &DatasetFormat) -> Result<u64, DataError> {
    let with = |position| records(located, &format.clone().with_position(position));
    let (before, after) = (with(InstructionPosition::Pre)?, with(InstructionPosition::Post)?);
    Ok(before.iter().zip(&after).filter(|(before, after)| before == after).count() as u64)
}

/// Groups of one record each.
fn single(records: Vec<Record>) -> Vec<Vec<Record>> {
    records.into_iter().map(|record| vec![record]).collect()
}

fn parse(file: &SourceFile, format: &DatasetFormat) -> Result<Vec<Vec<Record>>, DataError> {
    match format {
        DatasetFormat::Records { layout, prompt, reply, first: _ } => {
            let fields: Vec<&str> = prompt.fields().chain(reply.fields()).collect();
            let (mut records, prompt_fields) = (vec![], prompt.fields().count());
            each_row(file, *layout, &fields, |values| {
                let (prompt_values, reply_values) = values.split_at(prompt_fields);
                let fill = |pattern: &Pattern, values: &[String]| pattern.fill(values.iter().map(String::as_str));
                records.push(Record::pair(fill(prompt, prompt_values), fill(reply, reply_values)));
            })?;
            Ok(single(records))
        }
        DatasetFormat::Rows { layout, row, fields, roles, replies, ranking, position, uncertainty, first: _ } => {
            let uncertainty = uncertainty.as_deref();
            let (replies, ranking, position) = (*replies, ranking.as_ref(), *position);
            let reader = RowReader { row: *row, fields, roles, replies, ranking, position, uncertainty };
            let mut groups = vec![];
            let names = reader.names();
            let read = |value: &Value| {
                groups.push(reader.records(value)?);
                Ok(())
            };
            let expected = || {
                let required =
                    row.required().iter().map(|field| format!("'{}'", fields.get(*field).map_or(*field, |name| name)));
                format!("rows of the format {row}, with {}", required.collect::<Vec<_>>().join(" and "))
            };
            each_value(file, *layout, Columns::Existing(&names), read)?
                .map_err(|fault| fault.expecting(&file.path, expected()))?;
            Ok(groups)
        }
        DatasetFormat::Detected { .. } => unreachable!("`all_groups` detects the format"),
        DatasetFormat::Dialogue { .. } | DatasetFormat::Squad { .. } => {
            parse_text(&file.path, &read_text(file)?, format)
        }
    }
}

/// As [`parse`], for the formats that consist of text.
fn parse_text(path: &Path, text: &str, format: &DatasetFormat) -> Result<Vec<Vec<Record>>, DataError> {
    match format {
        DatasetFormat::Detected { .. } | DatasetFormat::Rows { .. } | DatasetFormat::Records { .. } => {
            unreachable!("`parse` reads rows from their files")
        }
        DatasetFormat::Dialogue { min_words, across, remove } => {
            let mut all = parse_dialogues(path, text)?;
            for utterance in all.iter_mut().flatten() {
                utterance.text = remove_characters(&utterance.text, remove).into_owned();
            }
            if *across {
                all = vec![all.concat()];
            }
            Ok(all.into_iter().map(|dialogue| pair_turns(dialogue, *min_words)).collect())
        }
        DatasetFormat::Squad { with_context } => squad(path, text, *with_context),
    }
}

/// Pairs each turn except the last, as the prompt, with the next one, as its reply.
fn pair_turns(dialogue: Vec<Utterance>, min_words: u32) -> Vec<Record> {
    let turns = merge_turns(dialogue, min_words);
    turns.windows(2).map(|pair| Record::pair(&pair[0].text, &pair[1].text)).collect()
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

/// Parses SQuAD JSON; each paragraph is a group. Questions without an answer get an empty reply.
fn squad(path: &Path, text: &str, with_context: bool) -> Result<Vec<Vec<Record>>, DataError> {
    let squad: Squad = serde_json::from_str(text).map_err(|error| {
        let fault = Fault { line: error.line(), problem: error.to_string() };
        fault.expecting(path, "SQuAD JSON: data > paragraphs > {context, qas > {question, answers > {text}}}")
    })?;
    let paragraph_records = |Paragraph { context, qas }: Paragraph| {
        let record = |entry: Question| {
            let question = entry.question.trim();
            let prompt = if with_context { format!("{}\n{question}", context.trim()) } else { question.to_owned() };
            let reply = entry.answers.into_iter().next().map(|answer| answer.text).unwrap_or_default();
            Record::Pair { prompt, reply }
        };
        qas.into_iter().map(record).collect()
    };
    Ok(squad.data.into_iter().flat_map(|article| article.paragraphs).map(paragraph_records).collect())
}

#[cfg(test)]
mod tests;
