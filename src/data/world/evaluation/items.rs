//! Parts of evaluation items that several suites share.

use serde::Serialize;

use super::super::chance::Chance;
use super::super::grammar::reserved;
use super::super::lexicon::{Gender, NAMES, NOUNS, Noun, VERBS, Verb};

/// A line of a JSON Lines file.
pub(super) fn json_line(row: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(row).expect("a row has string keys");
    line.push(b'\n');
    line
}

/// A person or animal and a verb whose combination is in no text.
pub(super) fn unseen(
    chance: &mut Chance,
    subject: impl Fn(&Noun) -> bool,
    verb: impl Fn(&Verb) -> bool,
) -> (&'static Noun, &'static Verb) {
    loop {
        let noun = chance.one_of(&NOUNS);
        let candidate = chance.one_of(&VERBS);
        if noun.kind.is_animate() && subject(noun) && verb(candidate) && reserved(noun.singular, candidate) {
            return (noun, candidate);
        }
    }
}

/// A name and a verb whose combination is in no text.
pub(super) fn unseen_name(
    chance: &mut Chance,
    verb: impl Fn(&Verb) -> bool,
) -> (&'static (&'static str, Gender), &'static Verb) {
    loop {
        let name = chance.one_of(&NAMES);
        let candidate = chance.one_of(&VERBS);
        if verb(candidate) && reserved(name.0, candidate) {
            return (name, candidate);
        }
    }
}
