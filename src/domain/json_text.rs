//! JSON as other programs write it, above all Python's `json`.
//!
//! Python writes numbers that JSON does not have (`NaN`, `Infinity`, `1e400`), and halves of surrogate pairs where a text
//! was cut within an emoji. Such a value stops nothing unless it is asked for.

use std::fmt;

use serde_json::{Map, Number, Value};

/// Why a text is not JSON, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonProblem {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The problem.
    pub problem: String,
}

impl fmt::Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not valid JSON at column {}: {}", self.column, self.problem)
    }
}

/// The deepest nesting, which protects the stack.
const MAX_DEPTH: usize = 128;

/// The key of the object that stands for a number which [`Value`] cannot hold. An object is taken neither for a text nor
/// for a number.
const NUMBER: &str = "a number that JSON cannot express";

/// Parses a JSON text.
///
/// Of a key that occurs twice, the last value counts. Half of a surrogate pair is U+FFFD. A number beyond the range of JSON
/// is what [`special_number`] recognises.
///
/// # Errors
/// A text that is not JSON.
pub fn parse_json(text: &str) -> Result<Value, JsonProblem> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => Reader { text, at: 0, depth: 0 }.whole(),
    }
}

/// The values of the lines that are not blank, with their line numbers from 1. Only a line feed ends a line: U+2028 and
/// its like belong to strings.
pub fn json_lines(text: &str) -> impl Iterator<Item = (usize, Result<Value, JsonProblem>)> {
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, line)| {
        let value = parse_json(line).map_err(|problem| JsonProblem { line: index + 1, ..problem });
        (index + 1, value)
    })
}

/// The text of a number that JSON cannot express, such as `NaN` or `1e400`; `None` for any other value.
pub fn special_number(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) if fields.len() == 1 => fields.get(NUMBER)?.as_str(),
        _ => None,
    }
}

