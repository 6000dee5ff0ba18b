//! Replies of decoder-only models to prompts, greedy or sampled.
//!
//! Prompts of similar length are computed together, each with its keys and values in a cache ([`crate::ml::models::Cache`]).
//! A reply that has ended leaves the batch, and the next prompts take its place.
//!
//! # What a reply depends on
//!
//! Token *t* of a reply is drawn with a number that is a function of the seed of the prompt and *t* alone, so a reply is a
//! function of the model, the prompt, its seed, the options, and the rounding of the logits.
//!
//! - **If [`Sampler::is_exact`]**, rounding does not depend on the other prompts, their order, the sizes of batches or the
//!   number of threads: a reply is the same bit for bit in every arrangement of prompts. This holds on CPUs with fused
//!   operations, if the widths of the model and of its heads are multiples of twice their lanes (32 with AVX-512, 16 with
//!   AVX2). The two instruction sets round differently.
//! - **Otherwise** (on GPUs, for other widths, on other CPUs) a matrix product may round the same row differently in another
//!   batch. How prompts are arranged is a function of the list of prompts alone, so the same list gives the same replies
//!   on the same kind of device with the same number of threads, as far as libtorch's operations are deterministic there.
//!   In another list, a reply differs from the first token on whose draw falls into the rounding difference (or whose two
//!   greatest logits do, if greedy). A job that resumes should therefore compute the [chunks] of its prompts, each of them
//!   wholly or not at all.
//!
//! Rejected: padding on the left, with which a batch computes the padding of every prompt at every step. Rejected: batches
//! that stay together until the last reply has ended.

mod choice;
mod prompt;
mod sampler;

pub use prompt::{Prompt, SampledReply, Unsamplable};
pub use sampler::{Sampler, Sampling, chunks};
