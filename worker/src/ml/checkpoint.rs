//! Checkpoints in the middle of training: complete on disk, or not there.
//!
//! ```text
//! checkpoint-0000001200/model.safetensors       the weights, in Hugging Face names
//!                      /optimizer.safetensors   first.*, second.*, steps
//!                      /output/                 what the training had put into its output by then, as links
//!                      /trainer.json            where training stood; digests of all the others
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use grid::domain::Digest;
use grid::domain::layout::OPTIMIZER;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::hf::WEIGHTS;
use super::kept::Kept;
use super::optimizer::AdamW;
use super::selection::Selection;
use super::tensors::{self, Accept, Stored};
use super::weights::Weights;

const SCHEMA: u32 = 2;
const TRAINER: &str = "trainer.json";
const OUTPUT: &str = "output";
const PREFIX: &str = "checkpoint-";

/// Where training stands between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps taken; also the next step to take.
    pub step: u64,
    /// Ids trained on.
    pub tokens: u64,
    /// Words trained on.
    pub words: u64,
    /// Sum of the mean losses of the steps since the last full report.
    pub window_loss: f64,
    /// How many steps that sum holds.
    pub window_steps: u64,
    /// What the looks at the held-out loss have shown.
    pub selection: Selection,
}

/// `trainer.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trainer<P> {
    schema: u32,
    progress: P,
    weights: Digest,
    optimizer: Digest,
    /// By path relative to `output/`.
    output: BTreeMap<PathBuf, Digest>,
}

/// A checkpoint that has just been written.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved<P = Progress> {
    /// Its folder.
    pub path: PathBuf,
    /// Where training stands.
    pub progress: P,
    /// Digest of `model.safetensors`.
    pub weights: Digest,
}

/// A checkpoint that has been read whole and agrees with its digests.
#[derive(Debug)]
pub struct Checkpoint<P = Progress> {
    /// Its folder.
    pub path: PathBuf,
    /// Where training stood.
    pub progress: P,
    /// Digest of `model.safetensors`.
    pub weights: Digest,
    model: Vec<u8>,
    optimizer: Vec<u8>,
    output: BTreeMap<PathBuf, Digest>,
}

/// Writes a checkpoint into `folder/checkpoint-<step>`: aside, to the disk, then under its name at once.
pub fn save<P: Serialize>(
    folder: &Path,
    step: u64,
    weights: &Weights,
    optimizer: &AdamW,
    progress: P,
    kept: &Kept,
) -> Result<Saved<P>, Error> {
    let name = format!("{PREFIX}{step:010}");
    let (path, aside) = (folder.join(&name), folder.join(format!(".{name}.{}", std::process::id())));
    remove(&aside)?; // of a process that died and had the same number
    fs::create_dir_all(&aside).map_err(Error::io(&aside))?;
    let state = tensors::write(&aside.join(OPTIMIZER), optimizer.named(weights)?)?;
    let weights = tensors::write(&aside.join(WEIGHTS), weights.named()?)?;
    kept.link_to(&aside.join(OUTPUT))?;
    let trainer = Trainer { schema: SCHEMA, progress, weights, optimizer: state, output: kept.files().clone() };
    let text = serde_json::to_string_pretty(&trainer).map_err(|error| Error::file(&path, error.to_string()))?;
    let last = aside.join(TRAINER);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&last)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(Error::io(&last))?;
    sync_folder(&aside)?;
    remove(&path)?; // the same step, reached a second time
    fs::rename(&aside, &path).map_err(Error::io(&path))?;
    sync_folder(folder)?;
    Ok(Saved { path, progress: trainer.progress, weights })
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder)(error)),
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(Error::io(folder))
}

