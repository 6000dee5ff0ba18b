//! Figures of tables, as SVG: a row for each row of the table, and a panel for each column of numbers.
//!
//! Standard deviation, standard error and 95% interval are drawn as different error bars, which a legend explains. Axes
//! end at the limits of the data or of the possible scores.

mod axis;
mod comparison;
mod content;
mod draw;
mod legend;
mod shapes;

pub use comparison::comparison_figure;
pub use content::Figure;
pub(super) use content::{Distribution, Mark, Named, Panel};

#[cfg(test)]
mod tests;
