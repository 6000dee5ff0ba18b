//! Phrases and clauses of the toy world.

use super::chance::Chance;
use super::lexicon::{BESIDE, Gender, LOOKS, MOODS, NAMES, NOUNS, Noun, NounKind, Number, VERBS, Verb};
use crate::domain::mix;

/// Whether this subject (lemma of a noun, name or pronoun) with this verb is reserved for evaluation.
///
/// It depends only on the words, so that no text contains an evaluation item, whatever the seeds of both.
pub(super) fn reserved(subject: &str, verb: &Verb) -> bool {
    let word = |hash: u64, word: &str| word.bytes().fold(mix(hash), |hash, byte| mix(hash ^ u64::from(byte)));
    word(word(0, subject), verb.base).is_multiple_of(6)
}

/// A verb that may occur in texts with this subject.
pub(super) fn verb_for(chance: &mut Chance, subject: &str, fits: impl Fn(&Verb) -> bool) -> &'static Verb {
    loop {
        let verb = chance.one_of(&VERBS);
        if fits(verb) && !reserved(subject, verb) {
            return verb;
        }
    }
}

/// A noun that fits.
pub(super) fn noun(chance: &mut Chance, fits: impl Fn(&Noun) -> bool) -> &'static Noun {
    loop {
        let noun = chance.one_of(&NOUNS);
        if fits(noun) {
            return noun;
        }
    }
}

pub(super) fn number(chance: &mut Chance) -> Number {
    if chance.percent(50) { Number::Singular } else { Number::Plural }
}

/// A noun phrase, without punctuation.
#[derive(Debug, Clone)]
pub(super) struct Phrase {
    pub text: String,
    /// The lemma of the noun, or the name.
    pub head: &'static str,
    pub number: Number,
    pub gender: Option<Gender>,
}

impl Phrase {
    /// `the dog`, `these happy dogs`, `every girl`, ...
    pub(super) fn of(chance: &mut Chance, noun: &'static Noun, number: Number) -> Self {
        let determiner = *match number {
            Number::Singular => {
                chance.one_of(&["the", "the", "the", "the", "a", "a", "this", "this", "that", "my", "every"])
            }
            Number::Plural => {
                chance.one_of(&["the", "the", "the", "the", "some", "two", "these", "these", "those", "my", "many"])
            }
        };
        let adjective = chance.percent(30).then(|| adjective(chance, noun.kind));
        Self::with(determiner, adjective, noun, number)
    }

    /// A phrase of exactly these words, with `an` for `a` before a vowel.
    pub(super) fn with(determiner: &str, adjective: Option<&str>, noun: &'static Noun, number: Number) -> Self {
        let mut text = adjective.map(|adjective| format!("{adjective} ")).unwrap_or_default();
        text.push_str(noun.form(number));
        let article = if determiner == "a" { indefinite(&text) } else { determiner };
        Self { text: format!("{article} {text}"), head: noun.singular, number, gender: noun.gender }
    }

