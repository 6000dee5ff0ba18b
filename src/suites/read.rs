//! Files to items.

use std::collections::HashMap;

use crate::domain::{BoxRows, Cluster, EwokContrast, Mode, Suite};

use super::aoa;
use super::clusters;
use super::error::SuiteError;
use super::item::{Candidate, Item, Tokenized, Truth};
use super::reading;
use super::row::Row;

const JSON_LINES: &str = ".jsonl";
const TABLE: &str = ".csv";

/// See [`super::read`].
pub(super) fn read(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    match suite {
        Suite::Blimp | Suite::BlimpSupplement => json_lines(suite, files, |stem, row| minimal_pair(suite, stem, row)),
        Suite::EntityTracking => json_lines(suite, files, |stem, row| boxes(mode, stem, row)),
        Suite::Ewok => json_lines(suite, files, |_, row| world_knowledge(mode, row)),
        Suite::Comps => json_lines(suite, files, property),
        Suite::WugAdj | Suite::WugPast => json_lines(suite, files, |_, row| nonce_forms(suite, row)),
        Suite::Reading => tables(suite, mode, files),
        Suite::Aoa => aoa::read(files),
        Suite::Glue => Err(SuiteError::Finetuned { suite: suite.name() }),
    }
}

/// Reads every row of every table.
fn tables(suite: Suite, mode: Mode, files: &[(String, Vec<u8>)]) -> Result<Vec<Item>, SuiteError> {
    let mut items = Vec::new();
    for (name, bytes) in files_of_kind(files, TABLE)? {
        let rows = reading::table(mode, name, bytes, items.len() as u32)?;
        items.extend(rows_of(name, rows)?);
    }
    some(items, suite, files, TABLE)
}

/// What a row of a JSON lines file says, before it is numbered.
struct Parsed {
    subtask: String,
    group: String,
    kinds: Vec<(&'static str, String)>,
    candidates: Vec<Candidate>,
    truth: Truth,
    kept: bool,
    cluster: Cluster,
}

/// Reads every row of every JSON lines file with `parse`, which also gets the stem of the file's name.
fn json_lines(
    suite: Suite,
    files: &[(String, Vec<u8>)],
    parse: impl Fn(&str, &Row) -> Result<Parsed, SuiteError>,
) -> Result<Vec<Item>, SuiteError> {
    let mut items = Vec::new();
    let mut rows: HashMap<String, u32> = HashMap::new();
    for (name, bytes) in files_of_kind(files, JSON_LINES)? {
        // The whole name: a dot within it belongs to the UID.
        let stem = name.strip_suffix(JSON_LINES).unwrap_or(name);
        let found: Vec<Row> = Row::all(name, bytes).collect::<Result<_, _>>()?;
        for row in rows_of(name, found)? {
            let Parsed { subtask, group, kinds, candidates, truth, kept, cluster } = parse(stem, &row)?;
            let next = rows.entry(subtask.clone()).or_default();
            let index = *next;
            *next += 1;
            if kept {
                let task = suite.name().to_owned();
                items.push(Item { task, subtask, group, kinds, index, candidates, truth, cluster });
            }
        }
    }
    some(items, suite, files, JSON_LINES)
}

/// Refuses a file without rows.
fn rows_of<T>(file: &str, rows: Vec<T>) -> Result<Vec<T>, SuiteError> {
    if rows.is_empty() { Err(SuiteError::NoRows { file: file.to_owned() }) } else { Ok(rows) }
}

/// Refuses to call nothing a suite.
fn some(
    items: Vec<Item>,
    suite: Suite,
    files: &[(String, Vec<u8>)],
    extension: &'static str,
) -> Result<Vec<Item>, SuiteError> {
    match items.is_empty() {
        true => Err(SuiteError::NoItems { suite: suite.name(), files: files.len(), extension }),
        false => Ok(items),
    }
}

/// The files with an extension and no leading dot, sorted by their base names.
fn files_of_kind<'a>(files: &'a [(String, Vec<u8>)], extension: &str) -> Result<Vec<(&'a str, &'a [u8])>, SuiteError> {
    let mut kept: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, bytes)| (path.rsplit('/').next().unwrap_or(path), bytes.as_slice()))
        .filter(|(name, _)| !name.starts_with('.') && name.len() > extension.len() && name.ends_with(extension))
        .collect();
    kept.sort_unstable();
    match kept.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(SuiteError::TwoFiles { file: pair[0].0.to_owned() }),
        None => Ok(kept),
    }
}

