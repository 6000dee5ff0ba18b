use proptest::prelude::*;

use super::*;

fn two_streams() -> Vec<Item> {
    let streams = ["01230123".to_owned(), "32103210".to_owned()].map(|text| (text, vec![0.5; 8]));
    stream_items("lang", streams.into_iter(), 3)
}

#[test]
fn ranges_begin_at_powers_of_two_and_at_the_given_position() {
    let items = two_streams();
    let shown: Vec<String> = items
        .iter()
        .map(|item| {
            let candidate = &item.candidates[0];
            format!("{} {} {}|{}", item.index, item.subtask, candidate.context(), candidate.scored())
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    0 1 0|1
    0 2 01|2
    0 3 012|3
    0 4-7 0123|0123
    1 1 3|2
    1 2 32|1
    1 3 321|0
    1 4-7 3210|3210
    ");
    assert_eq!(label(4, 8, 100), "04-07");
    assert_eq!(items[2].truth, Truth::Entropy(0.5));
    assert_eq!(items[3].truth, Truth::Entropy(2.0));
}

/// With a loss of 2 and an entropy of 0.5 nats at each symbol, and in the second stream of 1 nat from position 4 on: the
/// regret is 1.5 before and (1.5 + 0.5) / 2 = 1 from there on; from position 3 on, that of the second stream is
/// (1.5 + 4 * 0.5) / 5 = 0.7.
///
/// The slope is that of ln 1.5, ln 1.5, ln 1.5 and ln 1 at ln 1, ln 2, ln 3 and ln(840) / 4. Without the first stream, the
/// last value is ln 0.5; without the second stream, the regret does not fall.
#[test]
fn the_regret_is_the_loss_above_the_entropy() {
    let items = two_streams();
    let likelihood = |item: &Item| {
        let candidate = &item.candidates[0];
        let symbols = candidate.scored().len() as u32;
        let nats = if item.index == 1 && candidate.scored_from >= 4 { 1.0 } else { 2.0 };
        vec![Likelihood { sum: -nats * f64::from(symbols), tokens: symbols, bytes: u64::from(symbols) }]
    };
    let measured: Vec<Vec<Likelihood>> = items.iter().map(likelihood).collect();
    let (scores, outcomes) = score(3, Mode::FIXED, &items, &measured);
    let shown: Vec<String> = scores
        .iter()
        .map(|score| {
            let stderr = score.stderr.unwrap_or(f64::NAN);
            let subtask = score.subtask.as_deref().unwrap_or("all");
            format!("{subtask} {} {:.3} ± {stderr:.3}, {} streams", score.metric, score.value, score.n)
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"), @"
    1 regret 1.500 ± 0.000, 2 streams
    1 loss 2.000 ± 0.000, 2 streams
    2 regret 1.500 ± 0.000, 2 streams
    2 loss 2.000 ± 0.000, 2 streams
    3 regret 1.500 ± 0.000, 2 streams
    3 loss 2.000 ± 0.000, 2 streams
    4-7 regret 1.000 ± 0.500, 2 streams
    4-7 loss 1.500 ± 0.500, 2 streams
    all regret 1.100 ± 0.400, 2 streams
    all loss 1.600 ± 0.400, 2 streams
    all slope -0.220 ± 0.298, 2 streams
    ");
    assert_eq!(outcomes.len(), items.len());
}

#[test]
fn a_stream_without_a_number_is_counted_and_left_out() {
    let items = two_streams();
    let likelihood = |item: &Item| {
        let sum = if item.index == 0 { f64::NAN } else { -1.0 };
        vec![Likelihood { sum, tokens: item.candidates[0].scored().len() as u32, bytes: 1 }]
    };
    let measured: Vec<Vec<Likelihood>> = items.iter().map(likelihood).collect();
    let (scores, _) = score(3, Mode::FIXED, &items, &measured);
    assert!(scores.iter().all(|score| (score.n, score.nans) == (1, 1) && score.value.is_finite()));
}

/// Measures streams of 64 symbols with an entropy of 0.5 nats, so that the regret for each symbol of a stream in a range has
/// this value, by stream and by position of the range.
fn slope_of(streams: u32, regret: impl Fn(u32, f64) -> f64) -> Option<(f64, Option<f64>, u64, u64)> {
    let texts = (0..streams).map(|_| ("0".repeat(64), vec![0.5; 64]));
    let items = stream_items("lang", texts, 8);
    let likelihood = |item: &Item| {
        let candidate = &item.candidates[0];
        let symbols = candidate.scored().len() as u32;
        let position = geometric_mean(candidate.scored_from, candidate.text.len());
        let nats = f64::from(symbols) * (0.5 + regret(item.index, position));
        vec![Likelihood { sum: -nats, tokens: symbols, bytes: u64::from(symbols) }]
    };
    let measured: Vec<Vec<Likelihood>> = items.iter().map(likelihood).collect();
    let (scores, _) = score(8, Mode::FIXED, &items, &measured);
    let mut slopes = scores.iter().filter(|score| score.metric == SLOPE);
    let slope = slopes.next().map(|score| (score.value, score.stderr, score.n, score.nans));
    assert!(slopes.next().is_none());
    slope
}

#[test]
fn a_regret_that_is_a_power_of_the_position_has_its_exponent_as_slope() {
    let (slope, stderr, n, left_out) = slope_of(4, |_, position| 2.0 * position.powf(-0.8)).unwrap();
    assert!((slope + 0.8).abs() < 1e-6, "{slope}");
    assert!(stderr.unwrap() < 1e-6 && (n, left_out) == (4, 0));
    // The mean of the streams is a power of the position, although no single stream is.
    let (slope, ..) =
        slope_of(2, |stream, position| position.powf(-0.8) * if (stream == 0) == (position < 5.0) { 1.5 } else { 0.5 })
            .unwrap();
    assert!((slope + 0.8).abs() < 1e-6, "{slope}");
}

/// Two streams, without either of which the slope is that of the other: the standard error is half of their distance.
#[test]
fn the_standard_error_of_a_slope_is_over_streams() {
    let regret = |stream: u32, position: f64| position.powf(if stream == 0 { -0.5 } else { -1.5 });
    let (slope, stderr, n, _) = slope_of(2, regret).unwrap();
    assert!((-1.5..-0.5).contains(&slope) && n == 2, "{slope}");
    assert!((stderr.unwrap() - 0.5).abs() < 1e-6, "{stderr:?}");
    assert_eq!(slope_of(1, regret).unwrap().1, None);
}

#[test]
fn without_a_positive_regret_there_is_no_slope() {
    assert_eq!(slope_of(3, |_, position| if position > 20.0 { -0.01 } else { 0.3 }), None);
    assert_eq!(slope_of(3, |_, _| f64::NAN), None);
    let (slope, _, n, left_out) =
        slope_of(3, |stream, position| if stream == 1 { f64::NAN } else { position.powf(-0.8) }).unwrap();
    assert!((slope + 0.8).abs() < 1e-6 && (n, left_out) == (2, 1), "{slope}");
    let one_range = stream_items("lang", [("00".to_owned(), vec![0.5; 2])].into_iter(), 1);
    let measured = [vec![Likelihood { sum: -2.0, tokens: 1, bytes: 1 }]];
    assert_eq!(score(1, Mode::FIXED, &one_range, &measured).0.len(), 4, "the regret and the loss, twice");
}

proptest! {
    /// The ranges cover all positions but the first once, and one begins at `after`.
    #[test]
    fn ranges_cover_every_position(length in 2..600usize, after in 1..700usize) {
        let ranges = ranges(length, after);
        let covered: Vec<usize> = ranges.iter().flat_map(|&(from, end)| from..end).collect();
        prop_assert_eq!(covered, (1..length).collect::<Vec<_>>());
        prop_assert_eq!(after < length, ranges.iter().any(|&(from, _)| from == after));
    }
}
