//! The format of a dataset, from the fields of its first row.

use serde_json::Value;

use crate::domain::{DatasetFormat, Layout, LocatedSource, Pattern, RowFormat, SourceFile};

use super::dialogue::split_speaker;
use super::error::DataError;
use super::files::{file_name, read_text};
use super::rows::{Columns, each_value};

/// Fields of a prompt and its reply that no tool has given a name to.
const PAIRS: [(&str, &str); 5] = [
    ("prompt", "reply"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "response"),
    ("input", "output"),
];

/// Fields that belong to the prompt where a row has them. A detected format must not leave them out without a message.
const FURTHER: [&str; 9] =
    ["context", "input", "system", "history", "passage", "document", "instruction", "question", "query"];

/// The format of the files of a source that has some. The layout of rows follows from the extension of the first file, the
/// format from the fields of its first row.
///
/// # Errors
/// A file that cannot be read; fields that no format has, or that two have.
pub fn detect_format(located: &LocatedSource, first: Option<u64>) -> Result<DatasetFormat, DataError> {
    let Some(file) = located.files.first() else { return Ok(DatasetFormat::json("prompt", "reply")) };
    let layout = Layout::of_file(&file_name(&file.path));
    if layout == Layout::Json && is_dialogue(file)? {
        return Ok(DatasetFormat::dialogue(0));
    }
    let row = first_row(file, layout)?;
    let malformed = |problem: String| DataError::Malformed {
        path: file.path.clone(),
        line: 1,
        problem,
        expected: "rows of a known format, or `format:` with the names of the fields; see `datasets` in docs/spec.md"
            .to_owned(),
    };
    match row {
        None => Err(malformed("the file has no rows".to_owned())),
        Some(row) => format_of(&row, layout, first).map_err(malformed),
    }
}

/// Whether the first line that is not blank is that of a speaker.
fn is_dialogue(file: &SourceFile) -> Result<bool, DataError> {
    let text = read_text(file)?;
    let line = text.lines().find(|line| !line.trim().is_empty());
    Ok(line.is_some_and(|line| !line.trim_start().starts_with(['{', '[']) && split_speaker(line).is_some()))
}

fn first_row(file: &SourceFile, layout: Layout) -> Result<Option<Value>, DataError> {
    let mut row = None;
    let read = |value: &Value| {
        row.get_or_insert_with(|| value.clone());
        Err("the first row is enough".to_owned())
    };
    let read = each_value(file, layout, Columns::Every, read)?;
    match (row, read) {
        (None, Err(fault)) => Err(fault.expecting(&file.path, "rows with named fields, or lines `A:<TAB>utterance`")),
        (row, _) => Ok(row),
    }
}

fn format_of(row: &Value, layout: Layout, first: Option<u64>) -> Result<DatasetFormat, String> {
    let Value::Object(fields) = row else { return Err(format!("a row is {row}, not an object")) };
    if layout == Layout::Json && fields.get("turns").is_some_and(Value::is_array) {
        return Ok(DatasetFormat::dialogue(0));
    }
    if layout == Layout::Json && fields.get("paragraphs").is_some_and(Value::is_array) {
        return Ok(DatasetFormat::Squad { with_context: false });
    }
    let formats: Vec<RowFormat> = RowFormat::ALL
        .into_iter()
        .filter(|format| format.required().iter().all(|field| fields.contains_key(*field)))
        // Completions with a label have both formats, but that of the label is meant.
        .filter(|format| *format != RowFormat::PromptCompletion || !fields.contains_key("label"))
        .collect();
    let pairs: Vec<(&str, &str)> = PAIRS
        .into_iter()
        .filter(|(prompt, reply)| fields.contains_key(*prompt) && fields.contains_key(*reply))
        .collect();
    let further = |used: &[&str]| FURTHER.into_iter().find(|name| !used.contains(name) && fields.contains_key(*name));
    let names = || fields.keys().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    match (&formats[..], &pairs[..]) {
        // `instruction`, `input`, `output` is one format, and its two last fields are no pair of their own.
        ([format], pairs) if pairs.is_empty() || *format == RowFormat::Alpaca => {
            if let Some(further) = further(format.fields()) {
                return Err(format!(
                    "the format {format} would not use the field '{further}'; if that is right, write `format: {format}`"
                ));
            }
            let mut detected = DatasetFormat::rows(layout, *format);
            if let DatasetFormat::Rows { first: limit, .. } = &mut detected {
                *limit = first;
            }
            Ok(detected)
        }
        ([], [(prompt, reply)]) => {
            if (*prompt, *reply) != PAIRS[0]
                && let Some(further) = further(&[prompt, reply])
            {
                let (word, pattern) = (layout_word(layout), format!("\"{{{prompt}}}\\n{{{further}}}\""));
                return Err(format!(
                    "the field '{further}' would not be used; write `format: {word}`, `prompt: {pattern}` (or `prompt: \
                     {prompt}` to leave it out) and `reply: {reply}`"
                ));
            }
            let (prompt, reply) = (Pattern::field(prompt), Pattern::field(reply));
            Ok(DatasetFormat::Records { layout, prompt, reply, first })
        }
        ([], []) => Err(format!("no known format has only the fields {}", names())),
        (formats, pairs) => {
            let formats = formats.iter().map(|format| format.name().to_owned());
            let pairs = pairs
                .iter()
                .map(|(prompt, reply)| format!("{} with prompt: {prompt}, reply: {reply}", layout_word(layout)));
            let all: Vec<String> = formats.chain(pairs).collect();
            Err(format!("the fields {} fit several formats: {}", names(), all.join("; ")))
        }
    }
}

