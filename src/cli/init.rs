//! `grid init`.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::session::{Exit, Failure};
use crate::spec;

/// Arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The file to create.
    #[arg(default_value = "first.yaml")]
    pub spec: PathBuf,
    /// The shipped spec to start from.
    #[arg(long, value_enum, default_value_t = Like::First)]
    pub like: Like,
}

/// The shipped specs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Like {
    /// A small grid on the toy world, with comments on how to use your own data.
    First,
    /// The grid that `make demo` runs.
    Quickstart,
    /// The complete CLASS-IT experiment.
    ClassIt,
    /// A CLASS-IT of the same shape that runs on a CPU.
    ClassItMini,
    /// CLASS-IT with a tenth of the text.
    ClassItStrictSmall,
}

/// `grid init`: writes a spec to start from, and never overwrites a file.
pub(super) fn init(args: &InitArgs) -> Result<Exit, Failure> {
    let path = &args.spec;
    let text = text(args.like, &path.file_stem().unwrap_or_default().to_string_lossy());
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::text(
            Exit::Usage,
            format!("grid: {} already exists\n  help: choose another name, or move the file away", path.display()),
        ),
        _ => Failure::text(Exit::Environment, format!("grid: failed to write {}: {error}", path.display())),
    };
    let mut file = File::create_new(path).map_err(refused)?;
    file.write_all(text.as_bytes()).map_err(refused)?;
    eprintln!("wrote {0}; edit it, check it with `grid plan {0}`, and run it with `grid run {0}`", path.display());
    Ok(Exit::Done)
}

/// A shipped spec under the name of the new file, if that is a valid name for an experiment.
fn text(like: Like, name: &str) -> String {
    let (shipped, text) = match like {
        Like::First => ("first", include_str!("../../experiments/first.yaml")),
        Like::Quickstart => ("quickstart", include_str!("../../experiments/quickstart.yaml")),
        Like::ClassIt => ("class-it", include_str!("../../experiments/class-it.yaml")),
        Like::ClassItMini => ("class-it-mini", include_str!("../../experiments/class-it-mini.yaml")),
        Like::ClassItStrictSmall => {
            ("class-it-strict-small", include_str!("../../experiments/class-it-strict-small.yaml"))
        }
    };
    let renamed = text.replacen(&format!("\nname: {shipped}\n"), &format!("\nname: {name}\n"), 1);
    match spec::parse(name.as_ref(), renamed.as_bytes(), &[]) {
        Ok(_) => renamed,
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_named_after_its_file_if_that_is_a_valid_name() {
        for like in Like::value_variants() {
            let named =
                |name: &str| text(*like, name).lines().find(|line| line.starts_with("name: ")).map(str::to_owned);
            assert_eq!(named("my-own").as_deref(), Some("name: my-own"));
            assert_ne!(named("no name: at all").as_deref(), Some("name: no name: at all"));
            assert!(spec::parse("x".as_ref(), text(*like, "").as_bytes(), &[]).is_ok());
        }
    }
}
