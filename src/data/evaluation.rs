//! Evaluation files: the bytes that suites parse.

use std::fs;

use crate::domain::{Located, Origin, Suite, WorldPart};

use super::error::DataError;
use super::world;

/// The evaluation files of a suite as (file name, content), sorted by name.
///
/// # Errors
/// Missing or unreadable files, a part of the toy world other than [`WorldPart::Evaluation`].
pub fn evaluation_files(located: &Located, suite: Suite) -> Result<Vec<(String, Vec<u8>)>, DataError> {
    let mut files = match &located.origin {
        Origin::World { part: WorldPart::Evaluation, seed, size } => world::evaluation(*seed, *size, suite),
        Origin::World { part, .. } => {
            return Err(DataError::WrongPart { part: *part, wanted: "evaluation files", choices: "evaluation" });
        }
        Origin::Content { .. } => located
            .files
            .iter()
            .map(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Ok((name, fs::read(path).map_err(DataError::io("read", path))?))
            })
            .collect::<Result<_, DataError>>()?,
        Origin::Missing { location } => return Err(DataError::Missing { location: location.clone() }),
    };
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use crate::domain::Source;

    use super::super::Survey;
    use super::*;

    #[test]
    fn files_of_a_folder_and_of_the_world_come_sorted_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl", "notes.txt"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let mut survey = Survey::open(&folder.path().join("cache.json"));
        let located = survey.locate(&Source::Folder(folder.path().to_owned())).unwrap();
        let files = evaluation_files(&located, Suite::Blimp).unwrap();
        assert_eq!(files, [("a.jsonl".into(), b"a.jsonl".to_vec()), ("b.jsonl".into(), b"b.jsonl".to_vec())]);

        for suite in [Suite::Blimp, Suite::BlimpSupplement] {
            let source = Source::World { part: WorldPart::Evaluation, seed: 1, size: 4 };
            let files = evaluation_files(&survey.locate(&source).unwrap(), suite).unwrap();
            assert!(files.len() >= 3 && files.is_sorted(), "{suite}: {files:?}");
        }
        let speech = Source::World { part: WorldPart::Speech, seed: 1, size: 4 };
        assert!(evaluation_files(&survey.locate(&speech).unwrap(), Suite::Blimp).is_err());
    }
}
