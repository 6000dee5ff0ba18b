//! Checkpoints in the middle of training. A checkpoint is complete on disk, or it does not exist.
//!
//! ```text
//! checkpoint-0000001200/model.safetensors       the weights under their Hugging Face names
//!                      /optimizer.safetensors   first.*, second.*, steps
//!                      /output/                 hard links to the files that the training has left in its output so far
//!                      /trainer.json            the state of the job, and the digests of the files above
//!                      /trainer.json.digest     the digest of trainer.json
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use grid::domain::Digest;
use grid::domain::hugging_face::files::WEIGHTS;
use grid::domain::layout::{OPTIMIZER, TRAINER, TRAINER_DIGEST};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::output_files::OutputFiles;
use super::tensor_file::{self, NumberFormats, Stored};
use crate::ml::error::Error;
use crate::ml::optimizers::AdamW;
use crate::ml::weights::Weights;

/// Incremented whenever the format of `trainer.json` changes, or what belongs to it.
const SCHEMA: u32 = 3;

/// The last schema of checkpoints without the digest of `trainer.json`; they are otherwise the same.
const SCHEMA_WITHOUT_DIGEST: u32 = 2;

const OUTPUT: &str = "output";
const PREFIX: &str = "checkpoint-";

/// The content of `trainer.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainerFile<P> {
    schema: u32,
    progress: P,
    weights: Digest,
    optimizer: Digest,
    /// The digests of the files in `output/`, by their path relative to it.
    output: BTreeMap<PathBuf, Digest>,
}

/// A checkpoint that has just been written.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedCheckpoint<P> {
    /// Its folder.
    pub path: PathBuf,
    /// The state of the job.
    pub progress: P,
    /// Digest of `model.safetensors`.
    pub weights: Digest,
}

/// A checkpoint whose files have been read and match their digests.
#[derive(Debug)]
pub struct Checkpoint<P> {
    /// Its folder.
    pub path: PathBuf,
    /// The state of the job.
    pub progress: P,
    /// Digest of `model.safetensors`.
    pub weights: Digest,
    /// Whether the state of the job has no digest, as in checkpoints of earlier versions.
    pub is_unverified: bool,
    model: Vec<u8>,
    optimizer: Vec<u8>,
    output: BTreeMap<PathBuf, Digest>,
}

/// Writes the checkpoint `folder/checkpoint-<step>`: under a temporary name until all of it is on disk.
///
/// # Errors
/// If a file cannot be written.
pub fn save<P: Serialize>(
    folder: &Path,
    step: u64,
    weights: &Weights,
    optimizer: &AdamW,
    progress: P,
    output: &OutputFiles,
) -> Result<SavedCheckpoint<P>, Error> {
    let name = format!("{PREFIX}{step:010}");
    let (path, temporary) = (folder.join(&name), folder.join(format!(".{name}.{}", std::process::id())));
    remove(&temporary)?; // left by a process with the same id that died
    fs::create_dir_all(&temporary).map_err(Error::io(&temporary))?;
    let optimizer = tensor_file::write(&temporary.join(OPTIMIZER), optimizer.named(weights)?)?;
    let weights = tensor_file::write(&temporary.join(WEIGHTS), weights.named()?)?;
    output.link_to(&temporary.join(OUTPUT))?;
    let trainer = TrainerFile { schema: SCHEMA, progress, weights, optimizer, output: output.files().clone() };
    let text = serde_json::to_string_pretty(&trainer).map_err(|error| Error::file(&path, error.to_string()))?;
    let text = text + "\n";
    for (name, text) in [(TRAINER_DIGEST, digest_line(&text)), (TRAINER, text)] {
        let path = temporary.join(name);
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(Error::io(&path))?;
    }
    sync_folder(&temporary)?;
    remove(&path)?; // the same step, reached a second time
    fs::rename(&temporary, &path).map_err(Error::io(&path))?;
    sync_folder(folder)?;
    tracing::debug!(path = %path.display(), "wrote a checkpoint");
    Ok(SavedCheckpoint { path, progress: trainer.progress, weights })
}

