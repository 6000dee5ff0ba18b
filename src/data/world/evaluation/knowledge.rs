//! Inference from context: EWoK, COMPS and Global PIQA.

use serde::Serialize;
use serde_json::json;

use super::super::chance::Chance;
use super::super::exchange::plain_rest;
use super::super::grammar::{Phrase, noun};
use super::super::lexicon::{Gender, Noun, NounKind, Number, VERBS, Verb};
use super::items::{json_line, unseen, unseen_name};

/// A line of an EWoK file.
#[derive(Serialize)]
struct EwokRow<'a> {
    #[serde(rename = "Domain")]
    domain: &'a str,
    #[serde(rename = "ConceptA")]
    concept_a: &'a str,
    #[serde(rename = "ConceptB")]
    concept_b: &'a str,
    #[serde(rename = "Target1")]
    target_1: &'a str,
    #[serde(rename = "Target2")]
    target_2: &'a str,
    #[serde(rename = "Context1")]
    context_1: &'a str,
    #[serde(rename = "Context2")]
    context_2: &'a str,
    #[serde(rename = "ContextType")]
    context_type: &'a str,
    #[serde(rename = "ContextDiff")]
    context_difference: &'a str,
    #[serde(rename = "TargetDiff")]
    target_difference: &'a str,
}

/// Two contexts, each with its matching target.
struct Scene {
    contexts: [String; 2],
    targets: [String; 2],
}

/// A domain of EWoK: its name, its two concepts, and a function that creates a scene.
type Domain = (&'static str, [&'static str; 2], fn(&mut Chance) -> Scene);

const DOMAINS: [Domain; 3] = [
    ("agent-properties", ["someone", "something"], answering),
    ("quantitative-properties", ["one", "many"], counting),
    ("social-properties", ["female", "male"], gender),
];

/// One file per domain. As in the official files, each item is followed by the same item with contexts and targets
/// swapped, so that a preference for one target scores 50.
pub(super) fn ewok(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let file = |(domain, [concept_a, concept_b], scene): &Domain| {
        let line = |index: u64| {
            let Scene { contexts, targets } = scene(&mut Chance::new(("ewok", domain), seed, index / 2));
            let (one, other) = if index.is_multiple_of(2) { (0, 1) } else { (1, 0) };
            json_line(&EwokRow {
                domain,
                concept_a,
                concept_b,
                target_1: &targets[one],
                target_2: &targets[other],
                context_1: &contexts[one],
                context_2: &contexts[other],
                context_type: "direct",
                context_difference: "variable swap",
                target_difference: "concept swap",
            })
        };
        (format!("{domain}.jsonl"), (0..items).flat_map(line).collect())
    };
    DOMAINS.iter().map(file).collect()
}

/// A pronoun refers to the subject of the previous sentence: `she` or `he`.
fn gender(chance: &mut Chance) -> Scene {
    let (verb, subjects) = loop {
        let (first, verb) = unseen_name(chance, |_| true);
        let (second, _) = unseen_name(chance, |other| std::ptr::eq(other, verb));
        match (first.1, second.1) {
            (Gender::Female, Gender::Male) => break (verb, [first.0, second.0]),
            (Gender::Male, Gender::Female) => break (verb, [second.0, first.0]),
            _ => {}
        }
    };
    let rest = plain_rest(chance, verb);
    let said = predicate(chance);
    Scene {
        contexts: subjects.map(|name| format!("{name} {}{rest}.", verb.third)),
        targets: ["She", "He"].map(|pronoun| format!("{pronoun} {}{}.", said.0.third, said.1)),
    }
}

/// A pronoun refers to the subject of the previous sentence: singular or plural.
fn counting(chance: &mut Chance) -> Scene {
    let (subject, verb) = unseen(chance, |noun| noun.gender.is_some(), |_| true);
    let rest = plain_rest(chance, verb);
    let (next, then) = predicate(chance);
    let one = if subject.gender == Some(Gender::Female) { "She" } else { "He" };
    let say = |number| format!("The {} {}{rest}.", subject.form(number), verb.present(number));
    Scene {
        contexts: [Number::Singular, Number::Plural].map(say),
        targets: [format!("{one} {}{then}.", next.third), format!("They {}{then}.", next.base)],
    }
}

