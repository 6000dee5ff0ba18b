//! Finding the files of sources on this machine, with their digests and sizes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::{
    CorpusFormat, DatasetFormat, Digest, LocatedSource, MeasuredText, Origin, Remote, Source, SourceFile, digested_json,
};

use super::atomic::replace_file;
use super::detect::detect_format;
use super::digests::{FileDigests, combined};
use super::download::{CacheState, CachedData, DataCache, Mismatch};
use super::error::DataError;
use super::files::{evaluation_files_in, file_name, matches, visible_by_name};
use super::model_folder::{self, FoundModel};
use super::{archive, corpus, records};

/// Incremented by hand when the rules for documents or records, the readers of evaluation data, or the toy world change, so
/// that cached sizes are computed again.
const RULES: u32 = 4;

/// Finds the files of sources. Digests and sizes are cached between runs, so that planning does not read the data again.
///
/// A cache file that is missing, damaged or from other rules counts as empty.
#[derive(Debug)]
pub struct Survey {
    cache_file: PathBuf,
    cache: SurveyCache,
    fetched: DataCache,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct SurveyCache {
    rules: u32,
    digests: FileDigests,
    /// Sizes by origin and format, as JSON.
    #[serde(rename = "volumes")]
    sizes: BTreeMap<String, MeasuredText>,
    /// Detected formats of datasets by origin, as JSON.
    #[serde(default)]
    formats: BTreeMap<String, DatasetFormat>,
    /// Numbers of evaluation items by origin and the rules they were read with, as JSON.
    items: BTreeMap<String, u64>,
}

/// How text is read: as documents or as records.
#[derive(Debug, Clone, Copy)]
pub enum TextFormat<'a> {
    /// The format of a corpus.
    Corpus(&'a CorpusFormat),
    /// The format of a dataset.
    Dataset(&'a DatasetFormat),
}

/// The files that were found for a source.
enum FoundSource {
    World(Origin),
    /// Files, and whether their names are part of the content.
    Files(Vec<PathBuf>, bool),
    /// The files of a model.
    Model(Vec<PathBuf>),
    /// An archive in place of a folder.
    Archive(PathBuf),
    /// No files at this location.
    Nothing(String),
}

impl Survey {
    /// Loads the cache from this file.
    pub fn open(cache_file: &Path) -> Self {
        let text = fs::read_to_string(cache_file).ok();
        let cache = text.and_then(|text| digested_json::from_text(&text).ok());
        let cache = cache.filter(|cache: &SurveyCache| cache.rules == RULES);
        let cache = cache.unwrap_or_else(|| SurveyCache { rules: RULES, ..SurveyCache::default() });
        Self { cache_file: cache_file.to_owned(), cache, fetched: DataCache::default() }
    }

    /// Adds the cache of remote data, so that fetched files are found too.
    pub fn with_cache(self, fetched: DataCache) -> Self {
        Self { fetched, ..self }
    }

    /// Finds the files of a source and computes the digest of their contents.
    ///
    /// Files are sorted by name; hidden ones (`.name`) are left out. For [`Source::Files`] only the contents enter the
    /// digest, in that order; for [`Source::Folder`] (its JSON and CSV files) and [`Source::Model`] also the names. An
    /// archive in place of a folder has the same digest as a folder with its files. A source without files is
    /// [`Origin::Missing`], not an error.
    ///
    /// # Errors
    /// An invalid pattern, a folder given as a file, a model that cannot be used, files or archives that cannot be read.
    pub fn locate(&mut self, source: &Source) -> Result<LocatedSource, DataError> {
        match self.find(source)? {
            FoundSource::World(origin) => Ok(LocatedSource { origin, files: vec![] }),
            FoundSource::Nothing(location) => Ok(LocatedSource { origin: Origin::Missing { location }, files: vec![] }),
            FoundSource::Archive(archive) => {
                let digests = &mut self.cache.digests;
                let (within, whole) = (digests.within_archive(&archive)?, digests.of_file(&archive)?);
                if within.stamp != whole.stamp {
                    return Err(DataError::Changing { path: archive });
                }
                let origin = Origin::Content { digest: within.digest };
                Ok(LocatedSource { origin, files: vec![SourceFile { path: archive, digest: whole.digest }] })
            }
            FoundSource::Files(files, named) => self.content(files, named),
            FoundSource::Model(files) => self.model(files),
        }
    }

    /// The files of a source, without reading them; none for the toy world and for missing data.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn files(&self, source: &Source) -> Result<Vec<PathBuf>, DataError> {
        Ok(match self.find(source)? {
            FoundSource::World(_) | FoundSource::Nothing(_) => vec![],
            FoundSource::Archive(archive) => vec![archive],
            FoundSource::Files(files, _) | FoundSource::Model(files) => files,
        })
    }

    /// The remote files that have to be fetched before the source can be used, because they are missing or have changed
    /// since they were fetched.
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
            FoundSource::World(_) | FoundSource::Archive(_) | FoundSource::Files(..) | FoundSource::Model(_) => None,
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
            Source::Folder(folder) => match (evaluation_files_in(folder)?, archive::archive_for(folder)) {
                (files, Some(archive)) if files.is_empty() => FoundSource::Archive(archive),
                (files, _) => found(files, true, folder),
            },
            Source::Model(model) => match model_folder::find(model, &self.fetched)? {
                FoundModel::Files(files) => FoundSource::Model(files),
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

    /// The files with the digest of their contents, and of their names if `named`.
    fn content(&mut self, files: Vec<PathBuf>, named: bool) -> Result<LocatedSource, DataError> {
        let files = self.digested(files)?;
        let digest = combined(&files, named);
        Ok(LocatedSource { origin: Origin::Content { digest }, files })
    }

    /// The files of a model with their digest; see [`model_folder::model_digest`].
    fn model(&mut self, files: Vec<PathBuf>) -> Result<LocatedSource, DataError> {
        let files = self.digested(files)?;
        let parts: Vec<(String, Digest)> = files.iter().map(|file| (file_name(&file.path), file.digest)).collect();
        let folder = files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
        let digest = model_folder::model_digest(folder, &parts);
        Ok(LocatedSource { origin: Origin::Content { digest }, files })
    }

    /// The files with their digests.
    fn digested(&mut self, files: Vec<PathBuf>) -> Result<Vec<SourceFile>, DataError> {
        files.into_iter().map(|path| Ok(SourceFile { digest: self.digest_of(&path)?, path })).collect()
    }

    /// The digest of a file, which is remembered for as long as the file is the same.
    ///
    /// # Errors
    /// A file that cannot be read, or that changes while it is read.
    pub fn digest_of(&mut self, path: &Path) -> Result<Digest, DataError> {
        self.cache.digests.of_file(path).map(|found| found.digest)
    }

    /// The number of documents and words of a corpus in this format.
    ///
    /// # Errors
    /// As [`super::documents`].
    pub fn measure_corpus(
        &mut self,
        located: &LocatedSource,
        format: &CorpusFormat,
    ) -> Result<MeasuredText, DataError> {
        self.size(located, format, || corpus::measure(located, format))
    }

    /// The number of records and words (of prompts and replies) of a dataset in this format.
    ///
    /// # Errors
    /// As [`super::records()`].
    pub fn measure_dataset(
        &mut self,
        located: &LocatedSource,
        format: &DatasetFormat,
    ) -> Result<MeasuredText, DataError> {
        self.size(located, format, || records::measure(located, format))
    }

    /// The bytes of the text of a corpus or dataset in this format, without what separates documents or records; 0 for token
    /// ids.
    ///
    /// # Errors
    /// As [`super::documents`] and [`super::records()`].
    pub fn count_bytes(&mut self, located: &LocatedSource, format: TextFormat<'_>) -> Result<u64, DataError> {
        match format {
            TextFormat::Corpus(format) => {
                self.count_items(located, &("bytes of text", format), |located| corpus::count_bytes(located, format))
            }
            TextFormat::Dataset(format) => self
                .count_items(located, &("bytes of records", format), |located| records::count_bytes(located, format)),
        }
    }

    /// The number of records of a dataset whose instruction stands alone, so that they are the same for every
    /// [`InstructionPosition`](crate::domain::InstructionPosition).
    ///
    /// # Errors
    /// As [`super::records()`].
    pub fn count_without_input(&mut self, located: &LocatedSource, format: &DatasetFormat) -> Result<u64, DataError> {
        let read = |located: &LocatedSource| records::count_without_input(located, format);
        self.count_items(located, &("records without input", format), read)
    }

    /// The number of items in evaluation data. `read` counts them, unless they were counted before with the same `rules`.
    ///
    /// # Errors
    /// Those of `read`, which are not remembered; missing data.
    pub fn count_items<E: From<DataError>>(
        &mut self,
        located: &LocatedSource,
        rules: &impl Serialize,
        read: impl FnOnce(&LocatedSource) -> Result<u64, E>,
    ) -> Result<u64, E> {
        let LocatedSource { origin, .. } = located;
        let key = serde_json::to_string(&(origin, rules)).expect("origins and rules have string keys");
        if let Some(&known) = self.cache.items.get(&key) {
            return Ok(known);
        }
        let count = read(located)?;
        self.cache.items.insert(key, count);
        Ok(count)
    }

    /// The format of a dataset, from the fields of its first row.
    ///
    /// # Errors
    /// As [`super::detect_format`].
    pub fn detect_format(&mut self, located: &LocatedSource, first: Option<u64>) -> Result<DatasetFormat, DataError> {
        let key = serde_json::to_string(&(&located.origin, first)).expect("an origin has string keys");
        if let Some(known) = self.cache.formats.get(&key) {
            return Ok(known.clone());
        }
        let format = detect_format(located, first)?;
        self.cache.formats.insert(key, format.clone());
        Ok(format)
    }

    /// Writes the cache to its file.
    ///
    /// # Errors
    /// A folder that cannot be created or written.
    pub fn save(&self) -> Result<(), DataError> {
        let folder = self.cache_file.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::create_dir_all(folder).map_err(DataError::io("create folder", folder))?;
        }
        let text = digested_json::to_text(&self.cache).expect("a cache has string keys");
        replace_file(&self.cache_file, text.as_bytes()).map_err(DataError::io("write", &self.cache_file))
    }

    fn size(
        &mut self,
        located: &LocatedSource,
        format: &impl Serialize,
        count: impl FnOnce() -> Result<MeasuredText, DataError>,
    ) -> Result<MeasuredText, DataError> {
        let LocatedSource { origin, .. } = located;
        if let Origin::Missing { location } = origin {
            return Err(DataError::Missing { location: location.clone() });
        }
        let key = serde_json::to_string(&(origin, format)).expect("origins and formats have string keys");
        if let Some(&known) = self.cache.sizes.get(&key) {
            return Ok(known);
        }
        let size = count()?;
        self.cache.sizes.insert(key, size);
        Ok(size)
    }
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

    fn paths(located: &LocatedSource) -> Vec<PathBuf> {
        located.files.iter().map(|file| file.path.clone()).collect()
    }

    fn locate(source: Source) -> LocatedSource {
        Survey::open(Path::new("/nonexistent/cache")).locate(&source).unwrap()
    }

    #[test]
    fn files_are_sorted_by_name_and_hidden_ones_left_out() {
        let folder = folder_with(&[("x/2.txt", "two"), ("y/1.txt", "one"), ("y/.3.txt", "three"), ("y/4.md", "")]);
        let located = locate(Source::Files(folder.path().join("*/*.txt")));
        assert_eq!(paths(&located), [folder.path().join("y/1.txt"), folder.path().join("x/2.txt")]);
    }

    #[test]
    fn an_existing_folder_is_not_a_pattern() {
        let folder = folder_with(&[("texts [a-c]/1.txt", "one"), ("texts b/2.txt", "two")]);
        let located = locate(Source::Files(folder.path().join("texts [a-c]/*.txt")));
        assert_eq!(paths(&located), [folder.path().join("texts [a-c]/1.txt")]);
        let located = locate(Source::Files(folder.path().join("texts ?/*.txt")));
        assert_eq!(paths(&located), [folder.path().join("texts b/2.txt")]);
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
    fn sources_without_files_are_missing_and_a_folder_is_not_a_file() {
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
    fn the_cache_persists_and_changed_files_are_read_again() {
        let folder = folder_with(&[("a.txt", "one two\nthree\n")]);
        let (path, cache) = (folder.path().join("a.txt"), folder.path().join("cache/survey.json"));
        let source = Source::Files(path.clone());
        // The digest of a file that was just written is not remembered.
        std::thread::sleep(std::time::Duration::from_millis(2_100));

        let mut survey = Survey::open(&cache);
        let first = survey.locate(&source).unwrap();
        let size = survey.measure_corpus(&first, &lines()).unwrap();
        assert_eq!(size, MeasuredText { units: 2, words: 3, blank: 0 });
        survey.save().unwrap();

        let mut survey = Survey::open(&cache);
        assert_eq!((survey.cache.digests.count(), survey.cache.sizes.len()), (1, 1));
        assert_eq!(survey.locate(&source).unwrap(), first);
        let elsewhere = LocatedSource { files: vec![], ..first.clone() };
        assert_eq!(survey.measure_corpus(&elsewhere, &lines()).unwrap(), size, "from the cache");

        fs::write(&path, "one TWO\nthree\n").unwrap();
        assert_ne!(survey.locate(&source).unwrap().origin, first.origin);
        fs::write(&cache, "{ damaged").unwrap();
        assert_eq!(Survey::open(&cache).cache.digests.count(), 0);
    }

    #[test]
    fn items_are_counted_once_for_each_content_and_rules() {
        let folder = folder_with(&[("a.jsonl", "{}")]);
        let mut survey = Survey::open(Path::new("none"));
        let located = survey.locate(&Source::Folder(folder.path().to_owned())).unwrap();
        let mut count = |rules: &str, read: Result<u64, DataError>| survey.count_items(&located, &rules, |_| read);
        assert!(count("a", Err(DataError::NoKey { variable: String::new() })).is_err());
        assert_eq!(count("a", Ok(3)).unwrap(), 3, "an error is not remembered");
        assert_eq!(count("a", Ok(4)).unwrap(), 3);
        assert_eq!(count("b", Ok(5)).unwrap(), 5);
    }

    #[test]
    fn the_toy_world_is_measured_too() {
        let mut survey = Survey::open(Path::new("none"));
        let speech = locate(Source::World { part: WorldPart::Speech, seed: 1, size: 500 });
        let size = survey.measure_corpus(&speech, &lines()).unwrap();
        assert!((500..530).contains(&size.words), "{size:?}");
        let chat = locate(Source::World { part: WorldPart::Chat, seed: 1, size: 20 });
        let format = DatasetFormat::dialogue(0);
        assert_eq!(survey.measure_dataset(&chat, &format).unwrap().units, 20);
        assert!(survey.measure_corpus(&chat, &lines()).is_err());
    }
}
