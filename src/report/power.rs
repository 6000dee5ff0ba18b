//! How many seeds a difference takes, and which differences the seeds at hand can find.

use std::collections::BTreeSet;

use super::compare::{Scope, Scored};
use super::measure::{ACCURACY, push_new};
use super::statistics::paired::{residual_sd, seeds_needed, smallest_effect};
use super::statistics::quantile;
use super::table::{Cell, Table};
use crate::domain::{ScoreRow, Suite, counted};

/// Standard deviation over seeds, in points, that accuracies of small language models usually have.
const USUAL_SPREAD: (f64, f64) = (1.0, 2.0);

/// The standard deviation of a difference between two independent conditions whose scores have this one over seeds.
fn of_difference(spread: f64) -> f64 {
    spread * 2f64.sqrt()
}

/// The models of some scores, in the order of first sight.
fn models<'a>(scored: &'a Scored) -> Vec<&'a str> {
    let mut models = vec![];
    scored.conditions.iter().for_each(|condition| push_new(&mut models, condition.model.as_str()));
    models
}

/// The standard deviations of a difference between two conditions, in points, that the accuracies of these suites had:
/// one for each model and task with two seeds at least.
pub fn spread(scores: &[ScoreRow], suites: &BTreeSet<Suite>) -> Vec<f64> {
    let scored = Scored::new(scores, Scope::Aggregates);
    let wanted = scored.measures.iter().filter(|one| suites.contains(&one.suite) && one.metric == ACCURACY);
    let of = |(measure, model)| Some(residual_sd(&scored.balanced(model, measure)?)?.0);
    let models = models(&scored);
    wanted.flat_map(|measure| models.iter().map(move |model| (measure, *model))).filter_map(of).collect()
}

