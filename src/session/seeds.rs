//! Whether a spec has enough seeds to compare its conditions.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::Failure;
use crate::domain::{BaseModel, Grid, ScoreRow, Suite};
use crate::store::Store;

/// Seeds below which a comparison of conditions is unreliable.
const ENOUGH_SEEDS: usize = 3;

/// Several conditions with too few seeds, and what earlier runs say about the spread over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct FewSeeds {
    /// The smallest number of seeds of a condition.
    pub fewest: u64,
    /// The suites that score the conditions.
    pub suites: BTreeSet<Suite>,
    /// The scores of each experiment in the database.
    pub earlier: Vec<Vec<ScoreRow>>,
}

/// Whether a spec compares several conditions of which some have fewer than three seeds.
///
/// # Errors
/// Those of the database.
pub async fn few_seeds(store: Option<&Store>, grid: &Grid) -> Result<Option<FewSeeds>, Failure> {
    let mut seeds: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut suites: BTreeSet<Suite> = BTreeSet::new();
    for cell in &grid.cells {
        let recipe = &cell.recipe;
        // An imported model has the same scores whatever the seed.
        if recipe.stages.is_empty() && !matches!(recipe.base, BaseModel::Trained(_)) {
            continue;
        }
        suites.extend(recipe.evaluations.iter().map(|evaluation| evaluation.test.suite()));
        suites.extend(recipe.finetunings.first().map(|_| Suite::Glue));
        let mut key = cell.key.clone();
        key.seed = 0;
        key.extra.remove("tune.seed");
        seeds.entry(key.label()).or_default().insert(cell.key.seed);
    }
    let Some(fewest) = seeds.values().map(BTreeSet::len).min() else { return Ok(None) };
    if suites.is_empty() || seeds.len() < 2 || fewest >= ENOUGH_SEEDS {
        return Ok(None);
    }
    let mut earlier = vec![];
    if let Some(store) = store {
        for experiment in store.experiments().await? {
            earlier.push(store.scores(&experiment.name).await?);
        }
    }
    Ok(Some(FewSeeds { fewest: fewest as u64, suites, earlier }))
}
