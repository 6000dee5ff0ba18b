//! The shipped CLASS-IT specs, planned without data: the plan must agree with the numbers in the paper.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::Env;
use crate::common::recordings::recording;
use serde_json::Value;

fn shipped_spec(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

/// The plan of a shipped spec as JSON, made in an empty folder with the given overrides.
fn plan(name: &str, overrides: &[&str]) -> Value {
    let env = Env::new("");
    let path = shipped_spec(name);
    let mut arguments = vec!["plan", &path, "--format", "json", "-S", "data_root=nowhere"];
    arguments.extend(overrides.iter().flat_map(|text| ["-S", *text]));
    serde_json::from_str(&env.run(0, &arguments)).expect("JSON")
}

/// The items of a JSON list, keyed by one of their text fields.
fn keyed_by<'a>(list: &'a Value, field: &str) -> BTreeMap<&'a str, &'a Value> {
    let items = list.as_array().expect("a list").iter();
    items.map(|item| (item[field].as_str().expect("text"), item)).collect()
}

#[test]
fn model_sizes_match_table_1() {
    let plan = plan("class-it.yaml", &[]);
    let models = keyed_by(&plan["models"], "name");
    assert_eq!(models["llama140M"]["parameters"], 140_231_872);
    assert_eq!(models["llama100M"]["parameters"], 100_684_288);
    let text = Env::new("").run(0, &["plan", &shipped_spec("class-it.yaml"), "-S", "data_root=nowhere"]);
    for shown in ["140,231,872", "100,684,288", "32,000", "16,384"] {
        assert!(text.contains(shown), "no {shown} in\n{text}");
    }
}

/// tokenizer → pretrain → {switch, wiki, merged}; switch → switch_wiki; wiki → wiki_switch, for each size and seed.
/// Shared stages are planned once.
#[test]
fn the_job_graph_matches_the_paper() {
    let plan = plan("class-it.yaml", &[]);
    assert_eq!(plan["cells"], 36, "two sizes, six variants, three seeds");
    let kinds = keyed_by(&plan["kinds"], "kind");
    let count = |kind: &str, field: &str| kinds[kind][field].as_u64().expect("a number");
    let jobs = ["tokenizer", "prepare", "pretrain", "tune", "eval", "finetune"].map(|kind| count(kind, "jobs"));
    // For each size, a tokenizer, six corpora and two datasets; for each of its seeds, one pretraining and five
    // tunings. Ages of acquisition belong to the pretraining, which all variants share.
    assert_eq!(jobs, [2, 16, 6, 30, 36 * 8 + 6, 36 * 7]);
    assert_eq!(count("pretrain", "unshared"), 36);
    assert_eq!(count("tune", "unshared"), 6 * (1 + 1 + 1 + 2 + 2));

    let names: BTreeMap<&str, &Value> = keyed_by(&plan["jobs"], "id");
    let trainings = || names.values().filter(|job| ["pretrain", "tune"].iter().any(|kind| job["kind"] == *kind));
    let mut edges: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for job in trainings() {
        let parents = job["parents"].as_array().expect("a list").iter().map(|id| names[id.as_str().expect("an id")]);
        let parents = parents.filter(|parent| parent["kind"] != "prepare");
        let parents = parents.map(|parent| parent["label"].as_str().expect("text").to_owned()).collect();
        edges.insert(job["label"].as_str().expect("text"), parents);
    }
    assert_eq!(edges.len(), 36);
    for (size, vocabulary) in [("llama140M", 32_000), ("llama100M", 16_384)] {
        for seed in 1..=3 {
            let after = |stages: &str| edges[format!("{size}{stages}/seed{seed}").as_str()].clone();
            let name = |stages: &str| vec![format!("{size}{stages}/seed{seed}")];
            assert_eq!(after(""), [format!("vocabulary of {vocabulary}")]);
            for first in ["/switchboard", "/simple_wiki", "/switchboard+simple_wiki"] {
                assert_eq!(after(first), name(""));
            }
            assert_eq!(after("/switchboard>simple_wiki"), name("/switchboard"));
            assert_eq!(after("/simple_wiki>switchboard"), name("/simple_wiki"));
        }
    }
}

