//! How many seeds are needed to detect a difference, and which differences the present seeds can detect.

use std::collections::BTreeSet;

use super::compare::{Scope, ScoreMatrix};
use super::measure::{ACCURACY, push_new};
use super::statistics::paired::{residual_sd, seeds_needed, smallest_effect};
use super::statistics::quantile;
use super::table::{Cell, Table};
use crate::domain::{ScoreRow, Suite, counted};

/// The usual standard deviation over seeds of the accuracies of small language models, in points.
const USUAL_SPREAD: (f64, f64) = (1.0, 2.0);

/// The standard deviation of a difference between two independent conditions, given that of their scores over seeds.
fn of_difference(spread: f64) -> f64 {
    spread * 2f64.sqrt()
}

/// The models of some scores, in the order of their first occurrence.
fn models<'a>(scored: &'a ScoreMatrix) -> Vec<&'a str> {
    let mut models = vec![];
    scored.conditions.iter().for_each(|condition| push_new(&mut models, condition.model.as_str()));
    models
}

/// The observed standard deviations of a difference between two conditions, in points, on the accuracies of these suites:
/// one for each model and task with at least two seeds.
pub fn observed_spreads(scores: &[ScoreRow], suites: &BTreeSet<Suite>) -> Vec<f64> {
    let scored = ScoreMatrix::new(scores, &Scope::Aggregates);
    let wanted = scored.measures.iter().filter(|one| suites.contains(&one.suite) && one.metric == ACCURACY);
    let of = |(measure, model)| Some(residual_sd(&scored.balanced(model, measure)?)?.sd);
    let models = models(&scored);
    wanted.flat_map(|measure| models.iter().map(move |model| (measure, *model))).filter_map(of).collect()
}

