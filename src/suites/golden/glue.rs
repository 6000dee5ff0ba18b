use crate::domain::GlueTask;
use crate::suites::glue::{self, ClassLogits, Example};

use super::*;

fn examples(shared: &Path, file: &str, task: GlueTask) -> Option<Vec<Example>> {
    let path = data(shared, Suite::Glue, Size::Full).join(file);
    path.exists().then(|| glue::read(task, file, &fs::read(path).expect("a file")).expect("rows"))
}

/// Number of rows, fraction of the most frequent class, and the floor of the first word, as published or counted on the data
/// sets.
#[test]
fn real_majorities_and_first_words() {
    let Some(shared) = shared("real_majorities_and_first_words") else { return };
    let known = [
        (GlueTask::Boolq, 1_635, 64.0367, None),
        (GlueTask::Mnli, 4_908, 35.6968, Some(34.05)),
        (GlueTask::Mrpc, 204, 68.1373, Some(67.65)),
        (GlueTask::Rte, 139, 53.9568, Some(52.52)),
        (GlueTask::Wsc, 52, 61.5385, Some(61.54)),
    ];
    for (task, rows, majority, first_word) in known {
        let valid = examples(&shared, &task.valid_file(), task).expect("a valid file");
        let train = examples(&shared, &task.train_file(), task).unwrap_or_default();
        let classes = task.classes() as usize;
        let right =
            |row: &Example| (0..classes).map(|class| f32::from(u8::from(class == row.label as usize))).collect();
        let perfect = ClassLogits::new(valid.iter().map(right).collect());
        let (scores, outcomes) = glue::score(task, Mode::FIXED, &train, &valid, &perfect, None);
        let official = scores.last().expect("scores");
        assert_eq!((official.value, official.n, outcomes.len()), (100.0, rows, rows as usize), "{task}");
        assert!((official.chance.expect("a majority") - majority).abs() < 1e-4, "{task}: {:?}", official.chance);
        if let Some(known) = first_word {
            let floor = official.floor.expect("a floor");
            assert!((floor - known).abs() < 0.05, "{task}: {floor}, not {known}");
        }
    }
}

/// The metrics of the official pipeline from its own predictions.
#[test]
fn golden_finetuning_metrics() {
    let Some(shared) = shared("golden_finetuning_metrics") else { return };
    let mut compared = 0;
    for folder in list(&shared.join("golden")).iter().flat_map(|model| list(&model.join("finetune"))) {
        for task in GlueTask::ALL {
            let Some(valid) = examples(&shared, &task.valid_file(), task) else { continue };
            for run in list(&folder.join(task.name())) {
                let predictions = json(&run.join("predictions.json"));
                let predicted = predictions[task.name()]["predictions"].as_array().expect("a list");
                let row = |row: &Value| {
                    let predicted = row["pred"].as_u64().expect("a class");
                    (0..u64::from(task.classes())).map(|class| f32::from(u8::from(class == predicted))).collect()
                };
                let classes = ClassLogits::new(predicted.iter().map(row).collect());
                let measured = glue::measures(task, &valid, &classes);
                let results = fs::read_to_string(run.join("results.txt")).expect("results");
                for line in results.lines() {
                    let (name, value) = line.split_once(": ").expect("a metric");
                    let wanted: f64 = value.parse().expect("a number");
                    let got = measured.iter().find(|(known, _)| *known == name).expect("the metric").1;
                    assert!((got - 100.0 * wanted).abs() < 1e-9, "{} {name}: {got}", run.display());
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 0);
}
