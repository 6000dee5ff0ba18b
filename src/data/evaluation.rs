//! Evaluation files, as bytes for the suites to parse.

use std::io::Cursor;

use crate::domain::{LocatedSource, Origin, Suite, WorldPart};

use super::archive::{self, is_archive};
use super::error::DataError;
use super::files::{file_name, is_evaluation_file, read_unpacked, unpacked_name};
use super::source_file;
use super::world;

/// The evaluation files of a suite as (file name, content), sorted by name; an archive is replaced by the files in it.
///
/// # Errors
/// Missing or unreadable files, files that no longer have the content of their origin, a part of the toy world other than
/// [`WorldPart::Evaluation`].
pub fn evaluation_files(located: &LocatedSource, suite: Suite) -> Result<Vec<(String, Vec<u8>)>, DataError> {
    let mut files = match &located.origin {
        Origin::World { part: WorldPart::Evaluation, seed, size } => world::evaluation(*seed, *size, suite),
        Origin::World { part, .. } => {
            return Err(DataError::WrongPart { part: *part, wanted: "evaluation files", choices: "evaluation" });
        }
        Origin::Content { .. } | Origin::Output { .. } => {
            let mut files = vec![];
            for file in &located.files {
                let path = &file.path;
                match is_archive(path) {
                    true => {
                        let content = Cursor::new(source_file::read(file)?);
                        files.extend(archive::files(path, content, is_evaluation_file)?);
                    }
                    false => files.push((unpacked_name(&file_name(path)).to_owned(), read_unpacked(file)?)),
                }
            }
            files
        }
        Origin::Missing { location } => return Err(DataError::Missing { location: location.clone() }),
    };
    files.sort();
    Ok(files)
}

/// One evaluation file: the only file of the location, or the file of this name in the toy world.
///
/// # Errors
/// As [`evaluation_files`].
pub fn evaluation_file(located: &LocatedSource, suite: Suite, name: &str) -> Result<(String, Vec<u8>), DataError> {
    let mut files = evaluation_files(located, suite)?.into_iter();
    let found = match &located.origin {
        Origin::World { .. } => files.find(|(known, _)| known == name),
        Origin::Content { .. } | Origin::Output { .. } | Origin::Missing { .. } => files.next(),
    };
    found.ok_or_else(|| DataError::Missing { location: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::domain::Source;

    use super::super::Survey;
    use super::*;

    #[test]
    fn files_are_sorted_by_name() {
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
