use super::super::{Candidate, Tokenization, Truth, read, tests::score_sums as score_suite};
use super::*;

const HEADER: &str = "item,word,context_length,Subtlex_log10,length,RTfirstfix,RTfirstpass,RTgopast,RTrightbound,\
                      self_paced_reading_time,prev_word,prev_item,prev_length";

fn file(rows: &str) -> [(String, Vec<u8>); 1] {
    [("reading_data.csv".to_owned(), format!("{HEADER}\n{rows}").into_bytes())]
}

#[test]
fn a_word_is_scored_after_its_context_and_the_word_before_after_its_own() {
    let rows = "Ännchen sat,down.,2,3.5,5,1,2,3,4,9,sat,Ännchen,3\nNone,left,1,,4,1,NA,3,4,,None,,-1\n";
    let items = read(Suite::Reading, Mode::COMPAT, &file(rows)).expect("items");
    let piecewise = |context, word| Candidate::after(context, word, Tokenization::Piecewise);
    assert_eq!(items[0].candidates, [piecewise("Ännchen sat", "down."), piecewise("Ännchen", "sat")]);
    assert_eq!((items[0].candidates[0].text.as_str(), items[0].candidates[0].scored_from), ("Ännchen satdown.", 11));
    assert_eq!(items[1].candidates, [piecewise("None", "left")]);
    let Truth::Measured(measured) = &items[1].truth else { panic!("measurements") };
    assert_eq!((measured.frequency, measured.previous_length), (None, Some(-1.0)));
    assert_eq!(measured.eye_tracking, [Some(1.0), None, Some(3.0), Some(4.0)]);
    let items = read(Suite::Reading, Mode::FIXED, &file(rows)).expect("items");
    let whole = |context, word| Candidate::after(context, word, Tokenization::Whole);
    assert_eq!(items[0].candidates, [whole("Ännchen sat", " down."), whole("Ännchen", " sat")]);
    assert_eq!((items[1].index, items[1].task.as_str()), (1, "reading"));
}

#[test]
fn a_table_of_windows_is_read_alike() {
    let [(name, bytes)] =
        file("Ännchen sat,down.,2,3.5,5,1,2,3,4,9,sat,Ännchen,3\nNone,left,1,,4,1,NA,3,4,,None,,-1\n");
    let text = String::from_utf8(bytes.clone()).expect("UTF-8");
    let plain = read(Suite::Reading, Mode::FIXED, &[(name.clone(), bytes)]).expect("items");
    for other in
        [format!("\u{feff}{text}"), text.replace('\n', "\r\n"), format!("\u{feff}{}", text.replace('\n', "\r\n"))]
    {
        assert_eq!(read(Suite::Reading, Mode::FIXED, &[(name.clone(), other.into_bytes())]).expect("items"), plain);
    }
}

#[test]
fn errors_name_line_and_column() {
    let error = |rows: &str| read(Suite::Reading, Mode::FIXED, &file(rows)).expect_err("an error").to_string();
    let headless = [("x.csv".to_owned(), b"item,text\na,b\n".to_vec())];
    let errors = [
        error("a,b,1,2,three,1,2,3,4,5,c,d,6\n"),
        error("a,b,1\n"),
        error(""),
        read(Suite::Reading, Mode::FIXED, &headless).expect_err("an error").to_string(),
    ];
    insta::assert_snapshot!(errors.join("\n"), @r#"
    reading_data.csv:2: column `length` should be a number, not `three`
    reading_data.csv:2: the row has 3 values, but the header line has 13
    reading_data.csv has no rows, and without this subtask the suite's mean would be a different number; download the file again, or remove it
    x.csv:2: column `word` is missing
    "#);
}

/// A table in which reading times follow the surprisals `sin(i)`, with some noise.
fn table_of(count: usize) -> (Vec<Item>, Vec<Vec<f64>>) {
    let surprisal = |i: usize| 5.0 + (i as f64).sin();
    let row = |i: usize| {
        let time = 100.0 + 3.0 * surprisal(i) + 0.1 * ((i * i) % 13) as f64;
        let (frequency, length, context) = ((i * 7) % 11, (i * 5) % 9, i % 8);
        format!("a b,w,{context},{frequency},{length},{time},{time},{time},{time},{time},b,a,{}\n", (i * 3) % 7)
    };
    let items = read(Suite::Reading, Mode::FIXED, &file(&(0..count).map(row).collect::<String>())).expect("items");
    let sums = (0..count).map(|i| vec![-surprisal(i), -(((i * 11) % 5) as f64)]).collect();
    (items, sums)
}

#[test]
fn true_surprisals_explain_reading_times_and_missing_ones_are_left_out() {
    let (items, mut sums) = table_of(100);
    let (scores, outcomes) = score_suite(Suite::Reading, Mode::FIXED, &items, &sums);
    let names: Vec<_> = scores.iter().map(|score| (score.task.as_str(), score.subtask.as_deref())).collect();
    assert_eq!(
        names,
        [
            ("eye-tracking", Some("RTfirstfix")),
            ("eye-tracking", Some("RTfirstpass")),
            ("eye-tracking", Some("RTgopast")),
            ("eye-tracking", Some("RTrightbound")),
            ("eye-tracking", None),
            ("self-paced", Some("self_paced_reading_time")),
            ("self-paced", None),
        ]
    );
    assert!(scores.iter().all(|score| score.value > 90.0 && score.value < 100.0 && score.n == 100));
    assert_eq!(scores[4].chance, Some(100.0 / 93.0));
    assert_eq!(scores[6].chance, Some(100.0 / 84.0));
    assert_eq!(outcomes[1].scores, [Some(sums[1][0]), Some(-1.0)]);
    sums[3] = vec![f64::NAN, -1.0];
    sums[4] = vec![-1.0, f64::NEG_INFINITY];
    let (scores, outcomes) = score_suite(Suite::Reading, Mode::FIXED, &items, &sums);
    assert_eq!((scores[4].n, scores[6].n, scores[4].nans), (99, 98, 1));
    assert_eq!(outcomes[3].scores, [None, Some(-1.0)]);
}

#[test]
fn a_model_that_only_gives_nan_explains_nothing() {
    let (items, sums) = table_of(100);
    let nan = vec![vec![f64::NAN; 2]; sums.len()];
    let (scores, _) = score_suite(Suite::Reading, Mode::COMPAT, &items, &nan);
    assert!(scores.iter().all(|score| score.value == 0.0 && score.n == 0 && score.nans == 100));
}
