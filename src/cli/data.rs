//! `grid data`, and the fetching of data before a run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::args::{Cli, SpecArgs, TableFormat};
use super::build::build;
use super::failure::{Exit, Failure};
use super::report::form;
use super::run::progress_mode;
use super::workspace::SpecText;
use crate::data::download::{CacheState, DataCache, FetchError, FetchProgress, Lock, Network, RetryPolicy, Services};
use crate::data::{DataError, Survey};
use crate::domain::{DataEntry, Grid, Remote, Source};
use crate::report::progress::Transfers;
use crate::report::{Cell, Table, human};

/// What to do about data.
#[derive(Debug, Subcommand)]
pub enum DataVerb {
    /// Print what data a spec names, where they come from, and whether they are here.
    List {
        /// Spec.
        #[command(flatten)]
        spec: SpecArgs,
        /// Form.
        #[arg(long, value_enum, default_value_t = TableFormat::Table)]
        format: TableFormat,
    },
    /// Fetch what is not here yet, into a cache that all experiments share (GRID_CACHE, or ~/.cache/grid).
    Fetch {
        /// Spec.
        #[command(flatten)]
        spec: SpecArgs,
    },
    /// Read every fetched file again, and compare it with what was fetched and with the lock file.
    Verify {
        /// Spec.
        #[command(flatten)]
        spec: SpecArgs,
        /// Form.
        #[arg(long, value_enum, default_value_t = TableFormat::Table)]
        format: TableFormat,
    },
    /// Make the datasets that have a `build:`, asking a model about text; what was answered is kept and not asked again.
    Build {
        /// Spec.
        #[command(flatten)]
        spec: SpecArgs,
    },
    /// Ask the servers what they have now, fetch it, and write the lock file beside the spec.
    Lock {
        /// Spec.
        #[command(flatten)]
        spec: SpecArgs,
    },
}

/// `grid data`.
pub fn data(cli: &Cli, what: &DataVerb) -> Result<Exit, Failure> {
    match what {
        DataVerb::List { spec, format } => list(spec, *format),
        DataVerb::Fetch { spec } => {
            let (spec, grid) = SpecText::read(&spec.spec, &spec.set)?;
            let came = obtain(cli, &spec, &grid)?;
            if came == 0 && !cli.quiet {
                eprintln!("{}: nothing to fetch", grid.name);
            }
            Ok(Exit::Done)
        }
        DataVerb::Verify { spec, format } => verify(spec, *format),
        DataVerb::Lock { spec } => lock(cli, spec),
        DataVerb::Build { spec } => build(cli, spec),
    }
}

/// Fetches what the cells of a spec lack, and adds it to the lock file beside the spec; how many files came.
///
/// # Errors
/// Data that cannot be had, or are not what the lock file has.
pub(super) fn obtain(cli: &Cli, spec: &SpecText, grid: &Grid) -> Result<usize, Failure> {
    let shelf = spec.shelf()?;
    let survey = survey(&shelf);
    let used = used(grid);
    let mut missing: Vec<(Vec<&str>, Remote)> = vec![];
    for (names, source) in &used {
        if let Some(remote) = survey.unfetched(source).map_err(failure)? {
            missing.push((names.clone(), remote));
        }
    }
    let came = fetch(cli, grid, &shelf, &missing, false)?;
    let mut lock = shelf.lock.clone();
    let mut grown = false;
    for remote in used.iter().filter_map(|(_, source)| source.remote()) {
        let stand = shelf.status(&remote).map_err(|error| failure(error.into()))?;
        if stand.state == CacheState::Fetched {
            grown |= lock.add(&remote.place, shelf.pinned(&remote).map_err(|error| failure(error.into()))?);
        }
    }
    // `grid eval` has no spec, and a resumed experiment may have lost its own.
    if grown && spec.path.is_file() {
        lock.write().map_err(|error| failure(error.into()))?;
        if !cli.quiet {
            eprintln!("locked in {}", lock.path().display());
        }
    }
    Ok(came)
}

/// `grid data lock`.
fn lock(cli: &Cli, args: &SpecArgs) -> Result<Exit, Failure> {
    let (spec, grid) = SpecText::read(&args.spec, &args.set)?;
    let shelf = DataCache::of_user(Lock::beside(&spec.shown()));
    let survey = survey(&shelf);
    let mut wanted: Vec<(Vec<&str>, Remote)> = vec![];
    for (names, source) in used(&grid) {
        let Some(remote) = source.remote() else { continue };
        // A model that lies in a folder here, or in the cache of other tools, is not fetched.
        let fetched = !matches!(source, Source::Model(_))
            || shelf.status(&remote).map_err(|error| failure(error.into()))?.state != CacheState::Missing
            || survey.unfetched(source).map_err(failure)?.is_some();
        if fetched {
            wanted.push((names, remote));
        }
    }
    if wanted.is_empty() {
        eprintln!("{}: nothing to lock, no data of it come from other machines", grid.name);
        return Ok(Exit::Done);
    }
    fetch(cli, &grid, &shelf, &wanted, !cli.offline)?;
    let mut lock = shelf.lock.clone();
    for (_, remote) in &wanted {
        lock.add(&remote.place, shelf.pinned(remote).map_err(|error| failure(error.into()))?);
    }
    lock.write().map_err(|error| failure(error.into()))?;
    if !cli.quiet {
        eprintln!("locked in {}", lock.path().display());
    }
    Ok(Exit::Done)
}

