//! Finding sources on this machine: files, digests, volumes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::domain::{CorpusFormat, DatasetFormat, Digest, LocatedSource, MeasuredText, Origin, Remote, Source};

use super::atomic::replace_file;
use super::download::{CacheState, CachedData, DataCache, Mismatch};
use super::error::DataError;
use super::files::{evaluation_files_in, file_name, is_evaluation_file, matches, visible_by_name};
use super::model_folder::{self, FoundModel};
use super::{archive, corpus, records};

/// Bumped by hand when documents, records or the toy world change, so that cached volumes are counted anew.
const RULES: u32 = 2;

/// Files younger than this are not remembered: one more write in the same tick of the clock would go unseen.
const SETTLED: Duration = Duration::from_secs(2);

/// Looks sources up and remembers digests and volumes from run to run, so that planning does not read the data again.
///
/// The cache is a convenience: one that is missing, damaged or of other rules counts as empty.
#[derive(Debug)]
pub struct Survey {
    cache_file: PathBuf,
    cache: SurveyCache,
    fetched: DataCache,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct SurveyCache {
    rules: u32,
    /// By absolute path.
    digests: BTreeMap<String, FileDigest>,
    /// By origin and format, as JSON.
    volumes: BTreeMap<String, MeasuredText>,
}

/// What was found of a source.
enum FoundSource {
    World(Origin),
    /// Files, and whether their names mean something.
    Files(Vec<PathBuf>, bool),
    /// An archive in the place of a folder.
    Archive(PathBuf),
    /// Nothing, at this location.
    Nothing(String),
}

/// The digest of a file, and what the file looked like when it was taken.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct FileDigest {
    length: u64,
    modified_ns: u64,
    digest: Digest,
}

impl Survey {
    /// Opens the cache in this file.
    pub fn open(cache_file: &Path) -> Self {
        let cache = fs::read(cache_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let cache = cache.filter(|cache: &SurveyCache| cache.rules == RULES);
        let cache = cache.unwrap_or_else(|| SurveyCache { rules: RULES, ..SurveyCache::default() });
        Self { cache_file: cache_file.to_owned(), cache, fetched: DataCache::default() }
    }

    /// The same, which also finds what was fetched of other machines.
    pub fn with_cache(self, fetched: DataCache) -> Self {
        Self { fetched, ..self }
    }

    /// Finds the files of a source and digests their contents.
    ///
    /// Files are sorted by file name, hidden ones (`.name`) left out. For [`Source::Files`] only the contents enter the
    /// digest, in that order; for [`Source::Folder`], whose JSON and CSV files are taken, and for [`Source::Model`] also
    /// their names. Where there is an archive instead of the folder, it has the digest that the files in it would have.
    /// A source without files is [`Origin::Missing`], not an error.
    ///
    /// # Errors
    /// A pattern that is none, a folder given as a file, a model that cannot be used, files or archives that cannot be
    /// read.
    pub fn locate(&mut self, source: &Source) -> Result<LocatedSource, DataError> {
        match self.find(source)? {
            FoundSource::World(origin) => Ok(LocatedSource { origin, files: vec![] }),
            FoundSource::Nothing(location) => Ok(LocatedSource { origin: Origin::Missing { location }, files: vec![] }),
            FoundSource::Archive(archive) => {
                let origin = Origin::Content { digest: self.digest_within(&archive)? };
                Ok(LocatedSource { origin, files: vec![archive] })
            }
            FoundSource::Files(files, named) => self.content(files, named),
        }
    }

    /// The files of a source, unread; none for the toy world and for what is missing.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn files(&self, source: &Source) -> Result<Vec<PathBuf>, DataError> {
        Ok(match self.find(source)? {
            FoundSource::World(_) | FoundSource::Nothing(_) => vec![],
            FoundSource::Archive(archive) => vec![archive],
            FoundSource::Files(files, _) => files,
        })
    }

