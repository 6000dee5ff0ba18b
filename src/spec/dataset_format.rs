//! The keys of a dataset that say how its files become records, and how a record becomes text.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::{
    ChatTemplate, DatasetFormat, Formatting, InstructionPosition, Layout, Pattern, Replies, Role, RowFormat, Template,
};

use super::fields::{Fault, Fields, Scalar, scalar};
use super::ranking::ranking;
use super::scalars::{choice, count, flag, small, text};
use super::tree::{Node, Value};

/// What `format:` names.
#[derive(Clone, Copy)]
enum Format {
    Records(Option<Layout>),
    Rows(RowFormat),
    Dialogue,
    Squad,
}

/// The values of `layout:`.
pub(super) const LAYOUTS: [(&str, Layout); 4] =
    [("json", Layout::Json), ("csv", Layout::Csv), ("tsv", Layout::Tsv), ("parquet", Layout::Parquet)];

/// Decodes the format of the files. `extension` is the layout that their names show.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `format:` | `text`, `prompt_completion`, `alpaca`, `sharegpt`, `messages`, `preference`, `kto`, `segments` or `tokens` (rows with the fields of this layout); `jsonl`, `csv`, `tsv` or `parquet` (rows with any fields; `records` is an old name of `jsonl`); `dialogue`; `squad` | detected from the fields of the first row |
/// | `layout:` | `json`, `csv`, `tsv` or `parquet` | by the extension of the files |
/// | `fields:` | other names of the fields, `{messages: dialog, content: text}` | those of the layout |
/// | `roles:` | what other names of speakers mean, `{customer: user, agent: assistant}` | the usual names |
/// | `pairs:` | how a pair is picked out of several replies: `{gap: high, difficulty: [0.2, 0.8], constraints: [{words: [5, 20]}, json]}` (`replies`) | the best and the worst |
/// | `position:` | whether the instruction stands before (`pre`) or after (`post`) the input (`alpaca`) | `pre` |
/// | `uncertainty:` | the field with the uncertainty of each reply, for `label_smoothing: {uncertainty: MEAN}` | none |
/// | `prompt:`, `reply:` | fields of a row, or text with fields: `"{instruction}\n{input}"`; `outer.inner` is a field within a field | `prompt`, `reply` |
/// | `first:` | read only the first N rows | all |
/// | `remove:` | characters to delete before anything else (`dialogue`) | none |
/// | `min_words:` | utterances with fewer words are dropped (`dialogue`) | 0 |
/// | `across:` | whether turns are merged and paired across the boundaries of dialogues (`dialogue`) | false |
/// | `with_context:` | whether the prompt has the paragraph before the question (`squad`) | false |
pub(super) fn format(fields: &mut Fields, extension: Layout) -> DatasetFormat {
    let layouts = LAYOUTS;
    let rows = RowFormat::ALL.map(|row| (row.name(), Format::Rows(row)));
    let others = [
        ("jsonl", Format::Records(Some(Layout::Json))),
        ("csv", Format::Records(Some(Layout::Csv))),
        ("tsv", Format::Records(Some(Layout::Tsv))),
        ("parquet", Format::Records(Some(Layout::Parquet))),
        ("dialogue", Format::Dialogue),
        ("squad", Format::Squad),
        ("records", Format::Records(Some(Layout::Json))),
    ];
    let formats: Vec<(&'static str, Format)> = rows.into_iter().chain(others).collect();
    let own_fields = fields.take("prompt").is_some() || fields.take("reply").is_some();
    let format = fields.get("format", None, |value| choice(formats.iter().copied())(value).map(Some));
    if !matches!(format, Some(Format::Rows(_))) {
        fields.forbid("position", "needs `format: alpaca`");
        fields.forbid("pairs", "needs `format: replies`");
        fields.forbid("uncertainty", "needs `format:` with the name of a layout, such as `format: prompt_completion`");
    }
    match format {
        Some(Format::Dialogue) => DatasetFormat::Dialogue {
            min_words: fields.get("min_words", 0, small(0..=1_000_000)),
            across: fields.get("across", false, flag),
            remove: fields.get("remove", String::new(), characters),
        },
        Some(Format::Squad) => DatasetFormat::Squad { with_context: fields.get("with_context", false, flag) },
        Some(Format::Rows(row)) => {
            let layout = fields.get("layout", extension, choice(layouts));
            let names = names(fields, row);
            let roles = roles(fields, row);
            let position = position(fields, row);
            let ranking = ranking(fields, row);
            let uncertainty = fields.get("uncertainty", None, |value| text(value).map(Some));
            DatasetFormat::Rows {
                layout,
                row,
                fields: names,
                roles,
                replies: Replies::Good,
                ranking,
                position,
                uncertainty,
                first: first(fields),
            }
        }
        None | Some(Format::Records(_)) if fields.take("fields").or(fields.take("roles")).is_some() => {
            fields.forbid("fields", "needs `format:` with the name of a layout, such as `format: messages`");
            fields.forbid("roles", "needs `format:` with the name of a layout, such as `format: messages`");
            DatasetFormat::Detected { first: first(fields) }
        }
        None if !own_fields && fields.take("layout").is_none() => DatasetFormat::Detected { first: first(fields) },
        Some(Format::Records(_)) | None => {
            let named = match format {
                Some(Format::Records(named)) => named,
                _ => None,
            };
            if named.is_some() {
                fields.forbid("layout", "is what `format` says");
            }
            let layout = named.unwrap_or_else(|| fields.get("layout", extension, choice(layouts)));
            let prompt = fields.get("prompt", Pattern::field("prompt"), pattern);
            let reply = fields.get("reply", Pattern::field("reply"), pattern);
            DatasetFormat::Records { layout, prompt, reply, first: first(fields) }
        }
    }
}

/// The key `position:`.
fn position(fields: &mut Fields, row: RowFormat) -> InstructionPosition {
    if row != RowFormat::Alpaca {
        fields.forbid("position", &format!("has no meaning for the format {row}, which has no separate input"));
    }
    let positions = [("pre", InstructionPosition::Pre), ("post", InstructionPosition::Post)];
    fields.get("position", InstructionPosition::Pre, choice(positions))
}

fn first(fields: &mut Fields) -> Option<u64> {
    fields.get("first", None, |value| count(1..=1_000_000_000)(value).map(Some))
}

/// The key `fields:`.
fn names(fields: &mut Fields, row: RowFormat) -> BTreeMap<String, String> {
    let Some(node) = fields.take("fields") else { return BTreeMap::new() };
    let Some(mut renamed) = Fields::of(node, "'fields'", fields.log) else { return BTreeMap::new() };
    let mut names = BTreeMap::new();
    for field in row.fields() {
        if let Some(name) = renamed.get(field, None, |value| text(value).map(Some)) {
            names.insert((*field).to_owned(), name);
        }
    }
    renamed.finish();
    names
}

/// The key `roles:`.
fn roles(fields: &mut Fields, row: RowFormat) -> BTreeMap<String, Role> {
    let Some(node) = fields.take("roles") else { return BTreeMap::new() };
    if !row.has_roles() {
        let hint = "remove it, or use a format with messages".to_owned();
        fields.log.add(node.mark, format!("'roles' has no meaning for the format {row}"), Some(hint));
        return BTreeMap::new();
    }
    let role = |node: &Node, name: &str| {
        scalar(&format!("'{name}'"), node, fields.log, choice(Role::ALL.map(|role| (role.name(), role))))
    };
    if !matches!(node.value, Value::Map(_)) {
        let hint = "write `{customer: user, agent: assistant}`".to_owned();
        fields.log.add(node.mark, format!("'roles' must be a mapping, not {}", node.value), Some(hint));
        return BTreeMap::new();
    }
    node.entries().iter().filter_map(|(key, node)| Some((key.text.clone(), role(node, &key.text)?))).collect()
}

/// Decodes how a record becomes text.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `separator:` | text between prompt and reply | `"\n"` |
/// | `template:` | the whole text, such as `"Q: {prompt}\nA: {reply}"`, instead of `separator` | |
/// | `chat_template:` | instead of both: `chatml`, `tokenizer` (the one of the model), or the path of a Jinja file | `none` |
pub(super) fn formatting(fields: &mut Fields, format: &DatasetFormat, root: &Path) -> Formatting {
    let chat = fields.get("chat_template", None, |value| {
        Ok(match text(value)?.as_str() {
            "none" => None,
            "chatml" => Some(ChatTemplate::Chatml),
            "tokenizer" => Some(ChatTemplate::Tokenizer),
            path => Some(ChatTemplate::File(root.join(path))),
        })
    });
    if let Some(chat_template) = chat {
        fields.forbid("separator", "is what the chat template writes");
        fields.forbid("template", "is what the chat template writes");
        if let DatasetFormat::Rows { row: row @ (RowFormat::Text | RowFormat::Segments | RowFormat::Tokens), .. } =
            format
        {
            fields.forbid("chat_template", &format!("has no meaning for the format {row}, which has no messages"));
        }
        return Formatting::Chat { chat_template };
    }
    let separated = Template::separated("\n");
    if fields.take("template").is_some() {
        fields.forbid("separator", "is part of 'template'");
        return Formatting::Template(fields.get("template", separated, |value| {
            let hint = "such as \"Q: {prompt}\\nA: {reply}\"";
            Template::try_from(text(value)?).map_err(|wrong| Fault::plain(format!("'template' {wrong}"), hint))
        }));
    }
    let separator = |value: &Value| text(value).map(|text| Template::separated(&text));
    Formatting::Template(fields.get("separator", separated, separator))
}

fn pattern(value: &Value) -> Scalar<Pattern> {
    let hint = "write the name of a field, or text with fields: \"{instruction}\\n{input}\"";
    Pattern::try_from(text(value)?).map_err(|wrong| Fault::plain(format!("a pattern {wrong}"), hint))
}

/// Characters to delete; white space is not allowed.
pub(super) fn characters(value: &Value) -> Scalar<String> {
    match text(value)? {
        text if text.contains(char::is_whitespace) => {
            Err(Fault::plain("'remove' must not contain white space", "list other characters, such as \"=*_\""))
        }
        text => Ok(text),
    }
}