/// Fetches all of these; without a network, names what is missing all at once.
fn fetch(
    cli: &Cli,
    grid: &Grid,
    shelf: &DataCache,
    wanted: &[(Vec<&str>, Remote)],
    refresh: bool,
) -> Result<usize, Failure> {
    if wanted.is_empty() {
        return Ok(0);
    }
    let network = (!cli.offline).then(|| Network::new(Services::from_environment(), RetryPolicy::default()));
    let mut transfers = Transfers::new(progress_mode(cli), Box::new(std::io::stderr()));
    let mut show = |coming: Coming| match coming {
        Coming::Waiting(place) => transfers.line(&format!("waiting for another grid that fetches {place}")),
        Coming::Bytes(place, path, done, total) => transfers.bytes(&format!("{place} {path}"), done, total),
        Coming::Whole(place, path, bytes) => transfers.complete(&format!("{place} {path}"), bytes),
        Coming::Unpacking(place, archive) => transfers.line(&format!("unpacking {place} {archive}")),
    };
    let (mut came, mut lacking, mut seen) = (0, vec![], BTreeSet::new());
    for (names, remote) in wanted {
        // Of an archive many suites take their folders, but it comes once.
        let refresh = refresh
            && seen.insert((&remote.place, remote.archive.as_ref().map_or_else(|| Some(&remote.pick), |_| None)));
        match shelf.fetch(remote, network.as_ref(), refresh, &mut show) {
            Ok(files) => came += files,
            Err(FetchError::Offline { remote, from, folder }) => lacking.push((names.join(", "), remote, from, folder)),
            Err(error) => {
                let mut failure = failure(error.into());
                failure.message.push_str(&format!("\n  needed for {}: {remote}", names.join(", ")));
                return Err(failure);
            }
        }
    }
    if lacking.is_empty() { Ok(came) } else { Err(offline(grid, &lacking)) }
}

/// What is missing, where it can be had, and where to put it by hand.
fn offline(grid: &Grid, lacking: &[(String, String, String, PathBuf)]) -> Failure {
    let mut message = format!("grid: {} needs data that are not here, and grid is offline:\n", grid.name);
    for (names, remote, from, folder) in lacking {
        message.push_str(&format!("  {names}: {remote}\n    from {from}\n    into {}\n", folder.display()));
    }
    message.push_str(
        "  help: put the files there under the same paths, or run `grid data fetch` where there is a network, with \
         GRID_CACHE on a disk that both machines see",
    );
    Failure::text(Exit::Environment, message)
}

/// All that the cells read, each once under its names, in the order of the spec.
fn used(grid: &Grid) -> Vec<(Vec<&str>, &Source)> {
    let read: BTreeSet<Source> = grid.cells.iter().flat_map(|cell| cell.recipe.sources()).collect();
    let mut used: Vec<(Vec<&str>, &Source)> = vec![];
    for entry in grid.data.iter().filter(|entry| read.contains(&entry.source)) {
        match used.iter_mut().find(|(_, source)| **source == entry.source) {
            Some((names, _)) => names.push(&entry.name),
            None => used.push((vec![&entry.name], &entry.source)),
        }
    }
    used
}

/// A look at the data without a memory of digests, which nothing here needs.
fn survey(shelf: &DataCache) -> Survey {
    Survey::open(&PathBuf::new()).with_cache(shelf.clone())
}

fn failure(error: DataError) -> Failure {
    Failure::new(Exit::Environment, error)
}

/// A line of `grid data list`.
#[derive(Serialize)]
struct Listed {
    data: String,
    from: String,
    files: Option<u64>,
    bytes: Option<u64>,
    state: String,
    licence: Option<String>,
}

