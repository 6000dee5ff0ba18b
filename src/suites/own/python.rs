//! Jinja templates as Python renders them: the values that a template prints, and the list literals that it may print.

use std::fmt::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

/// An environment whose templates fail on undefined names and print values as Python does: `True`, `None`, `['a', 'b']`.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_unknown_method_callback(|state, value, method, arguments| match (method, arguments) {
        ("index", [wanted]) if value.kind() == ValueKind::Seq => {
            value.try_iter()?.position(|item| item == *wanted).map(Value::from).ok_or_else(|| missing(wanted))
        }
        ("index", [wanted]) if value.kind() == ValueKind::String => {
            let (text, part) = (value.as_str().unwrap_or_default(), wanted.as_str().unwrap_or_default());
            let found = text.find(part).map(|byte| text[..byte].chars().count());
            found.map(Value::from).ok_or_else(|| missing(wanted))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, arguments),
    });
    environment.set_formatter(|output, state, value| {
        if value.is_undefined() {
            return minijinja::escape_formatter(output, state, value);
        }
        output.write_str(&printed(value)?).map_err(Error::from)
    });
    environment
}

/// A row as the variables of a template.
pub(super) fn variables(row: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match row {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(variables).collect(),
        Json::Object(fields) => Value::from_pairs(fields.iter().map(|(name, value)| (name.as_str(), variables(value)))),
    }
}

fn missing(wanted: &Value) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{wanted:?} is not there"))
}

/// `str(value)`.
fn printed(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => representation(value),
    }
}

/// `repr(value)`.
fn representation(value: &Value) -> Result<String, Error> {
    let joined = |parts: Vec<String>, open: char, close: char| format!("{open}{}{close}", parts.join(", "));
    Ok(match value.kind() {
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number => number(value)?,
        ValueKind::Seq | ValueKind::Iterable => {
            joined(value.try_iter()?.map(|item| representation(&item)).collect::<Result<_, _>>()?, '[', ']')
        }
        ValueKind::Map => {
            let entry = |key: Value| {
                let item = value.get_item(&key)?;
                Ok(format!("{}: {}", representation(&key)?, representation(&item)?))
            };
            joined(value.try_iter()?.map(entry).collect::<Result<_, Error>>()?, '{', '}')
        }
        kind => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a value of the kind {kind} cannot be printed"),
            ));
        }
    })
}

fn number(value: &Value) -> Result<String, Error> {
    let text = value.to_string();
    if value.is_integer() {
        return Ok(text);
    }
    // Python changes to an exponent at these magnitudes.
    match f64::try_from(value.clone())?.abs() {
        0.0 => Ok(text),
        size if (1e-4..1e16).contains(&size) => Ok(text),
        _ => Err(Error::new(ErrorKind::InvalidOperation, format!("the number {text} is too large or small to print"))),
    }
}

/// A text between quotes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut result = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => result.push_str("\\\\"),
            '\n' => result.push_str("\\n"),
            '\r' => result.push_str("\\r"),
            '\t' => result.push_str("\\t"),
            c if c == quote => result.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(result, "\\x{:02x}", u32::from(c));
            }
            c => result.push(c),
        }
    }
    result.push(quote);
    result
}

/// An item of a list literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Whole(i64),
}

impl Literal {
    /// `str(value)`.
    pub(super) fn into_text(self) -> String {
        match self {
            Literal::Text(text) => text,
            Literal::Whole(number) => number.to_string(),
        }
    }
}

/// Reads a list of texts and whole numbers, as `ast.literal_eval` does; `None` for anything else.
pub(super) fn list_literal(text: &str) -> Option<Vec<Literal>> {
    let mut rest = text.trim().strip_prefix('[')?.strip_suffix(']')?.trim_start();
    let mut items = vec![];
    while !rest.is_empty() {
        let after = match rest.chars().next()? {
            quote @ ('\'' | '"') => {
                let (text, after) = text_literal(&rest[1..], quote)?;
                items.push(Literal::Text(text));
                after
            }
            _ => {
                let end = rest.find(',').unwrap_or(rest.len());
                items.push(Literal::Whole(rest[..end].trim().parse().ok()?));
                &rest[end..]
            }
        };
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(items)
}

/// The text up to its closing quote, and what follows.
fn text_literal(text: &str, quote: char) -> Option<(String, &str)> {
    let mut result = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((result, &text[at + 1..])),
            '\n' => return None,
            '\\' => {
                let (_, kind) = chars.next()?;
                let digits = match kind {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                let code: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
                result.push(match kind {
                    'x' | 'u' | 'U' if code.len() == digits => char::from_u32(u32::from_str_radix(&code, 16).ok()?)?,
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' | '\'' | '"' => kind,
                    _ => return None,
                });
            }
            c => result.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use minijinja::context;

    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let row = context! {
            yes => true, nothing => Value::from(()), half => 0.5, one => 1.0, big => 1e20, words => ["a", "it's", "\"b\"\n"],
            nested => context! { label => ["A", "B"] }, sentence => "The Bär _ here",
        };
        environment().render_str(template, row).map_err(|error| error.detail().unwrap_or_default().to_owned())
    }

    #[test]
    fn values_are_printed_as_python_prints_them() {
        for (template, printed) in [
            ("{{ yes }} {{ nothing }} {{ half }} {{ one }}", "True None 0.5 1.0"),
            ("{{ words }}", r#"['a', "it's", '"b"\n']"#),
            ("{{ nested }}", "{'label': ['A', 'B']}"),
            ("{{ nested.label.index('B') }}", "1"),
            ("{% set i = sentence.index('_') %}{{ [sentence[:i] + 'x', sentence[i + 1:]] }}", "['The Bär x', ' here']"),
            ("{{ sentence.split()[0].upper() }}\n", "THE\n"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(printed), "{template}");
        }
        for template in
            ["{{ unknown }}", "{{ big }}", "{{ nested.label.index('C') }}", "{{ words | regex_replace('a') }}"]
        {
            assert!(render(template).is_err(), "{template}");
        }
    }

    #[test]
    fn list_literals_are_read_as_python_reads_them() {
        let text = |text: &str| Literal::Text(text.to_owned());
        assert_eq!(list_literal("['a', \"it's\", 3]"), Some(vec![text("a"), text("it's"), Literal::Whole(3)]));
        assert_eq!(list_literal(r"['\n\x41\u00e4', 'b',]"), Some(vec![text("\nAä"), text("b")]));
        assert_eq!(list_literal("[]"), Some(vec![]));
        for wrong in ["['a' 'b']", "['a", "['a\\x4']", "[a]", "'a'", "[['a']]", "['a'], ['b']"] {
            assert_eq!(list_literal(wrong), None, "{wrong}");
        }
        let words = vec!["it's \"quoted\"\\", "line\nbreak\u{1}", "ä"];
        let printed = representation(&Value::from(words.clone())).unwrap();
        assert_eq!(list_literal(&printed), Some(words.into_iter().map(text).collect()));
    }
}