/// A warning about conditions with fewer than three seeds. `spreads` are those of earlier runs; see [`observed_spreads`].
pub fn few_seeds_warning(seeds: u64, spreads: &[f64]) -> Option<String> {
    let (low, high, source) = match median(spreads) {
        Some(spread) => (spread, spread, "with the spread over seeds of earlier runs of these suites".to_owned()),
        None => {
            let (low, high) = USUAL_SPREAD;
            let source =
                format!("if scores have a standard deviation of {low} to {high} points over seeds, as is usual");
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
        Some(found) => {
            format!("which detect a difference in 8 of 10 experiments only if it is at least {found} points")
        }
        None => "which cannot show any difference because a single seed has no spread".to_owned(),
    };
    Some(format!("some conditions have {seeds_text}, {now}; 3 seeds detect {three} points, 5 seeds {five} ({source})"))
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

/// The table of `--power`: for every model and task, the observed spread of a difference between two conditions, the
/// smallest difference that the seeds detect, and the number of seeds that detect `difference` points.
///
/// The spread is that of `--pooled`: the residual of score = condition + seed + residual over all conditions that have
/// every seed. A task whose conditions have one seed has no spread, which is shown as missing.
pub fn power(experiment: &str, scores: &[ScoreRow], difference: f64) -> Table {
    let scored = ScoreMatrix::new(scores, &Scope::Aggregates);
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
                points(spread.map(|spread| spread.sd)),
                points(spread.and_then(|spread| Some(spread.sd * smallest_effect(seeds)?))),
                spread.and_then(|spread| seeds_needed(difference / spread.sd)).map_or(Cell::Missing, Cell::Count),
            ]);
        }
    }
    let heads = ["model", "task", "conditions", "seeds", "sd of a difference", "smallest difference"];
    let mut heads: Vec<String> = heads.map(str::to_owned).into();
    heads.push(format!("seeds for {difference}"));
    let mut notes = vec![format!(
        "For a two-sided paired t test over seeds at the 5% level with 80% power: the smallest difference that these \
         seeds detect, and the number of seeds that detect a difference of {difference}. The spread is that of all \
         conditions of the model."
    )];
    if unknown {
        let (low, high) = USUAL_SPREAD;
        let needed = |spread: f64| seeds_needed(difference / of_difference(spread));
        let text = |seeds: Option<u64>| seeds.map_or("more than 10000".to_owned(), |seeds| seeds.to_string());
        notes.push(format!(
            "—: a single seed has no spread. If scores have a standard deviation of {low} to {high} points over seeds, as \
             is usual, detecting a difference of {difference} needs {} to {} seeds.",
            text(needed(low)),
            text(needed(high))
        ));
    }
    Table {
        title: format!("{experiment}: what the seeds can detect"),
        heads,
        labels: 2,
        rows,
        notes,
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{cell, row};
    use super::*;

    /// Two conditions with the differences 1, 2, 3 and 4, whose standard deviation is 1.29.
    fn scores() -> Vec<ScoreRow> {
        let of_seed = |seed: u64| {
            let at = |curriculum, value| row(&cell("tiny", Some("a+b"), curriculum, seed), Suite::Blimp, None, value);
            [at("merged", 60.0), at("sequential", 60.0 + seed as f64)]
        };
        (1..=4).flat_map(of_seed).collect()
    }

    #[test]
    fn the_table_has_the_present_seeds_and_the_needed_seeds() {
        insta::assert_snapshot!(power("toy", &scores(), 1.0).terminal(), @r"
toy: what the seeds can detect
─────────────────────────────────────────────────────────────────────────────────────────────
 model   task    conditions   seeds   sd of a difference   smallest difference   seeds for 1
═════════════════════════════════════════════════════════════════════════════════════════════
 tiny    blimp            2       4                  1.3                   2.7            16
─────────────────────────────────────────────────────────────────────────────────────────────
For a two-sided paired t test over seeds at the 5% level with 80% power: the smallest difference that these seeds detect, and the number of seeds that detect a difference of 1. The spread is that of all conditions of the model.
");
        let single: Vec<ScoreRow> = scores().into_iter().filter(|row| row.seed == 1).collect();
        insta::assert_snapshot!(power("toy", &single, 1.0).terminal(), @r"
toy: what the seeds can detect
─────────────────────────────────────────────────────────────────────────────────────────────
 model   task    conditions   seeds   sd of a difference   smallest difference   seeds for 1
═════════════════════════════════════════════════════════════════════════════════════════════
 tiny    blimp            2       1                    —                     —             —
─────────────────────────────────────────────────────────────────────────────────────────────
For a two-sided paired t test over seeds at the 5% level with 80% power: the smallest difference that these seeds detect, and the number of seeds that detect a difference of 1. The spread is that of all conditions of the model.
—: a single seed has no spread. If scores have a standard deviation of 1 to 2 points over seeds, as is usual, detecting a difference of 1 needs 18 to 65 seeds.
");
    }

    #[test]
    fn the_warning_says_what_few_seeds_cannot_detect() {
        insta::assert_snapshot!(few_seeds_warning(1, &[]).unwrap(), @r"some conditions have 1 seed, which cannot show any difference because a single seed has no spread; 3 seeds detect 4.6 to 9.2 points, 5 seeds 2.4 to 4.8 (if scores have a standard deviation of 1 to 2 points over seeds, as is usual)");
        insta::assert_snapshot!(few_seeds_warning(2, &[]).unwrap(), @r"some conditions have 2 seeds, which detect a difference in 8 of 10 experiments only if it is at least 16.3 to 32.7 points; 3 seeds detect 4.6 to 9.2 points, 5 seeds 2.4 to 4.8 (if scores have a standard deviation of 1 to 2 points over seeds, as is usual)");
        let seen = observed_spreads(&scores(), &BTreeSet::from([Suite::Blimp]));
        assert!((seen[0] - (5.0f64 / 3.0).sqrt()).abs() < 1e-9 && seen.len() == 1, "{seen:?}");
        assert!(observed_spreads(&scores(), &BTreeSet::from([Suite::Ewok])).is_empty());
        insta::assert_snapshot!(few_seeds_warning(2, &seen).unwrap(), @r"some conditions have 2 seeds, which detect a difference in 8 of 10 experiments only if it is at least 14.9 points; 3 seeds detect 4.2 points, 5 seeds 2.2 (with the spread over seeds of earlier runs of these suites)");
    }
}
