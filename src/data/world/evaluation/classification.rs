//! Classification tasks of the toy world, in the formats of (Super)GLUE.
//!
//! The rows to predict use other nouns and names than the training rows, so that the answers depend on knowledge from the
//! texts: a pretrained model knows the classes and genders of these words, other models can only guess.

use serde::Serialize;

use crate::domain::GlueTask;

use super::super::chance::Chance;
use super::super::exchange::plain_rest;
use super::super::grammar::{capitalized, indefinite, reserved};
use super::super::lexicon::{Gender, Kind, NAMES, NOUNS, Number, VERBS, Verb};
use crate::domain::mix;

/// The number of training rows for each row to predict.
const TRAIN_ROWS: u64 = 4;

/// The file of a row, which decides the words that it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Part {
    Train,
    Valid,
}

impl Part {
    /// Whether rows may use the word; a third of the words is reserved for the rows to predict.
    fn has(self, word: &str) -> bool {
        let hash = word.bytes().fold(mix(1), |hash, byte| mix(hash ^ u64::from(byte)));
        hash.is_multiple_of(3) == (self == Part::Valid)
    }
}

/// A line of an RTE file.
#[derive(Serialize)]
struct RteRow {
    sentence1: String,
    sentence2: String,
    label: u32,
    idx: u64,
}

/// A line of a WSC file; the indices count words.
#[derive(Serialize)]
struct WscRow {
    text: String,
    span1_index: usize,
    span2_index: usize,
    span1_text: String,
    span2_text: &'static str,
    idx: u64,
    label: u32,
}

/// The files of all tasks: `items` rows to predict, and [`TRAIN_ROWS`] times as many training rows.
///
/// Labels are balanced, also among even and odd rows.
pub(super) fn files(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let file = |task: GlueTask, part: Part, name: String, rows: u64| {
        let mut content = Vec::new();
        for index in 0..rows {
            let chance = &mut Chance::new((task, part), seed, index);
            let yes = index % 4 < 2;
            let row = match task {
                GlueTask::Wsc => serde_json::to_vec(&reference(chance, part, index, yes)),
                _ => serde_json::to_vec(&entailment(chance, part, index, yes)),
            };
            content.extend(row.expect("a row has string keys"));
            content.push(b'\n');
        }
        (name, content)
    };
    let of_task = |task: GlueTask| {
        [
            file(task, Part::Train, task.train_file(), TRAIN_ROWS * items),
            file(task, Part::Valid, task.valid_file(), items),
        ]
    };
    GlueTask::IN_WORLD.into_iter().flat_map(of_task).collect()
}

/// A person: the phrase, and the lemma or name.
struct Person {
    text: String,
    head: &'static str,
}

/// A random person of this gender, from the words of this part.
fn random_person(chance: &mut Chance, part: Part, gender: Gender) -> Person {
    loop {
        if chance.percent(40) {
            let (name, of) = *chance.one_of(&NAMES);
            if of == gender && part.has(name) {
                return Person { text: name.to_owned(), head: name };
            }
        } else {
            let noun = chance.one_of(&NOUNS);
            if noun.gender == Some(gender) && part.has(noun.singular) {
                return Person { text: format!("the {}", noun.singular), head: noun.singular };
            }
        }
    }
}

/// A verb that occurs with this subject in no text.
fn unseen(chance: &mut Chance, subject: &str, fits: impl Fn(&Verb) -> bool) -> &'static Verb {
    loop {
        let verb = chance.one_of(&VERBS);
        if fits(verb) && reserved(subject, verb) {
            return verb;
        }
    }
}

/// `The queen greets Tom. She sings.`: whether `She` refers to `The queen` or to `Tom`. Only one of them is female.
fn reference(chance: &mut Chance, part: Part, idx: u64, same: bool) -> WscRow {
    let genders = *chance.one_of(&[(Gender::Female, Gender::Male), (Gender::Male, Gender::Female)]);
    let (subject, object) = (random_person(chance, part, genders.0), random_person(chance, part, genders.1));
    let verb = unseen(chance, subject.head, Verb::takes_animates);
    let first = format!("{} {} {}.", capitalized(&subject.text), verb.third, object.text);
    let asks_for_subject = chance.percent(50);
    let (asked, gender) = if asks_for_subject { (&subject, genders.0) } else { (&object, genders.1) };
    let span2_text = match (gender, same) {
        (Gender::Female, true) | (Gender::Male, false) => "She",
        (Gender::Male, true) | (Gender::Female, false) => "He",
    };
    let alone = |verb: &Verb| !verb.takes_animates() && !verb.takes_things();
    let verb = unseen(chance, &span2_text.to_lowercase(), alone);
    let words = |text: &str| text.split_whitespace().count();
    WscRow {
        span1_index: if asks_for_subject { 0 } else { words(&first) - words(&object.text) },
        span2_index: words(&first),
        span1_text: if asks_for_subject { capitalized(&asked.text) } else { asked.text.clone() },
        span2_text,
        text: format!("{first} {span2_text} {}.", verb.third),
        idx,
        label: u32::from(same),
    }
}

/// `The dog sleeps.` entails `An animal sleeps.` and not `A person sleeps.`
fn entailment(chance: &mut Chance, part: Part, idx: u64, entailed: bool) -> RteRow {
    let kind = *chance.one_of(&[Kind::Person, Kind::Animal]);
    let noun = loop {
        let noun = chance.one_of(&NOUNS);
        if noun.kind == kind && part.has(noun.singular) {
            break noun;
        }
    };
    let verb = unseen(chance, noun.singular, |_| true);
    let does = format!("{}{}", verb.third, plain_rest(chance, verb));
    let claimed = match (kind, entailed) {
        (Kind::Person, true) | (Kind::Animal, false) => Kind::Person,
        _ => Kind::Animal,
    };
    let claimed = claimed.name(Number::Singular);
    RteRow {
        sentence1: format!("The {} {does}.", noun.singular),
        sentence2: format!("{} {claimed} {does}.", capitalized(indefinite(claimed))),
        label: u32::from(!entailed),
        idx,
    }
}
