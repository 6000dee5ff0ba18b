//! Faults that `grid verify` and tests inject into training jobs to check that they are handled.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Faults for the training jobs of a run. Nobody else's run has any.
///
/// A job under trial also leaves its state after the last step (`checkpoint-*` beside `output/`), to be compared.
///
/// In the environment variable `GRID_INJECT` of `grid run` it is written as parts with commas between them: `kills=3`,
/// `seed=7`, `memory=4@20` (from step 20 on there is memory for 4 rows at a time), `flaw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultInjection {
    /// How many attempts at a job are killed (SIGKILL), each at a step drawn from the seed. Checkpoints are then
    /// written so often that some kills find a new one to go on from: four times per stretch between two kills.
    pub kills: u32,
    /// Where the kills fall.
    pub seed: u64,
    /// What fits into memory.
    pub memory: Option<MemoryLimit>,
    /// Whether an attempt that resumes from a checkpoint changes one weight slightly, which `grid verify` must detect.
    #[serde(rename = "flaw")]
    pub perturb_on_resume: bool,
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
pub struct UnknownFault(String);

impl FromStr for FaultInjection {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut faults = FaultInjection::default();
        for part in text.split(',') {
            let wrong = || UnknownFault(part.to_owned());
            match part.split_once('=') {
                Some(("kills", number)) => faults.kills = number.parse().map_err(|_| wrong())?,
                Some(("seed", number)) => faults.seed = number.parse().map_err(|_| wrong())?,
                Some(("memory", limit)) => {
                    let (rows, step) = limit.split_once('@').ok_or_else(wrong)?;
                    let (rows, from_step) = (rows.parse().map_err(|_| wrong())?, step.parse().map_err(|_| wrong())?);
                    faults.memory = Some(MemoryLimit { rows, from_step });
                }
                None if matches!(part, "perturb_on_resume" | "flaw") => faults.perturb_on_resume = true,
                _ => return Err(wrong()),
            }
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_or_refused() {
        let memory = Some(MemoryLimit { rows: 4, from_step: 20 });
        assert_eq!(
            "memory=4@20,perturb_on_resume".parse(),
            Ok(FaultInjection { memory, perturb_on_resume: true, ..FaultInjection::default() })
        );
        assert_eq!("kills=2,seed=9".parse(), Ok(FaultInjection { kills: 2, seed: 9, ..FaultInjection::default() }));
        for wrong in ["", "kills", "memory=4", "memory=@1", "flaws"] {
            assert!(wrong.parse::<FaultInjection>().is_err(), "{wrong}");
        }
    }
}
