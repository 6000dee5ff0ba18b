//! Whether a set of outcomes is as large as the official one.

use std::collections::BTreeMap;

use crate::domain::{Edition, Gap, ItemOutcome, Size, Suite};

use super::super::definition::Sizes;
use super::super::official_of;

/// The differences between a zero-shot evaluation and the official numbers of predictions, one for each subtask.
///
/// # Panics
/// Unless [`super::has_files`].
pub fn problems(edition: Edition, suite: Suite, size: Size, outcomes: &[ItemOutcome]) -> Vec<Gap> {
    let mut counts = counts(outcomes);
    let sizes = match official_of(suite).sizes {
        Sizes::OfSubtasks(sizes) => sizes(edition, size),
        Sizes::OfEachCheckpoint(wanted) => {
            let of_checkpoint = |(name, found): (&String, &usize)| problem(suite, name, Some(*found), wanted);
            return counts.iter().filter_map(of_checkpoint).collect();
        }
    };
    let mut problems = vec![];
    for (subtask, wanted) in sizes {
        let found = counts.remove(&subtask.to_lowercase());
        problems.extend(problem(suite, subtask, found, wanted));
    }
    problems
        .extend(counts.keys().map(|subtask| Gap::new(suite.name(), format!("{subtask} is not an official subtask"))));
    problems
}

/// Whether the official collation takes the predictions: it checks the numbers of the subtasks that there are, and passes
/// over missing ones.
///
/// # Panics
/// Unless [`super::has_files`].
pub fn is_accepted(edition: Edition, suite: Suite, size: Size, outcomes: &[ItemOutcome]) -> bool {
    let counts = counts(outcomes);
    match official_of(suite).sizes {
        Sizes::OfSubtasks(sizes) => {
            let sizes = sizes(edition, size);
            let wanted = |name: &str| sizes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            counts.iter().all(|(name, found)| wanted(name).is_some_and(|(_, wanted)| *found == *wanted as usize))
        }
        Sizes::OfEachCheckpoint(wanted) => counts.values().all(|found| *found == wanted as usize),
    }
}

/// The number of outcomes of each subtask, by its name in lower case.
fn counts(outcomes: &[ItemOutcome]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for outcome in outcomes {
        *counts.entry(outcome.subtask.to_lowercase()).or_default() += 1;
    }
    counts
}

fn problem(suite: Suite, subtask: &str, found: Option<usize>, wanted: u32) -> Option<Gap> {
    match found {
        Some(found) if found == wanted as usize => None,
        found => {
            let reason = format!("{subtask} has {} predictions instead of {wanted}", found.unwrap_or(0));
            Some(Gap::new(suite.name(), reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Cluster;

    #[test]
    fn the_sizes_add_up_to_the_published_ones() {
        let total_of = |edition, suite, size| match official_of(suite).sizes {
            Sizes::OfSubtasks(sizes) => sizes(edition, size).iter().map(|(_, items)| *items).sum::<u32>(),
            Sizes::OfEachCheckpoint(items) => items,
        };
        let total = |suite, size| total_of(Edition::Of2025, suite, size);
        let totals = |suite| (total(suite, Size::Full), total(suite, Size::Fast));
        assert_eq!(totals(Suite::Blimp), (59_875, 13_400));
        assert_eq!(totals(Suite::BlimpSupplement), (5_218, 250));
        assert_eq!(totals(Suite::Ewok), (7_618, 1_100));
        assert_eq!(totals(Suite::EntityTracking), (9_483, 3_152));
        assert_eq!(totals(Suite::Comps), (91_028, 91_028));
        let later = |suite| [Size::Full, Size::Fast].map(|size| total_of(Edition::Of2026, suite, size));
        assert_eq!(later(Suite::EntityTracking), [6_780, 2_238]);
        assert_eq!((later(Suite::GlobalPiqaParallel), later(Suite::GlobalPiqaNonparallel)), ([103; 2], [100; 2]));
    }

    #[test]
    fn every_subtask_with_another_number_of_predictions_is_named() {
        let outcome = |subtask: &str, item| ItemOutcome {
            task: "comps".into(),
            subtask: subtask.into(),
            item,
            chosen: 0,
            correct: true,
            credit: 1.0,
            scores: vec![],
            cluster: Cluster::Itself,
        };
        let mut outcomes: Vec<ItemOutcome> = (0..49_340).map(|item| outcome("BASE", item)).collect();
        outcomes.extend([outcome("wugs", 0), outcome("odd", 0)]);
        let problems: Vec<String> =
            problems(Edition::Of2025, Suite::Comps, Size::Full, &outcomes).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(problems.join("\n"), @"
        comps: wugs has 1 predictions instead of 13896
        comps: wugs_dist_before has 0 predictions instead of 13896
        comps: wugs_dist_in_between has 0 predictions instead of 13896
        comps: odd is not an official subtask
        ");
        let accepted = |outcomes: &[ItemOutcome]| is_accepted(Edition::Of2026, Suite::Comps, Size::Full, outcomes);
        assert!(accepted(&outcomes[..49_340]), "the other subtasks are missing");
        assert!(!accepted(&outcomes[..49_339]) && !accepted(&outcomes[..49_341]) && !accepted(&outcomes));
    }
}
