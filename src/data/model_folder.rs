//! Imported models: the files of a model folder, and the folders of Hub models on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::domain::hugging_face::files::{
    ADDED_TOKENS, CHAT_TEMPLATE, CONFIG, GENERATION, INDEX, MERGES, SPECIAL_TOKENS, TOKENIZER, TOKENIZER_CONFIG,
    VOCABULARY, WEIGHTS,
};
use crate::domain::hugging_face::shards;
use crate::domain::remote::MAIN;
use crate::domain::{ConfigFile, Digest, ForeignModel, RemoteLocation};

use super::download::{CachedData, DataCache};
use super::error::DataError;
use super::tokenizer::{check_older_layout, file_is_enough};

/// The files that were found for a model.
pub(super) enum FoundModel {
    /// The files of the model.
    Files(Vec<PathBuf>),
    /// No model; the text names what is missing.
    Nothing(String),
}

/// Finds the files of a model: in its folder, or for a Hub id in the cache of grid or of the Hugging Face tools.
///
/// # Errors
/// A folder without a usable model or without the wanted revision; fetched files that have changed.
pub(super) fn find(model: &ForeignModel, cache: &DataCache) -> Result<FoundModel, DataError> {
    if model.folder.is_dir() {
        return files(&local_revision(&model.folder, model.revision.as_deref())?).map(FoundModel::Files);
    }
    let path = model.folder.display().to_string();
    let Some(remote) = model.remote() else { return Ok(FoundModel::Nothing(path)) };
    if let Some(CachedData::Folder(folder)) = cache.find(&remote)? {
        return files(&folder).map(FoundModel::Files);
    }
    let pinned = cache.lock.place(&remote.place).and_then(|pinned| pinned.revision.as_deref());
    match hugging_face_cache().and_then(|cache| snapshot(&cache, &remote.place, pinned)) {
        Some(snapshot) => files(&snapshot).map(FoundModel::Files),
        None => Ok(FoundModel::Nothing(format!("{remote}, and there is no folder {path}"))),
    }
}

/// The folder of a revision in a local folder: a folder of that name, as `grid export hf --branches` writes it. The folder
/// itself is the main revision if it is a model folder.
fn local_revision(folder: &Path, revision: Option<&str>) -> Result<PathBuf, DataError> {
    let revision = revision.unwrap_or(MAIN);
    let within = folder.join(revision);
    match revision == MAIN {
        true if folder.join(CONFIG).exists() || !within.join(CONFIG).exists() => Ok(folder.to_owned()),
        false if !within.is_dir() => {
            let problem = format!("has no folder {revision}, which would be the revision of this name");
            Err(DataError::Model { path: folder.to_owned(), problem })
        }
        true | false => Ok(within),
    }
}

/// The files of the model in a folder, sorted by name, without other files such as a README or training state.
fn files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let present = |name: &str| folder.join(name).is_file();
    let invalid = |problem: String| DataError::Model { path: folder.to_owned(), problem };
    let mut names: Vec<String> = vec![CONFIG.to_owned()];
    if !present(CONFIG) {
        return Err(invalid(format!("has no {CONFIG}; check that it is a model folder")));
    }
    if present(WEIGHTS) {
        names.push(WEIGHTS.to_owned());
    } else if present(INDEX) {
        let path = folder.join(INDEX);
        let text = fs::read_to_string(&path).map_err(DataError::io("read", &path))?;
        let parts = shards(&text).map_err(|error| DataError::Model { path, problem: error.to_string() })?;
        if let Some(part) = parts.iter().find(|part| !present(part)) {
            return Err(invalid(format!("has no {part}, which {INDEX} lists; download the rest of the model")));
        }
        names.push(INDEX.to_owned());
        names.extend(parts);
    } else if present("pytorch_model.bin") || present("pytorch_model.bin.index.json") {
        return Err(invalid(format!(
            "has its weights only in pytorch_model.bin, a pickle file, which can execute arbitrary code when it is loaded; \
             if you trust it, save it as {WEIGHTS}: `model.save_pretrained(DIR, safe_serialization=True)`"
        )));
    } else {
        return Err(invalid(format!("has no weights: neither {WEIGHTS} nor {INDEX}")));
    }
    if present("adapter_config.json") {
        return Err(invalid(
            "has an adapter_config.json: transformers adds the adapter to the weights, which grid does not do; merge it \
             (`model.merge_and_unload().save_pretrained(DIR)`), or remove the file"
                .to_owned(),
        ));
    }
    if present(TOKENIZER) {
        names.push(TOKENIZER.to_owned());
    } else if present(VOCABULARY) && present(MERGES) {
        check_older_layout(folder)?;
        names.extend([VOCABULARY, MERGES].map(str::to_owned));
    } else {
        let slow = [VOCABULARY, MERGES, "vocab.txt", "tokenizer.model", "spiece.model"];
        let slow: Vec<&str> = slow.into_iter().filter(|name| present(name)).collect();
        let instead = if slow.is_empty() { String::new() } else { format!(" but {}", slow.join(" and ")) };
        return Err(invalid(format!(
            "has no {TOKENIZER}{instead}; create it with `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`"
        )));
    }
    if present(ADDED_TOKENS) && reads_added_tokens(folder)? {
        names.push(ADDED_TOKENS.to_owned());
    }
    let others = [TOKENIZER_CONFIG, SPECIAL_TOKENS, CHAT_TEMPLATE, GENERATION];
    names.extend(others.into_iter().filter(|name| present(name)).map(str::to_owned));
    names.sort();
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// The digest of the files of a model, given with their names. It also covers that the tokenizer is not `tokenizer.json`
/// alone, because earlier versions of grid read no other file, so that they gave such models other ids.
pub(super) fn model_digest(folder: &Path, parts: &[(String, Digest)]) -> Digest {
    let rules = Digest::of(b"");
    let rules = (!file_is_enough(folder)).then_some(("rules of the tokenizer", rules));
    Digest::of_named(parts.iter().map(|(name, digest)| (name.as_str(), *digest)).chain(rules))
}

