//! Minimal pairs of the toy world: BLiMP and BLiMP Supplement.

use std::collections::HashSet;

use serde::Serialize;

use crate::domain::Suite;

use super::super::chance::Chance;
use super::super::exchange::plain_rest;
use super::super::grammar::{POLAR, Phrase, adjective, be, capitalized, do_, noun, place, reserved};
use super::super::lexicon::{BESIDE, Gender, Kind, Noun, Number, VERBS, Verb};
use super::items::{json_line, unseen, unseen_name};

/// A good sentence and a bad one.
type Pair = (String, String);

/// A pattern of minimal pairs: its name, its category, and a function that creates a pair. The flag decides which of the
/// two forms is the good one.
struct Pattern {
    uid: &'static str,
    field: &'static str,
    term: &'static str,
    pair: fn(&mut Chance, bool) -> Pair,
}

const MORPHOLOGY: &str = "morphology";

const BLIMP: [Pattern; 10] = [
    Pattern { uid: "anaphor_gender_agreement", field: MORPHOLOGY, term: "anaphor_agreement", pair: anaphor_gender },
    Pattern { uid: "anaphor_number_agreement", field: MORPHOLOGY, term: "anaphor_agreement", pair: anaphor_number },
    Pattern { uid: "argument_structure", field: "syntax", term: "argument_structure", pair: argument_structure },
    Pattern {
        uid: "auxiliary_agreement",
        field: MORPHOLOGY,
        term: "subject_verb_agreement",
        pair: auxiliary_agreement,
    },
    Pattern {
        uid: "determiner_noun_agreement",
        field: MORPHOLOGY,
        term: "determiner_noun_agreement",
        pair: |chance, flag| determiner_noun(chance, flag, false),
    },
    Pattern {
        uid: "determiner_noun_agreement_adjective",
        field: MORPHOLOGY,
        term: "determiner_noun_agreement",
        pair: |chance, flag| determiner_noun(chance, flag, true),
    },
    Pattern { uid: "negative_polarity", field: "semantics", term: "npi_licensing", pair: negative_polarity },
    Pattern {
        uid: "subject_verb_agreement",
        field: MORPHOLOGY,
        term: "subject_verb_agreement",
        pair: |chance, flag| subject_verb(chance, flag, |noun| !noun.is_irregular(), false),
    },
    Pattern {
        uid: "subject_verb_agreement_distractor",
        field: MORPHOLOGY,
        term: "subject_verb_agreement",
        pair: |chance, flag| subject_verb(chance, flag, |_| true, true),
    },
    Pattern {
        uid: "subject_verb_agreement_irregular",
        field: MORPHOLOGY,
        term: "subject_verb_agreement",
        pair: |chance, flag| subject_verb(chance, flag, Noun::is_irregular, false),
    },
];

const SUPPLEMENT: &str = "supplement";

const BLIMP_SUPPLEMENT: [Pattern; 3] = [
    Pattern { uid: "qa_congruence", field: SUPPLEMENT, term: SUPPLEMENT, pair: question_answer },
    Pattern { uid: "subject_aux_inversion", field: SUPPLEMENT, term: SUPPLEMENT, pair: inversion },
    Pattern { uid: "turn_taking", field: SUPPLEMENT, term: SUPPLEMENT, pair: turn_taking },
];

/// A line of a BLiMP file.
#[derive(Serialize)]
struct BlimpRow<'a> {
    sentence_good: String,
    sentence_bad: String,
    field: &'a str,
    linguistics_term: &'a str,
    #[serde(rename = "UID")]
    uid: &'a str,
    #[serde(rename = "simple_LM_method")]
    simple_lm_method: bool,
    one_prefix_method: bool,
    two_prefix_method: bool,
    lexically_identical: bool,
    pair_id: u64,
}

/// A line of a BLiMP Supplement file.
#[derive(Serialize)]
struct SupplementRow {
    row: u64,
    sentence_good: String,
    sentence_bad: String,
}

/// The files of BLiMP.
pub(super) fn blimp(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    BLIMP.iter().map(|pattern| file(pattern, seed, items, Suite::Blimp)).collect()
}

