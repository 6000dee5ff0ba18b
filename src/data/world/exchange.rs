//! Questions and answers of the toy world.

use super::chance::Chance;
use super::grammar::{
    Phrase, Topic, adjective, be, capitalized, indefinite, noun, number, place, rest, sentence, verb_for,
};
use super::lexicon::{NounKind, Number, VERBS, Verb};

/// `This is a dog.`
pub(super) fn naming(chance: &mut Chance) -> String {
    let (number, noun) = (number(chance), noun(chance, |_| true));
    let pointer = *match number {
        Number::Singular => chance.one_of(&["This", "That"]),
        Number::Plural => chance.one_of(&["These", "Those"]),
    };
    let article = match number {
        Number::Singular => format!("{} ", indefinite(noun.singular)),
        Number::Plural => String::new(),
    };
    format!("{pointer} {} {article}{}.", be(number), noun.form(number))
}

/// `What is this?` `It is a ball.`
pub(super) fn pointing(chance: &mut Chance) -> (String, String) {
    let noun = noun(chance, |noun| !noun.kind.is_animate());
    match number(chance) {
        Number::Singular => {
            ("What is this?".to_owned(), format!("It is {}.", Phrase::with("a", None, noun, Number::Singular).text))
        }
        Number::Plural => ("What are these?".to_owned(), format!("They are {}.", noun.plural)),
    }
}

/// `What is a dog?` `A dog is an animal.`
pub(super) fn category(chance: &mut Chance) -> (String, String) {
    let noun = noun(chance, |_| true);
    let answer = Topic::Noun(noun).definition(chance);
    (format!("What is {} {}?", indefinite(noun.singular), noun.singular), answer)
}

/// A question about one of the two speakers: `you` in the question is `I` in the answer, and vice versa.
pub(super) fn between_us(chance: &mut Chance) -> (String, String) {
    let (asked, answered) = *chance.one_of(&[("you", "I"), ("I", "you")]);
    let verb = verb_for(chance, "you", |_| true);
    let object = plain_rest(chance, verb);
    let question = format!("Do {asked} {}{object}?", verb.base);
    let answer = match chance.below(3) {
        0 => format!("No, {answered} do not {}{object}.", verb.base),
        _ => format!("Yes, {answered} {}{object}.", verb.base),
    };
    (question, answer)
}

/// A question to the speaker, with the right and the wrong reply. If it is not given whether the speaker agrees, the verb
/// decides: for one half of the verbs `Yes` is right, for the other half `No`, and each in half of the questions.
pub(super) fn opinion(chance: &mut Chance, always: Option<bool>) -> (String, [String; 2]) {
    let agrees = always.unwrap_or_else(|| chance.percent(50));
    let is_liked = |verb: &Verb| VERBS.iter().position(|one| one.base == verb.base).is_some_and(|place| place % 2 == 0);
    let verb = verb_for(chance, "you", |verb| always.is_some() || is_liked(verb) == agrees);
    let object = plain_rest(chance, verb);
    let yes = format!("Yes, I {}{object}.", verb.base);
    let no = format!("No, I do not {}{object}.", verb.base);
    (format!("Do you {}{object}?", verb.base), if agrees { [yes, no] } else { [no, yes] })
}

/// The rest of a clause after the verb, for a subject in the first or second person.
pub(super) fn plain_rest(chance: &mut Chance, verb: &Verb) -> String {
    let nobody = Phrase { text: String::new(), head: "", number: Number::Singular, gender: None };
    rest(chance, verb, &nobody)
}

/// A question about a third person, and its answer.
pub(super) fn about_others(chance: &mut Chance) -> (String, String) {
    let subject = Phrase::subject(chance);
    let text = &subject.text;
    match chance.below(10) {
        0..=4 => {
            let (_, question, answer) = statement_and_question(chance, &subject);
            (question, answer)
        }
        5 => (format!("Where {} {text}?", subject.be()), sentence(&place(chance))),
        6 => {
            let adjective = adjective(chance, NounKind::Animal);
            let be = subject.be();
            (format!("{} {text} {adjective}?", capitalized(be)), format!("Yes, {text} {be} {adjective}."))
        }
        7 | 8 => {
            let verb = verb_for(chance, subject.head, |_| true);
            let (rest, be) = (rest(chance, verb, &subject), subject.be());
            let not = *chance.one_of(&[("Yes", ""), ("No", " not")]);
            let question = format!("{} {text} {}{rest}?", capitalized(be), verb.progressive);
            (question, format!("{}, {text} {be}{} {}{rest}.", not.0, not.1, verb.progressive))
        }
        _ => {
            let verb = verb_for(chance, subject.head, |_| true);
            let rest = rest(chance, verb, &subject);
            let question = format!("{} {text} {}{rest}?", capitalized(subject.do_()), verb.base);
            let answer = if chance.percent(50) {
                format!("Yes, {text} {}{rest}.", verb.present(subject.number))
            } else {
                format!("No, {text} {} not {}{rest}.", subject.do_(), verb.base)
            };
            (question, answer)
        }
    }
}

/// A question whose prompt contains the answer: `Anna holds a cup. What does Anna hold?` `A cup.`
pub(super) fn with_context(chance: &mut Chance) -> (String, String) {
    let subject = Phrase::animate(chance);
    let (statement, question, answer) = statement_and_question(chance, &subject);
    (format!("{statement} {question}"), answer)
}

/// A statement, a question about it with `who` or `what`, and the answer. `Who` asks for persons and animals, `what` for
/// things.
fn statement_and_question(chance: &mut Chance, subject: &Phrase) -> (String, String, String) {
    let text = &subject.text;
    let verb = verb_for(chance, subject.head, |verb| verb.takes_animates() || verb.takes_things());
    let thing = match (verb.takes_animates(), verb.takes_things()) {
        (true, true) => chance.percent(50),
        (_, things) => things,
    };
    let object = if thing { Phrase::thing(chance) } else { Phrase::animate(chance) }.text;
    let statement = sentence(&format!("{text} {} {object}", verb.present(subject.number)));
    let (question, answer) = if chance.percent(50) {
        (format!("Who {} {object}?", verb.third), sentence(text))
    } else {
        let asked = if thing { "What" } else { "Who" };
        (format!("{asked} {} {text} {}?", subject.do_(), verb.base), sentence(&object))
    };
    (statement, question, answer)
}