/// An epoch has 90% of the rows in batches of 8, and each stage has ten epochs.
#[test]
fn the_steps_and_words_of_each_stage() {
    let plan = plan("class-it.yaml", &[]);
    let stages = keyed_by(&plan["stages"], "label");
    assert_eq!(stages.len(), 12);
    for size in ["llama140M", "llama100M"] {
        let stage = |path: &str| stages[format!("{size}{path}").as_str()];
        for (path, units, steps, words) in [
            ("/switchboard", 34_921, 4_366, 2_340_000),
            ("/simple_wiki", 81_914, 10_240, 16_200_000),
            ("/switchboard+simple_wiki", 34_921 + 81_914, 14_605, 18_540_000),
            ("/switchboard>simple_wiki", 81_914, 10_240, 16_200_000),
            ("/simple_wiki>switchboard", 34_921, 4_366, 2_340_000),
        ] {
            let stage = stage(path);
            assert_eq!((&stage["jobs"], &stage["epochs"]), (&Value::from(3), &Value::from(10)), "{path}");
            assert_eq!(stage["units"], units, "{path}");
            assert_eq!(stage["steps_per_epoch"], steps, "{path}");
            assert_eq!(stage["steps"], 10 * steps, "{path}");
            assert_eq!(stage["words"], words, "{path}");
            assert_eq!(stage["measured"], false, "{path}");
        }
        assert_eq!(stage("")["words"], 81_900_000);
        assert_eq!((&stage("")["epochs"], &stage("")["estimated"]), (&Value::from(8), &Value::from(true)));
    }
}

/// 8 × 91M + 10 × 18M = 908M words are seen, and 90% of them (817M) are trained on.
#[test]
fn word_counts_match_the_paper() {
    let plan = plan("class-it.yaml", &[]);
    let ledger = &plan["ledger"];
    let seen = |stage: &str| -> u64 {
        let readings = ledger["readings"].as_array().expect("a list").iter();
        readings.filter(|one| one["stage"] == stage).map(|one| one["seen"].as_u64().expect("known")).sum()
    };
    assert_eq!(seen("pretrain llama140M"), 728_000_000);
    assert_eq!(seen("tune llama140M/simple_wiki"), 180_000_000);
    let accounts = keyed_by(&ledger["accounts"], "model");
    assert_eq!(accounts.len(), 12);
    let account = |variant: &str| accounts[format!("llama100M/{variant}").as_str()];
    let wiki = account("simple_wiki/single");
    assert_eq!((&wiki["seen"], &wiki["trained"]), (&Value::from(908_000_000), &Value::from(817_200_000)));
    // 91M + 8.7M words of different text, within the 100M of the track.
    assert_eq!(wiki["text"], 99_700_000);
    // The dialogues are in the corpus already, but the tokenizer is trained on the 8.7M words of the other dataset.
    assert_eq!(account("switchboard/single")["text"], 99_700_000);
    let roles: Vec<(&str, u64)> = (account("switchboard/single")["sources"].as_array().expect("a list").iter())
        .filter(|text| text["role"] != "read")
        .map(|text| (text["text"].as_str().expect("text"), text["counted"].as_u64().expect("a number")))
        .collect();
    assert_eq!(roles, [("dataset simple_wiki", 8_700_000)]);
    for both in ["switchboard+simple_wiki/merged", "switchboard+simple_wiki/sequential"] {
        assert_eq!(account(both)["seen"], 934_000_000, "{both}");
    }
    let text = Env::new("").run(0, &["plan", &shipped_spec("class-it.yaml"), "-S", "data_root=nowhere"]);
    for shown in ["908,000,000*", "817,200,000*", "budget: track strict, 100,000,000 words × 10 epochs"] {
        assert!(text.contains(shown), "no {shown} in\n{text}");
    }
}

