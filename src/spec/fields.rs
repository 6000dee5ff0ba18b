//! Decoding of a mapping that reports every problem instead of stopping at the first.

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

/// A hint that lists all names of a kind.
pub(super) fn there_are(kind: &str, known: &[&str]) -> String {
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
