use super::super::fixtures::{cell, row};
use super::super::table::{Cell, Table};
use super::*;
use crate::domain::{CellRow, Cluster, Mode, Suite};

/// The cells of all conditions of [`scores`], and of one that has no score.
fn cells() -> Vec<CellRow> {
    let conditions =
        [(Some("a+b"), "merged"), (Some("a+b"), "sequential"), (Some("b+a"), "sequential"), (None, "pretrained")];
    let conditions = conditions.into_iter().chain([(Some("a"), "single")]);
    conditions.flat_map(|(dataset, curriculum)| [1, 2, 3].map(|seed| cell("tiny", dataset, curriculum, seed))).collect()
}

/// Three seeds, with `a+b` better than merged and `b+a` not.
fn scores() -> Vec<ScoreRow> {
    let mut rows = vec![];
    for (seed, luck) in [(1, 0.0), (2, 1.0), (3, -1.5)] {
        let mut push = |dataset: Option<&str>, curriculum: &str, value: f64| {
            rows.push(row(&cell("tiny", dataset, curriculum, seed), Suite::Blimp, None, value + luck));
        };
        push(Some("a+b"), "merged", 60.0);
        push(Some("a+b"), "sequential", 80.0 + [0.0, 0.4, -0.3][seed as usize - 1]);
        push(Some("b+a"), "sequential", 60.0 + [0.9, -0.8, 0.2][seed as usize - 1]);
        push(None, "pretrained", 50.0);
    }
    rows
}

fn compared(scores: &[ScoreRow], first: &str, second: &str, options: Options) -> Compared {
    let planned = PlannedCells::new(&cells(), &[]);
    Comparison::new(&planned, scores, Scope::Aggregates, first, second).unwrap().evaluate(options)
}

fn table(scores: &[ScoreRow], first: &str, second: &str) -> Table {
    compared(scores, first, second, Options::default()).table(&format!("toy: {second} against {first}"))
}