/// BLiMP and its supplement: a good and a bad sentence, scored whole.
fn minimal_pair(suite: Suite, stem: &str, row: &Row) -> Result<Parsed, SuiteError> {
    let word = |field: &str| if row.has(field) { row.text(field) } else { Ok("supplement") };
    Ok(Parsed {
        subtask: stem.to_owned(),
        group: word("field")?.replace("syntax_semantics", "syntax/semantics"),
        kinds: vec![("LINGUISTICS_TERM", word("linguistics_term")?.to_owned())],
        candidates: vec![Candidate::whole(row.text("sentence_good")?), Candidate::whole(row.text("sentence_bad")?)],
        truth: Truth::First,
        kept: true,
        cluster: clusters::minimal_pair(suite, stem, row),
    })
}

/// Entity tracking: several contents of a box, the first of them right.
///
/// An option "nothing" is always the shortest, and right in three rows of ten.
fn boxes(mode: Mode, stem: &str, row: &Row) -> Result<Parsed, SuiteError> {
    let (prefix, options) = (row.text("input_prefix")?, row.texts("options")?);
    if options.len() < 2 {
        return Err(row.error(format!("field `options` should hold at least 2 strings, not {}", options.len())));
    }
    Ok(Parsed {
        subtask: format!("{stem}_{}_ops", row.natural("numops")?),
        group: stem.to_owned(),
        kinds: vec![],
        candidates: options.iter().map(|option| Candidate::after(prefix, option, Tokenized::Whole)).collect(),
        truth: Truth::First,
        kept: mode.entity_tracking == BoxRows::All || !options.iter().any(|option| option.contains("nothing")),
        cluster: clusters::story(prefix),
    })
}

/// EWoK: two targets after one context, or one target after two contexts.
fn world_knowledge(mode: Mode, row: &Row) -> Result<Parsed, SuiteError> {
    let (context, target) = (row.text("Context1")?, row.text("Target1")?);
    let other = match mode.ewok {
        EwokContrast::Targets => (context, row.text("Target2")?),
        EwokContrast::Contexts => (row.text("Context2")?, target),
    };
    let candidates = [(context, target), other]
        .map(|(context, target)| Candidate::after(context, &format!(" {target}"), Tokenized::Whole));
    let kinds =
        [("CONTEXT_TYPE", "ContextType"), ("CONTEXT_CONTRAST", "ContextDiff"), ("TARGET_CONTRAST", "TargetDiff")];
    let kind = |(block, field)| row.has(field).then(|| Ok((block, row.text(field)?.to_owned())));
    Ok(Parsed {
        subtask: row.text("Domain")?.to_owned(),
        group: Suite::Ewok.name().to_owned(),
        kinds: kinds.into_iter().filter_map(kind).collect::<Result<_, SuiteError>>()?,
        candidates: candidates.into(),
        truth: Truth::First,
        kept: true,
        cluster: clusters::world_knowledge(row),
    })
}

/// COMPS: one property after an acceptable and an unacceptable concept.
fn property(stem: &str, row: &Row) -> Result<Parsed, SuiteError> {
    let phrase = row.text("property_phrase")?;
    let after = |prefix: &str| Candidate::after(&format!("{prefix} "), phrase, Tokenized::Whole);
    Ok(Parsed {
        subtask: stem.strip_prefix("comps_").unwrap_or(stem).replace('-', "_"),
        group: Suite::Comps.name().to_owned(),
        kinds: vec![],
        candidates: vec![after(row.text("prefix_acceptable")?), after(row.text("prefix_unacceptable")?)],
        truth: Truth::First,
        kept: true,
        cluster: clusters::property(phrase, row),
    })
}

/// WUG: two forms of a nonce word in sentences scored whole, and how many people gave the first.
fn nonce_forms(suite: Suite, row: &Row) -> Result<Parsed, SuiteError> {
    let sentences = row.text("sentences")?;
    let (first, second) = match sentences.split_once('\t') {
        Some((first, second)) if !second.contains('\t') => (first, second),
        _ => return Err(row.error("field `sentences` should hold two sentences with a tab between".to_owned())),
    };
    Ok(Parsed {
        subtask: suite.name().replace('-', "_"),
        group: suite.name().to_owned(),
        kinds: vec![],
        candidates: vec![Candidate::whole(first), Candidate::whole(second)],
        truth: Truth::Share(row.share("ratio")?),
        kept: true,
        cluster: Cluster::Itself,
    })
}

#[cfg(test)]
mod tests;
