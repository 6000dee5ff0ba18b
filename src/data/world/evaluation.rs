//! Evaluation files of the toy world, by suite.

mod acquisition;
mod boxes;
mod classification;
mod items;
mod knowledge;
mod minimal_pairs;
mod nonce;
mod reading;
mod replies;

use crate::domain::Suite;

pub use replies::ReplyPair;
pub(super) use replies::{dialogue_pairs, maxims};

/// The files of a suite; see [`super::evaluation`].
pub(super) fn files(seed: u64, items: u64, suite: Suite) -> Vec<(String, Vec<u8>)> {
    match suite {
        Suite::Blimp => minimal_pairs::blimp(seed, items),
        Suite::BlimpSupplement => minimal_pairs::blimp_supplement(seed, items),
        Suite::EntityTracking => boxes::files(seed, items),
        Suite::Ewok => knowledge::ewok(seed, items),
        Suite::Comps => knowledge::comps(seed, items),
        Suite::GlobalPiqaParallel => knowledge::global_piqa(seed, items, 4),
        Suite::GlobalPiqaNonparallel => knowledge::global_piqa(seed, items, 2),
        Suite::WugAdj => nonce::adjectives(seed, items),
        Suite::WugPast => nonce::verbs(seed, items),
        Suite::Reading => reading::table(seed, items),
        Suite::Aoa => acquisition::files(seed, items),
        Suite::Glue => classification::files(seed, items),
        // The toy world has no test sets of the user's own.
        Suite::Pairs | Suite::MultipleChoice | Suite::Perplexity | Suite::InContext => vec![],
    }
}
