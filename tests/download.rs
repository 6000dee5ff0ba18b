//! Remote data: it can be planned before the download, is fetched once and locked, and is refused if it differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::server::{Request, Server, not_found, ok, ranged, response};
use crate::common::{Env, TINY, texts};
use sha2::Digest;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A corpus that suffices for a tiny model.
fn speech(seed: usize) -> String {
    let words = ["the", "dog", "cat", "sees", "a", "ball", "runs", "home", "red", "small"];
    let line =
        |n: usize| (0..6).map(|i| words[(n * 7 + i * (3 + seed) + n / 9) % words.len()]).collect::<Vec<_>>().join(" ");
    (0..900).map(|n| line(n) + "\n\n").collect()
}

/// The corpus `speech(0)` with one byte changed.
fn altered_speech() -> String {
    speech(0).replacen("the", "tha", 1)
}

/// An instruction dataset.
fn chat() -> String {
    let record =
        |n: usize| serde_json::json!({"prompt": format!("where is ball {n} ?"), "reply": "the dog sees a ball"});
    (0..120).map(|n| record(n).to_string() + "\n").collect()
}

/// A hub with the datasets `org/text` and `org/chat`. The first transfer of the text is interrupted.
fn hub() -> Server {
    Server::new(|request| {
        let (text, chat) = (speech(0), chat());
        let listing = |name: &str, content: &str| {
            let large = serde_json::json!({"sha256": sha256(content.as_bytes()), "size": content.len()});
            let siblings = [serde_json::json!({"rfilename": name, "size": 1, "lfs": large})];
            ok(serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string().as_bytes())
        };
        let interrupted = |request: &Request| {
            let mut response = ranged(request, text.as_bytes());
            response.body.truncate(if request.earlier == 0 { 10_000 } else { usize::MAX });
            response
        };
        match request.path.as_str() {
            "/api/datasets/org/text/revision/main?blobs=true" => listing("train/1.txt", &text),
            "/api/datasets/org/chat/revision/v1?blobs=true" => listing("chat.jsonl", &chat),
            path if path == format!("/datasets/org/text/resolve/{COMMIT}/train/1.txt") => interrupted(request),
            path if path == format!("/datasets/org/chat/resolve/{COMMIT}/chat.jsonl") => {
                ranged(request, chat.as_bytes())
            }
            path if path.starts_with(&format!("/api/datasets/org/text/revision/{COMMIT}")) => {
                listing("train/1.txt", &text)
            }
            path if path.starts_with(&format!("/api/datasets/org/chat/revision/{COMMIT}")) => {
                listing("chat.jsonl", &chat)
            }
            _ => not_found(),
        }
    })
}

/// The spec `TINY`, reduced to one cell, with its data on the hub.
fn spec_on_the_hub() -> String {
    TINY.replace("{world: speech, words: 6k}", "{hf: org/text, files: \"train/*.txt\", licence: CC0}")
        .replace("{world: chat, records: 200}", "{hf: org/chat, revision: v1, files: chat.jsonl}")
        .replace("dataset: [chat, [chat, questions]]", "dataset: [chat]")
        .replace("curriculum: [pretrained, merged, sequential]", "curriculum: [merged]")
        .replace("seed: [1, 2]", "seed: [1]")
}

/// A temporary folder with a spec and a cache, in which `grid` sees a test server in place of the Hub and of OSF.
struct Sandbox {
    env: Env,
    hub: String,
}

