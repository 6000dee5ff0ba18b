//! docs/cli.md is the help of the binary, verb by verb.

use std::fmt::Write;
use std::path::Path;

use crate::common::Env;

/// The verbs that a help page lists under "Commands:".
fn verbs(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names = list.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn add(env: &Env, verb: &[&str], page: &mut String) {
    let help = env.run(0, &[&["help"], verb].concat());
    let (level, title) = ("#".repeat(verb.len() + 1), [&["grid"], verb].concat().join(" "));
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    write!(page, "\n{level} {title}\n\n```text\n{}\n```\n", lines.join("\n")).expect("a string");
    for name in verbs(&help) {
        add(env, &[verb, &[name.as_str()]].concat(), page);
    }
}

#[test]
fn the_page_of_commands_is_the_help_of_the_binary() {
    let env = Env::new("");
    let mut page = "<!-- Generated: GRID_UPDATE_DOCS=1 cargo test --test integration help:: -->\n".to_owned();
    add(&env, &[], &mut page);
    assert!(page.matches("\n## ").count() > 15, "{page}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("GRID_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == written, "docs/cli.md is out of date: GRID_UPDATE_DOCS=1 cargo test --test integration help::");
}
