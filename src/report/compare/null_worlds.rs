//! Proof of the error rates: the comparison itself is driven through worlds in which no recipe is better.
//!
//! A world has two models and two datasets, so four pairs of `merged` and `sequential`, each scored on BLiMP, the
//! Supplement and RTE with as many items as the official sets have. Every training has a true accuracy: a constant of
//! its condition, a deviation that all conditions of a seed share (they start from one pretrained model), and one of its
//! own. Scores are shares of right items, so that items add their own noise. Each rate below comes from at least a
//! thousand worlds (two thousand, so that a rate of exactly 5% is hardly ever found outside 3 to 7%), which
//! are the same in every run of the test.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rayon::prelude::*;

use super::super::compared::Test;
use super::super::fixtures::{cell, row};
use super::*;
use crate::domain::{CellRow, Suite};

/// Worlds for each setting.
const WORLDS: u64 = 2_000;
/// Names of the datasets; `merged` and `sequential` are compared on each.
const DATASETS: [&str; 2] = ["a+b", "a+c"];
const MODELS: [&str; 2] = ["tiny", "small"];

/// What the trainings of a world are like.
#[derive(Debug, Clone, Copy)]
struct World {
    seeds: u64,
    /// Standard deviation between the trainings of a condition, in points.
    spread: f64,
    /// Seeds of fine-tuning.
    finetunings: u64,
    /// What `sequential` gains, in points.
    effect: f64,
    /// How much noisier `sequential` trainings are.
    noisier: f64,
}

const NULL: World = World { seeds: 3, spread: 1.0, finetunings: 1, effect: 0.0, noisier: 1.0 };

/// Normal numbers by the method of Box and Muller.
struct Chance(ChaCha8Rng);

impl Chance {
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * (1.0 - self.uniform()).ln()).sqrt(), std::f64::consts::TAU * self.uniform());
        radius * angle.cos()
    }

    /// The percentage right of `items` items that are right with a probability of `percent`, by the normal
    /// approximation, in whole items.
    fn share(&mut self, percent: f64, items: f64) -> f64 {
        let right = percent.clamp(0.0, 100.0) / 100.0;
        let count = items * right + (items * right * (1.0 - right)).sqrt() * self.normal();
        100.0 * count.round().clamp(0.0, items) / items
    }
}

impl World {
    fn conditions() -> impl Iterator<Item = (&'static str, Option<&'static str>, &'static str)> {
        let of_model = |model| {
            let tuned = DATASETS
                .into_iter()
                .flat_map(move |dataset| ["merged", "sequential"].map(|curriculum| (model, Some(dataset), curriculum)));
            tuned.chain([(model, None, "pretrained")])
        };
        MODELS.into_iter().flat_map(of_model)
    }

    fn cells(self) -> Vec<CellRow> {
        let of_seed =
            |seed| Self::conditions().map(move |(model, dataset, curriculum)| cell(model, dataset, curriculum, seed));
        (1..=self.seeds).flat_map(of_seed).collect()
    }

    /// The scores of world number `number`.
    fn scores(self, number: u64) -> Vec<ScoreRow> {
        let mut chance = Chance(ChaCha8Rng::seed_from_u64(number));
        let mut rows = vec![];
        for (suite, task, items) in [
            (Suite::Blimp, "blimp", 13_400.0),
            (Suite::BlimpSupplement, "blimp-supplement", 5_218.0),
            (Suite::Glue, "rte", 139.0),
        ] {
            // All conditions of a model with one seed start from the same pretrained model.
            let shared: Vec<f64> =
                (0..MODELS.len() as u64 * self.seeds).map(|_| self.spread * chance.normal()).collect();
            for cell in self.cells() {
                let model = MODELS.iter().position(|model| *model == cell.model).unwrap() as u64;
                let own = if cell.curriculum == "sequential" { self.noisier } else { 1.0 };
                let mut accuracy = 60.0 + shared[(model * self.seeds + cell.seed - 1) as usize];
                accuracy += self.spread * own * chance.normal();
                accuracy += if cell.curriculum == "sequential" { self.effect } else { 0.0 };
                let runs = if suite == Suite::Glue { self.finetunings } else { 1 };
                for run in 0..runs {
                    let of_run = if runs > 1 { accuracy + self.spread * chance.normal() } else { accuracy };
                    let mut row = row(&cell, suite, None, chance.share(of_run, items));
                    task.clone_into(&mut row.score.task);
                    row.job.push_str(&format!(" {run}"));
                    row.finetune_seed = (suite == Suite::Glue).then_some(100 * cell.seed + run);
                    rows.push(row);
                }
            }
        }
        rows
    }

