//! Whether a spec has enough seeds to compare its conditions.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::{Failure, store_failure};
use crate::domain::{BaseModel, Grid, Suite};
use crate::report::{few_seeds_warning, observed_spreads};
use crate::store::Store;

/// A warning where a spec has several conditions and fewer than three seeds of some of them, with the smallest
/// difference that these seeds could show.
///
/// The spread over seeds is that of earlier runs of the same suites, if the database has any.
pub async fn warning(store: Option<&Store>, grid: &Grid) -> Result<Option<String>, Failure> {
    let mut seeds: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut suites: BTreeSet<Suite> = BTreeSet::new();
    for cell in &grid.cells {
        let recipe = &cell.recipe;
        // Another seed would give an imported model the same scores.
        if recipe.stages.is_empty() && !matches!(recipe.base, BaseModel::Trained(_)) {
            continue;
        }
        suites.extend(recipe.evaluations.iter().map(|evaluation| evaluation.suite));
        suites.extend(recipe.finetunings.first().map(|_| Suite::Glue));
        let mut key = cell.key.clone();
        key.seed = 0;
        key.extra.remove("tune.seed");
        seeds.entry(key.label()).or_default().insert(cell.key.seed);
    }
    let Some(fewest) = seeds.values().map(BTreeSet::len).min() else { return Ok(None) };
    if suites.is_empty() || seeds.len() < 2 || fewest >= 3 {
        return Ok(None);
    }
    let mut spreads = vec![];
    if let Some(store) = store {
        for experiment in store.experiments().await.map_err(store_failure)? {
            let scores = store.scores(&experiment.name).await.map_err(store_failure)?;
            spreads.extend(observed_spreads(&scores, &suites));
        }
    }
    Ok(few_seeds_warning(fewest as u64, &spreads))
}
