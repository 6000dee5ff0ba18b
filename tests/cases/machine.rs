//! Folders, full disks and terminals.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

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

/// A small experiment of a few seconds.
const SMALL: [&str; 4] =
    ["-S", "axes={curriculum: [pretrained]}", "-S", "evaluate={data: world, items: 5, suites: [blimp]}"];

/// A pipe that takes no more bytes, with its end for reading.
fn full_pipe() -> (std::io::PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    use rustix::fs::{OFlags, fcntl_setfl};
    fcntl_setfl(&writer, OFlags::NONBLOCK).expect("a pipe");
    while writer.write(&[b'x'; 512]).is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).expect("a pipe");
    (reader, writer.into())
}

/// Waits until a process ends; kills it and panics after two minutes.
fn wait(mut child: Child) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(120) {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("a child");
    panic!("it still runs after two minutes");
}

#[test]
fn a_run_does_not_wait_for_a_reader_of_its_messages() {
    let env = Env::new(TINY);
    let (_reader, stderr) = full_pipe();
    let arguments = [&["run", "spec.yaml", "-vv"][..], &SMALL].concat();
    let child = env.command(&arguments).stdout(Stdio::null()).stderr(stderr).spawn().expect("the binary starts");
    assert_eq!(wait(child), Some(0));
    assert_eq!(env.query("select count(*) from v_scores where subtask is null"), ["1"]);
}

#[test]
fn a_stop_does_not_wait_for_a_reader_of_its_message() {
    let env = Env::new(&TINY.replace("steps: 60", "steps: 100000"));
    let (_reader, stderr) = full_pipe();
    let arguments = [&["run", "spec.yaml"][..], &SMALL].concat();
    let child = env.command(&arguments).stdout(Stdio::null()).stderr(stderr).spawn().expect("the binary starts");
    env.wait_until("the training", Duration::from_secs(60), || env.is_training());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert_eq!(wait(child), Some(3));
}

#[test]
fn output_that_nobody_takes_is_reported_once() {
    let env = Env::new(TINY);
    for arguments in [&["plan", "spec.yaml"][..], &["schema"], &["help", "environment"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = env.command(arguments).stdout(writer).output().expect("the binary starts");
        let message = "grid: failed to write to standard output: Broken pipe (os error 32)\n";
        assert_eq!((output.status.code(), texts(&output).1.as_str()), (Some(6), message), "{arguments:?}");
    }
    // A closed standard error.
    let closed =
        [&["-c", "exec \"$@\" 2>&-", "sh", env!("CARGO_BIN_EXE_grid"), "run", "spec.yaml"][..], &SMALL].concat();
    let mut shell = std::process::Command::new("sh");
    shell.args(closed).current_dir(env.path()).env("GRID_CACHE", env.path().join("cache"));
    assert_eq!(shell.stdout(Stdio::null()).status().expect("a shell").code(), Some(0));
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
