//! Damage to files: what a fault does to which file, and its remedy.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::fault::{Fault, FaultKind};
use super::scene::{Scene, entries, files, folders};
use crate::domain::hugging_face::files::{CONFIG, TOKENIZER, TOKENIZER_CONFIG};
use crate::domain::layout;

/// A change of files at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Damage {
    /// One bit of a file flips.
    Flip { file: PathBuf, byte: u64, bit: u8 },
    /// A bit flips, and the database is lost.
    FlipAndLoss { file: PathBuf, byte: u64, bit: u8, database: PathBuf },
    /// A file loses its last bytes.
    Truncate { file: PathBuf, bytes: u64 },
    /// A folder is deleted.
    Delete(PathBuf),
    /// The database is deleted, with its write-ahead log.
    Loss(PathBuf),
}

/// What restores the files.
#[derive(Debug)]
pub(super) enum Remedy {
    /// The next command is enough.
    Repeat,
    /// Delete the damaged file, which is made again.
    Delete(PathBuf),
    /// Flip the bit of a file that only the user has once more.
    FlipBack { file: PathBuf, byte: u64, bit: u8 },
}

impl Damage {
    /// The damage that a fault does in the current state of the run; `None` if there is nothing to damage now.
    pub(super) fn choose(fault: &Fault, scene: &Scene, source: Option<&Path>) -> Option<Self> {
        let outputs = |fits: &dyn Fn(&str) -> bool| flip(fault, named(scene.outputs_in_use(), fits));
        let checkpoints = |fits: &dyn Fn(&str) -> bool| {
            flip(fault, named(scene.checkpoints_in_use().iter().flat_map(|folder| files(folder)).collect(), fits))
        };
        let database = scene.runs.join("runs.db");
        match fault.kind {
            FaultKind::TornJournal => {
                let journals = scene.attempts().map(|attempt| attempt.join(layout::JOURNAL)).collect();
                truncate(fault, journals, 300)
            }
            FaultKind::TornDatabase => truncate(fault, vec![scene.runs.join("runs.db-wal")], 100_000),
            FaultKind::FlippedCheckpoint => checkpoints(&|name| name.ends_with(".safetensors")),
            FaultKind::FlippedPosition => checkpoints(&|name| name == layout::TRAINER),
            FaultKind::FlippedWeights => outputs(&|name| name.ends_with(".safetensors")),
            FaultKind::FlippedConfig => outputs(&|name| name == CONFIG),
            FaultKind::FlippedTokenizer => outputs(&|name| name == TOKENIZER || name == TOKENIZER_CONFIG),
            FaultKind::FlippedTokens => outputs(&|name| name.ends_with(".bin")),
            FaultKind::FlippedCounts => outputs(&|name| name == "ledger.json"),
            FaultKind::FlippedResults => {
                let finished = scene.finished();
                let scored = finished.values().filter(|attempt| attempt.join(layout::ITEMS).is_file());
                let records = scored.flat_map(|attempt| {
                    let outcome =
                        entries(attempt.parent().unwrap_or(attempt)).into_iter().filter(|path| path.is_file());
                    [attempt.join(layout::ITEMS), attempt.join(layout::JOURNAL)].into_iter().chain(outcome)
                });
                let wanted = |name: &str| name.ends_with(".json") || name.ends_with(".jsonl");
                match flip(fault, named(records.collect(), &wanted))? {
                    Self::Flip { file, byte, bit } => Some(Self::FlipAndLoss { file, byte, bit, database }),
                    other => Some(other),
                }
            }
            FaultKind::FlippedSource => flip(fault, source.map(Path::to_owned).into_iter().collect()),
            FaultKind::FlippedCache => flip(fault, vec![scene.runs.join("survey.json")]),
            FaultKind::DeletedFolder => {
                let jobs = scene.tasks.iter().map(|task| task.folder.clone()).filter(|folder| folder.is_dir());
                let attempts = scene.attempts().flat_map(|attempt| folders(&attempt).into_iter().chain([attempt]));
                let whole = scene.tasks.first().and_then(|task| task.folder.parent()).map(Path::to_owned);
                let all: Vec<PathBuf> = jobs.chain(attempts).chain(whole).filter(|path| path.is_dir()).collect();
                Some(Self::Delete(pick(fault, &all)?.clone()))
            }
            FaultKind::DeletedDatabase => database.is_file().then_some(Self::Loss(database)),
            FaultKind::KilledCoordinator
            | FaultKind::KilledWorker
            | FaultKind::PowerFailure
            | FaultKind::StoppedCoordinator
            | FaultKind::StoppedWorker
            | FaultKind::FullDisk
            | FaultKind::LockedDatabase => None,
        }
    }

