//! What a run recorded, and the first difference between two runs of the same plan.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::{Digest, JobId, layout};
use crate::plan::Plan;
use crate::session::failure::Failure;
use crate::store::{LastAttempt, Store};

/// What a run recorded for its jobs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Results {
    jobs: BTreeMap<JobId, JobResult>,
}

/// What is compared of a job. Numbers are compared as the shortest text that gives them back, which tells every two
/// numbers apart and makes not-a-number equal to itself.
#[derive(Debug, Clone, PartialEq, Default)]
struct JobResult {
    is_done: bool,
    scores: Vec<String>,
    items: Vec<String>,
    /// The recorded digest of each artifact, and the digest of the file that is there.
    files: BTreeMap<PathBuf, [Option<Digest>; 2]>,
}

impl Results {
    /// Reads the results of a plan.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn read(store: &Store, plan: &Plan) -> Result<Self, Failure> {
        let ids: Vec<JobId> = plan.jobs().map(|job| job.id).collect();
        let histories = store.history(&ids).await?;
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let mut items = store.items(&names).await?;
        let mut scores: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in store.scores(&plan.name).await? {
            scores.entry(row.job.clone()).or_default().push(format!("{row:?}"));
        }
        let result = |id: JobId| {
            let history = histories.get(&id)?;
            let output = history.attempt.as_ref()?.join(layout::OUTPUT);
            let found = |path: &Path| fs::read(output.join(path)).ok().map(|bytes| Digest::of(&bytes));
            let files = history.artifacts.iter();
            let files = files.map(|file| (file.path.to_path_buf(), [Some(file.digest), found(&file.path)])).collect();
            let name = id.to_string();
            Some(JobResult {
                is_done: history.last == LastAttempt::Done,
                scores: scores.remove(&name).unwrap_or_default(),
                items: items.remove(&name).unwrap_or_default().iter().map(|item| format!("{item:?}")).collect(),
                files,
            })
        };
        let mut result = result;
        Ok(Self { jobs: ids.into_iter().map(|id| (id, result(id).unwrap_or_default())).collect() })
    }

    /// How each job differs in another run of the plan; empty if both are identical.
    pub(super) fn differences(&self, other: &Self) -> BTreeMap<JobId, String> {
        let differing = self.jobs.iter().filter_map(|(id, one)| {
            let difference =
                other.jobs.get(id).map_or(Some("it was not run".to_owned()), |other| one.difference(other));
            Some((*id, difference?))
        });
        differing.collect()
    }
}

impl JobResult {
    fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let file = self.files.iter().find(|(path, digests)| other.files.get(*path) != Some(digests));
        let more = other.files.keys().find(|path| !self.files.contains_key(*path));
        Some(match (file, more) {
            _ if !other.is_done => "it is not done".to_owned(),
            (Some((path, [recorded, _])), _) => {
                let is_recorded = other.files.get(path).is_some_and(|digests| digests[0] == *recorded);
                let how = if is_recorded { "differs on disk from what is recorded" } else { "differs" };
                format!("{} {how}", path.display())
            }
            (None, Some(path)) => format!("{} should not be there", path.display()),
            (None, None) if self.items != other.items => "its items differ".to_owned(),
            (None, None) => "its scores differ".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_what_differs_first() {
        let digest = |text: &str| Some(Digest::of(text.as_bytes()));
        let straight = JobResult {
            is_done: true,
            scores: vec!["1".into()],
            items: vec!["2".into()],
            files: [(PathBuf::from("a"), [digest("a"), digest("a")])].into(),
        };
        let with = |change: &dyn Fn(&mut JobResult)| {
            let mut other = straight.clone();
            change(&mut other);
            straight.difference(&other)
        };
        assert_eq!(with(&|_| {}), None);
        let disk = with(&|other| other.files.values_mut().for_each(|digests| digests[1] = digest("b")));
        assert_eq!(disk.as_deref(), Some("a differs on disk from what is recorded"));
        let both = with(&|other| other.files.values_mut().for_each(|digests| *digests = [digest("b"); 2]));
        assert_eq!(both.as_deref(), Some("a differs"));
        assert_eq!(with(&|other| other.items.clear()).as_deref(), Some("its items differ"));
        assert_eq!(with(&|other| other.scores.clear()).as_deref(), Some("its scores differ"));
        assert_eq!(with(&|other| other.is_done = false).as_deref(), Some("it is not done"));
        assert_eq!(with(&|other| other.files.clear()).as_deref(), Some("a differs"));
    }
}