/// A position in a text that the strict parser refuses.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn whole(mut self) -> Result<Value, JsonProblem> {
        let value = self.value()?;
        self.skip_blanks();
        match self.rest() {
            "" => Ok(value),
            rest if rest.starts_with(['{', '[']) => {
                Err(self.problem("another value follows on the same line; write one value on each line"))
            }
            _ => Err(self.unexpected("the end of the value")),
        }
    }

    fn value(&mut self) -> Result<Value, JsonProblem> {
        self.skip_blanks();
        if self.depth == MAX_DEPTH {
            return Err(self.problem(&format!("nested more than {MAX_DEPTH} levels deep")));
        }
        self.depth += 1;
        let value = match self.peek() {
            Some('{') => self.object(),
            Some('[') => self.array(),
            Some('"') => self.string().map(Value::String),
            Some('-' | '+' | '.' | '0'..='9') => self.number(),
            Some(letter) if letter.is_alphabetic() => self.word(),
            _ => Err(self.unexpected("a value")),
        };
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Value, JsonProblem> {
        let mut fields = Map::new();
        self.at += 1;
        self.skip_blanks();
        if self.take("}") {
            return Ok(Value::Object(fields));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            self.skip_blanks();
            if !self.take(":") {
                return Err(self.unexpected("a colon after the key"));
            }
            let value = self.value()?;
            fields.insert(key, value);
            self.skip_blanks();
            if self.take("}") {
                return Ok(Value::Object(fields));
            }
            if !self.take(",") {
                return Err(self.unexpected("a comma or }"));
            }
        }
    }

    fn array(&mut self) -> Result<Value, JsonProblem> {
        let mut values = vec![];
        self.at += 1;
        self.skip_blanks();
        if self.take("]") {
            return Ok(Value::Array(values));
        }
        loop {
            values.push(self.value()?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(Value::Array(values));
            }
            if !self.take(",") {
                return Err(self.unexpected("a comma or ]"));
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonProblem> {
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(self.unexpected("the end of a string")),
                Some('"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(control) if control < ' ' => {
                    let code = u32::from(control);
                    return Err(self.problem(&format!(
                        "the control character U+{code:04X} within a string; write it as an escape such as \\n or \\t"
                    )));
                }
                Some(other) => {
                    text.push(other);
                    self.at += other.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonProblem> {
        let letter = self.rest().chars().nth(1);
        let character = match letter {
            Some('"' | '\\' | '/') => letter.unwrap_or_default(),
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unit(),
            _ => return Err(self.problem("a backslash that begins no escape of JSON; write a backslash as \\\\")),
        };
        self.at += 2;
        Ok(character)
    }

    /// An escape of a UTF-16 code unit, or of the two of a surrogate pair.
    fn unit(&mut self) -> Result<char, JsonProblem> {
        let unit = |escape: &str| {
            let digits = escape.strip_prefix("\\u")?.get(..4)?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let rest = self.rest();
        let first = unit(rest).ok_or_else(|| self.problem("\\u without four hexadecimal digits"))?;
        self.at += 6;
        if let (0xD800..0xDC00, Some(second @ 0xDC00..0xE000)) = (first, rest.get(6..).and_then(unit)) {
            self.at += 6;
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn number(&mut self) -> Result<Value, JsonProblem> {
        let rest = self.rest();
        if rest.starts_with("-Infinity") {
            return self.word();
        }
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
        let token = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        let value = match (token.parse::<Number>(), is_json_number(token)) {
            (Ok(number), _) => Value::Number(number),
            (Err(_), true) => special(token),
            (Err(_), false) => return Err(self.problem(&format!("`{token}` is not a number of JSON"))),
        };
        self.at += token.len();
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, JsonProblem> {
        let rest = self.rest();
        let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_');
        let word = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            "NaN" | "Infinity" | "-Infinity" => special(word),
            "None" | "True" | "False" | "nan" | "inf" | "undefined" => {
                return Err(self.problem(&format!("`{word}` is not JSON; write the file with Python's json.dumps")));
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.at += word.len();
        Ok(value)
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn unexpected(&self, wanted: &str) -> JsonProblem {
        self.problem(&match self.peek() {
            None => format!("the text ends where {wanted} is expected; it may be cut off"),
            Some('\'') => format!("expected {wanted}, not a single quote; write the file with Python's json.dumps"),
            Some(found) => format!("expected {wanted}, not `{}`", found.escape_debug()),
        })
    }

    fn problem(&self, problem: &str) -> JsonProblem {
        let before = &self.text[..self.at];
        let start = before.rfind('\n').map_or(0, |feed| feed + 1);
        let line = 1 + before.matches('\n').count();
        JsonProblem { line, column: 1 + before[start..].chars().count(), problem: problem.to_owned() }
    }
}

fn special(text: &str) -> Value {
    Value::Object(Map::from_iter([(NUMBER.to_owned(), Value::from(text))]))
}

/// Whether a text follows the grammar of numbers: `-1.5e+3`, without a leading zero.
fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let plain = whole == "0" || !whole.starts_with('0');
    plain && digits(whole) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(text: &str) -> String {
        let JsonProblem { line, column, problem } = parse_json(text).unwrap_err();
        format!("{line}:{column} {problem}")
    }

    #[test]
    fn what_python_writes_is_read() {
        let read = |text: &str| parse_json(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for (text, wanted) in [
            (r#"{"a": "x", "b": NaN}"#, "x"),
            (r#"{"b": [Infinity, -Infinity], "a": "x"}"#, "x"),
            (r#"{"b": 1e400, "c": -1e999, "a": "x"}"#, "x"),
            (r#"{"a": "cut \ud83d"}"#, "cut \u{fffd}"),
            (r#"{"a": "\ude00 cut"}"#, "\u{fffd} cut"),
            (r#"{"a": "\ud83d\ud83d\ude00 \ud83dx"}"#, "\u{fffd}😀 \u{fffd}x"),
            ("{\"a\": \"one\u{2028}two\u{2029}\u{85}\"}", "one\u{2028}two\u{2029}\u{85}"),
            (r#"{"a": "first", "b": NaN, "a": "last"}"#, "last"),
            (r#"{"b": 123456789012345678901234567890, "c": NaN, "a": "x"}"#, "x"),
            (
                "\t{ \"b\" : [ ] , \"c\" : { } , \"d\" : NaN , \"a\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\" } \r",
                "\"\\/\u{8}\u{c}\n\r\té",
            ),
        ] {
            assert_eq!(read(text)["a"], wanted, "{text}");
        }
        let digits = "9".repeat(400);
        for number in ["NaN", "Infinity", "-Infinity", "1e400", digits.as_str()] {
            let value = read(&format!(r#"{{"b": {number}}}"#));
            assert_eq!(special_number(&value["b"]), Some(number));
            assert!(value["b"].as_f64().is_none() && value["b"].as_str().is_none());
            assert_eq!(special_number(&value), None);
        }
    }

    /// The lenient parser agrees with the strict one on what both accept.
    #[test]
    fn strict_json_is_read_alike() {
        for text in [
            r#"{"a": [1, -2.5, 3e2, 0, 18446744073709551615, -9223372036854775808], "b": {"c": [true, false, null]}}"#,
            r#"[["x"], {}, [], "", "\u0041\ud83d\ude00"]"#,
            " \"text\" ",
            "0.1",
        ] {
            let strict: Value = serde_json::from_str(text).unwrap();
            assert_eq!(Reader { text, at: 0, depth: 0 }.whole().unwrap(), strict);
        }
        assert_eq!(parse_json("[1]").unwrap(), json!([1]));
    }

    #[test]
    fn problems_have_a_place_and_a_remedy() {
        let texts = [
            "{'a': 1}",
            r#"{"a": None}"#,
            r#"{"a": nan}"#,
            r#"{"a": 01}"#,
            r#"{"a": .5}"#,
            r#"{"a": 1,}"#,
            r#"{"a": 1} {"a": 2}"#,
            r#"{"a": "cut"#,
            "{\"a\": \"two\tcolumns\"}",
            r#"{"a": "C:\path"}"#,
            r#"{"a": "\u12"}"#,
            "{\n \"é\": [1 2]}",
            "",
        ];
        insta::assert_snapshot!(texts.map(problem).join("\n"), @r"
        1:2 expected a key in double quotes, not a single quote; write the file with Python's json.dumps
        1:7 `None` is not JSON; write the file with Python's json.dumps
        1:7 `nan` is not JSON; write the file with Python's json.dumps
        1:7 `01` is not a number of JSON
        1:7 `.5` is not a number of JSON
        1:9 expected a key in double quotes, not `}`
        1:10 another value follows on the same line; write one value on each line
        1:11 the text ends where the end of a string is expected; it may be cut off
        1:11 the control character U+0009 within a string; write it as an escape such as \n or \t
        1:10 a backslash that begins no escape of JSON; write a backslash as \\
        1:8 \u without four hexadecimal digits
        2:10 expected a comma or ], not `2`
        1:1 the text ends where a value is expected; it may be cut off
        ");
        let deep = "[".repeat(100_000);
        assert!(problem(&deep).contains("nested more than 128 levels deep"));
    }

    #[test]
    fn lines_are_counted_with_the_blank_ones() {
        let text = "{\"a\": NaN}\r\n\n{\"a\": \"\u{2028}\"}\n{\"a\"}\n";
        let lines: Vec<(usize, bool)> = json_lines(text).map(|(line, value)| (line, value.is_ok())).collect();
        assert_eq!(lines, [(1, true), (3, true), (4, false)]);
        let (_, Err(problem)) = json_lines(text).last().unwrap() else { panic!("an error") };
        assert_eq!(
            (problem.line, problem.to_string().as_str()),
            (4, "not valid JSON at column 5: expected a colon after the key, not `}`")
        );
    }
}
