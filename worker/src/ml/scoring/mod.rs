//! Log-probabilities of token sequences.

mod pack;
mod request;
mod scorer;
mod unscorable;

pub use request::ScoringRequest;
pub use scorer::{Scorer, Scoring};
pub use unscorable::Unscorable;
