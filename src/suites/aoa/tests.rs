use super::super::read as read_suite;
use super::*;

/// Surprisals of the published example, and the checkpoints of the tracks with a billion words.
fn published() -> Vec<(u64, f64)> {
    let words =
        (1..10).map(|n| n * 1_000_000).chain((1..10).map(|n| n * 10_000_000)).chain((1..=10).map(|n| n * 100_000_000));
    let surprisal = |(j, words): (usize, u64)| {
        let x = (words as f64 + 1.0).log10();
        (words, 4.0 + 9.0 / (1.0 + (3.0 * (x - 7.3)).exp()) + 0.1 * (j as f64).cos())
    };
    words.enumerate().map(surprisal).collect()
}

#[test]
fn the_published_child_is_found() {
    let shares = [0.05, 0.08, 0.11, 0.16, 0.2, 0.27, 0.33, 0.41, 0.5, 0.58, 0.66, 0.73, 0.79, 0.84, 0.88];
    let shares: Vec<(f64, f64)> = MONTHS.map(f64::from).zip(shares).collect();
    let age = child_age(&shares).expect("an age");
    assert!((age - 24.031_735_4).abs() < 1e-4, "{age}");
    assert_eq!(child_age(&shares[..2]), None);
    assert_eq!(child_age(&shares[..6]), None, "half of the children are never reached");
}

#[test]
fn the_published_model_is_found_by_both_rules() {
    let points = published();
    assert!((points[0].1 - 12.921_437).abs() < 1e-6 && (points[27].1 - 4.025_324).abs() < 1e-6);
    let close =
        |found: Option<f64>, wanted: f64| assert!((found.expect("an age") - wanted).abs() < 1e-4, "{found:?} {wanted}");
    close(model_age(AoaFit::Official, &points, OFFICIAL_CEILING.log2()), 6.855_489);
    let ceiling = |pieces: f64| pieces * 16_384f64.ln();
    close(model_age(AoaFit::Repaired, &points, ceiling(2.0)), 6.701_661);
    close(model_age(AoaFit::Repaired, &points, ceiling(1.0)), 7.553_729);
}

#[test]
fn a_word_that_is_never_learned_has_no_age() {
    let flat: Vec<(u64, f64)> = published().into_iter().map(|(words, _)| (words, 11.0)).collect();
    let rising: Vec<(u64, f64)> =
        published().into_iter().rev().map(|(words, surprisal)| (1_001_000_000 - words, surprisal)).collect();
    for rules in [AoaFit::Official, AoaFit::Repaired] {
        assert_eq!(model_age(rules, &flat, OFFICIAL_CEILING.log2()), None);
        assert_eq!(model_age(rules, &rising, 9.0), None, "{rules:?}");
        assert_eq!(model_age(rules, &published()[..2], 9.0), None);
    }
    let nan: Vec<(u64, f64)> = published().into_iter().map(|(words, _)| (words, f64::NAN)).collect();
    assert_eq!(model_age(AoaFit::Repaired, &nan, 9.0), None);
}

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

fn files(words: &[(&str, f64, usize)]) -> Files {
    let contexts: serde_json::Map<String, Value> = words
        .iter()
        .map(|(word, _, count)| {
            let contexts = (0..*count).map(|i| serde_json::json!({"context": format!(" she saw number {i} of ")}));
            ((*word).to_owned(), contexts.collect())
        })
        .collect();
    let mut table = "word,16,18,20,22,24,26,28,30\n".to_owned();
    for (word, age, _) in words {
        let shares = (16..=30).step_by(2).map(|month| 1.0 / (1.0 + (0.5 * (age - f64::from(month))).exp()));
        let shares: Vec<String> = shares.map(|share| format!("{share:.3}")).collect();
        table.push_str(&format!("{word},{}\n", shares.join(",")));
    }
    vec![
        ("full_eval/aoa/cdi_human.csv".to_owned(), table.into_bytes()),
        ("cdi_childes.json".to_owned(), serde_json::to_vec(&contexts).expect("string keys")),
    ]
}

const WORDS: [(&str, f64, usize); 6] =
    [("ball", 18.0, 3), ("dog", 20.0, 2), ("eat", 22.0, 2), ("green", 24.0, 2), ("how", 26.0, 1), ("a", 17.0, 5)];

