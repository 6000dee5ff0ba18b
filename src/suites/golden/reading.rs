use super::*;

#[test]
fn golden_reading_times() {
    let Some(shared) = shared("golden_reading_times") else { return };
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        if set != folder(Suite::Reading, Size::Full) {
            continue;
        }
        let stored = lines(&results.join("scores.jsonl.gz"));
        let number = |index: usize, name: &str| stored[index][name].as_f64().unwrap_or(f64::NAN);
        let (items, sums) = reading_items(&shared, &|index| (number(index, "pred"), number(index, "prev_pred")));
        assert_eq!(items.len(), stored.len());
        for (item, line) in items.iter().zip(&stored) {
            assert_eq!(item.candidates.len() == 1, line["prev_pred"].is_null(), "{model} {}", item.index);
        }
        let (scores, _) = score_sums(Suite::Reading, Mode::COMPAT, &items, &sums);
        let official = json(&results.join("full_precision.json"));
        let close = |measured: f64, official: &Value| {
            let official = official.as_f64().expect("a number");
            assert!((measured - official).abs() < 1e-9, "{model}: {measured} is not {official}");
        };
        close(value(&scores, "eye-tracking", None).0, &official["eye_tracking"]);
        close(value(&scores, "self-paced", None).0, &official["self_paced"]);
        for (measure, part) in official["eye_tracking_parts"].as_object().expect("parts") {
            close(value(&scores, "eye-tracking", Some(measure)).0, part);
        }
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn real_reading_times_give_the_published_regressions() {
    let Some(shared) = shared("real_reading_times_give_the_published_regressions") else { return };
    let (items, sums) = reading_items(&shared, &|i| (((37 * i) % 101) as f64 / 10.0, ((53 * i) % 97) as f64 / 10.0));
    assert_eq!(items.iter().filter(|item| item.candidates.len() == 1).count(), 206);
    let (scores, _) = score_sums(Suite::Reading, Mode::FIXED, &items, &sums);
    let known = [
        ("eye-tracking", Some("RTfirstfix"), 0.127_585_29, 1696),
        ("eye-tracking", Some("RTfirstpass"), 0.062_213_53, 1696),
        ("eye-tracking", Some("RTgopast"), 0.008_844_48, 1696),
        ("eye-tracking", Some("RTrightbound"), 0.084_846_49, 1696),
        ("eye-tracking", None, 0.070_872_45, 1696),
        ("self-paced", Some("self_paced_reading_time"), 0.034_378_24, 1496),
        ("self-paced", None, 0.034_378_24, 1496),
    ];
    for (task, subtask, published, rows) in known {
        let (measured, n) = value(&scores, task, subtask);
        assert!((measured - published).abs() < 1e-8, "{task} {subtask:?}: {measured} is not {published}");
        assert_eq!(n, rows, "{task} {subtask:?}");
    }
    let column = |number: fn(&Measurements) -> Option<f64>| -> f64 {
        let number = |item: &Item| match &item.truth {
            Truth::Measured(measured) => number(measured),
            _ => None,
        };
        items.iter().filter_map(number).sum()
    };
    assert!((column(|word| word.frequency) - 17_860.982_647_27).abs() < 1e-6);
    assert_eq!((column(|word| word.length), column(|word| word.context_length)), (7_176.0, 8_845.0));
    assert_eq!(column(|word| word.previous_length), 5_755.0);
    assert!((column(|word| word.self_paced) - 481_140.372_674_63).abs() < 1e-6);
    assert!((column(|word| word.eye_tracking[0]) - 237_179.185_930_37).abs() < 1e-6);
}
