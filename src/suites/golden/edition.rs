//! The edition of 2026.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::domain::{AoaFit, Edition, GlueTask, Milestone, ScoringBackend};
use crate::suites::official;

/// Names and contents.
type Files = Vec<(String, Vec<u8>)>;

/// The context of a word, and its surprisal after each number of words.
type Curve = (String, BTreeMap<u64, f64>);

/// The suite and the data of a folder of results; entity tracking has the rows that it was recorded on.
fn data_of(shared: &Path, set: &str) -> Option<(Suite, Files)> {
    let edition = shared.join("golden/edition-2026");
    Some(match set {
        "ewok_made" => (Suite::Ewok, files(&edition.join("collate-2026/inputs/ewok_fast"))),
        "global_piqa_parallel" => (Suite::GlobalPiqaParallel, files(&edition.join("global-piqa-made").join(set))),
        "global_piqa_nonparallel" => (Suite::GlobalPiqaNonparallel, files(&edition.join("global-piqa-made").join(set))),
        "entity_tracking_fast" => {
            let rows: Vec<usize> = serde_json::from_value(json(&edition.join("entity-rows-2026.json"))).expect("rows");
            let regular = |(name, _): &&(String, Vec<u8>)| name.ends_with("regular.jsonl");
            let all = files_of(shared, Suite::EntityTracking, Size::Fast);
            let (_, bytes) = all.iter().find(regular).expect("the file of the fast set");
            let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
            let picked: Vec<u8> = rows.iter().flat_map(|&row| [lines[row], b"\n"].concat()).collect();
            (Suite::EntityTracking, vec![("regular.jsonl".to_owned(), picked)])
        }
        _ => {
            let (suite, size) = sets().find(|&(suite, size)| folder(suite, size) == set)?;
            (suite, files_of(shared, suite, size))
        }
    })
}

/// The recorded lines in the order of the items, each by the place of its item among the items that were read.
fn lines_by_item(items: &[Item], suite: Suite, results: &Path) -> Vec<(usize, Value)> {
    let is_piqa = matches!(suite, Suite::GlobalPiqaParallel | Suite::GlobalPiqaNonparallel);
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut places = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        let uid = if is_piqa { item.report_labels[0].value.as_str() } else { item.subtask.as_str() };
        let count = counts.entry(uid).or_default();
        places.insert((uid, *count), place);
        *count += 1;
    }
    let place =
        |line: &Value| places[&(line["uid"].as_str().expect("a UID"), line["index"].as_u64().expect("an index"))];
    let mut lines: Vec<(usize, Value)> =
        lines(&results.join("scores.jsonl.gz")).into_iter().map(|line| (place(&line), line)).collect();
    lines.sort_by_key(|(place, _)| *place);
    lines
}

#[test]
fn golden_choices_and_reports_of_2026() {
    let Some(shared) = recording("") else { return };
    let folders = [list(&shared.join("golden")), list(&shared.join("golden/architectures"))].concat();
    let mut compared = 0;
    for results in folders.iter().flat_map(|model| list(&model.join("eval2026"))).filter(|path| path.is_dir()) {
        let set = results.file_name().expect("a name").to_string_lossy().into_owned();
        let at = results.display();
        let Some((suite, data)) = data_of(&shared, &set) else { panic!("{at}: an unknown set") };
        let all = read(suite, Mode::COMPAT_2026, &data).expect("evaluation data");
        let lines = lines_by_item(&all, suite, &results);
        let items: Vec<Item> = lines.iter().map(|(place, _)| all[*place].clone()).collect();
        // Recorded scores of Global PIQA are already divided by the number of tokens.
        let sums: Vec<Vec<f64>> = lines.iter().map(|(_, line)| floats(&line["scores"])).collect();
        let mode = Mode { global_piqa: crate::domain::PerSolution::Whole, ..Mode::COMPAT_2026 };
        let (scores, mut outcomes) = score_sums(suite, mode, &items, &sums);
        let mut ties = 0;
        for (outcome, (_, line)) in outcomes.iter_mut().zip(&lines) {
            // The official pipeline draws the winner of a tie from an unseeded generator.
            if let Some(tied) = line["tied"].as_array() {
                assert!(tied.contains(&Value::from(outcome.chosen)), "{at}: {line}");
                outcome.chosen = line["pred"].as_u64().expect("an index") as u32;
                outcome.correct = line["pred"] == line["label"];
                ties += 1;
            }
            assert_eq!(Value::from(outcome.chosen), line["pred"], "{at} {} {}", outcome.subtask, outcome.item);
            assert_eq!(Value::from(outcome.correct), Value::from(line["pred"] == line["label"]), "{at}: {line}");
        }
        let aggregate = scores.last().expect("an aggregate");
        assert_eq!(aggregate.ties, ties, "{at}");
        let exact = json(&results.join("full_precision.json"))["average"].as_f64().expect("an average");
        assert!((aggregate.value - exact).abs() < 1e-9 || ties > 0, "{at}: {} is not {exact}", aggregate.value);
        let by_outcome: Vec<&Score> = scores.iter().filter(|_| ties == 0).collect();
        if ties == 0 {
            let official = official_of(suite).report.as_ref().expect("a report");
            let ours = (official.write)(suite, &items, &outcomes, &by_outcome);
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            let theirs = fs::read_to_string(results.join("best_temperature_report.txt")).expect("a report");
            assert_eq!(sorted(&ours), sorted(&theirs), "{at}");
        }
        let ours: Value = serde_json::from_str(&official::predictions(suite, &items, &outcomes)).expect("JSON");
        let mut theirs = String::new();
        let file = fs::File::open(results.join("predictions.json.gz")).expect("a file");
        flate2::read::GzDecoder::new(file).read_to_string(&mut theirs).expect("gzip");
        let theirs: Value = serde_json::from_str(&theirs).expect("JSON");
        assert_eq!(ours, theirs, "{at}");
        compared += 1;
    }
    assert!(compared > 0);
}

