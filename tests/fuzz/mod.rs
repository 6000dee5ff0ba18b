//! Mutated specs, data, model and evaluation files are read or refused: no panic, no hang, little memory, and no message
//! that floods or controls a terminal.
//!
//! `GRID_FUZZ_CASES` is the number of cases, `GRID_FUZZ_SEED` their seed. A case is repeated with
//! `GRID_FUZZ_SHARE=17..18 cargo test --test integration fuzz::one_share -- --ignored --nocapture`.

mod mutate;
mod project;

use std::fs;
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use grid::session::Failure;

use crate::common::{Env, texts};
use mutate::{Chance, mutated};
use project::{Subject, lay_out, read_all, subjects};

/// Writes a line to standard output, which [`run_share`] reads.
macro_rules! say {
    ($($text:tt)*) => { writeln!(std::io::stdout(), $($text)*).expect("stdout is open") };
}

/// The longest that a case may take.
const LONGEST: Duration = Duration::from_secs(10);

/// The most memory of a process that reads the files of all cases, in kB.
const MOST_MEMORY: u64 = 1 << 20;

/// The longest line of a message, in characters.
const LONGEST_LINE: usize = 2_000;

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// Which subject a case changes, and the changed file.
fn case(number: u64, seed: u64, all: &[Subject]) -> (&Subject, Vec<u8>) {
    let mut chance = Chance::new(seed ^ (number << 20));
    let subject = &all[(number % all.len() as u64) as usize];
    (subject, mutated(&subject.file, &subject.bytes, &mut chance))
}

/// Writes the files of a case into a folder that is laid out; returns what it replaced.
fn set_up(folder: &Path, subject: &Subject, bytes: &[u8]) -> Option<Vec<u8>> {
    let path = folder.join(&subject.file);
    let before = fs::read(&path).ok();
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
    fs::write(folder.join("spec.yaml"), &subject.spec).expect("a file");
    fs::write(path, bytes).expect("a file");
    before
}

fn clean_up(folder: &Path, subject: &Subject, before: Option<Vec<u8>>) {
    let path = folder.join(&subject.file);
    match before {
        Some(bytes) => fs::write(path, bytes).expect("a file"),
        None => fs::remove_file(path).expect("a file"),
    }
}

/// What is wrong with a message: a line that floods the terminal, or characters that control it.
fn fault_of(message: &str) -> Option<String> {
    let start = |line: &str| line.chars().take(300).collect::<String>().escape_debug().to_string();
    let long = message.lines().find(|line| line.chars().count() > LONGEST_LINE);
    let control = message.lines().find(|line| line.contains(|c: char| c.is_control() && c != '\t'));
    long.map(|line| format!("a line of {} characters: {}", line.chars().count(), start(line)))
        .or_else(|| control.map(|line| format!("a control character: {}", start(line))))
}