/// Whether `added_tokens.json` counts: newer files of tokenizers have its content in `tokenizer_config.json`.
fn reads_added_tokens(folder: &Path) -> Result<bool, DataError> {
    let path = folder.join(TOKENIZER_CONFIG);
    if !path.exists() {
        return Ok(true);
    }
    let text = fs::read_to_string(&path).map_err(DataError::io("read", &path))?;
    let settings: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    Ok(settings.is_none_or(|settings| settings.get("added_tokens_decoder").is_none()))
}

/// Reads the configuration of the model in a folder.
///
/// # Errors
/// A `config.json` that cannot be read, or of an unsupported model.
pub fn model_config(folder: &Path) -> Result<ConfigFile, DataError> {
    let path = folder.join(CONFIG);
    let text = fs::read_to_string(&path).map_err(DataError::io("read", &path))?;
    ConfigFile::parse(&text).map_err(|error| DataError::Model { path, problem: error.to_string() })
}

/// The folder of a revision of a model in the cache: `models--org--name/snapshots/<commit>`.
fn snapshot(cache: &Path, place: &RemoteLocation, pinned: Option<&str>) -> Option<PathBuf> {
    let RemoteLocation::Hub { repository, revision, .. } = place else { return None };
    let home = cache.join(format!("models--{}", repository.replace('/', "--")));
    let revision = pinned.unwrap_or(revision);
    let commit = fs::read_to_string(home.join("refs").join(revision));
    let commit = commit.map_or_else(|_| revision.to_owned(), |commit| commit.trim().to_owned());
    Some(home.join("snapshots").join(commit)).filter(|folder| folder.is_dir())
}

