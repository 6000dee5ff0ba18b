//! Which file imports from which: a small reader of `use` declarations and paths.
//!
//! An import is followed through re-exports to the file that defines the name, so that a `mod.rs` which only re-exports
//! its children is not a part of a circle. Code that is compiled for tests only is left out.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

/// Code without comments and with empty literals, so that neither is taken for a path.
pub(super) fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let ends_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let hashes = rest.strip_prefix('r').map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if !ends_word && rest.starts_with('r') && rest[1 + hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            code.push_str("\"\"");
            rest[2 + hashes..].find(&close).map_or(rest.len(), |end| 2 + hashes + end + close.len())
        } else if first == '"' {
            code.push_str("\"\"");
            quoted(rest)
        } else if first == '\'' && (rest[1..].starts_with('\\') || rest[1..].chars().nth(1) == Some('\'')) {
            code.push_str("' '");
            // The character after the first quote or after a backslash may itself be a quote.
            let inner = if rest[1..].starts_with('\\') { 2 } else { 1 };
            let skip = inner + rest[inner..].chars().next().map_or(0, char::len_utf8);
            rest[skip..].find('\'').map_or(rest.len(), |end| skip + end + 1)
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    code
}

/// Length of the string literal at the start of `text`.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Code without the inline modules that are compiled for tests only, and the names of such modules in other files.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let (mut kept, mut modules) = (String::new(), vec![]);
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        // Further attributes and the visibility stand before the item.
        let mut item = rest.trim_start();
        while item.starts_with("#[") {
            item = item[item.find(']').map_or(item.len(), |end| end + 1)..].trim_start();
        }
        let item = item
            .trim_start_matches("pub(super)")
            .trim_start_matches("pub(crate)")
            .trim_start_matches("pub")
            .trim_start();
        let end = item.find([';', '{']).unwrap_or(item.len());
        let length = if item[end..].starts_with('{') { end + block(&item[end..]) } else { (end + 1).min(item.len()) };
        if let Some(name) = item[..end].strip_prefix("mod ") {
            modules.push(name.trim().to_owned());
        }
        rest = &item[length..];
    }
    kept.push_str(rest);
    (kept, modules)
}

/// Length of the block in braces at the start of `code`.
fn block(code: &str) -> usize {
    let mut depth = 0;
    for (at, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// A `use` declaration, expanded: the path of each imported name, and whether it is re-exported.
struct Use {
    path: Vec<String>,
    /// The name in the importing file; `*` of a glob import.
    name: String,
    public: bool,
}

/// The expanded `use` declarations of a file, and its code without them.
fn uses(code: &str) -> (Vec<Use>, String) {
    let (mut uses, mut other) = (vec![], String::new());
    let mut rest = code;
    while let Some(at) = next_use(rest) {
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end + 1);
        let before = rest[..at].trim_end();
        let public = before.ends_with("pub") || before.ends_with("pub(crate)") || before.ends_with("pub(super)");
        expand(rest[at + 4..end].trim_end_matches(';'), &mut vec![], public, &mut uses);
        other.push_str(&rest[..at]);
        rest = &rest[end..];
    }
    other.push_str(rest);
    (uses, other)
}

/// Where the next `use` declaration starts.
fn next_use(code: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = code[from..].find("use ").map(|at| from + at) {
        let line = code[..at].rfind(['\n', ';', '}', '{']).map_or(0, |start| start + 1);
        if matches!(code[line..at].trim(), "" | "pub" | "pub(crate)" | "pub(super)") {
            return Some(at);
        }
        from = at + 4;
    }
    None
}

/// Expands the groups of one declaration.
fn expand(tree: &str, prefix: &mut Vec<String>, public: bool, uses: &mut Vec<Use>) {
    let depth = prefix.len();
    let mut rest = tree.trim();
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let inner = &group[..block(rest).saturating_sub(2)];
            for part in top_level(inner) {
                expand(part, prefix, public, uses);
            }
            break;
        }
        let Some((segment, tail)) = rest.split_once("::") else {
            let (last, alias) = rest.split_once(" as ").unwrap_or((rest, rest));
            let (last, alias) = (last.trim(), alias.trim());
            if !last.is_empty() {
                let mut path = prefix.clone();
                let name = if last == "self" { path.last().cloned().unwrap_or_default() } else { alias.to_owned() };
                if last != "self" {
                    path.push(last.to_owned());
                }
                uses.push(Use { path, name, public });
            }
            break;
        };
        prefix.push(segment.trim().to_owned());
        rest = tail.trim();
    }
    prefix.truncate(depth);
}

