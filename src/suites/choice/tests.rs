use proptest::prelude::*;

use super::super::item::Truth;
use super::super::tests::score_sums as score;
use super::super::{read, recluster};
use super::{Choice, Cluster, Item, Likelihood, Mode, Nan, Suite};
use crate::domain::{PerLength, Sums, Ties};

const NAN: f64 = f64::NAN;

/// [`super::choose`] for an item whose name does not matter.
fn choose(mode: Mode, scores: &[f64]) -> Choice {
    super::choose(mode, ("a", 0), &Truth::First, scores)
}

/// Items of `(file, good, bad)`.
fn pairs(rows: &[(&str, &str, &str)]) -> Vec<Item> {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (uid, good, bad) in rows {
        let name = format!("{uid}.jsonl");
        let line = serde_json::json!({"sentence_good": good, "sentence_bad": bad}).to_string() + "\n";
        match files.iter_mut().find(|(file, _)| *file == name) {
            Some((_, bytes)) => bytes.extend(line.bytes()),
            None => files.push((name, line.into_bytes())),
        }
    }
    read(Suite::BlimpSupplement, Mode::FIXED, &files).expect("rows as the format has them")
}

#[test]
fn a_tie_is_right_in_compat_and_half_right_in_fixed() {
    let tie = [-3.0, -3.0];
    assert_eq!(choose(Mode::COMPAT, &tie), Choice { candidate: 0, credit: 1.0, tie: true, near_tie: true, nan: false });
    assert_eq!(choose(Mode::FIXED, &tie), Choice { candidate: 0, credit: 0.5, tie: true, near_tie: true, nan: false });
    assert_eq!(choose(Mode::FIXED, &[-3.0, -3.0, -4.0, -3.0]).credit, 1.0 / 3.0);
    assert_eq!(choose(Mode::FIXED, &[-5.0, -3.0, -3.0]).credit, 0.0);
    assert_eq!(choose(Mode::COMPAT, &[-5.0, -3.0, -3.0]).candidate, 1);
}

#[test]
fn compat_compares_single_precision_and_fixed_double() {
    // 1e-9 is far below the spacing of fp32 numbers near 100.
    let sums = [-100.0, -100.0 + 1e-9];
    assert!(choose(Mode::COMPAT, &sums).tie);
    assert_eq!(choose(Mode::COMPAT, &sums).credit, 1.0);
    assert_eq!(
        choose(Mode::FIXED, &sums),
        Choice { candidate: 1, credit: 0.0, tie: false, near_tie: true, nan: false }
    );
    assert!(!choose(Mode::FIXED, &[-100.0, -100.001]).near_tie);
}

#[test]
fn the_first_nan_wins_in_compat_and_loses_in_fixed() {
    assert_eq!(choose(Mode::COMPAT, &[-1.0, NAN, NAN]).candidate, 1);
    assert_eq!(choose(Mode::COMPAT, &[NAN, NAN]).credit, 1.0);
    assert_eq!(choose(Mode::FIXED, &[-1.0, NAN]).credit, 1.0);
    assert_eq!(choose(Mode::FIXED, &[NAN, -1.0]).credit, 0.0);
    assert_eq!(choose(Mode::FIXED, &[NAN, NAN]).credit, 0.0, "nothing is chosen");
    assert_eq!(choose(Mode::FIXED, &[NAN, f64::NEG_INFINITY]).credit, 0.5);
    for mode in [Mode::COMPAT, Mode::FIXED] {
        let choice = choose(mode, &[NAN, NAN]);
        assert!(choice.nan && !choice.tie && !choice.near_tie);
    }
}

