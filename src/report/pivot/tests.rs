use super::super::fixtures::{cell, row};
use super::*;

fn table() -> Table {
    let cells = [
        cell("tiny", None, "pretrained", 1),
        cell("tiny", None, "pretrained", 2),
        cell("tiny", Some("a+b"), "merged", 1),
        cell("tiny", Some("a+b"), "merged", 2),
        cell("tiny", Some("a+b"), "sequential", 1),
    ];
    let scores = [
        row(&cells[0], Suite::Blimp, None, 70.0),
        row(&cells[1], Suite::Blimp, None, 72.0),
        row(&cells[0], Suite::BlimpSupplement, None, 60.0),
        row(&cells[1], Suite::BlimpSupplement, None, 61.0),
        row(&cells[2], Suite::Blimp, None, 75.25),
    ];
    pivot("toy", &cells, &scores, &Columns::Aggregates, &[])
}

#[test]
fn terminal() {
    insta::assert_snapshot!(table().terminal(), @r"
toy
mean ± sd over seeds
────────────────────────────────────────────────────────────────────────────────────
 model           datasets   curriculum        blimp   blimp-supplement         mean
════════════════════════════════════════════════════════════════════════════════════
 tiny                       pretrained   71.0 ± 1.4         60.5 ± 0.7   65.8 ± 1.1
 tiny            a+b        merged       75.2 [1/2]                  —            —
 tiny            a+b        sequential            —                  —            —
────────────────────────────────────────────────────────────────────────────────────
 chance                                        50.0               50.0
 trivial floor                                 48.9               48.9
────────────────────────────────────────────────────────────────────────────────────
Scored with `mode: fixed` (corrected rules).
A score without ± is from a single seed.
[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.
Means are computed seed by seed, over the seeds that have every task.
");
}

/// Two tasks, fine-tuned with two seeds each. The second model lacks one run.
#[test]
fn tasks_of_glue_have_their_own_columns_and_count_as_one_suite() {
    let cells = [cell("tiny", None, "pretrained", 1), cell("small", None, "pretrained", 1)];
    let mut scores = vec![];
    for (cell, offset) in [(&cells[0], 0.0), (&cells[1], 10.0)] {
        scores.push(row(cell, Suite::Blimp, None, 70.0));
        for (task, value) in [("rte", 50.0), ("wsc", 60.0)] {
            for seed in [1, 2] {
                let mut row = row(cell, Suite::Glue, None, value + offset + 2.0 * seed as f64);
                row.score.task = task.to_owned();
                row.score.chance = Some(58.0);
                row.score.classes = Some(if task == "rte" && offset == 0.0 { 1 } else { 2 });
                row.finetune_seed = Some(seed);
                row.job = format!("{} {seed}", row.job);
                scores.push(row);
            }
        }
    }
    scores.pop();
    insta::assert_snapshot!(pivot("toy", &cells, &scores, &Columns::Aggregates, &[]).terminal(), @r"
toy
score ± standard error over items, clustered by item group
─────────────────────────────────────────────────────────────────────────────────────────────────────────
 model           datasets   curriculum        blimp     rte                wsc    glue mean         mean
═════════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny                       pretrained   70.0 ± 2.5   53.0a               63.0         58.0         64.0
 small                      pretrained   70.0 ± 2.5    63.0   72.0 ± 2.5 [0/1]   67.5 [0/1]   68.8 [0/1]
─────────────────────────────────────────────────────────────────────────────────────────────────────────
 chance                                        50.0    58.0               58.0
 trivial floor                                 48.9    48.9               48.9
─────────────────────────────────────────────────────────────────────────────────────────────────────────
Scored with `mode: fixed` (corrected rules).
The score of a model seed is the mean over its tunings and fine-tunings.
[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.
Means are computed seed by seed, over the seeds that have every task.
a: the same class for every item: the prediction does not depend on the input
");
}

#[test]
fn markdown() {
    insta::assert_snapshot!(table().markdown(), @r"
**toy**

mean ± sd over seeds

| model | datasets | curriculum | blimp | blimp-supplement | mean |
| --- | --- | --- | ---: | ---: | ---: |
| tiny |  | pretrained | 71.0 ± 1.4 | 60.5 ± 0.7 | 65.8 ± 1.1 |
| tiny | a+b | merged | 75.2 [1/2] | — | — |
| tiny | a+b | sequential | — | — | — |
| chance |  |  | 50.0 | 50.0 |  |
| trivial floor |  |  | 48.9 | 48.9 |  |

Scored with `mode: fixed` (corrected rules).

A score without ± is from a single seed.

[k/n]: k of n seeds are complete. —: not measured. `grid status` lists what is left to run.

Means are computed seed by seed, over the seeds that have every task.
");
}

#[test]
fn csv() {
    insta::assert_snapshot!(table().csv(), @r"
model,datasets,curriculum,blimp,blimp_sd,blimp_seeds,blimp-supplement,blimp-supplement_sd,blimp-supplement_seeds,mean,mean_sd,mean_seeds,blimp_stderr,blimp_seeds_planned,blimp_rules,blimp_marks,blimp_chance,blimp_trivial_floor,blimp-supplement_stderr,blimp-supplement_seeds_planned,blimp-supplement_rules,blimp-supplement_marks,blimp-supplement_chance,blimp-supplement_trivial_floor,mean_stderr,mean_seeds_planned,mean_rules,mean_marks,mean_chance,mean_trivial_floor
tiny,,pretrained,71,1.4142135623730951,2,60.5,0.7071067811865476,2,65.75,1.0606601717798212,2,,2,fixed,,50,48.9,,2,fixed,,50,48.9,,2,fixed,,,
tiny,a+b,merged,75.25,,1,,,,,,,2.5,2,fixed,,50,48.9,,,,,,,,,,,,
tiny,a+b,sequential,,,,,,,,,,,,,,,,,,,,,,,,,,,
");
}

#[test]
fn suites_with_subtasks_are_named_once() {
    let cell = cell("tiny", None, "pretrained", 1);
    let (one, other) = (row(&cell, Suite::Blimp, Some("uid1"), 50.0), row(&cell, Suite::Blimp, Some("uid2"), 50.0));
    let mut on_the_way = row(&cell, Suite::Ewok, Some("social"), 50.0);
    on_the_way.checkpoint = "1000-words".to_owned();
    assert_eq!(suites_with_subtasks(&[one, other, row(&cell, Suite::Comps, None, 50.0), on_the_way]), ["blimp"]);
}

#[test]
fn a_planned_cell_without_a_score_is_in_the_table() {
    let table = table();
    let last = table.rows.last().unwrap();
    assert_eq!(last[2..], [Cell::Label("sequential".into()), Cell::Missing, Cell::Missing, Cell::Missing]);
}

#[test]
fn degenerate_scores_are_marked_with_the_reason() {
    let cells = [cell("m", None, "pretrained", 1), cell("n", None, "pretrained", 1)];
    let mut scores = [row(&cells[0], Suite::Blimp, None, 50.0), row(&cells[1], Suite::Blimp, None, 50.0)];
    for row in &mut scores {
        row.score.n = 5_000;
    }
    scores[0].score.nans = 3;
    let table = pivot("toy", &cells, &scores, &Columns::Aggregates, &[]);
    let marks = |row: usize| match &table.rows[row][3] {
        Cell::Score(score) => score.marks.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((marks(0), marks(1)), ("abc".to_owned(), "bc".to_owned()));
    assert!(table.notes.iter().any(|note| note.starts_with("b: equal to another")));
    let reasons = "the scores of some candidates are not a number (NaN); equal to another model's score to the last digit; \
                   not shown to be above chance";
    assert!(table.csv().lines().nth(1).unwrap().contains(reasons), "{}", table.csv());
}
