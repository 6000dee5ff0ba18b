//! A measurement by one worker, round by round.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

use super::RunError;
use crate::domain::{BenchResult, BenchRound, Workload};

/// How often and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Rounds that count.
    pub count: u32,
    /// Steps of each.
    pub steps: u32,
}

/// Lets a worker train on this workload: two steps of warm-up, the rounds, and one more that is taken apart.
///
/// The worker is `grid-worker bench WORKLOAD`: it writes a line of JSON when it is ready; then each line it reads is a
/// number of steps, optionally followed by `phases`, and is answered by a line of JSON.
///
/// # Errors
/// [`RunError::Worker`] if it cannot be started, [`RunError::Measure`] if it ends early; what it says about that goes
/// to standard error.
pub fn measure(program: &Path, workload: Workload, threads: u32, rounds: Rounds) -> Result<BenchResult, RunError> {
    let failed = |source| RunError::Worker { program: program.to_owned(), source };
    let request = serde_json::to_string(&workload).map_err(|error| failed(error.into()))?;
    let mut child = Command::new(program)
        .args(["--device", &workload.device, "--threads", &threads.to_string(), "bench", &request])
        .env("OMP_NUM_THREADS", threads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(io::Error::other("it has no pipes")));
    };
    let measured = converse(input, BufReader::new(output).lines(), workload, rounds);
    let exit = child.wait().map_err(failed)?; // its standard input is closed by now
    measured.map_err(|error| RunError::Measure(format!("{error} ({exit})")))
}

fn converse(
    mut input: ChildStdin,
    mut answers: Answers,
    workload: Workload,
    rounds: Rounds,
) -> io::Result<BenchResult> {
    let ready = answer(&mut answers)?;
    let mut ask = |question: String| -> io::Result<BenchRound> {
        writeln!(input, "{question}")?;
        answer(&mut answers)
    };
    ask("2".to_owned())?;
    let measured = (0..rounds.count).map(|_| ask(rounds.steps.to_string())).collect::<io::Result<_>>()?;
    let dissected = ask(format!("{} phases", rounds.steps))?;
    Ok(BenchResult { workload, ready, rounds: measured, dissected })
}

type Answers = Lines<BufReader<ChildStdout>>;

fn answer<T: DeserializeOwned>(answers: &mut Answers) -> io::Result<T> {
    let line = answers.next().ok_or_else(|| io::Error::other("the worker ended before it answered"))??;
    Ok(serde_json::from_str(&line)?)
}
