//! Log-probabilities of token sequences.

mod pack;
mod scorer;
mod unscorable;

pub use scorer::{Scorer, Scoring};
pub use unscorable::Unscorable;
