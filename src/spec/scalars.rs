//! Decoders of single values.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::fields::{Fault, Scalar, list_names};
use super::tree::Value;
use crate::domain::did_you_mean;

/// Text.
pub(super) fn text(value: &Value) -> Scalar<String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Whole(_) | Value::Real(_) | Value::Flag(_) => Err(Fault::expected("text").or_hint("put it in quotes")),
        _ => Err(Fault::expected("text").or_hint("write a word, or text in quotes")),
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
        _ => Err(Fault::expected("true or false").or_hint("write it without quotes")),
    }
}

/// A whole number, such as `200`, `1_000`, `200k`, `1.5M`, `100M`, `2G`.
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
            None => "write digits, with k, M or G for thousands, millions or billions: 64, 10k, 1.5M".to_owned(),
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

/// The range of a real number.
#[derive(Clone, Copy)]
pub(super) enum Within {
    /// Above 0.
    Positive,
    /// At least 0.
    NotNegative,
    /// From 0 to 1, inclusive.
    Fraction,
    /// From 0, inclusive, to 1, exclusive.
    ProperFraction,
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
            Within::ProperFraction => {
                (|x| (0.0..1.0).contains(&x), "a fraction from 0 to below 1", "such as 0.1 for a tenth")
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
    count(0..=i64::MAX as u64)(value).map_err(|_| Fault::expected("a whole number of at least 0").or_hint("such as 1"))
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