/// The content of `trainer.json.digest`, which `b3sum --check` reads.
fn digest_line(trainer: &str) -> String {
    format!("{}  {TRAINER}\n", Digest::of(trainer.as_bytes()))
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
    /// Reads a checkpoint and compares its files with their digests.
    ///
    /// # Errors
    /// If a file is missing, cannot be read, or does not match its digest. Checkpoints of earlier versions have no digest of
    /// `trainer.json`.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = path.join(TRAINER);
        let text = fs::read_to_string(&file).map_err(Error::io(&file))?;
        let recorded = match fs::read_to_string(path.join(TRAINER_DIGEST)) {
            Ok(line) => Some(line),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(&path.join(TRAINER_DIGEST))(error)),
        };
        if recorded.as_ref().is_some_and(|line| *line != digest_line(&text)) {
            return Err(Error::file(&file, format!("is damaged: its digest is not the one in {TRAINER_DIGEST}")));
        }
        let trainer: TrainerFile<P> =
            serde_json::from_str(&text).map_err(|error| Error::file(&file, error.to_string()))?;
        let is_unverified = match (trainer.schema, &recorded) {
            (SCHEMA, Some(_)) => false,
            (SCHEMA, None) => return Err(Error::file(&path.join(TRAINER_DIGEST), "is missing")),
            (SCHEMA_WITHOUT_DIGEST, None) => true,
            (found, _) => {
                return Err(Error::file(&file, format!("has schema {found}, but this program reads {SCHEMA}")));
            }
        };
        let damaged = |file: &Path| Error::file(file, "is damaged: its digest is not the one in trainer.json");
        let part = |name: &str, digest: Digest| {
            let file = path.join(name);
            let bytes = fs::read(&file).map_err(Error::io(&file))?;
            if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(damaged(&file)) }
        };
        let (model, optimizer) = (part(WEIGHTS, trainer.weights)?, part(OPTIMIZER, trainer.optimizer)?);
        let TrainerFile { progress, weights, output, .. } = trainer;
        for (name, digest) in &output {
            let file = path.join(OUTPUT).join(name);
            if tensor_file::digest(&file)? != *digest {
                return Err(damaged(&file));
            }
        }
        Ok(Self { path: path.to_owned(), progress, weights, is_unverified, model, optimizer, output })
    }

    /// Links the output files of the checkpoint into the output folder of the training that continues from it.
    ///
    /// # Errors
    /// If a file cannot be linked.
    pub fn restore_output(&self, output: &mut OutputFiles) -> Result<(), Error> {
        output.restore(&self.path.join(OUTPUT), &self.output)
    }

    /// Copies the weights and the optimizer state, if all names, shapes and number formats match.
    ///
    /// # Errors
    /// If the checkpoint does not fit the model; nothing has been changed then.
    pub fn restore(&self, weights: &Weights, optimizer: &AdamW) -> Result<(), Error> {
        for (name, bytes, wanted) in
            [(WEIGHTS, &self.model, weights.named()?), (OPTIMIZER, &self.optimizer, optimizer.named(weights)?)]
        {
            Stored::new(&self.path.join(name), bytes)?.copy_into(
                &wanted,
                NumberFormats::Float32,
                str::to_owned,
                |_| false,
            )?;
        }
        Ok(())
    }
}

/// Saves the optimizer state in an output folder.
///
/// # Errors
/// If the file cannot be written.
pub fn save_optimizer(folder: &Path, weights: &Weights, optimizer: &AdamW) -> Result<(), Error> {
    tensor_file::write(&folder.join(OPTIMIZER), optimizer.named(weights)?).map(drop)
}

/// Loads the state that [`save_optimizer`] saved, if all names, shapes and number formats match.
///
/// # Errors
/// If the file cannot be read or does not fit the model.
pub fn load_optimizer(folder: &Path, weights: &Weights, optimizer: &AdamW) -> Result<(), Error> {
    let file = folder.join(OPTIMIZER);
    let bytes = fs::read(&file).map_err(Error::io(&file))?;
    Stored::new(&file, &bytes)?.copy_into(&optimizer.named(weights)?, NumberFormats::Float32, str::to_owned, |_| false)
}

/// Removes all but the `keep` newest checkpoints of a folder.
///
/// # Errors
/// If the folder cannot be read, or a checkpoint cannot be removed.
pub fn prune(folder: &Path, keep: usize) -> Result<(), Error> {
    let mut found = list(folder)?;
    found.sort();
    let old = found.len().saturating_sub(keep);
    found.iter().take(old).try_for_each(|(_, path)| remove(path))
}

/// The checkpoints of a folder with their steps, in no particular order. A folder that does not exist has none.
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

/// The result of [`latest`].
#[derive(Debug)]
pub struct LatestCheckpoint<P> {
    /// The newest checkpoint that is intact.
    pub checkpoint: Option<Checkpoint<P>>,
    /// Why newer checkpoints cannot be used.
    pub refused: Vec<Error>,
}