#[test]
fn missing_files_are_listed_with_what_needs_them() {
    let missing = plan("class-it.yaml", &[]);
    let missing = keyed_by(&missing["missing"], "location");
    // Seven text files, nine folders of suites, and two files for each of seven tasks.
    assert_eq!(missing.len(), 7 + 9 + 14);
    let needed = |location: &str| -> Vec<&str> {
        let (_, line) = missing.iter().find(|(known, _)| known.contains(location)).expect(location);
        line["needed_by"].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
    };
    assert_eq!(needed("train_100M.zip */switchboard.train"), ["corpus switchboard", "dataset switchboard"]);
    assert_eq!(needed("full_eval/ewok_filtered"), ["ewok"]);
    assert_eq!(needed("glue_filtered/rte.train.jsonl"), ["rte"]);
    let text = Env::new("").run(0, &["plan", &shipped_spec("class-it.yaml"), "-S", "data_root=nowhere"]);
    assert!(text.contains("not found: osf:ad7qg text_data/train_100M.zip */childes.train ("), "{text}");
    assert!(text.contains("not found: hf:datasets/colinglab/CLASS_IT@main simple_wiki/train-* ("), "{text}");
    assert_eq!(text.matches("`grid data fetch ").count(), 1, "{text}");
    assert!(text.contains("osf:ryjfm") && text.contains("Blocked (9 sources not found)"), "{text}");
    assert!(text.lines().count() < 200, "a plan of {} lines", text.lines().count());
}

