//! Locks, folders of attempts, and the publication of outcomes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use grid::domain::{Artifact, Digest, FileStamp, FolderName, Outcome, digested_json, layout};

/// Milliseconds since 1970 UTC.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as i64)
}

/// Opens or creates the lock file of a folder. It is never removed, because two workers could then lock two files.
pub(super) fn open_lock(folder: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(folder.join(layout::LOCK))
}

/// Waits until the names in a folder are on disk.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates the folder `<token>-<nonce>` of an attempt. The nonces sort by time.
pub(super) fn new_folder(job_folder: &Path, token: &str, at: i64) -> io::Result<(FolderName, PathBuf)> {
    let mut number = std::process::id();
    loop {
        let name: FolderName = format!("{token}-{at:011x}{number:08x}").parse().map_err(io::Error::other)?;
        let folder = job_folder.join(&name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok((name, folder)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number = number.wrapping_add(1),
            Err(error) => return Err(error),
        }
    }
}

/// The names of the attempts in the folder of a job, the oldest first. An attempt that cannot be read is left out.
pub(super) fn attempts(job_folder: &Path) -> Vec<String> {
    let Ok(folder) = fs::read_dir(job_folder) else { return vec![] };
    let mut names: Vec<String> = folder
        .flatten()
        .filter(|entry| entry.path().join(layout::JOURNAL).exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let nonce = |name: &str| name.rsplit_once('-').map(|(_, nonce)| nonce.to_owned());
    names.sort_by_key(|name| nonce(name));
    names
}

/// Removes the checkpoints of all attempts at a job that is done, since nothing will resume from them.
pub(super) fn remove_checkpoints(job_folder: &Path) -> io::Result<()> {
    for attempt in attempts(job_folder) {
        for entry in fs::read_dir(job_folder.join(attempt))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(layout::CHECKPOINT_PREFIX) {
                fs::remove_dir_all(entry.path())?;
            }
        }
    }
    Ok(())
}

/// The digest of a file.
///
/// # Errors
/// If the file cannot be read.
pub fn digest_of(path: &Path) -> io::Result<Digest> {
    File::open(path).and_then(Digest::of_reader)
}

/// Waits until all files below `output` are on disk, and lists them with their digests, sorted by path.
pub(super) fn seal(output: &Path) -> io::Result<Vec<Artifact>> {
    let mut artifacts = vec![];
    let mut folders = vec![output.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
            let kind = entry?;
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            if !kind.is_file() {
                return Err(io::Error::other(format!("{} is not a plain file", path.display())));
            }
            let file = File::open(&path)?;
            file.sync_all()?;
            let stamp = FileStamp::from(&file.metadata()?);
            let digest = digest_of(&path)?;
            if FileStamp::from(&fs::metadata(&path)?) != stamp {
                return Err(io::Error::other(format!("another program writes to {}", path.display())));
            }
            let relative = path.strip_prefix(output).map_err(io::Error::other)?.to_owned();
            let relative = relative.try_into().map_err(io::Error::other)?;
            artifacts.push(Artifact { path: relative, bytes: stamp.length, digest, stamp: Some(stamp) });
        }
        sync_folder(&folder)?;
    }
    artifacts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(artifacts)
}

/// The journals of all attempts at a submission and the items of the last one, by their paths in the folder of the job.
pub(super) fn records(job_folder: &Path, token: &str, last: &FolderName) -> io::Result<Vec<Artifact>> {
    let prefix = format!("{token}-");
    let ours = attempts(job_folder).into_iter().filter(|name| name.starts_with(&prefix));
    let mut paths: Vec<PathBuf> = ours.map(|name| Path::new(&name).join(layout::JOURNAL)).collect();
    let items = Path::new(last.as_str()).join(layout::ITEMS);
    if job_folder.join(&items).exists() {
        paths.push(items);
    }
    let record = |path: PathBuf| {
        // The last lines of an attempt that was killed may not be on disk yet.
        let file = File::open(job_folder.join(&path))?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        let digest = Digest::of_reader(file.take(bytes))?;
        Ok(Artifact { path: path.try_into().map_err(io::Error::other)?, bytes, digest, stamp: None })
    };
    paths.into_iter().map(record).collect()
}

/// Publishes an outcome, unless another attempt of the submission was first, and returns whether it was published.
///
/// The outcome is written to `<attempt>/outcome.json`, which stays, and linked from there.
pub(super) fn publish(job_folder: &Path, outcome: &Outcome) -> io::Result<bool> {
    let attempt = job_folder.join(&outcome.attempt);
    let own = attempt.join(layout::OUTCOME);
    let mut file = File::create_new(&own)?;
    file.write_all(digested_json::to_text(outcome)?.as_bytes())?;
    file.sync_all()?;
    sync_folder(&attempt)?;
    let won = match fs::hard_link(&own, job_folder.join(layout::published_outcome(&outcome.token))) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    sync_folder(job_folder)?;
    Ok(won)
}
