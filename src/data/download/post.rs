//! Questions to a service that answers in JSON.

use serde_json::Value;
use ureq::http::StatusCode;

use super::error::FetchError;
use super::transfer::{Client, RetryCounter, RetryPolicy, is_unknown_host, retry_after, retryable, unreachable};

/// The longest part of a refusal that is shown.
const SHOWN: usize = 300;

/// A service at a base address.
pub struct JsonClient {
    client: Client,
    base: String,
    key: Option<String>,
}

impl JsonClient {
    /// A client of the service, with the key that it asks for.
    pub fn new(base: &str, key: Option<String>, policy: RetryPolicy) -> Self {
        Self { client: Client::new(policy), base: base.trim_end_matches('/').to_owned(), key }
    }

    /// Posts a question until there is an answer; `None` once `spend` allows no further request.
    ///
    /// # Errors
    /// A service that refuses, breaks off too often, or answers something else than JSON.
    pub fn json(&self, path: &str, body: &Value, spend: &dyn Fn() -> bool) -> Result<Option<Value>, FetchError> {
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
            let answered = request.send(body.as_bytes()).and_then(|response| {
                let (status, wish) = (response.status(), retry_after(&response));
                Ok((status, wish, response.into_body().read_to_string()?))
            });
            match answered {
                Ok((status, _, text)) if status.is_success() => {
                    let strange = |error: serde_json::Error| FetchError::Listing { url, reason: error.to_string() };
                    return serde_json::from_str(&text).map(Some).map_err(strange);
                }
                Ok((status, wish, _)) if retryable(status) => {
                    retries.wait_or_fail(&url, format!("status {status}"), wish)?
                }
                Ok((status, _, text)) => {
                    let said: String =
                        text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect();
                    let advice = match status {
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                            "check the key in the variable that `api_key` names"
                        }
                        StatusCode::NOT_FOUND => "check `endpoint` and `model`",
                        _ => "it refuses the request",
                    };
                    return Err(FetchError::Refused {
                        url,
                        status: status.as_u16(),
                        advice: format!("{advice}: {said}"),
                    });
                }
                Err(error) if is_unknown_host(&error) => return Err(unreachable(&url, &error)),
                Err(error) => retries.wait_or_fail(&url, error.to_string(), None)?,
            }
        }
    }
}