/// `grid data list`: every source that the spec names; nothing is fetched.
fn list(args: &SpecArgs, format: TableFormat) -> Result<Exit, Failure> {
    let (spec, grid) = SpecText::read(&args.spec, &args.set)?;
    let shelf = spec.shelf()?;
    let used = used(&grid);
    let mut rows = vec![];
    for entry in &grid.data {
        let mut row = listed(entry, &shelf)?;
        if !used.iter().any(|(_, source)| **source == entry.source) {
            row.state.push_str(", not used");
        }
        rows.push(row);
    }
    if format == TableFormat::Json {
        super::status::print_json(&rows)?;
        return Ok(Exit::Done);
    }
    let label = |text: Option<String>| text.map_or(Cell::Missing, Cell::Label);
    let size = |bytes: u64| match format {
        TableFormat::Csv => Cell::Count(bytes),
        _ => Cell::Label(human::bytes(bytes)),
    };
    let rows = rows.into_iter().map(|row| {
        let (files, bytes) = (row.files.map_or(Cell::Missing, Cell::Count), row.bytes.map_or(Cell::Missing, size));
        vec![Cell::Label(row.data), Cell::Label(row.from), Cell::Label(row.state), label(row.licence), files, bytes]
    });
    let table = Table {
        title: format!("data of {}", grid.name),
        heads: ["data", "from", "state", "licence", "files", "size"].map(str::to_owned).to_vec(),
        labels: 4,
        rows: rows.collect(),
        ..Table::default()
    };
    print!("{}", form(&table, format));
    Ok(Exit::Done)
}

fn listed(entry: &DataEntry, shelf: &DataCache) -> Result<Listed, Failure> {
    let from = match &entry.source {
        Source::World { part, seed, size } => format!("toy world {seed}: {part:?}, {size}"),
        Source::Files(path) | Source::Folder(path) => path.display().to_string(),
        Source::Model(model) => model.name.clone(),
        Source::Remote(remote) => remote.to_string(),
    };
    let mut row = Listed {
        data: entry.name.clone(),
        from,
        files: None,
        bytes: None,
        state: String::new(),
        licence: entry.licence.clone(),
    };
    let remote = entry.source.remote();
    if let Some(remote) = &remote {
        row.licence = row.licence.or_else(|| shelf.licence(&remote.place));
        let stand = shelf.status(remote).map_err(|error| failure(error.into()))?;
        if stand.state != CacheState::Missing || matches!(entry.source, Source::Remote(_)) {
            row.state = word(&stand.state).to_owned();
            row.files = Some(stand.files.len() as u64);
            row.bytes = Some(stand.files.values().map(|content| content.bytes).sum());
            return Ok(row);
        }
    }
    let files = survey(shelf).files(&entry.source).map_err(failure)?;
    row.state = match (&entry.source, &files[..]) {
        (Source::World { .. }, _) => "built in",
        (_, []) => "missing",
        _ => "local",
    }
    .to_owned();
    if !files.is_empty() {
        let bytes = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        (row.files, row.bytes) = (Some(files.len() as u64), Some(files.iter().map(bytes).sum()));
    }
    Ok(row)
}

fn word(state: &CacheState) -> &'static str {
    match state {
        CacheState::Missing => "missing",
        CacheState::Fetched => "fetched",
        CacheState::Locked => "locked",
        CacheState::Differs(_) => "differs",
    }
}

/// A line of `grid data verify`.
#[derive(Serialize)]
struct Verified {
    data: String,
    files: u64,
    state: &'static str,
    path: Option<String>,
    wanted: Option<String>,
    found: Option<String>,
}

/// `grid data verify`: every fetched file is read again.
fn verify(args: &SpecArgs, format: TableFormat) -> Result<Exit, Failure> {
    let (spec, grid) = SpecText::read(&args.spec, &args.set)?;
    let shelf = spec.shelf()?;
    let mut rows = vec![];
    for (names, source) in used(&grid) {
        let Some(remote) = source.remote() else { continue };
        let stand = shelf.verify(&remote).map_err(|error| failure(error.into()))?;
        let local = stand.state == CacheState::Missing && survey(&shelf).unfetched(source).map_err(failure)?.is_none();
        if local {
            continue;
        }
        let mut row = Verified {
            data: names.join(", "),
            files: stand.files.len() as u64,
            state: word(&stand.state),
            path: None,
            wanted: None,
            found: None,
        };
        if let CacheState::Differs(difference) = stand.state {
            (row.path, row.wanted, row.found) =
                (Some(difference.path), Some(difference.wanted), Some(difference.found));
        }
        rows.push(row);
    }
    let good = rows.iter().all(|row| matches!(row.state, "fetched" | "locked"));
    let exit = if good { Exit::Done } else { Exit::CheckFailed };
    if format == TableFormat::Json {
        super::status::print_json(&rows)?;
        return Ok(exit);
    }
    let label = |text: Option<String>| text.map_or(Cell::Missing, Cell::Label);
    let rows = rows.into_iter().map(|row| {
        let state = Cell::Label(row.state.to_owned());
        vec![Cell::Label(row.data), state, label(row.path), label(row.wanted), label(row.found), Cell::Count(row.files)]
    });
    let table = Table {
        title: format!("fetched data of {}, read again", grid.name),
        heads: ["data", "state", "differing file", "sha256 wanted", "sha256 found", "files"]
            .map(str::to_owned)
            .to_vec(),
        labels: 5,
        rows: rows.collect(),
        ..Table::default()
    };
    print!("{}", form(&table, format));
    Ok(exit)
}
