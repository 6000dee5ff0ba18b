//! HTTP requests with retries.

use std::time::Duration;

use ureq::http::uri::{Authority, Scheme, Uri};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

use super::error::FetchError;

/// When failed requests are retried.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// The number of consecutive attempts without progress after which a request fails.
    pub attempts: u32,
    /// The delay before the second attempt; it doubles with each further one.
    pub first_delay: Duration,
    /// The time without any response after which an attempt fails.
    pub timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 6, first_delay: Duration::from_millis(500), timeout: Duration::from_secs(60) }
    }
}

/// An HTTP client with a retry policy.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) agent: Agent,
    pub(super) policy: RetryPolicy,
}

impl Client {
    /// Creates a client. Proxies are taken from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...).
    pub(super) fn new(policy: RetryPolicy) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(policy.timeout))
            .timeout_recv_response(Some(policy.timeout))
            .timeout_per_read(Some(policy.timeout))
            // [`send`] follows redirects, and knows which hosts may see a token.
            .max_redirects(0)
            .user_agent(concat!("grid/", env!("CARGO_PKG_VERSION")));
        Self { agent: Agent::new_with_config(config.build()), policy }
    }
}

/// The error for a status that a retry would not change.
pub(super) fn refusal(url: &str, status: StatusCode, token: Option<&str>) -> Option<FetchError> {
    let advice = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if token.is_none() => {
            "check the name; if it is correct, the repository requires a login: set HF_TOKEN and accept the terms on its page"
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "the token in HF_TOKEN was rejected: check that it permits reading, and accept the terms of the repository"
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => "check the name, the revision and the path",
        status if status.is_client_error() && !is_retryable(status) => "the server refuses the request",
        _ => return None,
    };
    Some(FetchError::Refused { url: url.to_owned(), status: status.as_u16(), advice: advice.to_owned() })
}

/// Whether a retry may succeed.
pub(super) fn is_retryable(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// The delay that the server requests, at most a minute.
pub(super) fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds: u64 = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

/// The most redirects that a request follows.
const MAX_REDIRECTS: usize = 10;

/// Sends a GET request and follows redirects. A renamed repository redirects within its server; the storage of a Hub is
/// elsewhere, and must not get the token. Once a redirect has left the server, the token stays away.
pub(super) fn send(
    agent: &Agent,
    url: &str,
    headers: &[(&'static str, String)],
    token: Option<&str>,
) -> Result<Response<Body>, ureq::Error> {
    let mut uri: Uri = url.parse().map_err(|error| ureq::Error::BadUri(format!("{url}: {error}")))?;
    let mut token = token;
    for _ in 0..=MAX_REDIRECTS {
        let mut request = agent.get(&uri);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call()?;
        let Some(target) = redirect_target(&uri, response.status(), response.headers()) else { return Ok(response) };
        let target = target.ok_or(ureq::Error::RedirectFailed)?;
        token = token.filter(|_| is_same_server(&uri, &target));
        uri = target;
    }
    Err(ureq::Error::TooManyRedirects)
}

/// Where a response redirects to; `Some(None)` if its `Location` is missing or invalid.
fn redirect_target(from: &Uri, status: StatusCode, headers: &HeaderMap) -> Option<Option<Uri>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get("location").and_then(|location| location.to_str().ok());
    Some(location.and_then(|location| resolved(from, location)))
}

/// The URI that a reference in a document at `base` means, by RFC 3986.
fn resolved(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.trim().split('#').next()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let has_scheme = reference.split(['/', '?']).next().is_some_and(|start| start.contains(':'));
    let text = if has_scheme {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{reference}")
    } else if reference.starts_with('?') {
        format!("{scheme}://{authority}{}{reference}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{reference}")
    };
    let uri: Uri = text.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

/// Whether two URIs have the same scheme, host and port.
fn is_same_server(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().or((uri.scheme() == Some(&Scheme::HTTPS)).then_some(443)).unwrap_or(80);
    let host = |uri: &Uri| uri.authority().map(Authority::host).map(str::to_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

/// Sends a request and retries it until there is a response.
pub(super) fn get(client: &Client, url: &str, token: Option<&str>) -> Result<Response<Body>, FetchError> {
    let mut retries = RetryCounter::new(&client.policy);
    loop {
        match send(&client.agent, url, &[], token) {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => match refusal(url, response.status(), token) {
                Some(error) => return Err(error),
                None => retries.wait_or_fail(url, format!("status {}", response.status()), retry_after(&response))?,
            },
            Err(error) if is_unknown_host(&error) => return Err(unreachable(url, &error)),
            Err(error) => retries.wait_or_fail(url, error.to_string(), None)?,
        }
    }
}

/// Whether the host is unknown or there is no network, in which case a retry would not help.
pub(super) fn is_unknown_host(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::HostNotFound => true,
        ureq::Error::Io(error) => error.to_string().contains("lookup address"),
        _ => false,
    }
}

pub(super) fn unreachable(url: &str, error: &ureq::Error) -> FetchError {
    FetchError::Unreachable { url: url.to_owned(), reason: error.to_string() }
}

/// Counts consecutive attempts without progress.
pub(super) struct RetryCounter<'a> {
    policy: &'a RetryPolicy,
    pub failed: u32,
    /// Whether what was received before the last attempt will be continued by the next command.
    pub keeps_part: bool,
}

impl<'a> RetryCounter<'a> {
    pub(super) fn new(policy: &'a RetryPolicy) -> Self {
        Self { policy, failed: 0, keeps_part: false }
    }

    /// Waits before the next attempt, or fails after the last one. `requested` is the delay that the server requests.
    pub(super) fn wait_or_fail(
        &mut self,
        url: &str,
        reason: String,
        requested: Option<Duration>,
    ) -> Result<(), FetchError> {
        self.failed += 1;
        if self.failed >= self.policy.attempts {
            let (url, attempts, keeps_part) = (url.to_owned(), self.failed, self.keeps_part);
            return Err(FetchError::Broken { url, attempts, reason, keeps_part });
        }
        std::thread::sleep(requested.unwrap_or(self.policy.first_delay * 2u32.pow(self.failed.min(8) - 1)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved() {
        let base: Uri = "https://host:8443/a/b?c".parse().unwrap();
        let resolve = |reference| resolved(&base, reference).map_or("none".to_owned(), |uri| uri.to_string());
        assert_eq!(resolve("http://other/x#y"), "http://other/x");
        assert_eq!(resolve("//other/x"), "https://other/x");
        assert_eq!(resolve("/x?at=1:2"), "https://host:8443/x?at=1:2");
        assert_eq!(resolve("x"), "https://host:8443/a/x");
        assert_eq!(resolve("?x"), "https://host:8443/a/b?x");
        assert_eq!(resolve("file:///etc/passwd"), "none");
    }

    #[test]
    fn a_server_is_a_scheme_a_host_and_a_port() {
        let same = |one: &str, other: &str| is_same_server(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("https://host/a", "https://HOST:443/b"));
        assert!(!same("https://host/a", "http://host/a"));
        assert!(!same("http://host:1/a", "http://host:2/a"));
        assert!(!same("https://host/a", "https://host.other/a"));
    }
}