    /// What the program says of as many worlds as asked for.
    fn compared(self, worlds: u64, options: Options) -> Vec<Compared> {
        let planned = Planned::new(&self.cells(), &[]);
        let compare = |number: u64| {
            let scores = self.scores(number);
            let comparison =
                Comparison::new(&planned, &scores, Scope::Aggregates, "merged", "sequential").expect("pairs of cells");
            let compared = comparison.evaluate(options);
            assert_eq!(compared.rows.len(), 12, "two models, two datasets, three tasks");
            compared
        };
        (0..worlds).into_par_iter().map(compare).collect()
    }
}

/// The share of true answers, in percent.
fn rate(answers: impl IntoIterator<Item = bool>) -> f64 {
    let answers: Vec<bool> = answers.into_iter().collect();
    100.0 * answers.iter().filter(|answer| **answer).count() as f64 / answers.len() as f64
}

fn assert_rate(found: f64, allowed: std::ops::RangeInclusive<f64>, what: &str) {
    assert!(allowed.contains(&found), "{what}: {found:.1}%, not within {allowed:?}");
}

/// Whether an interval holds the truth.
fn covers(test: Test, truth: f64) -> bool {
    test.interval.0 <= truth && truth <= test.interval.1
}

/// The settings of the specification: seeds, spread between seeds, seeds of fine-tuning.
fn settings() -> Vec<World> {
    let mut settings = vec![];
    for seeds in [2, 3, 5, 8] {
        for spread in [0.0, 1.0, 2.0] {
            for finetunings in [1, 3] {
                settings.push(World { seeds, spread, finetunings, ..NULL });
            }
        }
    }
    settings
}

#[test]
fn paired_tests_alarm_in_5_percent_of_null_worlds_and_intervals_cover_95() {
    for world in settings() {
        let found = world.compared(WORLDS, Options::default());
        // One row of each kind of task: all twelve would only add dependent ones.
        for place in [0, 1, 2] {
            let tests: Vec<Test> = found.iter().filter_map(|compared| compared.rows[place].test).collect();
            // Two seeds of few items may give the same difference twice, which is no test.
            assert!(tests.len() as f64 > 0.9 * WORLDS as f64);
            let what = format!("row {place} of {world:?}");
            assert_rate(rate(tests.iter().map(|test| test.p < 0.05)), 3.0..=7.0, &format!("p, {what}"));
            assert_rate(rate(tests.iter().map(|test| covers(*test, 0.0))), 93.0..=97.0, &format!("interval, {what}"));
        }
        let overall: Vec<Test> =
            found.iter().filter_map(|compared| compared.overall.as_ref().and_then(|overall| overall.test)).collect();
        assert_eq!(overall.len() as u64, WORLDS);
        assert_rate(rate(overall.iter().map(|test| test.p < 0.05)), 3.0..=7.0, &format!("overall p of {world:?}"));
        assert_rate(rate(overall.iter().map(|test| covers(*test, 0.0))), 93.0..=97.0, &format!("overall {world:?}"));
        // Holm bounds the share of tables with any false alarm; rows that share trainings may make it less than 5%.
        let alarm = |compared: &Compared| compared.rows.iter().any(|row| row.p_corrected.is_some_and(|p| p < 0.05));
        assert_rate(rate(found.iter().map(alarm)), 1.0..=7.0, &format!("p (Holm) of {world:?}"));
    }
}

