use super::*;

/// The lines of a recording, and the items with the log-probabilities that it has.
fn recorded(shared: &Path, results: &Path) -> (Vec<Value>, Vec<Item>, Vec<Vec<f64>>) {
    let stored = lines(&results.join("scores.jsonl.gz"));
    let number = |index: usize, name: &str| stored[index][name].as_f64().unwrap_or(f64::NAN);
    let (items, sums) = reading_items(shared, &|index| (number(index, "pred"), number(index, "prev_pred")));
    (stored, items, sums)
}

#[test]
fn golden_reading_times() {
    let Some(shared) = recording("") else { return };
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        if set != folder(Suite::Reading, Size::Full) {
            continue;
        }
        let (stored, items, sums) = recorded(&shared, &results);
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
    let Some(shared) = recording("") else { return };
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

#[test]
fn real_reading_times_give_the_published_statistics() {
    let Some(shared) = recording("") else { return };
    let (items, sums) = reading_items(&shared, &|i| (((37 * i) % 101) as f64 / 10.0, ((53 * i) % 97) as f64 / 10.0));
    let known = [
        ("RTfirstfix", 0.644_080_452_5, 0.644_534_553_5, 0.372_525_29, 1.468_466, 16_404.711_694, 16_404.546_466),
        ("RTfirstpass", 0.644_324_766_1, 0.644_546_044_2, 0.363_307_64, 1.025_094, 17_537.813_789, 17_538.758_319),
        ("RTgopast", 0.539_094_420_0, 0.539_135_184_7, -0.410_097_07, -0.386_404, 21_257.254_756, 21_259.104_747),
        ("RTrightbound", 0.618_670_253_6, 0.618_993_798_5, 0.535_408_28, 1.197_257, 18_326.942_532, 18_327.502_925),
    ];
    let powers = predictive_power(&items, &likelihoods(&sums), false);
    for (power, (measure, r2_base, r2, coefficient, t, aic_base, aic)) in powers.iter().zip(known) {
        assert_eq!((power.measure, power.rows), (measure, 1696));
        let pairs = [
            (power.r2_base, r2_base),
            (power.r2, r2),
            (power.coefficient, coefficient),
            (power.t, t),
            (power.aic_base, aic_base),
            (power.aic, aic),
        ];
        for (measured, published) in pairs {
            assert!((measured / published - 1.0).abs() < 1e-6, "{measure}: {measured} is not {published}");
        }
    }
    let paced = &predictive_power(&items, &likelihoods(&sums), true)[4];
    assert_eq!((paced.measure, paced.rows), ("self_paced_reading_time", 1496));
    for (measured, published) in [(paced.r2_base, 0.104_084_280_4), (paced.r2, 0.104_392_280_4)] {
        assert!((measured / published - 1.0).abs() < 1e-6, "{measured} is not {published}");
    }
}

/// Every number of the official files about each of the eleven measures.
#[test]
fn golden_predictive_power() {
    let Some(shared) = recording("") else { return };
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        if set != folder(Suite::Reading, Size::Full) {
            continue;
        }
        let (_, items, sums) = recorded(&shared, &results);
        for (spillover, file) in [(false, "predictive_power.jsonl"), (true, "predictive_power_spillover.jsonl")] {
            let powers = predictive_power(&items, &likelihoods(&sums), spillover);
            let text = fs::read_to_string(results.join(file)).expect("a file");
            let official: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            assert_eq!((powers.len(), official.len()), (11, 11));
            for (power, official) in powers.iter().zip(&official) {
                assert_eq!(official["Predicted variable"], power.measure);
                let pairs = [
                    (power.coefficient, "Coefficient"),
                    (power.t, "Number of standard deviations"),
                    (power.p, "P-value"),
                    (power.r2, "R2"),
                    (power.r2 - power.r2_base, "Change in R2 from baseline"),
                    (power.aic, "AIC"),
                    (power.aic - power.aic_base, "Change in AIC from baseline"),
                ];
                for (measured, name) in pairs {
                    let official = official[name].as_f64().expect("a number");
                    let close = (measured - official).abs() < 1e-6 * official.abs().max(1e-3);
                    assert!(close, "{model} {file} {} {name}: {measured} is not {official}", power.measure);
                }
            }
        }
        let correlations = fs::read_to_string(results.join("correlations.txt")).expect("a file");
        let powers = predictive_power(&items, &likelihoods(&sums), false);
        for (power, line) in powers.iter().zip(correlations.lines()) {
            assert_eq!(format!("{}\t{:.4}", power.measure, power.correlation.expect("it varies")), line, "{model}");
        }
        compared += 1;
    }
    assert!(compared > 0);
}

/// Sums of one token each.
fn likelihoods(sums: &[Vec<f64>]) -> Vec<Vec<Likelihood>> {
    sums.iter().map(|sums| sums.iter().map(|&sum| Likelihood { sum, tokens: 1, bytes: 1 }).collect()).collect()
}
