//! Streams of symbols in random languages, with the exact entropy of every symbol.
//!
//! The definitions are those of MetaLang (Wang et al. 2024, arXiv 2405.17234, and its code in Xenoverse). In version 1, a
//! stream is a series of patterns, each followed by the separator 0. In version 2, a random network computes the logits of
//! a symbol from those before it. Elementary functions come from a library in place of the system, so that a language is
//! the same on every machine.

use crate::domain::{MetaLang, MetaLangVersion, WorldPart};

use super::chance::Chance;

/// The symbol that separates patterns, and that stands before a stream.
const SEPARATOR: usize = 0;

/// The share of replaced symbols that become the separator; the others are drawn from the whole alphabet.
const MASKED: f64 = 0.3;

/// The widths of the network of version 2: an embedding, and its hidden layer.
const EMBEDDING: usize = 16;
const HIDDEN: usize = 64;

/// What a stream is for. A language of one purpose is never one of the other, whatever the seeds.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Training,
    Testing,
}

/// A stream of a test set.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// The symbols, one ASCII character each.
    pub text: String,
    /// The entropy of each symbol given those before it, for someone who knows the language, in nats.
    pub entropies: Vec<f64>,
}

/// The stream of this index, without its entropies.
pub(super) fn text(family: MetaLang, purpose: Purpose, seed: u64, index: u64) -> String {
    let mut chance = stream_chance(family, purpose, seed, index);
    written(&Language::new(family, &mut chance).sample(family.length as usize, &mut chance))
}

/// The stream of this index.
pub(super) fn stream(family: MetaLang, purpose: Purpose, seed: u64, index: u64) -> Stream {
    let mut chance = stream_chance(family, purpose, seed, index);
    let language = Language::new(family, &mut chance);
    let symbols = language.sample(family.length as usize, &mut chance);
    Stream { text: written(&symbols), entropies: language.entropies(&symbols) }
}

fn stream_chance(family: MetaLang, purpose: Purpose, seed: u64, index: u64) -> Chance {
    let purpose = match purpose {
        Purpose::Training => "training",
        Purpose::Testing => "testing",
    };
    Chance::new((WorldPart::MetaLang(family), purpose), seed, index)
}

fn written(symbols: &[usize]) -> String {
    symbols.iter().map(|&symbol| char::from(MetaLang::ALPHABET[symbol])).collect()
}

/// A language.
enum Language {
    Patterns(Patterns),
    Network(Network),
}

impl Language {
    fn new(family: MetaLang, chance: &mut Chance) -> Language {
        let alphabet = family.alphabet as usize;
        let fraction = |thousandths: u32| f64::from(thousandths) / 1_000.0;
        match family.version {
            MetaLangVersion::Patterns { count, length, error_thousandths } => {
                let pattern = |_| {
                    let length = poisson(f64::from(length), chance).max(3);
                    (0..length).map(|_| 1 + chance.below(family.alphabet - 1) as usize).collect()
                };
                let patterns = (0..count).map(pattern).collect();
                Language::Patterns(Patterns { patterns, alphabet, error: fraction(error_thousandths) })
            }
            MetaLangVersion::Network { order, lambda_thousandths } => {
                Language::Network(Network::new(order as usize, alphabet, fraction(lambda_thousandths), chance))
            }
        }
    }

    fn sample(&self, length: usize, chance: &mut Chance) -> Vec<usize> {
        match self {
            Language::Patterns(language) => language.sample(length, chance),
            Language::Network(language) => language.sample(length, chance),
        }
    }

    fn entropies(&self, symbols: &[usize]) -> Vec<f64> {
        match self {
            Language::Patterns(language) => language.entropies(symbols),
            Language::Network(language) => {
                (0..symbols.len()).map(|place| entropy(&language.distribution(&symbols[..place]))).collect()
            }
        }
    }
}

