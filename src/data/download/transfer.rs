//! The transfer of a file over HTTP, with resumption and a check of its length and digest.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ureq::Body;
use ureq::http::{Response, StatusCode};

use super::super::atomic::publish_file;
use super::error::FetchError;
use super::http::{Client, RetryCounter, is_unknown_host, refusal, retry_after, send, unreachable};

/// The size of the read buffer, in bytes.
const BUFFER: usize = 1 << 16;

/// What is known about a file before it is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// The length in bytes.
    pub bytes: Option<u64>,
    /// The SHA-256 in hexadecimal digits.
    pub sha256: Option<String>,
    /// The MD5 in hexadecimal digits, used if the SHA-256 is unknown.
    pub md5: Option<String>,
}

impl Expected {
    /// Whether the content is known, so that bytes of another version are noticed when the file is complete.
    fn has_digest(&self) -> bool {
        self.sha256.is_some() || self.md5.is_some()
    }
}

/// A complete file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    /// The length in bytes.
    pub bytes: u64,
    /// The SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// Fetches a file to `path`, resuming from the partial file `part`, which must be on the same file system. The file appears
/// under its name only when it is complete. `progress` is called with the number of bytes received and in total.
///
/// # Errors
/// Requests that are refused or fail repeatedly without progress; a file whose length or digest differs from the expected
/// one; a disk that cannot be written.
pub(super) fn fetch(
    client: &Client,
    url: &str,
    path: &Path,
    part: &Path,
    expected: &Expected,
    token: Option<&str>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Received, FetchError> {
    for folder in [path.parent(), part.parent()].into_iter().flatten() {
        fs::create_dir_all(folder).map_err(FetchError::disk("create folder", folder))?;
    }
    let policy = &client.policy;
    let mut partial = Partial::open(part)?;
    let mut retries = RetryCounter::new(policy);
    let mut was_wrong = false;
    let mut most = partial.bytes;
    loop {
        let outcome = partial.receive(client, url, expected, token, progress)?;
        // Bytes that are received a second time are not progress.
        let progress_made = partial.bytes > most;
        if progress_made {
            (most, retries.failed) = (partial.bytes, 0);
        }
        let reason = match outcome {
            Outcome::Complete => match partial.finish(path, expected)? {
                Ok(received) => return Ok(received),
                // The first time, the cause may be a transfer error or an old partial file.
                Err(error) => {
                    partial.clear()?;
                    if was_wrong {
                        return Err(error.at(url));
                    }
                    was_wrong = true;
                    continue;
                }
            },
            Outcome::Broken(_, wish) if progress_made => {
                std::thread::sleep(wish.unwrap_or(policy.first_delay));
                continue;
            }
            Outcome::Broken(reason, wish) => {
                retries.keeps_part = partial.bytes > 0 && partial.can_continue(url, expected);
                retries.wait_or_fail(url, reason, wish)?;
                continue;
            }
            Outcome::Refused(error) => error,
        };
        return Err(reason);
    }
}

enum Outcome {
    Complete,
    Broken(String, Option<Duration>),
    Refused(FetchError),
}

/// The error for wrong content, before the URL is added.
struct Wrong {
    what: &'static str,
    wanted: String,
    found: String,
}

impl Wrong {
    fn at(self, url: &str) -> FetchError {
        FetchError::Wrong { url: url.to_owned(), what: self.what, wanted: self.wanted, found: self.found }
    }
}

/// Which version of a file the server began to send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SentVersion {
    /// The URL.
    url: String,
    /// The ETag, unless it is a weak one, which may be the same for different bytes.
    etag: Option<String>,
    /// The length in bytes, if the server announced it.
    total: Option<u64>,
}

/// A partial file, beside a file with the version that its bytes belong to.
struct Partial {
    path: PathBuf,
    version: PathBuf,
    file: File,
    bytes: u64,
    hasher: Sha256,
}

