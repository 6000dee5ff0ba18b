//! `grid data show`.

use std::io::IsTerminal;

use clap::Args;

use crate::cli::global::Global;
use crate::cli::output::{TextFormat, print_json};
use crate::cli::spec_args::SpecArgs;
use crate::cli::stream::has_colours;
use crate::domain::{ChatTemplate, Formatting, LossMask, counted};
use crate::session::{
    Exit, Failure, ScoredToken, Session, ShownDataset, ShownItem, ShownRecord, ShownSuite, ShownToken, show_dataset,
    show_suite,
};

/// Arguments of `data show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The name of a dataset that a cell is trained on.
    #[arg(required_unless_present = "suite", conflicts_with = "suite")]
    pub dataset: Option<String>,
    /// Show the items of a suite, and which of their tokens are scored.
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<String>,
    /// The number of records or items to show.
    #[arg(short = 'n', long, default_value_t = 3)]
    pub records: usize,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub format: TextFormat,
}

/// `grid data show`.
pub(super) async fn show(global: &Global, args: &ShowArgs) -> Result<Exit, Failure> {
    let (spec, grid) = args.spec.read()?;
    let runs = global.runs();
    let store = runs.open_if_present().await?;
    let session = Session::open(&runs.path, spec, grid, store.as_ref()).await?;
    let coloured = std::io::stdout().is_terminal() && has_colours();
    tokio::task::block_in_place(|| {
        match (&args.suite, &args.dataset) {
            (Some(suite), _) => {
                let shown = show_suite(&session, suite, args.records)?;
                match args.format {
                    TextFormat::Json => print_json(&shown)?,
                    TextFormat::Text => print!("{}", suite_text(&shown, coloured)),
                }
            }
            (None, dataset) => {
                let shown = show_dataset(&session, dataset.as_deref().unwrap_or_default(), args.records)?;
                match args.format {
                    TextFormat::Json => print_json(&shown)?,
                    TextFormat::Text => print!("{}", text(&shown, coloured)),
                }
            }
        }
        Ok(Exit::Done)
    })
}

fn text(dataset: &ShownDataset, coloured: bool) -> String {
    let ShownDataset { dataset: name, tokenizer, records, left_out, max_length, loss, shots, shown, .. } = dataset;
    let formatting = match &dataset.formatting {
        Formatting::Continuation { .. } => "the reply continues the prompt".to_owned(),
        Formatting::Template(template) => format!("template {:?}", template.to_string()),
        Formatting::Chat { chat_template } => match chat_template {
            ChatTemplate::Chatml => "chat template chatml".to_owned(),
            ChatTemplate::Tokenizer => "chat template of the tokenizer".to_owned(),
            ChatTemplate::File(_) | ChatTemplate::Text(_) => "chat template of a file".to_owned(),
        },
    };
    let mut text = format!("dataset {name}: {}, {formatting}, {tokenizer}", counted(*records as u64, "record"));
    if let Some(length) = max_length {
        text.push_str(&format!(", max_length {length}"));
    }
    text.push_str(match loss {
        LossMask::Reply => "",
        LossMask::Instruction => ", loss on all but the template",
        LossMask::All => ", loss on all tokens",
    });
    if let Some(shots) = shots {
        let from = shots.pool.as_ref().map_or(String::new(), |pool| format!(" from dataset {pool}"));
        text.push_str(&format!(", {}{from} before each record (not shown)", counted(shots.k.into(), "demonstration")));
    }
    text.push('\n');
    if *left_out > 0 {
        text.push_str(&format!("{} without text to train on left out\n", counted(*left_out as u64, "record")));
    }
    for record in shown {
        text.push_str(&record_text(record, coloured));
    }
    text
}

/// A record as runs of tokens that receive loss or do not.
fn record_text(record: &ShownRecord, coloured: bool) -> String {
    let ShownRecord { number, rejected, tokens, trained, cut } = record;
    let bad = if *rejected { " (bad reply)" } else { "" };
    let mut text = format!("\nrecord {number}{bad}: {}, {trained} trained", counted(tokens.len() as u64, "token"));
    if *cut > 0 {
        text.push_str(&format!(", {} cut at the end", counted(*cut as u64, "token")));
    }
    text.push('\n');
    let tokens = tokens.iter().map(|ShownToken { id, text, trained }| (*id, text.as_str(), *trained));
    text + &runs(&tokens.collect::<Vec<_>>(), "trained", coloured)
}

fn suite_text(suite: &ShownSuite, coloured: bool) -> String {
    let ShownSuite { suite, mode, model, items, warning, shown } = suite;
    let mut text = format!("suite {suite}: {}, mode {mode}, tokenizer of {model}\n", counted(*items as u64, "item"));
    if let Some(warning) = warning {
        text.push_str(&format!("warning: {warning} (of the {} shown)\n", counted(shown.len() as u64, "item")));
    }
    for ShownItem { subtask, index, candidates } in shown {
        text.push_str(&format!("\n{subtask} {index}\n"));
        for (number, candidate) in candidates.iter().enumerate() {
            for sequence in &candidate.sequences {
                text.push_str(&format!(" candidate {number}\n"));
                let tokens = sequence.iter().map(|ScoredToken { id, text, scored }| (*id, text.as_str(), *scored));
                text.push_str(&runs(&tokens.collect::<Vec<_>>(), "scored ", coloured));
            }
        }
    }
    text
}

/// Tokens as runs that count or do not: their texts, separated by bars, and their ids.
fn runs(tokens: &[(u32, &str, bool)], label: &str, coloured: bool) -> String {
    let mut text = String::new();
    for run in tokens.chunk_by(|(.., one), (.., next)| one == next) {
        let counts = run.first().is_some_and(|(.., counts)| *counts);
        let words: Vec<String> = run.iter().map(|(_, text, _)| visible(text)).collect();
        let ids: Vec<String> = run.iter().map(|(id, ..)| id.to_string()).collect();
        let label = if counts { label } else { "context" };
        let (on, off) = match (counts, coloured) {
            (true, true) => ("\x1b[1;32m", "\x1b[0m"),
            (false, true) => ("\x1b[2m", "\x1b[0m"),
            (_, false) => ("", ""),
        };
        text.push_str(&format!("  {label}  {on}{}{off}\n           {}\n", words.join("|"), ids.join(" ")));
    }
    text
}

/// The text of a token with visible line breaks and tabs.
fn visible(token: &str) -> String {
    let visible = token.replace('\n', "⏎").replace('\t', "⇥");
    visible.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
