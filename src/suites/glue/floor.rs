//! The floor: a classifier that reads only one word.

use std::collections::HashMap;

use super::example::Example;

/// Predicts for each row the most frequent class of the training rows whose first text begins with the same word, or of
/// all training rows if there are none. Of equally frequent classes, the one that occurs first wins.
///
/// This is roughly what a causal model can do if only its first token is classified.
pub(super) fn first_word(train: &[Example], valid: &[Example]) -> Vec<u32> {
    let mut by_word: HashMap<&str, Counts> = HashMap::new();
    let mut all = Counts::default();
    for example in train {
        by_word.entry(first_word_of(example)).or_default().add(example.label);
        all.add(example.label);
    }
    let otherwise = all.most();
    valid.iter().map(|example| by_word.get(first_word_of(example)).map_or(otherwise, Counts::most)).collect()
}

/// The number of occurrences of each class, in order of first occurrence.
#[derive(Default)]
struct Counts(Vec<(u32, u64)>);

impl Counts {
    fn add(&mut self, label: u32) {
        match self.0.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += 1,
            None => self.0.push((label, 1)),
        }
    }

    fn most(&self) -> u32 {
        let greatest = self.0.iter().map(|(_, count)| *count).max();
        self.0.iter().find(|(_, count)| Some(*count) == greatest).map_or(0, |(label, _)| *label)
    }
}

fn first_word_of(example: &Example) -> &str {
    example.first.split_whitespace().next().unwrap_or_default()
}
