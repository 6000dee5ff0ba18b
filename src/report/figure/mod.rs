//! Pictures of tables, as SVG: a row for each row, and beside each other a panel for each column of numbers.
//!
//! Standard deviation, standard error and 95% interval are different marks, which a legend in the picture names. Axes
//! end where the data or the values that a score can have do.

mod axis;
mod compared;
mod content;
mod draw;
mod legend;
mod shapes;

pub use compared::compared;
pub use content::Figure;
pub(super) use content::{Distribution, Mark, Panel};

#[cfg(test)]
mod tests;
