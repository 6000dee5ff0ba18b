//! The messages for broken specs, and the grids of valid ones.

mod broken;
mod budget;
mod curricula;
mod finetune;
mod page;
mod remote;
mod sampling;
mod tables;
mod terminal;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use proptest::sample::subsequence;

use super::{Problems, parse, read};
use crate::domain::{
    BaseModel, CorpusFormat, DatasetFormat, Documents, EarlyStopping, Formatting, Grid, KeptWeights, Layout, Length,
    Milestone, Pattern, Pretraining, Recipe, Schedule, Source, Suite, Template, Validation, WorldPart,
};

const GOOD: &str = "\
name: demo
corpora:
  speech: {world: speech, words: 1k}
datasets:
  chat: {world: chat, records: 100}
  questions: {files: qa/*.json, format: squad}
tokenizer: {vocab_size: 512}
models:
  tiny: {hidden: 64, layers: 2, heads: 2}
pretrain: {sequence_length: 64, epochs: 1}
tune: {epochs: 1}
axes:
  dataset: [chat, questions, [chat, questions]]
  curriculum: [pretrained, merged]
";

/// Reads and validates a spec file.
fn load(path: &Path, overrides: &[String]) -> Result<Grid, Problems> {
    parse(path, &read(path)?, overrides)
}

fn broken(text: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    parse(Path::new("x.yaml"), text.as_bytes(), &overrides).expect_err("the spec is broken").to_string()
}

fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old));
    GOOD.replace(old, new)
}

fn good(text: &str, overrides: &[&str]) -> Grid {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    parse(Path::new("folder/x.yaml"), text.as_bytes(), &overrides).unwrap_or_else(|problems| panic!("{problems}"))
}

fn trained(recipe: &Recipe) -> &Pretraining {
    match &recipe.base {
        BaseModel::Trained(base) => base,
        other => panic!("{other:?} is not trained here"),
    }
}

fn labels(grid: &Grid) -> String {
    let labels: Vec<String> = grid.cells.iter().map(|cell| cell.key.label()).collect();
    labels.join("\n")
}

#[test]
fn overrides_change_the_spec_before_it_is_read() {
    let grid = good(
        GOOD,
        &[
            "pretrain.steps=10",
            "models.tiny.kv_heads=1",
            "axes.seed=[7]",
            "data_root=elsewhere",
            "axes.tune.loss=[all]",
        ],
    );
    assert_eq!(grid.cells[0].key.label(), "tiny/pretrained/tune.loss=all/seed7");
    let recipe = &grid.cells[1].recipe;
    let base = trained(recipe);
    assert_eq!(base.training.length, Length::Steps(10), "steps take the place of epochs");
    assert_eq!((base.model.kv_heads, recipe.seed), (1, 7));
    assert_eq!(base.tokenizer_datasets[1].source, Source::Files("elsewhere/qa/*.json".into()));
}

#[test]
fn data_paths_start_at_the_folder_of_the_spec() {
    let source = |text: &str| trained(&good(text, &[]).cells[0].recipe).tokenizer_datasets[1].source.clone();
    assert_eq!(source(GOOD), Source::Files("folder/qa/*.json".into()));
    assert_eq!(source(&format!("data_root: d\n{GOOD}")), Source::Files("folder/d/qa/*.json".into()));
    assert_eq!(source(&format!("data_root: /d\n{GOOD}")), Source::Files("/d/qa/*.json".into()));
}

/// Adding a dataset for later must not change the tokenizer, and with it every model.
#[test]
fn a_tokenizer_is_trained_on_the_text_that_some_cell_uses() {
    let text = |text: &str, overrides: &[&str]| {
        let grid = good(text, overrides);
        let mut all = grid.cells.iter().map(|cell| {
            let base = trained(&cell.recipe);
            let corpora = base.tokenizer_corpora.iter().map(|corpus| corpus.name.clone());
            corpora.chain(base.tokenizer_datasets.iter().map(|dataset| dataset.name.clone())).collect::<Vec<_>>()
        });
        let first = all.next().unwrap();
        assert!(all.all(|other| other == first), "cells share their tokenizer");
        assert_eq!(grid.datasets.len(), text.matches("records: ").count() + text.matches("files: ").count());
        first.join(" ")
    };
    assert_eq!(text(GOOD, &[]), "speech chat questions");
    let more = with("  chat:", "  later: {world: chat, records: 7}\n  chat:")
        .replace("  speech:", "  other: {world: articles, words: 2k}\n  speech:");
    let speech = "pretrain.corpora=[speech]";
    assert_eq!(text(&more, &[]), "other speech chat questions", "every corpus is pretrained on");
    assert_eq!(text(&more, &[speech]), "speech chat questions");
    assert_eq!(text(&more, &[speech, "axes.dataset=[questions]"]), "speech questions");
    assert_eq!(text(&more, &[speech, "axes.dataset=[later, chat]"]), "speech later chat", "in the order of the spec");
    let excluded = format!("{more}exclude: [{{dataset: questions}}, {{dataset: [chat, questions]}}]\n");
    assert_eq!(text(&excluded, &[speech]), "speech chat");
    let field = [speech, "axes.pretrain.corpora={field: pretrain.corpora, values: [[speech], [other]]}"];
    assert_eq!(text(&more, &field), "other speech chat questions", "one tokenizer for all values of a field");
    let stages = format!("{more}curricula: {{mine: [later], unused: [questions]}}\n");
    assert_eq!(text(&stages, &[speech, "axes={curriculum: [mine]}"]), "speech later", "a curriculum of the axes");
    assert_eq!(text(&more, &[speech, "tokenizer.datasets=[later]"]), "speech later");
    assert_eq!(text(&more, &[speech, "tokenizer.datasets=[]", "tokenizer.corpora=[other, speech]"]), "other speech");
}

#[test]
fn formats_and_cleaning_of_text() {
    let text = with("  speech: {world: speech, words: 1k}\n", "  speech: {files: a.txt, remove: '=*', min_words: 3, merge_turns: true}\n  rows: {files: b, documents: {parquet: body}}\n")
        .replace("  questions: {files: qa/*.json, format: squad}\n", "  questions: {files: q, format: csv, first: 2k, prompt: '{task}: {text}', template: 'Q: {prompt} A: {reply}'}\n  talk: {files: s, format: dialogue, across: true, min_words: 3}\n")
        .replace("vocab_size: 512}", "vocab_size: 512, datasets: [chat, questions, talk]}");
    let grid = good(&text, &[]);
    let base = trained(&grid.cells[0].recipe);
    let formats: Vec<&CorpusFormat> = base.corpora.iter().map(|corpus| &corpus.format).collect();
    let speech = CorpusFormat { documents: Documents::BlankLine, min_words: 3, remove: "=*".into(), merge_turns: true };
    let rows = Documents::Rows { layout: Layout::Parquet, text: "body".into() };
    assert_eq!(formats, [&speech, &CorpusFormat { documents: rows, ..CorpusFormat::default() }]);
    let datasets = &base.tokenizer_datasets;
    let template = |text: &str| Formatting::from(Template::try_from(text.to_owned()).unwrap());
    assert_eq!(datasets[0].formatting, template("{prompt}\n{reply}"));
    assert_eq!(datasets[1].formatting, template("Q: {prompt} A: {reply}"));
    let pattern = Pattern::try_from("{task}: {text}".to_owned()).unwrap();
    let (layout, reply) = (Layout::Csv, Pattern::field("reply"));
    let csv = DatasetFormat::Records { layout, prompt: pattern, reply, first: Some(2_000) };
    assert_eq!(datasets[1].format, csv);
    let talk = DatasetFormat::Dialogue { min_words: 3, across: true, remove: String::new() };
    assert_eq!(datasets[2].format, talk);

    let wrong = text
        .replace("'=*'", "'= '")
        .replace("{task}:", "{task:")
        .replace("A: {reply}", "A:")
        .replace("{parquet: body}", "{parquet: body, csv: body}");
    insta::assert_snapshot!(broken(&wrong, &[]), @r#"
    x.yaml:3:34: 'remove' must not contain white space
      help: list other characters, such as "=*_"
    x.yaml:4:31: 'documents' has two formats
      help: remove one of them
    x.yaml:7:57: a pattern needs the name of a field between '{' and '}'
      help: write the name of a field, or text with fields: "{instruction}\n{input}"
    x.yaml:7:84: 'template' needs {prompt} and then {reply}, once each
      help: such as "Q: {prompt}\nA: {reply}"
    "#);
}

#[test]
fn evaluation_files_lie_where_the_official_data_has_them() {
    let text = format!("{GOOD}evaluate: {{data: evaluation_data, size: full, suites: [blimp-supplement]}}\n");
    let source = &good(&text, &[]).cells[0].recipe.evaluations[0].source;
    assert_eq!(*source, Source::Folder("folder/evaluation_data/full_eval/supplement_filtered".into()));
}

#[test]
fn a_mode_is_a_name_or_a_mapping_of_rules_and_keeps_only_the_rules_of_its_suite() {
    let modes = |mode: &str| {
        let suites = "[blimp, ewok, reading]";
        let text = format!("{GOOD}evaluate: {{data: evaluation_data, suites: {suites}, mode: {mode}}}\n");
        let evaluations = good(&text, &[]).cells.remove(0).recipe.evaluations;
        evaluations.iter().map(|evaluation| evaluation.mode.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(modes("compat"), "compat compat compat");
    assert_eq!(modes("{ties: first}"), "fixed+ties=first fixed+ties=first fixed");
    assert_eq!(
        modes("{base: compat, ewok: contexts, sums: f64}"),
        "compat+sums=f64 compat+sums=f64+ewok=contexts compat"
    );
    assert_eq!(modes("compat-2026"), "compat-2026 compat-2026 compat-2026");
    let wrong = format!("{GOOD}evaluate: {{data: x, suites: [blimp], mode: {{base: fix, tie: first, nan: won}}}}\n");
    insta::assert_snapshot!(broken(&wrong, &[]), @"
    x.yaml:15:51: 'base' must be one of fixed, compat, compat-2025, compat-2026, not 'fix'
      help: such as fixed
    x.yaml:15:56: unknown key 'tie'
      help: did you mean 'ties'?
    x.yaml:15:73: 'nan' must be one of wins, loses, minus_infinity, not 'won'
      help: such as wins
    ");
}

#[test]
fn aoa_needs_milestones_in_words() {
    let pretrain = "pretrain: {sequence_length: 64, epochs: 1";
    let text = |milestones: &str| {
        let text = with(&format!("{pretrain}}}"), &format!("{pretrain}, milestones: {milestones}}}"));
        format!("{text}evaluate: {{data: world, suites: [blimp, aoa]}}\n")
    };
    let grid = good(&text("{words: [1k, 2k, 3k]}"), &[]);
    assert!(grid.cells.iter().all(|cell| cell.recipe.evaluations[1].test == Suite::Aoa.into()));
    insta::assert_snapshot!(broken(&text("{words: [1k, 2k]}"), &[]), @r#"
    x.yaml:15:33: aoa needs at least three milestones in words, but the model 'tiny' has fewer
      help: add `milestones: {words: [1M, 2M, 3M]}` to `pretrain`, or `revisions:` to an imported model
    "#);
}

#[test]
fn equal_cells_are_one() {
    let text = with("[chat, questions, [chat, questions]]", "[chat, [chat, questions], [questions, chat]]")
        .replace("[pretrained, merged]", "[pretrained, merged, sequential, replay]")
        .replace("axes:\n", "curricula: {replay: [[questions, chat], questions]}\naxes:\n");
    let grid = good(&text, &[]);
    assert_eq!(grid.combinations, 12);
    insta::assert_snapshot!(labels(&grid), @r"
    tiny/pretrained/seed1
    tiny/chat/single/seed1
    tiny/questions+chat/replay/seed1
    tiny/chat+questions/merged/seed1
    tiny/chat+questions/sequential/seed1
    tiny/questions+chat/sequential/seed1
    ");
}

#[test]
fn include_and_exclude() {
    let text = with("axes:\n", "axes:\n  seed: [1, 2]\n")
        + "exclude: [{curriculum: pretrained, seed: 2}, {dataset: chat}]\ninclude: [{dataset: [questions, chat], curriculum: sequential, seed: 9}]\n";
    insta::assert_snapshot!(labels(&good(&text, &[])), @r"
    tiny/pretrained/seed1
    tiny/questions/single/seed1
    tiny/questions/single/seed2
    tiny/chat+questions/merged/seed1
    tiny/chat+questions/merged/seed2
    tiny/questions+chat/sequential/seed9
    ");
}

#[test]
fn a_further_axis_varies_a_field() {
    let text = with(
        "  dataset: [chat, questions, [chat, questions]]\n",
        "  dataset: [chat]\n  tune.learning_rate: [1e-5, 0.002]\n  clip: {field: tune.clip_norm, values: [1.0, null]}\n",
    );
    let grid = good(&text, &["axes.curriculum=[merged]"]);
    insta::assert_snapshot!(labels(&grid), @r"
    tiny/chat/single/clip=1.0/tune.learning_rate=1e-5/seed1
    tiny/chat/single/clip=none/tune.learning_rate=1e-5/seed1
    tiny/chat/single/clip=1.0/tune.learning_rate=0.002/seed1
    tiny/chat/single/clip=none/tune.learning_rate=0.002/seed1
    ");
    let rates: Vec<f64> = grid.cells.iter().map(|cell| cell.recipe.stages[0].training.learning_rate).collect();
    let norms: Vec<Option<f64>> = grid.cells.iter().map(|cell| cell.recipe.stages[0].training.clip_norm).collect();
    assert_eq!(rates, [1e-5, 1e-5, 0.002, 0.002]);
    assert_eq!(norms, [Some(1.0), None, Some(1.0), None]);
}

#[test]
fn a_models_own_keys_override_the_common_ones() {
    let text = with("heads: 2}", "heads: 2, vocab_size: 300, pretrain: {steps: 5, schedule: {wsd: {decay: 0.5}}}}");
    let grid = good(&text, &[]);
    let base = trained(&grid.cells[0].recipe);
    assert_eq!((base.model.vocab_size, base.sequence_length), (300, 64));
    assert_eq!(base.training.length, Length::Steps(5));
    assert_eq!(base.training.schedule, Schedule::Wsd { decay: 0.5 });
}

#[test]
fn an_imported_model_needs_no_text_and_has_one_cell_without_tuning() {
    let text = "\
name: theirs
data_root: d
datasets: {chat: {world: chat, records: 10}}
models: {theirs: {hf: models/a}, hub: {hf: org/name@v1, tune: {epochs: 3}}}
tune: {epochs: 1, max_length: 9000}
axes: {dataset: [chat], curriculum: [pretrained, merged], seed: [1, 2]}
";
    let grid = good(text, &[]);
    insta::assert_snapshot!(labels(&grid), @r"
    theirs/pretrained/seed1
    theirs/chat/single/seed1
    theirs/chat/single/seed2
    hub/pretrained/seed1
    hub/chat/single/seed1
    hub/chat/single/seed2
    ");
    let model = |cell: usize| match &grid.cells[cell].recipe.base {
        BaseModel::Imported(base) => (base.model.name.clone(), base.model.folder.clone()),
        other => panic!("{other:?} is not imported"),
    };
    assert_eq!(model(0), ("models/a".to_owned(), "folder/d/models/a".into()));
    assert_eq!(model(3).0, "org/name@v1");
    assert_eq!(grid.cells[4].recipe.stages[0].training.length, Length::Epochs(3));
    insta::assert_snapshot!(broken(&text.replace("hf: models/a", "hf: 3, hidden: 4"), &[]), @r"
    x.yaml:4:23: 'hf' must be text, not 3
      help: put it in quotes
    x.yaml:4:26: unknown key 'hidden'
      help: known keys here: tune, hf, revision, revisions, milestones, licence
    ");
    assert!(
        broken(
            &with("tiny:", "theirs: {hf: a}\n  tiny:").replace("corpora:\n  speech: {world: speech, words: 1k}\n", ""),
            &[]
        )
        .contains("missing key 'corpora'")
    );
}

#[test]
fn validation_and_milestones() {
    let pretrain = "pretrain: {sequence_length: 64, epochs: 1";
    let more = ", validate_every: 50, early_stopping: {patience: 3}, keep: best}\ntune:";
    let recipe = good(&with("epochs: 1}\ntune:", &format!("epochs: 1{more}")), &[]).cells[0].recipe.clone();
    let early_stopping = Some(EarlyStopping { patience: 3, min_delta: 0.0 });
    assert_eq!(
        trained(&recipe).training.validation,
        Some(Validation { every: 50, early_stopping, keep: KeptWeights::Best })
    );
    assert_eq!((trained(&recipe).milestones.len(), &recipe.milestone_evaluations), (0, &vec![]));

    let text = with(&format!("{pretrain}}}"), &format!("{pretrain}, milestones: {{words: [3k, 1k]}}}}"))
        + "evaluate: {data: world, suites: [blimp, blimp-supplement], checkpoints: {suites: [blimp], items: 20}}\n";
    let cells = good(&text, &[]).cells;
    let (pretrained, tuned) = (&cells[0].recipe, &cells[1].recipe);
    assert_eq!(trained(pretrained).milestones, [Milestone::Words(1_000), Milestone::Words(3_000)]);
    let [at_milestones] = &pretrained.milestone_evaluations[..] else { panic!("{pretrained:?}") };
    assert_eq!(at_milestones.source, Source::World { part: WorldPart::Evaluation, seed: 1, size: 20 });
    assert_eq!((pretrained.evaluations.len(), tuned.milestone_evaluations.len()), (2, 0));
    let ladder = good(&text, &["pretrain.milestones={babylm: 100M}"]);
    assert_eq!(trained(&ladder.cells[0].recipe).milestones.len(), 19);
}

#[test]
fn quantities() {
    let words = |word: &str| match trained(&good(&with("1k", word), &[]).cells[0].recipe).corpora[0].source {
        Source::World { size, .. } => size,
        _ => unreachable!("the corpus is of the toy world"),
    };
    assert_eq!(
        ["200k", "10M", "1_000", "1.5k", "2e3", "'7'"].map(words),
        [200_000, 10_000_000, 1_000, 1_500, 2_000, 7]
    );
    for wrong in ["0", "-1k", "1.5", "k", "1kk", "inf", "1e30", "9999999999G", "~", "[]"] {
        assert!(broken(&with("1k", wrong), &[]).contains("'words' must be a whole number"), "{wrong}");
    }
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = with("pretrain: {sequence_length: 64, epochs: 1}", "pretrain: &common {sequence_length: 64, epochs: 1}")
        .replace("tune: {epochs: 1}", "tune: {<<: *common, epochs: 3}");
    assert_eq!(
        broken(&text, &[]),
        "x.yaml:10:20: unknown key 'sequence_length'\n  help: known keys here: max_length, loss, objective, shots, pretrain_mix, optimizer, seed, epochs, steps, batch_size, learning_rate, schedule, warmup, min_learning_rate_ratio, betas, epsilon, weight_decay, clip_norm, label_smoothing, neftune_alpha, precision, validate_every, early_stopping, keep"
    );
}

#[test]
fn every_shipped_spec_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut specs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let grid = load(&path, &[]).unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!(Some(grid.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
            specs += 1;
        }
    }
    assert!(specs >= 2);
}

#[test]
fn quickstart_has_two_models_and_three_seeds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/quickstart.yaml");
    let grid = load(&path, &["axes.seed=[1]".to_owned(), "axes.model=[tiny]".to_owned()]).unwrap();
    insta::assert_snapshot!(labels(&grid), @r"
    tiny/pretrained/seed1
    tiny/chat/single/seed1
    tiny/questions/single/seed1
    tiny/chat+questions/merged/seed1
    tiny/chat+questions/sequential/seed1
    tiny/questions+chat/sequential/seed1
    ");
    assert_eq!(load(&path, &[]).unwrap().cells.len(), 36);
}

proptest! {
    /// The cells are the product of the axes with equal ones counted once, whatever the axes.
    #[test]
    fn cells_are_the_product_less_what_collapses(
        datasets in subsequence(vec!["chat", "questions", "[chat, questions]", "[questions, chat]"], 1..=4).prop_shuffle(),
        curricula in subsequence(vec!["pretrained", "merged", "sequential", "sequential-whole", "replay"], 1..=5).prop_shuffle(),
        seeds in 1..4_usize,
        rates in 1..3_usize,
    ) {
        let numbers = |n: usize| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
        let (head, _) = GOOD.split_once("axes:").unwrap();
        let text = format!(
            "{head}curricula: {{replay: [chat, questions]}}\naxes:\n  dataset: [{}]\n  curriculum: [{}]\n  seed: [{}]\n  tune.learning_rate: [{}]\n",
            datasets.join(", "), curricula.join(", "), numbers(seeds), numbers(rates),
        );
        let grid = good(&text, &[]);
        prop_assert_eq!(grid.combinations, datasets.len() * curricula.len() * seeds * rates);
        let mut stages = BTreeSet::new();
        for dataset in &datasets {
            let two = dataset.starts_with('[');
            for curriculum in &curricula {
                stages.insert(match (*curriculum, two) {
                    ("pretrained", _) => "",
                    ("replay", _) => "chat > questions",
                    ("merged", true) => "both",
                    (_, false) => dataset,
                    ("sequential-whole", _) if dataset.starts_with("[chat") => "chat >> questions",
                    ("sequential-whole", _) => "questions >> chat",
                    _ if dataset.starts_with("[chat") => "chat > questions",
                    _ => "questions > chat",
                });
            }
        }
        prop_assert_eq!(grid.cells.len(), stages.len() * seeds * rates);
        let distinct: BTreeSet<String> = grid.cells.iter().map(|cell| cell.key.label()).collect();
        prop_assert_eq!(distinct.len(), grid.cells.len(), "no two cells share a label");
    }

    /// Whatever the file and the overrides, there is a grid or a problem with a place, never a panic.
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}", value in ".{0,20}") {
        check(text.as_bytes(), &[value]);
    }

    /// The same for bytes.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        check(&bytes, &[]);
    }

    /// The same for a spec that was almost right.
    #[test]
    fn a_damaged_spec_never_panics(
        start in 0..GOOD.len(), length in 0..40_usize, insertion in "[a-z0-9:{}, \\[\\]\n&*'-]{0,8}", path in "(tune|models|axes|models.tiny)(.[a-z]{1,4}){0,2}", value in "[a-z0-9:{}, \\[\\]-]{0,8}",
    ) {
        let text = format!("{}{insertion}{}", &GOOD[..start], &GOOD[(start + length).min(GOOD.len())..]);
        check(text.as_bytes(), &[format!("{path}={value}")]);
    }
}

fn check(text: &[u8], overrides: &[String]) {
    if let Err(problems) = parse(Path::new("x.yaml"), text, overrides) {
        assert!(problems.iter().count() > 0);
        assert!(
            problems.iter().all(|problem| problem.place().starts_with("x.yaml:") || problem.place().starts_with("-S "))
        );
        assert!(!problems.fancy(false, 80).is_empty());
    }
}

#[test]
fn a_shape_alone_has_the_keys_and_defaults_of_a_models_entry() {
    let config = super::shape("hidden=256,layers=4,heads=4,intermediate=704,vocab_size=8192").unwrap();
    assert_eq!((config.hidden, config.intermediate, config.head_dim, config.tied), (256, 704, 64, false));
    let refusal = super::shape("hiden=256,layers=4,heads=3").unwrap_err().to_string();
    assert!(refusal.contains("'hiden'") && refusal.contains("vocab_size"), "{refusal}");
}
