//! From the examples of a step to groups of similar length, prepared ahead of time on another thread.

mod batch;
mod feed;
pub mod grouping;

pub use batch::{Batch, Batches};
pub use feed::Feed;
