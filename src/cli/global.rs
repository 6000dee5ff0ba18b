//! The options that every verb has.

use std::path::PathBuf;

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::session::RunsFolder;

/// Options of every verb.
#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// Folder of the results and of runs.db.
    #[arg(long, global = true, env = "GRID_RUNS_DIR", default_value = "runs", value_name = "DIR")]
    pub runs_dir: PathBuf,
    /// Folder of runs.db, if it is another one. It must be on a local disk; the results may be on a network filesystem.
    #[arg(long, global = true, env = "GRID_DATABASE_DIR", value_name = "DIR")]
    pub database_dir: Option<PathBuf>,
    /// More output: -v for info, -vv for debug messages, also in the logs of the workers.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print results and errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Do not use the network. Missing data are listed with the folder to put them into.
    #[arg(long, global = true, env = "GRID_OFFLINE", value_parser = clap::builder::FalseyValueParser::new())]
    pub offline: bool,
}

impl Global {
    /// The runs folder with its database.
    pub(super) fn runs(&self) -> RunsFolder {
        RunsFolder { path: self.runs_dir.clone(), database: self.database_dir.clone() }
    }

    /// The log filter of this process and of its workers: `GRID_LOG` if it is valid, otherwise what `-v` and `-q` say.
    pub(super) fn log_filter(&self) -> String {
        let level = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => "warn",
            (false, 1) => "grid=info,warn",
            (false, _) => "grid=debug,info",
        };
        let variable = std::env::var("GRID_LOG").ok().filter(|filter| EnvFilter::try_new(filter).is_ok());
        variable.unwrap_or_else(|| level.to_owned())
    }
}
