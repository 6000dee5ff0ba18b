//! What is on the cache, and how it fetched there.

use std::fs;
use std::path::Path;

use crate::domain::{FileSelection, HubKind, Remote, RemoteLocation};

use super::super::listing::Services;
use super::super::{CacheState, CachedData, DataCache, FetchError, FetchProgress, Lock, Network};
use super::server::{Server, not_found, ok, response};
use super::{quick_retries, sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";

/// A dataset `org/data` with two files, for whoever has the token.
fn hub(commit: &'static str) -> Server {
    Server::new(move |request| {
        let listing = serde_json::json!({
            "sha": commit,
            "cardData": {"license": "cc-by-sa-4.0"},
            "siblings": [
                {"rfilename": ".gitattributes", "size": 3},
                {"rfilename": "wiki/a b.jsonl", "size": 133, "lfs": {"sha256": sha256(b"wiki"), "size": 4}},
                {"rfilename": "talk/x.jsonl", "size": 4},
            ],
        });
        let resolve = format!("/datasets/org/data/resolve/{commit}/");
        match request.path.strip_prefix(&resolve) {
            _ if request.headers.get("authorization").is_none_or(|token| token != "Bearer secret") => {
                response("401 Unauthorized", "Content-Length: 0\r\n", b"")
            }
            None if request.path.starts_with("/api/datasets/org/data/revision/") => ok(listing.to_string().as_bytes()),
            Some("wiki/a%20b.jsonl") => ok(b"wiki"),
            Some("talk/x.jsonl") => ok(b"talk"),
            _ => not_found(),
        }
    })
}

fn network(hub: &str, osf: &str) -> Network {
    let services = Services { hub: hub.to_owned(), token: Some("secret".to_owned()), osf: osf.to_owned() };
    Network::new(services, quick_retries())
}

fn dataset(revision: &str, files: &str) -> Remote {
    let (kind, repository) = (HubKind::Datasets, "org/data".to_owned());
    let place = RemoteLocation::Hub { kind, repository, revision: revision.to_owned() };
    Remote { place, archive: None, pick: FileSelection::Files(files.to_owned()) }
}

fn address(url: String, sha256: Option<String>) -> Remote {
    Remote { place: RemoteLocation::Url { url, sha256 }, archive: None, pick: FileSelection::Files("*".to_owned()) }
}

fn fetch(cache: &DataCache, remote: &Remote, network: &Network) -> Result<usize, FetchError> {
    cache.fetch(remote, Some(network), false, &mut |_| ())
}

/// A cache in this folder, with the lock of the spec there.
fn cache(folder: &Path) -> DataCache {
    DataCache::new(&folder.join("cache"), Lock::read(&folder.join("spec.yaml")).unwrap())
}

/// Puts what is there into the lock of the spec.
fn lock(cache: &DataCache, remote: &Remote) {
    let mut lock = cache.lock.clone();
    assert!(lock.add(&remote.place, cache.pinned(remote).unwrap()));
    lock.write().unwrap();
}

#[test]
fn the_hub_is_listed_once_and_only_selected_files_are_fetched() {
    let (server, folder) = (hub(COMMIT), tempfile::tempdir().unwrap());
    let (cache, network) = (cache(folder.path()), network(&server.url, ""));
    let source = dataset("main", "wiki/*.jsonl");
    assert_eq!(cache.find(&source).unwrap(), None);
    let mut said = vec![];
    let fetched = cache.fetch(&source, Some(&network), false, &mut |coming| said.push(format!("{coming:?}"))).unwrap();
    assert!(fetched == 1 && said.last().unwrap().starts_with("Whole("), "{said:?}");
    let tree = folder.path().join(format!("cache/data/hf/datasets/org--data/{COMMIT}"));
    assert_eq!(cache.find(&source).unwrap(), Some(CachedData::Files(vec![tree.join("wiki/a b.jsonl")])));
    assert_eq!(fs::read(tree.join("wiki/a b.jsonl")).unwrap(), b"wiki");
    assert!(!tree.join("talk/x.jsonl").exists());
    assert_eq!(cache.licence(&source.place).as_deref(), Some("cc-by-sa-4.0"));

    let requested = server.requested_paths().len();
    assert_eq!(fetch(&cache, &source, &network).unwrap(), 0, "the file is in the cache");
    assert_eq!(server.requested_paths().len(), requested, "no request was sent");
    assert_eq!(
        fetch(&cache, &dataset(COMMIT, "talk/*"), &network).unwrap(),
        1,
        "the commit and the branch are the same tree"
    );
    assert_eq!(cache.find(&dataset("main", "**/*.jsonl")).unwrap().map(|_| ()), Some(()));
    assert!(server.requested_paths().last().unwrap().contains("/talk/"));
    let error = fetch(&cache, &dataset("main", "nothing/*"), &network).unwrap_err().to_string();
    assert!(
        server.requested_paths().last().unwrap().contains(&format!("/revision/{COMMIT}?")),
        "the commit of the branch stays the same"
    );
    assert!(error.contains("nothing/*") && error.contains("wiki/a b.jsonl"), "{error}");
}

#[test]
fn changed_files_are_rejected_and_fetched_again() {
    let (server, folder) = (hub(COMMIT), tempfile::tempdir().unwrap());
    let (cache, network) = (cache(folder.path()), network(&server.url, ""));
    let source = dataset("main", "talk/*");
    fetch(&cache, &source, &network).unwrap();
    let file = cache.tree(&source.place).join("talk/x.jsonl");
    fs::write(&file, "talK").unwrap();
    assert!(matches!(cache.status(&source).unwrap().state, CacheState::Differs(_)));
    let refused = cache.find(&source).unwrap_err().to_string();
    assert!(refused.contains(&sha256(b"talk")) && refused.contains(&sha256(b"talK")), "{refused}");
    assert_eq!(fetch(&cache, &source, &network).unwrap(), 1);
    assert_eq!(fs::read(&file).unwrap(), b"talk");
    // A touch is no change.
    fs::File::open(&file).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(cache.status(&source).unwrap().state, CacheState::Fetched);
    fs::remove_file(&file).unwrap();
    assert_eq!(cache.status(&source).unwrap().state, CacheState::Missing);
}

#[test]
fn another_file_with_the_same_length_and_time_is_rejected() {
    let (server, folder) = (hub(COMMIT), tempfile::tempdir().unwrap());
    let (cache, network) = (cache(folder.path()), network(&server.url, ""));
    let source = dataset("main", "talk/*");
    fetch(&cache, &source, &network).unwrap();
    let file = cache.tree(&source.place).join("talk/x.jsonl");
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "talK").unwrap();
    fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    fs::rename(&other, &file).unwrap();
    assert!(matches!(cache.status(&source).unwrap().state, CacheState::Differs(_)));
}

