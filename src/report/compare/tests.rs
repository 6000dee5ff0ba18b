use super::super::fixtures::{cell, row};
use super::*;
use crate::domain::Suite;

fn outcomes(right: impl Fn(u32) -> bool) -> Vec<ItemOutcome> {
    let outcome = |item: u32| ItemOutcome {
        task: "blimp".to_owned(),
        subtask: format!("uid{}", item % 2),
        item,
        chosen: u32::from(!right(item)),
        correct: right(item),
        credit: f64::from(u8::from(right(item))),
        scores: vec![],
    };
    (0..200).map(outcome).collect()
}

fn scores() -> Vec<ScoreRow> {
    let mut rows = vec![];
    for seed in [1, 2] {
        rows.push(row(&cell("tiny", Some("a+b"), "merged", seed), Suite::Blimp, None, 60.0));
        rows.push(row(&cell("tiny", Some("a+b"), "sequential", seed), Suite::Blimp, None, 80.0));
        rows.push(row(&cell("tiny", Some("b+a"), "sequential", seed), Suite::Blimp, None, 60.0));
        rows.push(row(&cell("tiny", None, "pretrained", seed), Suite::Blimp, None, 50.0));
    }
    rows
}

#[test]
fn merged_is_compared_with_both_orders() {
    let scores = scores();
    let comparison = Comparison::new(&scores, "merged", "sequential").unwrap();
    let items: BTreeMap<String, Vec<ItemOutcome>> = (comparison.jobs().into_iter())
        .map(|job| {
            let better = job.contains("a+b") && job.contains("sequential");
            (job, outcomes(move |item| item % 10 < if better { 8 } else { 6 }))
        })
        .collect();
    let table = comparison.table("toy", &items);
    insta::assert_snapshot!(table.terminal(), @r"
toy: sequential against merged
────────────────────────────────────────────────────────────────────────────────────────────────────────
 model   datasets    task    merged   sequential   difference     95% interval        p   seeds   items
════════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny    a+b         blimp     60.0         80.0        +20.0   [+14.5, +25.5]   <0.001       2     200
 tiny    a+b / b+a   blimp     60.0         60.0         +0.0     [+0.0, +0.0]    1.000       2     200
────────────────────────────────────────────────────────────────────────────────────────────────────────
difference: sequential minus merged; interval: paired bootstrap over seeds and the items of each subtask; p: exact McNemar over the items of all seeds, Holm-corrected for 2 tests
with fewer than three seeds the interval says little about other seeds
");
}

#[test]
fn without_items_the_seeds_alone_speak() {
    let scores = scores();
    let comparison = Comparison::new(&scores, "pretrained", "merged").unwrap();
    let table = comparison.table("toy", &BTreeMap::new());
    assert_eq!(table.rows.len(), 1);
    assert_eq!(table.rows[0][6..8], [Cell::Interval(10.0, 10.0), Cell::Missing]);
    assert!(table.notes.iter().any(|note| note.contains("without items")));
}

#[test]
fn unknown_values_are_named_with_the_nearest_known_one() {
    let scores = scores();
    let error = |first, second| Comparison::new(&scores, first, second).err().unwrap().to_string();
    assert_eq!(
        error("mergd", "sequential"),
        "compare 'mergd': no axis has it (did you mean 'merged'?); there are merged, sequential, pretrained, a+b, b+a, tiny"
    );
    assert!(error("merged", "tiny").contains("different axes"));
}
