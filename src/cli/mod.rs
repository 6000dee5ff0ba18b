//! The verbs: one file each. The only room that knows everybody, and the only one that prints.
//!
//! Purpose: to read the command line, wire the rooms together, and turn what they return into text and exit codes.
//!
//! Invariant: data goes to stdout, talk to stderr; every way out is an `Exit`.
//!
//! Rejected: verbs as a trait with plugins. A `match` shows all of them at once.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is this room's work")]

mod args;
mod babylm;
mod bench;
mod build;
mod clusters;
mod data;
mod database;
mod diff;
mod eval;
mod export;
mod failure;
mod gc;
mod init;
mod items;
mod logs;
mod models;
mod plan;
mod preflight;
mod report;
mod run;
mod seeds;
mod status;
mod verify;
mod why;
mod workspace;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{BenchVerb, Cli, Verb, VerifyVerb};
use failure::{EXIT_CODES, Exit, Failure};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to stdout with success, and everything else to stderr.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return match error.print() {
                Ok(()) => exit.into(),
                Err(_) => Exit::Environment.into(),
            };
        }
    };
    if prints(&cli.verb) {
        // A reader that has seen enough (`grid plan | head`) ends us quietly. Verbs that drive workers must not end
        // with one of their pipes.
        sigpipe::reset();
    }
    start_tracing(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("grid: no threads to work with: {error}");
            return Exit::Environment.into();
        }
    };
    match runtime.block_on(dispatch(&cli)) {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            eprintln!("{}", message.trim_end());
            exit.into()
        }
    }
}

/// Whether a verb only reads and prints.
fn prints(verb: &Verb) -> bool {
    match verb {
        Verb::Run(args) => args.dry_run,
        Verb::Gc(args) => !args.yes,
        Verb::Resume(_) | Verb::Eval(_) | Verb::Verify { .. } | Verb::Bench { .. } => false,
        _ => true,
    }
}

async fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.verb {
        Verb::Init(args) => init::init(args),
        Verb::Run(args) if args.dry_run => plan::dry_run(cli, &args.spec).await,
        Verb::Run(args) => run::run(cli, args).await,
        Verb::Resume(args) => run::resume(cli, args).await,
        Verb::Eval(args) => eval::eval(cli, args).await,
        Verb::Data(what) => tokio::task::block_in_place(|| data::data(cli, what)),
        Verb::Plan(args) => plan::plan(cli, args).await,
        Verb::Status(args) => status::status(cli, args).await,
        Verb::Logs(args) => logs::logs(cli, args).await,
        Verb::Why(args) => why::why(cli, args).await,
        Verb::Diff(args) => diff::diff(cli, args).await,
        Verb::Report(args) => report::report(cli, args).await,
        Verb::Export(what) => export::export(cli, what).await,
        Verb::Verify { what: VerifyVerb::Resume(args) } => verify::resume(cli, args).await,
        Verb::Bench { what: BenchVerb::Train(args) } => bench::train(args),
        Verb::Gc(args) => gc::gc(cli, args).await,
        Verb::Schema => {
            print!("{}", crate::store::schema_markdown().await.map_err(failure::store_failure)?);
            Ok(Exit::Done)
        }
        Verb::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "grid", &mut std::io::stdout());
            Ok(Exit::Done)
        }
        Verb::Help { topic } => help(topic),
    }
}

fn help(topic: &[String]) -> Result<Exit, Failure> {
    if topic == ["exit-codes"] {
        print!("{EXIT_CODES}");
        return Ok(Exit::Done);
    }
    let mut command = Cli::command();
    let mut verb = &mut command;
    for word in topic {
        let unknown = || format!("grid: no verb or help topic '{}'", topic.join(" "));
        verb = verb.find_subcommand_mut(word).ok_or_else(|| Failure::text(Exit::NothingMatches, unknown()))?;
    }
    print!("{}", verb.render_long_help());
    Ok(Exit::Done)
}

fn start_tracing(cli: &Cli) {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "grid=info,warn",
        (false, _) => "grid=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("GRID_LOG").unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
}
