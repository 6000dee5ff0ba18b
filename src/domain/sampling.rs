//! How a language model continues a prompt.

use serde::{Deserialize, Serialize};

/// How the new tokens after a prompt are chosen, and when they end.
///
/// The next token is chosen as by `generate` of `transformers`: the stop tokens are excluded while the reply is too short;
/// the logits are divided by the temperature; the `top_k` most probable tokens stay; of these, the nucleus `top_p` stays;
/// one of them is drawn by its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingOptions {
    /// The most new tokens, a stop token included.
    pub max_new_tokens: u32,
    /// The least new tokens before a stop token.
    #[serde(default)]
    pub min_new_tokens: u32,
    /// What logits are divided by. At 0, the most probable token is chosen; of several, the one with the lowest id.
    pub temperature: f64,
    /// Nucleus sampling (Holtzman et al. 2020): the fewest most probable tokens whose probabilities sum to at least this
    /// number in 0..=1 stay; at 1, all.
    pub top_p: f64,
    /// The number of most probable tokens that stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// The ids that end a reply, usually the one that ends a text. Jobs have none here: they are those of the tokenizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<u32>,
}

impl SamplingOptions {
    /// The most probable token, always.
    pub fn greedy(max_new_tokens: u32, stop: Vec<u32>) -> Self {
        Self { max_new_tokens, min_new_tokens: 0, temperature: 0.0, top_p: 1.0, top_k: None, stop }
    }

    /// What is wrong with these options, if anything is.
    pub fn problem(&self) -> Option<String> {
        let Self { max_new_tokens, min_new_tokens, temperature, top_p, top_k, .. } = self;
        if *max_new_tokens == 0 {
            return Some("max_new_tokens must be at least 1".to_owned());
        }
        if min_new_tokens > max_new_tokens {
            return Some(format!(
                "min_new_tokens is {min_new_tokens}, more than the {max_new_tokens} of max_new_tokens"
            ));
        }
        if !(temperature.is_finite() && *temperature >= 0.0) {
            return Some(format!("temperature must be a number that is at least 0, not {temperature}"));
        }
        if !(*top_p > 0.0 && *top_p <= 1.0) {
            return Some(format!("top_p must be above 0 and at most 1, not {top_p}"));
        }
        (*top_k == Some(0)).then(|| "top_k must be at least 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_options_are_named() {
        let good = SamplingOptions::greedy(4, vec![0]);
        assert_eq!(good.problem(), None);
        let problem = |options: SamplingOptions| options.problem().unwrap();
        assert_eq!(problem(SamplingOptions { max_new_tokens: 0, ..good.clone() }), "max_new_tokens must be at least 1");
        assert_eq!(
            problem(SamplingOptions { min_new_tokens: 5, ..good.clone() }),
            "min_new_tokens is 5, more than the 4 of max_new_tokens"
        );
        for temperature in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(
                problem(SamplingOptions { temperature, ..good.clone() }).starts_with("temperature must be a number")
            );
        }
        for top_p in [0.0, 1.1, f64::NAN] {
            assert!(problem(SamplingOptions { top_p, ..good.clone() }).starts_with("top_p must be above 0"));
        }
        assert_eq!(problem(SamplingOptions { top_k: Some(0), ..good.clone() }), "top_k must be at least 1");
    }

    #[test]
    fn an_option_that_is_not_given_is_not_written() {
        let text = serde_json::to_string(&SamplingOptions::greedy(4, vec![0])).unwrap();
        assert!(!text.contains("top_k"), "{text}");
        assert_eq!(serde_json::from_str::<SamplingOptions>(&text).unwrap(), SamplingOptions::greedy(4, vec![0]));
    }
}
