//! Marks: letters beside numbers that may be misleading, each explained in a note below the table.

use std::collections::{BTreeSet, HashMap};

use super::chance::{LEVEL, p_over_items, p_over_seeds};
use super::measure::Measure;
use super::seeds::within_seeds;
use super::table::MarkNote;
use crate::domain::ScoreRow;

/// The number of items from which equal scores are not a coincidence. With fewer items, two models can easily have the
/// same number of correct answers.
const MANY_ITEMS: u64 = 1_000;

/// The marks of one table: the same reason has the same letter in all cells.
#[derive(Default)]
pub(super) struct Marks {
    notes: Vec<MarkNote>,
    /// The jobs that have exactly the same score on many items.
    twins: HashMap<ExactScore, BTreeSet<String>>,
}

impl Marks {
    /// Marks for a table of these scores, among which exactly equal scores of different models are searched.
    pub(super) fn among<'a>(all: impl IntoIterator<Item = &'a ScoreRow>) -> Self {
        let mut marks = Self::default();
        for row in all.into_iter().filter(|row| row.score.n >= MANY_ITEMS) {
            marks.twins.entry(ExactScore::of(row)).or_default().insert(row.job.clone());
        }
        marks
    }

    /// The letters of a cell, each once. A side has the scores of all seeds of one condition on one measure: a score has
    /// one side, a difference has two.
    pub(super) fn of(&mut self, sides: &[&[&ScoreRow]]) -> String {
        let reasons: Vec<String> = sides.iter().flat_map(|side| self.reasons(side)).collect();
        let mut letters = String::new();
        for reason in reasons {
            let letter = self.letter(&reason);
            if !letters.contains(letter) {
                letters.push(letter);
            }
        }
        letters
    }

    /// The letter of a reason.
    pub(super) fn letter(&mut self, reason: &str) -> char {
        if let Some(note) = self.notes.iter().find(|note| note.reason == reason) {
            return note.letter;
        }
        // If there are more reasons than letters, the rest share a sign; each of them still has its note.
        let letter = ('a'..='z').chain('A'..='Z').nth(self.notes.len()).unwrap_or('*');
        self.notes.push(MarkNote { letter, reason: reason.to_owned() });
        letter
    }

    /// The notes, in the order of their letters.
    pub(super) fn into_notes(self) -> Vec<MarkNote> {
        self.notes
    }

    fn reasons(&self, found: &[&ScoreRow]) -> Vec<String> {
        let any = |is: fn(&ScoreRow) -> bool| found.iter().any(|row| is(row));
        let mut reasons: Vec<&str> = vec![];
        if any(|row| row.score.nans > 0 && row.score.nans >= row.score.n) {
            reasons.push("every item has a candidate whose score is not a number (NaN)");
        } else if any(|row| row.score.nans > 0) {
            reasons.push("the scores of some candidates are not a number (NaN)");
        }
        if any(|row| row.score.unscored > 0) {
            reasons.push(
                "of some candidates nothing is scored, because they have one token or none, so their log-probability is 0: \
                 `first_token: end_of_text` under `mode` scores the first token too",
            );
        }
        let ties = any(|row| row.score.n > 0 && row.score.ties == row.score.n);
        if ties {
            reasons.push("every item is a tie: the model does not distinguish the candidates");
        }
        let one_class = any(|row| row.score.classes == Some(1));
        if one_class {
            reasons.push("the same class for every item: the prediction does not depend on the input");
        }
        let equals_floor = |row: &ScoreRow| {
            let floor = row.score.floor.filter(|_| row.score.n >= MANY_ITEMS);
            floor.is_some_and(|floor| (row.score.value - floor).abs() < 1e-9)
        };
        let trivial = any(equals_floor);
        if trivial {
            reasons.push("equal to the trivial floor to the last digit");
        }
        // Exactly equal with different weights: the score does not depend on the model.
        let twin = |row: &&ScoreRow| {
            self.twins.get(&ExactScore::of(row)).is_some_and(|jobs| jobs.iter().any(|job| *job != row.job))
        };
        if found.iter().any(twin) {
            reasons.push("equal to another model's score to the last digit");
        }
        let mut reasons: Vec<String> = reasons.into_iter().map(str::to_owned).collect();
        // These reasons say more than a test against chance.
        if !(ties || one_class || trivial) {
            reasons.extend(not_above(found));
        }
        reasons
    }
}

