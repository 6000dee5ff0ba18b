//! The vocabulary of the toy world.

/// Grammatical number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Singular,
    Plural,
}

impl Number {
    pub(super) fn other(self) -> Self {
        match self {
            Number::Singular => Number::Plural,
            Number::Plural => Number::Singular,
        }
    }
}

/// The gender of names, and of some nouns for persons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gender {
    Female,
    Male,
}

/// The semantic class of a noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NounKind {
    Person,
    Animal,
    Thing,
    Place,
}

impl NounKind {
    pub(super) fn is_animate(self) -> bool {
        matches!(self, NounKind::Person | NounKind::Animal)
    }

    /// The noun for the class, in both numbers.
    pub(super) fn name(self, number: Number) -> &'static str {
        let (one, many) = match self {
            NounKind::Person => ("person", "people"),
            NounKind::Animal => ("animal", "animals"),
            NounKind::Thing => ("thing", "things"),
            NounKind::Place => ("place", "places"),
        };
        match number {
            Number::Singular => one,
            Number::Plural => many,
        }
    }
}

/// A noun.
#[derive(Debug)]
pub(super) struct Noun {
    pub singular: &'static str,
    pub plural: &'static str,
    pub kind: NounKind,
    pub gender: Option<Gender>,
}

impl Noun {
    pub(super) fn form(&self, number: Number) -> &'static str {
        match number {
            Number::Singular => self.singular,
            Number::Plural => self.plural,
        }
    }

    /// Whether the plural is not formed by adding `s`.
    pub(super) fn is_irregular(&self) -> bool {
        !self.plural.starts_with(self.singular) || !self.plural.ends_with('s')
    }
}

/// The object that a verb takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// No object.
    Nothing,
    /// A person or an animal.
    Animate,
    /// A thing.
    Thing,
    /// A person, an animal or a thing.
    Anything,
}

/// A verb with its three forms.
#[derive(Debug)]
pub(super) struct Verb {
    pub base: &'static str,
    pub third: &'static str,
    pub progressive: &'static str,
    pub takes: Takes,
}

impl Verb {
    /// The present tense for a subject of this number in the third person.
    pub(super) fn present(&self, number: Number) -> &'static str {
        match number {
            Number::Singular => self.third,
            Number::Plural => self.base,
        }
    }

    pub(super) fn takes_animates(&self) -> bool {
        matches!(self.takes, Takes::Animate | Takes::Anything)
    }

    pub(super) fn takes_things(&self) -> bool {
        matches!(self.takes, Takes::Thing | Takes::Anything)
    }
}

const fn of(kind: NounKind, singular: &'static str, plural: &'static str) -> Noun {
    Noun { singular, plural, kind, gender: None }
}

const fn female(singular: &'static str, plural: &'static str) -> Noun {
    Noun { singular, plural, kind: NounKind::Person, gender: Some(Gender::Female) }
}

const fn male(singular: &'static str, plural: &'static str) -> Noun {
    Noun { singular, plural, kind: NounKind::Person, gender: Some(Gender::Male) }
}

use NounKind::{Animal, Person, Place, Thing};

pub(super) static NOUNS: [Noun; 70] = [
    female("girl", "girls"),
    female("woman", "women"),
    female("queen", "queens"),
    female("sister", "sisters"),
    female("mother", "mothers"),
    female("aunt", "aunts"),
    female("daughter", "daughters"),
    female("wife", "wives"),
    female("princess", "princesses"),
    male("boy", "boys"),
    male("man", "men"),
    male("king", "kings"),
    male("brother", "brothers"),
    male("father", "fathers"),
    male("uncle", "uncles"),
    male("son", "sons"),
    male("husband", "husbands"),
    male("prince", "princes"),
    of(Person, "teacher", "teachers"),
    of(Person, "farmer", "farmers"),
    of(Person, "doctor", "doctors"),
    of(Person, "child", "children"),
    of(Person, "baby", "babies"),
    of(Person, "friend", "friends"),
    of(Person, "baker", "bakers"),
    of(Person, "singer", "singers"),
    of(Animal, "dog", "dogs"),
    of(Animal, "cat", "cats"),
    of(Animal, "bird", "birds"),
    of(Animal, "horse", "horses"),
    of(Animal, "cow", "cows"),
    of(Animal, "duck", "ducks"),
    of(Animal, "fox", "foxes"),
    of(Animal, "rabbit", "rabbits"),
    of(Animal, "mouse", "mice"),
    of(Animal, "goose", "geese"),
    of(Animal, "wolf", "wolves"),
    of(Animal, "bear", "bears"),
    of(Animal, "pig", "pigs"),
    of(Animal, "hen", "hens"),
    of(Thing, "ball", "balls"),
    of(Thing, "book", "books"),
    of(Thing, "box", "boxes"),
    of(Thing, "cup", "cups"),
    of(Thing, "apple", "apples"),
    of(Thing, "cake", "cakes"),
    of(Thing, "knife", "knives"),
    of(Thing, "leaf", "leaves"),
    of(Thing, "shoe", "shoes"),
    of(Thing, "hat", "hats"),
    of(Thing, "chair", "chairs"),
    of(Thing, "stone", "stones"),
    of(Thing, "basket", "baskets"),
    of(Thing, "bottle", "bottles"),
    of(Thing, "letter", "letters"),
    of(Thing, "picture", "pictures"),
    of(Thing, "drum", "drums"),
    of(Thing, "kite", "kites"),
    of(Thing, "lamp", "lamps"),
    of(Thing, "coat", "coats"),
    of(Place, "garden", "gardens"),
    of(Place, "house", "houses"),
    of(Place, "school", "schools"),
    of(Place, "forest", "forests"),
    of(Place, "market", "markets"),
    of(Place, "field", "fields"),
    of(Place, "kitchen", "kitchens"),
    of(Place, "barn", "barns"),
    of(Place, "park", "parks"),
    of(Place, "town", "towns"),
];

