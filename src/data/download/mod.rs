//! Remote data, fetched from the Hugging Face Hub, OSF and plain URLs into a cache that all experiments share.
//!
//! Invariant: a file appears under its name only when it has the expected length and digest. Lookups never use the
//! network: only [`DataCache::fetch`] does.
//!
//! Rejected: the crate `hf-hub`. It supports one service, checks no digests and has no lock file. The three services here
//! differ only in how they list their files.

mod cache;
mod disk;
mod error;
mod fetch;
mod http;
mod json_client;
mod listing;
mod lock;
mod pick;
mod record;
mod status;
#[cfg(test)]
mod tests;
mod transfer;
mod unpack;

pub use cache::DataCache;
pub use error::{FetchError, Mismatch};
pub use fetch::{FetchProgress, Network};
pub use http::RetryPolicy;
pub use json_client::JsonClient;
pub use listing::Services;
pub use lock::{Content, Lock, Pinned};
pub use status::{CacheState, CacheStatus, CachedData};
