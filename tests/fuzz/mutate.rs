//! Mutations of files: of their bytes, their words, and the values of JSON.

use grid::domain::mix;
use serde_json::{Value, json};

/// Numbers that depend on a seed alone.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// A number below `end`, or 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = mix(self.0);
        (self.0 % end.max(1) as u64) as usize
    }

    pub(super) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Texts that parsers stumble over.
const WORDS: [&str; 52] = [
    "\0",
    "\u{feff}",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{85}",
    "\r",
    "\n",
    "\n\n\n",
    "\t",
    "\u{fdd0}",
    "\\ud800",
    "\"\\udc00\"",
    "1e999",
    "-1e999",
    "1e-400",
    "-1",
    "0",
    "-0.0",
    "4294967296",
    "4294967295",
    "9223372036854775807",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "20M",
    "1_000_000G",
    "NaN",
    ".inf",
    "null",
    "~",
    "true",
    "{}",
    "[]",
    "[[]]",
    "''",
    "\"",
    "'",
    "{{",
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ 'x' * 999999999 }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "&a [*a, *a]",
    "*b",
    "<<: {}",
    "!!binary aGk=",
    "=cmd()",
    ": ",
    " #",
    "-",
    "../../../../etc/passwd",
    "**/*",
    "[a-",
    "\u{ff11}\u{2212}",
];

/// A long or deep text.
fn large(chance: &mut Chance) -> String {
    match chance.below(9) {
        0 => "[".repeat(5_000),
        1 => "{\"a\":".repeat(5_000),
        2 => "- ".repeat(3_000),
        3 => "x".repeat(300_000),
        4 => "é ".repeat(50_000),
        5 => "{{ (".repeat(3_000),
        6 => "{% if true %}".repeat(3_000),
        7 => "\n".repeat(100_000),
        _ => "9".repeat(5_000),
    }
}

fn word(chance: &mut Chance) -> String {
    if chance.below(8) == 0 { large(chance) } else { (*chance.pick(&WORDS)).to_owned() }
}

/// The most bytes of a changed file: repeated lines are repeated again.
const LARGEST: usize = 1 << 22;

/// A changed copy of a file.
pub(super) fn mutated(name: &str, bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(3) {
        let is_json = name.contains(".json");
        bytes = match chance.below(10) {
            0..=4 if is_json => json_value(name, &bytes, chance).unwrap_or(bytes),
            0..=3 => words(&bytes, chance),
            4 => flip(bytes, chance),
            5 => {
                bytes.truncate(chance.below(bytes.len()));
                bytes
            }
            6 => splice(bytes, word(chance).as_bytes(), chance),
            7 => {
                let (from, length) = (chance.below(bytes.len()), chance.below(200));
                let part = bytes[from..bytes.len().min(from + length)].to_vec();
                splice(bytes, &part, chance)
            }
            8 => lines(&bytes, chance),
            _ => lengths(bytes, chance),
        };
    }
    bytes.truncate(LARGEST);
    bytes
}

fn flip(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    for _ in 0..=chance.below(4) {
        let place = chance.below(bytes.len());
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= 1 << chance.below(8);
        }
    }
    bytes
}

fn splice(mut bytes: Vec<u8>, part: &[u8], chance: &mut Chance) -> Vec<u8> {
    let place = chance.below(bytes.len() + 1);
    bytes.splice(place..place, part.iter().copied());
    bytes
}

/// Replaces words, which are the keys and values of most formats.
fn words(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let is_part = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    let mut spans: Vec<(usize, usize)> = vec![];
    for (place, c) in text.char_indices().filter(|(_, c)| is_part(*c)) {
        match spans.last_mut() {
            Some((_, end)) if *end == place => *end += c.len_utf8(),
            _ => spans.push((place, place + c.len_utf8())),
        }
    }
    if spans.is_empty() {
        return word(chance).into_bytes();
    }
    let (start, end) = *chance.pick(&spans);
    let (from, to) = *chance.pick(&spans);
    let other = text[from..to].to_owned();
    let new = match chance.below(5) {
        0 => other,
        1 => String::new(),
        2 => format!("{}{}", &text[start..end], word(chance)),
        _ => word(chance),
    };
    [&text[..start], &new, &text[end..]].concat().into_bytes()
}

/// Deletes, repeats or exchanges lines.
fn lines(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.is_empty() {
        return vec![b'\n'];
    }
    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
    match chance.below(3) {
        0 => drop(lines.remove(one)),
        1 => lines.swap(one, other),
        _ => (0..1 + chance.below(300)).for_each(|_| lines.insert(one, lines[one])),
    }
    lines.concat()
}

/// Replaces the numbers of binary formats: lengths, offsets and counts.
fn lengths(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    let width = *chance.pick(&[2, 4, 8]);
    // Parquet has them at the end, safetensors and gzip at the start.
    let place = match chance.below(3) {
        0 => 0,
        1 => bytes.len().saturating_sub(8),
        _ => chance.below(bytes.len()),
    };
    let value = *chance.pick(&[0, 1, u64::MAX, i64::MAX as u64, u64::from(u32::MAX), 1 << 40, 1 << 31]);
    for (byte, new) in bytes.iter_mut().skip(place).zip(value.to_le_bytes().into_iter().take(width)) {
        *byte = new;
    }
    bytes
}

/// Replaces a value, or removes or repeats one, in a JSON file or in a line of it.
fn json_value(name: &str, bytes: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    let text = str::from_utf8(bytes).ok()?;
    if !name.ends_with("l") {
        return Some(changed(serde_json::from_str(text).ok()?, chance).into_bytes());
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place = chance.below(lines.len());
    let line = lines.get_mut(place)?;
    *line = changed(serde_json::from_str(line).ok()?, chance);
    Some((lines.join("\n") + "\n").into_bytes())
}

fn changed(mut value: Value, chance: &mut Chance) -> String {
    let mut left = chance.below(count(&value));
    change(&mut value, &mut left, chance);
    value.to_string()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Changes the value after `left` others, depth first.
fn change(value: &mut Value, left: &mut usize, chance: &mut Chance) {
    if *left == 0 {
        *value = match chance.below(14) {
            0 => json!(u64::MAX),
            1 => json!(-1),
            2 => json!(0),
            3 => json!(1e300),
            4 => json!(0.5),
            5 => Value::Null,
            6 => json!(true),
            7 => json!([]),
            8 => json!({}),
            9 => json!(word(chance)),
            10 => (0..100).fold(json!(1), |inner, _| json!([inner])),
            11 => json!([value.clone(), value.clone()]),
            12 => json!(u32::MAX),
            _ => json!("x".repeat(200_000)),
        };
    }
    // Beyond every count: nothing else is changed.
    *left = left.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| step(item, left, chance)),
        Value::Object(fields) => fields.values_mut().for_each(|field| step(field, left, chance)),
        _ => {}
    }
}

fn step(value: &mut Value, left: &mut usize, chance: &mut Chance) {
    if *left < usize::MAX / 2 {
        change(value, left, chance);
    }
}
