//! Age of acquisition: words in contexts, and the share of simulated children who say them at each age.

use serde::Serialize;

use super::super::chance::Chance;
use super::super::grammar::{Phrase, noun, verb_for};
use super::super::lexicon::{BESIDE, Kind, LOOKS, MOODS, NOUNS, Number, VERBS};

/// Ages in months.
const MONTHS: std::ops::RangeInclusive<u32> = 16..=30;

/// The use of a word, which decides its context and its age of acquisition.
#[derive(Clone, Copy)]
enum Use {
    /// A thing.
    Thing,
    /// An action.
    Action,
    /// A property.
    Property,
    /// A spatial relation.
    Relation,
}

#[derive(Serialize)]
struct Context {
    context: String,
}

/// Both files, with this number of items over words of every use.
///
/// Children say words for things first, then for actions, properties and relations; the age of each word varies by some
/// months.
pub(super) fn files(seed: u64, items: u64) -> Vec<(String, Vec<u8>)> {
    let things =
        NOUNS.iter().filter(|noun| noun.kind == Kind::Thing).map(|noun| (noun.singular, Use::Thing)).step_by(2);
    let actions = VERBS.iter().filter(|verb| verb.takes_things()).map(|verb| (verb.third, Use::Action)).step_by(3);
    let properties = LOOKS.iter().chain(&MOODS).map(|word| (*word, Use::Property)).step_by(4);
    let relations = BESIDE.iter().map(|word| (*word, Use::Relation));
    let words: Vec<(&str, Use)> = things.chain(actions).chain(properties).chain(relations).collect();

    let each = items.div_ceil(words.len() as u64);
    let mut contexts = serde_json::Map::new();
    let mut table = "word".to_owned();
    table.extend(MONTHS.map(|month| format!(",{month}")));
    table.push('\n');
    for (word, role) in &words {
        let before = |index| Context { context: context(*role, &mut Chance::new(("context", word), seed, index)) };
        let rows: Vec<Context> = (0..each).map(before).collect();
        contexts.insert((*word).to_owned(), serde_json::to_value(rows).expect("a row has string keys"));
        let chance = &mut Chance::new(("children", word), seed, 0);
        table.push_str(word);
        table.extend(shares(*role, chance).map(|share| format!(",{share:.2}")));
        table.push('\n');
    }
    let contexts = serde_json::to_vec(&contexts).expect("a map has string keys");
    vec![("cdi_childes.json".to_owned(), contexts), ("cdi_human.csv".to_owned(), table.into_bytes())]
}

/// The context before the word.
fn context(role: Use, chance: &mut Chance) -> String {
    let subject = Phrase::with("the", None, noun(chance, |noun| noun.kind.is_animate()), Number::Singular);
    let does = verb_for(chance, subject.head, |verb| verb.takes_things()).third;
    let Phrase { text, .. } = subject;
    match role {
        Use::Thing => format!("{text} {does} the"),
        Use::Action => format!("now {text}"),
        Use::Property => format!("{text} {does} the"),
        Use::Relation => format!("look at {text}"),
    }
}

/// The share of children who say the word in each month. It grows linearly over eight months on either side of an age.
fn shares(role: Use, chance: &mut Chance) -> impl Iterator<Item = f64> {
    let mean = match role {
        Use::Thing => 18,
        Use::Action => 21,
        Use::Property => 24,
        Use::Relation => 26,
    };
    let age = f64::from(mean + chance.below(3));
    MONTHS.map(move |month| ((f64::from(month) - age + 8.0) / 16.0).clamp(0.02, 0.98))
}