#[test]
fn intervals_cover_a_true_difference() {
    let world = World { effect: 1.5, seeds: 5, finetunings: 3, ..NULL };
    let found = world.compared(WORLDS, Options::default());
    for place in [0, 2] {
        let tests = found.iter().filter_map(|compared| compared.rows[place].test);
        assert_rate(rate(tests.map(|test| covers(test, 1.5))), 93.0..=97.0, "interval");
    }
    let overall = found.iter().filter_map(|compared| compared.overall.as_ref()?.test);
    assert_rate(rate(overall.map(|test| covers(test, 1.5))), 93.0..=97.0, "overall interval");
}

#[test]
fn pooling_holds_its_level_where_conditions_are_equally_noisy() {
    for (seeds, finetunings) in [(2, 1), (3, 3), (5, 1)] {
        let world = World { seeds, finetunings, ..NULL };
        let found = world.compared(WORLDS, Options { pooled: true, ..Options::default() });
        let pooled: Vec<Test> = found.iter().filter_map(|compared| compared.rows[0].pooled).collect();
        assert_eq!(pooled.len() as u64, WORLDS);
        assert_eq!(pooled[0].df, 4 * (seeds - 1), "five conditions of a model");
        assert_rate(rate(pooled.iter().map(|test| test.p < 0.05)), 3.0..=7.0, "p (pooled)");
        assert_rate(rate(pooled.iter().map(|test| covers(*test, 0.0))), 93.0..=97.0, "pooled interval");
    }
}

/// Where a pair is much noisier than the rest the pooled interval is too narrow, and the warning says so.
#[test]
fn pooling_warns_of_a_noisy_pair() {
    let world = World { seeds: 5, noisier: 4.0, ..NULL };
    let found = world.compared(200, Options { pooled: true, ..Options::default() });
    let warned = |compared: &Compared| compared.table("toy").notes.iter().any(|note| note.contains("too narrow"));
    assert!(rate(found.iter().map(warned)) > 20.0);
    let calm = World { seeds: 8, ..NULL }.compared(200, Options { pooled: true, ..Options::default() });
    assert!(rate(calm.iter().map(warned)) < rate(found.iter().map(warned)));
}

/// At the margin itself, the test of equivalence errs in 5% of worlds; far within it, it hardly ever fails.
#[test]
fn equivalence_errs_in_5_percent_at_its_margin() {
    let options = Options { equivalent: Some(2.0), ..Options::default() };
    let shown = |world: World, place: usize| {
        let found = world.compared(WORLDS, options);
        rate(found.iter().filter_map(|compared| compared.rows[place].equivalence?.p).map(|p| p < 0.05))
    };
    let at_the_margin = World { seeds: 8, spread: 0.5, effect: 2.0, ..NULL };
    assert_rate(shown(at_the_margin, 0), 3.0..=7.0, "equivalence at the margin");
    assert!(shown(World { effect: 0.0, ..at_the_margin }, 0) > 95.0);
}

/// Under the null every discovery is false, so the false discovery rate is the share of tables with any.
#[test]
fn the_false_discovery_rate_holds() {
    let world = World { seeds: 3, ..NULL };
    let found = world.compared(2 * WORLDS, Options::default());
    // Rows of the two models are independent, and so are tasks: one dataset of each.
    let any = |compared: &Compared| {
        let rows = compared.rows.iter().filter(|row| row.labels[1].first == DATASETS[0]);
        let p: Vec<f64> = rows.filter_map(|row| Some(row.test?.p)).collect();
        assert_eq!(p.len(), 6);
        Correction::BenjaminiHochberg.apply(&p).into_iter().any(|p| p < 0.05)
    };
    assert_rate(rate(found.iter().map(any)), 3.0..=7.0, "false discovery rate");
}

/// One seed of a condition against another one is no difference: no row may say more than its paired t test.
#[test]
fn one_seed_says_nothing_of_recipes() {
    let world = World { seeds: 1, ..NULL };
    let found = world.compared(20, Options { equivalent: Some(1.0), pooled: true });
    for compared in &found {
        assert!(compared.rows.iter().all(|row| row.test.is_none() && row.p_corrected.is_none()));
        assert!(compared.rows.iter().all(|row| row.pooled.is_none()));
        assert!(compared.overall.as_ref().is_some_and(|overall| overall.test.is_none()));
    }
}
