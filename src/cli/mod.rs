//! The command line: one file for each verb.
//!
//! Purpose: to parse arguments, call the other packages, print what they return, and choose the exit code. The decisions
//! are in [`crate::session`].
//!
//! Invariant: results go to stdout and messages to stderr; every verb ends with an [`Exit`]; nothing outside this
//! package prints.
//!
//! Rejected: verbs as a trait with plugins. A `match` shows all of them at once.

#[macro_use]
mod stream;

mod bench;
mod command;
mod data;
mod diff;
mod environment;
mod eval;
mod execution_args;
mod export;
mod fetch;
mod gc;
mod global;
mod help;
mod init;
mod logs;
mod output;
mod plan;
mod progress;
mod report;
mod resume;
mod run;
mod spec_args;
mod status;
mod verify;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::session::{Exit, Failure};
use command::{Cli, Verb};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to stdout with success, and everything else to stderr.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return match error.print() {
                Ok(()) => stream::finish(exit).into(),
                Err(_) => Exit::Environment.into(),
            };
        }
    };
    if cli.verb.runs_workers() {
        stream::never_block();
    }
    start_tracing(&cli.global.log_filter());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("grid: failed to start threads: {error}");
            return Exit::Environment.into();
        }
    };
    let exit = runtime.block_on(dispatch(&cli)).unwrap_or_else(|failure| {
        output::print_failure(&failure);
        failure.exit
    });
    stream::finish(exit).into()
}

async fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    match &cli.verb {
        Verb::Init(args) => init::init(args),
        Verb::Run(args) => run::run(global, args).await,
        Verb::Resume(args) => resume::resume(global, args).await,
        Verb::Eval(args) => eval::eval(global, args).await,
        Verb::Data(verb) => data::data(global, verb).await,
        Verb::Plan(args) => plan::plan(global, args).await,
        Verb::Status(args) => status::status(global, args).await,
        Verb::Logs(args) => logs::logs(global, args).await,
        Verb::Why(args) => why::why(global, args).await,
        Verb::Diff(args) => diff::diff(global, args).await,
        Verb::Report(args) => report::report(global, args).await,
        Verb::Export(verb) => export::export(global, verb).await,
        Verb::Verify(verb) => verify::verify(global, verb).await,
        Verb::Bench(verb) => bench::bench(global, verb),
        Verb::Gc(args) => gc::gc(global, args).await,
        Verb::Schema => {
            print!("{}", crate::store::schema_markdown().await?);
            Ok(Exit::Done)
        }
        Verb::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(*shell, &mut Cli::command(), "grid", &mut script);
            print!("{}", String::from_utf8_lossy(&script));
            Ok(Exit::Done)
        }
        Verb::Help(args) => help::help(args, Cli::command()),
    }
}

fn start_tracing(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::new(filter);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| stream::StandardError)
        .with_ansi(stream::has_colours())
        .log_internal_errors(false) // which would panic where standard error cannot be written
        .without_time()
        .init();
}
