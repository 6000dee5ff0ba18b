//! A bit-by-bit comparison of two attempts at one training job.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::layout;

/// The first difference between two attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDifference {
    /// A file, relative to the attempt.
    pub file: PathBuf,
    /// How it differs.
    pub description: String,
}

impl fmt::Display for AttemptDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.description)
    }
}

/// Compares the files of two finished attempts of a verification: the state after the last step (weights, optimizer,
/// data cursor and validation losses), and every file of the output.
///
/// # Errors
/// A folder or file that cannot be read, or a `straight` attempt without a checkpoint.
pub fn first_difference(straight: &Path, resumed: &Path) -> io::Result<Option<AttemptDifference>> {
    let state = last_checkpoint(straight)?;
    let state = state.ok_or_else(|| io::Error::other(format!("{} has no checkpoint", straight.display())))?;
    for part in [state.as_path(), Path::new(layout::OUTPUT)] {
        let (left, right) = (files(&straight.join(part))?, files(&resumed.join(part))?);
        for file in &left | &right {
            let path = part.join(&file);
            let description = match (left.contains(&file), right.contains(&file)) {
                (true, false) => Some("the resumed training does not have this file".to_owned()),
                (false, true) => Some("only the resumed training has this file".to_owned()),
                _ => compare_contents(&fs::read(straight.join(&path))?, &fs::read(resumed.join(&path))?),
            };
            if let Some(description) = description {
                return Ok(Some(AttemptDifference { file: path, description }));
            }
        }
    }
    Ok(None)
}

/// The newest `checkpoint-*` of an attempt, relative to it.
fn last_checkpoint(attempt: &Path) -> io::Result<Option<PathBuf>> {
    let names = fs::read_dir(attempt)?.flatten().map(|entry| entry.file_name());
    Ok(names.filter(|name| name.to_string_lossy().starts_with(layout::CHECKPOINT_PREFIX)).max().map(PathBuf::from))
}

/// All files below a folder, relative to it; empty if the folder does not exist.
fn files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(inner) = folders.pop() {
        let entries = match fs::read_dir(folder.join(&inner)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = inner.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// How two files differ; `None` if they are identical.
fn compare_contents(left: &[u8], right: &[u8]) -> Option<String> {
    let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    if same == left.len() && same == right.len() {
        return None;
    }
    if let (Ok(left), Ok(right)) = (serde_json::from_slice(left), serde_json::from_slice(right)) {
        return compare_json(&left, &right);
    }
    Some(match tensor_at(left, same) {
        Some(name) => format!("tensor '{name}' differs"),
        None => format!("byte {same} differs"),
    })
}

/// The first key, depth first, whose values differ.
fn compare_json(left: &serde_json::Value, right: &serde_json::Value) -> Option<String> {
    if let (Some(a), Some(b)) = (left.as_object(), right.as_object()) {
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let null = serde_json::Value::Null;
        return keys.into_iter().find_map(|key| {
            let inner = compare_json(a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null))?;
            Some(format!("{key}{}{inner}", if inner.starts_with(' ') { "" } else { "." }))
        });
    }
    (left != right).then(|| format!(" is {right} instead of {left}"))
}

/// The tensor of a safetensors file (a length, a JSON header of that length, data) that holds this byte.
fn tensor_at(file: &[u8], byte: usize) -> Option<String> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(rest.get(..length)?).ok()?;
    let place = byte.checked_sub(8 + length)? as u64;
    let holds = |tensor: &serde_json::Value| {
        let offsets = [0, 1].map(|side| tensor["data_offsets"][side].as_u64());
        matches!(offsets, [Some(start), Some(end)] if (start..end).contains(&place))
    };
    header.into_iter().find(|(_, tensor)| holds(tensor)).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors(last: u8) -> Vec<u8> {
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
        let data = [0, 0, 0, 0, 0, 0, 0, last];
        [&(header.len() as u64).to_le_bytes()[..], header, &data].concat()
    }

    fn attempt(folder: &Path, weights: u8, trainer: &str) {
        let write = |path: &str, content: &[u8]| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        write("checkpoint-0000000009/trainer.json", b"older");
        write("checkpoint-0000000010/optimizer.safetensors", &safetensors(weights));
        write("checkpoint-0000000010/trainer.json", trainer.as_bytes());
        write("output/milestones/5-words/model.safetensors", &safetensors(0));
    }

    #[test]
    fn the_first_difference_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let state = |step: u64| format!(r#"{{"progress": {{"step": {step}, "tokens": 3}}, "schema": 2}}"#);
        attempt(&path("straight"), 0, &state(10));
        for (name, weights, step) in [("same", 0, 10), ("other weights", 1, 10), ("other step", 0, 11)] {
            attempt(&path(name), weights, &state(step));
        }
        attempt(&path("less"), 0, &state(10));
        fs::remove_file(path("less/output/milestones/5-words/model.safetensors")).unwrap();
        let found = |name: &str| {
            first_difference(&path("straight"), &path(name))
                .unwrap()
                .map_or("none".to_owned(), |found| found.to_string())
        };
        assert_eq!(found("same"), "none");
        assert_eq!(found("other weights"), "checkpoint-0000000010/optimizer.safetensors: tensor 'b' differs");
        assert_eq!(found("other step"), "checkpoint-0000000010/trainer.json: progress.step is 11 instead of 10");
        let less = found("less");
        assert_eq!(less, "output/milestones/5-words/model.safetensors: the resumed training does not have this file");
        assert!(first_difference(&path("nothing"), &path("same")).is_err());
    }
}
