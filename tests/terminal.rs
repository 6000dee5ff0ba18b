//! What users see on a terminal, with the binary under a pseudo-terminal.

use std::process::{Command, Stdio};

use crate::common::recordings::skip;
use crate::common::{Env, TINY};

/// The output of `grid` with these arguments on a terminal; `None` where `script` of util-linux is missing.
fn on_terminal(env: &Env, arguments: &str, colours: bool) -> Option<String> {
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("{} {arguments}", env!("CARGO_BIN_EXE_grid"))]);
    script.arg("/dev/null").current_dir(env.path()).stdin(Stdio::null()).env_remove("NO_COLOR");
    if !colours {
        script.env("NO_COLOR", "1");
    }
    match script.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")),
        Err(error) => {
            skip(&format!("no pseudo-terminal: script: {error}"));
            None
        }
    }
}

#[test]
fn problems_of_a_spec_are_shown_with_an_excerpt_on_a_terminal() {
    let env = Env::new(&TINY.replace("layers: 2", "lyers: 2"));
    let Some(text) = on_terminal(&env, "plan spec.yaml", false) else { return };
    insta::assert_snapshot!(text, @r"
     × unknown key 'lyers'
       ╭─[spec.yaml:9:22]
     8 │ models:
     9 │   nano: {hidden: 32, lyers: 2, heads: 2}
       ·                      ─────
    10 │ pretrain: {sequence_length: 32, steps: 60, batch_size: 8, learning_rate: 3e-3, schedule: linear, warmup: 0.1}
       ╰────
     help: did you mean 'layers'?
    ");
    let coloured = on_terminal(&env, "plan spec.yaml", true).expect("it ran before");
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    insta::assert_snapshot!(env.stderr(1, &["plan", "spec.yaml"]), @r"
    spec.yaml:9:22: unknown key 'lyers'
      help: did you mean 'layers'?
    ");
}