    /// What has to be fetched of another machine before a source can be found; also what was altered since it came.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn unfetched(&self, source: &Source) -> Result<Option<Remote>, DataError> {
        if let Source::Remote(remote) = source {
            let fetch = match self.fetched.status(remote)?.state {
                CacheState::Missing => true,
                CacheState::Differs(Mismatch { by_lock, .. }) => !by_lock,
                CacheState::Fetched | CacheState::Locked => false,
            };
            if fetch {
                return Ok(Some(remote.clone()));
            }
        }
        Ok(match self.find(source)? {
            FoundSource::Nothing(_) => source.remote(),
            FoundSource::World(_) | FoundSource::Archive(_) | FoundSource::Files(..) => None,
        })
    }

    fn find(&self, source: &Source) -> Result<FoundSource, DataError> {
        let found = |files: Vec<PathBuf>, named: bool, location: &Path| match files[..] {
            [] => FoundSource::Nothing(location.display().to_string()),
            _ => FoundSource::Files(files, named),
        };
        Ok(match source {
            Source::World { part, seed, size } => {
                FoundSource::World(Origin::World { part: *part, seed: *seed, size: *size })
            }
            Source::Files(pattern) => found(matches(pattern)?, false, pattern),
            Source::Folder(folder) => match (evaluation_files_in(folder)?, archive::instead_of(folder)) {
                (files, Some(archive)) if files.is_empty() => FoundSource::Archive(archive),
                (files, _) => found(files, true, folder),
            },
            Source::Model(model) => match model_folder::find(model, &self.fetched)? {
                FoundModel::Files(files) => FoundSource::Files(files, true),
                FoundModel::Nothing(location) => FoundSource::Nothing(location),
            },
            Source::Remote(remote) => {
                let inner = match self.fetched.find(remote)? {
                    None => return Ok(FoundSource::Nothing(remote.to_string())),
                    Some(CachedData::Files(files)) => return Ok(FoundSource::Files(visible_by_name(files), false)),
                    Some(CachedData::Pattern(pattern)) => Source::Files(pattern),
                    Some(CachedData::Folder(folder)) => Source::Folder(folder),
                };
                match self.find(&inner)? {
                    FoundSource::Nothing(_) if remote.archive.is_some() => {
                        return Err(self.fetched.nothing_in(remote).into());
                    }
                    hit => hit,
                }
            }
        })
    }

    /// Files and the digest of their contents, and of their names if these mean something.
    fn content(&mut self, files: Vec<PathBuf>, named: bool) -> Result<LocatedSource, DataError> {
        let digests = files.iter().map(|path| self.digest(path)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<String> = files.iter().map(|path| if named { file_name(path) } else { String::new() }).collect();
        let digest = Digest::of_named(names.iter().map(String::as_str).zip(digests));
        Ok(LocatedSource { origin: Origin::Content { digest }, files })
    }

    /// Documents and words of a corpus under this format.
    ///
    /// # Errors
    /// As [`super::documents`].
    pub fn measure_corpus(
        &mut self,
        located: &LocatedSource,
        format: &CorpusFormat,
    ) -> Result<MeasuredText, DataError> {
        self.volume(&located.origin, format, || corpus::volume(located, format))
    }

    /// Records and words (of prompts and replies) of a dataset under this format.
    ///
    /// # Errors
    /// As [`super::records()`].
    pub fn measure_dataset(
        &mut self,
        located: &LocatedSource,
        format: &DatasetFormat,
    ) -> Result<MeasuredText, DataError> {
        self.volume(&located.origin, format, || records::volume(located, format))
    }

    /// Replaces the cache file.
    ///
    /// # Errors
    /// A folder that cannot be made or written.
    pub fn save(&self) -> Result<(), DataError> {
        let folder = self.cache_file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(DataError::io("make folder", folder))?;
        }
        let json = serde_json::to_vec_pretty(&self.cache).expect("a cache has string keys");
        replace_file(&self.cache_file, &json).map_err(DataError::io("write", &self.cache_file))
    }

    fn volume(
        &mut self,
        origin: &Origin,
        format: &impl Serialize,
        count: impl FnOnce() -> Result<MeasuredText, DataError>,
    ) -> Result<MeasuredText, DataError> {
        if let Origin::Missing { location } = origin {
            return Err(DataError::Missing { location: location.clone() });
        }
        let key = serde_json::to_string(&(origin, format)).expect("origins and formats have string keys");
        if let Some(&known) = self.cache.volumes.get(&key) {
            return Ok(known);
        }
        let volume = count()?;
        self.cache.volumes.insert(key, volume);
        Ok(volume)
    }

    /// The digest of a file.
    fn digest(&mut self, path: &Path) -> Result<Digest, DataError> {
        self.remembered(path, "", |path| {
            let mut hasher = blake3::Hasher::new();
            hasher.update_mmap(path).map_err(DataError::io("read", path))?;
            Ok(Digest::from_hash(hasher.finalize()))
        })
    }

    /// The digest that the evaluation files in an archive would have in a folder.
    fn digest_within(&mut self, path: &Path) -> Result<Digest, DataError> {
        self.remembered(path, "within ", |path| {
            let mut files = archive::files(path, is_evaluation_file)?;
            if files.is_empty() {
                let reason = "it holds no JSON or CSV file".to_owned();
                return Err(DataError::Archive { path: path.to_owned(), reason });
            }
            files.sort();
            Ok(Digest::of_named(files.iter().map(|(name, content)| (name.as_str(), Digest::of(content)))))
        })
    }

    /// What `take` makes of a file, or made of it before if it looks unchanged.
    fn remembered(
        &mut self,
        path: &Path,
        what: &str,
        take: impl FnOnce(&Path) -> Result<Digest, DataError>,
    ) -> Result<Digest, DataError> {
        let absolute = std::path::absolute(path).map_err(DataError::io("read", path))?;
        let key = format!("{what}{}", absolute.display());
        let (length, modified) = look(path)?;
        let modified_ns = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        if let Some(known) = self.cache.digests.get(&key)
            && (known.length, known.modified_ns) == (length, modified_ns)
        {
            return Ok(known.digest);
        }
        let digest = take(path)?;
        let settled = modified.elapsed().is_ok_and(|age| age > SETTLED) && look(path)? == (length, modified);
        if settled {
            self.cache.digests.insert(key, FileDigest { length, modified_ns, digest });
        }
        Ok(digest)
    }
}

