//! What a job reads: the outputs of its parents, and its sources.
//!
//! Every file of a parent is compared with the digest that the coordinator recorded when the parent was done. It is
//! digested before it is read, and must have the same stamp when the job saves its state and when it ends: whatever was
//! read in between is what was digested. Sources are compared by the functions of [`data`] that read them.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use grid::data::{self, DataError, FileDigest, FileDigests, ROWS, SampledRow};
use grid::domain::hugging_face::files::WEIGHTS;
use grid::domain::layout::OPTIMIZER;
use grid::domain::{
    Artifact, Assignment, Digest, FileStamp, FinishedOutput, InnerPath, JobId, LocatedSource, Milestone, Origin,
    RunSettings, SourceFile,
};

use super::milestones::{self, WordMilestone};
use crate::attempt::JobError;
use crate::ml::{self, Model, model_folder};

/// The inputs of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    assignment: &'a Assignment,
    files: &'a InputFiles,
}

/// The files that a worker has read as inputs.
#[derive(Debug, Default)]
pub(super) struct InputFiles {
    /// The digests of the files of all jobs so far, so that a file that several jobs read is digested once.
    digests: RefCell<FileDigests>,
    /// The files that the current job reads.
    used: RefCell<Vec<UsedFile>>,
}

/// A file that was compared with its record.
#[derive(Debug)]
struct UsedFile {
    parent: JobId,
    path: PathBuf,
    recorded: Digest,
    stamp: FileStamp,
}

impl<'a> Inputs<'a> {
    /// The inputs of a new job.
    pub(super) fn of(assignment: &'a Assignment, files: &'a InputFiles) -> Self {
        files.used.borrow_mut().clear();
        Self { assignment, files }
    }

