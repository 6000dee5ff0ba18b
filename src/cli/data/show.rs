//! `grid data show`.

use std::io::IsTerminal;

use clap::Args;

use crate::cli::global::Global;
use crate::cli::output::{TextFormat, print_json};
use crate::cli::spec_args::SpecArgs;
use crate::cli::stream::has_colours;
use crate::domain::{ChatTemplate, Formatting, LossMask, counted};
use crate::session::{Exit, Failure, Session, ShownDataset, ShownRecord, ShownToken, show_dataset};

/// Arguments of `data show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// The name of a dataset that a cell is trained on.
    pub dataset: String,
    /// The number of records to show.
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
    let shown = tokio::task::block_in_place(|| show_dataset(&session, &args.dataset, args.records))?;
    match args.format {
        TextFormat::Json => print_json(&shown)?,
        TextFormat::Text => print!("{}", text(&shown, std::io::stdout().is_terminal() && has_colours())),
    }
    Ok(Exit::Done)
}

fn text(dataset: &ShownDataset, coloured: bool) -> String {
    let ShownDataset { dataset: name, tokenizer, records, left_out, max_length, loss, shown, .. } = dataset;
    let formatting = match &dataset.formatting {
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
    if *loss == LossMask::All {
        text.push_str(", loss on all tokens");
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

/// A record as runs of tokens that receive loss or do not: the tokens, separated by bars, and their ids.
fn record_text(record: &ShownRecord, coloured: bool) -> String {
    let ShownRecord { number, tokens, trained, cut } = record;
    let mut text = format!("\nrecord {number}: {}, {trained} trained", counted(tokens.len() as u64, "token"));
    if *cut > 0 {
        text.push_str(&format!(", {} cut at the end", counted(*cut as u64, "token")));
    }
    text.push('\n');
    for run in tokens.chunk_by(|one, next| one.trained == next.trained) {
        let trained = run.first().is_some_and(|token| token.trained);
        let words: Vec<String> = run.iter().map(visible).collect();
        let ids: Vec<String> = run.iter().map(|token| token.id.to_string()).collect();
        let (label, on, off) = match (trained, coloured) {
            (true, true) => ("trained", "\x1b[1;32m", "\x1b[0m"),
            (false, true) => ("context", "\x1b[2m", "\x1b[0m"),
            (true, false) => ("trained", "", ""),
            (false, false) => ("context", "", ""),
        };
        text.push_str(&format!("  {label}  {on}{}{off}\n           {}\n", words.join("|"), ids.join(" ")));
    }
    text
}

/// The text of a token with visible line breaks and tabs.
fn visible(token: &ShownToken) -> String {
    let visible = token.text.replace('\n', "⏎").replace('\t', "⇥");
    visible.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}
