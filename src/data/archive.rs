//! Evaluation files in password-protected archives. They are read in memory; no decrypted copy is ever written.

use std::fs;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::error::DataError;

/// The passwords that the authors of entity tracking and EWoK publish with their archives, which keep crawlers from
/// reading the items.
const PASSWORDS: [&[u8]; 2] = [b"iamnotaLM", b"BabyLM2025"];

/// The largest accepted size of a file: far more than that of official files, and far less than the memory of a machine.
const MAX_BYTES: u64 = 1 << 30;

/// Whether this is the path of an archive.
pub(super) fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zip")
}

/// The archive to use in place of an official folder of evaluation files. It is searched in the folder itself, then next to
/// the folder under its name, then in the folder of the task next to the evaluation data.
///
/// For `DATA/full_eval/entity_tracking` these are `DATA/full_eval/entity_tracking/*.zip`,
/// `DATA/full_eval/entity_tracking{,_full}.zip` and `DATA/../entity_tracking/entity_tracking{,_full}.zip`.
pub(super) fn archive_for(folder: &Path) -> Option<PathBuf> {
    let within = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut within: Vec<PathBuf> = within.filter(|path| is_archive(path) && path.is_file()).collect();
    within.sort();
    if let Some(archive) = within.into_iter().next() {
        return Some(archive);
    }
    let name = folder.file_name()?.to_str()?;
    let task = name.strip_suffix("_fast").or(name.strip_suffix("_filtered")).unwrap_or(name);
    let beside = folder.parent()?;
    let beside_data = beside.parent().map(|data| data.join("..").join(task));
    let names = [format!("{name}.zip"), format!("{name}_full.zip")];
    let mut places = [Some(beside.to_owned()), beside_data].into_iter().flatten();
    places.find_map(|place| names.iter().map(|name| place.join(name)).find(|path| path.is_file()))
}

/// The files of an archive as (name without folders, content) whose names `wanted` accepts.
///
/// # Errors
/// An archive that cannot be read, is damaged, or has an unknown password.
pub(super) fn files(
    path: &Path,
    content_of_archive: impl Read + Seek,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<(String, Vec<u8>)>, DataError> {
    let failed = |reason: String| DataError::Archive { path: path.to_owned(), reason };
    let mut archive = ZipArchive::new(content_of_archive).map_err(|error| failed(error.to_string()))?;
    let mut files = vec![];
    for index in 0..archive.len() {
        let Some(name) = archive.name_for_index(index) else { continue };
        let name = PathBuf::from(&*name.map_err(|error| failed(error.to_string()))?);
        let (Some(base), true) = (name.file_name(), wanted(&name)) else { continue };
        let content = content(&mut archive, index).map_err(|reason| failed(format!("{}: {reason}", name.display())))?;
        files.push((base.to_string_lossy().into_owned(), content));
    }
    Ok(files)
}

/// The content of an entry. A wrong password may be detected only by the checksum at the end of the entry.
fn content(archive: &mut ZipArchive<impl Read + Seek>, index: usize) -> Result<Vec<u8>, String> {
    match archive.by_index(index) {
        Ok(entry) => return read_entry(entry).map_err(|error| error.to_string()),
        Err(ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED)) => {}
        Err(error) => return Err(error.to_string()),
    }
    for password in PASSWORDS {
        match archive.by_index_decrypt(index, password) {
            Ok(entry) => match read_entry(entry) {
                Ok(content) => return Ok(content),
                Err(_) => continue,
            },
            Err(ZipError::InvalidPassword) => continue,
            Err(error) => return Err(error.to_string()),
        }
    }
    Err("its password is not one of those published with the evaluation data".to_owned())
}

