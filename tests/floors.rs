//! Imports between packages and files: they go down only, without circles, and each outside library has one home.

mod imports;

use std::fs;
use std::path::{Path, PathBuf};

/// What a package may import from its own crate.
const PACKAGES: &[(&str, &[&str])] = &[
    ("src/domain", &[]),
    ("src/spec", &["domain"]),
    ("src/plan", &["domain"]),
    ("src/store", &["domain"]),
    ("src/data", &["domain"]),
    ("src/suites", &["domain"]),
    ("src/report", &["domain"]),
    ("src/runner", &["domain"]),
    ("src/scoring", &["domain", "data", "suites"]),
    ("src/session", &["domain", "spec", "plan", "store", "data", "suites", "runner", "scoring"]),
    ("src/cli", &["domain", "spec", "plan", "store", "data", "suites", "report", "runner", "session"]),
    ("worker/src/ml", &[]),
    ("worker/src/jobs", &["ml", "attempt"]),
];

/// What the worker may import from `grid`. The first entry that contains a file counts.
const GRID_FOR_WORKER: &[(&str, &[&str])] =
    &[("worker/src/ml", &["domain"]), ("worker/src", &["domain", "data", "suites", "scoring"])];

/// Modules of a crate root that only tests use.
const TEST_SUPPORT: &[&str] = &["recordings"];

/// Where an outside library may be named.
const HOMES: &[(&str, &[&str])] = &[
    ("tch", &["worker/src/ml"]),
    ("torch_sys", &["worker/src/ml"]),
    ("tokenizers", &["src/data"]),
    ("zip", &["src/data", "src/suites/golden"]), // recordings of the official pipeline are zipped; tests only
    ("parquet", &["src/data"]),
    ("flate2", &["src/data", "src/suites/golden", "src/suites/official/tests.rs"]), // elsewhere in tests only
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
    ("miette", &["src/spec"]),
    ("tokio", &["src/runner", "src/session", "src/store", "src/cli"]),
];

/// Forbidden imports of one file. `file` is relative to the root of the workspace.
fn violations(file: &str, text: &str) -> Vec<String> {
    let mut found = vec![];
    let mut report = |what: String| found.push(format!("{file}: {what}"));
    for path in imports::all_paths(text) {
        let (root, name) = (path[0].as_str(), path.get(1).map_or("", String::as_str));
        if root == "crate"
            && let Some((package, allowed)) = PACKAGES.iter().find(|(package, _)| file.starts_with(package))
        {
            let own = Path::new(package).file_name().and_then(|name| name.to_str()).expect("packages have names");
            if name != own && !allowed.contains(&name) && !TEST_SUPPORT.contains(&name) {
                report(format!("{own} must not use crate::{name}"));
            }
        }
        if root == "grid"
            && let Some((package, allowed)) = GRID_FOR_WORKER.iter().find(|(package, _)| file.starts_with(package))
            && !allowed.contains(&name)
        {
            report(format!("{package} must not use grid::{name}"));
        }
        if let Some((library, homes)) = HOMES.iter().find(|(library, _)| *library == root)
            && !homes.iter().any(|home| file.starts_with(home))
        {
            report(format!("{library} belongs to {}", homes.join(", ")));
        }
    }
    found
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder of a package") {
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
fn every_package_documents_purpose_invariant_and_rejected_alternative() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (package, _) in PACKAGES {
        let text = fs::read_to_string(root.join(package).join("mod.rs")).expect("a package has a mod.rs");
        for word in ["Purpose:", "Invariant:", "Rejected:"] {
            assert!(text.contains(&format!("//! {word}")), "{package}/mod.rs has no '{word}' paragraph");
        }
    }
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("src/plan/x.rs", "use crate::store::Store;", "plan must not use crate::store"),
        ("src/plan/x.rs", "use crate::{domain, report};", "plan must not use crate::report"),
        ("src/domain/x.rs", "fn f() { crate::spec::load() }", "domain must not use crate::spec"),
        ("src/session/x.rs", "use crate::report::Table;", "session must not use crate::report"),
        ("src/runner/x.rs", "use crate::session::Session;", "runner must not use crate::session"),
        ("src/plan/x.rs", "use crate::{\n    domain,\n    report,\n};", "plan must not use crate::report"),
        ("src/runner/x.rs", "use crate::session::Session;", "runner must not use crate::session"),
        ("src/session/x.rs", "use crate::report::Table;", "session must not use crate::report"),
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

/// The text of each file of a package under `folder`, by its name in there.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = vec![];
    rust_files(&root, &mut files);
    let name =
        |path: &Path| path.strip_prefix(&root).expect("under the root").to_str().expect("UTF-8 names").to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).expect("readable source"))).collect()
}

#[test]
fn no_files_import_each_other() {
    for folder in ["src", "worker/src"] {
        let circles = imports::circles(&sources(folder));
        assert!(circles.is_empty(), "files of {folder} import each other:\n{circles:#?}");
    }
}

#[test]
fn planted_circles_are_found() {
    let circles = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> = files.iter().map(|(file, text)| ((*file).into(), (*text).into())).collect();
        imports::circles(&files).into_iter().map(|circle| circle.join(" ")).collect::<Vec<_>>()
    };
    let lib = ("lib.rs", "pub mod a;\npub mod b;");
    // A declaration over several lines, and a path in the code.
    let a = ("a.rs", "use crate::{\n    b::{\n        self,\n        Deep,\n    },\n};");
    let b = ("b.rs", "fn f() -> u8 { crate::a::g() }");
    assert_eq!(circles(&[lib, a, b]), ["a.rs b.rs"]);
    // A child that uses what its parent defines.
    let parent = ("a/mod.rs", "mod child;\npub struct Shared;\nfn f() { child::g() }");
    assert_eq!(circles(&[lib, parent, ("a/child.rs", "use super::Shared;")]), ["a/child.rs a/mod.rs"]);
    // Through a re-export, and through a third file.
    let hub = ("a/mod.rs", "mod one;\nmod two;\nmod three;\npub use one::One;\npub use three::*;");
    let one = ("a/one.rs", "use super::two::Two;\npub struct One;");
    let two = ("a/two.rs", "use crate::a::three::Three;\npub struct Two;");
    let three = ("a/three.rs", "use crate::a::One;\npub struct Three;");
    assert_eq!(circles(&[lib, hub, one, two, three]), ["a/one.rs a/three.rs a/two.rs"]);

    // Re-exports alone, tests, comments and strings make no circle.
    let hub = ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::Two;");
    let one = ("a/one.rs", "pub struct One;\n#[cfg(test)]\nmod tests {\n    use super::super::two::Two;\n}");
    let two = ("a/two.rs", "// crate::a::one\nuse crate::a::One;\npub struct Two;\nconst X: &str = \"self::x\";");
    let b = ("b.rs", "use crate::a::Two;\n#[cfg(test)]\nmod golden;");
    let golden = ("b/golden.rs", "use super::*;");
    assert_eq!(circles(&[lib, hub, one, two, b, golden]), Vec::<String>::new());
}
