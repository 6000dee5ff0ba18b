//! What is wrong with a spec, all of it at once.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan};

/// A place in the spec or in an override.
///
/// `source` is 0 for the file and `n` for the n-th override; lines and columns count characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    pub source: u32,
    pub line: u32,
    pub column: u32,
    pub length: u32,
}

impl Mark {
    /// The first character of the file.
    pub const START: Mark = Mark { source: 0, line: 1, column: 1, length: 0 };

    /// The place in bytes, as miette wants it: at least one character, at most to the end of its line.
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

/// A problem on its way: ordered by place, equal ones once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Draft {
    mark: Mark,
    reason: String,
    hint: Option<String>,
    key: Option<KeyTrouble>,
}

/// The trouble with a key of the mapping at a place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum KeyTrouble {
    /// It is not there.
    Missing(Mark, String),
    /// Another one is, which looks like it.
    Misspelt(Mark, String),
}

/// Collects problems while the decoding goes on.
pub(super) struct Log {
    sources: RefCell<Vec<(String, Arc<str>)>>,
    drafts: RefCell<BTreeSet<Draft>>,
}

impl Log {
    /// A log for the file of this name and content.
    pub fn new(name: String, text: &str) -> Log {
        Log { sources: RefCell::new(vec![(name, text.into())]), drafts: RefCell::default() }
    }

    /// Makes an override known, and returns its number for marks.
    pub fn source(&self, text: &str) -> u32 {
        let mut sources = self.sources.borrow_mut();
        sources.push((format!("-S {text}"), text.into()));
        sources.len() as u32 - 1
    }

    /// A place as users are told it.
    pub fn place(&self, mark: Mark) -> String {
        place(mark, &self.sources.borrow())
    }

    /// Notes a problem.
    pub fn add(&self, mark: Mark, reason: impl Into<String>, hint: Option<String>) {
        self.drafts.borrow_mut().insert(Draft { mark, reason: reason.into(), hint, key: None });
    }

    /// Notes that the mapping at `mark` lacks a key.
    pub fn missing(&self, mark: Mark, key: &str, hint: &str) {
        let trouble = Some(KeyTrouble::Missing(mark, key.to_owned()));
        let reason = format!("missing key '{key}'");
        self.drafts.borrow_mut().insert(Draft { mark, reason, hint: Some(hint.to_owned()), key: trouble });
    }

    /// Notes that the mapping at `mapping` has an unknown key at `mark`, which may be a slip for `meant`.
    pub fn unknown(&self, mapping: Mark, mark: Mark, key: &str, meant: Option<&str>, known: &[&str]) {
        let trouble = meant.map(|meant| KeyTrouble::Misspelt(mapping, meant.to_owned()));
        let hint = match meant {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => format!("known keys here: {}", known.join(", ")),
        };
        let reason = format!("unknown key '{}'", key.escape_debug());
        self.drafts.borrow_mut().insert(Draft { mark, reason, hint: Some(hint), key: trouble });
    }

    /// How many problems there are so far.
    pub fn problems(&self) -> usize {
        self.drafts.borrow().len()
    }

    /// The value, if there was no problem.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        let (sources, mut drafts) = (self.sources.into_inner(), self.drafts.into_inner());
        let misspelt: Vec<(Mark, String)> = drafts
            .iter()
            .filter_map(|draft| match &draft.key {
                Some(KeyTrouble::Misspelt(mapping, meant)) => Some((*mapping, meant.clone())),
                _ => None,
            })
            .collect();
        // A misspelt key is one problem, not two.
        drafts.retain(|draft| match &draft.key {
            Some(KeyTrouble::Missing(mapping, key)) => {
                !misspelt.iter().any(|(place, meant)| place == mapping && meant == key)
            }
            _ => true,
        });
        match value {
            Some(value) if drafts.is_empty() => Ok(value),
            _ => Err(Problems(drafts.into_iter().map(|draft| Problem::new(draft, &sources)).collect())),
        }
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// `experiments/x.yaml:12:5`, or `-S tune.epochs=0`.
    place: String,
    reason: String,
    hint: Option<String>,
    excerpt: Option<(NamedSource<Arc<str>>, SourceSpan)>,
}

impl Problem {
    fn new(Draft { mark, reason, hint, .. }: Draft, sources: &[(String, Arc<str>)]) -> Problem {
        let (name, text) = &sources[mark.source as usize];
        let excerpt = (NamedSource::new(name, text.clone()), mark.span(text));
        Problem { place: place(mark, sources), reason, hint, excerpt: Some(excerpt) }
    }

    /// `experiments/x.yaml:12:5`, or `-S tune.epochs=0`.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong, in one line.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What to do about it.
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

/// Everything that is wrong with a spec, in order of place; never empty.
///
/// `Display` is the plain form, one `place: reason` line per problem with its `help:` line below;
/// [`Problems::fancy`] is the form for a terminal.
#[derive(Debug, Clone)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// A file that could not be read.
    pub(super) fn unreadable(path: &Path, reason: String, hint: Option<String>) -> Problems {
        Problems(vec![Problem { place: path.display().to_string(), reason, hint, excerpt: None }])
    }

    /// The problems, in order of place.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// The problems with excerpts of the file, for a terminal `width` columns wide.
    pub fn fancy(&self, colours: bool, width: usize) -> String {
        let theme = if colours { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let mut text = String::new();
        for problem in &self.0 {
            let done = match problem.excerpt {
                Some(_) => handler.render_report(&mut text, problem),
                None => Err(fmt::Error),
            };
            if done.is_err() {
                text.push_str(&plain(problem));
            }
        }
        text
    }
}

fn place(mark: Mark, sources: &[(String, Arc<str>)]) -> String {
    let name = &sources[mark.source as usize].0;
    match mark.source {
        0 => format!("{name}:{}:{}", mark.line, mark.column),
        _ => name.clone(),
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
