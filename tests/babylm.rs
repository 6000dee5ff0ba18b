//! Submissions to the BabyLM challenge, and the leaderboard.

use std::fs;
use std::path::Path;

use crate::common::{Env, TINY};
use serde_json::Value;

/// An experiment with one model of the toy world, scored with `mode: compat`.
fn env_with_scores() -> Env {
    let spec = TINY.replace("evaluate: {data: world, items: 20,", "evaluate: {data: world, items: 20, mode: compat,");
    let env = Env::new(&spec);
    env.run(0, &["run", "spec.yaml", "-S", "axes={dataset: [chat], curriculum: [merged], seed: [1]}"]);
    env
}

/// A file of results, in which a missing number is a bare NaN, as Python writes it.
fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text.replace(": NaN", ": null")).expect("JSON")
}

#[test]
fn an_incomplete_submission_is_written_only_with_partial() {
    let env = env_with_scores();
    let out = env.path().join("out");
    let stderr = env.stderr(8, &["export", "babylm", "tiny", "out"]);
    for message in [
        "  nano-chat-single-seed1:\n",
        "    ewok, entity_tracking, wug_adj, wug_past, comps, reading, aoa: not evaluated on the full set",
        "glue: not fine-tuned for boolq",
        "wug_past, reading: none of the 28 checkpoints is evaluated on the fast set",
        "nothing was written",
        "grid: warning: the results of blimp, blimp-supplement are those of the toy world; the leaderboard refuses them",
    ] {
        assert!(stderr.contains(message), "no '{message}' in\n{stderr}");
    }
    assert!(!out.exists());

    let small = env.stderr(0, &["export", "babylm", "tiny", "out", "--partial", "--track", "strict-small"]);
    assert!(small.contains("none of the 19 checkpoints"), "{small}");
    let results = out.join("results/nano-chat-single-seed1");
    let folder = results.join("main/zero_shot/causal/blimp/blimp_filtered");
    let predictions = json(&folder.join("predictions.json"));
    let report = fs::read_to_string(folder.join("best_temperature_report.txt")).expect("a report");
    let value = env.query("select printf('%.2f', value) from v_scores where suite = 'blimp' and subtask is null");
    assert!(report.contains(&format!("### AVERAGE ACCURACY\n{}\n", value[0])), "{report}");
    let items = env.query("select subtask, item, chosen from v_items where suite = 'blimp' order by subtask, item");
    assert!(items.len() > 50);
    for row in items {
        let [subtask, item, chosen] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let item: usize = item.parse().expect("a number");
        let row = &predictions[subtask]["predictions"][item];
        assert_eq!(row["id"], format!("{subtask}_{item}"));
        assert!(row["pred"].as_str().is_some_and(|text| !text.is_empty()), "{row} {chosen}");
    }
    let collated = json(&results.join("all_full_preds_and_fast_scores_causal.json"));
    assert_eq!(collated["blimp"], predictions);
    assert!(collated["blimp_supplement"].is_object() && collated["ewok"].is_null());
    let again = env.stderr(6, &["export", "babylm", "tiny", "out", "--partial"]);
    assert!(again.contains("is not empty"), "{again}");

    // A model can also be named by its job, whichever experiment scored it.
    env.run(0, &["export", "babylm", "nano/chat/seed1", "by-job", "--partial"]);
    let by_job = env.path().join("by-job/results/nano-chat-seed1/main/zero_shot/causal/blimp/blimp_filtered");
    assert_eq!(json(&by_job.join("predictions.json")), predictions);
    env.stderr(4, &["export", "babylm", "no-such", "x"]);
}

/// The edition of 2026, whose rules its name implies: on the toy world all that there is can be handed in, and the rest is
/// null.
#[test]
fn a_submission_to_2026_has_null_for_what_is_missing() {
    let spec = TINY.replace("suites: [blimp, blimp-supplement]", "suites: babylm-2026");
    let env = Env::new(&spec);
    let narrow = "axes={dataset: [chat], curriculum: [pretrained], seed: [1]}";
    let milestones = "pretrain.milestones={words: [1000, 2000, 3000]}";
    let checkpoints = "evaluate.checkpoints={items: 5, suites: [blimp, ewok, global-piqa-parallel]}";
    let glue = "finetune={epochs: 1}";
    env.run(0, &["run", "spec.yaml", "-S", narrow, "-S", milestones, "-S", checkpoints, "-S", glue]);
    let modes = env.query("select distinct mode from v_scores where suite != 'glue'");
    assert_eq!(modes, ["compat-2026"]);
    let stderr = env.stderr(8, &["export", "babylm", "tiny", "out", "--year", "2026"]);
    assert!(stderr.contains("glue: not fine-tuned for boolq, mnli, mrpc, multirc, qqp"), "{stderr}");
    assert!(!stderr.contains("predictions instead of"), "{stderr}");
    env.stderr(0, &["export", "babylm", "tiny", "out", "--year", "2026", "--partial", "--track", "strict-small"]);
    let out = env.path().join("out/results");
    let folder = fs::read_dir(&out).expect("results").next().expect("a model").expect("an entry").path();
    let file = json(&folder.join("all_full_preds_and_fast_scores_causal.json"));
    let keys: Vec<&String> = file.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "aoa",
            "aoa_surprisals",
            "blimp",
            "blimp_supplement",
            "comps",
            "entity_tracking_filtered",
            "ewok",
            "fast_eval_results",
            "global_piqa_nonparallel",
            "global_piqa_parallel",
            "glue",
            "reading",
        ]
    );
    let ewok = &file["ewok"]["agent-properties"]["predictions"][0]["pred"];
    assert!(ewok.as_str().is_some_and(|pred| pred.contains("? The ")), "a whole sentence: {ewok}");
    let piqa = &file["global_piqa_parallel"]["toy_parallel_0"]["predictions"];
    assert_eq!(piqa.as_array().map(Vec::len), Some(1), "{piqa}");
    assert!(file["aoa"]["aoa"].is_number(), "{}", file["aoa"]);
    let lists = file["fast_eval_results"].as_object().expect("lists");
    assert!(lists.len() == 7 && lists.values().all(|list| *list == Value::Array(vec![Value::Null; 19])), "{lists:?}");

    let stderr = env.stderr(1, &["export", "babylm", "tiny", "other", "--year", "2026", "--track", "multilingual"]);
    assert!(stderr.contains("part-of-speech tagging (UD), and mixed models of eye movements (MECO)"), "{stderr}");
    let stderr = env.stderr(8, &["export", "babylm", "tiny", "other"]);
    assert!(stderr.contains("results of mode 'compat' can be submitted; `--year 2026` exports them"), "{stderr}");
}