/// Recorded surprisals of a made-up training run, with the official fit of both years.
#[test]
fn golden_age_of_acquisition() {
    let Some(shared) = recording("golden/edition-2026/aoa-made") else { return };
    let surprisals = fs::read_to_string(shared.join("surprisal.json")).expect("a file").replace("NaN", "null");
    let surprisals: Value = serde_json::from_str(&surprisals).expect("JSON");
    let mut contexts: BTreeMap<String, BTreeMap<u64, Curve>> = BTreeMap::new();
    for row in surprisals["results"].as_array().expect("rows") {
        let (word, number) = (row["target_word"].as_str().expect("a word"), row["context_id"].as_u64().expect("an id"));
        let context = row["context"].as_str().expect("a context").to_owned();
        let of_word = contexts.entry(word.to_owned()).or_default();
        let (_, curve) = of_word.entry(number).or_insert_with(|| (context, BTreeMap::new()));
        curve.insert(row["word_count"].as_u64().expect("words"), row["surprisal"].as_f64().unwrap_or(f64::NAN));
    }
    let file: serde_json::Map<String, Value> = contexts
        .iter()
        .map(|(word, rows)| {
            let rows = rows.values().map(|(context, _)| serde_json::json!({"context": context}));
            (word.clone(), rows.collect())
        })
        .collect();
    let mut compared = 0;
    for (year, mode) in [(2025, Mode::COMPAT), (2026, Mode::COMPAT_2026)] {
        for (name, expected) in json(&shared.join(format!("expected-{year}.json"))).as_object().expect("cases") {
            let shuffled = if name.starts_with("shuffled") { "_shuffled" } else { "" };
            let children = fs::read(shared.join(format!("cdi_human{shuffled}.csv"))).expect("a table");
            let files = [
                ("cdi_childes.json".to_owned(), Value::from(file.clone()).to_string().into_bytes()),
                ("cdi_human.csv".to_owned(), children),
            ];
            let items = read(Suite::Aoa, mode, &files).expect("items");
            let curves: Vec<&BTreeMap<u64, f64>> = contexts
                .iter()
                .filter(|(word, _)| word.len() > 1)
                .flat_map(|(_, rows)| rows.values())
                .map(|(_, curve)| curve)
                .collect();
            assert_eq!(items.len(), curves.len());
            let stage = |words: &u64| AoaCheckpoint {
                name: format!("{words}-words"),
                words: *words,
                likelihoods: curves
                    .iter()
                    .map(|curve| Likelihood {
                        sum: -curve.get(words).copied().unwrap_or(f64::NAN),
                        tokens: 1,
                        bytes: 1,
                    })
                    .collect(),
            };
            let stages: Vec<AoaCheckpoint> = curves[0].keys().map(stage).collect();
            let pieces: BTreeMap<String, u32> = expected["per_word"]
                .as_object()
                .expect("words")
                .iter()
                .filter_map(|(word, row)| Some((word.clone(), row["subwords"].as_f64()? as u32)))
                .collect();
            let vocabulary = expected["vocab_size"].as_u64().unwrap_or_default() as u32;
            let (score, _) = score_checkpoints(mode, &items, &stages, &pieces, vocabulary);
            let official = &expected["official"];
            let r = official["curve_fitness"].as_f64().expect("a correlation");
            let words = official["n_words"].as_u64().expect("a number of words");
            assert_eq!(score.n, words, "{year} {name}");
            assert!((score.value / 100.0 - r).abs() < 1e-3, "{year} {name}: {} is not {r}", score.value / 100.0);
            assert_eq!(mode.aoa == AoaFit::Official, year == 2025);
            compared += 1;
        }
    }
    assert!(compared > 2);
}