    pub(super) fn name(&(name, gender): &'static (&'static str, Gender)) -> Self {
        Self { text: name.to_owned(), head: name, number: Number::Singular, gender: Some(gender) }
    }

    /// A person or an animal.
    pub(super) fn animate(chance: &mut Chance) -> Self {
        if chance.percent(25) {
            return Self::name(chance.one_of(&NAMES));
        }
        let number = number(chance);
        let noun = noun(chance, |noun| noun.kind.is_animate());
        Self::of(chance, noun, number)
    }

    /// The subject of a clause, sometimes with a second noun of either number between it and the verb.
    pub(super) fn subject(chance: &mut Chance) -> Self {
        let mut phrase = Self::animate(chance);
        if chance.percent(25) && !NAMES.iter().any(|(name, _)| *name == phrase.head) {
            phrase.text = format!("{} {}", phrase.text, beside(chance));
        }
        phrase
    }

    pub(super) fn thing(chance: &mut Chance) -> Self {
        let number = number(chance);
        let noun = noun(chance, |noun| noun.kind == NounKind::Thing);
        Self::of(chance, noun, number)
    }

    /// `himself`, `herself` or `themselves`; `None` if the gender is unknown.
    pub(super) fn reflexive(&self) -> Option<&'static str> {
        match (self.number, self.gender) {
            (Number::Plural, _) => Some("themselves"),
            (Number::Singular, Some(Gender::Female)) => Some("herself"),
            (Number::Singular, Some(Gender::Male)) => Some("himself"),
            (Number::Singular, None) => None,
        }
    }

    /// `she`, `he` or `they`; `None` if the gender is unknown.
    pub(super) fn pronoun(&self) -> Option<Self> {
        let (word, _) = self.pronouns()?;
        Some(Self { text: word.to_owned(), head: word, ..*self })
    }

    /// The subject pronoun and the possessive pronoun.
    fn pronouns(&self) -> Option<(&'static str, &'static str)> {
        match (self.number, self.gender) {
            _ if self.head.is_empty() => None,
            (Number::Plural, _) => Some(("they", "their")),
            (Number::Singular, Some(Gender::Female)) => Some(("she", "her")),
            (Number::Singular, Some(Gender::Male)) => Some(("he", "his")),
            (Number::Singular, None) => None,
        }
    }

    pub(super) fn be(&self) -> &'static str {
        be(self.number)
    }

    pub(super) fn do_(&self) -> &'static str {
        do_(self.number)
    }
}

pub(super) fn be(number: Number) -> &'static str {
    match number {
        Number::Singular => "is",
        Number::Plural => "are",
    }
}

pub(super) fn do_(number: Number) -> &'static str {
    match number {
        Number::Singular => "does",
        Number::Plural => "do",
    }
}

/// A phrase for a person, animal or thing.
pub(super) fn any_phrase(chance: &mut Chance) -> Phrase {
    if chance.percent(50) { Phrase::animate(chance) } else { Phrase::thing(chance) }
}

pub(super) fn adjective(chance: &mut Chance, kind: NounKind) -> &'static str {
    let adjectives: &[&'static str] = if kind.is_animate() { &MOODS } else { &LOOKS };
    chance.one_of::<&str>(adjectives)
}

/// `near the cats`.
fn beside(chance: &mut Chance) -> String {
    let preposition = *chance.one_of(&BESIDE);
    let number = number(chance);
    let noun = noun(chance, |noun| noun.kind != NounKind::Place);
    format!("{preposition} {}", Phrase::with("the", None, noun, number).text)
}

/// `in the garden`.
pub(super) fn place(chance: &mut Chance) -> String {
    format!(
        "in {}",
        Phrase::with("the", None, noun(chance, |noun| noun.kind == NounKind::Place), Number::Singular).text
    )
}

/// The rest of a clause after the verb: its object, or optionally a place. A subject of known gender or number often acts
/// on itself or on its possessions, which reveals its gender.
pub(super) fn rest(chance: &mut Chance, verb: &Verb, subject: &Phrase) -> String {
    let thing = match (verb.takes_animates(), verb.takes_things()) {
        (false, false) if chance.percent(50) => return format!(" {}", place(chance)),
        (false, false) => return String::new(),
        (true, true) => chance.percent(50),
        (_, things) => things,
    };
    if verb.takes_animates()
        && let Some(reflexive) = subject.reflexive()
        && chance.percent(40)
    {
        return format!(" {reflexive}");
    }
    if let Some((_, owners)) = subject.pronouns()
        && chance.percent(50)
    {
        let number = number(chance);
        let noun = noun(chance, |noun| if thing { noun.kind == NounKind::Thing } else { noun.kind.is_animate() });
        let adjective = chance.percent(30).then(|| adjective(chance, noun.kind));
        return format!(" {}", Phrase::with(owners, adjective, noun, number).text);
    }
    format!(" {}", if thing { Phrase::thing(chance) } else { Phrase::animate(chance) }.text)
}

/// A statement about the subject, often followed by others with a pronoun for it.
pub(super) fn remark(chance: &mut Chance, subject: &Phrase) -> String {
    let mut said = sentence(&clause(chance, subject));
    if let Some(pronoun) = subject.pronoun() {
        while chance.percent(50) {
            said.push(' ');
            said.push_str(&sentence(&clause(chance, &pronoun)));
        }
    }
    said
}

