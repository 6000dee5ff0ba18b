//! Rows of published numbers below the measured ones.

use super::marks::Marks;
use super::table::Cell;
use crate::domain::{Quantity, Reference};

/// The rows of the references that have a number in a table, and their sources.
#[derive(Default)]
pub(super) struct Published {
    /// One row for each reference.
    pub rows: Vec<Vec<Cell>>,
    /// One note for each reference with its source.
    pub notes: Vec<String>,
}

impl Published {
    /// Makes rows for columns of these quantities, where `None` stands for a column that has no published numbers. The
    /// first `labels` columns name the row.
    ///
    /// Aggregates that do not agree with the published parts are marked.
    pub(super) fn of(references: &[Reference], labels: usize, columns: &[Option<Quantity>], marks: &mut Marks) -> Self {
        let mut published = Self::default();
        for reference in references {
            let numbers: Vec<Option<f64>> =
                columns.iter().map(|column| column.and_then(|quantity| reference.value(quantity))).collect();
            if numbers.iter().all(Option::is_none) {
                continue;
            }
            let name = Cell::Label(format!("{} (published)", reference.name));
            let blank = (1..labels).map(|_| Cell::Label(String::new()));
            let conflict = |column: &Option<Quantity>| column.and_then(|quantity| conflict(reference, quantity));
            let letters = columns.iter().map(|column| conflict(column).map(|reason| marks.letter(&reason)));
            let letters: Vec<Option<char>> = letters.collect();
            let numbers = numbers.into_iter().zip(letters).map(|(number, letter)| match (number, letter) {
                (None, _) => Cell::Missing,
                (Some(value), None) => Cell::Number(value, digits(value)),
                (Some(value), Some(letter)) => Cell::Marked(value, digits(value), letter.to_string()),
            });
            published.rows.push(std::iter::once(name).chain(blank).chain(numbers).collect());
            published.notes.push(format!("{} (published): {}", reference.name, reference.source));
        }
        if !published.rows.is_empty() {
            let note = "Published rows: as printed, or the mean of the printed parts, under the official rules of that time. They are \
                        not used in any statistic.";
            published.notes.insert(0, note.to_owned());
        }
        published
    }
}

/// The number of decimals that a value was printed with, at least one.
fn digits(value: f64) -> usize {
    let tenths = (value * 10.0).round() / 10.0;
    if (tenths - value).abs() < 1e-9 { 1 } else { 2 }
}

/// The largest error of a printed number that rounding can explain: 0.5 for 51, 0.05 for 51.0.
fn rounding(value: f64) -> f64 {
    let text = value.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    0.5 * 10f64.powi(-(decimals as i32))
}

/// A number and its largest rounding error.
struct Rounded {
    value: f64,
    tolerance: f64,
}

/// The printed number, or the mean of the printed numbers of its parts.
fn rounded(reference: &Reference, quantity: Quantity) -> Option<Rounded> {
    match reference.scores.get(&quantity) {
        Some(value) => Some(Rounded { value: *value, tolerance: rounding(*value) }),
        None => of_parts(reference, quantity),
    }
}

/// The mean of the parts; `None` if a part is not printed, or if there are no parts.
fn of_parts(reference: &Reference, quantity: Quantity) -> Option<Rounded> {
    let parts: Vec<Rounded> =
        quantity.parts().into_iter().map(|part| rounded(reference, part)).collect::<Option<_>>()?;
    let mean = |of: fn(&Rounded) -> f64| parts.iter().map(of).sum::<f64>() / parts.len() as f64;
    (!parts.is_empty()).then(|| Rounded { value: mean(|part| part.value), tolerance: mean(|part| part.tolerance) })
}

/// Describes an aggregate that disagrees with the printed parts by more than rounding can explain.
fn conflict(reference: &Reference, quantity: Quantity) -> Option<String> {
    let printed = *reference.scores.get(&quantity)?;
    let Rounded { value, tolerance } = of_parts(reference, quantity)?;
    let apart = (printed - value).abs() > rounding(printed) + tolerance + 1e-9;
    let Reference { name, .. } = reference;
    let digits = digits(printed);
    apart.then(|| {
        format!(
            "{name}: the printed parts give {quantity} = {value:.digits$}, but the printed value is {printed:.digits$}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GlueTask, Suite};

    const TASKS: [(Quantity, f64); 10] = [
        (Quantity::Suite(Suite::Blimp), 72.16),
        (Quantity::Suite(Suite::BlimpSupplement), 61.22),
        (Quantity::Suite(Suite::Ewok), 51.92),
        (Quantity::Glue, 50.35),
        (Quantity::Suite(Suite::WugAdj), 51.0),
        (Quantity::Suite(Suite::WugPast), 17.9),
        (Quantity::Suite(Suite::EntityTracking), 28.06),
        (Quantity::Suite(Suite::Comps), 55.05),
        (Quantity::EyeTracking, 9.1),
        (Quantity::SelfPaced, 3.5),
    ];

    fn reference(scores: impl IntoIterator<Item = (Quantity, f64)>) -> Reference {
        Reference { name: "simpo".into(), source: "a card".into(), scores: scores.into_iter().collect() }
    }

    #[test]
    fn an_aggregate_that_disagrees_with_its_parts_is_marked_with_both_numbers() {
        let aggregates = [(Quantity::Language, 54.1), (Quantity::Macro, 37.3)];
        let reference = reference(TASKS.into_iter().chain(aggregates));
        let columns = [Quantity::Language, Quantity::Suite(Suite::Blimp), Quantity::Macro].map(Some);
        let mut marks = Marks::default();
        let published = Published::of(&[reference], 1, &columns, &mut marks);
        assert_eq!(
            published.rows[0][1..],
            [Cell::Marked(54.1, 1, "a".into()), Cell::Number(72.16, 2), Cell::Number(37.3, 1)],
            "AoA is not printed, so human-likeness and macro cannot be computed"
        );
        insta::assert_snapshot!(marks.into_notes()[0], @"a: simpo: the printed parts give nlp = 53.1, but the printed value is 54.1");
    }

    #[test]
    fn differences_within_the_printed_digits_are_rounding() {
        let aoa = (Quantity::Suite(Suite::Aoa), 7.4);
        let of = |printed: f64| {
            let aggregate = (Quantity::HumanLikeness, printed);
            conflict(&reference(TASKS.into_iter().chain([aoa, aggregate])), Quantity::HumanLikeness)
        };
        // The mean of 6.3, 51, 17.9 and 7.4 is 20.65 ± 0.1625, as the decimal of 51 is not known, and the aggregate has
        // an error of ± 0.05.
        assert_eq!((of(20.5), of(20.8)), (None, None));
        assert_eq!(
            of(20.4),
            Some("simpo: the printed parts give human-likeness = 20.6, but the printed value is 20.4".into())
        );
        assert!(of(20.9).is_some());
    }

    #[test]
    fn parts_that_are_means_themselves_are_computed() {
        let tasks = GlueTask::ALL.into_iter().map(|task| (Quantity::Task(task), 60.5));
        let rest = TASKS.into_iter().filter(|(quantity, _)| *quantity != Quantity::Glue);
        let all = rest.chain(tasks).chain([(Quantity::Language, 54.8)]);
        assert_eq!(conflict(&reference(all.clone()), Quantity::Language), None, "54.82");
        assert_eq!(conflict(&reference(all), Quantity::Glue), None, "not printed");
    }
}
