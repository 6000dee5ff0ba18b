//! Folders, full disks and terminals.

use std::fs::{self, File};
use std::process::Stdio;

use super::{with_files, write};
use crate::common::{Env, TINY, texts};

#[test]
fn folders_that_cannot_hold_results_are_named() {
    let env = Env::new(TINY);
    std::os::unix::fs::symlink("nowhere", env.path().join("dangling")).expect("a link");
    write(&env, "file", b"");
    let long = vec!["x".repeat(160); 3].join("/");
    let refused =
        ["dangling", "dangling/runs", "file", "file/runs", "line\nbreak", &long, &"x".repeat(300)].map(|runs| {
            let text = env.stderr(6, &["run", "spec.yaml", "--runs-dir", runs]);
            let text = text.replace(&format!("{}/", env.path().display()), "").replace(&"x".repeat(160), "xxx");
            let length =
                text.find("has ").and_then(|at| text[at + 4..].split(' ').next()).unwrap_or_default().to_owned();
            let text = if length.is_empty() { text } else { text.replace(&length, "N") };
            text.replace(&"x".repeat(140), "xx")
        });
    insta::assert_snapshot!(refused.concat(), @r"
    grid: cannot use the folder dangling: dangling is a link to nowhere, which does not exist
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    grid: cannot use the folder dangling/runs: dangling is a link to nowhere, which does not exist
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    grid: cannot use the folder file: file is a file and not a folder
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    grid: cannot use the folder file/runs: file is a file and not a folder
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    grid: cannot use the folder line\nbreak: its path contains a line break
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    grid: cannot use the folder xxx/xxx/xxx: the path of its runs.db has N bytes, and SQLite opens at most 504
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    grid: cannot use the folder xxxxx: File name too long (os error 36)
      help: name another folder with `--runs-dir DIR`, or for runs.db alone with `--database-dir DIR`
    ");
    for runs in ["a b'c\"d", "ü%#[1]", "link"] {
        if runs == "link" {
            fs::create_dir(env.path().join("target")).expect("a folder");
            std::os::unix::fs::symlink("target", env.path().join("link")).expect("a link");
        }
        env.run(0, &["plan", "spec.yaml", "--runs-dir", runs]);
    }
}

#[test]
fn a_plan_needs_no_writing() {
    let env = with_files();
    // A folder in place of the cache cannot be replaced by a file.
    fs::create_dir_all(env.path().join("runs/survey.json")).expect("a folder");
    env.run(0, &["plan", "spec.yaml"]);
}

#[test]
fn output_that_cannot_be_written_ends_nothing() {
    let env = Env::new(TINY);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a full device"));
    let run = |arguments: &[&str], out: Stdio, err: Stdio| {
        let output = env.command(arguments).stdout(out).stderr(err).output().expect("the binary starts");
        (output.status.code(), texts(&output).1)
    };
    let failed = "grid: failed to write to standard output: No space left on device (os error 28)\n".to_owned();
    for arguments in [&["plan", "spec.yaml"][..], &["schema"], &["completions", "bash"], &["help", "environment"]] {
        assert_eq!(run(arguments, full(), Stdio::piped()), (Some(6), failed.clone()), "{arguments:?}");
        assert_eq!(run(arguments, Stdio::piped(), full()).0, Some(0), "{arguments:?}");
        assert_eq!(run(arguments, full(), full()).0, Some(6), "{arguments:?}");
    }
    // Errors keep their codes.
    assert_eq!(run(&["plan", "none.yaml"], full(), full()).0, Some(1));
    let experiment = [
        "run",
        "spec.yaml",
        "-S",
        "axes={curriculum: [pretrained]}",
        "-S",
        "evaluate={data: world, items: 5, suites: [blimp]}",
    ];
    assert_eq!(run(&experiment, full(), full()).0, Some(0));
    assert_eq!(env.query("select count(*) from v_scores where subtask is null"), ["1"]);
    assert_eq!(run(&["report"], full(), Stdio::piped()), (Some(6), failed.clone()));
    assert_eq!(run(&["status"], full(), Stdio::piped()), (Some(6), failed));
}

#[test]
fn standard_error_has_no_colours_unless_it_is_a_terminal() {
    let env = Env::new(TINY);
    for variables in [&[][..], &[("NO_COLOR", "1")], &[("TERM", "dumb")], &[("TERM", "xterm-256color")]] {
        for arguments in [&["plan", "spec.yaml", "-vv"][..], &["plan", "none.yaml"], &["plna"], &["help", "plan"]] {
            let mut command = env.command(arguments);
            command.env_remove("NO_COLOR").env("GRID_LOG", "trace").envs(variables.iter().copied());
            let (stdout, stderr) = texts(&command.output().expect("the binary starts"));
            assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "{arguments:?} {variables:?}\n{stderr}");
        }
    }
}