/// A statement about the subject, without capital letter and full stop. Half of them are in the simple present.
pub(super) fn clause(chance: &mut Chance, subject: &Phrase) -> String {
    let verb = verb_for(chance, subject.head, |_| true);
    let text = &subject.text;
    let form = chance.below(20);
    if form == 0 {
        return format!("{text} {} {}", subject.be(), adjective(chance, NounKind::Animal));
    }
    if form == 1 {
        return format!("{text} {} {}", subject.be(), place(chance));
    }
    if form < 4
        && let Some(noun) = NOUNS.iter().find(|noun| noun.singular == subject.head)
    {
        let (determiner, adverb) = *chance.one_of(&POLAR);
        return format!(
            "{determiner} {} {adverb} {}{}",
            noun.singular,
            verb.third,
            rest(chance, verb, &singular(subject))
        );
    }
    let rest = rest(chance, verb, subject);
    match form {
        4..=6 => format!("{text} {} {}{rest}", subject.be(), verb.progressive),
        7 => format!("{text} {} not {}{rest}", subject.do_(), verb.base),
        8 => format!("{text} will {}{rest}", verb.base),
        _ => format!("{text} {}{rest}", verb.present(subject.number)),
    }
}

/// Determiners with their polarity adverbs: `no ... ever`, `every ... already`, never the other way round.
pub(super) const POLAR: [(&str, &str); 2] = [("no", "ever"), ("every", "already")];

fn singular(phrase: &Phrase) -> Phrase {
    Phrase { number: Number::Singular, ..phrase.clone() }
}

/// The topic of an article.
pub(super) enum Topic {
    Noun(&'static Noun),
    Name(&'static (&'static str, Gender)),
}

pub(super) fn topic(chance: &mut Chance) -> Topic {
    if chance.percent(20) { Topic::Name(chance.one_of(&NAMES)) } else { Topic::Noun(noun(chance, |_| true)) }
}

impl Topic {
    /// `A dog is an animal.`
    pub(super) fn definition(&self, chance: &mut Chance) -> String {
        match self {
            Topic::Noun(noun) if chance.percent(50) => {
                format!("{} are {}.", capitalized(noun.plural), noun.kind.name(Number::Plural))
            }
            Topic::Noun(noun) => {
                let kind = noun.kind.name(Number::Singular);
                let subject = Phrase::with("a", None, noun, Number::Singular).text;
                format!("{} is {} {kind}.", capitalized(&subject), indefinite(kind))
            }
            Topic::Name((name, gender)) => {
                let fits = |noun: &Noun| noun.gender == Some(*gender);
                let noun = noun(chance, fits);
                let adjective = adjective(chance, noun.kind);
                format!("{name} is {}.", Phrase::with("a", Some(adjective), noun, Number::Singular).text)
            }
        }
    }

    /// A sentence about an action or a property of the topic.
    pub(super) fn remark(&self, chance: &mut Chance) -> String {
        let phrase = match self {
            Topic::Name(name) => Phrase::name(name),
            Topic::Noun(noun) => {
                let number = number(chance);
                Phrase::of(chance, noun, number)
            }
        };
        match self {
            Topic::Noun(noun) if !noun.kind.is_animate() => {
                sentence(&format!("{} {} {}", phrase.text, phrase.be(), adjective(chance, noun.kind)))
            }
            _ => remark(chance, &phrase),
        }
    }

    /// `dogs`, `Anna`.
    pub(super) fn plural_name(&self) -> &'static str {
        match self {
            Topic::Noun(noun) => noun.plural,
            Topic::Name((name, _)) => name,
        }
    }
}

/// `a` or `an`, depending on the next letter.
pub(super) fn indefinite(next: &str) -> &'static str {
    if next.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// The text with a capital letter.
pub(super) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect()
}

/// The clause with a capital letter and a full stop.
pub(super) fn sentence(clause: &str) -> String {
    format!("{}.", capitalized(clause))
}
