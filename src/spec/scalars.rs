//! Decoders of single values.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::fields::{Fault, Scalar, list_names};
use super::tree::Value;
use crate::domain::{did_you_mean, one_line};

/// Text.
pub(super) fn text(value: &Value) -> Scalar<String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Whole(_) | Value::Real(_) | Value::Flag(_) => Err(Fault::expected("text").or_hint("put it in quotes")),
        _ => Err(Fault::expected("text").or_hint("write a word, or text in quotes")),
    }
}

/// Text on one line, for tables and messages.
pub(super) fn line(value: &Value) -> Scalar<String> {
    let text = text(value)?;
    match one_line(&text) == text.as_str() {
        true => Ok(text),
        false => Err(Fault::expected("text on one line").or_hint("remove line breaks and control characters")),
    }
}

/// A name that can be used as a folder and in tables.
pub(super) fn name(value: &Value) -> Scalar<String> {
    let requirement = "a name that begins with a letter or digit and has a letter in it";
    if let Value::Whole(_) | Value::Real(_) = value {
        return Err(Fault::expected(requirement).or_hint(format!("such as v{value}")));
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
        None => expected(requirement),
        Some(_) => expected("a name made of the letters a-z and A-Z, digits, '-', '_' and '.'"),
    }
}

/// A boolean.
pub(super) fn flag(value: &Value) -> Scalar<bool> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        _ => {
            let word = if let Value::Text(text) = value { text.to_ascii_lowercase() } else { value.to_string() };
            let hint = match word.as_str() {
                "true" | "false" => "write it without quotes",
                "yes" | "y" | "on" | "1" => "write true",
                "no" | "n" | "off" | "0" | "none" | "nothing" => "write false",
                _ => "write true or false",
            };
            Err(Fault::expected("true or false").or_hint(hint))
        }
    }
}

/// A whole number, such as `200`, `1_000`, `200k`, `1.5M`, `100M`, `2G`.
pub(super) fn count(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Scalar<u64> {
    move |value| {
        let number = whole_number(value);
        let (start, end) = (*range.start(), *range.end());
        let hint = match number {
            Some(number) if number < i128::from(start) => format!("the smallest is {start}"),
            Some(number) if number > i128::from(end) => format!("the largest is {end}"),
            Some(number) => return Ok(number as u64),
            None => foreign_characters(value).unwrap_or_else(|| {
                "write digits, with k, M or G for thousands, millions or billions: 64, 10k, 1.5M".to_owned()
            }),
        };
        let what = match end {
            u64::MAX => format!("a whole number of at least {start}"),
            _ => format!("a whole number from {start} to {end}"),
        };
        Err(Fault::expected(what).or_hint(hint))
    }
}

/// A whole number that fits in 32 bits; see [`count`].
pub(super) fn small(range: RangeInclusive<u32>) -> impl Fn(&Value) -> Scalar<u32> {
    let wide = count(u64::from(*range.start())..=u64::from(*range.end()));
    move |value| wide(value).map(|number| number as u32)
}

fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() < 1e36).then_some(number as i128)
}

/// The whole number that a value of any field stands for, if it stands for one: 1000, 1_000, 1k and 1e3 are the same.
pub(super) fn whole_number(value: &Value) -> Option<i128> {
    match value {
        Value::Whole(number) => Some(*number),
        Value::Real(number) => whole(*number),
        Value::Text(text) => quantity(text),
        _ => None,
    }
}

/// A hint for a number with characters that look like those of numbers: a minus from a text processor, full-width digits,
/// unbreakable spaces.
fn foreign_characters(value: &Value) -> Option<String> {
    let Value::Text(text) = value else { return None };
    let plain = |c: char| match c {
        '\u{2212}' | '\u{2010}'..='\u{2015}' | '\u{fe63}' | '\u{ff0d}' => Some('-'),
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
        '\u{ff0e}' => Some('.'),
        '\u{ff0b}' => Some('+'),
        _ => None,
    };
    let is_space = |c: char| matches!(c, '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{feff}' | '\u{200b}');
    let corrected: String = text.chars().filter(|&c| !is_space(c)).map(|c| plain(c).unwrap_or(c)).collect();
    let first = text.chars().find(|&c| plain(c).is_some() || is_space(c))?;
    let is_number = corrected.parse::<f64>().is_ok() || quantity(&corrected).is_some();
    is_number.then(|| {
        format!(
            "'{}' (U+{:04X}) is not a character of numbers: write {corrected}",
            first.escape_debug(),
            u32::from(first)
        )
    })
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

/// The range of a real number.
#[derive(Clone, Copy)]
pub(super) enum Within {
    /// Above 0.
    Positive,
    /// At least 0.
    NotNegative,
    /// From 0 to 1, inclusive.
    Fraction,
    /// Above 0, up to 1, inclusive.
    PositiveFraction,
    /// From 0, inclusive, to 1, exclusive.
    ProperFraction,
    /// Any finite number.
    Anything,
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
            Within::Fraction => (|x| (0.0..=1.0).contains(&x), "a fraction from 0 to 1", "such as 0.1 for a tenth"),
            Within::PositiveFraction => (|x| 0.0 < x && x <= 1.0, "a fraction above 0", "such as 0.9 or 1"),
            Within::ProperFraction => {
                (|x| (0.0..1.0).contains(&x), "a fraction from 0 to below 1", "such as 0.1 for a tenth")
            }
            Within::Anything => (|_| true, "a number", "such as 2 or -0.5"),
        };
        let fitting = |number: &f64| number.is_finite() && fits(*number);
        number.filter(fitting).ok_or_else(|| match value {
            Value::Text(text) if text.parse().is_ok_and(|number| fitting(&number)) => {
                Fault::expected(what).or_hint(format!("remove the quotes: {text}"))
            }
            value => Fault::expected(what).or_hint(foreign_characters(value).unwrap_or_else(|| hint.to_owned())),
        })
    }
}

/// One of several words.
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
            Err(Fault::expected(format!("the name of a {kind}")).or_hint(list_names(kind, &known)))
        }
    }
}

/// A seed; it must fit in an SQLite integer.
pub(super) fn seed(value: &Value) -> Scalar<u64> {
    count(0..=i64::MAX as u64)(value).map_err(|_| {
        let hint = match whole_number(value) {
            Some(number) if number > i128::from(i64::MAX) => format!("the largest is {}", i64::MAX),
            _ => foreign_characters(value).unwrap_or_else(|| "such as 1".to_owned()),
        };
        Fault::expected("a whole number of at least 0").or_hint(hint)
    })
}

/// A path. Nothing checks here whether it exists, so that a spec can be read before its data is available.
pub(super) fn path(value: &Value) -> Scalar<PathBuf> {
    match text(value)? {
        text if text.trim().is_empty() => Err(Fault::expected("a path").or_hint("such as text/*.txt")),
        text if text == "~" || text.starts_with("~/") => {
            let hint = "write the absolute path, or a path relative to `data_root`";
            Err(Fault::plain(format!("'~' is not expanded: '{}'", text.escape_debug()), hint))
        }
        text => Ok(PathBuf::from(text)),
    }
}