/// The cache of the Hugging Face tools: `$HF_HUB_CACHE`, `$HF_HOME/hub`, or `~/.cache/huggingface/hub`.
fn hugging_face_cache() -> Option<PathBuf> {
    let folder = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("HF_HUB_CACHE")
        .or_else(|| folder("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| folder("XDG_CACHE_HOME").map(|home| home.join("huggingface/hub")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface/hub")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = files(folder).unwrap();
        files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_model_is_its_configuration_weights_and_tokenizer() {
        let folder = folder_with(&[
            ("config.json", "{}"),
            ("model.safetensors", ""),
            ("tokenizer.json", "{}"),
            ("tokenizer_config.json", "{}"),
            ("README.md", ""),
            ("optimizer.pt", ""),
        ]);
        assert_eq!(
            names(folder.path()),
            ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        );
        fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        let index = r#"{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}"#;
        for (name, text) in [("model.safetensors.index.json", index), ("1.safetensors", ""), ("2.safetensors", "")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(names(folder.path()).len(), 6);
        fs::remove_file(folder.path().join("2.safetensors")).unwrap();
        assert!(files(folder.path()).unwrap_err().to_string().contains("has no 2.safetensors, which"));
    }

    #[test]
    fn the_vocabulary_and_the_merges_are_files_of_a_model_without_another_tokenizer() {
        let config = r#"{"model_type": "gpt2"}"#;
        let folder = folder_with(&[
            ("config.json", config),
            ("model.safetensors", ""),
            ("vocab.json", "{}"),
            ("merges.txt", ""),
            ("added_tokens.json", "{}"),
        ]);
        let older = ["added_tokens.json", "config.json", "merges.txt", "model.safetensors", "vocab.json"];
        assert_eq!(names(folder.path()), older);
        fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
        let newer = ["added_tokens.json", "config.json", "model.safetensors", "tokenizer.json"];
        assert_eq!(names(folder.path()), newer);
    }

    #[test]
    fn what_cannot_be_used_is_said_with_a_remedy() {
        for (names, said) in [
            (&[("tokenizer.json", "{}")][..], "has no config.json; check that it is a model folder"),
            (&[("config.json", "{}"), ("pytorch_model.bin", "")], "a pickle file, which can execute arbitrary code"),
            (&[("config.json", "{}"), ("tf_model.h5", "")], "has no weights: neither model.safetensors nor"),
            (&[("config.json", "{}"), ("model.safetensors", "")], "has no tokenizer.json; create"),
            (
                &[("config.json", "{}"), ("model.safetensors", ""), ("vocab.json", "{}"), ("tokenizer.model", "")],
                "has no tokenizer.json but vocab.json and tokenizer.model; create",
            ),
            (
                &[("config.json", "{}"), ("model.safetensors", ""), ("vocab.json", "{}"), ("merges.txt", "")],
                "tokenizer.json: the file is missing, and vocab.json and merges.txt can replace it only for GPT2Tokenizer, \
                 RobertaTokenizer and GPTNeoXTokenizer (transformers 5), but no 'tokenizer_class' is named for a model of \
                 type \"\"; create it with",
            ),
            (
                &[("config.json", "{}"), ("model.safetensors", ""), ("adapter_config.json", "{}")],
                "merge it (`model.merge_and_unload().save_pretrained(DIR)`)",
            ),
        ] {
            let folder = folder_with(names);
            let refusal = files(folder.path()).unwrap_err().to_string();
            assert!(refusal.contains(said) && refusal.contains(folder.path().to_str().unwrap()), "{refusal}");
        }
    }

    #[test]
    fn hub_ids_are_found_in_the_cache_by_branch_and_by_commit() {
        let cache = folder_with(&[
            ("models--org--name/refs/main", "c0ffee\n"),
            ("models--org--name/snapshots/c0ffee/config.json", "{}"),
        ]);
        let pinned = |text, commit| snapshot(cache.path(), &RemoteLocation::model(text).unwrap(), commit);
        let snapshot = |text| pinned(text, None);
        let there = cache.path().join("models--org--name/snapshots/c0ffee");
        assert_eq!(snapshot("org/name"), Some(there.clone()));
        assert_eq!(pinned("org/name", Some("other")), None, "the lock file takes precedence over the branch");
        assert_eq!(snapshot("org/name@c0ffee"), Some(there));
        assert_eq!(snapshot("org/name@other"), None);
        assert_eq!(snapshot("org/none"), None);
    }

    #[test]
    fn revisions_of_a_local_folder_are_folders_in_it() {
        let model = [("config.json", "{}"), ("model.safetensors", ""), ("tokenizer.json", "{}")];
        let names = |prefix: &str| model.map(|(name, text)| (format!("{prefix}{name}"), text));
        let all: Vec<(String, &str)> = names("main/").into_iter().chain(names("chck_1M/")).collect();
        let all: Vec<(&str, &str)> = all.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let folder = folder_with(&all);
        let found = |revision: Option<&str>| {
            let revision = revision.map(str::to_owned);
            let model = ForeignModel { name: "x".into(), folder: folder.path().to_owned(), revision };
            match find(&model, &DataCache::default()) {
                Ok(FoundModel::Files(files)) => {
                    files[0].parent().unwrap().strip_prefix(folder.path()).unwrap().to_owned()
                }
                Ok(FoundModel::Nothing(location)) => panic!("nothing at {location}"),
                Err(error) => PathBuf::from(error.to_string().split_once(" has ").unwrap().1),
            }
        };
        assert_eq!(found(None), Path::new("main"));
        assert_eq!(found(Some("main")), Path::new("main"));
        assert_eq!(found(Some("chck_1M")), Path::new("chck_1M"));
        assert_eq!(
            found(Some("chck_2M")).to_str().unwrap(),
            "no folder chck_2M, which would be the revision of this name"
        );
        for (name, text) in model {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(found(None), Path::new(""), "the folder itself is a model");
        fs::remove_dir_all(folder.path().join("main")).unwrap();
        assert_eq!(found(Some("main")), Path::new(""));
    }

    #[test]
    fn what_is_nowhere_is_missing() {
        let named =
            |name: &str, folder: &str| ForeignModel { name: name.into(), folder: folder.into(), revision: None };
        let model = named("org/no-such@v1", "/spec/org/no-such@v1");
        let FoundModel::Nothing(location) = find(&model, &DataCache::default()).unwrap() else { panic!("found") };
        assert_eq!(location, "hf:org/no-such@v1, and there is no folder /spec/org/no-such@v1");
        let model = named("../models/a", "/spec/../models/a");
        let FoundModel::Nothing(location) = find(&model, &DataCache::default()).unwrap() else { panic!("found") };
        assert_eq!(location, "/spec/../models/a");
    }
}