/// The peak of the memory of a process, in kB; 0 where the system does not say.
fn peak_memory(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// The time that this process has computed, which other programs on the machine do not prolong; `None` where the system
/// does not say.
fn cpu_time() -> Option<Duration> {
    let status = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may have spaces. The times are in hundredths of a second.
    let fields: Vec<&str> = status.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some(Duration::from_millis(10 * (ticks(11)? + ticks(12)?)))
}

/// The cases of one process, which [`mutated_files_are_read_or_refused`] starts; each fault is a line of the log.
#[test]
#[ignore = "the fuzzer starts it in processes of its own"]
fn one_share() {
    let share = std::env::var("GRID_FUZZ_SHARE").expect("GRID_FUZZ_SHARE=17..18");
    let (from, to) = share.split_once("..").expect("a range");
    let range: Range<u64> = from.parse().expect("a number")..to.parse().expect("a number");
    let log = std::env::var_os("GRID_FUZZ_LOG");
    let folder = tempfile::tempdir().expect("a temp folder");
    lay_out(folder.path());
    let all = subjects(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let seed = self::number("GRID_FUZZ_SEED", 1);
    let mut faults = 0;
    for number in range {
        let (subject, bytes) = case(number, seed, &all);
        if let Some(log) = &log {
            fs::write(log, format!("{number} {}", subject.file)).expect("a file");
        } else {
            say!("case {number}: {} ({} bytes)", subject.file, bytes.len());
            let kept = std::env::temp_dir().join(format!("fuzz-{number}"));
            fs::write(&kept, &bytes).expect("a file");
            say!("{}", kept.display());
        }
        let before = set_up(folder.path(), subject, &bytes);
        let (start, before_case) = (Instant::now(), cpu_time());
        let read = catch_unwind(AssertUnwindSafe(|| runtime.block_on(read_all(folder.path()))));
        let mut report = |fault: String| {
            faults += 1;
            say!("FAULT case {number} ({}): {fault}", subject.file);
        };
        match read {
            Err(_) => report("panic".to_owned()),
            Ok(refused) => {
                let wrong = refused.iter().find_map(|Failure { message, .. }| fault_of(message));
                wrong.into_iter().for_each(&mut report);
                if log.is_none() {
                    refused.iter().for_each(|failure| say!("{}", failure.message));
                }
            }
        }
        let taken = cpu_time().zip(before_case).map_or(start.elapsed(), |(after, before)| after.saturating_sub(before));
        if taken > LONGEST {
            report(format!("took {taken:?}"));
        }
        clean_up(folder.path(), subject, before);
        let memory = peak_memory("self");
        assert!(memory < MOST_MEMORY, "FAULT case {number} ({}): {memory} kB of memory", subject.file);
    }
    assert_eq!(faults, 0, "cases with faults");
}

/// Runs a share of the cases in processes of its own, because a case may end its process; returns the faults.
fn run_share(mut range: Range<u64>) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (log, out) = (folder.path().join("case"), folder.path().join("out"));
    let mut faults = vec![];
    while !range.is_empty() {
        let _ = fs::remove_file(&log);
        let file = fs::File::create(&out).expect("a file");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "fuzz::one_share", "--ignored", "--nocapture"])
            .env("GRID_FUZZ_SHARE", format!("{}..{}", range.start, range.end))
            .env("GRID_FUZZ_LOG", &log)
            .env("GRID_CACHE", folder.path())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("this program starts");
        let (mut current, mut since, mut killed) = (String::new(), Instant::now(), None);
        let status = loop {
            if let Some(status) = child.try_wait().expect("a child") {
                break status;
            }
            let now = fs::read_to_string(&log).unwrap_or_default();
            if now != current {
                (current, since) = (now, Instant::now());
            }
            // Shared machines stall, and laying out the project takes a while.
            if since.elapsed() > LONGEST * 6 {
                killed = Some(format!("hang of {:?}", since.elapsed()));
                child.kill().expect("a child");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let text = fs::read_to_string(&out).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let context = |place: usize| lines[place.saturating_sub(3)..=place].join("\n    ");
        let reported = lines.iter().enumerate().filter(|(_, line)| line.contains("FAULT"));
        faults.extend(reported.map(|(place, _)| context(place)));
        let finished = text.contains("test result:");
        if status.success() || finished && killed.is_none() && !text.contains("kB of memory") {
            return faults;
        }
        let how = killed.unwrap_or_else(|| format!("{status}: {}", lines.last().unwrap_or(&"")));
        faults.push(format!("case {current}: {how}"));
        let last = current.split(' ').next().and_then(|number| number.parse::<u64>().ok());
        range.start = last.expect("a case was begun") + 1;
    }
    faults
}

#[test]
fn mutated_files_are_read_or_refused() {
    let cases = number("GRID_FUZZ_CASES", 2_000);
    let shares = std::thread::available_parallelism().map_or(1, usize::from).min(8) as u64;
    let range = |share: u64| cases * share / shares..cases * (share + 1) / shares;
    let faults: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..shares).map(|share| scope.spawn(move || run_share(range(share)))).collect();
        running.into_iter().flat_map(|share| share.join().expect("the share ended")).collect()
    });
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// The same through the binary: exit codes and what is printed.
#[test]
fn the_binary_says_why_it_refuses_mutated_files() {
    let env = Env::new("");
    lay_out(env.path());
    let all = subjects(env.path());
    let seed = number("GRID_FUZZ_SEED", 1);
    for index in 0..number("GRID_FUZZ_CASES", 2_000) / 50 {
        let number = index * 53;
        let (subject, bytes) = case(number, seed, &all);
        let before = set_up(env.path(), subject, &bytes);
        for arguments in [
            &["plan", "spec.yaml"][..],
            &["data", "show", "spec.yaml", "rows"],
            &["data", "tokens", "--model", "model", "a"],
        ] {
            let output = env.output(arguments);
            let (stdout, stderr) = texts(&output);
            let code = output.status.code();
            assert!(code.is_some_and(|code| code < 10), "case {number} ({}): {code:?}\n{stderr}", subject.file);
            assert!(code == Some(0) || !stderr.trim().is_empty(), "case {number}: no message");
            let fault = fault_of(&stderr).or_else(|| fault_of(&stdout));
            assert_eq!(fault, None, "case {number} ({}): grid {arguments:?}", subject.file);
        }
        clean_up(env.path(), subject, before);
    }
}
