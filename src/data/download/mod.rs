//! Data of other machines: fetched from the Hugging Face hub, OSF and plain addresses into a cache that all experiments
//! share.
//!
//! Invariant: a file appears under its name only when it has the promised length and digest, and looking something up
//! never touches the network: only [`DataCache::fetch`] does.
//!
//! Rejected: the crate `hf-hub`. It knows one service, checks no digest and has no lock file; the three services here
//! differ in how they list their files, and share everything after that.

mod cache;
mod disk;
mod error;
mod fetch;
mod listing;
mod lock;
mod pick;
mod post;
#[cfg(test)]
mod tests;
mod transfer;
mod unpack;

pub use cache::{CacheState, CacheStatus, CachedData, DataCache};
pub use error::{FetchError, Mismatch};
pub use fetch::{FetchProgress, Network};
pub use listing::Services;
pub use lock::{Content, Lock, Pinned};
pub use post::JsonClient;
pub use transfer::RetryPolicy;