/// A person answers `who`, a thing answers `what`.
fn answering(chance: &mut Chance) -> Scene {
    let (subject, verb) = unseen(chance, |_| true, |verb| verb.takes_animates() && verb.takes_things());
    let (someone, thing) =
        (noun(chance, |noun| noun.kind.is_animate()), noun(chance, |noun| noun.kind == NounKind::Thing));
    let ask = |word: &str| format!("{word} does the {} {}?", subject.singular, verb.base);
    Scene {
        contexts: ["Who", "What"].map(ask),
        targets: [someone, thing].map(|noun| format!("The {}.", noun.singular)),
    }
}

/// A predicate without its subject.
fn predicate(chance: &mut Chance) -> (&'static Verb, String) {
    let verb = chance.one_of(&VERBS);
    (verb, plain_rest(chance, verb))
}

/// One file, named after a language as the official ones are. Of the answers to `who`, the right one is a person or an
/// animal, and the others are things.
pub(super) fn global_piqa(seed: u64, items: u64, solutions: u32) -> Vec<(String, Vec<u8>)> {
    let line = |index: u64| {
        let part = if solutions == 2 { "nonparallel" } else { "parallel" };
        let chance = &mut Chance::new(("global_piqa", part), seed, index);
        let (subject, verb) = unseen(chance, |_| true, |verb| verb.takes_animates() && verb.takes_things());
        let label = chance.below(solutions);
        let prompt = format!("Who does the {} {}?", subject.singular, verb.base);
        let mut row = json!({"prompt": prompt, "label": label, "example_id": format!("toy_{part}_{index}")});
        for place in 0..solutions {
            let answer = noun(chance, |noun| match place == label {
                true => noun.kind.is_animate(),
                false => noun.kind == NounKind::Thing,
            });
            row[format!("solution{place}")] = format!("The {}.", answer.singular).into();
        }
        json_line(&row)
    };
    vec![("eng_latn.jsonl".to_owned(), (0..items).flat_map(line).collect())]
}

/// A line of a COMPS file.
#[derive(Serialize)]
struct CompsRow<'a> {
    id: u64,
    property: &'a str,
    acceptable_concept: &'a str,
    unacceptable_concept: &'a str,
    prefix_acceptable: String,
    prefix_unacceptable: String,
    property_phrase: &'a str,
    negative_sample_type: &'a str,
    similarity: f64,
}

/// The prefix of a property: for a concept, for a distractor, and with nonce words for both.
type Prefix = fn(&'static Noun, &'static Noun) -> String;

const FILES: [(&str, Prefix); 4] = [
    ("comps_base", |concept, _| format!("The {}", concept.singular)),
    ("comps_wugs", |concept, _| format!("A wug is {}. Therefore, a wug", a(concept))),
    ("comps_wugs_dist-before", |concept, other| {
        format!("A dax is {}. A wug is {}. Therefore, a wug", a(other), a(concept))
    }),
    ("comps_wugs_dist-in-between", |concept, other| {
        format!("A wug is {}. A dax is {}. Therefore, a wug", a(concept), a(other))
    }),
];

fn a(noun: &'static Noun) -> String {
    Phrase::with("a", None, noun, Number::Singular).text
}

/// Four files. Persons and animals act, things do not.
pub(super) fn comps(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let file = |(name, prefix): &(&str, Prefix)| {
        let line = |index: u64| {
            let chance = &mut Chance::new(("comps", name), seed, index);
            let (concept, verb) = unseen(chance, |_| true, |_| true);
            let other = noun(chance, |noun| noun.kind == NounKind::Thing);
            let property = format!("{}{}.", verb.third, plain_rest(chance, verb));
            json_line(&CompsRow {
                id: index,
                property: verb.base,
                acceptable_concept: concept.singular,
                unacceptable_concept: other.singular,
                prefix_acceptable: prefix(concept, other),
                prefix_unacceptable: prefix(other, concept),
                property_phrase: &property,
                negative_sample_type: "random",
                similarity: 0.0,
            })
        };
        (format!("{name}.jsonl"), (0..items).flat_map(line).collect())
    };
    FILES.iter().map(file).collect()
}