/// A record of an older version, and a cache that was copied, have no stamps that fit.
#[test]
fn files_without_a_known_stamp_are_read_again_once() {
    let (server, folder) = (hub(COMMIT), tempfile::tempdir().unwrap());
    let (cache, network) = (cache(folder.path()), network(&server.url, ""));
    let source = dataset("main", "talk/*");
    fetch(&cache, &source, &network).unwrap();
    let path = folder.path().join(format!("cache/data/hf/datasets/org--data/{COMMIT}.json"));
    let record = || -> serde_json::Value { serde_json::from_slice(&fs::read(&path).unwrap()).unwrap() };
    let new = record();
    let mut old = new.clone();
    let stored = old["received"]["talk/x.jsonl"].as_object_mut().unwrap();
    stored.remove("stamp").unwrap();
    stored.insert("modified_ns".into(), 1.into());
    fs::write(&path, old.to_string()).unwrap();
    assert_eq!(cache.status(&source).unwrap().state, CacheState::Fetched);
    assert_eq!(record(), new, "the stamp is recorded");
}

#[test]
fn a_locked_commit_takes_precedence_over_the_branch() {
    let (server, folder) = (hub(COMMIT), tempfile::tempdir().unwrap());
    let source = dataset("main", "talk/*");
    let first = cache(folder.path());
    fetch(&first, &source, &network(&server.url, "")).unwrap();
    lock(&first, &source);

    // The branch has moved, but whoever has the lock, on another machine too, gets what it had.
    let (moved, elsewhere) = (hub(OTHER), tempfile::tempdir().unwrap());
    fs::copy(folder.path().join("spec.lock"), elsewhere.path().join("spec.lock")).unwrap();
    let other = cache(elsewhere.path());
    let error = fetch(&other, &source, &network(&moved.url, "")).unwrap_err();
    assert!(
        moved.requested_paths()[0].contains(&format!("/revision/{COMMIT}?")),
        "{error}: {:?}",
        moved.requested_paths()
    );
    assert_eq!(fetch(&other, &source, &network(&server.url, "")).unwrap(), 1);
    assert_eq!(other.status(&source).unwrap().state, CacheState::Locked);
    assert!(other.tree(&source.place).ends_with(COMMIT));
}

