//! Clusters of items that share material: what they are named after, and how recorded outcomes get theirs.
//!
//! Each suite's file says which of its items form a cluster. A row that lacks the fields which would tell is a cluster
//! of its own.

use std::collections::HashMap;

use crate::domain::{Cluster, Digest, ItemOutcome, Stderr, Suite};

use super::item::Item;

/// Hexadecimal digits of the digest that stands for a text: among 100,000 texts, two share one with probability 2e-5.
const DIGITS: usize = 12;

/// The cluster of the items that have these texts in common.
pub(super) fn sharing(texts: &[&str]) -> Cluster {
    let digest = Digest::of_named(texts.iter().map(|text| ("", Digest::of(text.as_bytes()))));
    Cluster::shared(&digest.to_string()[..DIGITS])
}

/// Gives recorded outcomes the clusters of their items, and returns the item of each; `None` if an outcome belongs to
/// none of the items.
pub(super) fn assign<'a>(items: &'a [Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<&'a Item>> {
    let by_name: HashMap<(&str, u32), &Item> =
        items.iter().map(|item| ((item.subtask.as_str(), item.index), item)).collect();
    let mut of_outcomes = Vec::with_capacity(outcomes.len());
    for outcome in outcomes.iter_mut() {
        let item = by_name.get(&(outcome.subtask.as_str(), outcome.item))?;
        outcome.cluster = item.cluster.clone();
        of_outcomes.push(*item);
    }
    Some(of_outcomes)
}

/// [`assign`] for a suite whose standard errors do not depend on clusters.
pub(super) fn assign_only(_: Suite, items: &[Item], outcomes: &mut [ItemOutcome]) -> Option<Vec<Stderr>> {
    assign(items, outcomes).map(|_| vec![])
}