    /// The assignment itself.
    pub(super) fn assignment(self) -> &'a Assignment {
        self.assignment
    }

    /// How to run the job.
    pub(super) fn settings(self) -> &'a RunSettings {
        &self.assignment.settings
    }

    /// The files of an origin that exists before the experiment.
    pub(super) fn located(self, origin: &Origin) -> LocatedSource {
        let files = self.assignment.sources.iter().find(|(known, _)| known == origin).map(|(_, files)| files.clone());
        LocatedSource { origin: origin.clone(), files: files.unwrap_or_default() }
    }

    /// The files of an origin, which a job may have written.
    ///
    /// # Errors
    /// A file that is not the one that the job left.
    pub(super) fn read_origin(self, origin: &Origin) -> Result<LocatedSource, JobError> {
        let Origin::Output { job } = origin else { return Ok(self.located(origin)) };
        let folder = self.checked(job, Path::new(""), |path| path.ends_with(ROWS))?;
        let rows = self.parent(job)?.artifacts.iter().filter(|artifact| artifact.path.ends_with(ROWS));
        let file = |artifact: &Artifact| SourceFile { path: folder.join(&artifact.path), digest: artifact.digest };
        Ok(LocatedSource { origin: origin.clone(), files: rows.map(file).collect() })
    }

    /// The rows that a sample job left.
    pub(super) fn sampled_rows(self, id: &JobId) -> Result<Vec<SampledRow>, JobError> {
        let located = self.read_origin(&Origin::Output { job: *id })?;
        Ok(located.files.iter().map(data::sampled_rows).collect::<Result<Vec<_>, DataError>>()?.concat())
    }

    /// The output of a prepare or logprobs job.
    ///
    /// # Errors
    /// A file that is not the one that the parent left; likewise the other methods.
    pub(super) fn prepared(self, id: &JobId) -> Result<&'a Path, JobError> {
        self.checked(id, Path::new(""), |_| true)
    }

    /// The outputs of several prepare jobs.
    pub(super) fn all_prepared(self, ids: &[JobId]) -> Result<Vec<&'a Path>, JobError> {
        ids.iter().map(|id| self.prepared(id)).collect()
    }

    /// A folder with a tokenizer and the configuration of its model, if the parent has one. Its weights are not checked.
    pub(super) fn tokenizer(self, id: &JobId) -> Result<&'a Path, JobError> {
        self.checked(id, Path::new(""), |path| !is_tensors(path))
    }

    /// The folder of the last model of a parent.
    pub(super) fn model(self, id: &JobId) -> Result<&'a Path, JobError> {
        self.checked(id, Path::new(""), |path| !path.ends_with(OPTIMIZER))
    }

    /// The folder of the model that a parent kept for a milestone.
    pub(super) fn milestone(self, id: &JobId, milestone: Milestone) -> Result<PathBuf, JobError> {
        let folder = milestones::folder_of(milestone);
        Ok(self.checked(id, &folder, |_| true)?.join(folder))
    }

    /// The milestones that a parent kept and that count words, the earliest first.
    pub(super) fn word_milestones(self, id: &JobId) -> Result<Vec<WordMilestone>, JobError> {
        let artifacts = &self.parent(id)?.artifacts;
        let folders = artifacts.iter().filter(|artifact| artifact.path.ends_with(WEIGHTS));
        let folders = folders.filter_map(|artifact| artifact.path.parent());
        let mut kept: Vec<WordMilestone> = folders.filter_map(milestones::in_words).collect();
        kept.sort();
        Ok(kept)
    }

    /// The folder with the state of a parent's optimizer.
    pub(super) fn optimizer(self, id: &JobId) -> Result<&'a Path, JobError> {
        self.checked(id, Path::new(""), |path| path.ends_with(OPTIMIZER))
    }

    /// Reads a model onto the device of the job. The folder is one that [`Self::model`] or [`Self::milestone`] returned.
    pub(super) fn read_model(self, folder: &Path) -> Result<Model, JobError> {
        let device = ml::runtime::device(&self.settings().device)?;
        let model = model_folder::read(folder, device)?;
        tracing::info!(folder = %folder.display(), device = self.settings().device, "loaded a model");
        Ok(model)
    }

    /// Refuses files of parents that were changed since the job began to read them. To be called after reading, and before
    /// anything that was made of them is kept.
    pub(super) fn check_unchanged(self) -> Result<(), JobError> {
        for file in self.files.used.borrow_mut().iter_mut() {
            let UsedFile { parent, path, recorded, stamp } = file;
            if data::stamp_of(path).is_ok_and(|now| now == *stamp) {
                continue;
            }
            *stamp = self.files.compare(parent, path, *recorded)?;
        }
        Ok(())
    }

    /// What a parent left.
    fn parent(self, id: &JobId) -> Result<&'a FinishedOutput, JobError> {
        match self.assignment.parents.get(id) {
            Some(output) => Ok(output),
            None => Err(JobError::failed(format!("the assignment does not name the parent {}", id.short()))),
        }
    }

    /// The output folder of a parent, after comparing the files that are wanted in `folder`, a folder in it, with their
    /// records.
    fn checked(self, id: &JobId, folder: &Path, wanted: impl Fn(&InnerPath) -> bool) -> Result<&'a Path, JobError> {
        let FinishedOutput { folder: output, artifacts } = self.parent(id)?;
        let here: Vec<&Artifact> = artifacts.iter().filter(|artifact| artifact.path.parent() == Some(folder)).collect();
        refuse_surplus(&output.join(folder), &here)?;
        for artifact in here.into_iter().filter(|artifact| wanted(&artifact.path)) {
            let (path, recorded) = (output.join(&artifact.path), artifact.digest);
            if self.files.used.borrow().iter().any(|used| used.path == path) {
                continue;
            }
            let stamp = self.files.compare(id, &path, recorded)?;
            self.files.used.borrow_mut().push(UsedFile { parent: *id, path, recorded, stamp });
        }
        Ok(output)
    }
}

impl InputFiles {
    /// Compares a file with its record, and returns the stamp at which it was digested.
    fn compare(&self, parent: &JobId, path: &Path, recorded: Digest) -> Result<FileStamp, JobError> {
        let damaged = |problem: String| JobError::DamagedInput { parent: *parent, message: problem };
        let FileDigest { stamp, digest } = match self.digests.borrow_mut().of_file(path) {
            Ok(found) => found,
            Err(error @ (DataError::Io { .. } | DataError::Changing { .. })) => {
                return Err(damaged(format!("failed to {error}")));
            }
            Err(error) => return Err(error.into()),
        };
        match digest == recorded {
            true => Ok(stamp),
            false => Err(damaged(format!(
                "{} is damaged: its digest is {digest}, but its job left {recorded}",
                path.display()
            ))),
        }
    }
}

/// Whether a file holds weights, or the state of an optimizer.
fn is_tensors(path: &InnerPath) -> bool {
    path.extension().is_some_and(|kind| kind == "safetensors")
}

/// Refuses a folder with files that its job did not leave. A tokenizer or a model would be read differently with them.
fn refuse_surplus(folder: &Path, recorded: &[&Artifact]) -> Result<(), JobError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let is_recorded = || recorded.iter().any(|artifact| artifact.path.file_name() == Some(name.as_os_str()));
        if !name.as_encoded_bytes().starts_with(b".") && !entry.file_type()?.is_dir() && !is_recorded() {
            return Err(JobError::failed(format!(
                "{} is not one of the files that its job left, and could change what is read there: move it away, and \
                 `grid resume` continues",
                entry.path().display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