#[test]
fn a_score_counts_and_says_how_sure_it_is() {
    let items =
        pairs(&[("a", "It sat.", "It sit."), ("a", "Yes.", "Yes yes."), ("a", "No no.", "No."), ("b", "x", "yy")]);
    let sums = [vec![-1.0, -2.0], vec![-2.0, -1.0], vec![-1.0, -1.0], vec![NAN, -1.0]];
    let (scores, outcomes) = score(Suite::BlimpSupplement, Mode::FIXED, &items, &sums);
    let text = serde_json::to_string(&scores).expect("scores are plain data");
    insta::assert_snapshot!(text.replace("},{", "},\n{"), @r#"
    [{"suite":"blimp-supplement","task":"blimp-supplement","subtask":"a","metric":"accuracy","value":50.0,"n":3,"stderr":28.867513459481287,"chance":50.0,"floor":50.0,"ties":1,"near_ties":1,"nans":0,"classes":null,"mode":"fixed"},
    {"suite":"blimp-supplement","task":"blimp-supplement","subtask":"b","metric":"accuracy","value":0.0,"n":1,"stderr":null,"chance":50.0,"floor":100.0,"ties":0,"near_ties":0,"nans":1,"classes":null,"mode":"fixed"},
    {"suite":"blimp-supplement","task":"blimp-supplement","subtask":null,"metric":"accuracy","value":25.0,"n":4,"stderr":null,"chance":50.0,"floor":75.0,"ties":1,"near_ties":1,"nans":1,"classes":null,"mode":"fixed"}]
    "#);
    assert_eq!(outcomes[2].credit, 0.5);
    assert!(!outcomes[2].correct);
    assert_eq!(outcomes[3].scores, [None, Some(-1.0)]);
    assert_eq!(outcomes[2].item, 2);
}

#[test]
fn always_choosing_the_first_candidate_gives_100() {
    let items = pairs(&[("a", "b", "c"), ("b", "b", "c"), ("b", "d", "e")]);
    for mode in [Mode::COMPAT, Mode::FIXED] {
        let (scores, _) = score(Suite::BlimpSupplement, mode, &items, &vec![vec![-1.0, -2.0]; 3]);
        assert!(scores.iter().all(|score| score.value == 100.0 && score.stderr.is_none_or(|error| error == 0.0)));
    }
}

#[test]
fn a_model_that_only_says_nan_scores_100_officially_and_nothing_when_repaired() {
    let items = pairs(&[("a", "b", "c"), ("b", "b", "c"), ("b", "d", "e")]);
    let value = |mode| score(Suite::Blimp, mode, &items, &vec![vec![NAN, NAN]; 3]).0.last().map(|last| last.value);
    assert_eq!(value(Mode::COMPAT), Some(100.0));
    assert_eq!(value(Mode::FIXED), Some(0.0));
}

#[test]
fn splits_of_entity_tracking_count_equally() {
    // Split a has two numbers of operations, split b one: (mean(100, 0) + 100) / 2, not the mean of three.
    let row = |ops: u32| {
        format!("{{\"input_prefix\": \"In \", \"options\": [\"x\", \"y\", \"zz\", \"v\"], \"numops\": {ops}}}\n")
    };
    let files = [("a.jsonl".to_owned(), (row(0) + &row(1)).into_bytes()), ("b.jsonl".to_owned(), row(0).into_bytes())];
    let items = read(Suite::EntityTracking, Mode::FIXED, &files).expect("items");
    let right = vec![-1.0, -2.0, -3.0, -4.0];
    let wrong = vec![-2.0, -1.0, -3.0, -4.0];
    let (scores, _) = score(Suite::EntityTracking, Mode::FIXED, &items, &[right.clone(), wrong, right]);
    let last = scores.last().expect("an aggregate");
    assert_eq!((last.value, last.chance, last.n), (75.0, Some(25.0), 3));
    assert!((last.floor.expect("a floor") - 100.0 / 3.0).abs() < 1e-9, "three of four options are the shortest");
}

#[test]
fn every_rule_can_be_set_on_its_own() {
    let tie = [-3.0, -4.0, -3.0];
    let first = Mode { ties: Ties::First, ..Mode::FIXED };
    assert_eq!((choose(first, &tie).credit, choose(first, &[NAN, -1.0]).candidate), (1.0, 1));
    let wins = Mode { nan: Nan::Wins, ..Mode::FIXED };
    assert_eq!((choose(wins, &tie).credit, choose(wins, &[-1.0, NAN]).candidate), (0.5, 1));
    let single = Mode { sums: Sums::Single, ..Mode::FIXED };
    assert_eq!(choose(single, &[-100.0, -100.0 + 1e-9]).credit, 0.5);
    let drawn = Mode { ties: Ties::Random, ..Mode::FIXED };
    let right =
        (0..1_000).filter(|&index| super::choose(drawn, ("a", index), &Truth::First, &tie).credit == 1.0).count();
    assert!((450..=550).contains(&right), "{right}");
    assert!((0..1_000).all(|index| super::choose(drawn, ("a", index), &Truth::First, &tie).candidate != 1));
    assert_eq!(
        super::choose(drawn, ("a", 7), &Truth::First, &tie),
        super::choose(drawn, ("a", 7), &Truth::First, &tie)
    );
}

#[test]
fn a_score_may_be_per_token_or_per_byte() {
    let items = pairs(&[("a", "Yes.", "Yes, yes, yes.")]);
    let likelihood = |sum, tokens| Likelihood { sum, tokens, bytes: 1 };
    let measured = [vec![likelihood(-4.0, 2), likelihood(-6.0, 6)]];
    let value = |length| {
        let mode = Mode { length, ..Mode::FIXED };
        let (scores, outcomes) = super::super::score(&Suite::Blimp.into(), mode, &items, &measured);
        assert_eq!(outcomes[0].scores, [Some(-4.0), Some(-6.0)], "items keep the sums");
        scores.last().expect("an aggregate").value
    };
    assert_eq!([PerLength::Whole, PerLength::Token, PerLength::Byte].map(value), [100.0, 0.0, 0.0]);
    let fewer = [vec![likelihood(-4.0, 2), likelihood(-15.0, 6)]];
    let mode = Mode { length: PerLength::Byte, ..Mode::FIXED };
    assert_eq!(super::super::score(&Suite::Blimp.into(), mode, &items, &fewer).1[0].chosen, 0);
}

#[test]
fn candidates_of_which_nothing_is_scored_are_counted() {
    let items = pairs(&[("words", "house", "hoise"), ("words", "the dog runs", "the dog run"), ("empty", "", "x y")]);
    let likelihood = |sum, tokens| Likelihood { sum, tokens, bytes: 1 };
    let measured = [
        vec![likelihood(0.0, 0), likelihood(-3.0, 1)],
        vec![likelihood(-4.0, 2), likelihood(-5.0, 2)],
        vec![likelihood(0.0, 0), likelihood(-1.0, 1)],
    ];
    for mode in [Mode::FIXED, Mode::COMPAT] {
        let (scores, _) = super::super::score(&Suite::BlimpSupplement.into(), mode, &items, &measured);
        let unscored = |subtask: Option<&str>| {
            scores.iter().find(|score| score.subtask.as_deref() == subtask).map(|score| score.unscored)
        };
        assert_eq!([Some("words"), Some("empty"), None].map(unscored), [Some(1), Some(1), Some(2)]);
    }
}

fn some_sums() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![Just(-1.0), Just(NAN), Just(f64::NEG_INFINITY), -9.0..0.0f64], 2..6)
}