/// A score to the last bit.
#[derive(PartialEq, Eq, Hash)]
struct ExactScore {
    measure: Measure,
    value: u64,
    stderr: Option<u64>,
}

impl ExactScore {
    fn of(row: &ScoreRow) -> Self {
        let stderr = row.score.stderr.map(f64::to_bits);
        Self { measure: Measure::of(row), value: row.score.value.to_bits(), stderr }
    }
}

/// A value that a score should exceed.
struct Baseline {
    name: &'static str,
    value: fn(&ScoreRow) -> Option<f64>,
}

/// The baseline that the scores of one condition are not shown to exceed: chance or, if they exceed chance, the trivial
/// floor.
fn not_above(found: &[&ScoreRow]) -> Option<String> {
    let baselines = [
        Baseline { name: "chance", value: |row| row.score.chance },
        Baseline { name: "the trivial floor", value: |row| row.score.floor },
    ];
    baselines.into_iter().find_map(|Baseline { name, value }| {
        let is_known = !found.is_empty() && found.iter().all(|row| value(row).is_some());
        if !is_known {
            return None;
        }
        let above = |row: &ScoreRow| row.score.value - value(row).unwrap_or(0.0);
        let differences = within_seeds(found, above);
        let (p, test) = match (p_over_seeds(&differences), &differences[..]) {
            (Some(p), _) => (p, "one-sided t test over seeds"),
            (None, [difference]) => match stderr(found) {
                Some(stderr) => {
                    (p_over_items(*difference, stderr), "one-sided z test, standard error clustered by item group")
                }
                None => {
                    return Some(format!(
                        "not tested against {name}: there is one seed and no standard error over items"
                    ));
                }
            },
            (None, _) => return None,
        };
        (p >= LEVEL).then(|| format!("not shown to be above {name} at the 5% level ({test})"))
    })
}