fn read_entry<R: Read>(mut entry: ZipFile<'_, R>) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    match (&mut entry).take(MAX_BYTES).read_to_end(&mut content)? as u64 {
        MAX_BYTES => Err(io::Error::other("the file is too large for an evaluation file")),
        _ => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use zip::unstable::write::FileOptionsExt;
    use zip::write::SimpleFileOptions;

    use crate::domain::{Origin, Source};

    use super::super::{Survey, evaluation_files};
    use super::*;

    /// The options of an entry with a password.
    fn locked(password: &'static [u8]) -> SimpleFileOptions {
        SimpleFileOptions::default().with_deprecated_encryption(password).expect("a password")
    }

    fn archive(path: &Path, options: SimpleFileOptions, files: &[(&str, &str)]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut writer = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, content) in files {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
    }

    const FILES: [(&str, &str); 4] = [
        ("entity_tracking/regular.jsonl", "{}\n"),
        ("entity_tracking/ambiref.jsonl", "{\"a\": 1}\n"),
        ("__MACOSX/entity_tracking/._regular.jsonl", "\u{0}"),
        ("entity_tracking/README.md", "read me"),
    ];

    #[test]
    fn an_archive_replaces_a_folder_and_has_the_same_digest() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("evaluation_data/full_eval/entity_tracking");
        let locate = || Survey::open(Path::new("none")).locate(&Source::Folder(folder.clone())).unwrap();
        let contents = |located| evaluation_files(&located, crate::domain::Suite::EntityTracking).unwrap();
        assert!(matches!(locate().origin, Origin::Missing { .. }));

        fs::create_dir_all(&folder).unwrap();
        for (name, content) in &FILES[..2] {
            fs::write(folder.join(name.rsplit('/').next().unwrap()), content).unwrap();
        }
        let (plain, wanted) = (locate(), contents(locate()));
        assert_eq!(wanted.len(), 2);
        fs::remove_dir_all(&folder).unwrap();

        let places = [
            "evaluation_data/full_eval/entity_tracking/any.zip",
            "evaluation_data/full_eval/entity_tracking.zip",
            "entity_tracking/entity_tracking_full.zip",
        ];
        for place in places {
            for password in PASSWORDS {
                let path = data.path().join(place);
                archive(&path, locked(password), &FILES);
                let located = locate();
                assert_eq!(located.origin, plain.origin, "{place}");
                assert_eq!(located.files.len(), 1);
                assert_eq!(contents(located), wanted);
                fs::remove_file(path).unwrap();
            }
        }
        let path = data.path().join("entity_tracking/entity_tracking_fast.zip");
        archive(&path, SimpleFileOptions::default(), &FILES);
        assert!(matches!(locate().origin, Origin::Missing { .. }), "the fast files do not replace the full ones");
        assert_eq!(
            files(&path, File::open(&path).unwrap(), |name: &Path| name.ends_with("README.md")).unwrap(),
            [("README.md".into(), b"read me".into())]
        );
    }

    #[test]
    fn unknown_passwords_and_damaged_archives_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        archive(&path, locked(b"swordfish"), &FILES);
        let error = files(&path, File::open(&path).unwrap(), |_| true).unwrap_err().to_string();
        assert!(
            error.contains("x.zip") && error.contains("regular.jsonl: its password is not one of those published"),
            "{error}"
        );
        fs::write(&path, "not an archive").unwrap();
        assert!(files(&path, File::open(&path).unwrap(), |_| true).unwrap_err().to_string().contains("x.zip"));
    }

    #[test]
    fn real_archives_of_entity_tracking() {
        let Some(data) = crate::recordings::recording("data/evaluation_data") else { return };
        for (folder, names) in [
            ("fast_eval/entity_tracking_fast", &["regular.jsonl"][..]),
            ("full_eval/entity_tracking", &["ambiref.jsonl", "move_contents.jsonl", "regular.jsonl"]),
        ] {
            let located = Survey::open(Path::new("none")).locate(&Source::Folder(data.join(folder))).unwrap();
            let files = evaluation_files(&located, crate::domain::Suite::EntityTracking).unwrap();
            assert!(files.iter().map(|(name, _)| name.as_str()).eq(names.iter().copied()));
            let regular = files.iter().find(|(name, _)| name == "regular.jsonl").unwrap();
            assert_eq!(regular.1.len(), 2_369_451);
        }
    }
}