impl Partial {
    fn open(path: &Path) -> Result<Self, FetchError> {
        let (path, version) = (path.to_owned(), path.with_extension("version"));
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.map_err(FetchError::disk("write", &path))?;
        let mut hasher = Sha256::new();
        let bytes = digest(&path, |bytes| hasher.update(bytes))?;
        Ok(Self { path, version, file, bytes, hasher })
    }

    fn clear(&mut self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(FetchError::disk("write", &self.path))?;
        (self.bytes, self.hasher) = (0, Sha256::new());
        Ok(())
    }

    /// The version that the received bytes belong to; the default if that is unknown or from another URL.
    fn sent_version(&self, url: &str) -> SentVersion {
        let text = fs::read(&self.version).ok();
        let sent = text.and_then(|text| serde_json::from_slice(&text).ok());
        sent.filter(|sent: &SentVersion| sent.url == url).unwrap_or_default()
    }

    /// Whether the rest may be requested. Without an ETag or a digest, nothing would show that the server now has another
    /// version.
    fn can_continue(&self, url: &str, expected: &Expected) -> bool {
        expected.has_digest() || self.sent_version(url).etag.is_some()
    }

    /// Requests the missing part, or the whole file if it cannot be continued.
    fn receive(
        &mut self,
        client: &Client,
        url: &str,
        expected: &Expected,
        token: Option<&str>,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Outcome, FetchError> {
        if expected.bytes.is_some_and(|bytes| self.bytes > bytes) {
            self.clear()?;
        }
        if !self.can_continue(url, expected) {
            self.clear()?;
        }
        let sent = self.sent_version(url);
        if expected.bytes == Some(self.bytes) && self.bytes > 0 && expected.has_digest() {
            return Ok(Outcome::Complete);
        }
        let mut headers = vec![];
        if self.bytes > 0 {
            headers.push(("Range", format!("bytes={}-", self.bytes)));
            // If the file has changed, the server then sends all of it.
            headers.extend(sent.etag.clone().map(|etag| ("If-Range", etag)));
        }
        let response = match send(&client.agent, url, &headers, token) {
            Ok(response) => response,
            Err(error) if is_unknown_host(&error) => return Ok(Outcome::Refused(unreachable(url, &error))),
            Err(error) => return Ok(Outcome::Broken(error.to_string(), None)),
        };
        let etag = strong_etag(&response);
        let total = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let (start, total) = content_range(&response).unwrap_or((u64::MAX, None));
                // A server may ignore If-Range, and may not know the total of a file that it generates.
                let is_other_version = match (&sent.etag, &etag) {
                    (Some(before), Some(now)) => before != now,
                    (Some(_) | None, None) | (None, Some(_)) => !expected.has_digest(),
                };
                let is_other_length = sent.total.zip(total).is_some_and(|(before, now)| before != now);
                if start != self.bytes || (self.bytes > 0 && (is_other_version || is_other_length)) {
                    let reason = match start == self.bytes {
                        true => "the file on the server changed during the transfer".to_owned(),
                        false => format!("the server sent the bytes from {start} on, not from {}", self.bytes),
                    };
                    self.clear()?;
                    return Ok(Outcome::Broken(reason, None));
                }
                total.or(sent.total)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let total = content_length_of_range(&response);
                // Nothing is missing, or the file has become shorter.
                if total == Some(self.bytes) && sent.total.is_none_or(|before| total == Some(before)) {
                    return Ok(Outcome::Complete);
                }
                self.clear()?;
                return Ok(Outcome::Broken("the file on the server is shorter than before".to_owned(), None));
            }
            StatusCode::OK => {
                self.clear()?;
                response.body().content_length()
            }
            status => {
                let again = || Outcome::Broken(format!("status {status}"), retry_after(&response));
                return Ok(refusal(url, status, token).map_or_else(again, Outcome::Refused));
            }
        };
        if self.bytes == 0 {
            let version = serde_json::to_vec(&SentVersion { url: url.to_owned(), etag, total });
            let version = version.expect("text and numbers are JSON");
            fs::write(&self.version, version).map_err(FetchError::disk("write", &self.version))?;
        }
        self.take(response.into_body(), expected.bytes.or(total), progress)
    }

    fn take(
        &mut self,
        body: Body,
        total: Option<u64>,
        progress: &mut dyn FnMut(u64, Option<u64>),
    ) -> Result<Outcome, FetchError> {
        let mut reader = body.into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; BUFFER];
        progress(self.bytes, total);
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let of = total.map_or(String::new(), |total| format!(" of {total}"));
                    return Ok(Outcome::Broken(format!("{error} after {}{of} bytes", self.bytes), None));
                }
            };
            self.file.write_all(&buffer[..count]).map_err(FetchError::disk("write", &self.path))?;
            self.hasher.update(&buffer[..count]);
            self.bytes += count as u64;
            progress(self.bytes, total);
            if total.is_some_and(|total| self.bytes > total) {
                break; // longer than expected, which `finish` reports
            }
        }
        match total {
            Some(total) if self.bytes < total => {
                Ok(Outcome::Broken(format!("the connection ended after {} of {total} bytes", self.bytes), None))
            }
            _ => Ok(Outcome::Complete),
        }
    }

    /// Moves the file to its final name if it has the expected content.
    fn finish(&mut self, target: &Path, expected: &Expected) -> Result<Result<Received, Wrong>, FetchError> {
        if let Some(bytes) = expected.bytes.filter(|bytes| *bytes != self.bytes) {
            let (wanted, found) = (bytes.to_string(), self.bytes.to_string());
            return Ok(Err(Wrong { what: "length in bytes", wanted, found }));
        }
        let sha256 = hex::encode(self.hasher.clone().finalize());
        if let Some(wanted) = expected.sha256.as_ref().filter(|wanted| **wanted != sha256) {
            return Ok(Err(Wrong { what: "SHA-256", wanted: wanted.clone(), found: sha256 }));
        }
        if let (None, Some(wanted)) = (&expected.sha256, &expected.md5) {
            let found = md5(&self.path)?;
            if *wanted != found {
                return Ok(Err(Wrong { what: "MD5", wanted: wanted.clone(), found }));
            }
        }
        publish_file(&self.path, target).map_err(FetchError::disk("write", target))?;
        // The ETag is no longer needed; a leftover file is harmless.
        let _ = fs::remove_file(&self.version);
        Ok(Ok(Received { bytes: self.bytes, sha256 }))
    }
}

