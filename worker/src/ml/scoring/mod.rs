//! Log-probabilities of token sequences.

mod masked;
mod pack;
mod scorer;
mod unscorable;

pub use masked::Masking;
pub use scorer::{Scorer, Scoring};
pub use unscorable::Unscorable;
