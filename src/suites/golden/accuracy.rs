use super::*;

#[test]
fn golden_accuracies_and_every_choice() {
    let Some(shared) = recording("") else { return };
    let mut compared = 0;
    for (model, set, results) in golden(&shared) {
        let Some((suite, size)) = sets().find(|&(suite, size)| folder(suite, size) == set) else { continue };
        if !matches!(suite, Suite::Blimp | Suite::BlimpSupplement | Suite::EntityTracking) {
            continue;
        }
        let stored = lines(&results.join("scores.jsonl.gz"));
        let mut items = read(suite, Mode::COMPAT, &files_of(&shared, suite, size)).expect("evaluation data");
        // One model was evaluated on the first rows of entity tracking only.
        assert!(stored.len() == items.len() || suite == Suite::EntityTracking, "{model} {set}");
        items.truncate(stored.len());
        let sums: Vec<Vec<f64>> = stored.iter().map(|line| floats(&line["scores"])).collect();
        let (scores, outcomes) = score_sums(suite, Mode::COMPAT, &items, &sums);
        for (outcome, line) in outcomes.iter().zip(&stored) {
            assert_eq!(Value::from(outcome.subtask.as_str()), line["uid"]);
            assert_eq!(Value::from(outcome.item), line["index"]);
            assert_eq!(Value::from(outcome.chosen), line["pred"], "{model} {set} {} {}", outcome.subtask, outcome.item);
        }
        let exact = json(&results.join("full_precision.json"));
        let (uids, average) = report(&results.join("best_temperature_report.txt"));
        let (last, subtasks) = scores.split_last().expect("an aggregate");
        assert!(subtasks.len() <= uids.len());
        for score in subtasks {
            let name = score.subtask.as_deref().expect("a subtask");
            let official = exact["breakdown"]["UID"][name].as_f64().expect("a UID");
            assert!((score.value - official).abs() < 1e-9, "{model} {set} {name}: {} is not {official}", score.value);
            let printed = uids.iter().find(|(uid, _)| uid == name).expect("a line");
            assert_eq!(format!("{:.2}", score.value), printed.1, "{model} {set} {name}");
        }
        assert!((last.value - exact["average"].as_f64().expect("an average")).abs() < 1e-9, "{model} {set}");
        assert_eq!(format!("{:.2}", last.value), average, "{model} {set}");
        let summary = &json(&results.join("../../scores.json"))[&set];
        assert_eq!(Value::from(last.ties), summary["exact_ties"], "{model} {set}");
        assert_eq!(Value::from(last.near_ties), summary["gap_below_1e_4"], "{model} {set}");
        compared += 1;
    }
    assert!(compared > 0);
}

#[test]
fn real_sizes_and_floors() {
    let Some(shared) = recording("") else { return };
    // Items, subtasks, and the floor of the shortest candidate, as published with the data sets or counted on them.
    let known = [
        (Suite::Blimp, Size::Full, Mode::COMPAT, 59_875, 67, Some(48.9)),
        (Suite::Blimp, Size::Fast, Mode::FIXED, 13_400, 67, None),
        (Suite::BlimpSupplement, Size::Full, Mode::COMPAT, 5_218, 5, Some((49.8 + 21.1 + 29.7 + 61.0 + 56.6) / 5.0)),
        (Suite::BlimpSupplement, Size::Fast, Mode::FIXED, 250, 5, None),
        (Suite::EntityTracking, Size::Full, Mode::COMPAT, 9_483, 18, Some((34.6 + 33.1 + 32.8) / 3.0)),
        (Suite::EntityTracking, Size::Fast, Mode::COMPAT, 3_152, 6, Some(34.6)),
        (Suite::EntityTracking, Size::Full, Mode::FIXED, 6_780, 18, None),
    ];
    for (suite, size, mode, count, subtasks, floor) in known {
        let items = read(suite, mode, &files_of(&shared, suite, size)).expect("evaluation data");
        assert_eq!(items.len(), count, "{suite} {size:?}");
        let candidates = items[0].candidates.len();
        let first: Vec<f64> = (0..candidates).map(|index| -(index as f64)).collect();
        let (scores, _) = score_sums(suite, mode, &items, &vec![first; count]);
        assert_eq!(scores.len(), subtasks + 1);
        let last = scores.last().expect("an aggregate");
        assert_eq!((last.value, last.chance, last.n), (100.0, Some(100.0 / candidates as f64), count as u64));
        let measured = last.floor.expect("a floor");
        assert!(floor.is_none_or(|floor| (measured - floor).abs() < 0.06), "{suite} {size:?}: {measured}");
        assert!(items.iter().all(|item| !item.group.contains("syntax_semantics")));
    }
}

#[test]
fn real_entity_tracking_without_nothing_has_the_known_sizes() {
    let Some(shared) = recording("") else { return };
    let items = read(Suite::EntityTracking, Mode::FIXED, &files_of(&shared, Suite::EntityTracking, Size::Full));
    let items = items.expect("evaluation data");
    let (scores, _) = score_sums(Suite::EntityTracking, Mode::FIXED, &items, &vec![vec![-1.0; 5]; items.len()]);
    let known = [
        ("regular", [517, 409, 405, 425, 388, 94]),
        ("ambiref", [508, 428, 413, 409, 434, 123]),
        ("move_contents", [516, 437, 399, 406, 353, 116]),
    ];
    for (split, sizes) in known {
        for (operations, size) in sizes.into_iter().enumerate() {
            let name = format!("{split}_{operations}_ops");
            let score = scores.iter().find(|score| score.subtask.as_deref() == Some(&name)).expect("a subtask");
            assert_eq!(score.n, size, "{name}");
            assert!((score.value - 20.0).abs() < 1e-9, "a tie of five: {}", score.value);
        }
        let floors = scores.iter().filter(|score| score.subtask.as_ref().is_some_and(|name| name.starts_with(split)));
        let floor = floors.filter_map(|score| score.floor).sum::<f64>() / 6.0;
        assert!((11.0..20.0).contains(&floor), "{split}: {floor}");
    }
}
