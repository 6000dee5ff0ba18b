//! A table and its figure.

use crate::report::{Figure, Table};

/// A table and the figure that shows the same numbers.
pub(super) struct Shown {
    pub table: Table,
    pub figure: Figure,
}

impl Shown {
    /// A table with its usual figure.
    pub(super) fn new(table: Table) -> Self {
        Self { figure: Figure::of(&table), table }
    }
}
