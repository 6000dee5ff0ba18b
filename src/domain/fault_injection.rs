//! Faults that `grid verify` and tests inject into training jobs to check that they are handled.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The faults to inject into the training jobs of a run.
///
/// With fault injection, a job also keeps its state after the last step (`checkpoint-*` beside `output/`) for comparison.
///
/// The environment variable `GRID_INJECT` of `grid run` holds a comma-separated list of `kills=3`, `seed=7`,
/// `memory=4@20` (from step 20 on, only 4 rows at a time fit into memory) and `perturb_on_resume`. The former name of the
/// last one, `flaw`, is accepted too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultInjection {
    /// The number of attempts per job that are killed (SIGKILL), each at a random step. Checkpoints are then written four
    /// times between two kills, so that some attempts resume from a new one.
    pub kills: u32,
    /// The seed of the steps at which attempts are killed.
    pub seed: u64,
    /// A limit on what fits into memory.
    pub memory: Option<MemoryLimit>,
    /// Whether an attempt that resumes from a checkpoint changes one weight slightly, which `grid verify` must detect.
    #[serde(rename = "flaw")]
    pub perturb_on_resume: bool,
}

/// A limit on the rows that fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLimit {
    /// The most rows per forward pass.
    pub rows: u32,
    /// The step from which the limit applies.
    pub from_step: u64,
}

/// The error for text that is not a list of faults.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown fault '{0}'; known faults are kills=N, seed=N, memory=ROWS@STEP and perturb_on_resume")]
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
    fn lists_of_faults_are_parsed() {
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
