//! The models that pretraining keeps for its milestones, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::{fs, io};

use grid::domain::{Event, Milestone};
use serde::{Deserialize, Serialize};

use crate::attempt::{Attempt, JobError};
use crate::ml::{OutputFiles, Progress, model_folder};
use grid::domain::layout::{MILESTONES, OUTPUT};

/// The name of the file beside the model of a milestone.
const REACHED: &str = "milestone.json";

/// When a milestone was reached.
#[derive(Serialize, Deserialize)]
struct Reached {
    step: u64,
    tokens: u64,
    words: u64,
}

/// The folder of a milestone, relative to the output of its job.
pub(super) fn folder_of(milestone: Milestone) -> PathBuf {
    Path::new(MILESTONES).join(milestone.to_string())
}

/// Whether text of this amount reaches a milestone.
pub(super) fn is_reached(milestone: Milestone, words: u64, tokens: u64, tolerance: f64) -> bool {
    milestone.count() <= (milestone.seen(words, tokens) as f64 * tolerance) as u64
}

/// Keeps a model for a milestone and records that in the journal, unless it is kept already.
pub(super) fn keep(
    milestone: Milestone,
    progress: Progress,
    output: &mut OutputFiles,
    attempt: &mut Attempt,
    write: impl FnOnce(&Path) -> Result<(), JobError>,
) -> Result<(), JobError> {
    let folder = folder_of(milestone);
    if output.files().contains_key(&folder.join(model_folder::WEIGHTS)) {
        return Ok(());
    }
    let Progress { step, tokens, words, .. } = progress;
    output.replace(&folder, |folder| {
        write(folder)?;
        let reached = serde_json::to_vec_pretty(&Reached { step, tokens, words }).map_err(io::Error::from)?;
        Ok::<(), JobError>(fs::write(folder.join(REACHED), reached)?)
    })?;
    record(milestone, output, attempt)
}

/// Records in the journal that a milestone was reached, if its model is kept.
pub(super) fn record(milestone: Milestone, output: &OutputFiles, attempt: &mut Attempt) -> Result<(), JobError> {
    let folder = folder_of(milestone);
    let Some(weights) = output.files().get(&folder.join(model_folder::WEIGHTS)).copied() else { return Ok(()) };
    let text = fs::read(attempt.output().join(&folder).join(REACHED))?;
    let Reached { step, tokens, words } = serde_json::from_slice(&text).map_err(io::Error::from)?;
    let path = Path::new(OUTPUT).join(folder).try_into().map_err(io::Error::other)?;
    attempt.emit(Event::Checkpoint { path, step, tokens, words, weights, milestone: Some(milestone) })
}

/// A kept model of a milestone that counts words.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WordMilestone {
    /// The words that it stands for.
    pub(super) words: u64,
}

impl WordMilestone {
    /// The milestone, if it counts words.
    pub(super) fn of(milestone: Milestone) -> Option<Self> {
        match milestone {
            Milestone::Words(words) => Some(WordMilestone { words }),
            Milestone::Tokens(_) => None,
        }
    }
}

/// The milestone of a folder, relative to the output of its job; `None` unless it counts words.
pub(super) fn in_words(folder: &Path) -> Option<WordMilestone> {
    let milestone = folder.strip_prefix(MILESTONES).ok()?.to_str()?.parse().ok()?;
    WordMilestone::of(milestone)
}