/// The parts of a group, divided by commas outside of inner groups.
fn top_level(group: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (vec![], 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    parts
}

/// Paths in code such as `super::name` or `child::name`, from the first segment on.
fn paths(code: &str) -> Vec<Vec<String>> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = vec![];
    let mut rest = code;
    while let Some(at) = rest.find("::") {
        let start = rest[..at].rfind(|c| !word(c)).map_or(0, |before| before + 1);
        let mut path = vec![rest[start..at].to_owned()];
        let mut tail = &rest[at..];
        while let Some(next) = tail.strip_prefix("::") {
            let end = next.find(|c| !word(c)).unwrap_or(next.len());
            if end == 0 {
                tail = next;
                break;
            }
            path.push(next[..end].to_owned());
            tail = &next[end..];
        }
        // Not a visibility such as `pub(in super::super)`.
        if !rest[..start].ends_with("(in ") {
            found.push(path);
        }
        rest = if tail.len() < rest[at..].len() { tail } else { &rest[at + 2..] };
    }
    found
}

/// The module that a file is: `["plan", "decide"]` of `plan/decide.rs`.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
}

/// The files of one package, read.
struct Package {
    files: BTreeMap<Vec<String>, Source>,
}

struct Source {
    file: String,
    uses: Vec<Use>,
    paths: Vec<Vec<String>>,
}

impl Package {
    /// `files`: names relative to the folder of the package's sources, and their text.
    fn new(files: &[(String, String)]) -> Self {
        let mut sources = BTreeMap::new();
        let mut tests: Vec<Vec<String>> = vec![];
        for (file, text) in files {
            let (code, of_tests) = without_tests(&code(text));
            let module = module(file);
            tests.extend(of_tests.into_iter().map(|name| module.iter().cloned().chain([name]).collect()));
            let (uses, code) = uses(&code);
            sources.insert(module, Source { file: file.clone(), uses, paths: paths(&code) });
        }
        sources.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
        Self { files: sources }
    }

    /// The module from which a path starts when it is written in `module`, and what follows; `None` of other packages.
    fn start<'a>(&self, module: &[String], path: &'a [String]) -> Option<(Vec<String>, &'a [String])> {
        let mut at = module.to_vec();
        match path.first()?.as_str() {
            "crate" => Some((vec![], &path[1..])),
            "self" => Some((at, &path[1..])),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                at.truncate(at.len().checked_sub(up)?);
                Some((at, &path[up..]))
            }
            child => {
                let is_child = self.files.contains_key(&[module, &[child.to_owned()]].concat());
                is_child.then_some((at, path))
            }
        }
    }

    /// The module whose file defines what `path` names, seen from `module`.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Vec<String>> {
        let (mut at, mut rest) = self.start(module, path)?;
        while let Some(name) = rest.first() {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            if self.files.contains_key(&child) {
                (at, rest) = (child, &rest[1..]);
                continue;
            }
            let source = self.files.get(&at)?;
            // Descendants see the private imports of a module, too.
            let exported = source.uses.iter().filter(|one| one.name == *name || (one.public && one.name == "*"));
            for one in exported.filter(|_| depth < 8) {
                let path = if one.name == "*" {
                    [&one.path[..one.path.len() - 1], rest].concat()
                } else {
                    [&one.path[..], &rest[1..]].concat()
                };
                if let Some(found) = self.resolve(&at, &path, depth + 1).filter(|found| one.name != "*" || *found != at)
                {
                    return Some(found);
                }
            }
            break;
        }
        self.files.contains_key(&at).then_some(at)
    }

    /// Pairs of an importing and an imported file.
    fn imports(&self) -> BTreeSet<(&str, &str)> {
        let mut imports = BTreeSet::new();
        for (module, source) in &self.files {
            let used = source.uses.iter().filter(|one| !one.public).map(|one| &one.path);
            for path in used.chain(&source.paths) {
                if let Some(found) = self.resolve(module, path, 0).filter(|found| found != module) {
                    imports.insert((source.file.as_str(), self.files[&found].file.as_str()));
                }
            }
        }
        imports
    }
}

/// Every path in a file, tests included: of `use` declarations, and in the code.
pub(super) fn all_paths(text: &str) -> Vec<Vec<String>> {
    let (uses, code) = uses(&code(text));
    uses.into_iter().map(|one| one.path).chain(paths(&code)).filter(|path| !path.is_empty()).collect()
}

/// Groups of files that import one another, directly or through others.
pub(super) fn circles(files: &[(String, String)]) -> Vec<Vec<String>> {
    let package = Package::new(files);
    let graph: DiGraphMap<&str, ()> = package.imports().into_iter().map(|(from, to)| (from, to, ())).collect();
    let circles = tarjan_scc(&graph).into_iter().filter(|group| group.len() > 1);
    let mut circles: Vec<Vec<String>> = circles
        .map(|group| {
            let mut names: Vec<String> = group.into_iter().map(str::to_owned).collect();
            names.sort();
            names
        })
        .collect();
    circles.sort();
    circles
}
