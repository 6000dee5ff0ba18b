//! Decoding of a mapping that reports every problem instead of stopping at the first.

use std::ops::RangeInclusive;

use super::problem::{Log, Mark};
use super::tree::{Key, Node, Value};
use crate::domain::{closest, did_you_mean};

/// Why a scalar is not acceptable.
pub(super) struct Fault {
    reason: Reason,
    hint: Option<String>,
}

enum Reason {
    /// "'key' must be ..., not ...".
    Expected(String),
    /// As it is.
    Plain(String),
}

impl Fault {
    /// The value must be something else.
    pub fn expected(what: impl Into<String>) -> Fault {
        Fault { reason: Reason::Expected(what.into()), hint: None }
    }

    /// The value names something that is not there.
    pub fn unknown<'a>(kind: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> Fault {
        let known: Vec<&str> = known.into_iter().collect();
        let reason = Reason::Plain(format!("unknown {kind} '{}'", word.escape_debug()));
        let hint = did_you_mean(word, known.iter().copied()).unwrap_or_else(|| there_are(kind, &known));
        Fault { reason, hint: Some(hint) }
    }

    /// Any other reason.
    pub fn plain(reason: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { reason: Reason::Plain(reason.into()), hint: Some(hint.into()) }
    }

    /// Adds what to do, unless a better hint is there.
    pub fn or_hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Notes the fault of `node`, which stands at `subject`.
    pub fn report(self, subject: &str, node: &Node, log: &Log) {
        let reason = match self.reason {
            Reason::Expected(what) => format!("{subject} must be {what}, not {}", node.value),
            Reason::Plain(reason) => reason,
        };
        log.add(node.mark, reason, self.hint);
    }
}

/// The outcome of decoding a scalar.
pub(super) type Scalar<T> = Result<T, Fault>;

/// A mapping being decoded: every key asked for is a known key, and every other one is reported by [`Fields::finish`].
pub(super) struct Fields<'a> {
    entries: &'a [(Key, Node)],
    /// Where the mapping stands.
    pub mark: Mark,
    /// Where problems go.
    pub log: &'a Log,
    known: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields of a node, which must be a mapping.
    pub fn of(node: &'a Node, subject: &str, log: &'a Log) -> Option<Fields<'a>> {
        match &node.value {
            Value::Map(entries) => Some(Fields { entries, mark: node.mark, log, known: vec![] }),
            _ => {
                Fault::expected("a mapping")
                    .or_hint("write `key: value` lines, or {key: value}")
                    .report(subject, node, log);
                None
            }
        }
    }

    /// The value of a key.
    pub fn take(&mut self, key: &'a str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// The value of a key that must be there.
    pub fn required(&mut self, key: &'a str, hint: &str) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() {
            self.log.missing(self.mark, key, hint);
        }
        node
    }

    /// The decoded value of a key; its default where it is absent (or wrong, which is reported).
    pub fn get<T>(&mut self, key: &'a str, default: T, decode: impl FnOnce(&Value) -> Scalar<T>) -> T {
        self.take(key).and_then(|node| scalar(&format!("'{key}'"), node, self.log, decode)).unwrap_or(default)
    }

    /// The decoded value of a key that must be there.
    pub fn need<T>(&mut self, key: &'a str, hint: &str, decode: impl FnOnce(&Value) -> Scalar<T>) -> Option<T> {
        let node = self.required(key, hint)?;
        scalar(&format!("'{key}'"), node, self.log, decode)
    }

    /// The decoded items of a list of distinct values, at least one; `None` where the key is absent or something is wrong.
    pub fn list<T: PartialEq>(&mut self, key: &'a str, decode: impl FnMut(&Value) -> Scalar<T>) -> Option<Vec<T>> {
        let node = self.take(key)?;
        list(key, node, self.log, decode)
    }

    /// Reports a key that only makes sense beside another one.
    pub fn forbid(&mut self, key: &'a str, reason: &str) {
        if self.take(key).is_some() {
            for (name, _) in self.entries.iter().filter(|(name, _)| name.text == key) {
                self.log.add(name.mark, format!("'{key}' {reason}"), Some("remove it".into()));
            }
        }
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.known.contains(&key.text.as_str())) {
            self.log.unknown(
                self.mark,
                key.mark,
                &key.text,
                closest(&key.text, self.known.iter().copied()),
                &self.known,
            );
        }
    }
}

