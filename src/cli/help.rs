//! `grid help`.

use clap::{Args, Command};

use super::environment;
use crate::session::{Exit, Failure};

/// Arguments of `help`.
#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// A verb with its own verbs, or `exit-codes`, or `environment`.
    pub topic: Vec<String>,
}

/// The page `grid help exit-codes`.
const EXIT_CODES: &str = "\
0  success
1  usage error or error in a spec, including missing files that the spec names
2  some jobs failed; the others are done
3  interrupted; `grid resume` continues
4  nothing matches the given name, or there is nothing to show yet
6  environment: disk, device, data that cannot be fetched or have changed, output that nobody takes
7  the runs folder or the database is locked by another program, or was made by a newer grid
8  a check failed
";

/// `grid help`.
pub(super) fn help(args: &HelpArgs, mut command: Command) -> Result<Exit, Failure> {
    let topic: Vec<&str> = args.topic.iter().map(String::as_str).collect();
    match topic[..] {
        ["exit-codes"] => print!("{EXIT_CODES}"),
        ["environment"] => print!("{}", environment::page()),
        _ => {
            let mut verb = &mut command;
            for word in &topic {
                let unknown = || format!("grid: there is no verb or help topic '{}'", topic.join(" "));
                verb = verb.find_subcommand_mut(word).ok_or_else(|| Failure::text(Exit::NothingMatches, unknown()))?;
            }
            let name = [&["grid"], &topic[..]].concat().join(" ");
            print!("{}", verb.clone().bin_name(name).render_long_help());
        }
    }
    Ok(Exit::Done)
}