#[test]
fn content_that_differs_from_the_lock_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(|request| ok(if request.earlier == 0 { b"old" } else { b"new" }));
    let (source, network) = (address(format!("{}/a.txt", server.url), None), network("", ""));
    let first = cache(folder.path());
    fetch(&first, &source, &network).unwrap();
    lock(&first, &source);
    let locked = cache(folder.path());
    assert_eq!(locked.status(&source).unwrap().state, CacheState::Locked);
    fs::remove_dir_all(folder.path().join("cache")).unwrap();
    let error = fetch(&locked, &source, &network).unwrap_err();
    assert!(matches!(error, FetchError::Changed { .. }), "{error}");
    let said = error.to_string();
    for part in [&sha256(b"old"), &sha256(b"new"), "spec.lock", "grid data lock"] {
        assert!(said.contains(part), "{said}");
    }
    // Another experiment, without a lock, fetches what there is now: still not what is locked.
    fetch(&DataCache::new(&folder.path().join("cache"), Lock::default()), &source, &network).unwrap();
    assert!(matches!(locked.status(&source).unwrap().state, CacheState::Differs(_)));
    assert!(matches!(fetch(&locked, &source, &network), Err(FetchError::Changed { .. })));
}

#[test]
fn concurrent_processes_fetch_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(|_| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        ok(b"text")
    });
    let source = address(format!("{}/a.txt", server.url), Some(sha256(b"text")));
    let fetched: usize = std::thread::scope(|scope| {
        let one = || fetch(&cache(folder.path()), &source, &network("", "")).unwrap();
        [scope.spawn(one), scope.spawn(one)].into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((fetched, server.requested_paths().len()), (1, 1));
}

#[test]
fn offline_accepts_only_files_in_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path());
    let offline = |remote: &Remote| cache.fetch(remote, None, false, &mut |_: FetchProgress| ());
    let url = address("https://x.org/a.txt".into(), Some(sha256(b"by hand")));
    let project = Remote {
        place: RemoteLocation::Osf { project: "abc12".into() },
        archive: None,
        pick: FileSelection::Files("text/*.txt".into()),
    };
    for (remote, path) in [(&url, "a.txt"), (&project, "text/1.txt"), (&dataset("v1", "talk/*"), "talk/x.jsonl")] {
        let FetchError::Offline { folder, from, .. } = offline(remote).unwrap_err() else { panic!("{remote}") };
        assert!(from.starts_with("https://"), "{from}");
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "by hand").unwrap();
        assert_eq!(offline(remote).unwrap(), 0);
        assert_eq!(cache.find(remote).unwrap(), Some(CachedData::Files(vec![file])));
    }
    let other = address("https://x.org/a.txt".into(), Some(sha256(b"other")));
    assert!(offline(&other).is_err(), "the file must have the digest given in the spec");
}

#[test]
fn the_token_is_sent_only_to_the_hub() {
    let services = Services { hub: "https://hub.example".into(), token: Some("secret".into()), osf: String::new() };
    assert_eq!(services.token_for("https://hub.example/datasets/x"), Some("secret"));
    assert_eq!(services.token_for("https://hub.example.evil.com/x"), None);
    assert_eq!(services.token_for("https://files.example/x"), None);
}

