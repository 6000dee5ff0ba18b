//! Test sets of replies: the right reply after a prefix, beside one that does not fit it.
//!
//! Items come in twins: the same two replies after two prefixes, of which each reply fits one. Whatever a model makes of the
//! replies alone, such as their length or the frequency of their words, it is right in exactly one of two twins.

use super::super::chance::Chance;
use super::super::exchange::plain_rest;
use super::super::grammar::{Phrase, adjective, indefinite, noun, number, place, reserved, rest, sentence};
use super::super::lexicon::{NAMES, NOUNS, NounKind, Number, VERBS, Verb};
use super::items::{unseen, unseen_name};

/// An item: two replies to a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyPair {
    /// What was said before.
    pub prefix: String,
    /// The reply that fits.
    pub good: String,
    /// The reply that fits the prefix of the twin.
    pub bad: String,
    /// The subtask, if there are several.
    pub group: Option<&'static str>,
    /// The number that both twins share.
    pub twins: u64,
}

/// Two prefixes, and the reply that fits each of them.
type Twins = [(String, String); 2];

/// A maxim of conversation: its name, and a function that creates twins.
type Maxim = (&'static str, fn(&mut Chance) -> Twins);

/// The maxims of Grice (1975), and a function that creates twins in which one reply observes the maxim and the other one
/// violates it.
const MAXIMS: [Maxim; 4] = [("quantity", quantity), ("quality", quality), ("relation", relation), ("manner", manner)];

/// Questions, each with its reply and a reply of as many words and letters from another dialogue.
pub(in super::super) fn dialogue_pairs(seed: u64, count: u64) -> Vec<ReplyPair> {
    let pair = |index: u64| {
        let twins = strangers(&mut Chance::new("dialogue-pairs", seed, index / 2));
        reply_pair(twins, index, None)
    };
    (0..count).map(pair).collect()
}

/// Replies that observe or violate one of [`MAXIMS`], in turn.
pub(in super::super) fn maxims(seed: u64, count: u64) -> Vec<ReplyPair> {
    let pair = |index: u64| {
        let twins = index / 2;
        let (group, create) = MAXIMS[(twins % MAXIMS.len() as u64) as usize];
        reply_pair(create(&mut Chance::new(("maxims", group), seed, twins)), index, Some(group))
    };
    (0..count).map(pair).collect()
}

/// The item with this index, of which even ones are the first of two twins.
fn reply_pair([one, other]: Twins, index: u64, group: Option<&'static str>) -> ReplyPair {
    let ((prefix, good), (_, bad)) = if index.is_multiple_of(2) { (one, other) } else { (other, one) };
    ReplyPair { prefix, good, bad, group, twins: index / 2 }
}

/// A subject and a verb whose combination is in no text.
fn unseen_clause(chance: &mut Chance, fits: impl Fn(&Verb) -> bool) -> (Phrase, &'static Verb) {
    if chance.percent(25) {
        let (name, verb) = unseen_name(chance, fits);
        return (Phrase::name(name), verb);
    }
    let (noun, verb) = unseen(chance, |_| true, fits);
    let number = number(chance);
    (Phrase::of(chance, noun, number), verb)
}

/// Two dialogues about different subjects and actions, whose replies have as many words and letters.
fn strangers(chance: &mut Chance) -> Twins {
    let (first, about) = exchange(chance);
    let size = |text: &str| (text.len(), text.split(' ').count());
    loop {
        let (second, other) = exchange(chance);
        if size(&first.1) == size(&second.1) && about.0 != other.0 && about.1 != other.1 {
            return [first, second];
        }
    }
}

/// A question and its reply, and the subject and verb in both: `Is the dog chasing a cat?` `Yes, the dog is chasing a cat.`
fn exchange(chance: &mut Chance) -> ((String, String), (&'static str, &'static str)) {
    let (subject, verb) = unseen_clause(chance, |_| true);
    let (rest, text) = (rest(chance, verb, &subject), &subject.text);
    let agrees = chance.percent(50);
    let (question, reply) = if chance.percent(50) {
        let (be, action) = (subject.be(), verb.progressive);
        let reply = if agrees {
            format!("Yes, {text} {be} {action}{rest}.")
        } else {
            format!("No, {text} {be} not {action}{rest}.")
        };
        (format!("{be} {text} {action}{rest}"), reply)
    } else {
        let does = subject.do_();
        let reply = if agrees {
            format!("Yes, {text} {}{rest}.", verb.present(subject.number))
        } else {
            format!("No, {text} {does} not {}{rest}.", verb.base)
        };
        (format!("{does} {text} {}{rest}", verb.base), reply)
    };
    ((asked(&question), reply), (subject.head, verb.base))
}

/// The clause with a capital letter and a question mark.
fn asked(clause: &str) -> String {
    let statement = sentence(clause);
    format!("{}?", statement.trim_end_matches('.'))
}

/// As much as is asked for: who it was, or what sort of being it is.
///
/// `A dog helps Anna. Who helps Anna?` `A dog.` `A dog helps Anna. What is a dog?` `An animal.`
fn quantity(chance: &mut Chance) -> Twins {
    let (noun, verb) = unseen(chance, |_| true, Verb::takes_animates);
    let subject = Phrase::with("a", None, noun, Number::Singular).text;
    let object = Phrase::animate(chance).text;
    let (said, kind) = (sentence(&format!("{subject} {} {object}", verb.third)), noun.kind.name(Number::Singular));
    let kind = sentence(&format!("{} {kind}", indefinite(kind)));
    [(format!("{said} Who {} {object}?", verb.third), sentence(&subject)), (format!("{said} What is {subject}?"), kind)]
}

/// What is true: `The dog does not help Anna. Does the dog help Anna?` `No, the dog does not help Anna.`
fn quality(chance: &mut Chance) -> Twins {
    let (subject, verb) = unseen_clause(chance, |_| true);
    let (text, does) = (&subject.text, subject.do_());
    let object = plain_rest(chance, verb);
    let question = asked(&format!("{does} {text} {}{object}", verb.base));
    let (yes, no) = (
        format!("{text} {}{object}", verb.present(subject.number)),
        format!("{text} {does} not {}{object}", verb.base),
    );
    [
        (format!("{} {question}", sentence(&yes)), format!("Yes, {yes}.")),
        (format!("{} {question}", sentence(&no)), format!("No, {no}.")),
    ]
}

/// What the question is about: both replies are true, but one is about a place and the other one about a person or animal.
///
/// `Anna is in the park. Anna helps the old king. Where is Anna?` `In the park.`
fn relation(chance: &mut Chance) -> Twins {
    let (subject, verb) = unseen_clause(chance, Verb::takes_animates);
    let text = &subject.text;
    let mood = adjective(chance, NounKind::Person);
    let whom = Phrase::with("the", Some(mood), noun(chance, |noun| noun.kind.is_animate()), Number::Singular).text;
    let (place, be) = (place(chance), subject.be());
    let mut said = [format!("{text} {be} {place}"), format!("{text} {} {whom}", verb.present(subject.number))]
        .map(|it| sentence(&it));
    if chance.percent(50) {
        said.reverse();
    }
    let said = said.join(" ");
    [
        (format!("{said} Where {be} {text}?"), sentence(&place)),
        (format!("{said} Who {} {text} {}?", subject.do_(), verb.base), sentence(&whom)),
    ]
}

/// What happened, in its order: `Anna runs. Anna sings. What does Anna do?` `She runs. She sings.`
fn manner(chance: &mut Chance) -> Twins {
    let has_actions = |subject: &str| {
        let actions = VERBS.iter().filter(|verb| !verb.takes_animates() && !verb.takes_things());
        actions.filter(|verb| reserved(subject, verb)).collect::<Vec<_>>()
    };
    let nouns = NOUNS.iter().filter(|noun| noun.gender.is_some());
    let phrases =
        nouns.map(|noun| Phrase::with("the", None, noun, Number::Singular)).chain(NAMES.iter().map(Phrase::name));
    let choices: Vec<(Phrase, Vec<&Verb>)> = phrases
        .map(|phrase| {
            let actions = has_actions(phrase.head);
            (phrase, actions)
        })
        .filter(|(_, actions)| actions.len() > 1)
        .collect();
    let (subject, actions) = chance.one_of(&choices);
    let first = *chance.one_of(actions);
    let second = loop {
        let other = *chance.one_of(actions);
        if other.base != first.base {
            break other;
        }
    };
    let text = &subject.text;
    let pronoun = subject.pronoun().map_or_else(|| text.clone(), |pronoun| pronoun.text);
    [[first, second], [second, first]].map(|order| {
        let clauses = |who: &str| order.map(|verb| sentence(&format!("{who} {}", verb.third))).join(" ");
        (format!("{} What does {text} do?", clauses(text)), clauses(&pronoun))
    })
}