impl<P: DeserializeOwned> Checkpoint<P> {
    /// Reads a checkpoint and compares it with its digests.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = path.join(TRAINER);
        let text = fs::read_to_string(&file).map_err(Error::io(&file))?;
        let trainer: Trainer<P> = serde_json::from_str(&text).map_err(|error| Error::file(&file, error.to_string()))?;
        if trainer.schema != SCHEMA {
            let found = trainer.schema;
            return Err(Error::file(&file, format!("has schema {found}, but this program knows {SCHEMA}")));
        }
        let damaged = |file: &Path| Error::file(file, "is damaged: its digest is not the one in trainer.json");
        let part = |name: &str, digest: Digest| {
            let file = path.join(name);
            let bytes = fs::read(&file).map_err(Error::io(&file))?;
            if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(damaged(&file)) }
        };
        let (model, optimizer) = (part(WEIGHTS, trainer.weights)?, part(OPTIMIZER, trainer.optimizer)?);
        let Trainer { progress, weights, output, .. } = trainer;
        for (name, digest) in &output {
            let file = path.join(OUTPUT).join(name);
            if tensors::digest(&file)? != *digest {
                return Err(damaged(&file));
            }
        }
        Ok(Self { path: path.to_owned(), progress, weights, model, optimizer, output })
    }

    /// Puts what the training had left in its output into the output folder of its continuation.
    pub fn restore_output(&self, kept: &mut Kept) -> Result<(), Error> {
        kept.take_over(&self.path.join(OUTPUT), &self.output)
    }

    /// Puts the weights and the optimiser state in place, if every name, shape and number format agrees.
    pub fn restore(&self, weights: &Weights, optimizer: &AdamW) -> Result<(), Error> {
        for (name, bytes, wanted) in
            [(WEIGHTS, &self.model, weights.named()?), (OPTIMIZER, &self.optimizer, optimizer.named(weights)?)]
        {
            Stored::new(&self.path.join(name), bytes)?.copy_into(&wanted, Accept::Exact, str::to_owned, |_| false)?;
        }
        Ok(())
    }
}

/// Leaves the optimiser's state in a folder of results.
pub fn leave_optimizer(folder: &Path, weights: &Weights, optimizer: &AdamW) -> Result<(), Error> {
    tensors::write(&folder.join(OPTIMIZER), optimizer.named(weights)?).map(drop)
}

/// Takes over the state that [`leave_optimizer`] left, if every name, shape and number format agrees.
pub fn carry_optimizer(folder: &Path, weights: &Weights, optimizer: &AdamW) -> Result<(), Error> {
    let file = folder.join(OPTIMIZER);
    let bytes = fs::read(&file).map_err(Error::io(&file))?;
    Stored::new(&file, &bytes)?.copy_into(&optimizer.named(weights)?, Accept::Exact, str::to_owned, |_| false)
}

/// Removes all but the `keep` newest checkpoints of a folder.
pub fn prune(folder: &Path, keep: usize) -> Result<(), Error> {
    let mut found = list(folder)?;
    found.sort();
    let old = found.len().saturating_sub(keep);
    found.iter().take(old).try_for_each(|(_, path)| remove(path))
}

/// The checkpoints of a folder with their steps, in no order; a folder that does not exist has none.
fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(Error::io(folder))?,
    };
    let mut found = vec![];
    for entry in entries {
        let entry = entry.map_err(Error::io(folder))?;
        let step = entry.file_name().to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u64>().ok());
        found.extend(step.map(|step| (step, entry.path())));
    }
    Ok(found)
}

/// What [`latest`] found.
#[derive(Debug)]
pub struct Latest<P = Progress> {
    /// The newest checkpoint that is whole.
    pub checkpoint: Option<Checkpoint<P>>,
    /// Newer ones that are not, and why.
    pub refused: Vec<Error>,
}

/// The newest whole checkpoint in these folders (attempts of one job); folders that do not exist hold none.
pub fn latest<P: DeserializeOwned>(folders: &[PathBuf]) -> Result<Latest<P>, Error> {
    let mut found = Vec::new();
    for folder in folders {
        found.extend(list(folder)?);
    }
    found.sort();
    let mut refused = Vec::new();
    for (_, path) in found.into_iter().rev() {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Latest { checkpoint: Some(checkpoint), refused }),
            Err(error) => refused.push(error),
        }
    }
    Ok(Latest { checkpoint: None, refused })
}