/// The value of `format:` for rows of this layout with fields of any name.
fn layout_word(layout: Layout) -> &'static str {
    match layout {
        Layout::Json => "jsonl",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(row: &str) -> String {
        match format_of(&serde_json::from_str(row).unwrap(), Layout::Json, None) {
            Ok(format) => serde_json::to_string(&format).unwrap(),
            Err(problem) => problem,
        }
    }

    #[test]
    fn the_fields_of_a_row_show_its_format() {
        let rows = [
            r#"{"prompt": "p", "reply": "r", "document": 1}"#,
            r#"{"question": "p", "answer": "r"}"#,
            r#"{"instruction": "p", "input": "", "output": "r"}"#,
            r#"{"instruction": "p", "context": "", "response": "r"}"#,
            r#"{"messages": []}"#,
            r#"{"messages": [], "system": "s"}"#,
            r#"{"instruction": "p", "chosen": "c", "rejected": "r"}"#,
            r#"{"text": "t", "question": "q"}"#,
            r#"{"prompt": "p", "prompt_id": "x", "messages": []}"#,
            r#"{"conversations": []}"#,
            r#"{"prompt": "p", "completion": "c"}"#,
            r#"{"prompt": "p", "completion": "c", "label": true}"#,
            r#"{"prompt": "p", "chosen": "c", "rejected": "r"}"#,
            r#"{"input_ids": [1]}"#,
            r#"{"text": "t"}"#,
            r#"{"turns": [["A", "b"]]}"#,
            r#"{"title": "t", "paragraphs": []}"#,
            r#"{"chosen": "c", "rejected": "r", "messages": []}"#,
            r#"{"prompt": "p", "reply": "r", "text": "t"}"#,
            r#"{"title": "t", "body": "b"}"#,
        ];
        insta::assert_snapshot!(rows.map(detected).join("\n"), @r#"
        {"format":"records","prompt":"prompt","reply":"reply"}
        {"format":"records","prompt":"question","reply":"answer"}
        {"format":"rows","row":"alpaca"}
        the field 'context' would not be used; write `format: jsonl`, `prompt: "{instruction}\n{context}"` (or `prompt: instruction` to leave it out) and `reply: response`
        {"format":"rows","row":"messages"}
        {"format":"rows","row":"messages"}
        the format preference would not use the field 'instruction'; if that is right, write `format: preference`
        the format text would not use the field 'question'; if that is right, write `format: text`
        {"format":"rows","row":"messages"}
        {"format":"rows","row":"sharegpt"}
        {"format":"rows","row":"prompt_completion"}
        {"format":"rows","row":"kto"}
        {"format":"rows","row":"preference"}
        {"format":"rows","row":"tokens"}
        {"format":"rows","row":"text"}
        {"format":"dialogue","min_words":0}
        {"format":"squad","with_context":false}
        the fields 'chosen', 'messages', 'rejected' fit several formats: messages; preference
        the fields 'prompt', 'reply', 'text' fit several formats: text; jsonl with prompt: prompt, reply: reply
        no known format has only the fields 'body', 'title'
        "#);
    }
}