/// The first cells of each row, as one line each.
fn lines(table: &Table, cells: usize) -> Vec<String> {
    table.rows.iter().map(|row| row[..cells].iter().map(Cell::text).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn merged_is_compared_with_both_orders() {
    insta::assert_snapshot!(table(&scores(), "merged", "sequential").terminal(), @r"
toy: sequential against merged
sequential - merged: +10.1 points over 1 task and 2 pairs, 95% interval +9.2 to +10.9, p < 0.001 (paired t
test over 3 seeds). sequential scores higher; with this spread, 3 seeds detect 1.1 points or more in 8 of 10
experiments; detecting 1 point needs 4 seeds.
───────────────────────────────────────────────────────────────────────────────────────────────────────────────
 model   datasets    task    merged   sequential   difference     95% interval        p   p (Holm, 2)    seeds
═══════════════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny    a+b         blimp     59.8         79.9        +20.0   [+19.2, +20.9]   <0.001        <0.001   3 of 3
 tiny    a+b / b+a   blimp     59.8         59.9         +0.1     [-2.0, +2.2]    0.858         0.858   3 of 3
───────────────────────────────────────────────────────────────────────────────────────────────────────────────
The difference is sequential minus merged. The 95% interval and p are from a paired t test over seeds, so they are about training runs with other seeds. p (Holm) is corrected for 2 tests: if nothing differs, at most 5% of such tables have any value below 0.05.
");
}

#[test]
fn one_seed_has_no_p_value_and_the_sentence_says_why() {
    let scores: Vec<ScoreRow> = scores().into_iter().filter(|row| row.seed == 1).collect();
    insta::assert_snapshot!(table(&scores, "merged", "sequential").terminal(), @r"
toy: sequential against merged
sequential - merged: +10.5 points over 1 task and 2 pairs, from 1 seed. A single seed shows no spread, so
there is no interval and no p-value, and nothing can be said about other training runs of these recipes; run
at least 3 seeds.
─────────────────────────────────────────────────────────────────────────────────────────────────────
 model   datasets    task    merged   sequential   difference   95% interval   p   p (Holm)    seeds
═════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny    a+b         blimp     60.0         80.0        +20.0              —   —          —   1 of 3
 tiny    a+b / b+a   blimp     60.0         60.9         +0.9              —   —          —   1 of 3
─────────────────────────────────────────────────────────────────────────────────────────────────────
The difference is sequential minus merged.
Missing: seeds 2, 3 of tiny a+b merged (not run).
Missing: seeds 2, 3 of tiny a+b sequential (not run).
Missing: seeds 2, 3 of tiny b+a sequential (not run).
");
}

#[test]
fn missing_seeds_are_counted_and_explained() {
    let mut scores = scores();
    scores.retain(|row| row.seed < 3 || row.curriculum == "pretrained");
    let mut cells = cells();
    cells.extend([4, 5].map(|seed| cell("tiny", Some("a+b"), "merged", seed)));
    let planned = PlannedCells::new(&cells, &[cell("tiny", Some("a+b"), "sequential", 3)]);
    let comparison = Comparison::new(&planned, &scores, Scope::Aggregates, "merged", "sequential").unwrap();
    let table = comparison.evaluate(Options::default()).table("toy");
    assert_eq!(table.rows[0].last().unwrap().text(), "2 of 5");
    let missing: Vec<&String> = table.notes.iter().filter(|note| note.starts_with("Missing")).collect();
    insta::assert_debug_snapshot!(missing, @r#"
[
    "Missing: seeds 3, 4, 5 of tiny a+b merged (not run).",
    "Missing: seed 3 of tiny a+b sequential (failed).",
    "Missing: seeds 4, 5 of tiny a+b sequential (not planned).",
    "Missing: seeds 4, 5 of tiny b+a sequential (not planned).",
    "Missing: seed 3 of tiny b+a sequential (not run).",
]
"#);
}

#[test]
fn scores_on_different_data_are_not_compared() {
    let mut scores = scores();
    let changed = |row: &&mut ScoreRow| row.curriculum == "merged" && row.seed == 2;
    scores.iter_mut().filter(changed).for_each(|row| "other".clone_into(&mut row.data));
    let compared = compared(&scores, "pretrained", "merged", Options::default());
    assert_eq!(compared.rows[0].seeds.iter().map(|seed| seed.seed).collect::<Vec<_>>(), [1, 3]);
    let missing = MissingSeed { seed: 2, condition: String::new(), reason: "other data" };
    assert_eq!(compared.rows[0].missing, [missing]);
}

/// Several fine-tunings of one model are one training run, whose score is their mean.
#[test]
fn fine_tunings_are_averaged_within_a_seed() {
    let mut scores = scores();
    let twins: Vec<ScoreRow> = (scores.iter())
        .flat_map(|row| {
            [(101, -1.0), (102, 1.0)].map(|(seed, by)| {
                let mut twin = row.clone();
                twin.finetune_seed = Some(seed);
                twin.score.value += by;
                twin
            })
        })
        .collect();
    let of = |scores: &[ScoreRow]| compared(scores, "merged", "sequential", Options::default()).rows;
    assert_eq!(of(&twins)[0].seeds, of(&scores)[0].seeds);
    // A seed that lacks a fine-tuning is not complete.
    scores = twins;
    scores.remove(0);
    assert_eq!(of(&scores)[0].seeds.len(), 2);
}

#[test]
fn a_model_that_is_its_own_baseline_is_left_out() {
    let mut scores = scores();
    let aoa: Vec<ScoreRow> = (scores.iter())
        .map(|row| {
            let mut aoa = row.clone();
            (aoa.score.suite, aoa.score.task, aoa.score.value) = (Suite::Aoa, "aoa".to_owned(), 12.0);
            aoa.job = format!("aoa of seed {}", row.seed);
            aoa
        })
        .collect();
    scores.extend(aoa);
    let table = table(&scores, "merged", "sequential");
    assert!(table.rows.iter().all(|row| row[2].text() == "blimp"));
    assert!(
        table.notes.contains(&"Left out because both sides are the same job: aoa.".to_owned()),
        "{:?}",
        table.notes
    );
}

#[test]
fn equivalence_and_pooling_have_columns_of_their_own() {
    let compared = compared(&scores(), "merged", "sequential", Options { equivalent: Some(5.0), pooled: true });
    insta::assert_snapshot!(compared.table("toy").terminal(), @r"
toy
sequential - merged: +10.1 points over 1 task and 2 pairs, 95% interval +9.2 to +10.9, p < 0.001 (paired t
test over 3 seeds). sequential scores higher; with this spread, 3 seeds detect 1.1 points or more in 8 of 10
experiments; detecting 1 point needs 4 seeds. It is not shown that the difference is below 5 points (p =
1.00).
───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
 model   datasets    task    merged   sequential   difference     95% interval        p   p (Holm, 2)   p (±5)   pooled interval   p (pooled)    seeds
═══════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════
 tiny    a+b         blimp     59.8         79.9        +20.0   [+19.2, +20.9]   <0.001        <0.001    1.000    [+19.0, +21.0]       <0.001   3 of 3
 tiny    a+b / b+a   blimp     59.8         59.9         +0.1     [-2.0, +2.2]    0.858         0.858    0.005      [-0.9, +1.1]        0.813   3 of 3
───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
The difference is sequential minus merged. The 95% interval and p are from a paired t test over seeds, so they are about training runs with other seeds. p (Holm) is corrected for 2 tests: if nothing differs, at most 5% of such tables have any value below 0.05.
p (±5) is from two one-sided t tests; below 0.05, a difference of 5 points or more is ruled out.
The pooled interval and p use the residual spread of all conditions of the task and model (score = condition + seed + residual), which is valid if all conditions are equally noisy.
");
}

#[test]
fn unknown_values_are_named_with_the_nearest_known_one() {
    let (scores, planned) = (scores(), PlannedCells::new(&cells(), &[]));
    let error =
        |first, second| Comparison::new(&planned, &scores, Scope::Aggregates, first, second).err().unwrap().to_string();
    assert_eq!(
        error("mergd", "sequential"),
        "compare 'mergd': no axis has this value (did you mean 'merged'?); the known values are merged, sequential, pretrained, single, a+b, b+a, a, tiny"
    );
    assert!(error("merged", "tiny").contains("different axes"));
    assert_eq!(error("merged", "single"), "compare 'single': none of its cells has a score yet");
    assert_eq!(error("merged", "merged"), "compare 'merged' with itself: choose two different values");
}

/// JSON and CSV have everything that is needed to repeat the tests.
#[test]
fn programs_get_the_difference_for_each_seed() {
    let table = table(&scores(), "merged", "sequential");
    let json: serde_json::Value = serde_json::from_str(&table.json()).unwrap();
    let row = &json["comparison"]["rows"][0];
    let differences: Vec<f64> =
        row["seeds"].as_array().unwrap().iter().map(|seed| seed["difference"].as_f64().unwrap()).collect();
    let again = paired_t(&differences).unwrap();
    assert_eq!((row["p"].as_f64(), row["sd"].as_f64(), row["df"].as_u64()), (Some(again.p), Some(again.sd), Some(2)));
    assert_eq!((json["comparison"]["schema"].as_u64(), row["p_corrected"].is_f64()), (Some(1), true));
    assert_eq!(json["comparison"]["method"], "paired t over seeds");
    let csv = table.csv();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let heads = reader.headers().unwrap().clone();
    let record = reader.records().next().unwrap().unwrap();
    let field = |head: &str| record[heads.iter().position(|known| known == head).unwrap()].parse::<f64>().unwrap();
    assert_eq!([1, 2, 3].map(|seed| field(&format!("difference_seed_{seed}"))).to_vec(), differences);
    assert_eq!((field("p"), field("df")), (again.p, 2.0));
}

/// Rows are named by all axes except the compared one.
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
    let planned = PlannedCells::new(&cells, &[]);
    let of = |first, second| {
        let comparison = Comparison::new(&planned, &scores, Scope::Aggregates, first, second).unwrap();
        comparison.evaluate(Options { pooled: true, ..Options::default() }).table("toy")
    };
    let table = of("small", "large");
    assert_eq!(
        (&table.heads[..6].join(" "), table.labels),
        (&"datasets curriculum task small large difference".to_owned(), 3)
    );
    assert_eq!(
        lines(&table, 6),
        ["a single blimp 50.0a 55.0 +5.0", "a+b merged blimp 60.0 66.0 +6.0", "a+b sequential blimp 70.0 77.0 +7.0"]
    );
    // The curriculum of a single dataset agrees with every curriculum, so that it can be compared with more data.
    assert_eq!(
        lines(&of("a", "a+b"), 5),
        [
            "small single / merged blimp 50.0a 60.0",
            "small single / sequential blimp 50.0a 70.0",
            "large single / merged blimp 55.0 66.0",
            "large single / sequential blimp 55.0 77.0",
        ]
    );
}

#[test]
fn experiments_are_compared_on_the_scores_that_come_from_different_jobs() {
    let (one, mut other, planned) = (scores(), scores(), PlannedCells::new(&cells(), &[]));
    fn side<'a>(name: &'a str, planned: &'a PlannedCells, scores: &'a [ScoreRow]) -> ExperimentScores<'a, 'a> {
        ExperimentScores { name, planned, scores }
    }
    let same = Comparison::of_experiments(side("one", &planned, &one), side("other", &planned, &other));
    assert!(same.is_none(), "the same jobs");
    other.retain(|row| row.curriculum != "pretrained");
    for (place, row) in other.iter_mut().filter(|row| row.curriculum == "merged").enumerate() {
        row.job.push_str(" again");
        row.score.value += 2.0 + place as f64 / 10.0;
    }
    let comparison = Comparison::of_experiments(side("one", &planned, &one), side("other", &planned, &other)).unwrap();
    let table = comparison.evaluate(Options::default()).table("scores");
    assert_eq!(lines(&table, 7), ["tiny a+b merged blimp 59.8 61.9 +2.1"]);
}

#[test]
fn phenomena_average_their_subtasks_and_are_corrected_together() {
    let subtasks = ["wh_island", "adjunct_island", "causative", "of_the_toy_world"];
    let mut scores = vec![];
    for (place, subtask) in subtasks.into_iter().enumerate() {
        for mut score in self::scores() {
            score.score.subtask = Some(subtask.to_owned());
            score.score.value += place as f64;
            score.score.value +=
                if score.curriculum == "sequential" { (place * score.seed as usize) as f64 } else { 0.0 };
            scores.push(score);
        }
    }
    // Phenomena are compared if every subtask belongs to one.
    assert_eq!(Scope::of_suite("blimp", &scores), [Scope::Subtasks("blimp".to_owned())]);
    let official: Vec<ScoreRow> =
        scores.iter().filter(|row| row.score.subtask.as_deref() != Some("of_the_toy_world")).cloned().collect();
    assert_eq!(Scope::of_suite("blimp", &official), [Scope::Phenomena, Scope::Subtasks("blimp".to_owned())]);
    let planned = PlannedCells::new(&cells(), &[]);
    let of = |scope| {
        let comparison = Comparison::new(&planned, &scores, scope, "merged", "sequential").unwrap();
        comparison.evaluate(Options::default()).table("toy")
    };
    let terms = of(Scope::Phenomena);
    assert_eq!((terms.heads[2].as_str(), terms.heads[8].as_str()), ("phenomenon", "p (BH, 4)"));
    assert!(terms.headline.clone().is_some_and(|line| line.contains(" over 2 phenomena and 2 pairs")));
    assert_eq!(
        lines(&terms, 4),
        [
            "tiny a+b island_effects 60.3",
            "tiny a+b argument_structure 61.8",
            "tiny a+b / b+a island_effects 60.3",
            "tiny a+b / b+a argument_structure 61.8"
        ]
    );
    assert_eq!(of(Scope::Subtasks("blimp".to_owned())).rows.len(), 8);
    assert!(Comparison::new(&planned, &scores, Scope::Subtasks("ewok".to_owned()), "merged", "sequential").is_err());
}

#[test]
fn a_note_names_the_tasks_of_the_sentence_if_they_are_not_all() {
    let note = |scores: &[ScoreRow]| {
        let notes = table(scores, "merged", "sequential").notes;
        notes.into_iter().find(|note| note.starts_with("The sentence above"))
    };
    let with = |change: fn(&mut ScoreRow)| -> Vec<ScoreRow> {
        let more = scores().into_iter().map(|mut row| {
            row.job.push_str(" more");
            change(&mut row);
            row
        });
        scores().into_iter().chain(more).collect()
    };
    assert_eq!(note(&scores()), None);
    let correlation = with(|row| {
        row.score.suite = Suite::WugAdj;
        (row.score.task, row.score.metric) = ("wug-adj".to_owned(), "spearman".to_owned());
    });
    insta::assert_snapshot!(note(&correlation).unwrap(), @"The sentence above the table is about the accuracies that all pairs have for every seed: blimp.");
    let modes = with(|row| row.score.mode = Mode::COMPAT);
    insta::assert_snapshot!(note(&modes).unwrap(), @"The sentence above the table counts each of blimp once, in the first of its scoring modes in the table.");
}

/// An older build recorded no clusters, but both sides have the same items, and so the same clusters.
#[test]
fn clusters_that_one_side_knows_are_used_for_both() {
    let scores: Vec<ScoreRow> = scores().into_iter().filter(|row| row.seed == 1).collect();
    let planned = PlannedCells::new(&cells(), &[]);
    let comparison = Comparison::new(&planned, &scores, Scope::Aggregates, "pretrained", "merged").unwrap();
    let clusters = |known: &str| {
        let items = |row: &ScoreRow| -> Vec<ItemOutcome> {
            let item = |item: u32| {
                let correct = f64::from(item) < row.score.value;
                let cluster =
                    if row.curriculum == known { Cluster::shared((item / 5).to_string()) } else { Cluster::Unknown };
                let (task, subtask, credit) = ("blimp".to_owned(), "uid".to_owned(), f64::from(u8::from(correct)));
                ItemOutcome { task, subtask, item, chosen: 0, correct, credit, scores: vec![], cluster }
            };
            (0..100).map(item).collect()
        };
        let items = scores.iter().map(|row| (row.job.clone(), items(row))).collect();
        let table = comparison.items(&items, "toy");
        table.rows[0][table.heads.iter().position(|head| head == "clusters").unwrap()].clone()
    };
    assert_eq!([clusters("pretrained"), clusters("merged")], [Cell::Count(20), Cell::Count(20)]);
    assert_eq!(clusters("neither"), Cell::Count(100));
}