/// The newest intact checkpoint in these folders of attempts at one job. A folder that does not exist has none.
///
/// # Errors
/// If a folder cannot be read.
pub fn latest<P: DeserializeOwned>(folders: &[PathBuf]) -> Result<LatestCheckpoint<P>, Error> {
    let mut found = Vec::new();
    for folder in folders {
        found.extend(list(folder)?);
    }
    found.sort();
    let mut refused = Vec::new();
    for (_, path) in found.into_iter().rev() {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(LatestCheckpoint { checkpoint: Some(checkpoint), refused }),
            Err(error) => refused.push(error),
        }
    }
    Ok(LatestCheckpoint { checkpoint: None, refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::small;
    use crate::ml::models::Model;
    use crate::ml::optimizers::Decay;
    use grid::domain::Arch;
    use tch::Device;

    /// The state of a job, with a number that is not exact in decimal.
    #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
    struct State {
        step: u64,
        loss: f64,
    }

    fn save_at(folder: &Path, step: u64) -> SavedCheckpoint<State> {
        save_with(folder, step, &OutputFiles::default())
    }

    fn save_with(folder: &Path, step: u64, output: &OutputFiles) -> SavedCheckpoint<State> {
        let model = Model::random(&small(Arch::Llama), step, Device::Cpu).unwrap();
        let optimizer = AdamW::new(model.weights(), Decay::Matrices).unwrap();
        save(folder, step, model.weights(), &optimizer, State { step, loss: 0.1 + 0.2 }, output).unwrap()
    }

    #[test]
    fn the_newest_intact_checkpoint_is_found_and_a_damaged_one_named() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let attempts = [a.clone(), b.clone(), folder.path().join("none")];
        assert!(latest::<State>(&attempts).unwrap().checkpoint.is_none());
        let old = save_at(&a, 9);
        let new = save_at(&b, 10);
        let found = latest::<State>(&attempts).unwrap();
        assert!(found.refused.is_empty());
        let found = found.checkpoint.unwrap();
        assert_eq!((&found.path, found.progress, found.weights), (&new.path, new.progress, new.weights));

        // One bit of the weights flips.
        let file = new.path.join(WEIGHTS);
        let mut bytes = fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file, bytes).unwrap();
        let found = latest::<State>(&attempts).unwrap();
        assert_eq!(found.checkpoint.unwrap().path, old.path);
        let refusal = found.refused[0].to_string();
        assert!(
            refusal.ends_with(
                "b/checkpoint-0000000010/model.safetensors: is damaged: its digest is not the one in trainer.json"
            ),
            "{refusal}"
        );
    }

    /// The step is still a number, so only the digest shows that it is another one.
    #[test]
    fn a_checkpoint_with_another_step_is_passed_over_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (save_at(folder.path(), 9), save_at(folder.path(), 10));
        let folders = [folder.path().to_owned()];
        let file = new.path.join(TRAINER);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(fs::read_to_string(new.path.join(TRAINER_DIGEST)).unwrap(), digest_line(&text));
        fs::write(&file, text.replace("\"step\": 10", "\"step\": 11")).unwrap();
        let found = latest::<State>(&folders).unwrap();
        assert_eq!(found.checkpoint.unwrap().path, old.path);
        let refusal = found.refused[0].to_string();
        assert!(
            refusal.ends_with(
                "checkpoint-0000000010/trainer.json: is damaged: its digest is not the one in trainer.json.digest"
            ),
            "{refusal}"
        );
        fs::write(&file, &text).unwrap();
        fs::remove_file(new.path.join(TRAINER_DIGEST)).unwrap();
        let refusal = latest::<State>(&folders).unwrap().refused[0].to_string();
        assert!(refusal.ends_with("checkpoint-0000000010/trainer.json.digest: is missing"), "{refusal}");
    }

    #[test]
    fn a_checkpoint_of_an_earlier_version_is_used_and_known_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let new = save_at(folder.path(), 10);
        assert!(!Checkpoint::<State>::open(&new.path).unwrap().is_unverified);
        let file = new.path.join(TRAINER);
        let text = fs::read_to_string(&file).unwrap().replace("\"schema\": 3", "\"schema\": 2");
        fs::write(&file, text).unwrap();
        fs::remove_file(new.path.join(TRAINER_DIGEST)).unwrap();
        assert!(Checkpoint::<State>::open(&new.path).unwrap().is_unverified);
    }

    #[test]
    fn a_checkpoint_whose_output_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = OutputFiles::new(&folder.path().join("output"));
        let write = |folder: &Path| fs::write(folder.join("model.safetensors"), "weights").map_err(Error::io(folder));
        output.replace(Path::new("milestones/7-words"), write).unwrap();
        let new = save_with(folder.path(), 5, &output);
        let mut later = OutputFiles::new(&folder.path().join("later"));
        Checkpoint::<State>::open(&new.path).unwrap().restore_output(&mut later).unwrap();
        assert_eq!(later.files(), output.files());
        fs::write(folder.path().join("later/milestones/7-words/model.safetensors"), "weightz").unwrap();
        let refusal = Checkpoint::<State>::open(&new.path).unwrap_err().to_string();
        assert!(refusal.contains("output/milestones/7-words/model.safetensors: is damaged"), "{refusal}");
    }

    #[test]
    fn a_checkpoint_replaces_an_older_one_of_the_same_step_and_leaves_no_temporary_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = save_at(folder.path(), 4);
        fs::write(first.path.join(TRAINER), "{").unwrap();
        let folders = [folder.path().to_owned()];
        let refusal = latest::<State>(&folders).unwrap().refused[0].to_string();
        assert!(refusal.contains("trainer.json: is damaged"), "{refusal}");
        assert_eq!(save_at(folder.path(), 4), first);
        assert!(latest::<State>(&folders).unwrap().checkpoint.is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_checkpoint_of_another_model_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::<State>::open(&save_at(folder.path(), 4).path).unwrap();
        let other = Model::random(&small(Arch::Gpt2), 1, Device::Cpu).unwrap();
        let optimizer = AdamW::new(other.weights(), Decay::Matrices).unwrap();
        let refusal = checkpoint.restore(other.weights(), &optimizer).unwrap_err().to_string();
        assert!(refusal.contains("does not fit the model: 'transformer.wte.weight', '"), "{refusal}");
    }
}