impl Sandbox {
    fn new(spec: &str, hub: &str) -> Self {
        Self { env: Env::new(spec), hub: hub.to_owned() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.env.command(arguments);
        for name in ["HF_TOKEN", "HF_HOME", "HF_HUB_CACHE", "GRID_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"] {
            command.env_remove(name);
        }
        let home = self.env.path().join("home");
        command.env("HOME", &home).env("XDG_CACHE_HOME", home.join("caches")).env_remove("GRID_CACHE");
        command.env("HF_ENDPOINT", &self.hub).env("OSF_ENDPOINT", &self.hub);
        command
    }

    /// Standard output and standard error of `grid`, which must exit with this code.
    fn grid(&self, code: i32, arguments: &[&str]) -> (String, String) {
        check_code(self.command(arguments).output().expect("the binary starts"), code, arguments)
    }

    /// The text without what differs between machines and runs: the folder, the address of the server, and digests.
    fn stable(&self, text: &str) -> String {
        let folder = self.env.path().to_str().unwrap();
        let text = text.replace(folder, "[folder]").replace(&self.hub, "[server]");
        let (original, altered) = (sha256(speech(0).as_bytes()), sha256(altered_speech().as_bytes()));
        let text = text.replace(&original, "[digest]").replace(&altered, "[digest of the altered text]");
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    fn cache(&self) -> PathBuf {
        self.env.path().join("home/caches/grid/data")
    }
}

fn check_code(output: Output, code: i32, arguments: &[&str]) -> (String, String) {
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "grid {arguments:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    (stdout, stderr)
}

#[test]
fn a_run_fetches_what_it_needs_once_and_locks_it() {
    let server = hub();
    let sandbox = Sandbox::new(&spec_on_the_hub(), &server.url);
    let (plan, _) = sandbox.grid(0, &["plan", "spec.yaml"]);
    let missing: Vec<&str> = plan.lines().filter(|line| line.starts_with("not found")).collect();
    insta::assert_snapshot!(sandbox.stable(&missing.join("\n")), @"
    not found: hf:datasets/org/chat@v1 chat.jsonl (dataset chat), named in spec.yaml:5:45
    not found: hf:datasets/org/text@main train/*.txt (corpus speech), named in spec.yaml:3:33
    ");
    assert_eq!(server.requested_paths(), Vec::<String>::new(), "a plan sends no requests");
    let (list, _) = sandbox.grid(0, &["data", "list", "spec.yaml"]);
    insta::assert_snapshot!(sandbox.stable(&list), @"
    data of tiny
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
     data                        from                                    state                licence   files   size
    ═════════════════════════════════════════════════════════════════════════════════════════════════════════════════
     corpora.speech              hf:datasets/org/text@main train/*.txt   missing              CC0           0    0 B
     datasets.chat               hf:datasets/org/chat@v1 chat.jsonl      missing              —             0    0 B
     datasets.questions          toy world 1: questions, 200             built in, not used   —             —      —
     evaluate.blimp              toy world 1: evaluation, 20             built in             —             —      —
     evaluate.blimp-supplement   toy world 1: evaluation, 20             built in             —             —      —
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    ");

    let (_, stderr) = sandbox.grid(0, &["run", "spec.yaml"]);
    assert!(
        stderr.contains("fetched hf:datasets/org/text@main train/1.txt") && stderr.contains("locked in spec.lock"),
        "{stderr}"
    );
    let requested = server.requested_paths();
    assert_eq!(
        requested.iter().filter(|path| path.contains("resolve")).count(),
        3,
        "one was interrupted: {requested:?}"
    );
    let starts: Vec<usize> = server.requests.lock().unwrap().iter().map(Request::range_start).collect();
    assert!(starts.contains(&10_000), "the transfer is resumed where it stopped: {starts:?}");
    let lock: serde_json::Value =
        serde_json::from_slice(&fs::read(sandbox.env.path().join("spec.lock")).unwrap()).unwrap();
    let text = &lock["data"]["hf:datasets/org/text@main"];
    assert_eq!(text["revision"], COMMIT);
    assert_eq!(text["files"]["train/1.txt"]["sha256"], sha256(speech(0).as_bytes()));
    assert_eq!(text["files"]["train/1.txt"]["bytes"], speech(0).len());

    // Neither a second run nor another experiment on this machine downloads again, and `--offline` works.
    let requested = server.requested_paths().len();
    let (_, stderr) = sandbox.grid(0, &["run", "spec.yaml"]);
    assert!(stderr.contains("nothing to do"), "{stderr}");
    let other = spec_on_the_hub().replace("name: tiny", "name: other");
    fs::write(sandbox.env.path().join("other.yaml"), other).unwrap();
    sandbox.grid(0, &["data", "fetch", "other.yaml", "--offline"]);
    sandbox.grid(0, &["data", "verify", "other.yaml"]);
    assert_eq!(server.requested_paths().len(), requested);
    assert!(sandbox.env.path().join("other.lock").is_file());
}

#[test]
fn content_that_differs_from_the_lock_stops_a_run() {
    let server = hub();
    let sandbox = Sandbox::new(&spec_on_the_hub(), &server.url);
    sandbox.grid(0, &["data", "lock", "spec.yaml"]);
    let (list, _) = sandbox.grid(0, &["data", "list", "spec.yaml", "--format", "json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
    let row = rows.iter().find(|row| row["data"] == "corpora.speech").unwrap();
    assert_eq!((&row["state"], &row["files"], &row["bytes"]), (&"locked".into(), &1.into(), &speech(0).len().into()));
    assert_eq!(row["licence"], "CC0");
    let unused = rows.iter().find(|row| row["data"] == "datasets.questions").unwrap();
    assert_eq!(unused["state"], "built in, not used");

    // Change one byte in the cache.
    let file = sandbox.cache().join(format!("hf/datasets/org--text/{COMMIT}/train/1.txt"));
    fs::write(&file, altered_speech()).unwrap();
    let (_, refused) = sandbox.grid(6, &["run", "spec.yaml"]);
    insta::assert_snapshot!(sandbox.stable(&refused), @"grid: failed to use train/1.txt of hf:datasets/org/text@main: the lock file spec.lock has SHA-256 [digest], but the content has [digest of the altered text]; `grid data lock SPEC` accepts the current version of the server, or delete [folder]/home/caches/grid/data/hf/datasets/org--text/0123456789abcdef0123456789abcdef01234567/train/1.txt to fetch the locked version again, if the server still has it");
    let (verified, _) = sandbox.grid(8, &["data", "verify", "spec.yaml"]);
    assert!(verified.contains("differs") && verified.contains("train/1.txt"), "{verified}");
    let (list, _) = sandbox.grid(0, &["data", "list", "spec.yaml"]);
    insta::assert_snapshot!(sandbox.stable(&list), @"
    data of tiny
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
     data                        from                                    state                licence   files       size
    ═════════════════════════════════════════════════════════════════════════════════════════════════════════════════════
     corpora.speech              hf:datasets/org/text@main train/*.txt   differs              CC0           1   24.1 KiB
     datasets.chat               hf:datasets/org/chat@v1 chat.jsonl      locked               —             1    7.3 KiB
     datasets.questions          toy world 1: questions, 200             built in, not used   —             —          —
     evaluate.blimp              toy world 1: evaluation, 20             built in             —             —          —
     evaluate.blimp-supplement   toy world 1: evaluation, 20             built in             —             —          —
    ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    ");
    assert!(!sandbox.env.path().join("runs").exists(), "no job has started");
    sandbox.grid(0, &["data", "lock", "spec.yaml"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), speech(0), "the file was downloaded again");
    sandbox.grid(0, &["data", "verify", "spec.yaml"]);

    // A change that keeps the length and the modification time is found by reading the file.
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, altered_speech()).unwrap();
    fs::File::open(&file).unwrap().set_modified(modified).unwrap();
    sandbox.grid(8, &["data", "verify", "spec.yaml"]);
}

#[test]
fn offline_lists_missing_files_and_accepts_manual_downloads() {
    let sandbox = Sandbox::new(&spec_on_the_hub(), "http://127.0.0.1:9");
    let (_, message) = sandbox.grid(6, &["run", "spec.yaml", "--offline"]);
    let (folder, chat_folder) =
        (sandbox.cache().join("hf/datasets/org--text/main"), sandbox.cache().join("hf/datasets/org--chat/v1"));
    insta::assert_snapshot!(sandbox.stable(&message), @"
    grid: tiny needs data that are not on this machine, and grid is offline:
      corpora.speech: hf:datasets/org/text@main train/*.txt
        from [server]/datasets/org/text/tree/main
        into [folder]/home/caches/grid/data/hf/datasets/org--text/main
      datasets.chat: hf:datasets/org/chat@v1 chat.jsonl
        from [server]/datasets/org/chat/tree/v1
        into [folder]/home/caches/grid/data/hf/datasets/org--chat/v1
      help: put the files there under the same paths, or run `grid data fetch` on a machine with a network, with GRID_CACHE on a disk that both machines share
    ");
    for (path, content) in [(folder.join("train/1.txt"), speech(0)), (chat_folder.join("chat.jsonl"), chat())] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let output = sandbox.command(&["data", "fetch", "spec.yaml"]).env("GRID_OFFLINE", "1").output().unwrap();
    let (_, stderr) = check_code(output, 0, &["data", "fetch"]);
    assert!(stderr.contains("locked in spec.lock"), "{stderr}");
    let (plan, _) = sandbox.grid(0, &["plan", "spec.yaml"]);
    assert!(!plan.contains("not found"), "{plan}");
}

#[test]
fn urls_archives_and_osf_projects_become_local_data() {
    let zip = {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
        for (name, text) in [("train/a.train", speech(1)), ("eval/fast_eval/blimp_fast/x.jsonl", minimal_pair())] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let digest = sha256(&zip);
    let server = Server::new(move |request| match request.path.as_str() {
        "/files/all.zip" => ranged(request, &zip),
        "/v2/nodes/abc12/files/osfstorage/?page[size]=100" => {
            let host = format!("http://{}", request.headers["host"]);
            let item = serde_json::json!({"attributes": {"kind": "file", "materialized_path": "/all.zip", "size": zip.len(),
                "extra": {"hashes": {"sha256": sha256(&zip)}}}, "links": {"download": format!("{host}/files/all.zip")}});
            ok(serde_json::json!({"data": [item], "links": {"next": null}}).to_string().as_bytes())
        }
        _ => not_found(),
    });
    let speech = format!("{{url: \"{}/files/all.zip\", sha256: {digest}, files: \"train/*.train\"}}", server.url);
    let spec = TINY.replace("{world: speech, words: 6k}", &speech).replace(
        "evaluate: {data: world, items: 20, suites: [blimp, blimp-supplement]}",
        "evaluate: {data: {osf: abc12, archive: all.zip, folder: eval}, suites: [blimp]}",
    );
    let sandbox = Sandbox::new(&spec, &server.url);
    sandbox.grid(0, &["data", "fetch", "spec.yaml"]);
    let (plan, _) = sandbox.grid(0, &["plan", "spec.yaml"]);
    assert!(!plan.contains("not found"), "{plan}");
    let (list, _) = sandbox.grid(0, &["data", "list", "spec.yaml", "--format", "csv"]);
    assert!(list.contains("evaluate.blimp,osf:abc12 all.zip eval/fast_eval/blimp_fast,locked"), "{list}");

    // If a pattern matches nothing, the error lists the files of the archive. A file with a wrong digest is never used.
    let (_, message) = sandbox.grid(6, &["plan", "spec.yaml", "-S", "corpora.speech.files='*.txt'"]);
    insta::assert_snapshot!(sandbox.stable(&message), @"grid: failed to find [server]/files/all.zip *.txt: all.zip has no such file; it has eval/fast_eval/blimp_fast/x.jsonl, train/a.train");
    let wrong = format!("corpora.speech.sha256={}", "a".repeat(64));
    fs::remove_file(sandbox.env.path().join("spec.lock")).unwrap();
    let (_, message) = sandbox.grid(6, &["data", "fetch", "spec.yaml", "-S", &wrong]);
    assert!(message.contains(&digest) && message.contains(&"a".repeat(64)), "{message}");
}

/// A file of the suite `blimp` with one item.
fn minimal_pair() -> String {
    serde_json::json!({"sentence_good": "the dog runs", "sentence_bad": "the dog run"}).to_string() + "\n"
}

#[test]
fn server_and_disk_errors_come_with_a_remedy() {
    let server = Server::new(|request| match request.path.as_str() {
        path if path.contains("org/text") => response("401 Unauthorized", "Content-Length: 0\r\n", b""),
        "/big.txt" => {
            let mut whole = ok(&vec![b'x'; 100_000]);
            whole.head.push_str("ETag: \"v1\"\r\n");
            whole
        }
        _ => not_found(),
    });
    let sandbox = Sandbox::new(&spec_on_the_hub(), &server.url);
    let (_, message) = sandbox.grid(6, &["run", "spec.yaml"]);
    insta::assert_snapshot!(sandbox.stable(&message), @"
    grid: failed to fetch [server]/api/datasets/org/text/revision/main?blobs=true: the server responded with status 401: check the name; if it is correct, the repository requires a login: set HF_TOKEN and accept the terms on its page
      needed for corpora.speech: hf:datasets/org/text@main train/*.txt
    ");
    let spec = TINY.replace("{world: speech, words: 6k}", &format!("{{url: \"{}/big.txt\"}}", server.url));
    fs::write(sandbox.env.path().join("spec.yaml"), &spec).unwrap();

    // A limit on the size of files stands in for a full disk.
    let limited = |script: &str| {
        let grid = sandbox.command(&["data", "fetch", "spec.yaml"]);
        let mut shell = Command::new("bash");
        shell
            .args(["-c", script, "bash"])
            .arg(grid.get_program())
            .args(grid.get_args())
            .current_dir(sandbox.env.path());
        for (name, value) in grid.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        check_code(shell.output().expect("bash starts"), 6, &["data", "fetch"]).1
    };
    let full = limited("trap '' XFSZ; ulimit -f 32; exec \"$@\"");
    fs::write(sandbox.env.path().join("plain"), "a file").unwrap();
    let no_folder = limited("GRID_CACHE=plain/cache exec \"$@\"");
    // The port of the server differs between runs.
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1-[0-9a-f]+", "[host]"), (r"[0-9a-f]{64}\.part", "[url].part")]}, {
        insta::assert_snapshot!(sandbox.stable(&format!("{full}{no_folder}")), @"
        grid: failed to write [folder]/home/caches/grid/data/url/[host]/parts/[url].part: File too large (os error 27); free some space, or set GRID_CACHE to a folder with enough space (the received part is kept)
          needed for corpora.speech: [server]/big.txt
        grid: failed to create folder [folder]/plain/cache/data/url/[host]: Not a directory (os error 20); set GRID_CACHE to a writable folder
          needed for corpora.speech: [server]/big.txt
        ");
    });
    sandbox.grid(0, &["data", "fetch", "spec.yaml"]);
    let requests = server.requests.lock().unwrap();
    let last = requests.last().unwrap();
    assert!(
        last.path == "/big.txt" && last.range_start() > 0,
        "what was written before the disk was full is kept: {last:?}"
    );
}

/// Trains a model, exports it in Hugging Face format and returns its files with their contents.
fn export_model(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let model =
        TINY.replace("seed: [1, 2]", "seed: [1]").replace("dataset: [chat, [chat, questions]]", "dataset: [chat]");
    fs::write(sandbox.env.path().join("tiny.yaml"), model.replace("[pretrained, merged, sequential]", "[pretrained]"))
        .unwrap();
    sandbox.grid(0, &["run", "tiny.yaml"]);
    sandbox.grid(0, &["export", "hf", "nano/seed1", "exported"]);
    let entries = fs::read_dir(sandbox.env.path().join("exported")).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (name(&path), fs::read(&path).unwrap())).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn hub_models_are_fetched_for_specs_and_for_eval() {
    let author = Sandbox::new(TINY, "http://127.0.0.1:9");
    let files = export_model(&author);
    let server = Server::new(move |request| {
        let siblings: Vec<_> =
            files.iter().map(|(name, content)| serde_json::json!({"rfilename": name, "size": content.len()})).collect();
        let resolve = format!("/org/nano/resolve/{COMMIT}/");
        match request.path.strip_prefix(&resolve) {
            None if request.path.starts_with("/api/models/org/nano/revision/") => {
                ok(serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string().as_bytes())
            }
            Some(name) => files
                .iter()
                .find(|(known, _)| known == name)
                .map_or_else(not_found, |(_, content)| ranged(request, content)),
            _ => not_found(),
        }
    });
    let spec = "name: foreign\nmodels:\n  a: {hf: org/nano, revision: v1}\nevaluate: {data: world, items: 10, suites: [blimp]}\n";
    let sandbox = Sandbox::new(spec, &server.url);
    let (plan, _) = sandbox.grid(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("hf:org/nano@v1"), "{plan}");
    sandbox.grid(0, &["run", "spec.yaml"]);
    assert!(sandbox.cache().join(format!("hf/models/org--nano/{COMMIT}/model.safetensors")).is_file());
    assert!(server.requested_paths().iter().any(|path| path.contains("/revision/v1?")));
    assert!(
        !server.requested_paths().iter().any(|path| path.contains("README")),
        "the model card is not downloaded: {:?}",
        server.requested_paths()
    );
    assert_eq!(sandbox.env.query("select count(*) from v_scores"), sandbox.env.query("select count(*) from score"));

    let folder = sandbox.env.path().join("evaluation_data/fast_eval/blimp_fast");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("x.jsonl"), minimal_pair() + &minimal_pair()).unwrap();
    let (table, _) = sandbox.grid(0, &["eval", "org/nano@v1", "--fast"]);
    assert!(table.contains("nano-v1"), "{table}");
    assert!(!sandbox.env.path().join("(grid eval).lock").exists() && !Path::new("/(grid eval).lock").exists());
    let (_, message) = sandbox.grid(6, &["eval", "org/nothing", "--fast"]);
    assert!(message.contains("org/nothing") && message.contains("404"), "{message}");
}

/// A hub with the model `org/base`, whose branches `main` and `chck_NM` each have a commit of their own.
fn hub_of_models(folder: &Path, moved: Arc<AtomicBool>) -> Server {
    let branches = [("main", "main"), ("chck_1M", "500-words"), ("chck_2M", "1000-words"), ("chck_3M", "1500-words")];
    let commit = |place: usize| format!("{place:040x}");
    let mut files: Vec<(String, String, Vec<u8>)> = vec![];
    for (place, (_, name)) in branches.iter().enumerate() {
        for entry in fs::read_dir(folder.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.push((commit(place), name, fs::read(&path).unwrap()));
        }
    }
    Server::new(move |request| {
        let listing = |commit: String, shown: String| {
            let of_commit = files.iter().filter(|(known, ..)| *known == commit);
            let siblings: Vec<_> = of_commit
                .map(|(_, name, content)| serde_json::json!({"rfilename": name, "size": content.len()}))
                .collect();
            ok(serde_json::json!({"sha": shown, "siblings": siblings}).to_string().as_bytes())
        };
        if let Some(rest) = request.path.strip_prefix("/api/models/org/base/revision/") {
            let wanted = rest.split('?').next().unwrap();
            let of_branch = branches.iter().position(|(name, _)| *name == wanted).map(commit);
            return match of_branch
                .or_else(|| files.iter().any(|(known, ..)| known == wanted).then(|| wanted.to_owned()))
            {
                // A branch that has moved on has the files of another one.
                Some(_) if moved.load(Ordering::SeqCst) && wanted == "chck_1M" => listing(commit(3), commit(3)),
                Some(commit) => listing(commit.clone(), commit),
                None => not_found(),
            };
        }
        let found = request.path.strip_prefix("/org/base/resolve/").and_then(|rest| {
            let (commit, name) = rest.split_once('/')?;
            files.iter().find(|(known, file, _)| known == commit && file == name)
        });
        found.map_or_else(not_found, |(_, _, content)| ranged(request, content))
    })
}

#[test]
fn revisions_of_a_model_of_the_hub_are_pinned_and_scored() {
    let exported = crate::import::with_revisions();
    let moved = Arc::new(AtomicBool::new(false));
    let server = hub_of_models(&exported.path().join("theirs"), moved.clone());
    let spec = "\
name: compared
models: {baseline: {hf: org/base, milestones: {words: [1M, 2M, 3M]}}}
evaluate: {data: world, items: 20, suites: [blimp], checkpoints: {suites: [blimp]}}
resources: {threads: 1}
";
    let sandbox = Sandbox::new(spec, &server.url);
    let (plan, _) = sandbox.grid(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("not found: hf:org/base@chck_2M, and there is no folder"), "{plan}");
    sandbox.grid(0, &["run", "spec.yaml"]);
    let lock = || -> serde_json::Value {
        serde_json::from_slice(&fs::read(sandbox.env.path().join("spec.lock")).unwrap()).unwrap()
    };
    let pinned = lock();
    for (place, name) in ["main", "chck_1M", "chck_2M", "chck_3M"].iter().enumerate() {
        assert_eq!(pinned["data"][format!("hf:org/base@{name}")]["revision"], format!("{place:040x}"));
    }
    let scores = |env: &Env, experiment: &str, cell: &str| {
        env.query(&format!(
            "select printf('%.9g', value) from v_scores where experiment = '{experiment}' and cell = '{cell}' \
             and task = 'blimp' order by cast(checkpoint as integer), subtask"
        ))
    };
    let theirs = scores(&sandbox.env, "compared", "baseline/pretrained/seed1");
    assert_eq!(theirs, scores(&exported, "tiny", "nano/pretrained/seed1"));
    let (report, _) = sandbox.grid(0, &["report", "compared"]);
    assert!(report.contains(&format!("imported: baseline is org/base (commit {:040x})", 0)), "{report}");

    // The lock file pins the commits: a branch that moves on changes nothing until it is locked again.
    moved.store(true, Ordering::SeqCst);
    let (_, stderr) = sandbox.grid(0, &["run", "spec.yaml"]);
    assert!(stderr.contains("nothing to do"), "{stderr}");
    assert_eq!(lock(), pinned);
    sandbox.grid(0, &["data", "lock", "spec.yaml"]);
    assert_eq!(lock()["data"]["hf:org/base@chck_1M"]["revision"], format!("{:040x}", 3));
}
