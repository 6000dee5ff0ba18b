//! The architecture families.

use grid::domain::Arch;

use super::decoder::Family;
use super::{bert, gpt_neox, gpt2, llama, ltg_bert, mistral, opt, qwen2, qwen3};

/// The family of an architecture.
pub fn family(arch: Arch) -> &'static Family {
    match arch {
        Arch::Llama => &llama::FAMILY,
        Arch::Gpt2 => &gpt2::FAMILY,
        Arch::Qwen2 => &qwen2::FAMILY,
        Arch::Qwen3 => &qwen3::FAMILY,
        Arch::Mistral(_) => &mistral::FAMILY,
        Arch::Opt(_) => &opt::FAMILY,
        Arch::GptNeox(_) => &gpt_neox::FAMILY,
        Arch::Bert(_) => &bert::BERT,
        Arch::Roberta(_) => &bert::ROBERTA,
        Arch::LtgBert(_) => &ltg_bert::LTG_BERT,
        Arch::GptBert(_) => &ltg_bert::GPT_BERT,
    }
}