    /// Changes the files; returns what restores them.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub(super) fn inflict(&self, kind: FaultKind) -> io::Result<Remedy> {
        match self {
            Self::Flip { file, byte, bit } => {
                flip_bit(file, *byte, *bit)?;
                Ok(match kind {
                    FaultKind::FlippedSource => Remedy::FlipBack { file: file.clone(), byte: *byte, bit: *bit },
                    _ => Remedy::Delete(file.clone()),
                })
            }
            Self::FlipAndLoss { file, byte, bit, database } => {
                flip_bit(file, *byte, *bit)?;
                remove_database(database)?;
                Ok(Remedy::Delete(file.clone()))
            }
            Self::Truncate { file, bytes } => {
                let file = File::options().write(true).open(file)?;
                file.set_len(file.metadata()?.len().saturating_sub(*bytes))?;
                Ok(Remedy::Repeat)
            }
            Self::Delete(folder) => fs::remove_dir_all(folder).map(|()| Remedy::Repeat),
            Self::Loss(database) => remove_database(database).map(|()| Remedy::Repeat),
        }
    }

    /// What was done, with paths below `root` shown without it.
    pub(super) fn describe(&self, root: &Path) -> String {
        let short = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        match self {
            Self::Flip { file, byte, bit } => format!("bit {bit} of byte {byte} of {}", short(file)),
            Self::FlipAndLoss { file, byte, bit, .. } => {
                format!("bit {bit} of byte {byte} of {}, and runs.db is lost", short(file))
            }
            Self::Truncate { file, bytes } => format!("the last {bytes} bytes of {} are lost", short(file)),
            Self::Delete(folder) => format!("{} is deleted", short(folder)),
            Self::Loss(database) => format!("{} is deleted", short(database)),
        }
    }
}

impl Remedy {
    /// Restores what the damage changed.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn apply(self) -> io::Result<()> {
        match self {
            Self::Repeat => Ok(()),
            Self::Delete(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Self::FlipBack { file, byte, bit } => flip_bit(&file, byte, bit),
        }
    }
}

/// The files with a name that fits.
fn named(files: Vec<PathBuf>, fits: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    files.into_iter().filter(|path| path.file_name().is_some_and(|name| fits(&name.to_string_lossy()))).collect()
}

fn pick<'a>(fault: &Fault, paths: &'a [PathBuf]) -> Option<&'a PathBuf> {
    paths.get(fault.below(paths.len() as u64, 1) as usize)
}

/// A flip in one of the files that are not empty.
fn flip(fault: &Fault, files: Vec<PathBuf>) -> Option<Damage> {
    let file = pick(fault, &filled(files))?.clone();
    let length = fs::metadata(&file).ok()?.len();
    Some(Damage::Flip { file, byte: fault.below(length, 2), bit: fault.below(8, 3) as u8 })
}

/// The loss of at most `most` bytes at the end of one of the files that are not empty.
fn truncate(fault: &Fault, files: Vec<PathBuf>, most: u64) -> Option<Damage> {
    let file = pick(fault, &filled(files))?.clone();
    let length = fs::metadata(&file).ok()?.len();
    Some(Damage::Truncate { file, bytes: 1 + fault.below(length.min(most), 2) })
}

fn filled(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.retain(|path| fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() > 0));
    files
}

fn flip_bit(path: &Path, byte: u64, bit: u8) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut value = [0];
    file.read_exact_at(&mut value, byte)?;
    file.write_all_at(&[value[0] ^ (1 << bit)], byte)
}

fn remove_database(database: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(ending);
        match fs::remove_file(PathBuf::from(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: FaultKind) -> Fault {
        Fault { kind, moment: 0, choice: 5 }
    }

    #[test]
    fn a_flip_changes_one_bit_and_its_remedy_restores_source_data_or_deletes_what_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        fs::write(&path, b"some text").unwrap();
        let scene = Scene { runs: folder.path().to_owned(), tasks: vec![] };
        let fault = fault(FaultKind::FlippedSource);
        let damage = Damage::choose(&fault, &scene, Some(&path)).unwrap();
        let remedy = damage.inflict(FaultKind::FlippedSource).unwrap();
        let changed = fs::read(&path).unwrap();
        let bits: u32 = changed.iter().zip(b"some text").map(|(one, other)| (one ^ other).count_ones()).sum();
        assert_eq!(bits, 1);
        remedy.apply().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"some text");
        damage.inflict(FaultKind::FlippedCache).unwrap().apply().unwrap();
        assert!(!path.exists());
        assert_eq!(Damage::choose(&fault, &scene, None), None);
    }

    #[test]
    fn only_files_that_an_unfinished_job_reads_are_targets() {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene { runs: folder.path().to_owned(), tasks: vec![] };
        for kind in [FaultKind::FlippedWeights, FaultKind::FlippedCheckpoint, FaultKind::DeletedDatabase] {
            assert_eq!(Damage::choose(&fault(kind), &scene, None), None, "{kind:?}");
        }
        let kind = FaultKind::DeletedDatabase;
        fs::write(folder.path().join("runs.db"), b"x").unwrap();
        fs::write(folder.path().join("runs.db-wal"), b"x").unwrap();
        Damage::choose(&fault(kind), &scene, None).unwrap().inflict(kind).unwrap();
        assert_eq!(files(folder.path()), [] as [PathBuf; 0]);
    }
}
