//! `grid export babylm`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::global::Global;
use crate::data;
use crate::domain::{Edition, counted};
use crate::report::format_gaps;
use crate::session::{Exit, Failure, collect_submission};
use crate::suites::official::Track;

/// Arguments of `export babylm`.
#[derive(Debug, Args)]
pub(crate) struct BabylmArgs {
    /// An experiment, all of whose cells are exported, or a job that produced a model: its id or name, or that of a
    /// cell.
    pub of: String,
    /// The folder to create.
    pub dir: PathBuf,
    /// The edition of the challenge: its suites, scoring rules and file.
    #[arg(long, value_enum, default_value_t = Year::Of2025)]
    pub year: Year,
    /// The track, which sets the required checkpoints.
    #[arg(long, value_enum, default_value_t = TrackName::Strict)]
    pub track: TrackName,
    /// Write the results that exist, even if some are missing.
    #[arg(long)]
    pub partial: bool,
}

/// Editions of the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Year {
    /// Results of `mode: compat`.
    #[value(name = "2025")]
    Of2025,
    /// Results of `mode: compat-2026`.
    #[value(name = "2026")]
    Of2026,
}

/// Tracks of the challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrackName {
    /// 10 million words: 19 checkpoints.
    StrictSmall,
    /// 100 million words, and the other tracks: 28 checkpoints.
    Strict,
    /// The track of 2026 in several languages, which is refused: its files are of another form.
    Multilingual,
}

/// What the multilingual track asks for that grid does not have.
const MULTILINGUAL: &str = "grid: the files of the multilingual track cannot be written\n  help: they need the zero-shot \
                            tasks of multilingual/tasks with their Python scorers, classifiers in each language with \
                            part-of-speech tagging (UD), and mixed models of eye movements (MECO); `track: multilingual` \
                            of a budget and tasks of lm-evaluation-harness without Python functions are supported";

/// `grid export babylm`: writes the result files of each model, unless some are missing.
pub(super) async fn export(global: &Global, args: &BabylmArgs) -> Result<Exit, Failure> {
    let track = match args.track {
        TrackName::StrictSmall => Track::StrictSmall,
        TrackName::Strict => Track::Strict,
        TrackName::Multilingual => return Err(Failure::text(Exit::Usage, MULTILINGUAL.to_owned())),
    };
    let edition = match args.year {
        Year::Of2025 => Edition::Of2025,
        Year::Of2026 => Edition::Of2026,
    };
    let submission = collect_submission(&global.runs(), &args.of, edition, track).await?;
    let is_complete = submission.is_complete();
    if !is_complete {
        eprintln!("grid: the submission is incomplete:\n{}", format_gaps(&submission.missing).trim_end());
    }
    if !submission.of_world.is_empty() && !submission.files.is_empty() {
        let suites: Vec<&str> = submission.of_world.iter().map(|suite| suite.name()).collect();
        eprintln!(
            "grid: warning: the results of {} are those of the toy world; the leaderboard refuses them",
            suites.join(", ")
        );
    }
    let help = match (submission.files.is_empty(), is_complete || args.partial) {
        (true, _) => Some("nothing was written, because there are no results to submit yet"),
        (false, false) => Some("nothing was written; `--partial` writes the results that exist"),
        (false, true) => None,
    };
    if let Some(help) = help {
        eprintln!("  help: {help}");
        return Ok(Exit::CheckFailed);
    }
    let files: Vec<(String, String)> = submission.files.into_iter().map(|file| (file.path, file.text)).collect();
    data::write_files(&args.dir, &files)?;
    if !global.quiet {
        let (files, models) = (counted(files.len() as u64, "file"), counted(submission.models, "model"));
        eprintln!("wrote {files} of {models} to {}", args.dir.display());
    }
    Ok(Exit::Done)
}