/// The ETag of a response, unless it is a weak one.
fn strong_etag(response: &Response<Body>) -> Option<String> {
    let etag = response.headers().get("etag")?.to_str().ok()?;
    (!etag.is_empty() && !etag.starts_with("W/")).then(|| etag.to_owned())
}

/// The start and total of `Content-Range: bytes 100-199/200`.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let text = response.headers().get("content-range")?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// The total of `Content-Range: bytes */200`.
fn content_length_of_range(response: &Response<Body>) -> Option<u64> {
    response.headers().get("content-range")?.to_str().ok()?.strip_prefix("bytes */")?.parse().ok()
}

/// The SHA-256 and length of a file.
pub(super) fn examine(path: &Path) -> Result<Received, FetchError> {
    let mut hasher = Sha256::new();
    let bytes = digest(path, |bytes| hasher.update(bytes))?;
    Ok(Received { bytes, sha256: hex::encode(hasher.finalize()) })
}

fn md5(path: &Path) -> Result<String, FetchError> {
    let mut hasher = Md5::new();
    digest(path, |bytes| hasher.update(bytes))?;
    Ok(hex::encode(hasher.finalize()))
}

/// Passes the content of a file to a hasher and returns its length.
fn digest(path: &Path, mut update: impl FnMut(&[u8])) -> Result<u64, FetchError> {
    let mut file = File::open(path).map_err(FetchError::disk("read", path))?;
    let (mut bytes, mut buffer) = (0, vec![0; BUFFER]);
    loop {
        let count = file.read(&mut buffer).map_err(FetchError::disk("read", path))?;
        if count == 0 {
            return Ok(bytes);
        }
        update(&buffer[..count]);
        bytes += count as u64;
    }
}