/// The files of BLiMP Supplement.
pub(super) fn blimp_supplement(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    BLIMP_SUPPLEMENT.iter().map(|pattern| file(pattern, seed, items, Suite::BlimpSupplement)).collect()
}

fn file(pattern: &Pattern, seed: u64, items: u64, suite: Suite) -> (String, Vec<u8>) {
    let mut seen = HashSet::new();
    let mut content = Vec::new();
    for index in 0..items {
        let chance = &mut Chance::new((suite, pattern.uid), seed, index);
        let (sentence_good, sentence_bad) = new_pair(|| (pattern.pair)(chance, index % 2 == 0), &mut seen);
        content.extend(if suite == Suite::Blimp {
            json_line(&BlimpRow {
                sentence_good,
                sentence_bad,
                field: pattern.field,
                linguistics_term: pattern.term,
                uid: pattern.uid,
                simple_lm_method: true,
                one_prefix_method: false,
                two_prefix_method: false,
                lexically_identical: false,
                pair_id: index,
            })
        } else {
            json_line(&SupplementRow { row: index, sentence_good, sentence_bad })
        });
    }
    (format!("{}.jsonl", pattern.uid), content)
}

/// A pair that is not yet in the file, or after a hundred attempts (in very large files) a duplicate.
fn new_pair(mut make: impl FnMut() -> Pair, seen: &mut HashSet<String>) -> Pair {
    let mut pair = make();
    for _ in 0..100 {
        if seen.insert(pair.0.clone()) {
            break;
        }
        pair = make();
    }
    pair
}

/// Puts each of two words into the frame; the first one is good if the flag is set.
fn pair(frame: impl Fn(&str) -> String, (one, other): (&str, &str), first_is_good: bool) -> Pair {
    if first_is_good { (frame(one), frame(other)) } else { (frame(other), frame(one)) }
}

fn number_of(singular: bool) -> Number {
    if singular { Number::Singular } else { Number::Plural }
}

/// `The [happy] dogs`.
fn definite(chance: &mut Chance, noun: &'static Noun, number: Number) -> Phrase {
    let adjective = chance.percent(40).then(|| adjective(chance, noun.kind));
    let phrase = Phrase::with("the", adjective, noun, number);
    Phrase { text: capitalized(&phrase.text), ..phrase }
}

fn subject_verb(chance: &mut Chance, singular: bool, fits: fn(&Noun) -> bool, distracted: bool) -> Pair {
    let number = number_of(singular);
    let (subject, verb) = unseen(chance, fits, |_| true);
    let mut phrase = definite(chance, subject, number).text;
    if distracted {
        let other = noun(chance, |noun| noun.kind != Kind::Place && noun.singular != subject.singular);
        let preposition = chance.one_of(&BESIDE);
        phrase = format!("{phrase} {preposition} the {}", other.form(number.other()));
    }
    let rest = plain_rest(chance, verb);
    pair(|form| format!("{phrase} {form}{rest}."), (verb.third, verb.base), singular)
}

fn auxiliary_agreement(chance: &mut Chance, singular: bool) -> Pair {
    let (subject, verb) = unseen(chance, |_| true, |_| true);
    let phrase = definite(chance, subject, number_of(singular)).text;
    let rest = plain_rest(chance, verb);
    let forms = (be(Number::Singular), be(Number::Plural));
    pair(|form| format!("{phrase} {form} {}{rest}.", verb.progressive), forms, singular)
}

fn determiner_noun(chance: &mut Chance, singular: bool, described: bool) -> Pair {
    let ((name, _), verb) = unseen_name(chance, |verb| verb.takes_animates() || verb.takes_things());
    let object = noun(chance, |noun| match noun.kind {
        Kind::Thing => verb.takes_things(),
        Kind::Person | Kind::Animal => verb.takes_animates(),
        Kind::Place => false,
    });
    let determiner = chance.one_of(if singular { &["this", "that"] } else { &["these", "those"] });
    let adjective = if described { format!("{} ", adjective(chance, object.kind)) } else { String::new() };
    let frame = |form: &str| format!("{name} {} {determiner} {adjective}{form}.", verb.third);
    pair(frame, (object.singular, object.plural), singular)
}

