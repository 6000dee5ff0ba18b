use super::*;

#[test]
fn golden_nonce_words() {
    let Some(shared) = recording("") else { return };
    let suite = Suite::WugAdj;
    let items = read(suite, Mode::COMPAT, &files_of(&shared, suite, Size::Full)).expect("evaluation data");
    assert_eq!(items.len(), 200);
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        if set != folder(suite, Size::Full) {
            continue;
        }
        let stored = lines(&results.join("scores.jsonl.gz"));
        let sums: Vec<Vec<f64>> = stored.iter().map(|line| floats(&line["scores"])).collect();
        let (scores, outcomes) = score_sums(suite, Mode::COMPAT, &items, &sums);
        assert!(outcomes.iter().zip(&stored).all(|(outcome, line)| outcome.chosen == line["pred"]));
        let last = scores.last().expect("an aggregate");
        let official = json(&results.join("full_precision.json"))["average"].as_f64().expect("an average");
        assert!((last.value - 100.0 * official).abs() < 1e-9, "{model}: {} is not {official}", last.value);
        let (_, average) = report(&results.join("best_temperature_report.txt"));
        assert_eq!(format!("{:.2}", last.value / 100.0), average, "{model}");
        assert!((last.floor.expect("a floor") - 83.663).abs() < 1e-3);
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn real_nonce_words_give_the_published_correlations() {
    let Some(shared) = recording("") else { return };
    let items = read(Suite::WugAdj, Mode::FIXED, &files_of(&shared, Suite::WugAdj, Size::Full));
    let items = items.expect("evaluation data");
    let rho = |preference: &dyn Fn(usize, &Item) -> f64| {
        let sums: Vec<Vec<f64>> = items.iter().enumerate().map(|(k, item)| vec![preference(k, item), 0.0]).collect();
        score_sums(Suite::WugAdj, Mode::FIXED, &items, &sums).0.last().expect("an aggregate").value / 100.0
    };
    let cyclic = rho(&|k, _| ((37 * k) % 101) as f64 / 101.0);
    assert!((cyclic - 0.042_871_693_0).abs() < 1e-9, "{cyclic}");
    let length = rho(&|_, item| item.candidates[0].text.chars().count() as f64);
    assert!((length - 0.82232).abs() < 1e-5, "{length}");
}
