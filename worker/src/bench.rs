//! `grid-worker bench WORKLOAD`: rounds of training on demand.
//!
//! Writes a [`grid::domain::Ready`] as a line of JSON; then each line it reads is a number of steps, optionally
//! followed by ` phases`, and is answered by a [`grid::domain::Round`] as a line of JSON.

use std::io::{self, BufRead, Write};

use grid::domain::Workload;
use serde::Serialize;

use crate::ml::{self, bench::Bench};

/// What ends a measurement before its time.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The workload or a question is not what it should be.
    #[error("{0}")]
    Usage(String),
    /// The other end is gone.
    #[error("standard input or output: {0}")]
    Io(#[from] io::Error),
    /// The training failed.
    #[error(transparent)]
    Training(#[from] ml::Error),
}

/// Answers until the input ends.
pub fn serve(workload: &str, input: impl BufRead, mut output: impl Write) -> Result<(), BenchError> {
    let workload: Workload =
        serde_json::from_str(workload).map_err(|error| BenchError::Usage(format!("the workload: {error}")))?;
    let mut bench = Bench::new(workload)?;
    tell(&mut output, &bench.ready()?)?;
    for line in input.lines() {
        let line = line?;
        let (steps, dissect) = line.strip_suffix(" phases").map_or((line.as_str(), false), |steps| (steps, true));
        let steps = steps
            .parse()
            .map_err(|_| BenchError::Usage(format!("'{line}' is not a number of steps (with ' phases' or without)")))?;
        tell(&mut output, &bench.round(steps, dissect)?)?;
    }
    Ok(())
}

fn tell(output: &mut impl Write, answer: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    output.write_all(b"\n")?;
    output.flush()
}
