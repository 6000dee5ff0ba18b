//! A client for services with JSON requests and responses.

use serde_json::Value;
use ureq::http::StatusCode;

use super::error::FetchError;
use super::http::{Client, RetryCounter, RetryPolicy, is_retryable, is_unknown_host, retry_after, unreachable};

/// The most characters of an error response that are shown.
const MAX_SHOWN: usize = 300;

/// A client of one service.
pub struct JsonClient {
    client: Client,
    base: String,
    key: Option<String>,
}

impl JsonClient {
    /// Creates a client of the service at this base URL, with its API key if it requires one.
    pub fn new(base: &str, key: Option<String>, policy: RetryPolicy) -> Self {
        Self { client: Client::new(policy), base: base.trim_end_matches('/').to_owned(), key }
    }

    /// Sends a request and retries it until there is a response. `spend` is called before each attempt; the result is
    /// `None` when it returns false.
    ///
    /// # Errors
    /// A request that is refused or fails too many times; a response that is not JSON.
    pub fn post(&self, path: &str, body: &Value, spend: &dyn Fn() -> bool) -> Result<Option<Value>, FetchError> {
        let url = format!("{}/{path}", self.base);
        let body = body.to_string();
        let mut retries = RetryCounter::new(&self.client.policy);
        loop {
            if !spend() {
                return Ok(None);
            }
            let mut request = self.client.agent.post(&url).header("Content-Type", "application/json");
            if let Some(key) = &self.key {
                request = request.header("Authorization", format!("Bearer {key}"));
            }
            let response = request.send(body.as_bytes()).and_then(|response| {
                let (status, wish) = (response.status(), retry_after(&response));
                Ok((status, wish, response.into_body().read_to_string()?))
            });
            match response {
                Ok((status, _, text)) if status.is_success() => {
                    let invalid = |error: serde_json::Error| FetchError::Listing { url, reason: error.to_string() };
                    return serde_json::from_str(&text).map(Some).map_err(invalid);
                }
                Ok((status, wish, _)) if is_retryable(status) => {
                    retries.wait_or_fail(&url, format!("status {status}"), wish)?;
                }
                Ok((status, _, text)) => {
                    let shown: String =
                        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(MAX_SHOWN).collect();
                    let advice = match status {
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                            "check the key in the variable that `api_key` names"
                        }
                        StatusCode::NOT_FOUND => "check `endpoint` and `model`",
                        _ => "the service refuses the request",
                    };
                    return Err(FetchError::Refused {
                        url,
                        status: status.as_u16(),
                        advice: format!("{advice}: {shown}"),
                    });
                }
                Err(error) if is_unknown_host(&error) => return Err(unreachable(&url, &error)),
                Err(error) => retries.wait_or_fail(&url, error.to_string(), None)?,
            }
        }
    }
}
