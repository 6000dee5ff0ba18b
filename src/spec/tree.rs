//! Parses YAML text into a tree in which every key and value has its place in the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Location, MessageFormatter, Spanned, UserMessageFormatter};

use super::problem::{Log, Mark};
use crate::domain::one_line;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub mark: Mark,
    pub value: Value,
}

/// A YAML value.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Flag(bool),
    Whole(i128),
    Real(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping, with its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub mark: Mark,
    pub text: String,
}

/// The deepest nesting of mappings and lists.
const MAX_DEPTH: usize = 32;

/// Pairs of keys of which a mapping may have only one: setting the first removes the second.
const EXCLUSIVE_KEYS: [(&str, &str); 2] = [("epochs", "steps"), ("steps", "epochs")];

impl Node {
    /// Parses one YAML document. `shift` maps places in `text` to places in the log; parse errors are added to the log.
    pub(super) fn read(text: &str, shift: impl Fn(Mark) -> Mark, log: &Log) -> Option<Node> {
        let options = serde_yaml::options! {
            duplicate_keys: serde_yaml::options::DuplicateKeyPolicy::LastWins,
            strict_booleans: true,
            with_snippet: false,
            budget: serde_yaml::budget! { max_nodes: 20_000, max_aliases: 1_000, max_depth: MAX_DEPTH, max_documents: 1 },
            alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 20_000 },
        };
        match serde_yaml::from_str_with_options::<Node>(text, options) {
            Ok(mut node) => {
                node.each_mark(&|mark| *mark = shift(*mark));
                node.report_duplicates(log);
                Some(node)
            }
            Err(error) => {
                let mark = error.location().map_or(Mark::START, place);
                let (reason, hint) = explain(&error, word_at(text, mark));
                log.add(shift(mark), reason, Some(hint.into()));
                None
            }
        }
    }

    fn each_mark(&mut self, change: &impl Fn(&mut Mark)) {
        change(&mut self.mark);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.each_mark(change)),
            Value::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
                change(&mut key.mark);
                value.each_mark(change);
            }),
            _ => {}
        }
    }

    /// Reports keys that appear twice in one mapping.
    fn report_duplicates(&self, log: &Log) {
        match &self.value {
            Value::List(items) => items.iter().for_each(|item| item.report_duplicates(log)),
            Value::Map(entries) => {
                for (position, (key, value)) in entries.iter().enumerate() {
                    if let Some((first, _)) = entries[..position].iter().find(|(other, _)| other.text == key.text) {
                        let hint = format!("it is first set on line {}; remove one of them", first.mark.line);
                        log.add(key.mark, format!("key '{}' appears twice", key.text), Some(hint));
                    }
                    value.report_duplicates(log);
                }
            }
            _ => {}
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// Puts `value` at a dotted path, creating the mappings on the way.
    ///
    /// An existing key that contains dots is found by its whole name. A new key below `axes` takes the whole rest of the
    /// path, because axes are named by dotted paths. `mark` becomes the place of new keys.
    ///
    /// # Errors
    /// If a value on the way is not a mapping; the error is the dotted path of that value.
    pub(super) fn set(&mut self, path: &str, mark: Mark, value: Node) -> Result<(), String> {
        self.set_below("", path, mark, value)
    }

    fn set_below(&mut self, parent: &str, path: &str, mark: Mark, value: Node) -> Result<(), String> {
        if matches!(self.value, Value::Null) {
            self.value = Value::Map(vec![]);
        }
        let Value::Map(entries) = &mut self.value else { return Err(String::new()) };
        let dots = path.match_indices('.').map(|(dot, _)| dot);
        let mut heads: Vec<usize> = dots.chain([path.len()]).collect();
        let new = if parent == "axes" { path.len() } else { heads[0] };
        heads.reverse();
        let known = heads.into_iter().find(|&end| entries.iter().any(|(key, _)| key.text == path[..end]));
        let end = known.unwrap_or(new);
        let (head, rest) = (&path[..end], path.get(end + 1..));
        entries.retain(|(key, _)| !EXCLUSIVE_KEYS.contains(&(head, key.text.as_str())));
        let slot = match entries.iter().position(|(key, _)| key.text == head) {
            Some(position) => position,
            None => {
                entries.push((Key { mark, text: head.to_owned() }, Node { mark, value: Value::Null }));
                entries.len() - 1
            }
        };
        let place = &mut entries[slot].1;
        match rest {
            None => *place = value,
            Some(rest) => place
                .set_below(head, rest, mark, value)
                .map_err(|inner| if inner.is_empty() { head.to_owned() } else { format!("{head}.{inner}") })?,
        }
        Ok(())
    }

    /// This mapping, overridden by the entries of `other`.
    pub(super) fn overlaid(&self, other: &Node) -> Node {
        let mut result = self.clone();
        if let (Value::Map(entries), Value::Map(above)) = (&mut result.value, &other.value) {
            for (key, value) in above {
                entries.retain(|(old, _)| {
                    old.text != key.text && !EXCLUSIVE_KEYS.contains(&(key.text.as_str(), old.text.as_str()))
                });
                entries.push((key.clone(), value.clone()));
            }
            result
        } else {
            other.clone()
        }
    }

    /// The label of an axis value in tables, such as `dpo(beta=0.5+loss=ipo)` for a mapping; `None` for an empty mapping.
    pub(super) fn label(&self) -> Option<String> {
        Some(match &self.value {
            Value::Null => "none".into(),
            Value::Flag(flag) => flag.to_string(),
            Value::Whole(number) => number.to_string(),
            Value::Real(number) => format!("{number:?}"),
            Value::Text(text) => one_line(text).into_owned(),
            Value::List(items) => items.iter().map(Node::label).collect::<Option<Vec<_>>>()?.join("+"),
            Value::Map(entries) if entries.is_empty() => return None,
            Value::Map(entries) => {
                let entry = |(key, node): &(Key, Node)| match &node.value {
                    Value::Map(inner) if inner.is_empty() => Some(key.text.clone()),
                    Value::Map(_) => Some(format!("{}({})", key.text, node.label()?)),
                    _ => Some(format!("{}={}", key.text, node.label()?)),
                };
                one_line(&entries.iter().map(entry).collect::<Option<Vec<_>>>()?.join("+")).into_owned()
            }
        })
    }
}

/// A value as messages show it: "must be a list, not 3".
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("nothing"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Real(number) => write!(f, "{number:?}"),
            Value::Text(text) if text.chars().count() > 40 => {
                write!(f, "'{}…'", text.chars().take(40).collect::<String>().escape_debug())
            }
            Value::Text(text) => write!(f, "'{}'", text.escape_debug()),
            Value::List(_) => f.write_str("a list"),
            Value::Map(_) => f.write_str("a mapping"),
        }
    }
}

