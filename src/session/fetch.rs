//! Fetching the data of a spec from other machines, and locking what was fetched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::failure::{Exit, Failure};
use super::open::Session;
use super::runs_folder::RunsFolder;
use super::spec_text::SpecText;
use crate::data::download::{CacheState, DataCache, FetchError, FetchProgress, Lock, Network, RetryPolicy, Services};
use crate::data::{DataError, Survey};
use crate::domain::{Grid, Remote, Source};

/// A source that the cells of a spec read, under all names that the spec gives it.
pub(super) struct UsedSource<'a> {
    /// Its names in the spec.
    pub names: Vec<&'a str>,
    /// The source.
    pub source: &'a Source,
}

/// Data on another machine, and what needs them.
struct Needed<'a> {
    names: Vec<&'a str>,
    remote: Remote,
}

/// What a fetch has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Files that were fetched.
    pub files: usize,
    /// The lock file, if it was written.
    pub locked: Option<PathBuf>,
}

/// Fetches missing data before a run. If the experiment has a budget and data are missing, it is planned first, because
/// a plan that exceeds its budget needs no download.
///
/// # Errors
/// As [`fetch_missing`]; the refusals of [`Session::open`].
pub async fn fetch_before_run(
    folder: &RunsFolder,
    spec: &SpecText,
    grid: &Grid,
    offline: bool,
    show: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, Failure> {
    if grid.budget.is_some() && !tokio::task::block_in_place(|| missing(&spec.data_cache()?, grid))?.is_empty() {
        let store = folder.open_if_present().await?;
        Session::open(&folder.path, spec.clone(), grid.clone(), store.as_ref()).await?;
        if let Some(store) = store {
            store.close().await;
        }
    }
    tokio::task::block_in_place(|| fetch_missing(spec, grid, offline, show))
}

/// Fetches the data that the cells of a spec lack, and adds them to the lock file beside the spec.
///
/// # Errors
/// Data that cannot be fetched, or that differ from the lock file.
pub fn fetch_missing(
    spec: &SpecText,
    grid: &Grid,
    offline: bool,
    show: &mut dyn FnMut(FetchProgress),
) -> Result<Fetched, Failure> {
    let cache = spec.data_cache()?;
    let files = fetch(grid, &cache, &missing(&cache, grid)?, offline, false, show)?;
    let mut lock = cache.lock.clone();
    let mut has_new_entries = false;
    for remote in used_sources(grid).iter().filter_map(|used| used.source.remote()) {
        if cache.status(&remote).map_err(DataError::from)?.state == CacheState::Fetched {
            has_new_entries |= lock.add(&remote.place, cache.pinned(&remote).map_err(DataError::from)?);
        }
    }
    // A generated spec has no file, and that of a resumed experiment may be gone.
    let has_file = spec.origin.file().is_some_and(Path::is_file);
    let locked = if has_new_entries && has_file { Some(write_lock(&lock)?) } else { None };
    Ok(Fetched { files, locked })
}

/// Asks the servers for their current versions, fetches those, and writes the lock file. Without a network it locks what
/// was fetched before. Returns `None` if no data of the spec come from other machines.
///
/// # Errors
/// Data that cannot be fetched.
pub fn update_lock(
    spec: &SpecText,
    grid: &Grid,
    offline: bool,
    show: &mut dyn FnMut(FetchProgress),
) -> Result<Option<PathBuf>, Failure> {
    let cache = DataCache::of_user(Lock::beside(&spec.shown_path()));
    let survey = fresh_survey(&cache);
    let mut wanted = vec![];
    for UsedSource { names, source } in used_sources(grid) {
        let Some(remote) = source.remote() else { continue };
        // A model in a local folder, or in the cache of another tool, is not fetched.
        let is_fetched = !matches!(source, Source::Model(_))
            || cache.status(&remote).map_err(DataError::from)?.state != CacheState::Missing
            || survey.unfetched(source)?.is_some();
        if is_fetched {
            wanted.push(Needed { names, remote });
        }
    }
    if wanted.is_empty() {
        return Ok(None);
    }
    fetch(grid, &cache, &wanted, offline, !offline, show)?;
    let mut lock = cache.lock.clone();
    for Needed { remote, .. } in &wanted {
        lock.add(&remote.place, cache.pinned(remote).map_err(DataError::from)?);
    }
    write_lock(&lock).map(Some)
}

fn write_lock(lock: &Lock) -> Result<PathBuf, Failure> {
    lock.write().map_err(DataError::from)?;
    Ok(lock.path())
}

/// The data that are not on this machine.
fn missing<'a>(cache: &DataCache, grid: &'a Grid) -> Result<Vec<Needed<'a>>, Failure> {
    let survey = fresh_survey(cache);
    let mut missing = vec![];
    for UsedSource { names, source } in used_sources(grid) {
        missing.extend(survey.unfetched(source)?.map(|remote| Needed { names, remote }));
    }
    Ok(missing)
}

