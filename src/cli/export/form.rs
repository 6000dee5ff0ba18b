//! `grid export form`.

use clap::Args;

use crate::cli::global::Global;
use crate::cli::output::{TableFormat, formatted};
use crate::report::{form, form_sheets};
use crate::session::{Exit, Failure, collect_form};

/// Arguments of `export form`.
#[derive(Debug, Args)]
pub(in crate::cli) struct FormArgs {
    /// The experiment; by default the latest.
    pub experiment: Option<String>,
    /// Output format: `csv`, `json` and `html` have a row for each stage of each model, the others a table for each
    /// model.
    #[arg(long, value_enum, default_value_t = TableFormat::Md)]
    pub format: TableFormat,
}

/// `grid export form`: prints the hyper-parameters of all models.
pub(super) async fn export(global: &Global, args: &FormArgs) -> Result<Exit, Failure> {
    let found = collect_form(&global.runs(), args.experiment.as_deref()).await?;
    match args.format {
        TableFormat::Csv | TableFormat::Json | TableFormat::Html => {
            print!("{}", formatted(&form(&found.experiment, &found.stages), args.format));
        }
        TableFormat::Table | TableFormat::Md | TableFormat::Latex => {
            let sheets = form_sheets(&found.experiment, &found.stages);
            let sheets: Vec<String> = sheets.iter().map(|sheet| formatted(sheet, args.format)).collect();
            print!("{}", sheets.join("\n"));
        }
    }
    Ok(Exit::Done)
}
