//! Log-probabilities of token sequences.

mod pack;
mod request;
mod scorer;

pub use request::ScoringRequest;
pub use scorer::{Scorer, Scoring};