#[test]
fn osf_projects_have_folders_pages_and_archives() {
    let zip = super::zipped(&[("train_100M/a.train", "one"), ("train_100M/b.train", "two"), ("__MACOSX/._a", "x")]);
    let server = Server::new(move |request| {
        let host = format!("http://{}", request.headers["host"]);
        let file = |path: &str, content: &[u8]| {
            serde_json::json!({"attributes": {"kind": "file", "materialized_path": path, "size": content.len(),
                "extra": {"hashes": {"md5": "0", "sha256": sha256(content)}}},
                "links": {"download": format!("{host}/download{path}")}})
        };
        let page = |items: Vec<serde_json::Value>, next: Option<String>| {
            ok(serde_json::json!({"data": items, "links": {"next": next}}).to_string().as_bytes())
        };
        match request.path.as_str() {
            "/v2/nodes/abc12/files/osfstorage/?page[size]=100" => {
                let folder = serde_json::json!({"attributes": {"kind": "folder", "materialized_path": "/eval/", "size": null},
                    "relationships": {"files": {"links": {"related": {"href": format!("{host}/folder")}}}}});
                page(vec![folder], Some(format!("{host}/second")))
            }
            "/second" => page(vec![file("/train.zip", &zip)], None),
            "/folder" => page(vec![file("/eval/x.jsonl", b"{}")], None),
            "/download/train.zip" => ok(&zip),
            "/download/eval/x.jsonl" => ok(b"{}"),
            _ => not_found(),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (cache, network) = (cache(folder.path()), network("", &server.url));
    let place = || RemoteLocation::Osf { project: "abc12".to_owned() };
    let archive = Some("train.zip".to_owned());
    let train = Remote { place: place(), archive: archive.clone(), pick: FileSelection::Files("*/a.train".to_owned()) };
    assert_eq!(fetch(&cache, &train, &network).unwrap(), 1);
    let Some(CachedData::Pattern(pattern)) = cache.find(&train).unwrap() else { panic!("not found") };
    let unpacked = pattern.parent().unwrap().parent().unwrap();
    assert_eq!(fs::read(unpacked.join("train_100M/a.train")).unwrap(), b"one");
    assert!(!unpacked.join("__MACOSX").exists());
    assert_eq!(cache.status(&train).unwrap().files.keys().collect::<Vec<_>>(), ["train.zip"]);
    let whole_archive = Remote { place: place(), archive, pick: FileSelection::Folder(String::new()) };
    assert_eq!(fetch(&cache, &whole_archive, &network).unwrap(), 0, "an archive is fetched once");
    let eval = Remote { place: place(), archive: None, pick: FileSelection::Folder("eval".to_owned()) };
    assert_eq!(fetch(&cache, &eval, &network).unwrap(), 1);
    let Some(CachedData::Folder(folder)) = cache.find(&eval).unwrap() else { panic!("not found") };
    assert!(folder.join("x.jsonl").is_file());
}

#[test]
fn a_listing_must_not_contain_paths_outside_of_the_cache() {
    let server = Server::new(|_| {
        ok(format!(r#"{{"sha": "{COMMIT}", "siblings": [{{"rfilename": "../../x", "size": 1}}]}}"#).as_bytes())
    });
    let folder = tempfile::tempdir().unwrap();
    let result = fetch(&cache(folder.path()), &dataset("main", "*"), &network(&server.url, ""));
    assert!(matches!(result, Err(FetchError::Listing { .. })), "{result:?}");
}

#[test]
fn an_invalid_archive_is_reported() {
    let server = Server::new(|_| ok(b"no archive"));
    let folder = tempfile::tempdir().unwrap();
    let mut source = address(format!("{}/a.tar.gz", server.url), None);
    source.archive = Some("a.tar.gz".to_owned());
    let error = fetch(&cache(folder.path()), &source, &network("", "")).unwrap_err().to_string();
    assert!(error.contains("a.tar.gz") && error.contains("only zip archives are supported"), "{error}");
}
