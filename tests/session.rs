//! What users read, as sessions at the terminal.

use crate::common::{Env, TINY, texts};

/// Runs the commands one after the other and returns what a terminal would show, standard error below standard output.
fn session(env: &Env, commands: &[&str]) -> String {
    let mut shown = String::new();
    for command in commands {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = env.output(&arguments);
        let (stdout, stderr) = texts(&output);
        let code = output.status.code().expect("an exit code");
        let code = if code == 0 { String::new() } else { format!("[exit code {code}]\n") };
        shown += &format!("$ grid {command}\n{stdout}{stderr}{code}");
    }
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    lines.join("\n").replace(env.path().to_str().expect("UTF-8"), "/work")
}

/// Asserts an inline snapshot of a session without what differs between machines and runs.
macro_rules! assert_session {
    ($env:expr, $commands:expr, @$expected:literal) => {
        insta::with_settings!({filters => vec![
            (r"[0-9a-f]{10,64}", "[id]"),
            (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "[time]"),
            (r"\d+(\.\d+)? (ms|s|min|h)\b", "[duration]"),
            (r"\d+(\.\d+)? [kMG]?i?B\b", "[size]"),
            (r"\d+\.\d+", "#.#"),
        ]}, {
            insta::assert_snapshot!(session(&$env, $commands), @$expected);
        });
    };
}

#[test]
fn a_grid_is_planned_run_and_reported() {
    let env = Env::new(TINY);
    assert_session!(env, &["plan spec.yaml"], @"");
    assert_session!(env, &["run spec.yaml"], @"");
    assert_session!(env, &["run spec.yaml", "status tiny", "report tiny"], @"");
}

#[test]
fn mistakes_are_reported_with_a_remedy() {
    let env = Env::new(&TINY.replace("hidden", "hiden").replace("seed: [1, 2]", "seed: [1, x]"));
    assert_session!(env, &["plan spec.yaml", "plan nothing.yaml", "report tiny", "resume", "frobnicate"], @"");
}