/// What a recorded model has at a checkpoint: the entry of the collated file for the recorded scores in `results`.
fn fast_entry(suite: Suite, items: &[Item], sums: &[Vec<f64>]) -> Value {
    let mode = Mode { global_piqa: crate::domain::PerSolution::Whole, ..Mode::COMPAT_2026 };
    let (scores, _) = score_sums(suite, mode, items, sums);
    official::fast_result(suite, &scores.iter().collect::<Vec<_>>())
}

/// The recorded scores in a folder for the first items of these, without those of a subtask.
fn recorded_entry(shared: &Path, results: &Path, without: Option<&str>) -> (Suite, Value) {
    let set = results.file_name().expect("a name").to_string_lossy().into_owned();
    if set == "reading" {
        let stored = lines(&results.join("scores.jsonl.gz"));
        let number = |row: usize, name: &str| stored[row][name].as_f64().unwrap_or(f64::NAN);
        let (items, sums) = reading_items(shared, &|row| (number(row, "pred"), number(row, "prev_pred")));
        return (Suite::Reading, fast_entry(Suite::Reading, &items, &sums));
    }
    let (suite, data) = data_of(shared, &set).unwrap_or_else(|| panic!("{set} is not known"));
    let all = read(suite, Mode::COMPAT_2026, &data).expect("evaluation data");
    let mut lines = lines_by_item(&all, suite, results);
    lines.retain(|(place, _)| without.is_none_or(|subtask| all[*place].subtask != subtask));
    let items: Vec<Item> = lines.iter().map(|(place, _)| all[*place].clone()).collect();
    let sums: Vec<Vec<f64>> = lines.iter().map(|(_, line)| floats(&line["scores"])).collect();
    (suite, fast_entry(suite, &items, &sums))
}