#[test]
fn items_are_words_in_contexts() {
    let items = read_suite(Suite::Aoa, Mode::FIXED, &files(&WORDS)).expect("items");
    assert_eq!(items.len(), 10, "a word of one letter is left out");
    assert_eq!(items.iter().map(|item| item.index).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    let candidate = &items[0].candidates[0];
    assert_eq!((candidate.text.as_str(), candidate.scored()), ("she saw number 0 of ball", "ball"));
    let Truth::Learned(Some(age)) = items[0].truth else { panic!("{:?}", items[0].truth) };
    assert!((age - 18.0).abs() < 0.05, "{age}");
}

#[test]
fn files_with_a_byte_order_mark_are_read_alike() {
    let plain = files(&[("ball", 20.0, 1), ("dog", 22.0, 2)]);
    let marked = |(name, bytes): &(String, Vec<u8>)| (name.clone(), ["\u{feff}".as_bytes(), bytes].concat());
    let marked: Vec<(String, Vec<u8>)> = plain.iter().map(marked).collect();
    let items = |files: &[(String, Vec<u8>)]| read_suite(Suite::Aoa, Mode::FIXED, files).expect("items");
    assert_eq!(items(&marked), items(&plain));
}

#[test]
fn errors_name_file_line_and_field() {
    let error = |change: &dyn Fn(&mut Files)| {
        let mut files = files(&WORDS);
        change(&mut files);
        read_suite(Suite::Aoa, Mode::FIXED, &files).expect_err("an error").to_string()
    };
    let put = |place: usize, text: &'static str| move |files: &mut Vec<(String, Vec<u8>)>| files[place].1 = text.into();
    let errors = [
        error(&|files| files.truncate(1)),
        error(&put(0, "noun,16\nball,0.5\n")),
        error(&put(0, "word,16\nball,often\n")),
        error(&put(1, "[]")),
        error(&put(1, "{\"ball\": [{\"text\": \"x\"}]}")),
        error(&put(1, "{}")),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    found no items of aoa in 1 file: there is no cdi_childes.json file with rows; check that this is the right folder
    cdi_human.csv:1: column `word` is missing
    cdi_human.csv:2: column `16` should be a fraction of children, from 0 to 1, not `often`
    cdi_childes.json:1: expected an object with an entry for each word
    cdi_childes.json:1: a context of `ball` has no field `context`
    cdi_childes.json:1: the file has no word with a context
    "#);
}

/// Checkpoints of a model that learns each word at `learned`, in log10 of words seen.
fn stages(items: &[Item], learned: impl Fn(&str) -> f64) -> Vec<AoaCheckpoint> {
    let stage = |(words, _): (u64, f64)| {
        let surprisal = |item: &Item| {
            let x = (words as f64 + 1.0).log10();
            3.0 + 6.0 / (1.0 + (4.0 * (x - learned(&item.subtask))).exp())
        };
        let likelihoods = items.iter().map(|item| Likelihood { sum: -surprisal(item), tokens: 1, bytes: 1 }).collect();
        AoaCheckpoint { name: format!("{words}-words"), words, likelihoods }
    };
    published().into_iter().map(stage).collect()
}

#[test]
fn a_model_that_learns_in_the_order_of_children_scores_100() {
    let items = read_suite(Suite::Aoa, Mode::FIXED, &files(&WORDS)).expect("items");
    let age = |word: &str| WORDS.iter().find(|(known, _, _)| *known == word).expect("a word").1;
    let pieces = WORDS.iter().map(|(word, _, _)| ((*word).to_owned(), 1)).collect();
    let score = |sign: f64| {
        let learned = |word: &str| 7.5 + sign * (age(word) - 22.0) / 8.0;
        score_checkpoints(Mode::FIXED, &items, &stages(&items, learned), &pieces, 8_103)
    };
    let (forward, outcomes) = score(1.0);
    assert!((forward.value - 100.0).abs() < 0.5, "{forward:?}");
    assert_eq!((forward.n, forward.metric.as_str(), forward.subtask), (5, "pearson", None));
    assert_eq!(outcomes.len(), 28 * items.len());
    assert_eq!((outcomes[10].subtask.as_str(), outcomes[10].item), ("2000000-words", 0));
    assert!((score(-1.0).0.value + 100.0).abs() < 0.5);
    let same = score_checkpoints(Mode::FIXED, &items, &stages(&items, |_| 7.5), &pieces, 8_103).0;
    assert_eq!((same.value, same.n), (0.0, 5), "no order, no correlation");
}

#[test]
fn p_values_of_correlations() {
    // Pairs of five with r = 0.5: t = 1.0, p = 0.39.
    assert!((p_value(0.5, 5) - 0.391).abs() < 1e-3);
    assert!(p_value(0.99, 5) < 0.01);
    assert_eq!((p_value(0.9, 2), p_value(0.0, 9)), (1.0, 1.0));
}