/// What to say of a spec that has fewer than three seeds of some condition; `spreads` are those of earlier runs.
pub fn few_seeds(seeds: u64, spreads: &[f64]) -> Option<String> {
    let (low, high, source) = match median(spreads) {
        Some(spread) => (spread, spread, "with the spread over seeds that earlier runs of these suites had".to_owned()),
        None => {
            let (low, high) = USUAL_SPREAD;
            let source =
                format!("where scores have a standard deviation of {low} to {high} points over seeds, as is usual");
            (of_difference(low), of_difference(high), source)
        }
    };
    let points = |seeds: u64| -> Option<String> {
        let effect = smallest_effect(seeds)?;
        let (low, high) = (format!("{:.1}", effect * low), format!("{:.1}", effect * high));
        Some(if low == high { low } else { format!("{low} to {high}") })
    };
    let (three, five) = (points(3)?, points(5)?);
    let seeds_text = counted(seeds, "seed");
    let now = match points(seeds) {
        Some(found) => format!("which find a difference in 8 of 10 experiments only from {found} points up"),
        None => "which cannot show any difference, as one seed has no spread".to_owned(),
    };
    Some(format!("some conditions have {seeds_text}, {now}; 3 seeds find {three} points, 5 seeds {five} ({source})"))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

/// The table of `--power`: for every model and task, the spread of a difference between two conditions as it was seen,
/// the smallest difference that the seeds find, and the seeds that `difference` points take.
///
/// The spread is that of `--pooled`: the residual of score = condition + seed + residual over all conditions that have
/// every seed. A task whose conditions have one seed has no spread, and is shown as missing.
pub fn power(experiment: &str, scores: &[ScoreRow], difference: f64) -> Table {
    let scored = Scored::new(scores, Scope::Aggregates);
    let mut rows = vec![];
    let mut unknown = false;
    for model in models(&scored) {
        for measure in &scored.measures {
            let Some(matrix) = scored.balanced(model, measure) else { continue };
            let seeds = matrix.first().map_or(0, Vec::len) as u64;
            let spread = residual_sd(&matrix);
            unknown |= spread.is_none();
            let points = |value: Option<f64>| value.map_or(Cell::Missing, |value| Cell::Number(value, 1));
            rows.push(vec![
                Cell::Label(model.to_owned()),
                Cell::Label(measure.head(&scored.measures)),
                Cell::Count(matrix.len() as u64),
                Cell::Count(seeds),
                points(spread.map(|(sd, _)| sd)),
                points(spread.and_then(|(sd, _)| Some(sd * smallest_effect(seeds)?))),
                spread.and_then(|(sd, _)| seeds_needed(difference / sd)).map_or(Cell::Missing, Cell::Count),
            ]);
        }
    }
    let heads = ["model", "task", "conditions", "seeds", "sd of a difference", "smallest difference"];
    let mut heads: Vec<String> = heads.map(str::to_owned).into();
    heads.push(format!("seeds for {difference}"));
    let mut notes = vec![format!(
        "80% power, two-sided 5%, paired t over seeds: the smallest difference that these seeds find in 8 of 10 \
         experiments, and the seeds that a difference of {difference} needs; spread: that of all conditions of the model"
    )];
    if unknown {
        let (low, high) = USUAL_SPREAD;
        let needed = |spread: f64| seeds_needed(difference / of_difference(spread));
        let text = |seeds: Option<u64>| seeds.map_or("more than 10000".to_owned(), |seeds| seeds.to_string());
        notes.push(format!(
            "— one seed has no spread; where scores have a standard deviation of {low} to {high} points over seeds, as is \
             usual, a difference of {difference} needs {} to {} seeds",
            text(needed(low)),
            text(needed(high))
        ));
    }
    Table { title: format!("{experiment}: what the seeds can show"), heads, labels: 2, rows, notes, ..Table::default() }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;

    /// Two conditions whose differences are 1, 2, 3 and 4: their standard deviation is 1.29.
    fn scores() -> Vec<ScoreRow> {
        let of_seed = |seed: u64| {
            let at = |curriculum, value| row(&cell("tiny", Some("a+b"), curriculum, seed), Suite::Blimp, None, value);
            [at("merged", 60.0), at("sequential", 60.0 + seed as f64)]
        };
        (1..=4).flat_map(of_seed).collect()
    }

    #[test]
    fn the_seeds_at_hand_and_the_seeds_needed() {
        insta::assert_snapshot!(power("toy", &scores(), 1.0).terminal(), @r"
toy: what the seeds can show
─────────────────────────────────────────────────────────────────────────────────────────────
 model   task    conditions   seeds   sd of a difference   smallest difference   seeds for 1
═════════════════════════════════════════════════════════════════════════════════════════════
 tiny    blimp            2       4                  1.3                   2.7            16
─────────────────────────────────────────────────────────────────────────────────────────────
80% power, two-sided 5%, paired t over seeds: the smallest difference that these seeds find in 8 of 10 experiments, and the seeds that a difference of 1 needs; spread: that of all conditions of the model
");
        let single: Vec<ScoreRow> = scores().into_iter().filter(|row| row.seed == 1).collect();
        insta::assert_snapshot!(power("toy", &single, 1.0).terminal(), @r"
toy: what the seeds can show
─────────────────────────────────────────────────────────────────────────────────────────────
 model   task    conditions   seeds   sd of a difference   smallest difference   seeds for 1
═════════════════════════════════════════════════════════════════════════════════════════════
 tiny    blimp            2       1                    —                     —             —
─────────────────────────────────────────────────────────────────────────────────────────────
80% power, two-sided 5%, paired t over seeds: the smallest difference that these seeds find in 8 of 10 experiments, and the seeds that a difference of 1 needs; spread: that of all conditions of the model
— one seed has no spread; where scores have a standard deviation of 1 to 2 points over seeds, as is usual, a difference of 1 needs 18 to 65 seeds
");
    }

    #[test]
    fn few_seeds_are_told_what_they_cannot_show() {
        insta::assert_snapshot!(few_seeds(1, &[]).unwrap(), @r"some conditions have 1 seed, which cannot show any difference, as one seed has no spread; 3 seeds find 4.6 to 9.2 points, 5 seeds 2.4 to 4.8 (where scores have a standard deviation of 1 to 2 points over seeds, as is usual)");
        insta::assert_snapshot!(few_seeds(2, &[]).unwrap(), @r"some conditions have 2 seeds, which find a difference in 8 of 10 experiments only from 16.3 to 32.7 points up; 3 seeds find 4.6 to 9.2 points, 5 seeds 2.4 to 4.8 (where scores have a standard deviation of 1 to 2 points over seeds, as is usual)");
        let seen = spread(&scores(), &BTreeSet::from([Suite::Blimp]));
        assert!((seen[0] - (5.0f64 / 3.0).sqrt()).abs() < 1e-9 && seen.len() == 1, "{seen:?}");
        assert!(spread(&scores(), &BTreeSet::from([Suite::Ewok])).is_empty());
        insta::assert_snapshot!(few_seeds(2, &seen).unwrap(), @r"some conditions have 2 seeds, which find a difference in 8 of 10 experiments only from 14.9 points up; 3 seeds find 4.2 points, 5 seeds 2.2 (with the spread over seeds that earlier runs of these suites had)");
    }
}
