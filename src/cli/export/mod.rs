//! `grid export`.

mod babylm;
mod form;
mod hf;
mod items;

use clap::Subcommand;

use super::global::Global;
use crate::session::{Exit, Failure};

/// What to export.
#[derive(Debug, Subcommand)]
pub(super) enum ExportVerb {
    /// A model folder for Hugging Face transformers, with a model card.
    Hf(hf::HfArgs),
    /// The result files of the official BabyLM 2025 pipeline, and the collated file to submit.
    Babylm(babylm::BabylmArgs),
    /// The hyper-parameters of every model and stage, as the form of a submission to BabyLM asks for them: parameters, words
    /// seen, epochs, tokens per second, FLOPs, and the recipe of the optimizer.
    Form(form::FormArgs),
    /// A long table of all items that have a right answer, for mixed models such as those of lme4 and brms: one row per
    /// cell, seed, fine-tuning seed and item, with the cluster of items that share material.
    Items(items::ItemsArgs),
}

/// `grid export`.
pub(super) async fn export(global: &Global, verb: &ExportVerb) -> Result<Exit, Failure> {
    match verb {
        ExportVerb::Hf(args) => hf::export(global, args).await,
        ExportVerb::Babylm(args) => babylm::export(global, args).await,
        ExportVerb::Form(args) => form::export(global, args).await,
        ExportVerb::Items(args) => items::export(global, args).await,
    }
}
