use super::super::fixtures::{cell, row};
use super::*;
use crate::domain::{GlueTask, Suite};

const COLUMNS: [Quantity; 4] =
    [Quantity::Suite(Suite::Blimp), Quantity::Task(GlueTask::Rte), Quantity::EyeTracking, Quantity::WugAccuracy];

/// Three models with two seeds. The third model lacks one task for one seed and another task for both.
fn world() -> (Vec<CellRow>, Vec<ScoreRow>) {
    let (mut cells, mut scores) = (vec![], vec![]);
    let models = [(None, "pretrained", 0.0), (Some("a+b"), "merged", 4.0), (Some("a+b"), "sequential", -2.0)];
    for (number, (dataset, curriculum, up)) in models.into_iter().enumerate() {
        for seed in [1, 2] {
            let cell = cell("tiny", dataset, curriculum, seed);
            let value = |value: f64| value + up + seed as f64;
            scores.push(row(&cell, Suite::Blimp, None, value(70.0)));
            let mut add = |suite: Suite, task: &str, metric: &str, subtask: Option<&str>, value: f64| {
                let mut row = row(&cell, suite, subtask, value);
                (row.score.task, row.score.metric) = (task.to_owned(), metric.to_owned());
                (row.score.chance, row.score.floor) = (None, None);
                scores.push(row);
            };
            if number < 2 || seed == 1 {
                add(Suite::Glue, "rte", "accuracy", None, value(50.0));
            }
            if number < 2 {
                add(Suite::Reading, "eye-tracking", "partial-r2", None, value(5.0) / 10.0);
            }
            add(Suite::WugAdj, "wug-adj", "spearman", None, 30.0);
            add(Suite::WugAdj, "wug-adj", "accuracy", Some("wug_adj"), 40.0);
            cells.push(cell);
        }
    }
    (cells, scores)
}

fn references() -> Vec<Reference> {
    let scores = [(Quantity::Suite(Suite::Blimp), 74.9), (Quantity::EyeTracking, 0.47), (Quantity::Macro, 36.2)];
    let other = [(Quantity::Suite(Suite::Comps), 50.0)];
    vec![
        Reference { name: "gpt2".into(), source: "a card".into(), scores: scores.into_iter().collect() },
        Reference { name: "elsewhere".into(), source: "a paper".into(), scores: other.into_iter().collect() },
    ]
}

fn table(show: TableView) -> Table {
    let (cells, scores) = world();
    let table = NamedTable {
        name: "mine".into(),
        columns: COLUMNS.into(),
        show,
        references: vec!["gpt2".into(), "elsewhere".into()],
    };
    named_table("toy", &table, &cells, &scores, &references())
}

