//! The selection of files from a listing.

use glob::{MatchOptions, Pattern};

use crate::domain::hugging_face::files::{
    ADDED_TOKENS, CHAT_TEMPLATE, CONFIG, GENERATION, INDEX, MERGES, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG,
    VOCABULARY, WEIGHTS,
};
use crate::domain::{FileSelection, Remote, RemoteLocation};

use super::error::FetchError;
use super::listing::{ListedFile, Listing};

/// The files to fetch: the selected files, or the archive that contains them.
pub(super) fn select<'a>(listing: &'a Listing, remote: &Remote) -> Result<Vec<&'a ListedFile>, FetchError> {
    let names: Vec<&str> = listing.files.iter().map(|entry| entry.path.as_str()).collect();
    let chosen = select_names(&names, remote)?;
    Ok(listing.files.iter().filter(|entry| chosen.contains(&entry.path.as_str())).collect())
}

/// As [`select`], for names.
pub(super) fn select_names<'a>(names: &[&'a str], remote: &Remote) -> Result<Vec<&'a str>, FetchError> {
    let patterns = match (&remote.archive, &remote.pick, &remote.place) {
        (Some(archive), ..) => return Ok(names.iter().copied().filter(|name| name == archive).collect()),
        // A URL is that of a single file.
        (None, _, RemoteLocation::Url { .. }) => return Ok(names.to_vec()),
        (None, FileSelection::Model, _) => return Ok(model_files(names)),
        (None, FileSelection::Files(files), _) => vec![files.clone()],
        (None, FileSelection::Folder(folder), _) => match folder.trim_matches('/') {
            "" => vec!["**/*".to_owned()],
            // Archives in place of the folder are next to it.
            folder => {
                let folder = Pattern::escape(folder);
                vec![format!("{folder}/**/*"), format!("{folder}.zip"), format!("{folder}_full.zip")]
            }
        },
    };
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    let mut chosen = vec![];
    for pattern in &patterns {
        let glob = Pattern::new(pattern)
            .map_err(|error| FetchError::Pattern { pattern: pattern.clone(), reason: error.to_string() })?;
        let hits = names.iter().copied().filter(|name| name == pattern || glob.matches_with(name, options));
        chosen.extend(hits.filter(|name| !is_hidden(name)));
    }
    Ok(chosen)
}

/// Whether the file is hidden. Hidden files on disk are ignored as well.
fn is_hidden(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}

/// The files of a model. A repository may also have the weights in other formats and precisions.
fn model_files<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let whole = names.contains(&WEIGHTS);
    let part = |name: &str| {
        let number = name.strip_prefix("model-").and_then(|name| name.strip_suffix(".safetensors"));
        name == INDEX || number.is_some_and(|number| number.contains("-of-"))
    };
    let fixed = [CONFIG, TOKENIZER, TOKENIZER_CONFIG, SPECIAL_TOKENS, CHAT_TEMPLATE, GENERATION];
    // The files of older releases of `transformers`, which count only in place of the newer one.
    let older = [VOCABULARY, MERGES, ADDED_TOKENS].iter().filter(|_| !names.contains(&TOKENIZER));
    let fixed: Vec<&str> = fixed.iter().chain(older).copied().collect();
    let picked = |name: &&&str| fixed.contains(name) || if whole { **name == WEIGHTS } else { part(name) };
    names.iter().filter(picked).copied().collect()
}

/// The first required file of a model that is missing.
pub(super) fn missing_model_file(names: &[&str]) -> Option<&'static str> {
    let weights = [WEIGHTS, INDEX].iter().any(|name| names.contains(name));
    if !weights {
        return Some(WEIGHTS);
    }
    if !names.contains(&CONFIG) {
        return Some(CONFIG);
    }
    let tokenizer = names.contains(&TOKENIZER) || [VOCABULARY, MERGES].iter().all(|name| names.contains(name));
    (!tokenizer).then_some(TOKENIZER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&'static str], archive: Option<&str>, pick: FileSelection) -> Vec<&'static str> {
        let place = RemoteLocation::Osf { project: "x".into() };
        select_names(names, &Remote { place, archive: archive.map(str::to_owned), pick }).unwrap()
    }

    #[test]
    fn files_are_selected_by_pattern_folders_by_prefix_and_archives_by_name() {
        let names = ["a/b/1.txt", "a/2.txt", "3.txt", "a.zip", ".gitattributes", "a[1].txt"];
        let files = |pattern: &str| chosen(&names, None, FileSelection::Files(pattern.to_owned()));
        assert_eq!(files("*.txt"), ["3.txt", "a[1].txt"]);
        assert_eq!(files("**/*.txt"), ["a/b/1.txt", "a/2.txt", "3.txt", "a[1].txt"]);
        assert_eq!(files("a[1].txt"), ["a[1].txt"]);
        let folder = |folder: &str| chosen(&names, None, FileSelection::Folder(folder.to_owned()));
        assert_eq!(folder("a"), ["a/b/1.txt", "a/2.txt", "a.zip"]);
        assert_eq!(folder("").len(), 5, "hidden files are left out");
        assert_eq!(chosen(&names, Some("a.zip"), FileSelection::Files("x/*".into())), ["a.zip"]);
    }

    #[test]
    fn a_model_is_fetched_in_one_format_and_without_training_state() {
        let names = [
            "config.json",
            "model.safetensors",
            "model.fp16.safetensors",
            "pytorch_model.bin",
            "tokenizer.json",
            "onnx/model.onnx",
            "optimizer.pt",
            "vocab.json",
            "merges.txt",
        ];
        let picked = chosen(&names, None, FileSelection::Model);
        assert_eq!(picked, ["config.json", "model.safetensors", "tokenizer.json"]);
        assert_eq!(missing_model_file(&picked), None);
        let names =
            ["config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors", "x.safetensors"];
        let picked = chosen(&names, None, FileSelection::Model);
        assert_eq!(picked, names[..3]);
        assert_eq!(missing_model_file(&picked), Some("tokenizer.json"));
        assert_eq!(missing_model_file(&["config.json", "tokenizer.json"]), Some("model.safetensors"));
        let names = ["config.json", "merges.txt", "model.safetensors", "added_tokens.json", "vocab.json", "vocab.txt"];
        let picked = chosen(&names, None, FileSelection::Model);
        assert_eq!(picked, names[..5]);
        assert_eq!(missing_model_file(&picked), None);
        assert_eq!(missing_model_file(&["config.json", "vocab.json", "model.safetensors"]), Some("tokenizer.json"));
    }
}
