//! Downloads from servers that fail, or send something other than they announced.

mod cache;

use std::fs;
use std::io::Write;
use std::time::Duration;

use super::RetryPolicy;
use super::http::Client;
use super::transfer::{Expected, Received, fetch};
use super::unpack::unpack;
use server::{Request, Response, Server, ok, ranged, response};

#[expect(dead_code, reason = "each test file uses its own part")]
#[path = "../../../tests/common/server.rs"]
pub(super) mod server;

pub(super) fn quick_retries() -> RetryPolicy {
    RetryPolicy { attempts: 3, first_delay: Duration::from_millis(1), timeout: Duration::from_secs(5) }
}

/// More than one buffer, so that a transfer can be interrupted.
fn content() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 16).to_le_bytes()[..1].to_vec()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// A zip archive of these files.
fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    for (name, text) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

struct Got {
    result: Result<Received, String>,
    /// The content of the file, if it exists.
    file: Option<Vec<u8>>,
    starts: Vec<usize>,
    folder: tempfile::TempDir,
}

/// Fetches `/file` from a server with these responses.
fn get(expected: &Expected, respond: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Got {
    let server = Server::new(respond);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/file");
    let url = format!("{}/file", server.url);
    let part = folder.path().join("parts/1.part");
    let result = fetch(&Client::new(quick_retries()), &url, &path, &part, expected, None, &mut |done, total| {
        assert!(total.is_none_or(|total| total > 0) && done < 10_000_000);
    });
    let result = result.map_err(|error| error.to_string().replace(&server.url, "http://server"));
    let starts = server.requests.lock().unwrap().iter().map(Request::range_start).collect();
    Got { result, file: fs::read(&path).ok(), starts, folder }
}

/// A response with an ETag.
fn tagged(mut response: Response, etag: &str) -> Response {
    response.head.push_str(&format!("ETag: {etag}\r\n"));
    response
}

/// The content, but every byte differs.
fn other_content() -> Vec<u8> {
    content().into_iter().map(|byte| byte ^ 1).collect()
}

fn promised() -> Expected {
    Expected { bytes: Some(content().len() as u64), sha256: Some(sha256(&content())), md5: None }
}

#[test]
fn an_interrupted_transfer_is_resumed() {
    for expected in [promised(), Expected::default()] {
        let got = get(&expected, |request| {
            let mut response = tagged(ranged(request, &content()), "\"v1\"");
            response.body.truncate(if request.earlier < 4 { 70_000 } else { usize::MAX });
            response
        });
        assert_eq!(got.result, Ok(Received { bytes: 300_000, sha256: sha256(&content()) }));
        assert_eq!(got.file, Some(content()));
        assert_eq!(got.starts, [0, 70_000, 140_000, 210_000, 280_000], "progress resets the number of attempts");
        assert_eq!(fs::read_dir(got.folder.path().join("parts")).unwrap().count(), 0, "no partial file remains");
    }
}

#[test]
fn a_server_without_ranges_sends_the_whole_file_again() {
    let got = get(&promised(), |request| {
        let mut response = ok(&content());
        response.body.truncate(if request.earlier == 0 { 100_000 } else { usize::MAX });
        response
    });
    assert_eq!((got.file, got.starts), (Some(content()), vec![0, 100_000]));
}

#[test]
fn versions_of_a_changing_file_are_not_mixed() {
    let got = get(&Expected::default(), |request| {
        let version = request.earlier.min(1);
        let mut body = content();
        body.iter_mut().for_each(|byte| *byte ^= version as u8);
        let same = request.headers.get("if-range").is_none_or(|tag| *tag == format!("\"v{version}\""));
        let mut response = if same { ranged(request, &body) } else { ok(&body) };
        response.head.push_str(&format!("ETag: \"v{version}\"\r\n"));
        response.body.truncate(if request.earlier == 0 { 100_000 } else { usize::MAX });
        response
    });
    assert_eq!((got.file, got.starts), (Some(other_content()), vec![0, 100_000]));
}

/// Fetches a file that changes after its first 100000 bytes, from a server that answers every range with 206. `tags` are
/// the ETags of both versions.
fn get_changing(tags: [Option<&'static str>; 2], second: Vec<u8>) -> Got {
    get(&Expected::default(), move |request| {
        let (version, body) = if request.earlier == 0 { (0, content()) } else { (1, second.clone()) };
        let mut response = ranged(request, &body);
        if let Some(tag) = tags[version] {
            response = tagged(response, tag);
        }
        response.body.truncate(if request.earlier == 0 { 100_000 } else { usize::MAX });
        response
    })
}

#[test]
fn a_transfer_starts_anew_if_nothing_tells_two_versions_apart() {
    for tags in
        [[None, None], [Some("W/\"v\""), Some("W/\"v\"")], [Some("W/\"v\""), Some("\"v\"")], [None, Some("\"v\"")]]
    {
        let got = get_changing(tags, other_content());
        assert_eq!((got.file, got.starts), (Some(other_content()), vec![0, 0]), "{tags:?}");
    }
}

#[test]
fn a_server_that_ignores_if_range_cannot_mix_versions() {
    for tag in [Some("\"v1\""), None, Some("W/\"v0\"")] {
        let got = get_changing([Some("\"v0\""), tag], other_content());
        assert_eq!((got.file, got.starts), (Some(other_content()), vec![0, 100_000, 0]), "{tag:?}");
    }
    // The length changes, and the ETag does not.
    let longer = [other_content(), other_content()].concat();
    let got = get_changing([Some("\"v\""), Some("\"v\"")], longer.clone());
    assert_eq!((got.file, got.starts), (Some(longer), vec![0, 100_000, 0]));
    let shorter = other_content()[..50_000].to_vec();
    let got = get(&Expected::default(), move |request| match (request.earlier, request.range_start()) {
        (0, _) => {
            let mut response = tagged(ok(&content()), "\"v\"");
            response.body.truncate(100_000);
            response
        }
        (_, 0) => tagged(ok(&other_content()[..50_000]), "\"v\""),
        _ => response("416 Range Not Satisfiable", "Content-Range: bytes */50000\r\nContent-Length: 0\r\n", b""),
    });
    assert_eq!((got.file, got.starts), (Some(shorter), vec![0, 100_000, 0]));
}

#[test]
fn the_part_of_another_address_is_not_continued() {
    let server = Server::new(|request| tagged(ranged(request, &content()), "\"v\""));
    let folder = tempfile::tempdir().unwrap();
    let (path, part) = (folder.path().join("file"), folder.path().join("1.part"));
    fs::write(&part, &other_content()[..1_000]).unwrap();
    let version = serde_json::json!({"url": format!("{}/old", server.url), "etag": "\"v\"", "total": 300_000});
    fs::write(folder.path().join("1.version"), version.to_string()).unwrap();
    let (client, url) = (Client::new(quick_retries()), format!("{}/new", server.url));
    fetch(&client, &url, &path, &part, &Expected::default(), None, &mut |_, _| ()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content());
}

#[test]
fn a_response_that_is_not_the_file_is_no_file() {
    for status in ["202 Accepted", "204 No Content", "203 Non-Authoritative Information"] {
        let got = get(&Expected::default(), move |request| match request.earlier {
            0 => response(status, "Content-Length: 0\r\n", b""),
            _ => ok(&content()),
        });
        assert_eq!(got.file, Some(content()), "{status}");
    }
}

#[test]
fn a_token_stays_on_its_server() {
    let tokens = |server: &Server| -> Vec<Option<String>> {
        server.requests.lock().unwrap().iter().map(|request| request.headers.get("authorization").cloned()).collect()
    };
    let storage = Server::new(|_| ok(&content()));
    let elsewhere = format!("{}/elsewhere", storage.url);
    let hub = Server::new(move |request| match request.path.as_str() {
        "/a/old" => response("301 Moved Permanently", "Location: new?x=1\r\nContent-Length: 0\r\n", b""),
        "/a/new?x=1" => response("302 Found", &format!("Location: {elsewhere}\r\nContent-Length: 0\r\n"), b""),
        _ => response("302 Found", "Location: /around\r\nContent-Length: 0\r\n", b""),
    });
    let folder = tempfile::tempdir().unwrap();
    let get = |path: &str| {
        let (client, url) = (Client::new(quick_retries()), format!("{}{path}", hub.url));
        let (to, part) = (folder.path().join("file"), folder.path().join("part"));
        fetch(&client, &url, &to, &part, &Expected::default(), Some("secret"), &mut |_, _| ())
    };
    get("/a/old").unwrap();
    assert_eq!(tokens(&hub), vec![Some("Bearer secret".to_owned()); 2], "a repository was renamed");
    assert_eq!(tokens(&storage), [None], "the storage is another server, also on the same host");
    let error = get("/around").unwrap_err().to_string();
    assert!(error.contains("redirects"), "{error}");
}

#[test]
fn a_transfer_without_progress_fails_and_keeps_the_partial_file() {
    let got = get(&promised(), |request| {
        let mut response = ranged(request, &content());
        response.body.truncate(200_000usize.saturating_sub(request.range_start()));
        response
    });
    assert_eq!(got.file, None);
    assert_eq!(got.starts, [0, 200_000, 200_000, 200_000]);
    let error = got.result.unwrap_err();
    assert!(error.contains("http://server/file") && error.contains("after 200000 of 300000 bytes"), "{error}");
    let left = fs::metadata(got.folder.path().join("parts/1.part")).unwrap().len();
    assert_eq!(left, 200_000);
}

#[test]
fn wrong_lengths_are_detected() {
    // The announced length is larger than the content.
    let got = get(&Expected::default(), |request| match request.range_start() {
        0 => tagged(response("200 OK", "Content-Length: 400000\r\n", &content()), "\"v\""),
        _ => response("416 Range Not Satisfiable", "Content-Range: bytes */300000\r\nContent-Length: 0\r\n", b""),
    });
    let error = got.result.unwrap_err();
    assert!(got.file.is_none() && error.ends_with("run the command again later"), "{error}");
    // The content is shorter than in the listing, and the server reports it as complete.
    let got = get(&promised(), |request| ranged(request, &content()[..250_000]));
    assert!(got.file.is_none() && got.result.is_err());
    let got = get(&promised(), |request| match request.range_start() {
        0 => ok(&content()[..250_000]),
        _ => response("416 Range Not Satisfiable", "Content-Range: bytes */250000\r\nContent-Length: 0\r\n", b""),
    });
    assert!(got.file.is_none() && got.result.is_err(), "repeated content is not progress");
    // The content is longer than in the listing.
    let got = get(&Expected { bytes: Some(200_000), ..Expected::default() }, |request| ranged(request, &content()));
    let error = got.result.unwrap_err();
    assert!(got.file.is_none() && error.contains("length in bytes") && error.contains("200000"), "{error}");
}

#[test]
fn an_md5_is_checked_if_nothing_else_is_known() {
    let expected = |md5: &str| Expected { md5: Some(md5.to_owned()), ..Expected::default() };
    let got = get(&expected("5d41402abc4b2a76b9719d911017c592"), |_| ok(b"hello"));
    assert_eq!(got.file.as_deref(), Some(&b"hello"[..]));
    let got = get(&expected("5d41402abc4b2a76b9719d911017c592"), |_| ok(b"hellO"));
    assert!(got.file.is_none() && got.result.unwrap_err().contains("MD5"));
}

#[test]
fn wrong_content_is_never_published() {
    let got = get(&promised(), |request| {
        let mut wrong = content();
        wrong[17] ^= 1;
        ranged(request, &wrong)
    });
    assert_eq!((got.file, got.starts), (None, vec![0, 0]), "two attempts from the beginning");
    let error = got.result.unwrap_err();
    assert!(error.contains("SHA-256") && error.contains(&sha256(&content())), "{error}");
    // A damaged partial file is replaced.
    let got = get(&promised(), |request| match request.earlier {
        0 => {
            let mut response = ranged(request, &content());
            response.body.truncate(50_000);
            response.body[3] ^= 1;
            response
        }
        _ => ranged(request, &content()),
    });
    assert_eq!((got.file, got.starts), (Some(content()), vec![0, 50_000, 0]));
}

#[test]
fn temporary_errors_are_retried_and_others_are_reported() {
    let got = get(&promised(), |request| match request.earlier {
        0 => response("503 Service Unavailable", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
        1 => response("429 Too Many Requests", "Content-Length: 0\r\n", b""),
        _ => ok(&content()),
    });
    assert_eq!(got.file, Some(content()));
    let status = |status: &'static str| {
        let got = get(&promised(), move |_| response(status, "Content-Length: 0\r\n", b""));
        (got.result.unwrap_err(), got.starts.len())
    };
    let (missing, attempts) = status("404 Not Found");
    assert!(attempts == 1 && missing.contains("404") && missing.contains("check the name"), "{missing}");
    let (secret, attempts) = status("401 Unauthorized");
    assert!(attempts == 1 && secret.contains("HF_TOKEN"), "{secret}");
    let (broken, attempts) = status("500 Internal Server Error");
    assert!(attempts == 3 && broken.contains("500"), "{broken}");
}

/// The zip archive with the size that its members declare replaced, in both of their headers.
fn declaring(mut zip: Vec<u8>, actual: u32, declared: u32) -> Vec<u8> {
    for (signature, offset) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
        let starts: Vec<usize> = (0..zip.len() - 4).filter(|&at| zip[at..].starts_with(signature)).collect();
        for start in starts {
            let field = &mut zip[start + offset..start + offset + 4];
            if field == actual.to_le_bytes() {
                field.copy_from_slice(&declared.to_le_bytes());
            }
        }
    }
    zip
}

#[test]
fn an_archive_needs_the_space_that_it_declares_and_no_more() {
    let text = "x".repeat(200_000);
    let whole = zipped(&[("a.txt", "first"), ("b.txt", &text)]);
    let folder = tempfile::tempdir().unwrap();
    let (archive, target) = (folder.path().join("x.zip"), folder.path().join("unpacked/x.zip"));
    let unpacked = |bytes: &[u8]| {
        fs::write(&archive, bytes).unwrap();
        let result = unpack(&archive, "digest", &target).map_err(|error| error.to_string());
        let left: Vec<_> =
            fs::read_dir(folder.path().join("unpacked")).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(left.len(), usize::from(result.is_ok()), "{left:?}");
        result
    };
    let refused = |bytes: &[u8]| unpacked(bytes).unwrap_err();
    let longer = refused(&declaring(whole.clone(), 200_000, 100_000));
    assert!(longer.contains("b.txt: ") && longer.contains("declared"), "{longer}");
    let shorter = refused(&declaring(whole.clone(), 200_000, 300_000));
    assert!(shorter.contains("b.txt"), "{shorter}");
    // The many members of a bomb may share their compressed bytes; what counts is what they declare.
    let names: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "xyz")).collect();
    let bomb = refused(&declaring(zipped(&many), 3, u32::MAX - 1));
    assert!(bomb.contains("it needs 85899345880000 bytes") && bomb.contains("GRID_CACHE"), "{bomb}");
    let damaged = refused(&whole[..whole.len() / 2]);
    assert!(damaged.contains("x.zip"), "{damaged}");
    unpacked(&whole).unwrap();
    assert_eq!(fs::read_to_string(target.join("b.txt")).unwrap(), text);
}
