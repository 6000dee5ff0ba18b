//! Downloads from servers that do not keep their word.

mod cache;

use std::fs;
use std::io::Write;
use std::time::Duration;

use super::RetryPolicy;
use super::transfer::{Client, Expected, Received, fetch};
use server::{Answer, Request, Server, answer, rest, whole};

#[expect(dead_code, reason = "each test file uses its own part")]
#[path = "../../../tests/common/server.rs"]
pub(super) mod server;

pub(super) fn quick_retries() -> RetryPolicy {
    RetryPolicy { attempts: 3, first_delay: Duration::from_millis(1), timeout: Duration::from_secs(5) }
}

/// More than a piece, so that there is something to break.
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
    /// The file, if it is there.
    file: Option<Vec<u8>>,
    starts: Vec<usize>,
    folder: tempfile::TempDir,
}

/// Fetches `/file` from a server that answers so.
fn get(expected: &Expected, respond: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Got {
    let server = Server::new(respond);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/file");
    let url = format!("{}/file", server.url);
    let part = folder.path().join("parts/1.part");
    let result = fetch(&Client::new(quick_retries()), &url, &path, &part, expected, None, &mut |done, total| {
        assert!(total.is_none_or(|total| total > 0) && done < 10_000_000);
    });
    let result = result.map_err(|error| error.to_string().replace(&server.url, "http://server"));
    let starts = server.requests.lock().unwrap().iter().map(Request::start).collect();
    Got { result, file: fs::read(&path).ok(), starts, folder }
}

fn promised() -> Expected {
    Expected { bytes: Some(content().len() as u64), sha256: Some(sha256(&content())), md5: None }
}

#[test]
fn a_dropped_connection_goes_on_where_it_stopped() {
    for expected in [promised(), Expected::default()] {
        let got = get(&expected, |request| {
            let mut answer = rest(request, &content());
            answer.body.truncate(if request.nth < 4 { 70_000 } else { usize::MAX });
            answer
        });
        assert_eq!(got.result, Ok(Received { bytes: 300_000, sha256: sha256(&content()) }));
        assert_eq!(got.file, Some(content()));
        assert_eq!(got.starts, [0, 70_000, 140_000, 210_000, 280_000], "progress renews the policy");
        assert_eq!(fs::read_dir(got.folder.path().join("parts")).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let got = get(&promised(), |request| {
        let mut answer = whole(&content());
        answer.body.truncate(if request.nth == 0 { 100_000 } else { usize::MAX });
        answer
    });
    assert_eq!((got.file, got.starts), (Some(content()), vec![0, 100_000]));
}

#[test]
fn a_file_that_changes_meanwhile_is_not_glued_together() {
    let got = get(&Expected::default(), |request| {
        let version = request.nth.min(1);
        let mut body = content();
        body.iter_mut().for_each(|byte| *byte ^= version as u8);
        let same = request.headers.get("if-range").is_none_or(|tag| *tag == format!("\"v{version}\""));
        let mut answer = if same { rest(request, &body) } else { whole(&body) };
        answer.head.push_str(&format!("ETag: \"v{version}\"\r\n"));
        answer.body.truncate(if request.nth == 0 { 100_000 } else { usize::MAX });
        answer
    });
    let second: Vec<u8> = content().into_iter().map(|byte| byte ^ 1).collect();
    assert_eq!((got.file, got.starts), (Some(second), vec![0, 100_000]));
}

#[test]
fn a_server_that_stays_short_is_given_up_and_the_next_call_goes_on() {
    let got = get(&promised(), |request| {
        let mut answer = rest(request, &content());
        answer.body.truncate(200_000usize.saturating_sub(request.start()));
        answer
    });
    assert_eq!(got.file, None);
    assert_eq!(got.starts, [0, 200_000, 200_000, 200_000]);
    let error = got.result.unwrap_err();
    assert!(error.contains("http://server/file") && error.contains("after 200000 of 300000 bytes"), "{error}");
    let left = fs::metadata(got.folder.path().join("parts/1.part")).unwrap().len();
    assert_eq!(left, 200_000);
}

#[test]
fn lies_about_the_length_are_found_out() {
    // More is promised than comes.
    let got = get(&Expected::default(), |request| match request.start() {
        0 => answer("200 OK", "Content-Length: 400000\r\n", &content()),
        _ => answer("416 Range Not Satisfiable", "Content-Range: bytes */300000\r\nContent-Length: 0\r\n", b""),
    });
    assert_eq!(got.file, Some(content()), "the server has come to say how much there is");
    // Less comes than the listing says, and the server thinks that is all.
    let got = get(&promised(), |request| rest(request, &content()[..250_000]));
    assert!(got.file.is_none() && got.result.is_err());
    let got = get(&promised(), |request| match request.start() {
        0 => whole(&content()[..250_000]),
        _ => answer("416 Range Not Satisfiable", "Content-Range: bytes */250000\r\nContent-Length: 0\r\n", b""),
    });
    assert!(got.file.is_none() && got.result.is_err(), "what comes again and again is no progress");
    // More comes than the listing says.
    let got = get(&Expected { bytes: Some(200_000), ..Expected::default() }, |request| rest(request, &content()));
    let error = got.result.unwrap_err();
    assert!(got.file.is_none() && error.contains("length in bytes") && error.contains("200000"), "{error}");
}

#[test]
fn a_server_that_knows_only_md5_is_held_to_it() {
    let expected = |md5: &str| Expected { md5: Some(md5.to_owned()), ..Expected::default() };
    let got = get(&expected("5d41402abc4b2a76b9719d911017c592"), |_| whole(b"hello"));
    assert_eq!(got.file.as_deref(), Some(&b"hello"[..]));
    let got = get(&expected("5d41402abc4b2a76b9719d911017c592"), |_| whole(b"hellO"));
    assert!(got.file.is_none() && got.result.unwrap_err().contains("MD5"));
}

#[test]
fn the_wrong_content_never_gets_its_name() {
    let got = get(&promised(), |request| {
        let mut wrong = content();
        wrong[17] ^= 1;
        rest(request, &wrong)
    });
    assert_eq!((got.file, got.starts), (None, vec![0, 0]), "tried twice from the beginning");
    let error = got.result.unwrap_err();
    assert!(error.contains("SHA-256") && error.contains(&sha256(&content())), "{error}");
    // A damaged partial file is replaced.
    let got = get(&promised(), |request| match request.nth {
        0 => {
            let mut answer = rest(request, &content());
            answer.body.truncate(50_000);
            answer.body[3] ^= 1;
            answer
        }
        _ => rest(request, &content()),
    });
    assert_eq!((got.file, got.starts), (Some(content()), vec![0, 50_000, 0]));
}

#[test]
fn what_passes_is_waited_for_and_what_does_not_is_told() {
    let got = get(&promised(), |request| match request.nth {
        0 => answer("503 Service Unavailable", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
        1 => answer("429 Too Many Requests", "Content-Length: 0\r\n", b""),
        _ => whole(&content()),
    });
    assert_eq!(got.file, Some(content()));
    let status = |status: &'static str| {
        let got = get(&promised(), move |_| answer(status, "Content-Length: 0\r\n", b""));
        (got.result.unwrap_err(), got.starts.len())
    };
    let (missing, attempts) = status("404 Not Found");
    assert!(attempts == 1 && missing.contains("404") && missing.contains("check the name"), "{missing}");
    let (secret, attempts) = status("401 Unauthorized");
    assert!(attempts == 1 && secret.contains("HF_TOKEN"), "{secret}");
    let (broken, attempts) = status("500 Internal Server Error");
    assert!(attempts == 3 && broken.contains("500"), "{broken}");
}
