//! What verbs share to write their results and errors.

use clap::ValueEnum;

use super::stream::{has_colours, is_capable_terminal, write_styled};
use crate::report::{Table, html_page};
use crate::session::{Exit, Failure};

/// Output format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TableFormat {
    /// A table for the terminal.
    Table,
    /// Markdown.
    Md,
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
    /// A LaTeX table that uses booktabs.
    Latex,
    /// A self-contained HTML page; `grid report` adds figures below the tables.
    Html,
}

/// Output format of a verb that prints no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TextFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// A table in a format.
pub(super) fn formatted(table: &Table, format: TableFormat) -> String {
    match format {
        TableFormat::Table => table.terminal(),
        TableFormat::Md => table.markdown(),
        TableFormat::Csv => table.csv(),
        TableFormat::Json => table.json(),
        TableFormat::Latex => table.latex(),
        TableFormat::Html => html_page(&table.title, &[(table, None)]),
    }
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::new(Exit::Environment, error))?;
    println!("{text}");
    Ok(())
}

/// Prints an error. On a terminal, problems of a spec are shown with excerpts of the file.
pub(super) fn print_failure(failure: &Failure) {
    match &failure.problems {
        Some(problems) if is_capable_terminal() => {
            let text = problems.fancy(has_colours(), terminal_width());
            write_styled(&format!("{}\n", text.trim_end()));
        }
        _ => eprintln!("{}", failure.message.trim_end()),
    }
}

/// The width of the terminal that is standard error, in columns.
fn terminal_width() -> usize {
    /// Of a terminal that does not know its size.
    const DEFAULT: usize = 80;
    match rustix::termios::tcgetwinsize(std::io::stderr()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => DEFAULT,
    }
}