/// Length and time of modification.
fn look(path: &Path) -> Result<(u64, SystemTime), DataError> {
    let metadata = fs::metadata(path).map_err(DataError::io("read", path))?;
    Ok((metadata.len(), metadata.modified().map_err(DataError::io("read", path))?))
}

#[cfg(test)]
mod tests {
    use crate::domain::{Documents, WorldPart};

    use super::*;

    fn lines() -> CorpusFormat {
        CorpusFormat { documents: Documents::Line, ..CorpusFormat::default() }
    }

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn locate(source: Source) -> LocatedSource {
        Survey::open(Path::new("/nonexistent/cache")).locate(&source).unwrap()
    }

    #[test]
    fn files_are_sorted_by_name_and_hidden_ones_left_out() {
        let folder = folder_with(&[("x/2.txt", "two"), ("y/1.txt", "one"), ("y/.3.txt", "three"), ("y/4.md", "")]);
        let located = locate(Source::Files(folder.path().join("*/*.txt")));
        assert_eq!(located.files, [folder.path().join("y/1.txt"), folder.path().join("x/2.txt")]);
    }

    #[test]
    fn a_folder_named_like_a_pattern_is_itself() {
        let folder = folder_with(&[("texts [a-c]/1.txt", "one"), ("texts b/2.txt", "two")]);
        let located = locate(Source::Files(folder.path().join("texts [a-c]/*.txt")));
        assert_eq!(located.files, [folder.path().join("texts [a-c]/1.txt")]);
        let located = locate(Source::Files(folder.path().join("texts ?/*.txt")));
        assert_eq!(located.files, [folder.path().join("texts b/2.txt")]);
    }

    #[test]
    fn names_matter_for_folders_only() {
        let (one, other) = (folder_with(&[("a.jsonl", "{}")]), folder_with(&[("b.jsonl", "{}")]));
        let files = |folder: &tempfile::TempDir| locate(Source::Files(folder.path().join("*"))).origin;
        let whole = |folder: &tempfile::TempDir| locate(Source::Folder(folder.path().to_owned())).origin;
        assert_eq!(files(&one), files(&other));
        assert_ne!(whole(&one), whole(&other));
    }

    #[test]
    fn what_is_not_there_is_missing_and_a_folder_is_not_a_file() {
        let folder = folder_with(&[("a.txt", "x")]);
        for source in [Source::Files(folder.path().join("*.md")), Source::Folder(folder.path().to_owned())] {
            let located = locate(source);
            assert!(matches!(&located.origin, Origin::Missing { .. }), "{located:?}");
            let mut survey = Survey::open(Path::new("/nonexistent/cache"));
            assert!(matches!(survey.measure_corpus(&located, &lines()), Err(DataError::Missing { .. })));
        }
        let source = Source::Files(folder.path().to_owned());
        assert!(matches!(Survey::open(Path::new("none")).locate(&source), Err(DataError::IsFolder { .. })));
    }

    #[test]
    fn the_cache_survives_and_a_changed_file_is_read_again() {
        let folder = folder_with(&[("a.txt", "one two\nthree\n")]);
        let (path, cache) = (folder.path().join("a.txt"), folder.path().join("cache/survey.json"));
        let source = Source::Files(path.clone());
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::open(&path).unwrap().set_modified(old).unwrap();

        let mut survey = Survey::open(&cache);
        let first = survey.locate(&source).unwrap();
        let volume = survey.measure_corpus(&first, &lines()).unwrap();
        assert_eq!(volume, MeasuredText { units: 2, words: 3, blank: 0 });
        survey.save().unwrap();

        let mut survey = Survey::open(&cache);
        assert_eq!((survey.cache.digests.len(), survey.cache.volumes.len()), (1, 1));
        assert_eq!(survey.locate(&source).unwrap(), first);
        let elsewhere = LocatedSource { files: vec![], ..first.clone() };
        assert_eq!(survey.measure_corpus(&elsewhere, &lines()).unwrap(), volume, "remembered, not counted");

        fs::write(&path, "one TWO\nthree\n").unwrap();
        assert_ne!(survey.locate(&source).unwrap().origin, first.origin);
        fs::write(&cache, "{ damaged").unwrap();
        assert!(Survey::open(&cache).cache.digests.is_empty());
    }

    #[test]
    fn the_toy_world_has_volumes_too() {
        let mut survey = Survey::open(Path::new("none"));
        let speech = locate(Source::World { part: WorldPart::Speech, seed: 1, size: 500 });
        let volume = survey.measure_corpus(&speech, &lines()).unwrap();
        assert!((500..530).contains(&volume.words), "{volume:?}");
        let chat = locate(Source::World { part: WorldPart::Chat, seed: 1, size: 20 });
        let format = DatasetFormat::dialogue(0);
        assert_eq!(survey.measure_dataset(&chat, &format).unwrap().units, 20);
        assert!(survey.measure_corpus(&chat, &lines()).is_err());
    }
}
