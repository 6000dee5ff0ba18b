//! What a job reads: the outputs of its parents, and its sources.

use std::fs;
use std::io;
use std::path::Path;

use grid::data::{self, DataError};
use grid::domain::{Assignment, JobId, LocatedSource, Origin, Outcome, RunSettings};

use crate::attempt::{JobError, digest_of};
use crate::ml::{self, Model, model_folder};
use grid::domain::layout::{OPTIMIZER, OUTCOME, OUTPUT};

/// The inputs of a job.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    assignment: &'a Assignment,
}

impl<'a> Inputs<'a> {
    /// The inputs that an assignment names.
    pub(super) fn of(assignment: &'a Assignment) -> Self {
        Self { assignment }
    }

    /// The assignment itself.
    pub(super) fn assignment(self) -> &'a Assignment {
        self.assignment
    }

    /// How to run the job.
    pub(super) fn settings(self) -> &'a RunSettings {
        &self.assignment.settings
    }

    /// The files of an origin.
    pub(super) fn located(self, origin: &Origin) -> LocatedSource {
        let files = self.assignment.sources.iter().find(|(known, _)| known == origin).map(|(_, files)| files.clone());
        LocatedSource { origin: origin.clone(), files: files.unwrap_or_default() }
    }

    /// Reads the files of an origin.
    ///
    /// # Errors
    /// Those of `read`; files that no longer have the content of the origin, which the identity of the job contains.
    pub(super) fn read<T>(
        self,
        origin: &Origin,
        read: impl FnOnce(&LocatedSource) -> Result<T, DataError>,
    ) -> Result<T, JobError> {
        let located = self.located(origin);
        let content = read(&located);
        // The check comes after reading, so that a change in between is noticed too; and first, because it is the reason
        // why files cannot be read.
        data::check_unchanged(&located)?;
        Ok(content?)
    }

    /// The output folder of a parent.
    pub(super) fn parent(self, id: &JobId) -> Result<&'a Path, JobError> {
        match self.assignment.parents.get(id) {
            Some(folder) => Ok(folder),
            None => Err(JobError::failed(format!("the assignment does not name the parent {}", id.short()))),
        }
    }

    /// The output folders of several parents.
    pub(super) fn parents(self, ids: &[JobId]) -> Result<Vec<&'a Path>, JobError> {
        ids.iter().map(|id| self.parent(id)).collect()
    }

    /// Reads a model onto the device of the job. The folder is the output of a parent, or a folder in it.
    ///
    /// # Errors
    /// If the weights are not those that the parent left there, according to the digests in its outcome; if the parent
    /// has no outcome; if the model cannot be read.
    pub(super) fn read_model(self, folder: &Path) -> Result<Model, JobError> {
        check_weights(folder)?;
        let device = ml::runtime::device(&self.settings().device)?;
        let model = model_folder::read(folder, device)?;
        tracing::info!(folder = %folder.display(), device = self.settings().device, "loaded a model");
        Ok(model)
    }
}

/// Compares the weights in a folder with the digests that their job published.
///
/// Every output has an outcome beside it once its job is done, and only then do other jobs read it. A job that reads its
/// own output while it runs, such as an import, does not come here.
fn check_weights(folder: &Path) -> Result<(), JobError> {
    let Some(output) = folder.ancestors().find(|folder| folder.ends_with(OUTPUT)) else {
        return Err(JobError::failed(format!("{} is not in the output folder of a job", folder.display())));
    };
    let record = output.with_file_name(OUTCOME);
    let text = fs::read(&record).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => JobError::failed(format!(
            "{} is missing, so the weights in {} cannot be checked; remove {}, and `grid resume` runs its job again",
            record.display(),
            folder.display(),
            output.parent().unwrap_or(output).display()
        )),
        _ => JobError::failed(format!("{}: {error}", record.display())),
    })?;
    let outcome: Outcome =
        serde_json::from_slice(&text).map_err(|error| JobError::failed(format!("{}: {error}", record.display())))?;
    for artifact in outcome.artifacts {
        let path = output.join(artifact.path);
        let is_weights = path.extension().is_some_and(|kind| kind == "safetensors") && !path.ends_with(OPTIMIZER);
        if is_weights && path.parent() == Some(folder) && digest_of(&path)? != artifact.digest {
            return Err(JobError::failed(format!(
                "{} has changed since its job wrote it: its digest is another one; remove it, and `grid resume` \
                 makes it again",
                path.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
