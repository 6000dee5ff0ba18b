//! Random languages of the toy world, under `world:`.

use crate::domain::{MetaLang, MetaLangVersion};

use super::fields::{Fields, scalar};
use super::problem::Log;
use super::scalars::{Within, choice, real, small};
use super::tree::{Node, Value};

/// The name of the part of the toy world.
pub(super) const NAME: &str = "metalang";

/// The most symbols of all streams, which are made in memory.
const MAX_SYMBOLS: u64 = 100_000_000;

/// Whether the value of `world:` means random languages.
pub(super) fn is_metalang(world: &Node) -> bool {
    matches!(&world.value, Value::Map(_)) || matches!(&world.value, Value::Text(text) if text == NAME)
}

/// The most streams of a corpus or test set.
pub(super) fn most_streams(family: MetaLang) -> u64 {
    MAX_SYMBOLS / u64::from(family.length)
}

/// Decodes `world: metalang`, or `world: {metalang: {...}}` with parameters.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `version:` | 1: noisy patterns; 2: a random network | 1 |
/// | `alphabet:` | the number of symbols, from 2 to 64 | 64 |
/// | `length:` | the number of symbols of a stream | 512 |
/// | `patterns:` | the number of patterns of a language (version 1) | 10 |
/// | `pattern_length:` | their mean length (version 1) | 64 |
/// | `error:` | the probability that a symbol of a pattern is replaced, in steps of 0.001 (version 1) | 0.1 |
/// | `order:` | the n of the n-grams, which includes the predicted symbol (version 2) | 3 |
/// | `lambda:` | the standard deviation of the logits, in steps of 0.001 (version 2) | 5 |
pub(super) fn metalang(world: &Node, log: &Log) -> Option<MetaLang> {
    let Value::Map(_) = world.value else {
        return match is_metalang(world) {
            true => parameters(&Node { mark: world.mark, value: Value::Map(vec![]) }, log),
            false => scalar("'world'", world, log, choice([(NAME, ())])).and(None),
        };
    };
    let mut fields = Fields::of(world, "'world'", log)?;
    let found = fields.required_node(NAME, "such as `world: {metalang: {version: 2}}`");
    fields.finish();
    parameters(found?, log)
}

fn parameters(node: &Node, log: &Log) -> Option<MetaLang> {
    let mut fields = Fields::of(node, "'metalang'", log)?;
    let version = fields.get("version", 1, small(1..=2));
    let alphabet = fields.get("alphabet", MetaLang::SYMBOLS, small(2..=MetaLang::SYMBOLS));
    let length = fields.get("length", 512, small(2..=65_536));
    let thousandths = |number: f64| (number * 1_000.0).round().min(f64::from(u32::MAX)) as u32;
    let version = if version == 1 {
        ["order", "lambda"].iter().for_each(|key| fields.forbid(key, "has no meaning for version 1"));
        MetaLangVersion::Patterns {
            count: fields.get("patterns", 10, small(1..=1_000)),
            length: fields.get("pattern_length", 64, small(1..=500)),
            error_thousandths: thousandths(fields.get("error", 0.1, real(Within::Fraction))),
        }
    } else {
        ["patterns", "pattern_length", "error"]
            .iter()
            .for_each(|key| fields.forbid(key, "has no meaning for version 2"));
        MetaLangVersion::Network {
            order: fields.get("order", 3, small(2..=16)),
            lambda_thousandths: thousandths(fields.get("lambda", 5.0, real(Within::Positive))),
        }
    };
    fields.finish();
    Some(MetaLang { alphabet, length, version })
}
