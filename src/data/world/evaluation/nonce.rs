//! WUG: nonce words, and simulated preferences between their forms.

use serde::Serialize;

use super::super::chance::Chance;
use super::items::json_line;

/// A line of a WUG file.
#[derive(Serialize)]
struct Row {
    sentences: String,
    ratio: f64,
}

/// The number of simulated participants.
const PEOPLE: u32 = 11;

/// The endings of the official adjectives, with the percentage of participants who prefer `-ity` to `-ness`.
const ADJECTIVES: [(&str, u32); 4] = [("able", 82), ("ish", 5), ("ive", 60), ("ous", 53)];

/// The endings of verb stems, with the percentage of participants who prefer `-es` to `-s`. It follows the rules that the
/// texts follow without exception.
const VERBS: [(&str, u32); 8] = [("sh", 97), ("ch", 95), ("ss", 96), ("x", 93), ("k", 4), ("p", 3), ("m", 6), ("n", 2)];

const ONSETS: [&str; 12] = ["bl", "d", "fr", "g", "pl", "m", "sn", "t", "v", "w", "cr", "z"];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const CODAS: [&str; 8] = ["b", "ck", "ft", "g", "lm", "nd", "p", "st"];

/// `black`, `snend`.
fn syllable(chance: &mut Chance) -> String {
    format!("{}{}{}", chance.one_of(&ONSETS), chance.one_of(&VOWELS), chance.one_of(&CODAS))
}

/// The share of participants who prefer the first form, if each does so with this probability in percent.
fn preference(chance: &mut Chance, percent: u32) -> f64 {
    f64::from((0..PEOPLE).map(|_| u32::from(chance.percent(percent))).sum::<u32>()) / f64::from(PEOPLE)
}

/// Nouns from nonce adjectives, in the official wording. The texts contain no such nouns, so models can only use the
/// spelling.
pub(super) fn adjectives(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let line = |index: u64| {
        let chance = &mut Chance::new("wug adjectives", seed, index);
        let (ending, percent) = ADJECTIVES[index as usize % ADJECTIVES.len()];
        let adjective = syllable(chance) + ending;
        // `able` becomes `ability`, `ous` becomes `osity`.
        let stem = match ending {
            "able" => format!("{}bil", &adjective[..adjective.len() - 3]),
            "ive" => adjective[..adjective.len() - 1].to_owned(),
            "ous" => format!("{}os", &adjective[..adjective.len() - 3]),
            _ => adjective.clone(),
        };
        let asks = format!("Create a noun out of the following adjective: {adjective}.");
        let sentences = format!("{asks} {stem}ity\t{asks} {adjective}ness");
        json_line(&Row { sentences, ratio: preference(chance, percent) })
    };
    vec![("wug_adj_nominalization.jsonl".to_owned(), (0..items).flat_map(line).collect())]
}

/// The third person of nonce verbs, `-es` or `-s`, in place of the past tense, which the texts do not have.
pub(super) fn verbs(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let line = |index: u64| {
        let chance = &mut Chance::new("wug verbs", seed, index);
        let (ending, percent) = VERBS[index as usize % VERBS.len()];
        let verb = format!("{}{}{ending}", chance.one_of(&ONSETS), chance.one_of(&VOWELS));
        let sentences = format!("They {verb}. She {verb}es.\tThey {verb}. She {verb}s.");
        json_line(&Row { sentences, ratio: preference(chance, percent) })
    };
    vec![("wug_past_tense.jsonl".to_owned(), (0..items).flat_map(line).collect())]
}