/// Decodes one scalar; `subject` is its name in messages.
pub(super) fn scalar<T>(subject: &str, node: &Node, log: &Log, decode: impl FnOnce(&Value) -> Scalar<T>) -> Option<T> {
    decode(&node.value).map_err(|fault| fault.report(subject, node, log)).ok()
}

/// Decodes a list of distinct scalars, at least one.
pub(super) fn list<T: PartialEq>(
    key: &str,
    node: &Node,
    log: &Log,
    mut decode: impl FnMut(&Value) -> Scalar<T>,
) -> Option<Vec<T>> {
    let subject = format!("an item of '{key}'");
    distinct(key, node, log, |item| scalar(&subject, item, log, &mut decode))
}

/// Decodes a list of distinct values, at least one.
pub(super) fn distinct<T: PartialEq>(
    key: &str,
    node: &Node,
    log: &Log,
    mut decode: impl FnMut(&Node) -> Option<T>,
) -> Option<Vec<T>> {
    let mut values: Vec<T> = vec![];
    let mut whole = true;
    for item in items(key, node, log)? {
        match decode(item) {
            Some(value) if values.contains(&value) => {
                whole = false;
                log.add(item.mark, format!("'{key}' lists {} twice", described(item)), Some("keep one".into()));
            }
            Some(value) => values.push(value),
            None => whole = false,
        }
    }
    whole.then_some(values)
}

/// The items of a list with at least one.
pub(super) fn items<'a>(key: &str, node: &'a Node, log: &Log) -> Option<&'a [Node]> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            let hint = "give at least one value, or leave the key out";
            log.add(node.mark, format!("'{key}' is empty"), Some(hint.into()));
            None
        }
        Value::List(items) => Some(items),
        _ => {
            let fault = Fault::expected("a list").or_hint("put it in brackets: [a, b]");
            fault.report(&format!("'{key}'"), node, log);
            None
        }
    }
}

/// A value as a message shows it: lists of names in full.
pub(super) fn described(node: &Node) -> String {
    match &node.value {
        Value::List(_) => node.label().map_or("a list".into(), |label| format!("[{}]", label.replace('+', ", "))),
        value => value.to_string(),
    }
}

/// All names of a kind.
fn there_are(kind: &str, known: &[&str]) -> String {
    let mut distinct: Vec<&str> = vec![];
    for name in known {
        if !distinct.contains(name) {
            distinct.push(name);
        }
    }
    match distinct[..] {
        [] => format!("this spec defines no {kind}"),
        _ => format!("there are: {}", distinct.join(", ")),
    }
}

/// Some text.
pub(super) fn text(value: &Value) -> Scalar<String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Whole(_) | Value::Real(_) | Value::Flag(_) => Err(Fault::expected("text").or_hint("put it in quotes")),
        _ => Err(Fault::expected("text").or_hint("write a word or a line")),
    }
}

/// A name that is fit for a folder and for a table.
pub(super) fn name(value: &Value) -> Scalar<String> {
    let with_letter = "a name that begins with a letter or digit and has a letter in it";
    if let Value::Whole(_) | Value::Real(_) = value {
        return Err(Fault::expected(with_letter).or_hint(format!("such as v{value}")));
    }
    let text = text(value)?;
    let expected = |what: &str| Err(Fault::expected(what).or_hint("such as llama-100M_v1.2"));
    if text.len() > 100 {
        return expected("a name of at most 100 characters");
    }
    match text.chars().find(|&c| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        None if text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.contains(|c: char| c.is_ascii_alphabetic()) =>
        {
            Ok(text)
        }
        None => expected(with_letter),
        Some(_) => expected("a name made of the letters a-z and A-Z, digits, '-', '_' and '.'"),
    }
}

/// Yes or no.
pub(super) fn flag(value: &Value) -> Scalar<bool> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        _ => Err(Fault::expected("true or false").or_hint("write it without quotes")),
    }
}