/// Version 1: patterns in random order, each followed by the separator, which is never replaced.
struct Patterns {
    patterns: Vec<Vec<usize>>,
    alphabet: usize,
    error: f64,
}

impl Patterns {
    fn sample(&self, length: usize, chance: &mut Chance) -> Vec<usize> {
        let mut symbols = Vec::with_capacity(length);
        while symbols.len() < length {
            for &symbol in chance.one_of(&self.patterns) {
                let replaced = chance.unit() < self.error;
                symbols.push(match replaced {
                    false => symbol,
                    true if chance.unit() < MASKED => SEPARATOR,
                    true => chance.below(self.alphabet as u32) as usize,
                });
            }
            symbols.push(SEPARATOR);
        }
        symbols.truncate(length);
        symbols
    }

    /// The entropy of each symbol given those before it, for someone who knows the patterns but has to infer from the
    /// stream which of them it is in. The state is the pattern and the place in it; the belief about it is updated by Bayes'
    /// rule, as in the forward algorithm of hidden Markov models.
    fn entropies(&self, symbols: &[usize]) -> Vec<f64> {
        let start = 1.0 / self.patterns.len() as f64;
        // The last place of a pattern is that of its separator.
        let mut belief: Vec<Vec<f64>> = self.patterns.iter().map(|pattern| vec![0.0; pattern.len() + 1]).collect();
        belief.iter_mut().for_each(|places| places[0] = start);
        symbols
            .iter()
            .map(|&seen| {
                let distribution = self.distribution(&belief);
                self.update(&mut belief, seen, distribution[seen]);
                entropy(&distribution)
            })
            .collect()
    }

    /// The distribution of the next symbol.
    fn distribution(&self, belief: &[Vec<f64>]) -> Vec<f64> {
        let mut clean = vec![0.0; self.alphabet];
        let mut separators = 0.0;
        for (pattern, places) in self.patterns.iter().zip(belief) {
            for (&symbol, mass) in pattern.iter().zip(places) {
                clean[symbol] += mass;
            }
            separators += places[pattern.len()];
        }
        let within: f64 = clean.iter().sum();
        let emitted = |(symbol, mass): (usize, &f64)| {
            let separator = if symbol == SEPARATOR { separators } else { 0.0 };
            (1.0 - self.error) * mass + self.error * within * self.noise(symbol) + separator
        };
        clean.iter().enumerate().map(emitted).collect()
    }

    /// The probability of a symbol that replaces another one.
    fn noise(&self, symbol: usize) -> f64 {
        let masked = if symbol == SEPARATOR { MASKED } else { 0.0 };
        masked + (1.0 - MASKED) / self.alphabet as f64
    }

    /// Updates the belief after a symbol of this probability.
    fn update(&self, belief: &mut [Vec<f64>], seen: usize, probability: f64) {
        let noise = self.error * self.noise(seen);
        let mut ended = 0.0;
        for (pattern, places) in self.patterns.iter().zip(belief.iter_mut()) {
            if seen == SEPARATOR {
                ended += places[pattern.len()] / probability;
            }
            for place in (0..pattern.len()).rev() {
                let clean = if pattern[place] == seen { 1.0 - self.error } else { 0.0 };
                places[place + 1] = places[place] * (clean + noise) / probability;
            }
        }
        let start = ended / self.patterns.len() as f64;
        belief.iter_mut().for_each(|places| places[0] = start);
    }
}

/// Version 2: with e the embedding of the symbol i places after the oldest one of the n-gram,
/// `h = mean over i of i tanh(e W_i + b_i)`, and the logits are `h W_o + b_o`, standardized and multiplied by lambda.
///
/// The symbol with i = 0 has no weight, so that `order - 1` symbols count.
struct Network {
    alphabet: usize,
    lambda: f64,
    order: usize,
    /// `i tanh(e W_i + b_i) / order` of each symbol, `[i - 1][symbol][hidden]`.
    terms: Vec<Vec<Vec<f64>>>,
    /// `[symbol][hidden]`.
    output: Vec<Vec<f64>>,
    output_bias: Vec<f64>,
}