/// Names of persons.
pub(super) static NAMES: [(&str, Gender); 16] = [
    ("Anna", Gender::Female),
    ("Tom", Gender::Male),
    ("Mia", Gender::Female),
    ("Ben", Gender::Male),
    ("Lucy", Gender::Female),
    ("Max", Gender::Male),
    ("Emma", Gender::Female),
    ("Leo", Gender::Male),
    ("Sara", Gender::Female),
    ("Sam", Gender::Male),
    ("Nora", Gender::Female),
    ("Jack", Gender::Male),
    ("Ella", Gender::Female),
    ("Paul", Gender::Male),
    ("Ruth", Gender::Female),
    ("Adam", Gender::Male),
];

const fn verb(takes: Takes, base: &'static str, third: &'static str, progressive: &'static str) -> Verb {
    Verb { base, third, progressive, takes }
}

use Takes::{Animate, Anything, Nothing};

pub(super) static VERBS: [Verb; 54] = [
    verb(Nothing, "sleep", "sleeps", "sleeping"),
    verb(Nothing, "run", "runs", "running"),
    verb(Nothing, "sing", "sings", "singing"),
    verb(Nothing, "dance", "dances", "dancing"),
    verb(Nothing, "jump", "jumps", "jumping"),
    verb(Nothing, "walk", "walks", "walking"),
    verb(Nothing, "laugh", "laughs", "laughing"),
    verb(Nothing, "swim", "swims", "swimming"),
    verb(Nothing, "play", "plays", "playing"),
    verb(Nothing, "cry", "cries", "crying"),
    verb(Nothing, "rest", "rests", "resting"),
    verb(Nothing, "wait", "waits", "waiting"),
    verb(Nothing, "smile", "smiles", "smiling"),
    verb(Nothing, "work", "works", "working"),
    verb(Nothing, "talk", "talks", "talking"),
    verb(Nothing, "sit", "sits", "sitting"),
    verb(Animate, "help", "helps", "helping"),
    verb(Animate, "chase", "chases", "chasing"),
    verb(Animate, "follow", "follows", "following"),
    verb(Animate, "hug", "hugs", "hugging"),
    verb(Animate, "teach", "teaches", "teaching"),
    verb(Animate, "greet", "greets", "greeting"),
    verb(Animate, "call", "calls", "calling"),
    verb(Animate, "visit", "visits", "visiting"),
    verb(Animate, "feed", "feeds", "feeding"),
    verb(Animate, "thank", "thanks", "thanking"),
    verb(Animate, "praise", "praises", "praising"),
    verb(Animate, "kiss", "kisses", "kissing"),
    verb(Takes::Thing, "carry", "carries", "carrying"),
    verb(Takes::Thing, "hold", "holds", "holding"),
    verb(Takes::Thing, "throw", "throws", "throwing"),
    verb(Takes::Thing, "drop", "drops", "dropping"),
    verb(Takes::Thing, "push", "pushes", "pushing"),
    verb(Takes::Thing, "clean", "cleans", "cleaning"),
    verb(Takes::Thing, "fix", "fixes", "fixing"),
    verb(Takes::Thing, "buy", "buys", "buying"),
    verb(Takes::Thing, "sell", "sells", "selling"),
    verb(Takes::Thing, "paint", "paints", "painting"),
    verb(Takes::Thing, "take", "takes", "taking"),
    verb(Takes::Thing, "bring", "brings", "bringing"),
    verb(Takes::Thing, "break", "breaks", "breaking"),
    verb(Takes::Thing, "make", "makes", "making"),
    verb(Anything, "find", "finds", "finding"),
    verb(Anything, "watch", "watches", "watching"),
    verb(Anything, "draw", "draws", "drawing"),
    verb(Anything, "touch", "touches", "touching"),
    verb(Anything, "admire", "admires", "admiring"),
    verb(Anything, "wash", "washes", "washing"),
    verb(Anything, "hide", "hides", "hiding"),
    verb(Anything, "cover", "covers", "covering"),
    verb(Anything, "describe", "describes", "describing"),
    verb(Anything, "mention", "mentions", "mentioning"),
    verb(Anything, "lift", "lifts", "lifting"),
    verb(Anything, "move", "moves", "moving"),
];

/// Adjectives for animate nouns.
pub(super) static MOODS: [&str; 14] = [
    "happy", "sad", "hungry", "tired", "kind", "brave", "clever", "gentle", "funny", "quiet", "young", "old", "big",
    "little",
];

/// Adjectives for things and places.
pub(super) static LOOKS: [&str; 12] =
    ["red", "blue", "green", "yellow", "big", "little", "old", "new", "clean", "dark", "round", "empty"];

/// Prepositions between a noun and a second one.
pub(super) static BESIDE: [&str; 4] = ["near", "beside", "behind", "with"];
