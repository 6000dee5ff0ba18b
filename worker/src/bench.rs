//! `grid-worker bench WORKLOAD`: rounds of training on request.
//!
//! The worker writes a [`grid::domain::WorkerReady`] as a line of JSON. Each line that it then reads is a number of steps,
//! optionally followed by ` phases`; it answers with a [`grid::domain::BenchRound`] as a line of JSON.
//!
//! `grid-worker bench-generation WORKLOAD` continues the prompts of a [`grid::domain::GenerationWorkload`] instead: each
//! line is a number of repetitions, and each answer is a [`grid::domain::GenerationRound`].

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ml::{self, bench::Bench, bench_generation::GenerationBench};

/// Why a measurement ended early.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The workload or a request cannot be read.
    #[error("{0}")]
    Usage(String),
    /// Standard input or output failed, usually because the other process ended.
    #[error("standard input or output: {0}")]
    Io(#[from] io::Error),
    /// The training or the generation failed.
    #[error(transparent)]
    Work(#[from] ml::Error),
}

/// Answers requests for training steps until the input ends.
///
/// # Errors
/// If the workload or a request cannot be read, the training fails, or the output cannot be written.
pub fn serve(workload: &str, input: impl BufRead, mut output: impl Write) -> Result<(), BenchError> {
    let mut bench = Bench::new(parsed(workload)?)?;
    write_line(&mut output, &bench.ready()?)?;
    for line in input.lines() {
        let line = line?;
        let (steps, with_phases) = line.strip_suffix(" phases").map_or((line.as_str(), false), |steps| (steps, true));
        let steps = steps.parse().map_err(|_| {
            BenchError::Usage(format!("'{line}' is not a number of steps, with or without ' phases' after it"))
        })?;
        write_line(&mut output, &bench.round(steps, with_phases)?)?;
    }
    Ok(())
}

/// Answers requests for replies until the input ends.
///
/// # Errors
/// If the workload or a request cannot be read, the generation fails, or the output cannot be written.
pub fn serve_generation(workload: &str, input: impl BufRead, mut output: impl Write) -> Result<(), BenchError> {
    let bench = GenerationBench::new(parsed(workload)?)?;
    write_line(&mut output, &bench.ready()?)?;
    for line in input.lines() {
        let line = line?;
        let times = line.parse().map_err(|_| BenchError::Usage(format!("'{line}' is not a number of repetitions")))?;
        write_line(&mut output, &bench.round(times)?)?;
    }
    Ok(())
}

fn parsed<T: DeserializeOwned>(workload: &str) -> Result<T, BenchError> {
    serde_json::from_str(workload).map_err(|error| BenchError::Usage(format!("the workload: {error}")))
}

fn write_line(output: &mut impl Write, answer: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    output.write_all(b"\n")?;
    output.flush()
}
