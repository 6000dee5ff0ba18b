use super::*;

/// Numbers of other models, with what the official pipeline reported for them.
#[test]
fn golden_reading_reports() {
    let Some(shared) = recording("") else { return };
    let mut compared = 0;
    for (model, results) in models(&shared) {
        let Ok(text) = fs::read_to_string(results.join("reading/prediction.jsonl")) else { continue };
        // Not quite JSON: a missing surprisal is a bare NaN.
        let number = |line: &str, name: &str| -> f64 {
            let after = line.split(&format!("\"{name}\": ")).nth(1).expect("a field");
            after.split([',', '}']).next().and_then(|text| text.parse().ok()).expect("a number")
        };
        let stored: Vec<(f64, f64)> =
            text.lines().map(|line| (number(line, "Logprob"), number(line, "Prev_Logprob"))).collect();
        let (items, sums) = reading_items(&shared, &|index| stored[index]);
        let (scores, _) = score_sums(Suite::Reading, Mode::COMPAT, &items, &sums);
        let official = fs::read_to_string(results.join("reading/report.txt")).expect("a report");
        let measured = format!(
            "EYE TRACKING SCORE: {:.2}\nSELF-PACED READING SCORE: {:.2}",
            value(&scores, "eye-tracking", None).0,
            value(&scores, "self-paced", None).0
        );
        assert_eq!(measured, official.trim_end(), "{model}");
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn golden_reports_from_predictions() {
    let Some(shared) = recording("") else { return };
    let mut compared = 0;
    for (model, results) in models(&shared) {
        let archive = shared.join(format!("data/reference_results/{model}.entity_tracking_predictions.zip"));
        let entity = || archive.is_file().then(|| unzip(&archive).swap_remove(0).1);
        let stored = |folder: &str| fs::read(results.join(folder).join("predictions.json")).ok();
        for (suite, folder, predictions) in [
            (Suite::BlimpSupplement, "blimp/supplement_filtered", stored("blimp/supplement_filtered")),
            (Suite::WugAdj, "wug/wug_adj_nominalization", stored("wug/wug_adj_nominalization")),
            (Suite::EntityTracking, "entity_tracking/entity_tracking", entity()),
        ] {
            let Some(predictions) = predictions else { continue };
            let scores = accuracies(&shared, suite, &serde_json::from_slice(&predictions).expect("JSON"));
            let (uids, average) = report(&results.join(folder).join("best_temperature_report.txt"));
            assert_eq!(format!("{:.2}", scores.last().expect("a score").value), average, "{model} {suite}");
            for score in scores.iter().filter(|_| suite != Suite::WugAdj) {
                let Some(name) = &score.subtask else { continue };
                let (_, printed) = uids.iter().find(|(uid, _)| uid == name).expect("a line");
                assert_eq!(format!("{:.2}", score.value), *printed, "{model} {name}");
            }
            compared += 1;
        }
    }
    assert!(compared > 0);
}

/// The models with stored results.
fn models(shared: &Path) -> Vec<(String, PathBuf)> {
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    let folders = list(&shared.join("data/reference_results")).into_iter().filter(|path| path.is_dir());
    folders.map(|path| (name(&path), path.join("main/zero_shot/causal"))).collect()
}

/// Accuracies of a model that chose what the stored predictions say.
fn accuracies(shared: &Path, suite: Suite, predictions: &Value) -> Vec<Score> {
    let items = read(suite, Mode::COMPAT, &files_of(shared, suite, Size::Full)).expect("evaluation data");
    let sums = |item: &Item| -> Vec<f64> {
        // These models were evaluated when WUG was one task of another name, scored by accuracy.
        let uid = if suite == Suite::WugAdj { "wug_adj_nominalization" } else { &item.subtask };
        let predicted = predictions[uid]["predictions"][item.index as usize]["pred"].as_str().expect("a prediction");
        let is_it = |candidate: &Candidate| candidate.text.chars().skip(candidate.scored_from).eq(predicted.chars());
        let sums: Vec<f64> = item.candidates.iter().map(|candidate| -f64::from(u8::from(!is_it(candidate)))).collect();
        assert!(sums.contains(&0.0), "{uid} {}: {predicted} is none of the candidates", item.index);
        sums
    };
    let sums: Vec<Vec<f64>> = items.iter().map(sums).collect();
    let (scores, _) = score_sums(suite, Mode::COMPAT, &items, &sums);
    scores.into_iter().filter(|score| score.metric == "accuracy").collect()
}