/// Two patterns of two pairs each in one subtask, and stories that go through two subtasks.
#[test]
fn standard_errors_are_over_clusters_and_can_be_computed_from_outcomes() {
    let again = |suite, items: &[Item], sums: &[Vec<f64>]| {
        let (scores, outcomes) = score(suite, Mode::FIXED, items, sums);
        let mut recorded = outcomes.clone();
        recorded.iter_mut().for_each(|outcome| outcome.cluster = Cluster::Unknown);
        let stderrs = recluster(suite, items, &mut recorded).expect("the same items");
        assert_eq!(recorded, outcomes, "as if they had been recorded with their clusters");
        let known: Vec<_> = scores.iter().map(|s| (&s.subtask, &s.metric, s.stderr)).collect();
        let computed: Vec<_> = stderrs.iter().map(|s| (&s.subtask, &s.metric, s.value)).collect();
        assert_eq!(computed, known);
        let mut fewer = outcomes;
        assert_eq!(recluster(suite, &items[1..], &mut fewer), None, "an item is missing");
        scores
    };
    let (right, wrong) = (vec![-1.0, -2.0], vec![-2.0, -1.0]);
    let row = |quad: &str| format!(r#"{{"sentence_good": "a", "sentence_bad": "b", "quad": "{quad}"}}"#);
    let file = ("turn_taking.jsonl".to_owned(), ["p", "p", "r", "r"].map(row).join("\n").into_bytes());
    let items = read(Suite::BlimpSupplement, Mode::FIXED, &[file]).expect("rows as the format has them");
    let sums = [right.clone(), right.clone(), wrong.clone(), wrong.clone()];
    let scores = again(Suite::BlimpSupplement, &items, &sums);
    // As for the paragraphs of MultiRC: 2/1 * (100^2 + 100^2) / 4^2.
    assert!((scores[0].stderr.expect("a spread") - 50.0).abs() < 1e-9, "{scores:?}");

    let row = |(story, numops): (&str, u64)| {
        let prefix = format!("{story}. Box 0 contains ");
        serde_json::json!({"input_prefix": prefix, "options": ["a.", "b."], "numops": numops}).to_string()
    };
    let rows = [("s", 0), ("t", 0), ("s", 1), ("t", 1)].map(row).join("\n");
    let items = read(Suite::EntityTracking, Mode::FIXED, &[("regular.jsonl".to_owned(), rows.into_bytes())]);
    let items = items.expect("rows as the format has them");
    let scores = again(Suite::EntityTracking, &items, &[right.clone(), wrong.clone(), right, wrong]);
    // Each subtask: 2/1 * (50^2 + 50^2) / 2^2 = 50^2. Their errors are the same, so the mean has it too; were they
    // independent it would have 50 / sqrt(2).
    for score in &scores {
        assert!((score.stderr.expect("a spread") - 50.0).abs() < 1e-9, "{score:?}");
    }
}

proptest! {
    #[test]
    fn fixed_credit_does_not_depend_on_the_order_of_the_wrong_candidates(sums in some_sums(), turn in 0usize..5) {
        let mut turned = sums.clone();
        let wrong = &mut turned[1..];
        let turn = turn % wrong.len();
        wrong.rotate_left(turn);
        prop_assert_eq!(choose(Mode::FIXED, &sums).credit, choose(Mode::FIXED, &turned).credit);
    }

    #[test]
    fn fixed_credits_over_all_places_of_the_right_candidate_sum_to_one(sums in some_sums()) {
        let total: f64 = (0..sums.len())
            .map(|right| {
                let mut turned = sums.clone();
                turned.swap(0, right);
                choose(Mode::FIXED, &turned).credit
            })
            .sum();
        let wanted = if sums.iter().all(|sum| sum.is_nan()) { 0.0 } else { 1.0 };
        prop_assert!((total - wanted).abs() < 1e-12);
    }

    #[test]
    fn the_aggregate_is_the_mean_of_the_subtasks(
        rows in prop::collection::vec((0usize..4, -9.0..0.0f64, -9.0..0.0f64), 1..40)
    ) {
        let names = ["a", "b", "c", "d"];
        let mut rows = rows;
        rows.sort_by_key(|row| row.0);
        let items = pairs(&rows.iter().map(|row| (names[row.0], "good", "bad")).collect::<Vec<_>>());
        let sums: Vec<Vec<f64>> = rows.iter().map(|row| vec![row.1, row.2]).collect();
        let (scores, outcomes) = score(Suite::Blimp, Mode::FIXED, &items, &sums);
        let (last, subtasks) = scores.split_last().expect("an aggregate");
        let mean = subtasks.iter().map(|score| score.value).sum::<f64>() / subtasks.len() as f64;
        prop_assert!((last.value - mean).abs() < 1e-9);
        prop_assert_eq!(last.n, outcomes.len() as u64);
        prop_assert_eq!(subtasks.iter().map(|score| score.n).sum::<u64>(), last.n);
    }
}
