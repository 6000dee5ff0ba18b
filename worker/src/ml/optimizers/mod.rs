//! Optimizers, one file for each.

mod adamw;

pub use adamw::{AdamW, Decay};
