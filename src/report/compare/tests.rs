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

/// All conditions of [`scores`], and one that has no score.
fn cells() -> Vec<CellRow> {
    let conditions =
        [(Some("a+b"), "merged"), (Some("a+b"), "sequential"), (Some("b+a"), "sequential"), (None, "pretrained")];
    let conditions = conditions.into_iter().chain([(Some("a"), "single")]);
    conditions.map(|(dataset, curriculum)| cell("tiny", dataset, curriculum, 1)).collect()
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
    let comparison = Comparison::new(&cells(), &scores, "merged", "sequential").unwrap();
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
    let comparison = Comparison::new(&cells(), &scores, "pretrained", "merged").unwrap();
    let table = comparison.table("toy", &BTreeMap::new());
    assert_eq!(table.rows.len(), 1);
    assert_eq!(table.rows[0][6..8], [Cell::Interval(10.0, 10.0), Cell::Missing]);
    assert!(table.notes.iter().any(|note| note.contains("without items")));
}

#[test]
fn unknown_values_are_named_with_the_nearest_known_one() {
    let scores = scores();
    let error = |first, second| Comparison::new(&cells(), &scores, first, second).err().unwrap().to_string();
    assert_eq!(
        error("mergd", "sequential"),
        "compare 'mergd': no axis has it (did you mean 'merged'?); there are merged, sequential, pretrained, single, a+b, b+a, a, tiny"
    );
    assert!(error("merged", "tiny").contains("different axes"));
}

#[test]
fn what_is_not_scored_or_the_same_is_said_to_be_so() {
    let scores = scores();
    let error = |first, second| Comparison::new(&cells(), &scores, first, second).err().unwrap().to_string();
    assert_eq!(error("merged", "single"), "compare 'single': none of its cells is scored yet");
    assert_eq!(error("merged", "merged"), "compare 'merged' with itself: name two values");
}

#[test]
fn a_difference_is_a_number_in_full_for_programs() {
    let mut scores = scores();
    scores[1].score.value += 1.0 / 3.0;
    let table = Comparison::new(&cells(), &scores, "merged", "sequential").unwrap().table("toy", &BTreeMap::new());
    assert_eq!(table.rows[0][5].text(), "+20.2");
    let json: serde_json::Value = serde_json::from_str(&table.json()).unwrap();
    let number = json["rows"][0][5]["number"][0].as_f64().unwrap();
    assert!((number - 20.0 - 1.0 / 6.0).abs() < 1e-9, "{json}");
    let line = format!(",60,{},{number},", 60.0 + number);
    assert!(table.csv().lines().nth(1).unwrap().contains(&line), "{line} {}", table.csv());
}

/// Rows are told apart by every axis but the compared one.
#[test]
fn models_are_compared_curriculum_by_curriculum() {
    let conditions = [("single", Some("a")), ("merged", Some("a+b")), ("sequential", Some("a+b"))];
    let cells = |model| conditions.map(|(curriculum, dataset)| cell(model, dataset, curriculum, 1));
    let cells = [cells("small"), cells("large")].concat();
    let scores: Vec<ScoreRow> = cells
        .iter()
        .zip([50.0, 60.0, 70.0, 55.0, 66.0, 77.0])
        .map(|(cell, value)| row(cell, Suite::Blimp, None, value))
        .collect();
    let table = Comparison::new(&cells, &scores, "small", "large").unwrap().table("toy", &BTreeMap::new());
    assert_eq!(
        (&table.heads[..6].join(" "), table.labels),
        (&"datasets curriculum task small large difference".to_owned(), 3)
    );
    let texts: Vec<String> =
        table.rows.iter().map(|row| row[..6].iter().map(Cell::text).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        texts,
        ["a single blimp 50.0 55.0 +5.0", "a+b merged blimp 60.0 66.0 +6.0", "a+b sequential blimp 70.0 77.0 +7.0"]
    );

    // One dataset is merged as well as in sequence, so that more data can be compared with it.
    let table = Comparison::new(&cells, &scores, "a", "a+b").unwrap().table("toy", &BTreeMap::new());
    let texts: Vec<String> =
        table.rows.iter().map(|row| row[..5].iter().map(Cell::text).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        texts,
        [
            "small single / merged blimp 50.0 60.0",
            "small single / sequential blimp 50.0 70.0",
            "large single / merged blimp 55.0 66.0",
            "large single / sequential blimp 55.0 77.0",
        ]
    );
}

/// The first item of one file is not the first item of another one.
#[test]
fn items_of_other_data_are_not_paired() {
    let mut scores = scores();
    let items = |scores: &[ScoreRow]| -> BTreeMap<String, Vec<ItemOutcome>> {
        scores.iter().map(|row| (row.job.clone(), outcomes(|item| item < (2.0 * row.score.value) as u32))).collect()
    };
    let of = |scores: &[ScoreRow]| {
        let table = Comparison::new(&cells(), scores, "pretrained", "merged").unwrap().table("toy", &items(scores));
        table.rows[0].last().unwrap().clone()
    };
    assert_eq!(of(&scores), Cell::Count(200));
    scores.iter_mut().filter(|row| row.curriculum == "merged").for_each(|row| "other".clone_into(&mut row.data));
    assert_eq!(of(&scores), Cell::Missing);
}

#[test]
fn experiments_are_compared_where_both_have_scores_of_their_own() {
    let (one, mut other) = (scores(), scores());
    assert!(Comparison::of_experiments(("one", &one), ("other", &other)).is_none(), "the same jobs");
    other.retain(|row| row.curriculum != "pretrained");
    for row in other.iter_mut().filter(|row| row.curriculum == "merged") {
        row.job.push_str(" again");
        row.score.value += 2.0;
    }
    let comparison = Comparison::of_experiments(("one", &one), ("other", &other)).unwrap();
    let table = comparison.table("scores", &BTreeMap::new());
    assert_eq!(table.title, "scores: other against one");
    let texts: Vec<String> =
        table.rows.iter().map(|row| row[..7].iter().map(Cell::text).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(texts, ["tiny a+b merged blimp 60.0 62.0 +2.0"]);
}
