//! Building the datasets that a model makes of text.

use super::failure::{Exit, Failure};
use super::fetch::fresh_survey;
use super::spec_text::SpecText;
use crate::data::{Generated, generate, generation_retry_policy};
use crate::domain::{Generation, Grid};

/// Refuses a build that cannot start.
///
/// # Errors
/// A spec without a `build:`, or a machine that is offline.
pub fn check_build(grid: &Grid, offline: bool) -> Result<(), Failure> {
    if grid.generations.is_empty() {
        let message = format!("grid: no dataset of {} has a `build:` key, which says how to make it", grid.name);
        return Err(Failure::text(Exit::NothingMatches, message));
    }
    if offline {
        let message = "grid: a build sends requests to a service, and grid is offline";
        return Err(Failure::text(Exit::Environment, message));
    }
    Ok(())
}

/// Builds one dataset; `show` is called with the number of answered documents and that of all documents.
///
/// # Errors
/// A corpus that cannot be read, or a service that does not answer.
pub fn build_dataset(
    spec: &SpecText,
    generation: &Generation,
    show: &(dyn Fn(usize, usize) + Sync),
) -> Result<Generated, Failure> {
    let cache = spec.data_cache()?;
    let located = fresh_survey(&cache).locate(&generation.corpus.source)?;
    Ok(generate(generation, &located, &cache, generation_retry_policy(), show)?)
}