/// Fetches all of these and returns how many files came; `refresh` asks the servers for their current versions. Offline,
/// all missing data are listed together.
fn fetch(
    grid: &Grid,
    cache: &DataCache,
    needed: &[Needed<'_>],
    offline: bool,
    refresh: bool,
    show: &mut dyn FnMut(FetchProgress),
) -> Result<usize, Failure> {
    if needed.is_empty() {
        return Ok(0);
    }
    let network = (!offline).then(|| Network::new(Services::from_environment(), RetryPolicy::default()));
    let (mut files, mut unavailable, mut refreshed) = (0, String::new(), BTreeSet::new());
    for Needed { names, remote } in needed {
        let names = names.join(", ");
        // Several suites may take their folders from one archive, which is fetched once.
        let part = remote.archive.as_ref().map_or_else(|| Some(&remote.pick), |_| None);
        let refresh = refresh && refreshed.insert((&remote.place, part));
        match cache.fetch(remote, network.as_ref(), refresh, show) {
            Ok(fetched) => files += fetched,
            Err(FetchError::Offline { remote, from, folder }) => {
                let text = format!("  {names}: {remote}\n    from {from}\n    into {}\n", folder.display());
                unavailable.push_str(&text);
            }
            Err(error) => {
                let mut failure = Failure::from(DataError::from(error));
                failure.message.push_str(&format!("\n  needed for {names}: {remote}"));
                return Err(failure);
            }
        }
    }
    if unavailable.is_empty() { Ok(files) } else { Err(offline_failure(grid, &unavailable)) }
}

/// Lists the missing data, where they can be fetched, and where to put them by hand.
fn offline_failure(grid: &Grid, unavailable: &str) -> Failure {
    let message = format!(
        "grid: {} needs data that are not on this machine, and grid is offline:\n{unavailable}  help: put the files \
         there under the same paths, or run `grid data fetch` on a machine with a network, with GRID_CACHE on a disk \
         that both machines share",
        grid.name
    );
    Failure::text(Exit::Environment, message)
}

/// Every source that the cells read, once, in the order of the spec.
pub(super) fn used_sources(grid: &Grid) -> Vec<UsedSource<'_>> {
    let read: BTreeSet<Source> = grid.cells.iter().flat_map(|cell| cell.recipe.sources()).collect();
    let mut used: Vec<UsedSource<'_>> = vec![];
    for entry in grid.data.iter().filter(|entry| read.contains(&entry.source)) {
        match used.iter_mut().find(|used| *used.source == entry.source) {
            Some(used) => used.names.push(&entry.name),
            None => used.push(UsedSource { names: vec![&entry.name], source: &entry.source }),
        }
    }
    used
}

/// A survey without the digests of earlier runs, for callers that need none.
pub(super) fn fresh_survey(cache: &DataCache) -> Survey {
    Survey::open(Path::new("")).with_cache(cache.clone())
}
