//! One word of the reading suite as the regressions use it, and the measures that they explain.

use super::super::item::{Item, Likelihood, Measurements, Truth};

/// The task of eye-tracked reading, and its measures: columns of the table.
pub(super) const EYE_TRACKING: (&str, [&str; 4]) =
    ("eye-tracking", ["RTfirstfix", "RTfirstpass", "RTgopast", "RTrightbound"]);
/// The task of self-paced reading, and its measure.
pub(super) const SELF_PACED: (&str, &str) = ("self-paced", "self_paced_reading_time");
/// Event-related potentials, whose columns come after the times.
pub(super) const POTENTIALS: [&str; 6] = ["ELAN", "LAN", "N400", "P600", "EPNP", "PNP"];

/// One row for the regressions; a missing value is `None`.
pub(super) struct Word<'a> {
    pub(super) measured: &'a Measurements,
    /// In nats.
    pub(super) surprisal: Option<f64>,
    /// The surprisal of the word before, in nats.
    pub(super) previous_surprisal: Option<f64>,
}

impl<'a> Word<'a> {
    /// The word of each item with its likelihoods. A surprisal is minus the log-probability; one that is not finite is
    /// missing.
    ///
    /// # Panics
    /// If an item is not of the reading suite.
    pub(super) fn all(items: &'a [Item], measured: &[Vec<Likelihood>]) -> Vec<Word<'a>> {
        items.iter().zip(measured).map(|(item, measured)| Word::new(item, measured)).collect()
    }

    fn new(item: &'a Item, likelihoods: &[Likelihood]) -> Word<'a> {
        let Truth::Measured(measured) = &item.truth else {
            unreachable!("every item of the reading suite is read with measurements")
        };
        let surprisal =
            |place: usize| likelihoods.get(place).map(|one| -one.sum).filter(|surprisal| surprisal.is_finite());
        Word { measured, surprisal: surprisal(0), previous_surprisal: surprisal(1) }
    }
}