impl Network {
    fn new(order: usize, alphabet: usize, lambda: f64, chance: &mut Chance) -> Network {
        let embeddings = normal_rows(alphabet, EMBEDDING, chance);
        let layer = |weight: usize| {
            let weights = normal_rows(HIDDEN, EMBEDDING, chance);
            let bias = normals(HIDDEN, chance);
            let scale = weight as f64 / order as f64;
            let unit = |symbol: &[f64], (row, bias): (&Vec<f64>, &f64)| scale * libm::tanh(dot(symbol, row) + bias);
            let of_symbol = |symbol: &Vec<f64>| weights.iter().zip(&bias).map(|row| unit(symbol, row)).collect();
            embeddings.iter().map(of_symbol).collect()
        };
        let terms = (1..order).map(layer).collect();
        let output = normal_rows(alphabet, HIDDEN, chance);
        let output_bias = normals(alphabet, chance);
        Network { alphabet, lambda, order, terms, output, output_bias }
    }

    fn sample(&self, length: usize, chance: &mut Chance) -> Vec<usize> {
        let mut symbols = Vec::with_capacity(length);
        while symbols.len() < length {
            let mut left = chance.unit();
            let chosen = self.distribution(&symbols).iter().position(|probability| {
                left -= probability;
                left < 0.0
            });
            symbols.push(chosen.unwrap_or(self.alphabet - 1));
        }
        symbols
    }

    /// The distribution of the symbol after these.
    fn distribution(&self, before: &[usize]) -> Vec<f64> {
        let mut hidden = [0.0; HIDDEN];
        for (index, terms) in self.terms.iter().enumerate() {
            // The last of the terms is that of the last symbol.
            let back = self.order - 1 - index;
            let symbol = before.len().checked_sub(back).map_or(SEPARATOR, |place| before[place]);
            hidden.iter_mut().zip(&terms[symbol]).for_each(|(sum, term)| *sum += term);
        }
        let logits: Vec<f64> =
            self.output.iter().zip(&self.output_bias).map(|(row, bias)| dot(&hidden, row) + bias).collect();
        softmax(&standardized(&logits, self.lambda))
    }
}

/// The logits with mean 0 and this standard deviation.
fn standardized(logits: &[f64], deviation: f64) -> Vec<f64> {
    let count = logits.len() as f64;
    let mean = logits.iter().sum::<f64>() / count;
    let variance = logits.iter().map(|logit| (logit - mean) * (logit - mean)).sum::<f64>() / count;
    logits.iter().map(|logit| deviation * (logit - mean) / libm::sqrt(variance)).collect()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - greatest)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The entropy of a distribution in nats.
fn entropy(distribution: &[f64]) -> f64 {
    let term = |p: &f64| if *p > 0.0 { -p * libm::log(*p) } else { 0.0 };
    distribution.iter().map(term).sum::<f64>().max(0.0)
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn normal_rows(rows: usize, width: usize, chance: &mut Chance) -> Vec<Vec<f64>> {
    (0..rows).map(|_| normals(width, chance)).collect()
}

/// Numbers from the standard normal distribution, by the method of Box and Muller.
fn normals(count: usize, chance: &mut Chance) -> Vec<f64> {
    let normal = |_| {
        let (radius, angle) = (libm::sqrt(-2.0 * libm::log(chance.unit())), std::f64::consts::TAU * chance.unit());
        radius * libm::cos(angle)
    };
    (0..count).map(normal).collect()
}

/// A number from the Poisson distribution of this mean, by the method of Knuth.
fn poisson(mean: f64, chance: &mut Chance) -> u32 {
    let (limit, mut product, mut count) = (libm::exp(-mean), chance.unit(), 0);
    while product > limit {
        product *= chance.unit();
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests;