/// A whole number: `200`, `1_000`, `200k`, `1.5M`, `100M`, `2G`.
pub(super) fn count(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Scalar<u64> {
    move |value| {
        let number = match value {
            Value::Whole(number) => Some(*number),
            Value::Real(number) => whole(*number),
            Value::Text(text) => quantity(text),
            _ => None,
        };
        let (start, end) = (*range.start(), *range.end());
        let hint = match number {
            Some(number) if number < i128::from(start) => format!("the smallest is {start}"),
            Some(number) if number > i128::from(end) => format!("the largest is {end}"),
            Some(number) => return Ok(number as u64),
            None => "write digits, with k, M or G for large ones: 64, 10k, 1.5M".to_owned(),
        };
        let what = match end {
            u64::MAX => format!("a whole number of at least {start}"),
            _ => format!("a whole number from {start} to {end}"),
        };
        Err(Fault::expected(what).or_hint(hint))
    }
}

/// A whole number of 32 bits; see [`count`].
pub(super) fn small(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Scalar<u32> {
    let wide = count(u64::from(*range.start())..=u64::from(*range.end()));
    move |value| wide(value).map(|number| number as u32)
}

fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() < 1e18).then_some(number as i128)
}

fn quantity(text: &str) -> Option<i128> {
    let text = text.trim().replace('_', "");
    let (digits, factor) = match text.char_indices().last()? {
        (end, 'k' | 'K') => (&text[..end], 1_000),
        (end, 'M') => (&text[..end], 1_000_000),
        (end, 'G' | 'B') => (&text[..end], 1_000_000_000),
        _ => (&text[..], 1),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    match digits.parse::<i64>() {
        Ok(number) => Some(i128::from(number) * factor),
        Err(_) => whole((digits.parse::<f64>().ok()? * factor as f64 * 1e3).round() / 1e3),
    }
}

/// Where a real number may lie.
#[derive(Clone, Copy)]
pub(super) enum Within {
    /// Above 0.
    Positive,
    /// 0 or above.
    NotNegative,
    /// 0 to 1, both included.
    Share,
    /// 0 included to 1 excluded.
    ProperShare,
}

/// A real number.
pub(super) fn real(within: Within) -> impl Fn(&Value) -> Scalar<f64> {
    move |value| {
        let number = match value {
            Value::Whole(number) => Some(*number as f64),
            Value::Real(number) => Some(*number),
            _ => None,
        };
        let (fits, what, hint): (fn(f64) -> bool, _, _) = match within {
            Within::Positive => (|x| x > 0.0, "a number above 0", "such as 2e-4 or 0.5"),
            Within::NotNegative => (|x| x >= 0.0, "a number of at least 0", "such as 0 or 0.1"),
            Within::Share => (|x| (0.0..=1.0).contains(&x), "a share from 0 to 1", "such as 0.1 for a tenth"),
            Within::ProperShare => {
                (|x| (0.0..1.0).contains(&x), "a share from 0 to below 1", "such as 0.1 for a tenth")
            }
        };
        let fitting = |number: &f64| number.is_finite() && fits(*number);
        number.filter(fitting).ok_or_else(|| match value {
            Value::Text(text) if text.parse().is_ok_and(|number| fitting(&number)) => {
                Fault::expected(what).or_hint(format!("remove the quotes: {text}"))
            }
            _ => Fault::expected(what).or_hint(hint),
        })
    }
}

/// One of a few words.
pub(super) fn choice<T: Clone>(words: impl IntoIterator<Item = (&'static str, T)>) -> impl Fn(&Value) -> Scalar<T> {
    let words: Vec<(&'static str, T)> = words.into_iter().collect();
    move |value| {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let fault = || {
            Fault::expected(match names[..] {
                [only] => only.to_owned(),
                _ => format!("one of {}", names.join(", ")),
            })
        };
        let such_as = || format!("such as {}", names[0]);
        let Value::Text(text) = value else { return Err(fault().or_hint(such_as())) };
        match words.iter().find(|(name, _)| name == text) {
            Some((_, meaning)) => Ok(meaning.clone()),
            None => Err(fault().or_hint(did_you_mean(text, names.iter().copied()).unwrap_or_else(such_as))),
        }
    }
}

/// The name of something that the spec defines.
pub(super) fn reference<'a>(kind: &'static str, known: &'a [String]) -> impl Fn(&Value) -> Scalar<String> + 'a {
    move |value| match value {
        Value::Text(text) if known.contains(text) => Ok(text.clone()),
        Value::Text(text) => Err(Fault::unknown(kind, text, known.iter().map(String::as_str))),
        _ => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            Err(Fault::expected(format!("the name of a {kind}")).or_hint(there_are(kind, &known)))
        }
    }
}