#[cfg(test)]
mod tests {
    use super::super::model::Model;
    use super::super::model::tests::small;
    use super::super::optimizer::Decay;
    use super::*;
    use grid::domain::Arch;
    use tch::Device;

    fn saved(folder: &Path, step: u64) -> Saved {
        saved_with(folder, step, &Kept::default())
    }

    fn saved_with(folder: &Path, step: u64, kept: &Kept) -> Saved {
        let model = Model::random(&small(Arch::Llama), step, Device::Cpu).unwrap();
        let optimizer = AdamW::new(model.weights(), Decay::Matrices).unwrap();
        let mut progress = Progress { step, tokens: 3, words: 2, window_loss: 0.1 + 0.2, ..Progress::default() };
        progress.selection.look(None, step, 0.7);
        save(folder, step, model.weights(), &optimizer, progress, kept).unwrap()
    }

    #[test]
    fn the_newest_whole_checkpoint_is_found_and_a_damaged_one_named() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let attempts = [a.clone(), b.clone(), folder.path().join("none")];
        assert!(latest::<Progress>(&attempts).unwrap().checkpoint.is_none());
        let old = saved(&a, 9);
        let new = saved(&b, 10);
        let found = latest::<Progress>(&attempts).unwrap();
        assert!(found.refused.is_empty());
        let found = found.checkpoint.unwrap();
        assert_eq!((&found.path, found.progress, found.weights), (&new.path, new.progress, new.weights));

        // One bit of the weights flips.
        let file = new.path.join(WEIGHTS);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let found = latest::<Progress>(&attempts).unwrap();
        assert_eq!(found.checkpoint.unwrap().path, old.path);
        let refusal = found.refused[0].to_string();
        assert!(
            refusal.ends_with(
                "b/checkpoint-0000000010/model.safetensors: is damaged: its digest is not the one in trainer.json"
            ),
            "{refusal}"
        );
    }

    #[test]
    fn a_checkpoint_whose_output_is_damaged_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::new(&folder.path().join("output"));
        let write = |folder: &Path| fs::write(folder.join("model.safetensors"), "weights").map_err(Error::io(folder));
        kept.put(Path::new("milestones/7-words"), write).unwrap();
        let new = saved_with(folder.path(), 5, &kept);
        let mut later = Kept::new(&folder.path().join("later"));
        Checkpoint::<Progress>::open(&new.path).unwrap().restore_output(&mut later).unwrap();
        assert_eq!(later.files(), kept.files());
        fs::write(folder.path().join("later/milestones/7-words/model.safetensors"), "weightz").unwrap();
        let refusal = Checkpoint::<Progress>::open(&new.path).unwrap_err().to_string();
        assert!(refusal.contains("output/milestones/7-words/model.safetensors: is damaged"), "{refusal}");
    }

    #[test]
    fn a_checkpoint_replaces_an_older_one_of_the_same_step_and_leaves_nothing_aside() {
        let folder = tempfile::tempdir().unwrap();
        let first = saved(folder.path(), 4);
        fs::write(first.path.join(TRAINER), "{").unwrap();
        assert!(
            latest::<Progress>(&[folder.path().to_owned()]).unwrap().refused[0]
                .to_string()
                .contains("trainer.json: EOF")
        );
        assert_eq!(saved(folder.path(), 4), first);
        assert!(latest::<Progress>(&[folder.path().to_owned()]).unwrap().checkpoint.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_checkpoint_of_another_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::<Progress>::open(&saved(folder.path(), 4).path).unwrap();
        let other = Model::random(&small(Arch::Gpt2), 1, Device::Cpu).unwrap();
        let optimizer = AdamW::new(other.weights(), Decay::Matrices).unwrap();
        let refusal = checkpoint.restore(other.weights(), &optimizer).unwrap_err().to_string();
        assert!(refusal.contains("does not fit the model: 'transformer.wte.weight' is missing;"), "{refusal}");
    }
}
