//! The problems of a spec, collected during decoding and reported together.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};

use crate::domain::brief;

/// A span in the spec, in a file that it names, or in an override, within one line.
///
/// `source` is 0 for the spec; the others are numbered as they were registered. Lines and columns are counted from 1; columns and the length
/// are in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    pub source: u32,
    pub line: u32,
    pub column: u32,
    pub length: u32,
}

/// A decoded value with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marked<T> {
    pub value: T,
    pub mark: Mark,
}

impl Mark {
    /// The first character of the file.
    pub(super) const START: Mark = Mark { source: 0, line: 1, column: 1, length: 0 };

    /// The span in bytes: at least one character, unless the line ends, and at most the rest of the line.
    fn span(self, text: &str) -> SourceSpan {
        let mut start = 0;
        let mut rest = text.split_inclusive('\n');
        for _ in 1..self.line {
            start += rest.next().map_or(0, str::len);
        }
        let line = rest.next().unwrap_or_default().trim_end();
        let skipped: usize = line.chars().take(self.column as usize - 1).map(char::len_utf8).sum();
        let shown = line[skipped..].chars().take(self.length.max(1) as usize).map(char::len_utf8).sum::<usize>();
        (start + skipped, shown).into()
    }
}

/// A problem before its place is formatted. The order is that of the places.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct PendingProblem {
    mark: Mark,
    reason: String,
    hint: Option<String>,
    key: Option<KeyProblem>,
}

/// A problem with a key of the mapping at a place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyProblem {
    /// The key is missing.
    Missing(Mark, String),
    /// The mapping has an unknown key that is probably a misspelling of this one.
    Misspelt(Mark, String),
}

/// A text that marks point into.
struct SourceText {
    name: String,
    text: Arc<str>,
    /// Whether it is a file, whose lines messages name, and not an override.
    is_file: bool,
}

/// Collects problems, so that decoding can continue after each one.
pub(super) struct Log {
    sources: RefCell<Vec<SourceText>>,
    pending: RefCell<BTreeSet<PendingProblem>>,
}

impl Log {
    /// Creates a log for a file with this name and content.
    pub(super) fn new(name: String, text: &str) -> Log {
        let spec = SourceText { name, text: text.into(), is_file: true };
        Log { sources: RefCell::new(vec![spec]), pending: RefCell::default() }
    }

    /// Registers a further file and returns its number for [`Mark::source`].
    pub(super) fn file(&self, name: String, text: &str) -> u32 {
        self.register(SourceText { name, text: text.into(), is_file: true })
    }

    /// Registers an override and returns its number for [`Mark::source`].
    pub(super) fn source(&self, text: &str) -> u32 {
        self.register(SourceText { name: format!("-S {text}"), text: text.into(), is_file: false })
    }

    fn register(&self, source: SourceText) -> u32 {
        let mut sources = self.sources.borrow_mut();
        sources.push(source);
        sources.len() as u32 - 1
    }

    /// A place as it is printed: `experiments/x.yaml:12:5`.
    pub(super) fn place(&self, mark: Mark) -> String {
        place(mark, &self.sources.borrow())
    }

    /// Adds a problem.
    pub(super) fn add(&self, mark: Mark, reason: impl Into<String>, hint: Option<String>) {
        self.pending.borrow_mut().insert(PendingProblem { mark, reason: reason.into(), hint, key: None });
    }

    /// Adds the problem that the mapping at `mark` lacks a key.
    pub(super) fn missing(&self, mark: Mark, key: &str, hint: &str) {
        let key_problem = Some(KeyProblem::Missing(mark, key.to_owned()));
        let reason = format!("missing key '{key}'");
        self.pending.borrow_mut().insert(PendingProblem {
            mark,
            reason,
            hint: Some(hint.to_owned()),
            key: key_problem,
        });
    }

    /// Adds the problem that the mapping at `mapping` has an unknown key at `mark`, perhaps a misspelling of `meant`.
    pub(super) fn unknown(&self, mapping: Mark, mark: Mark, key: &str, meant: Option<&str>, known: &[&str]) {
        let key_problem = meant.map(|meant| KeyProblem::Misspelt(mapping, meant.to_owned()));
        let hint = match meant {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => format!("known keys here: {}", known.join(", ")),
        };
        let reason = format!("unknown key '{}'", key.escape_debug());
        self.pending.borrow_mut().insert(PendingProblem { mark, reason, hint: Some(hint), key: key_problem });
    }

