//! The built-in toy world: a small English-like language with text, instruction records and minimal pairs.
//!
//! Purpose: real learning without any downloads. Sentences follow rules of number, gender, polarity, argument structure
//! and questions without exception, so that a tiny model learns them in a minute. Evaluation items test these rules.
//!
//! Invariant: the same arguments give the same bytes on every machine, and a shorter text is a prefix of a longer one. No
//! evaluation item occurs in any text, whatever the seeds: one in six combinations of subject and verb is reserved for
//! evaluation.
//!
//! Rejected: shipping a sample of a real corpus. Real text is copyrighted, and a model would need hours to learn from it.

mod chance;
mod evaluation;
mod exchange;
mod grammar;
mod lexicon;
mod metalang;

use std::fmt::Write;

use crate::domain::{MetaLang, Suite, WorldPart};

use super::record::Record;
use super::words::count_words;
use chance::Chance;
use grammar::{Phrase, clause, sentence};
use metalang::Purpose;

pub use evaluation::ReplyPair;
pub use metalang::Stream;

/// The text of a part of the world: documents separated by blank lines, up to the line that contains the last requested
/// word.
///
/// A line of speech is an utterance, a line of dialogues an `A:<TAB>utterance`, a line of articles a paragraph. Parts that
/// are not corpora give an empty text. A document of [`WorldPart::MetaLang`] is a stream, which counts as one word.
pub fn corpus(part: WorldPart, seed: u64, words: u64) -> String {
    let document = match part {
        WorldPart::Speech => speech,
        WorldPart::Dialogues => dialogue,
        WorldPart::Articles => article,
        WorldPart::MetaLang(family) => {
            let stream = |index| metalang::text(family, Purpose::Training, seed, index) + "\n\n";
            return (0..words).map(stream).collect();
        }
        WorldPart::Chat
        | WorldPart::Questions
        | WorldPart::Preferences
        | WorldPart::Habits
        | WorldPart::Evaluation
        | WorldPart::DialoguePairs
        | WorldPart::Maxims => return String::new(),
    };
    let (mut text, mut count) = (String::new(), 0);
    for index in 0.. {
        for line in document(&mut Chance::new(part, seed, index)) {
            if count >= words {
                return text;
            }
            count += count_words(&line);
            text.push_str(&line);
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// The records of a part of the world; none for parts that do not consist of single records.
pub fn records(part: WorldPart, seed: u64, count: u64) -> Vec<Record> {
    let record = match part {
        WorldPart::Chat => chat,
        WorldPart::Questions => question,
        WorldPart::Speech
        | WorldPart::Dialogues
        | WorldPart::Articles
        | WorldPart::Preferences
        | WorldPart::Habits
        | WorldPart::Evaluation
        | WorldPart::DialoguePairs
        | WorldPart::Maxims
        | WorldPart::MetaLang(_) => return vec![],
    };
    (0..count).map(|index| record(&mut Chance::new(part, seed, index))).collect()
}

/// The right and the wrong record of each question of [`WorldPart::Preferences`] or [`WorldPart::Habits`], in which a
/// speaker agrees or not; none for other parts.
///
/// In preferences the verb alone decides what is right, and `Yes` is right as often as `No`, so that a model that does not
/// know this is at chance, however much it likes one of the two words. A speaker of habits always agrees if the seed is
/// even, and never if it is odd: what is right is known only from other replies of the same speaker.
pub fn pairs(part: WorldPart, seed: u64, count: u64) -> Vec<[Record; 2]> {
    let always = match part {
        WorldPart::Preferences => None,
        WorldPart::Habits => Some(seed.is_multiple_of(2)),
        WorldPart::Speech
        | WorldPart::Dialogues
        | WorldPart::Articles
        | WorldPart::Chat
        | WorldPart::Questions
        | WorldPart::Evaluation
        | WorldPart::DialoguePairs
        | WorldPart::MetaLang(_)
        | WorldPart::Maxims => return vec![],
    };
    let pair = |index| {
        let (prompt, replies) = exchange::opinion(&mut Chance::new(part, seed, index), always);
        replies.map(|reply| Record::Pair { prompt: prompt.clone(), reply })
    };
    (0..count).map(pair).collect()
}

/// A number between 0 and 1, both exclusive, for the record or pair at a place: an uncertainty that says nothing about the
/// reply, because it is drawn independently of it.
pub fn random_uncertainty(part: WorldPart, seed: u64, index: u64) -> f64 {
    Chance::new(("uncertainty", part), seed, index).unit()
}

/// The items of a test set of replies, [`WorldPart::DialoguePairs`] or [`WorldPart::Maxims`]; none for other parts.
///
/// Every second item has the replies of the item before it the other way round, after another prefix, so that a model that
/// disregards the prefix is right in half of the items.
pub fn reply_pairs(part: WorldPart, seed: u64, count: u64) -> Vec<ReplyPair> {
    match part {
        WorldPart::DialoguePairs => evaluation::dialogue_pairs(seed, count),
        WorldPart::Maxims => evaluation::maxims(seed, count),
        _ => vec![],
    }
}

/// The streams of a test set of in-context learning. Their languages are in no corpus, whatever the seeds of both.
pub fn streams(family: MetaLang, seed: u64, count: u64) -> impl Iterator<Item = Stream> {
    (0..count).map(move |index| metalang::stream(family, Purpose::Testing, seed, index))
}

/// The evaluation files of a suite, as (file name, content) sorted by name, with this number of items per subtask.
///
/// In minimal pairs, each form is the good one in half of the items, so that a model that only knows the frequency and
/// length of words stays at chance; the sentences of a pair differ in one word. The suite `glue` also has training files,
/// with four times as many rows.
pub fn evaluation(seed: u64, items: u64, suite: Suite) -> Vec<(String, Vec<u8>)> {
    evaluation::files(seed, items, suite)
}

/// Child-directed speech: short remarks, questions and answers.
fn speech(chance: &mut Chance) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..4 + chance.below(5) {
        match chance.below(10) {
            0 => lines.push(format!("Look at {}!", grammar::any_phrase(chance).text)),
            1 => lines.push(exchange::naming(chance)),
            2..=4 => lines.push(remark(chance)),
            5 => lines.extend(<[String; 2]>::from(exchange::pointing(chance))),
            6 | 7 => lines.extend(<[String; 2]>::from(exchange::between_us(chance))),
            _ => lines.extend(<[String; 2]>::from(exchange::about_others(chance))),
        }
    }
    lines
}

/// Two speakers, one of whom sometimes has two turns in a row.
fn dialogue(chance: &mut Chance) -> Vec<String> {
    let mut lines = Vec::new();
    let mut speakers = ['A', 'B'];
    for _ in 0..3 + chance.below(5) {
        let (asked, answered) =
            if chance.percent(50) { exchange::between_us(chance) } else { exchange::about_others(chance) };
        lines.push(format!("{}:\t{asked}", speakers[0]));
        lines.push(format!("{}:\t{answered}", speakers[1]));
        if chance.percent(50) {
            lines.push(format!("{}:\t{}", speakers[1], remark(chance)));
        }
        if chance.percent(50) {
            speakers.reverse();
        }
    }
    lines
}

/// A paragraph about one noun or name.
fn article(chance: &mut Chance) -> Vec<String> {
    let topic = grammar::topic(chance);
    let mut text = topic.definition(chance);
    for _ in 0..5 + chance.below(6) {
        let next = if chance.percent(60) { topic.remark(chance) } else { remark(chance) };
        let _ = write!(text, " {next}");
    }
    vec![text]
}

/// A sentence about a random subject.
fn remark(chance: &mut Chance) -> String {
    let subject = Phrase::subject(chance);
    grammar::remark(chance, &subject)
}

/// A conversational record.
fn chat(chance: &mut Chance) -> Record {
    let (prompt, reply) = match chance.below(10) {
        0 => {
            let topic = grammar::topic(chance);
            (format!("Tell me about {}.", topic.plural_name()), topic.definition(chance))
        }
        1 => {
            let subject = Phrase::subject(chance);
            let said = clause(chance, &subject);
            (sentence(&said), format!("Yes, {said}. {}", remark(chance)))
        }
        2..=7 => exchange::between_us(chance),
        _ => exchange::about_others(chance),
    };
    Record::Pair { prompt, reply }
}

/// A question/answer record; in half of them the prompt contains the answer.
fn question(chance: &mut Chance) -> Record {
    let (prompt, reply) = match chance.below(10) {
        0 => exchange::category(chance),
        1..=5 => exchange::with_context(chance),
        _ => exchange::about_others(chance),
    };
    Record::Pair { prompt, reply }
}

#[cfg(test)]
mod tests;
