//! The house: imports go down only, and each outside library has one home.

use std::fs;
use std::path::{Path, PathBuf};

/// What a room may import of its own building.
const ROOMS: &[(&str, &[&str])] = &[
    ("src/domain", &[]),
    ("src/spec", &["domain"]),
    ("src/plan", &["domain"]),
    ("src/store", &["domain"]),
    ("src/data", &["domain"]),
    ("src/suites", &["domain"]),
    ("src/report", &["domain"]),
    ("src/runner", &["domain"]),
    ("src/cli", &["domain", "spec", "plan", "store", "data", "suites", "report", "runner"]),
    ("worker/src/ml", &[]),
    ("worker/src/jobs", &["ml", "attempt"]),
];

/// What the workshop may use of the office (`grid::...`).
const OFFICE_FOR_WORKSHOP: &[(&str, &[&str])] =
    &[("worker/src/ml", &["domain"]), ("worker/src", &["domain", "data", "suites"])];

/// The rooms where an outside library may be named.
const HOMES: &[(&str, &[&str])] = &[
    ("tch", &["worker/src/ml"]),
    ("torch_sys", &["worker/src/ml"]),
    ("tokenizers", &["src/data"]),
    ("zip", &["src/data", "src/suites/golden"]), // recordings of the official pipeline are zipped; tests only
    ("parquet", &["src/data"]),
    ("ureq", &["src/data"]),
    ("sha2", &["src/data"]),
    ("md5", &["src/data"]),
    ("percent_encoding", &["src/data"]),
    ("strsim", &["src/domain"]),
    ("sqlx", &["src/store"]),
    ("petgraph", &["src/plan"]),
    ("serde_yaml", &["src/spec"]),
    ("comfy_table", &["src/report"]),
    ("indicatif", &["src/report"]),
    ("clap", &["src/cli", "worker/src/main.rs"]),
    ("clap_complete", &["src/cli"]),
    ("miette", &["src/spec", "src/cli"]),
    ("tokio", &["src/runner", "src/store", "src/cli"]),
];

/// Names after `prefix::` in a line of code.
fn paths<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut found = vec![];
    let needle = format!("{prefix}::");
    let mut rest = line;
    while let Some(at) = rest.find(&needle) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + needle.len()..];
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let group = rest.strip_prefix('{').map_or(rest, |group| group.split('}').next().unwrap_or(group));
        let whole_group = rest.starts_with('{');
        for name in group.split(',') {
            let name = name.trim();
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
            found.push(&name[..end]);
            if !whole_group {
                break;
            }
        }
    }
    found
}

/// Violations in one file. `file` is relative to the root of the workspace.
fn violations(file: &str, text: &str) -> Vec<String> {
    let mut found = vec![];
    let home_of = |list: &[&str]| list.iter().any(|home| file.starts_with(home));
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let mut report = |what: String| found.push(format!("{file}:{}: {what}", number + 1));
        if let Some((room, allowed)) = ROOMS.iter().find(|(room, _)| file.starts_with(room)) {
            let own = Path::new(room).file_name().and_then(|name| name.to_str()).expect("rooms have names");
            for name in paths(code, "crate") {
                if name != own && !allowed.contains(&name) {
                    report(format!("{own} must not use crate::{name}"));
                }
            }
        }
        if let Some((room, allowed)) = OFFICE_FOR_WORKSHOP.iter().find(|(room, _)| file.starts_with(room)) {
            for name in paths(code, "grid") {
                if !allowed.contains(&name) {
                    report(format!("{room} must not use grid::{name}"));
                }
            }
        }
        for (library, homes) in HOMES {
            let named = !paths(code, library).is_empty() || code == format!("use {library};");
            if named && !home_of(homes) {
                report(format!("{library} belongs to {}", homes.join(", ")));
            }
        }
    }
    found
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of a room") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn imports_go_down_only_and_libraries_stay_at_home() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    rust_files(&root.join("src"), &mut files);
    rust_files(&root.join("worker/src"), &mut files);
    assert!(files.len() > 30, "the scan found only {} files", files.len());
    let mut found = vec![];
    for path in files {
        let file = path.strip_prefix(root).expect("under the root").to_str().expect("UTF-8 names").to_owned();
        found.extend(violations(&file, &fs::read_to_string(&path).expect("readable source")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_room_documents_purpose_invariant_and_rejected_alternative() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (room, _) in ROOMS {
        let text = fs::read_to_string(root.join(room).join("mod.rs")).expect("a room has a mod.rs");
        for word in ["Purpose:", "Invariant:", "Rejected:"] {
            assert!(text.contains(&format!("//! {word}")), "{room}/mod.rs has no '{word}' paragraph");
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("src/plan/x.rs", "use crate::store::Store;", "plan must not use crate::store"),
        ("src/plan/x.rs", "use crate::{domain, report};", "plan must not use crate::report"),
        ("src/domain/x.rs", "fn f() { crate::spec::load() }", "domain must not use crate::spec"),
        ("src/report/x.rs", "use sqlx::Row;", "sqlx belongs to src/store"),
        ("src/runner/x.rs", "let t = tch::Tensor::new();", "tch belongs to worker/src/ml"),
        ("worker/src/jobs/x.rs", "use grid::store::Store;", "worker/src must not use grid::store"),
        ("worker/src/ml/x.rs", "use grid::suites::Item;", "worker/src/ml must not use grid::suites"),
        ("worker/src/ml/x.rs", "use crate::jobs::run;", "ml must not use crate::jobs"),
    ];
    for (file, line, message) in planted {
        let found = violations(file, line);
        assert!(found.len() == 1 && found[0].ends_with(message), "{file}: {line}\n{found:?}");
    }
    let innocent = [
        ("src/plan/x.rs", "use crate::domain::Job;"),
        ("src/store/x.rs", "use sqlx::Row;"),
        ("worker/src/jobs/x.rs", "use grid::data::Tokenizer;"),
        ("src/report/x.rs", "/// like sqlx::Row"),
    ];
    for (file, line) in innocent {
        assert_eq!(violations(file, line), Vec::<String>::new());
    }
}