/// An upper bound of the standard error over items of the mean of one model's scores: the mean of their standard errors,
/// which is exact if they err on the same items.
fn stderr(found: &[&ScoreRow]) -> Option<f64> {
    let sum: Option<f64> = found.iter().map(|row| row.score.stderr).sum();
    sum.map(|sum| sum / found.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;
    use crate::domain::{GlueTask, Suite};

    /// Scores of one condition, one for each seed, with chance 50 and this trivial floor.
    fn scores(values: &[f64], floor: f64) -> Vec<ScoreRow> {
        let score = |(seed, value): (u64, &f64)| {
            let mut row = row(&cell("tiny", None, "pretrained", seed), Suite::Blimp, None, *value);
            row.score.floor = Some(floor);
            row
        };
        (1..).zip(values).map(score).collect()
    }

    fn notes(rows: &[ScoreRow]) -> Vec<String> {
        let mut marks = Marks::among(rows);
        marks.of(&[&rows.iter().collect::<Vec<_>>()]);
        marks.into_notes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn chance_is_tested_over_seeds_or_over_items() {
        // t = (6 / 1) sqrt 3 = 10.4, and (1 / 1) sqrt 3 = 1.7 with 2 degrees of freedom: p 0.0046 and 0.11.
        assert_eq!(notes(&scores(&[55.0, 56.0, 57.0], 40.0)), [""; 0]);
        insta::assert_snapshot!(notes(&scores(&[50.0, 51.0, 52.0], 40.0))[0],
            @"a: not shown to be above chance at the 5% level (one-sided t test over seeds)");
        // Two seeds, t = 5 with one degree of freedom: p 0.063.
        assert_eq!(notes(&scores(&[52.0, 53.0], 40.0)).len(), 1);
        // One seed, standard error 2.5: z = 1.8 and 1.6.
        assert_eq!(notes(&scores(&[54.5], 40.0)), [""; 0]);
        insta::assert_snapshot!(notes(&scores(&[54.0], 40.0))[0],
            @"a: not shown to be above chance at the 5% level (one-sided z test, standard error clustered by item group)");
    }

    #[test]
    fn a_score_above_chance_is_tested_against_the_trivial_floor() {
        insta::assert_snapshot!(notes(&scores(&[60.0, 61.0, 62.0], 61.5))[0],
            @"a: not shown to be above the trivial floor at the 5% level (one-sided t test over seeds)");
        assert_eq!(notes(&scores(&[60.0, 61.0, 62.0], 58.0)), [""; 0]);
        assert!(notes(&scores(&[50.0, 50.5], 61.5))[0].contains("above chance"), "one mark, for the lower baseline");
    }

    #[test]
    fn without_a_standard_error_one_seed_cannot_be_tested() {
        let mut rows = scores(&[70.0], 40.0);
        rows[0].score.stderr = None;
        assert_eq!(notes(&rows), ["a: not tested against chance: there is one seed and no standard error over items"]);
        rows[0].score.chance = None;
        rows[0].score.floor = None;
        assert_eq!(notes(&rows), [""; 0], "no baseline");
    }

    /// Three fine-tunings of one model are not three seeds: their small spread must not be taken for the spread between
    /// models.
    #[test]
    fn fine_tunings_of_one_model_are_tested_by_its_items() {
        let runs = |stderr: f64| -> Vec<ScoreRow> {
            let mut rows = scores(&[52.0, 52.1, 52.2], 40.0);
            for (row, seed) in rows.iter_mut().zip(1..) {
                row.score.suite = Suite::Glue;
                GlueTask::Rte.name().clone_into(&mut row.score.task);
                (row.seed, row.finetune_seed, row.score.stderr) = (1, Some(seed), Some(stderr));
            }
            rows
        };
        assert!(notes(&runs(2.5))[0].contains("z test"));
        assert_eq!(notes(&runs(1.0)), [""; 0]);
    }

    #[test]
    fn degenerate_scores_are_named_instead_of_tested() {
        let mut rows = scores(&[50.0], 40.0);
        rows[0].score.classes = Some(1);
        rows[0].score.ties = rows[0].score.n;
        assert_eq!(
            notes(&rows),
            [
                "a: every item is a tie: the model does not distinguish the candidates",
                "b: the same class for every item: the prediction does not depend on the input"
            ]
        );
    }

    #[test]
    fn candidates_of_which_nothing_is_scored_are_marked() {
        let mut rows = scores(&[100.0], 40.0);
        rows[0].score.unscored = 3;
        insta::assert_snapshot!(notes(&rows).join("\n"), @"a: of some candidates nothing is scored, because they have one token or none, so their log-probability is 0: `first_token: end_of_text` under `mode` scores the first token too");
    }

    #[test]
    fn both_sides_of_a_comparison_share_letters() {
        let (mut first, second) = (scores(&[50.0], 40.0), scores(&[51.0], 40.0));
        first[0].score.nans = 1;
        let mut marks = Marks::among(first.iter().chain(&second));
        let (first, second): (&[&ScoreRow], &[&ScoreRow]) = (&[&first[0]], &[&second[0]]);
        assert_eq!(marks.of(&[second, first]), "ab");
        assert_eq!((marks.of(&[first]), marks.of(&[second])), ("ba".to_owned(), "a".to_owned()));
        assert_eq!(marks.into_notes().len(), 2);
    }

    #[test]
    fn more_reasons_than_letters_share_an_asterisk() {
        let mut marks = Marks::default();
        let letters: String = (0..54).map(|reason| marks.letter(&reason.to_string())).collect();
        assert!(letters.starts_with("abc") && letters.ends_with("YZ**"), "{letters}");
        assert_eq!(marks.into_notes().len(), 54);
    }
}
