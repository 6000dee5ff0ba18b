//! Reading times: a simulation of how long people read each word.

use super::super::chance::Chance;
use super::super::exchange::plain_rest;
use super::super::grammar::{capitalized, noun};
use super::super::lexicon::{BESIDE, Kind, Number};
use super::items::unseen;

/// The columns of the official table, in order.
const COLUMNS: [&str; 25] = [
    "",
    "item",
    "word",
    "word2",
    "sentence",
    "context_length",
    "sent_id",
    "item_id",
    "list",
    "Subtlex_log10",
    "length",
    "RTfirstfix",
    "RTfirstpass",
    "RTgopast",
    "RTrightbound",
    "self_paced_reading_time",
    "ELAN",
    "LAN",
    "N400",
    "P600",
    "EPNP",
    "PNP",
    "prev_word",
    "prev_item",
    "prev_length",
];

/// Short and frequent words, which readers often skip.
const FUNCTION_WORDS: [&str; 9] = ["the", "in", "near", "beside", "behind", "with", "is", "are", "my"];

/// One table with this number of words in context. Long and rare words take longer, and so do the verbs that do not agree
/// with their subjects, which is every second one: they surprise both readers and models that know the rule.
pub(super) fn table(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let mut text = COLUMNS.join(",") + "\n";
    let mut rows = 0;
    for index in 0.. {
        let chance = &mut Chance::new("reading", seed, index);
        let (words, odd) = sentence(chance);
        let whole = words.join(" ");
        for place in 1..words.len() {
            if rows == items {
                return vec![("reading_data.csv".to_owned(), text.into_bytes())];
            }
            let word = &words[place];
            let first = place == 1;
            let previous = if first {
                [String::new(), String::new(), "-1".to_owned()]
            } else {
                let before = &words[place - 1];
                [before.clone(), words[..place - 1].join(" "), before.len().to_string()]
            };
            let [time, passed, past, bound, paced] = times(chance, word, odd == Some(place), place);
            let cells: [String; 25] = [
                rows.to_string(),
                words[..place].join(" "),
                word.clone(),
                word.clone(),
                whole.clone(),
                place.to_string(),
                index.to_string(),
                rows.to_string(),
                (index % 4).to_string(),
                frequency(word).to_string(),
                word.len().to_string(),
                time,
                passed,
                past,
                bound,
                paced,
                "0".into(),
                "0".into(),
                "0".into(),
                "0".into(),
                "0".into(),
                "0".into(),
                previous[0].clone(),
                previous[1].clone(),
                previous[2].clone(),
            ];
            text.push_str(&cells.join(","));
            text.push('\n');
            rows += 1;
        }
    }
    unreachable!("the loop ends with the last row")
}

/// The words of a sentence, and the position of a verb that does not agree.
fn sentence(chance: &mut Chance) -> (Vec<String>, Option<usize>) {
    let (subject, verb) = unseen(chance, |_| true, |_| true);
    let number = if chance.percent(50) { Number::Singular } else { Number::Plural };
    let mut words = vec!["The".to_owned(), subject.form(number).to_owned()];
    if chance.percent(30) {
        let other = noun(chance, |noun| noun.kind != Kind::Place && noun.singular != subject.singular);
        words.extend([(*chance.one_of(&BESIDE)).to_owned(), "the".to_owned(), other.form(number.other()).to_owned()]);
    }
    let wrong = chance.percent(50);
    let place = words.len();
    words.push(verb.present(if wrong { number.other() } else { number }).to_owned());
    words.extend(plain_rest(chance, verb).split_whitespace().map(str::to_owned));
    words.last_mut().expect("a sentence has words").push('.');
    words[0] = capitalized(&words[0]);
    (words, wrong.then_some(place))
}

/// The log frequency, a function of the word.
fn frequency(word: &str) -> f64 {
    let word = word.trim_end_matches('.');
    if FUNCTION_WORDS.contains(&word) {
        return 13.5;
    }
    let letters: u32 = word.bytes().map(u32::from).sum();
    10.0 - word.len() as f64 / 2.0 + f64::from(letters % 7) / 4.0
}

/// The first-fixation, first-pass, go-past, right-bounded and self-paced times, in milliseconds.
fn times(chance: &mut Chance, word: &str, odd: bool, place: usize) -> [String; 5] {
    let expected =
        180.0 + 9.0 * word.len() as f64 - 4.0 * frequency(word) - place as f64 + if odd { 60.0 } else { 0.0 };
    [1.0, 1.2, 1.5, 1.3, 1.4].map(|factor| format!("{:.1}", factor * expected + f64::from(chance.below(80))))
}
