//! HTTP requests with retries.

use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::{Response, StatusCode};
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
            // A renamed repository redirects within the host; the storage of a Hub is on another host, which must not get the
            // token.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
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

/// Sends a request and retries it until there is a response.
pub(super) fn get(client: &Client, url: &str, token: Option<&str>) -> Result<Response<Body>, FetchError> {
    let mut retries = RetryCounter::new(&client.policy);
    loop {
        let mut request = client.agent.get(url);
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        match request.call() {
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
}

impl<'a> RetryCounter<'a> {
    pub(super) fn new(policy: &'a RetryPolicy) -> Self {
        Self { policy, failed: 0 }
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
            return Err(FetchError::Broken { url: url.to_owned(), attempts: self.failed, reason });
        }
        std::thread::sleep(requested.unwrap_or(self.policy.first_delay * 2u32.pow(self.failed.min(8) - 1)));
        Ok(())
    }
}