/// Official data that are not whole: a wrong count is reported before a server does, and the part is null.
#[test]
fn a_part_with_a_wrong_count_is_reported_and_null() {
    let spec = TINY.replace("data: world, items: 20,", "data: evaluation_data, size: full,");
    let env = Env::new(&spec.replace("suites: [blimp, blimp-supplement]", "mode: compat-2026, suites: [blimp, comps]"));
    let folder = |name: &str| {
        let folder = env.path().join("evaluation_data/full_eval").join(name);
        fs::create_dir_all(&folder).expect("a folder");
        folder
    };
    let pair = r#"{"sentence_good": "The king sings.", "sentence_bad": "The king sing.", "UID": "adjunct_island"}"#;
    fs::write(folder("blimp_filtered").join("adjunct_island.jsonl"), format!("{pair}\n{pair}\n")).expect("a file");
    let concept = r#"{"prefix_acceptable": "The king", "prefix_unacceptable": "The cup", "property_phrase": "sings."}"#;
    fs::write(folder("comps").join("comps_base.jsonl"), format!("{concept}\n")).expect("a file");
    env.run(0, &["run", "spec.yaml", "-S", "axes={dataset: [chat], curriculum: [merged], seed: [1]}"]);
    let stderr = env.stderr(0, &["export", "babylm", "tiny", "out", "--year", "2026", "--partial"]);
    assert!(stderr.contains("blimp: adjunct_island has 2 predictions instead of 928"), "{stderr}");
    assert!(!stderr.contains("comps: not evaluated on the full set"), "it was, in part: {stderr}");
    let out = env.path().join("out/results/nano-chat-single-seed1");
    let file = json(&out.join("all_full_preds_and_fast_scores_causal.json"));
    assert_eq!((&file["blimp"], &file["comps"]), (&Value::Null, &Value::Null));
    assert!(out.join("main/zero_shot/causal/comps/comps/predictions.json").exists());
}

#[test]
fn scores_of_other_modes_cannot_be_submitted() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1]"]);
    let stderr = env.stderr(8, &["export", "babylm", "tiny", "out"]);
    let rules = "blimp, blimp-supplement: scored in mode 'fixed', but only results of mode 'compat' can be submitted";
    assert!(
        stderr.contains(rules) && stderr.starts_with("grid: the submission is incomplete:\n  all 4 models:\n"),
        "{stderr}"
    );
    assert!(stderr.lines().count() <= 8, "equal reasons are reported once\n{stderr}");
    // There are no results, so nothing is written even with `--partial`.
    let stderr = env.stderr(8, &["export", "babylm", "tiny", "out", "--partial"]);
    assert!(stderr.contains("nothing was written, because there are no results to submit yet"), "{stderr}");
    assert!(!env.path().join("out").exists());
}

#[test]
fn the_leaderboard_leaves_incomplete_aggregates_empty() {
    let env = env_with_scores();
    let table = env.run(0, &["report", "--table", "leaderboard"]);
    assert!(table.contains("tiny: leaderboard") && table.contains("text"), "{table}");
    let csv = env.run(0, &["report", "--table", "leaderboard", "--format", "csv"]);
    let line: Vec<&str> = csv.lines().nth(1).expect("a row").split(',').collect();
    let heads: Vec<&str> = csv.lines().next().expect("heads").split(',').collect();
    let value = |head: &str| line[heads.iter().position(|known| *known == head).expect("a column")];
    assert!(!value("BLiMP").is_empty() && !value("Suppl.").is_empty(), "{csv}");
    assert_eq!((value("rules"), value("NLP"), value("macro")), ("compat", "", ""));
}
