//! Faults on request: what `grid verify` and tests plant to see them handled.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Faults for the training jobs of a run. Nobody else's run has any.
///
/// A job under trial also leaves its state after the last step (`checkpoint-*` beside `output/`), to be compared.
///
/// In the environment variable `GRID_INJECT` of `grid run` it is written as parts with commas between them: `kills=3`,
/// `seed=7`, `memory=4@20` (from step 20 on there is memory for 4 rows at a time), `flaw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trial {
    /// How many attempts at a job are killed (SIGKILL), each at a step drawn from the seed. Checkpoints are then
    /// written so often that some kills find a new one to go on from: four times per stretch between two kills.
    pub kills: u32,
    /// Where the kills fall.
    pub seed: u64,
    /// What fits into memory.
    pub memory: Option<MemoryLimit>,
    /// Whether an attempt that goes on from a checkpoint changes one weight a little: the flaw that verifying is for.
    pub flaw: bool,
}

/// Memory that ends at some step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLimit {
    /// Rows that can go through the model together.
    pub rows: u32,
    /// Steps taken before it begins.
    pub from_step: u64,
}

/// Text that asks for no known fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no fault to inject: there are kills=N, seed=N, memory=ROWS@STEP and flaw")]
pub struct NotTrial(String);

impl FromStr for Trial {
    type Err = NotTrial;

    fn from_str(text: &str) -> Result<Self, NotTrial> {
        let mut trial = Trial::default();
        for part in text.split(',') {
            let wrong = || NotTrial(part.to_owned());
            match part.split_once('=') {
                Some(("kills", number)) => trial.kills = number.parse().map_err(|_| wrong())?,
                Some(("seed", number)) => trial.seed = number.parse().map_err(|_| wrong())?,
                Some(("memory", limit)) => {
                    let (rows, step) = limit.split_once('@').ok_or_else(wrong)?;
                    let (rows, from_step) = (rows.parse().map_err(|_| wrong())?, step.parse().map_err(|_| wrong())?);
                    trial.memory = Some(MemoryLimit { rows, from_step });
                }
                None if part == "flaw" => trial.flaw = true,
                _ => return Err(wrong()),
            }
        }
        Ok(trial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_or_refused() {
        let memory = Some(MemoryLimit { rows: 4, from_step: 20 });
        assert_eq!("memory=4@20,flaw".parse(), Ok(Trial { memory, flaw: true, ..Trial::default() }));
        assert_eq!("kills=2,seed=9".parse(), Ok(Trial { kills: 2, seed: 9, ..Trial::default() }));
        for wrong in ["", "kills", "memory=4", "memory=@1", "flaws"] {
            assert!(wrong.parse::<Trial>().is_err(), "{wrong}");
        }
    }
}
