//! The Mistral family: LLaMA, in the first release with a window of attention, which the heads have (Jiang et al. 2023).

use super::decoder::Family;
use super::llama;

/// The Mistral family.
pub(super) const FAMILY: Family = llama::FAMILY;
