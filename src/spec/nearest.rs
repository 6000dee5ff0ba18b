//! Hints for paths that do not exist.

use std::path::Path;

use crate::domain::did_you_mean;

/// A hint with the names of the specs in the folder of a path that does not exist.
pub(super) fn similar_names(path: &Path) -> Option<String> {
    let mut names = names_in(folder_of(path));
    names.retain(|name| name.ends_with(".yaml") || name.ends_with(".yml"));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let wanted = path.file_name()?.to_string_lossy();
    did_you_mean(&wanted, names.iter().copied())
        .or_else(|| (!names.is_empty()).then(|| format!("there are: {}", names.join(", "))))
}

/// A hint for a path that does not exist: the last existing folder on it, and what that folder contains.
pub fn nearest(path: &Path) -> Option<String> {
    /// The number of names that are listed.
    const MAX_LISTED: usize = 5;
    let missing = path.ancestors().find(|step| step.file_name().is_some() && folder_of(step).is_dir())?;
    let (folder, wanted) = (folder_of(missing), missing.file_name()?.to_string_lossy());
    let names = names_in(folder);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = did_you_mean(&wanted, names.iter().copied()).unwrap_or_else(|| match names.len() {
        0 => "the folder is empty".to_owned(),
        1..=MAX_LISTED => format!("there are: {}", names.join(", ")),
        more => format!("there are: {}, and {} more", names[..MAX_LISTED].join(", "), more - MAX_LISTED),
    });
    let place = if folder == Path::new(".") { "the current folder".to_owned() } else { folder.display().to_string() };
    let relation = if wanted.contains(['*', '?', '[']) { "matches" } else { "is called" };
    Some(format!("nothing in {place} {relation} '{wanted}'; {hint}"))
}

/// The folder that contains a path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The names of the files and folders in a folder, sorted, without hidden ones.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}
