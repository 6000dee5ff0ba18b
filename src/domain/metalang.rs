//! Random languages for in-context learning.

use serde::{Deserialize, Serialize};

/// A distribution over random languages, as MetaLang defines them (Wang et al. 2024, arXiv 2405.17234). Every stream of
/// symbols is in a language of its own, so that a model can only learn it from the stream itself.
///
/// A symbol is one printable ASCII character. Fractions are whole thousandths, so that equal languages have equal
/// identities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetaLang {
    /// The number of symbols, from 2 to [`MetaLang::SYMBOLS`]; the first one separates patterns.
    pub alphabet: u32,
    /// The number of symbols of a stream.
    pub length: u32,
    /// How a language creates symbols.
    pub version: MetaLangVersion,
}

/// How a language creates symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaLangVersion {
    /// Version 1: random patterns in random order, with noise.
    Patterns {
        /// The number of patterns.
        count: u32,
        /// The mean of the Poisson distribution of their lengths; a pattern has at least 3 symbols.
        length: u32,
        /// The probability that a symbol of a pattern is replaced, in thousandths.
        error_thousandths: u32,
    },
    /// Version 2: a random network that computes the distribution of a symbol from those before it.
    Network {
        /// The number of symbols of an n-gram: the predicted one, and the others before it.
        order: u32,
        /// The standard deviation of the logits, in thousandths.
        lambda_thousandths: u32,
    },
}

impl MetaLang {
    /// The most symbols.
    pub const SYMBOLS: u32 = 64;

    /// The alphabet, in order.
    pub const ALPHABET: &'static [u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";
}

#[cfg(test)]
mod tests {
    use super::super::origin::{Origin, WorldPart};
    use super::*;

    /// These texts are in the identities of jobs.
    #[test]
    fn languages_are_read_as_they_are_written() {
        let patterns = MetaLangVersion::Patterns { count: 10, length: 64, error_thousandths: 100 };
        let network = MetaLangVersion::Network { order: 3, lambda_thousandths: 5_000 };
        let mut texts = vec![];
        let languages =
            [patterns, network].map(|version| WorldPart::MetaLang(MetaLang { alphabet: 64, length: 512, version }));
        for part in languages.into_iter().chain([WorldPart::Maxims, WorldPart::DialoguePairs]) {
            let origin = Origin::World { part, seed: 1, size: 5 };
            let text = serde_json::to_string(&origin).unwrap();
            assert_eq!(serde_json::from_str::<Origin>(&text).unwrap(), origin);
            texts.push(format!("{part}: {text}"));
        }
        insta::assert_snapshot!(texts.join("\n"), @r#"
        metalang: {"from":"world","part":{"metalang":{"alphabet":64,"length":512,"version":{"patterns":{"count":10,"length":64,"error_thousandths":100}}}},"seed":1,"size":5}
        metalang: {"from":"world","part":{"metalang":{"alphabet":64,"length":512,"version":{"network":{"order":3,"lambda_thousandths":5000}}}},"seed":1,"size":5}
        maxims: {"from":"world","part":"maxims","seed":1,"size":5}
        dialogue-pairs: {"from":"world","part":"dialogue-pairs","seed":1,"size":5}
        "#);
    }

    #[test]
    fn the_alphabet_has_no_symbol_twice() {
        let symbols: std::collections::BTreeSet<u8> = MetaLang::ALPHABET.iter().copied().collect();
        assert_eq!(symbols.len(), MetaLang::SYMBOLS as usize);
        assert!(symbols.iter().all(u8::is_ascii_graphic));
    }
}