    /// The number of problems so far.
    pub(super) fn count(&self) -> usize {
        self.pending.borrow().len()
    }

    /// The value, if no problem was added.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        let (sources, mut pending) = (self.sources.into_inner(), self.pending.into_inner());
        let misspelt: Vec<(Mark, String)> = pending
            .iter()
            .filter_map(|problem| match &problem.key {
                Some(KeyProblem::Misspelt(mapping, meant)) => Some((*mapping, meant.clone())),
                _ => None,
            })
            .collect();
        // A misspelt required key is one problem, not two.
        pending.retain(|problem| match &problem.key {
            Some(KeyProblem::Missing(mapping, key)) => {
                !misspelt.iter().any(|(place, meant)| place == mapping && meant == key)
            }
            _ => true,
        });
        match value {
            Some(value) if pending.is_empty() => Ok(value),
            _ => Err(Problems(pending.into_iter().map(|problem| Problem::new(problem, &sources)).collect())),
        }
    }
}

/// The longest line of a text of which an excerpt is shown, in bytes.
const LONGEST_SHOWN_LINE: usize = 2_000;

/// One problem: what is wrong, where, and how to fix it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// `experiments/x.yaml:12:5`, or `-S tune.epochs=0`.
    place: String,
    reason: String,
    hint: Option<String>,
    /// The text that the problem is in, and the bytes to point at; `None` if there is no text to show.
    excerpt: Option<(NamedSource<Arc<str>>, SourceSpan)>,
}

impl Problem {
    fn new(PendingProblem { mark, reason, hint, .. }: PendingProblem, sources: &[SourceText]) -> Problem {
        let SourceText { name, text, is_file } = &sources[mark.source as usize];
        let name = if *is_file { name.as_str() } else { "command line" };
        // An excerpt shows whole lines.
        let can_be_shown = !text.trim().is_empty() && text.lines().all(|line| line.len() <= LONGEST_SHOWN_LINE);
        let excerpt = can_be_shown.then(|| (NamedSource::new(name, text.clone()), mark.span(text)));
        Problem { place: place(mark, sources), reason: brief(&reason), hint: hint.map(|hint| brief(&hint)), excerpt }
    }

    /// `experiments/x.yaml:12:5`, or `-S tune.epochs=0`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong, on one line.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// How to fix it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.excerpt.as_ref().map(|(source, _)| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.excerpt.as_ref()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, *span))))
    }
}

/// All problems of a spec, in order of place; never empty.
///
/// `Display` is the plain form: for each problem a line `place: reason` and a line `help:`. [`Problems::fancy`] is the form
/// for a terminal.
#[derive(Debug, Clone)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problem of a file that could not be read.
    pub(super) fn unreadable(path: &Path, reason: String, hint: Option<String>) -> Problems {
        Problems(vec![Problem { place: path.display().to_string(), reason, hint, excerpt: None }])
    }

    /// Iterates over the problems in order of place.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Renders every problem with an excerpt of the text that points at it, for a terminal `width` columns wide.
    pub fn fancy(&self, colours: bool, width: usize) -> String {
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let with_excerpt = |problem: &Problem| {
            let mut text = String::new();
            problem.excerpt.as_ref()?;
            handler.render_report(&mut text, problem).ok()?;
            Some(text)
        };
        let blocks: Vec<String> =
            self.0.iter().map(|problem| with_excerpt(problem).unwrap_or_else(|| plain(problem))).collect();
        blocks.join("\n")
    }
}

fn place(mark: Mark, sources: &[SourceText]) -> String {
    let SourceText { name, is_file, .. } = &sources[mark.source as usize];
    match is_file {
        true => format!("{name}:{}:{}", mark.line, mark.column),
        false => name.clone(),
    }
}

fn plain(problem: &Problem) -> String {
    let help = problem.hint.iter().map(|hint| format!("  help: {hint}\n"));
    format!("{}: {}\n", problem.place, problem.reason) + &help.collect::<String>()
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: String = self.0.iter().map(plain).collect();
        f.write_str(all.trim_end())
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.0.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}