#[test]
fn published_rows_are_below_the_scores() {
    insta::assert_snapshot!(table(TableView::Scores).terminal(), @r"
toy: mine
mean ± sd over seeds
──────────────────────────────────────────────────────────────────────────────────────────────────────
 model              datasets   curriculum        blimp          rte   eye-tracking   wug-adj-accuracy
══════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny                          pretrained   71.5 ± 0.7   51.5 ± 0.7      0.6 ± 0.1         40.0 ± 0.0
 tiny               a+b        merged       75.5 ± 0.7   55.5 ± 0.7      1.1 ± 0.1         40.0 ± 0.0
 tiny               a+b        sequential   69.5 ± 0.7   49.0 [1/2]              —         40.0 ± 0.0
──────────────────────────────────────────────────────────────────────────────────────────────────────
 gpt2 (published)                                 74.9            —           0.47                  —
──────────────────────────────────────────────────────────────────────────────────────────────────────
 chance                                           50.0            —              —                  —
 trivial floor                                    48.9            —              —                  —
──────────────────────────────────────────────────────────────────────────────────────────────────────
Scored with `mode: fixed` (corrected rules).
A score without ± is from a single seed.
[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.
Published rows: as printed, or the mean of the printed parts, under the official rules of that time. They are not used in any statistic.
gpt2 (published): a card
");
    insta::assert_snapshot!(table(TableView::Scores).markdown(), @r"
**toy: mine**

mean ± sd over seeds

| model | datasets | curriculum | blimp | rte | eye-tracking | wug-adj-accuracy |
| --- | --- | --- | ---: | ---: | ---: | ---: |
| tiny |  | pretrained | 71.5 ± 0.7 | 51.5 ± 0.7 | 0.6 ± 0.1 | 40.0 ± 0.0 |
| tiny | a+b | merged | 75.5 ± 0.7 | 55.5 ± 0.7 | 1.1 ± 0.1 | 40.0 ± 0.0 |
| tiny | a+b | sequential | 69.5 ± 0.7 | 49.0 [1/2] | — | 40.0 ± 0.0 |
| gpt2 (published) |  |  | 74.9 | — | 0.47 | — |
| chance |  |  | 50.0 | — | — | — |
| trivial floor |  |  | 48.9 | — | — | — |

Scored with `mode: fixed` (corrected rules).

A score without ± is from a single seed.

[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.

Published rows: as printed, or the mean of the printed parts, under the official rules of that time. They are not used in any statistic.

gpt2 (published): a card
");
    insta::assert_snapshot!(table(TableView::Scores).csv(), @r"
model,datasets,curriculum,blimp,blimp_sd,blimp_seeds,rte,rte_sd,rte_seeds,eye-tracking,eye-tracking_sd,eye-tracking_seeds,wug-adj-accuracy,wug-adj-accuracy_sd,wug-adj-accuracy_seeds,blimp_stderr,blimp_seeds_planned,blimp_rules,blimp_marks,blimp_chance,blimp_trivial_floor,rte_stderr,rte_seeds_planned,rte_rules,rte_marks,rte_chance,rte_trivial_floor,eye-tracking_stderr,eye-tracking_seeds_planned,eye-tracking_rules,eye-tracking_marks,eye-tracking_chance,eye-tracking_trivial_floor,wug-adj-accuracy_stderr,wug-adj-accuracy_seeds_planned,wug-adj-accuracy_rules,wug-adj-accuracy_marks,wug-adj-accuracy_chance,wug-adj-accuracy_trivial_floor
tiny,,pretrained,71.5,0.7071067811865476,2,51.5,0.7071067811865476,2,0.6499999999999999,0.07071067811865474,2,40,0,2,,2,fixed,,50,48.9,,2,fixed,,,,,2,fixed,,,,,2,fixed,,,
tiny,a+b,merged,75.5,0.7071067811865476,2,55.5,0.7071067811865476,2,1.05,0.07071067811865482,2,40,0,2,,2,fixed,,50,48.9,,2,fixed,,,,,2,fixed,,,,,2,fixed,,,
tiny,a+b,sequential,69.5,0.7071067811865476,2,49,,1,,,,40,0,2,,2,fixed,,50,48.9,2.5,2,fixed,,,,,,,,,,,2,fixed,,,
gpt2 (published),,,74.9,,,,,,0.47,,,,,,,,,,,,,,,,,,,,,,,,,,,,,
");
}

#[test]
fn z_scores_and_their_boxes() {
    insta::assert_snapshot!(table(TableView::ZScores).terminal(), @r"
toy: mine
────────────────────────────────────────────────────────────────────────────────────────────────────
 model   datasets   curriculum   blimp     rte   eye-tracking   wug-adj-accuracy   mean z   columns
════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny               pretrained   -0.27   -0.19          -1.00                  —    -0.48    3 of 4
 tiny    a+b        merged        1.34    1.31           1.00                  —     1.21    3 of 4
 tiny    a+b        sequential   -1.07   -1.12              —                  —    -1.09    2 of 4
────────────────────────────────────────────────────────────────────────────────────────────────────
z is the distance from the mean of these 3 models in population standard deviations over the models. Published rows are not included.
A column in which the models differ only by noise has the same weight as any other. A column in which all models are equal has no z.
If all 3 models were equally good, 95% of them would have a mean z between -1.13 and +1.13 over 3 columns. The range of their mean z would be 1.32 on average, and above 2.25 in 5% of tables (simulated with independent normal scores).
A model with fewer columns has a wider band, and its mean z is not comparable with others.
");
    insta::assert_snapshot!(table(TableView::Boxes).terminal(), @r"
toy: mine
─────────────────────────────────────────────────────────────────────────────────────────────────────────────
 model   datasets   curriculum   columns   mean z   median    IQR      Q1      Q3     low    high   outliers
═════════════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny               pretrained    3 of 4    -0.48    -0.27   0.41   -0.63   -0.23   -1.00   -0.19
 tiny    a+b        merged        3 of 4     1.21     1.31   0.17    1.15    1.32    1.00    1.34
 tiny    a+b        sequential    2 of 4    -1.09    -1.09   0.03   -1.11   -1.08   -1.12   -1.07
─────────────────────────────────────────────────────────────────────────────────────────────────────────────
z is the distance from the mean of these 3 models in population standard deviations over the models. Published rows are not included.
A column in which the models differ only by noise has the same weight as any other. A column in which all models are equal has no z.
If all 3 models were equally good, 95% of them would have a mean z between -1.13 and +1.13 over 3 columns. The range of their mean z would be 1.32 on average, and above 2.25 in 5% of tables (simulated with independent normal scores).
A model with fewer columns has a wider band, and its mean z is not comparable with others.
Each box is the distribution of the z-scores of a model over blimp, rte, eye-tracking, wug-adj-accuracy.
Low and high are the furthest values within 1.5 IQR of the box; values beyond them are outliers.
");
}

#[test]
fn published_numbers_do_not_change_any_statistic() {
    let (cells, scores) = world();
    for show in [TableView::Scores, TableView::ZScores, TableView::Boxes] {
        let table = NamedTable {
            name: "mine".into(),
            columns: COLUMNS.into(),
            show,
            references: vec!["gpt2".into(), "elsewhere".into()],
        };
        let with = named_table("toy", &table, &cells, &scores, &references());
        let without = named_table("toy", &table, &cells, &scores, &[]);
        assert_eq!((&with.rows, &with.footer, &with.heads), (&without.rows, &without.footer, &without.heads));
        assert!(without.published.is_empty());
    }
}

#[test]
fn programs_can_distinguish_published_rows() {
    let json: serde_json::Value = serde_json::from_str(&table(TableView::Scores).json()).expect("JSON");
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["published"][0][0]["label"], "gpt2 (published)");
    assert_eq!(json["published"].as_array().map(Vec::len), Some(1), "a reference without a number here is left out");
}
