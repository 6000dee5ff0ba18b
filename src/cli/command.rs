//! The command line as a whole.

use clap::{Parser, Subcommand};

use super::bench::BenchVerb;
use super::data::DataVerb;
use super::diff::DiffArgs;
use super::eval::EvalArgs;
use super::export::ExportVerb;
use super::gc::GcArgs;
use super::global::Global;
use super::help::HelpArgs;
use super::init::InitArgs;
use super::logs::LogsArgs;
use super::plan::PlanArgs;
use super::report::ReportArgs;
use super::resume::ResumeArgs;
use super::run::RunArgs;
use super::status::StatusArgs;
use super::verify::VerifyVerb;
use super::why::WhyArgs;

/// grid turns one YAML file into a trustworthy table.
#[derive(Debug, Parser)]
#[command(
    name = "grid",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: grid help exit-codes\nEnvironment variables: grid help environment"
)]
pub(super) struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Create a spec to start from.
    Init(InitArgs),
    /// Run a spec; if it ran before, continue it.
    Run(RunArgs),
    /// Continue an experiment (by default the latest) from the database, without its spec file.
    Resume(ResumeArgs),
    /// Score models: Hugging Face folders, hub ids, or jobs that produced a model.
    Eval(EvalArgs),
    /// List, fetch and check the data of a spec that come from other machines.
    #[command(subcommand)]
    Data(DataVerb),
    /// Print what a run would do, and why.
    Plan(PlanArgs),
    /// Print the state of all experiments, or of the jobs of one.
    Status(StatusArgs),
    /// Print the journal of a job.
    Logs(LogsArgs),
    /// Print what the identity of a job consists of, and why the job would run.
    Why(WhyArgs),
    /// Print how two experiments or specs differ, and their scores.
    Diff(DiffArgs),
    /// Print the table of an experiment.
    Report(ReportArgs),
    /// Measure the speed of this machine.
    #[command(subcommand)]
    Bench(BenchVerb),
    /// Verify a guarantee on this machine.
    #[command(subcommand)]
    Verify(VerifyVerb),
    /// Export models and results for other tools.
    #[command(subcommand)]
    Export(ExportVerb),
    /// List files in the runs folder that are no longer needed, or remove them.
    Gc(GcArgs),
    /// Print the schema of runs.db.
    Schema,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print help on a verb, on `exit-codes`, or on `environment`.
    Help(HelpArgs),
}

impl Verb {
    /// Whether the verb runs workers, which must not wait until somebody reads its messages.
    pub(super) fn runs_workers(&self) -> bool {
        match self {
            Self::Run(args) => !args.dry_run,
            Self::Resume(_) | Self::Eval(_) | Self::Verify(_) | Self::Bench(_) => true,
            Self::Gc(_)
            | Self::Init(_)
            | Self::Data(_)
            | Self::Plan(_)
            | Self::Status(_)
            | Self::Logs(_)
            | Self::Why(_)
            | Self::Diff(_)
            | Self::Report(_)
            | Self::Export(_)
            | Self::Schema
            | Self::Completions { .. }
            | Self::Help(_) => false,
        }
    }
}
