//! `grid data tokens`.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::output::{TextFormat, print_json};
use crate::data::{Encoding, Tokenizer};
use crate::domain::{SpecialTokens, Transformers};
use crate::session::{Exit, Failure};

/// Arguments of `data tokens`.
#[derive(Debug, Args)]
pub(crate) struct TokensArgs {
    /// The folder of a model or tokenizer.
    #[arg(long, value_name = "FOLDER")]
    pub model: PathBuf,
    /// The release of transformers whose AutoTokenizer to follow: 5, or 4.51.3 as in `mode: compat`.
    #[arg(long, value_name = "RELEASE", default_value_t = Transformers::V5)]
    pub transformers: Transformers,
    /// Without the special tokens of the template of the tokenizer.
    #[arg(long)]
    pub bare: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub format: TextFormat,
    /// The texts; without any, each line of standard input is one.
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

/// The tokenizer and the tokens of all texts.
#[derive(Debug, Serialize)]
struct Tokenized {
    /// The release of `transformers`.
    transformers: &'static str,
    vocab_size: u32,
    special_tokens: SpecialTokens,
    texts: Vec<TextTokens>,
}

/// The tokens of one text.
#[derive(Debug, Serialize)]
struct TextTokens {
    text: String,
    ids: Vec<u32>,
    tokens: Vec<String>,
    /// Start and end of each token in the text, in characters; (0, 0) for special tokens that the template adds.
    offsets: Vec<(usize, usize)>,
}

/// `grid data tokens`.
pub(super) fn tokens(args: &TokensArgs) -> Result<Exit, Failure> {
    let tokenizer = Tokenizer::load_as(&args.model, args.transformers)?;
    for warning in tokenizer.warnings() {
        eprintln!("warning: {warning}");
    }
    let texts = texts(args)?.into_iter().map(|text| tokenized(&tokenizer, text, !args.bare));
    let texts: Vec<TextTokens> = texts.collect::<Result<_, Failure>>()?;
    match args.format {
        TextFormat::Json => print_json(&Tokenized {
            transformers: args.transformers.name(),
            vocab_size: tokenizer.vocab_size(),
            special_tokens: tokenizer.special_tokens(),
            texts,
        })?,
        TextFormat::Text => print!("{}", texts.iter().map(lines).collect::<Vec<_>>().join("\n")),
    }
    Ok(Exit::Done)
}

fn texts(args: &TokensArgs) -> Result<Vec<String>, Failure> {
    if !args.texts.is_empty() {
        return Ok(args.texts.clone());
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err(Failure::text(Exit::Usage, "grid: no text: give texts as arguments, or lines on standard input"));
    }
    let lines: Result<Vec<String>, std::io::Error> = input.lock().lines().collect();
    lines.map_err(|error| Failure::path(std::path::Path::new("standard input"), &error))
}

fn tokenized(tokenizer: &Tokenizer, text: String, special: bool) -> Result<TextTokens, Failure> {
    let Encoding { ids, offsets, .. } = tokenizer.encode_with_offsets(&text, special)?;
    let tokens = ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default()).collect();
    Ok(TextTokens { text, ids, tokens, offsets })
}

/// A line for the text, and one for each token: its id, its characters in the text, and its name.
fn lines(text: &TextTokens) -> String {
    let mut lines = format!("{:?}\n", text.text);
    for ((id, token), (start, end)) in text.ids.iter().zip(&text.tokens).zip(&text.offsets) {
        lines.push_str(&format!("{id:>8}  {:>9}  {token}\n", format!("{start}-{end}")));
    }
    lines
}
