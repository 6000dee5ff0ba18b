//! Decoding of mappings and lists, which reports every problem instead of stopping at the first.

use super::problem::{Log, Mark};
use super::tree::{Key, Node, Value};
use crate::domain::{closest, did_you_mean};

/// The reason why a value is invalid, and how to fix it.
pub(super) struct Fault {
    reason: Reason,
    hint: Option<String>,
}

enum Reason {
    /// Formatted as "'key' must be ..., not ...".
    Expected(String),
    /// A whole sentence.
    Plain(String),
}

impl Fault {
    /// The value must be `what`.
    pub(super) fn expected(what: impl Into<String>) -> Fault {
        Fault { reason: Reason::Expected(what.into()), hint: None }
    }

    /// The value names something that does not exist.
    pub(super) fn unknown<'a>(kind: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> Fault {
        let known: Vec<&str> = known.into_iter().collect();
        let reason = Reason::Plain(format!("unknown {kind} '{}'", word.escape_debug()));
        let hint = did_you_mean(word, known.iter().copied()).unwrap_or_else(|| list_names(kind, &known));
        Fault { reason, hint: Some(hint) }
    }

    /// Any other reason, as a sentence.
    pub(super) fn plain(reason: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { reason: Reason::Plain(reason.into()), hint: Some(hint.into()) }
    }

    /// Adds a hint, unless there is already one.
    pub(super) fn or_hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint.get_or_insert(hint.into());
        self
    }

    /// Logs the fault of `node`, which messages call `subject`.
    pub(super) fn report(self, subject: &str, node: &Node, log: &Log) {
        let reason = match self.reason {
            Reason::Expected(what) => format!("{subject} must be {what}, not {}", node.value),
            Reason::Plain(reason) => reason,
        };
        log.add(node.mark, reason, self.hint);
    }
}

/// The result of decoding a single value.
pub(super) type Scalar<T> = Result<T, Fault>;

/// A mapping during decoding. Every key that is asked for becomes a known key; [`Fields::finish`] reports all others.
pub(super) struct Fields<'a> {
    entries: &'a [(Key, Node)],
    /// The place of the mapping.
    pub mark: Mark,
    /// The log for problems.
    pub log: &'a Log,
    known: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields of a node; reports a node that is not a mapping.
    pub(super) fn of(node: &'a Node, subject: &str, log: &'a Log) -> Option<Fields<'a>> {
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

    /// The value of a key, if it is present.
    pub(super) fn take(&mut self, key: &'a str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// The value of a required key.
    pub(super) fn required_node(&mut self, key: &'a str, hint: &str) -> Option<&'a Node> {
        let node = self.take(key);
        if node.is_none() {
            self.log.missing(self.mark, key, hint);
        }
        node
    }

    /// The decoded value of a key. The default is returned if the key is absent, or invalid, which is reported.
    pub(super) fn get<T>(&mut self, key: &'a str, default: T, decode: impl FnOnce(&Value) -> Scalar<T>) -> T {
        self.take(key).and_then(|node| scalar(&format!("'{key}'"), node, self.log, decode)).unwrap_or(default)
    }

    /// The decoded value of a required key.
    pub(super) fn required<T>(
        &mut self,
        key: &'a str,
        hint: &str,
        decode: impl FnOnce(&Value) -> Scalar<T>,
    ) -> Option<T> {
        let node = self.required_node(key, hint)?;
        scalar(&format!("'{key}'"), node, self.log, decode)
    }

    /// The decoded items of a non-empty list of distinct values; `None` if the key is absent or something is wrong.
    pub(super) fn list<T: PartialEq>(
        &mut self,
        key: &'a str,
        decode: impl FnMut(&Value) -> Scalar<T>,
    ) -> Option<Vec<T>> {
        let node = self.take(key)?;
        list(key, node, self.log, decode)
    }

    /// Reports a key that is not allowed in this mapping, for this reason.
    pub(super) fn forbid(&mut self, key: &'a str, reason: &str) {
        if self.take(key).is_some() {
            for (name, _) in self.entries.iter().filter(|(name, _)| name.text == key) {
                self.log.add(name.mark, format!("'{key}' {reason}"), Some("remove it".into()));
            }
        }
    }

    /// Reports the keys that were never asked for.
    pub(super) fn finish(self) {
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

/// Decodes one value; `subject` is its name in messages.
pub(super) fn scalar<T>(subject: &str, node: &Node, log: &Log, decode: impl FnOnce(&Value) -> Scalar<T>) -> Option<T> {
    decode(&node.value).map_err(|fault| fault.report(subject, node, log)).ok()
}

/// Decodes a non-empty list of distinct single values.
pub(super) fn list<T: PartialEq>(
    key: &str,
    node: &Node,
    log: &Log,
    mut decode: impl FnMut(&Value) -> Scalar<T>,
) -> Option<Vec<T>> {
    let subject = format!("an item of '{key}'");
    distinct(key, node, log, |item| scalar(&subject, item, log, &mut decode))
}

/// Decodes a non-empty list of distinct values.
pub(super) fn distinct<T: PartialEq>(
    key: &str,
    node: &Node,
    log: &Log,
    mut decode: impl FnMut(&Node) -> Option<T>,
) -> Option<Vec<T>> {
    let mut values: Vec<(T, String)> = vec![];
    let mut whole = true;
    for item in items(key, node, log)? {
        let Some(value) = decode(item) else {
            whole = false;
            continue;
        };
        let name = describe(item);
        match values.iter().find(|(known, _)| *known == value) {
            Some((_, first)) => {
                whole = false;
                let again = if *first == name { String::new() } else { format!(", the second time as {name}") };
                let reason = format!("'{key}' lists {first} twice{again}");
                log.add(item.mark, reason, Some("remove one of them".into()));
            }
            None => values.push((value, name)),
        }
    }
    whole.then(|| values.into_iter().map(|(value, _)| value).collect())
}

/// The items of a non-empty list.
pub(super) fn items<'a>(key: &str, node: &'a Node, log: &Log) -> Option<&'a [Node]> {
    match &node.value {
        Value::List(items) if items.is_empty() => {
            let hint = "add a value, or remove the key";
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

/// A value as messages show it: lists of names in full.
pub(super) fn describe(node: &Node) -> String {
    match &node.value {
        Value::List(_) => node.label().map_or("a list".into(), |label| format!("[{}]", label.replace('+', ", "))),
        value => value.to_string(),
    }
}

/// A hint that lists all names of a kind.
pub(super) fn list_names(kind: &str, known: &[&str]) -> String {
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