#[test]
fn the_budget_is_enforced_at_plan_time() {
    let env = Env::new("");
    let path = shipped_spec("class-it.yaml");
    let refuse = |verb: &str, change: &str| env.stderr(1, &[verb, &path, "-S", "data_root=nowhere", "-S", change]);
    insta::assert_snapshot!(refuse("plan", "pretrain.epochs=10"), @r"
grid: class-it is over the budget (track strict, 100,000,000 words × 10 epochs)
  llama140M/switchboard+simple_wiki/merged sees 1,116,000,000 words, but 1,000,000,000 are allowed:
    pretrain llama140M: 910,000,000
    tune llama140M/switchboard+simple_wiki: 206,000,000
  7 more models exceed it
  help: train for fewer epochs, on less text, or change `budget`
");
    insta::assert_snapshot!(refuse("run", "budget.track=strict-small"), @r"
grid: class-it is over the budget (track strict-small, 10,000,000 words × 10 epochs)
  llama140M/switchboard+simple_wiki/merged sees 934,000,000 words, but 100,000,000 are allowed:
    pretrain llama140M: 728,000,000
    tune llama140M/switchboard+simple_wiki: 206,000,000
  llama140M/switchboard+simple_wiki/merged has 99,700,000 words of different text, but 10,000,000 are allowed:
    corpus childes, in pretrain llama140M: 26,200,000
    corpus gutenberg, in pretrain llama140M: 23,500,000
    corpus open_subtitles, in pretrain llama140M: 18,100,000
    corpus simple_wiki, in pretrain llama140M: 14,700,000
    dataset simple_wiki, in tune llama140M/switchboard+simple_wiki: 8,700,000
    corpus bnc_spoken, in pretrain llama140M: 7,200,000
    corpus switchboard, in pretrain llama140M: 1,300,000
  11 more models exceed it
  help: train for fewer epochs, on less text, or change `budget`
");
    let generous = env.run(
        0,
        &[
            "plan",
            &path,
            "-S",
            "data_root=nowhere",
            "-S",
            "budget={words: 100M, epochs: 20}",
            "-S",
            "pretrain.epochs=10",
        ],
    );
    assert!(generous.contains("budget: 100,000,000 words × 20 epochs: 2,000,000,000 may be seen"), "{generous}");
}

#[test]
fn the_small_track_fits_its_budget() {
    let plan = plan("class-it-strict-small.yaml", &[]);
    assert_eq!(plan["cells"], 36);
    for (model, account) in keyed_by(&plan["ledger"]["accounts"], "model") {
        assert!(account["text"].as_u64() <= Some(10_000_000), "{model}: {account}");
        assert!(account["seen"].as_u64() <= Some(100_000_000), "{model}: {account}");
    }
    assert_eq!(plan["warnings"], Value::Array(vec![]));
}

const FILES: &str = "\
name: files
corpora:
  a: {files: a.txt, documents: line, expect: {words: 400, documents: 100}}
  b: {files: b.txt, documents: line, expect: {words: 1_000}}
tokenizer: {vocab_size: 300}
models: {nano: {hidden: 32, layers: 1, heads: 2}}
pretrain: {sequence_length: 16, epochs: 2, batch_size: 2}
axes: {curriculum: [pretrained]}
budget: {words: 2k, epochs: 3}
";

/// The words of existing files are counted; sizes of missing files are expected sizes and marked with a `*`.
#[test]
fn expected_sizes_are_compared_with_the_files() {
    let env = Env::new(FILES);
    std::fs::write(env.path().join("a.txt"), "one two three four\n".repeat(102)).expect("a file");
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("corpus a  ") && plan.contains(" 408 ") && plan.contains("1,000*"), "{plan}");
    assert!(
        plan.contains("warning: corpus a has 408 words in 102 pieces, but the spec expects 400 words in 100 pieces"),
        "{plan}"
    );
    assert!(plan.contains("not found: b.txt (corpus b)"), "{plan}");

    // A difference of at most 1% gives no warning. Without an expected size, the budget cannot be checked.
    std::fs::write(env.path().join("a.txt"), "one two three four\n".repeat(101)).expect("a file");
    let plan = env.run(0, &["plan", "spec.yaml", "-S", "corpora.b={files: b.txt}"]);
    assert!(!plan.contains("corpus a has"), "{plan}");
    assert!(plan.contains("cannot be checked, because the size of corpus b is unknown"), "{plan}");

    // The words on disk count, not those expected.
    std::fs::write(env.path().join("b.txt"), "a b c d\n".repeat(800)).expect("a file");
    let refused = env.stderr(1, &["plan", "spec.yaml"]);
    assert!(refused.contains("has 3,604 words of different text, but 2,000 are allowed"), "{refused}");
    assert!(refused.contains("corpus b, in pretrain nano: 3,200"), "{refused}");
}

/// The Switchboard file of the 10-million-word set in place of the full one: 3,500 pairs where 38,802 are expected.
#[test]
fn real_switchboard_is_counted_and_compared() {
    let Some(file) = recording("data/text/switchboard.train") else { return };
    let env = Env::new("");
    let corpus = format!(
        "corpora.switchboard={{files: {}, documents: {{lines: 50}}, min_words: 3, merge_turns: true, expect: {{words: 1.3M}}}}",
        file.display()
    );
    let dataset = format!(
        "datasets.switchboard={{files: {}, format: dialogue, min_words: 3, across: true, \
         expect: {{records: 38_802, words: 2.6M}}}}",
        file.display()
    );
    let plan = env.run(0, &["plan", &shipped_spec("class-it.yaml"), "-S", &corpus, "-S", &dataset]);
    assert!(plan.contains("dataset switchboard has ") && plan.contains("in 3,500 pieces"), "{plan}");
    assert!(plan.contains("in 38,802 pieces"), "{plan}");
    // 3,501 turns of 120,665 words; in the corpus, each turn also has its speaker as a word.
    assert!(plan.contains("corpus switchboard has 124,166 words"), "{plan}");
}

/// Words are counted for `steps:`, weighted mixtures and replay as they are for `epochs:`.
#[test]
fn the_ledger_covers_steps_weights_and_replay() {
    let spec = crate::common::TINY
        .replace("curriculum: [pretrained, merged, sequential]", "curriculum: [twice, steady]")
        .replace(
            "axes:\n",
            "curricula:\n  twice: [{datasets: {chat: 2, questions: 1}, epochs: 3}]\n  \
         steady: [{datasets: [chat], epochs: 2, pretrain_mix: 0.5}]\naxes:\n",
        );
    let env = Env::new(&spec);
    let plan: Value = serde_json::from_str(&env.run(0, &["plan", "spec.yaml", "--format", "json"])).expect("JSON");
    let readings = plan["ledger"]["readings"].as_array().expect("a list");
    let passes = |stage: &str, text: &str| {
        let one = readings.iter().find(|one| one["stage"] == stage && one["text"] == text);
        let one = one.unwrap_or_else(|| panic!("{stage} reads no {text}: {readings:#?}"));
        let (words, passes) = (one["words"].as_f64().expect("words"), one["passes"].as_f64().expect("passes"));
        assert!((one["seen"].as_f64().expect("words") - words * passes).abs() <= 0.5, "{one}");
        assert!(one["trained"].as_f64() < one["seen"].as_f64(), "{one}");
        passes
    };
    // 60 steps of 8 windows of 32 tokens over about 6,000 × 0.9 words of 1.4 tokens.
    assert!((passes("pretrain nano", "corpus speech") - 60.0 * 8.0 * 32.0 / (5_400.0 * 1.4)).abs() < 0.1);
    // An epoch has as many rows as both datasets together, with two rows of chat for one of questions.
    assert!((passes("tune nano/2:chat+1:questions", "dataset chat") - 4.0).abs() < 1e-9);
    assert!((passes("tune nano/2:chat+1:questions", "dataset questions") - 2.0).abs() < 1e-9);
    // There are as many tokens of text as tokens in the replies of chat, which are estimated as half of its tokens.
    assert_eq!(passes("tune nano/chat+50%text", "dataset chat"), 2.0);
    let chat = readings.iter().find(|one| one["text"] == "dataset chat").expect("a reading")["words"].as_f64();
    let replies = 0.9 * chat.expect("words") * 1.4 / 2.0;
    assert!((passes("tune nano/chat+50%text", "corpus speech") - 2.0 * replies / (5_400.0 * 1.4)).abs() < 0.02);
}

const LANGUAGES: &str = "\
name: languages
corpora:
  english: {files: en.txt, documents: line, language: eng}
  dutch: {files: nl.txt, documents: line, language: nld}
  more: {files: more.txt, documents: line, language: nld}
datasets: {chat: {files: chat.jsonl, language: zho}}
tokenizer: {vocab_size: 300, corpora: [english, dutch, more]}
models: {nano: {hidden: 32, layers: 1, heads: 2}}
pretrain: {corpora: [english, dutch], sequence_length: 16, epochs: 2, batch_size: 2}
tune: {epochs: 3}
axes: {dataset: [chat], curriculum: [merged]}
budget: {words: 1000, epochs: 3, premium: {nld: 2.0, zho: 0.5}}
";

/// 543 bytes of English are 100 words; as many bytes count half with a premium of two, and twice with one half.
#[test]
fn text_in_several_languages_counts_by_its_bytes() {
    let env = Env::new(LANGUAGES);
    let write = |name: &str, text: &str| std::fs::write(env.path().join(name), text).expect("a file");
    let bytes = |count: usize| "ab cd efg ".repeat(count / 10 + 1)[..count - 1].to_owned() + "x\n";
    for (name, count) in [("en.txt", 2_715), ("nl.txt", 543), ("more.txt", 1_086)] {
        write(name, &bytes(count));
    }
    write("chat.jsonl", &serde_json::json!({"prompt": "p".repeat(43), "reply": "r".repeat(500)}).to_string());
    let plan: Value = serde_json::from_str(&env.run(0, &["plan", "spec.yaml", "--format", "json"])).expect("JSON");
    let account = &plan["ledger"]["accounts"][0];
    let sources: Vec<(&str, &str, u64)> = (account["sources"].as_array().expect("a list").iter())
        .map(|text| {
            let word = |key: &str| text[key].as_str().expect("text");
            (word("text"), word("role"), text["counted"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(
        sources,
        [
            ("corpus english", "read", 500),
            ("dataset chat", "read", 200),
            ("corpus more", "tokenizer", 100),
            ("corpus dutch", "read", 50)
        ]
    );
    assert_eq!((&account["text"], &account["seen"]), (&Value::from(850), &Value::from(2 * 550 + 3 * 200)));
    let text = env.run(0, &["plan", "spec.yaml"]);
    assert!(text.contains("English words of each model") && text.contains("tokenizer alone"), "{text}");
    assert!(text.contains("budget: 1,000 English words × 3 epochs: 3,000 may be seen"), "{text}");
    let refused = env.stderr(1, &["plan", "spec.yaml", "-S", "budget.words=800"]);
    insta::assert_snapshot!(refused, @r"
grid: languages is over the budget (800 English words × 3 epochs)
  nano/chat/single has 850 words of different text, but 800 are allowed:
    corpus english, in pretrain nano: 500
    dataset chat, in tune nano/chat: 200
    corpus more, tokenizer alone: 100
    corpus dutch, in pretrain nano: 50
  help: train for fewer epochs, on less text, or change `budget`
");
    std::fs::remove_file(env.path().join("more.txt")).expect("a file");
    let unknown = env.run(0, &["plan", "spec.yaml"]);
    assert!(unknown.contains("cannot be checked, because the size of corpus more is unknown"), "{unknown}");
}
