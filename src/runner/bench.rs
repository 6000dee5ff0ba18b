//! A benchmark of one worker, round by round.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

use serde::de::DeserializeOwned;

use super::error::RunError;
use super::worker::WorkerProgram;
use crate::domain::{BenchResult, BenchRound, Workload};

/// The length of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchmarkRounds {
    /// Number of measured rounds.
    pub count: u32,
    /// Optimizer steps of each round.
    pub steps: u32,
}

/// Lets a worker train on this workload: two warm-up steps, the measured rounds, and one round that is profiled by
/// phase.
///
/// The worker is `grid-worker bench WORKLOAD`. It writes a line of JSON when it is ready; then it answers each line that
/// it reads, a number of steps optionally followed by `phases`, with a line of JSON.
///
/// # Errors
/// [`RunError::Worker`] if it cannot be started, [`RunError::Benchmark`] if it ends early. The worker writes the reason
/// to standard error.
pub fn measure(
    program: &WorkerProgram,
    workload: Workload,
    threads: u32,
    rounds: BenchmarkRounds,
) -> Result<BenchResult, RunError> {
    let failed = |source| RunError::Worker { program: program.path().to_owned(), source };
    let request = serde_json::to_string(&workload).map_err(|error| failed(error.into()))?;
    let mut child = program
        .command(&[], &workload.device, threads)
        .args(["bench", &request])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(io::Error::other("the process has no pipes")));
    };
    let measured = converse(input, BufReader::new(output).lines(), workload, rounds);
    let exit = child.wait().map_err(failed)?; // it ends because its standard input is closed now
    measured.map_err(|error| RunError::Benchmark(format!("{error} ({exit})")))
}

fn converse(
    mut input: ChildStdin,
    mut answers: Answers,
    workload: Workload,
    rounds: BenchmarkRounds,
) -> io::Result<BenchResult> {
    let ready = answer(&mut answers)?;
    let mut ask = |question: String| -> io::Result<BenchRound> {
        writeln!(input, "{question}")?;
        answer(&mut answers)
    };
    ask("2".to_owned())?;
    let measured = (0..rounds.count).map(|_| ask(rounds.steps.to_string())).collect::<io::Result<_>>()?;
    let profiled = ask(format!("{} phases", rounds.steps))?;
    Ok(BenchResult { workload, ready, rounds: measured, profiled })
}

type Answers = Lines<BufReader<ChildStdout>>;

fn answer<T: DeserializeOwned>(answers: &mut Answers) -> io::Result<T> {
    let line = answers.next().ok_or_else(|| io::Error::other("the worker ended before it answered"))??;
    Ok(serde_json::from_str(&line)?)
}
