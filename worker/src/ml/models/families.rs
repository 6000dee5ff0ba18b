//! The architecture families.

use grid::domain::Arch;

use super::decoder::Family;
use super::{gpt2, llama};

/// The family of an architecture.
pub fn family(arch: Arch) -> &'static Family {
    match arch {
        Arch::Llama => &llama::FAMILY,
        Arch::Gpt2 => &gpt2::FAMILY,
    }
}
