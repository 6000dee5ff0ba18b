//! A benchmark of one worker, round by round.

use std::io::{self, BufRead, BufReader, Lines, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

use serde::de::DeserializeOwned;

use super::error::RunError;
use super::worker::WorkerProgram;
use crate::domain::{BenchResult, BenchRound, GenerationResult, GenerationRound, GenerationWorkload, Workload};

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
    let request = encoded(program, serde_json::to_string(&workload))?;
    let device = workload.device.clone();
    with_worker(program, ["bench", &request], &device, threads, |conversation| {
        let ready = conversation.answer()?;
        conversation.ask::<BenchRound>("2")?;
        let steps = rounds.steps.to_string();
        let measured = (0..rounds.count).map(|_| conversation.ask(&steps)).collect::<io::Result<_>>()?;
        let profiled = conversation.ask(&format!("{steps} phases"))?;
        Ok(BenchResult { workload, ready, rounds: measured, profiled })
    })
}

/// Lets a worker continue the prompts of this workload: once to warm up, then this number of rounds.
///
/// # Errors
/// See [`measure`].
pub fn measure_generation(
    program: &WorkerProgram,
    workload: GenerationWorkload,
    threads: u32,
    rounds: u32,
) -> Result<GenerationResult, RunError> {
    let request = encoded(program, serde_json::to_string(&workload))?;
    let device = workload.device.clone();
    with_worker(program, ["bench-generation", &request], &device, threads, |conversation| {
        let ready = conversation.answer()?;
        conversation.ask::<GenerationRound>("1")?;
        let rounds = (0..rounds).map(|_| conversation.ask("1")).collect::<io::Result<_>>()?;
        Ok(GenerationResult { workload, ready, rounds })
    })
}

fn encoded(program: &WorkerProgram, request: serde_json::Result<String>) -> Result<String, RunError> {
    request.map_err(|error| RunError::Worker { program: program.path().to_owned(), source: error.into() })
}

/// Starts a worker with these arguments, and converses with it until the body returns.
fn with_worker<T>(
    program: &WorkerProgram,
    arguments: [&str; 2],
    device: &str,
    threads: u32,
    body: impl FnOnce(&mut Conversation) -> io::Result<T>,
) -> Result<T, RunError> {
    let failed = |source| RunError::Worker { program: program.path().to_owned(), source };
    let mut child = program
        .command(&[], device, threads)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed(io::Error::other("the process has no pipes")));
    };
    let mut conversation = Conversation { input, answers: BufReader::new(output).lines() };
    let measured = body(&mut conversation);
    drop(conversation); // closes the standard input of the worker, which therefore ends
    let exit = child.wait().map_err(failed)?;
    measured.map_err(|error| RunError::Benchmark(format!("{error} ({exit})")))
}

/// The pipes of a worker that answers each line with a line of JSON.
struct Conversation {
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Conversation {
    fn ask<T: DeserializeOwned>(&mut self, question: &str) -> io::Result<T> {
        writeln!(self.input, "{question}")?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let line = self.answers.next().ok_or_else(|| io::Error::other("the worker ended before it answered"))??;
        Ok(serde_json::from_str(&line)?)
    }
}
