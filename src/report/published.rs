//! Published numbers beside the measured ones.

use super::table::Cell;
use crate::domain::{Quantity, Reference};

/// The rows of references that have a number in a table, and where these come from.
#[derive(Default)]
pub(super) struct Published {
    /// One row per reference.
    pub rows: Vec<Vec<Cell>>,
    /// The sources.
    pub notes: Vec<String>,
}

impl Published {
    /// Rows under columns of these quantities, `None` for columns that nobody publishes; `labels` columns name the row.
    pub fn of(references: &[Reference], labels: usize, columns: &[Option<Quantity>]) -> Self {
        let mut published = Self::default();
        for reference in references {
            let numbers: Vec<Option<f64>> =
                columns.iter().map(|column| column.and_then(|quantity| reference.value(quantity))).collect();
            if numbers.iter().all(Option::is_none) {
                continue;
            }
            let name = Cell::Label(format!("{} (published)", reference.name));
            let blank = (1..labels).map(|_| Cell::Label(String::new()));
            let numbers = numbers.into_iter().map(|number| number.map_or(Cell::Missing, as_printed));
            published.rows.push(std::iter::once(name).chain(blank).chain(numbers).collect());
            published.notes.push(format!("{} (published): {}", reference.name, reference.source));
        }
        if !published.rows.is_empty() {
            let note = "published: as printed, or the mean of parts printed, by the official rules of that time; in no statistic here";
            published.notes.insert(0, note.to_owned());
        }
        published
    }
}

/// With the decimals that it was printed with, one at least.
fn as_printed(value: f64) -> Cell {
    let tenths = (value * 10.0).round() / 10.0;
    Cell::Number(value, if (tenths - value).abs() < 1e-9 { 1 } else { 2 })
}
