//! `grid data verify`.

use clap::Args;

use crate::cli::output::{TableFormat, formatted, print_json};
use crate::cli::spec_args::SpecArgs;
use crate::report::{Cell, Table};
use crate::session::{Exit, Failure, VerifiedData, verify_data};

/// Arguments of `data verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// `grid data verify`.
pub(super) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.spec.read()?;
    let rows = verify_data(&spec, &grid)?;
    let exit = if rows.iter().all(VerifiedData::is_intact) { Exit::Done } else { Exit::CheckFailed };
    match args.format {
        TableFormat::Json => print_json(&rows)?,
        format => print!("{}", formatted(&table(&grid.name, rows), format)),
    }
    Ok(exit)
}

fn table(name: &str, rows: Vec<VerifiedData>) -> Table {
    let label = |text: Option<String>| text.map_or(Cell::Missing, Cell::Label);
    let rows = rows.into_iter().map(|row| {
        let state = Cell::Label(row.state.to_owned());
        vec![Cell::Label(row.data), state, label(row.path), label(row.wanted), label(row.found), Cell::Count(row.files)]
    });
    let heads = ["data", "state", "differing file", "expected sha256", "actual sha256", "files"];
    Table {
        title: format!("verification of the fetched data of {name}"),
        heads: heads.map(str::to_owned).to_vec(),
        labels: 5,
        rows: rows.collect(),
        ..Table::default()
    }
}