/// The collated file that the official script wrote for recorded results, some of which are missing or have wrong counts.
#[test]
fn golden_collated_file() {
    let Some(shared) = recording("") else { return };
    let collated = shared.join("golden/edition-2026/collate-2026");
    let mut theirs = String::new();
    let file = fs::File::open(collated.join("all_full_preds_and_fast_scores_causal-6f825c29.json.gz")).expect("a file");
    flate2::read::GzDecoder::new(file).read_to_string(&mut theirs).expect("gzip");
    let theirs: Value = serde_json::from_str(&theirs.replace("NaN", "null")).expect("JSON");

    let (llama, gpt2) = (shared.join("golden/llama-a"), shared.join("golden/gpt2-b"));
    let mut submission = official::Submission::default();
    for (suite, set) in [(Suite::Blimp, "blimp_filtered"), (Suite::BlimpSupplement, "supplement_filtered")] {
        let items = read(suite, Mode::COMPAT, &files_of(&shared, suite, Size::Full)).expect("evaluation data");
        let stored = lines(&llama.join("eval").join(set).join("scores.jsonl.gz"));
        let sums: Vec<Vec<f64>> = stored.iter().map(|line| floats(&line["scores"])).collect();
        let (_, outcomes) = score_sums(suite, Mode::COMPAT, &items, &sums);
        assert!(official::is_accepted(Edition::Of2026, suite, Size::Full, &outcomes));
        submission.add_predictions(suite, official::predictions(suite, &items, &outcomes));
    }
    let stored = lines(&llama.join("eval/reading/scores.jsonl.gz"));
    let number = |row: usize, name: &str| stored[row][name].as_f64().unwrap_or(f64::NAN);
    let (items, sums) = reading_items(&shared, &|row| (number(row, "pred"), number(row, "prev_pred")));
    let (_, outcomes) = score_sums(Suite::Reading, Mode::COMPAT_2026, &items, &sums);
    submission.add_predictions(Suite::Reading, official::predictions(Suite::Reading, &items, &outcomes));
    for suite in [Suite::EntityTracking, Suite::GlobalPiqaParallel, Suite::GlobalPiqaNonparallel, Suite::Aoa] {
        submission.reject(suite);
    }
    let aoa = json(&shared.join("golden/edition-2026/aoa-made/expected-2026.json"));
    submission.add_aoa(aoa["human_llama-a"]["official"]["curve_fitness"].clone());
    for task in [GlueTask::Rte, GlueTask::Wsc] {
        let predictions = llama.join(format!("finetune/fixed/{task}/seed42/predictions.json"));
        submission.add_classifications(task, json(&predictions));
    }

    let [first, second, third] = [1, 2, 3].map(|millions| Milestone::Words(millions * 1_000_000));
    let mut add = |milestone, results: PathBuf, without: Option<&str>| {
        let (suite, entry) = recorded_entry(&shared, &results, without);
        submission.add_checkpoint(suite, milestone, entry);
    };
    add(first, gpt2.join("eval2026/blimp_fast"), None);
    add(first, gpt2.join("eval2026/supplement_fast"), None);
    add(first, gpt2.join("eval/reading"), None);
    add(second, llama.join("eval2026/supplement_fast"), None);
    add(second, llama.join("eval/reading"), None);
    add(third, llama.join("eval2026/blimp_fast"), Some("passive_1"));
    add(third, llama.join("eval2026/supplement_fast"), None);
    add(third, llama.join("eval2026/ewok_made"), None);
    add(third, llama.join("eval/reading"), None);
    // Scores of all rows were recorded, of which the edition counts those without an option "nothing".
    let all = read(Suite::EntityTracking, Mode::COMPAT, &files_of(&shared, Suite::EntityTracking, Size::Fast));
    let kept = read(Suite::EntityTracking, Mode::COMPAT_2026, &files_of(&shared, Suite::EntityTracking, Size::Fast));
    let (all, kept) = (all.expect("all rows"), kept.expect("the rows of the edition"));
    let stored = lines(&llama.join("eval/entity_tracking_fast/scores.jsonl.gz"));
    let by_item: HashMap<(&str, u32), Vec<f64>> = all
        .iter()
        .zip(&stored)
        .map(|(item, line)| ((item.subtask.as_str(), item.index), floats(&line["scores"])))
        .collect();
    let sums: Vec<Vec<f64>> = kept.iter().map(|item| by_item[&(item.subtask.as_str(), item.index)].clone()).collect();
    for milestone in [second, third] {
        let entry = fast_entry(Suite::EntityTracking, &kept, &sums);
        submission.add_checkpoint(Suite::EntityTracking, milestone, entry);
    }
    // The made-up examples were repeated to the official number.
    for (milestone, model) in [(first, &gpt2), (third, &llama)] {
        for suite in [Suite::GlobalPiqaParallel, Suite::GlobalPiqaNonparallel] {
            let name = suite.name().replace('-', "_");
            let items = read(suite, Mode::COMPAT_2026, &files(&collated.join("inputs").join(&name))).expect("data");
            let stored = lines(&model.join("eval2026").join(&name).join("scores.jsonl.gz"));
            let sums = |item: &Item| {
                let example = &item.report_labels[0].value;
                let base = example.rsplit_once('_').map_or(example.as_str(), |(base, _)| base);
                let line = stored.iter().find(|line| line["uid"] == base || line["uid"] == example.as_str());
                floats(&line.unwrap_or_else(|| panic!("{example}"))["scores"])
            };
            let sums: Vec<Vec<f64>> = items.iter().map(sums).collect();
            submission.add_checkpoint(suite, milestone, fast_entry(suite, &items, &sums));
        }
    }

    let (name, ours) = submission.file(Edition::Of2026, official::Track::StrictSmall, ScoringBackend::Causal);
    assert_eq!(name, "all_full_preds_and_fast_scores_causal.json");
    let ours: Value = serde_json::from_str(&ours.replace("NaN", "null")).expect("JSON");
    same(&ours, &theirs, "file");
}

/// Equal as JSON, but for ties: the official pipeline draws their winners from an unseeded generator.
fn same(ours: &Value, theirs: &Value, at: &str) {
    match (ours, theirs) {
        (Value::Object(one), Value::Object(two)) => {
            assert_eq!(one.keys().collect::<Vec<_>>(), two.keys().collect::<Vec<_>>(), "{at}");
            one.iter().for_each(|(key, value)| same(value, &two[key], &format!("{at}.{key}")));
        }
        (Value::Array(one), Value::Array(two)) => {
            assert_eq!(one.len(), two.len(), "{at}");
            one.iter().zip(two).enumerate().for_each(|(place, (one, two))| same(one, two, &format!("{at}.{place}")));
        }
        (Value::Number(one), Value::Number(two)) => {
            let (one, two) = (one.as_f64().expect("a number"), two.as_f64().expect("a number"));
            // One tie among 200 items; the tie among twelve examples is repeated eight or nine times among a hundred.
            let ties = match at {
                _ if at.contains("nonparallel.") => 0.09,
                _ if at.contains("fast_eval_results.blimp.") => 0.005,
                _ => 0.0,
            };
            assert!((one - two).abs() <= ties + 1e-6, "{at}: {one} {two}");
        }
        _ => assert_eq!(ours, theirs, "{at}"),
    }
}