/// The text at a place, up to the next white space, comma or bracket.
fn word_at(text: &str, mark: Mark) -> &str {
    let line = text.lines().nth(mark.line as usize - 1).unwrap_or_default();
    let start = line.char_indices().nth(mark.column as usize - 1).map_or(line.len(), |(start, _)| start);
    let rest = &line[start..];
    &rest[..rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len())]
}

/// The reason of a parse error at this word, and how to fix it.
fn explain(error: &serde_yaml::Error, word: &str) -> (String, &'static str) {
    use serde_yaml::Error as E;
    use serde_yaml::budget::BudgetBreach;
    match error {
        E::WithSnippet { error, .. } | E::AliasError { error, .. } => explain(error, word),
        E::MultipleDocuments { .. } | E::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            ("a second document starts here".into(), "a file contains one spec: remove the '---' line")
        }
        E::Budget { breach: BudgetBreach::Depth { .. }, .. } => (
            format!("this is nested deeper than {MAX_DEPTH} levels"),
            "no section of a spec needs more levels: write it flatter",
        ),
        E::UnknownAnchor { .. } => {
            let anchor = word.trim_start_matches('*').escape_debug();
            (
                format!("the alias '*{anchor}' has no anchor"),
                "write the anchor, such as `&name`, before the value that the alias repeats",
            )
        }
        E::NonFiniteFloat { value, .. } => {
            (format!("'{}' is not a finite number", value.escape_debug()), "such as 2e-4 or 0.5")
        }
        E::Budget { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. }
        | E::AliasReplayCounterOverflow { .. } => {
            ("this is too large or too deeply nested for a spec".into(), "avoid nested anchors (&a) and aliases (*a)")
        }
        E::RecursiveReferencesRequireWeakTypes { .. } => {
            ("an alias is inside the value of its own anchor".into(), "write the value instead of the alias")
        }
        error => {
            let reason = UserMessageFormatter.format_message(error).replace(|c: char| c.is_control(), " ");
            (reason, "indent with spaces, close brackets and quotes, and quote text that contains ': ' or ' #'")
        }
    }
}

fn place(location: Location) -> Mark {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Mark {
        source: 0,
        line: small(location.line()).max(1),
        column: small(location.column()).max(1),
        length: small(location.span().len()),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Node { mark: place(spanned.defined), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Key { mark: place(spanned.defined), text: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Whole(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = vec![];
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = vec![];
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
