//! `grid data list`.

use clap::Args;

use crate::cli::output::{TableFormat, formatted, print_json};
use crate::cli::spec_args::SpecArgs;
use crate::report::{Cell, Table, human};
use crate::session::{Exit, Failure, ListedData, list_data};

/// Arguments of `data list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// `grid data list`.
pub(super) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.spec.read()?;
    let rows = list_data(&spec, &grid)?;
    match args.format {
        TableFormat::Json => print_json(&rows)?,
        format => print!("{}", formatted(&table(&grid.name, rows, format), format)),
    }
    Ok(Exit::Done)
}

fn table(name: &str, rows: Vec<ListedData>, format: TableFormat) -> Table {
    let label = |text: Option<String>| text.map_or(Cell::Missing, Cell::Label);
    let size = |bytes: u64| match format {
        TableFormat::Csv => Cell::Count(bytes),
        _ => Cell::Label(human::bytes(bytes)),
    };
    let rows = rows.into_iter().map(|row| {
        let (files, bytes) = (row.files.map_or(Cell::Missing, Cell::Count), row.bytes.map_or(Cell::Missing, size));
        vec![Cell::Label(row.data), Cell::Label(row.from), Cell::Label(row.state), label(row.licence), files, bytes]
    });
    Table {
        title: format!("data of {name}"),
        heads: ["data", "from", "state", "licence", "files", "size"].map(str::to_owned).to_vec(),
        labels: 4,
        rows: rows.collect(),
        ..Table::default()
    }
}
