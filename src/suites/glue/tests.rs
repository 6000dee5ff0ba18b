use proptest::prelude::*;

use super::*;
use crate::domain::{Hyperparameters, Selection};

const ONE: Hyperparameters = Hyperparameters { learning_rate: 3e-5, batch_size: 2, epochs: 3 };

fn examples(labels: &[u32]) -> Vec<Example> {
    let example = |(row, label): (usize, &u32)| Example {
        first: format!("word{} and more", row % 3),
        second: String::new(),
        label: *label,
    };
    labels.iter().enumerate().map(example).collect()
}

/// Class scores that predict these classes.
fn predicting(classes: &[u32]) -> ClassLogits {
    ClassLogits::new(classes.iter().map(|&class| (0..2).map(|c| f32::from(u8::from(c == class))).collect()).collect())
}

#[test]
fn every_task_has_its_two_texts() {
    let rows = [
        (GlueTask::Boolq, r#"{"question":"q","passage":"p","label":1,"idx":0}"#, ("q", "p", 1)),
        (GlueTask::Mnli, r#"{"premise":"p","hypothesis":"h","label":2}"#, ("p", "h", 2)),
        (GlueTask::Mrpc, r#"{"sentence1":"a","sentence2":"b","label":0}"#, ("a", "b", 0)),
        (
            GlueTask::Multirc,
            r#"{"paragraph":"p","question":"q?","answer":"a","label":1}"#,
            ("Question: q? Answer: a", "p", 1),
        ),
        (GlueTask::Qqp, r#"{"question1":"a","question2":"b","label":0}"#, ("a", "b", 0)),
        (GlueTask::Rte, r#"{"sentence1":"a","sentence2":"b","label":0}"#, ("a", "b", 0)),
        (
            GlueTask::Wsc,
            r#"{"text":"t","span1_text":"Mark","span2_text":"He","span1_index":0,"label":0}"#,
            ("Does \"He\" refer to \"Mark\" in this passage?", "t", 0),
        ),
    ];
    for (task, text, (first, second, label)) in rows {
        let wanted = Example { first: first.to_owned(), second: second.to_owned(), label };
        assert_eq!(read(task, "x.jsonl", text.as_bytes()), Ok(vec![wanted]), "{task}");
    }
}

#[test]
fn errors_name_file_line_and_field() {
    let error = |text: &str| read(GlueTask::Rte, "rte.train.jsonl", text.as_bytes()).unwrap_err().to_string();
    let good = r#"{"sentence1":"a","sentence2":"b","label":0}"#;
    assert_eq!(
        error(&format!("{good}\n\n{}", good.replace(":0", ":2"))),
        "rte.train.jsonl:3: field `label` should be a class from 0 to 1, not 2"
    );
    assert!(error(r#"{"sentence1":"a","label":0}"#).starts_with("rte.train.jsonl:1: field `sentence2` is missing"));
    assert!(error("").contains(": it is empty"));
}

#[test]
fn metrics_by_hand() {
    // tp 2, fn 1, fp 1, tn 1.
    let rows = examples(&[1, 1, 1, 0, 0]);
    let confusion = Confusion::of(GlueTask::Rte, &rows, &[1, 1, 0, 1, 0]);
    assert!((Metric::Accuracy.value(&confusion) - 60.0).abs() < 1e-12);
    assert!((Metric::F1.value(&confusion) - 200.0 / 3.0).abs() < 1e-12);
    // (2 * 1 - 1 * 1) / sqrt(3 * 3 * 2 * 2)
    assert!((Metric::Mcc.value(&confusion) - 100.0 / 6.0).abs() < 1e-12);
    let constant = Confusion::of(GlueTask::Rte, &rows, &[0; 5]);
    assert_eq!([Metric::F1, Metric::Mcc].map(|metric| metric.value(&constant)), [0.0, 0.0]);
    assert_eq!((constant.predicted_classes(), confusion.predicted_classes()), (1, 2));
}

#[test]
fn an_epoch_is_kept_until_another_is_strictly_better() {
    let rows = examples(&[0, 1, 0, 1]);
    let epochs = [[0, 0, 0, 0], [0, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 1]];
    let after = |selection: &Selection| {
        let mut chosen = EpochSelection::default();
        for (epoch, said) in (1..).zip(&epochs) {
            chosen.offer(GlueTask::Rte, selection, &rows, CandidateEpoch { candidate: 0, epoch }, predicting(said));
        }
        let choices: Vec<(usize, u32)> =
            chosen.choices().into_iter().map(|choice| (choice.candidate, choice.epoch)).collect();
        (choices, chosen.predictions().predicted())
    };
    // 2, 3, 3, 3 right: the second stays.
    assert_eq!(after(&Selection::Test(ONE)), (vec![(0, 2)], vec![0, 1, 1, 1]));
    assert_eq!(after(&Selection::LastEpoch(ONE)), (vec![], vec![0, 0, 0, 1]));
    // Even rows are predicted by the best epoch of the odd ones (2, with both right), odd rows by that of the even
    // ones (1, with both right).
    assert_eq!(after(&Selection::HeldOut(vec![ONE])), (vec![(0, 2), (0, 1)], vec![0, 0, 1, 0]));
}

#[test]
fn a_score_has_chance_floor_and_number_of_classes() {
    let valid = examples(&[0, 0, 0, 1]);
    // `word0` goes with class 1, `word1` with 0; `word2` does not occur, so the more frequent class 1 stands for it.
    let train: Vec<Example> = [(0, 1), (0, 1), (1, 0)]
        .map(|(word, label)| Example { first: format!("word{word} x"), second: String::new(), label })
        .into();
    let chosen = predicting(&[0, 0, 0, 0]);
    let (scores, outcomes) =
        score(GlueTask::Mrpc, Mode::FIXED, &train, &valid, &chosen, Some(&predicting(&[1, 0, 0, 1])));
    let shown: Vec<String> = scores
        .iter()
        .map(|s| format!("{:?} {} {} {:?} {:?} {:?}", s.subtask, s.metric, s.value, s.chance, s.floor, s.classes))
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    Some("mrpc") accuracy 75 Some(75.0) Some(50.0) Some(1)
    Some("mrpc") f1 0 Some(40.0) Some(50.0) Some(1)
    Some("mrpc") mcc 0 Some(0.0) Some(33.333333333333336) Some(1)
    Some("mrpc") accuracy-of-last-epoch 75 Some(75.0) Some(50.0) Some(2)
    None accuracy 75 Some(75.0) Some(50.0) Some(1)
    "#);
    assert!((scores[0].stderr.unwrap() - 25.0).abs() < 1e-9);
    let credits: Vec<f64> = outcomes.iter().map(|outcome| outcome.credit).collect();
    assert_eq!(credits, [1.0, 1.0, 1.0, 0.0]);
    let [Some(zero), Some(one)] = outcomes[0].scores[..] else { panic!("two classes") };
    assert!((zero.exp() + one.exp() - 1.0).abs() < 1e-12 && (zero - one - 1.0).abs() < 1e-12);
}

#[test]
fn equal_and_missing_numbers_are_counted_and_the_first_class_wins() {
    let rows = examples(&[0, 1, 1]);
    let classes = ClassLogits::new(vec![vec![0.5, 0.5], vec![f32::NAN, -1.0], vec![0.5, 0.500_01]]);
    assert_eq!(classes.predicted(), [0, 1, 1]);
    let (scores, outcomes) = score(GlueTask::Rte, Mode::FIXED, &rows, &rows, &classes, None);
    assert_eq!((scores[0].ties, scores[0].near_ties, scores[0].nans), (1, 2, 1));
    assert_eq!(outcomes[1].scores[0], None);
}

/// Two paragraphs with two questions each: right on the first paragraph, wrong on the second.
#[test]
fn questions_about_one_paragraph_are_one_cluster() {
    let row = |paragraph: &str| Example { first: "q".into(), second: paragraph.into(), label: 1 };
    let valid = ["p", "p", "r", "r"].map(row);
    let chosen = predicting(&[1, 1, 0, 0]);
    let stderrs = |task| {
        let (scores, outcomes) = score(task, Mode::FIXED, &valid, &valid, &chosen, Some(&chosen));
        let mut recorded = outcomes.clone();
        recorded.iter_mut().for_each(|outcome| outcome.cluster = Cluster::Unknown);
        let again = recluster(task, &valid, &mut recorded).expect("the same rows");
        assert_eq!(recorded, outcomes, "as if they had been recorded with their clusters");
        // What the last epoch said is not among the outcomes.
        for stderr in again {
            let mut same = scores.iter().filter(|s| (&s.subtask, &s.metric) == (&stderr.subtask, &stderr.metric));
            let score = same.next().expect("a score");
            let known = stderr.metric != OF_LAST_EPOCH;
            assert_eq!(stderr.value, score.stderr.filter(|_| known), "{stderr:?}");
        }
        (scores.last().expect("a score").stderr.expect("a spread"), outcomes)
    };
    // Residuals 50, 50, -50, -50. Clustered: 2/1 * (100^2 + 100^2) / 4^2 = 50^2. Alone: 4/3 * 4 * 50^2 / 4^2.
    let (clustered, outcomes) = stderrs(GlueTask::Multirc);
    assert!((clustered - 50.0).abs() < 1e-9, "{clustered}");
    assert!(outcomes[0].cluster == outcomes[1].cluster && outcomes[0].cluster != outcomes[2].cluster);
    let (alone, outcomes) = stderrs(GlueTask::Rte);
    assert!((alone - 50.0 / 3f64.sqrt()).abs() < 1e-9, "{alone}");
    assert!(outcomes.iter().all(|outcome| outcome.cluster == Cluster::Itself));
    let mut other = outcomes.clone();
    other[3].item = 4;
    assert_eq!(recluster(GlueTask::Rte, &valid, &mut other), None, "no row of the file");
}

proptest! {
    #[test]
    fn the_jackknife_of_the_accuracy_is_the_usual_standard_error(pairs in prop::collection::vec((0u32..2, 0u32..2), 2..60)) {
        let labels: Vec<u32> = pairs.iter().map(|pair| pair.0).collect();
        let predicted: Vec<u32> = pairs.iter().map(|pair| pair.1).collect();
        let confusion = Confusion::of(GlueTask::Rte, &examples(&labels), &predicted);
        let (p, n) = (Metric::Accuracy.value(&confusion) / 100.0, pairs.len() as f64);
        let usual = 100.0 * (p * (1.0 - p) / (n - 1.0)).sqrt();
        let alone = vec![Cluster::Itself; labels.len()];
        let rows = examples(&labels);
        let spread = Spread::of(GlueTask::Rte, &rows, &predicted, &alone);
        prop_assert!((spread.jackknife(Metric::Accuracy).unwrap() - usual).abs() < 1e-9);
        prop_assert!((spread.stderr(Metric::Accuracy).unwrap() - usual).abs() < 1e-9);
        for metric in [Metric::F1, Metric::Mcc] {
            prop_assert!((-100.0..=100.0).contains(&metric.value(&confusion)));
        }
    }

    /// The label of a row does not affect which epoch predicts it.
    #[test]
    fn a_rows_own_label_does_not_choose_its_prediction(
        labels in prop::collection::vec(0u32..2, 4..20),
        epochs in prop::collection::vec(prop::collection::vec(0u32..2, 20), 1..6),
        row: prop::sample::Index,
    ) {
        let row = row.index(labels.len());
        let predictions = |labels: &[u32]| {
            let mut chosen = EpochSelection::default();
            for (epoch, said) in (1..).zip(&epochs) {
                let selection = Selection::HeldOut(vec![ONE]);
                let at = CandidateEpoch { candidate: 0, epoch };
                chosen.offer(GlueTask::Qqp, &selection, &examples(labels), at, predicting(&said[..labels.len()]));
            }
            chosen.predictions().predicted()
        };
        let mut other = labels.clone();
        other[row] = 1 - other[row];
        prop_assert_eq!(predictions(&labels)[row], predictions(&other)[row]);
    }
}