fn anaphor_gender(chance: &mut Chance, female: bool) -> Pair {
    let gender = if female { Gender::Female } else { Gender::Male };
    let (subject, verb) = if chance.percent(50) {
        loop {
            let (name, verb) = unseen_name(chance, Verb::takes_animates);
            if name.1 == gender {
                break (name.0.to_owned(), verb);
            }
        }
    } else {
        let (noun, verb) = unseen(chance, |noun| noun.gender == Some(gender), Verb::takes_animates);
        (definite(chance, noun, Number::Singular).text, verb)
    };
    pair(|form| format!("{subject} {} {form}.", verb.third), ("herself", "himself"), female)
}

fn anaphor_number(chance: &mut Chance, singular: bool) -> Pair {
    let (subject, verb) = unseen(chance, |noun| noun.gender.is_some(), Verb::takes_animates);
    let phrase = definite(chance, subject, number_of(singular));
    let alone = Phrase { number: Number::Singular, ..phrase.clone() }.reflexive().unwrap_or_default();
    let frame = |form: &str| format!("{} {} {form}.", phrase.text, verb.present(phrase.number));
    pair(frame, (alone, "themselves"), singular)
}

/// A transitive and an intransitive verb, before an object or before a place.
fn argument_structure(chance: &mut Chance, transitive: bool) -> Pair {
    let alone = |verb: &Verb| !verb.takes_things() && !verb.takes_animates();
    let (subject, with, without) = loop {
        let (subject, with) = unseen(chance, |_| true, Verb::takes_things);
        let without = chance.one_of(&VERBS);
        if alone(without) && reserved(subject.singular, without) {
            break (subject, with, without);
        }
    };
    let phrase = definite(chance, subject, Number::Singular).text;
    let rest = if transitive { Phrase::thing(chance).text } else { place(chance) };
    pair(|form| format!("{phrase} {form} {rest}."), (with.third, without.third), transitive)
}

fn negative_polarity(chance: &mut Chance, negative: bool) -> Pair {
    let (subject, verb) = unseen(chance, |_| true, |_| true);
    let rest = plain_rest(chance, verb);
    let [(no, ever), (every, already)] = POLAR;
    let adverb = if negative { ever } else { already };
    let frame = |form: &str| format!("{} {} {adverb} {}{rest}.", capitalized(form), subject.singular, verb.third);
    pair(frame, (no, every), negative)
}

/// A person answers `who`, a thing answers `what`.
fn question_answer(chance: &mut Chance, who: bool) -> Pair {
    let (subject, verb) = unseen(chance, |_| true, Verb::takes_things);
    let thing = noun(chance, |noun| noun.kind == Kind::Thing);
    let question = if who {
        format!("Who {} {}?", verb.third, Phrase::thing(chance).text)
    } else {
        format!("What does the {} {}?", subject.singular, verb.base)
    };
    let other = |noun: &Noun| noun.kind.is_animate() && noun.singular != subject.singular;
    let someone = if who { subject } else { noun(chance, other) };
    pair(|form| format!("{question}\nThe {form}."), (someone.singular, thing.singular), who)
}

/// The auxiliary at the front agrees with the form of the verb.
fn inversion(chance: &mut Chance, progressive: bool) -> Pair {
    let (subject, verb) = unseen(chance, |_| true, |_| true);
    let number = if chance.percent(50) { Number::Singular } else { Number::Plural };
    let phrase = Phrase::with("the", None, subject, number).text;
    let form = if progressive { verb.progressive } else { verb.base };
    let rest = plain_rest(chance, verb);
    let frame = |auxiliary: &str| format!("{} {phrase} {form}{rest}?", capitalized(auxiliary));
    pair(frame, (be(number), do_(number)), progressive)
}

/// `you` in the question is `I` in the answer, and the other way round.
fn turn_taking(chance: &mut Chance, asked_you: bool) -> Pair {
    let verb = loop {
        let verb = chance.one_of(&VERBS);
        if reserved("you", verb) {
            break verb;
        }
    };
    let rest = plain_rest(chance, verb);
    let asked = if asked_you { "you" } else { "I" };
    let frame = |answered: &str| format!("Do {asked} {}{rest}?\nYes, {answered} {}{rest}.", verb.base, verb.base);
    pair(frame, ("I", "you"), asked_you)
}
