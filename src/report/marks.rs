//! Marks on scores that may mean nothing.

use std::collections::BTreeMap;

use super::measure::Measure;
use crate::domain::ScoreRow;

/// Letters for scores that may mean nothing, each with its reason below the table.
#[derive(Default)]
pub(super) struct Marks {
    /// The reasons, each with its letter.
    pub notes: Vec<String>,
    letters: BTreeMap<String, char>,
}

impl Marks {
    /// The letters of these scores of one model; `all` has those of the others.
    pub fn of(&mut self, found: &[&ScoreRow], all: &[&ScoreRow]) -> String {
        let mut reasons: Vec<&str> = vec![];
        if found.iter().any(|row| row.score.nans > 0) {
            reasons.push("some candidates have no number for a score (NaN)");
        }
        if found.iter().any(|row| row.score.n > 0 && row.score.ties == row.score.n) {
            reasons.push("every item is a tie: the model does not tell the candidates apart");
        }
        if found.iter().any(|row| row.score.classes == Some(1)) {
            reasons.push("one class for every item: the classifier does not read its input");
        } else if found.iter().any(|row| row.score.classes.is_some() && Some(row.score.value) <= row.score.chance) {
            reasons.push("not above always guessing the most frequent class");
        }
        let trivial = |row: &&ScoreRow| {
            let floor = row.score.floor.filter(|_| row.score.n >= 1_000);
            floor.is_some_and(|floor| (row.score.value - floor).abs() < 1e-9)
        };
        if found.iter().any(trivial) {
            reasons.push("equal to the trivial floor to the last digit");
        }
        // Equal to the last bit with other weights: the score does not depend on the model. Few items can agree by
        // chance, so only scores that could take many values count.
        let twin = |row: &&ScoreRow| {
            row.score.n >= 1_000
                && all.iter().any(|other| {
                    other.job != row.job
                        && Measure::of(other) == Measure::of(row)
                        && other.score.value.to_bits() == row.score.value.to_bits()
                        && other.score.stderr == row.score.stderr
                })
        };
        if found.iter().any(twin) {
            reasons.push("equal to another model's score to the last digit");
        }
        reasons
            .into_iter()
            .map(|reason| {
                let next = (b'a' + self.letters.len() as u8) as char;
                *self.letters.entry(reason.to_owned()).or_insert_with(|| {
                    self.notes.push(format!("{next}: {reason}"));
                    next
                })
            })
            .collect()
    }
}
