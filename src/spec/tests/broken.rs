//! The most common mistakes in a spec, and how several problems are reported together.

use std::path::Path;

use crate::domain::Backend;

use super::{GOOD, broken, good, load, parse, with};

#[test]
fn unknown_key() {
    insta::assert_snapshot!(broken(&with("tune: {epochs: 1}", "tune: {epochs: 1, learning_rte: 1e-3}"), &[]), @r"
    x.yaml:11:19: unknown key 'learning_rte'
      help: did you mean 'learning_rate'?
    ");
}

#[test]
fn misspelt_model() {
    insta::assert_snapshot!(broken(&with("axes:\n", "axes:\n  model: [tinny]\n"), &[]), @r"
    x.yaml:13:11: unknown model 'tinny'
      help: did you mean 'tiny'?
    ");
}

#[test]
fn wrong_type() {
    insta::assert_snapshot!(broken(&with("layers: 2", "layers: two"), &[]), @r"
    x.yaml:9:30: 'layers' must be a whole number from 1 to 1024, not 'two'
      help: write digits, with k, M or G for thousands, millions or billions: 64, 10k, 1.5M
    ");
}

#[test]
fn negative_size() {
    insta::assert_snapshot!(broken(&with("hidden: 64", "hidden: -64"), &[]), @r"
    x.yaml:9:18: 'hidden' must be a whole number from 2 to 65536, not -64
      help: the smallest is 2
    ");
}

#[test]
fn empty_axis() {
    insta::assert_snapshot!(broken(&with("axes:\n", "axes:\n  seed: []\n"), &[]), @r"
    x.yaml:13:9: 'seed' is empty
      help: add a value, or remove the key
    ");
}

#[test]
fn curricula_that_refer_to_each_other() {
    let curricula = "curricula:\n  a: [chat, b]\n  b: [[chat, questions], a]\n  c: [c]\naxes:\n";
    insta::assert_snapshot!(broken(&with("axes:\n", curricula), &[]), @r"
    x.yaml:13:13: curriculum 'a' refers to the curriculum 'b'
      help: copy its stages; a stage lists datasets, and there are: chat, questions
    x.yaml:14:26: curriculum 'b' refers to the curriculum 'a'
      help: copy its stages; a stage lists datasets, and there are: chat, questions
    x.yaml:15:7: curriculum 'c' refers to itself
      help: a stage lists datasets; there are: chat, questions
    ");
}

#[test]
fn mixtures() {
    let curricula = "curricula:
  a: [{datasets: {chat: 0, question: 1}}]
  b: [{dataset: chat}]
  c: [{datasets: [chat], order: random, pretrain_mix: 1.0, epoch: 2}]
  d: [{datasets: chat, max_length: 5000}]
  e: [{datasets: {}}]
axes:
";
    insta::assert_snapshot!(broken(&with("axes:\n", curricula), &["axes.curriculum=[c, d]"]), @r"
    x.yaml:13:25: the weight of 'chat' must be a number above 0, not 0
      help: such as 2e-4 or 0.5
    x.yaml:13:28: unknown dataset 'question'
      help: did you mean 'questions'?
    x.yaml:14:8: unknown key 'dataset'
      help: did you mean 'datasets'?
    x.yaml:15:33: 'order' must be one of shuffled, interleaved, in_turn, not 'random'
      help: such as shuffled
    x.yaml:15:55: 'pretrain_mix' must be a fraction from 0 to below 1, not 1.0
      help: such as 0.1 for a tenth
    x.yaml:15:60: unknown key 'epoch'
      help: did you mean 'epochs'?
    x.yaml:17:18: 'datasets' is empty
      help: such as `{a: 2, b: 1}`
    ");
}

#[test]
fn missing_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("quickstart.yaml"), GOOD).unwrap();
    let problems = load(&folder.path().join("quikstart.yaml"), &[]).unwrap_err().to_string();
    insta::assert_snapshot!(problems.replace(&folder.path().display().to_string(), "experiments"), @r"
    experiments/quikstart.yaml: no such spec file
      help: did you mean 'quickstart.yaml'?
    ");
}

#[test]
fn duplicate_key() {
    insta::assert_snapshot!(broken(&with("tune: {epochs: 1}", "tune:\n  epochs: 1\n  loss: all\n  epochs: 2"), &[]), @r"
    x.yaml:14:3: key 'epochs' appears twice
      help: it is first set on line 12; remove one of them
    ");
}

#[test]
fn alias_bomb() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (inner, outer) in ('a'..'i').zip('b'..) {
        bomb += &format!("{outer}: &{outer} [{}]\n", vec![format!("*{inner}"); 10].join(", "));
    }
    insta::assert_snapshot!(broken(&bomb, &[]), @r"
    x.yaml:5:8: this is too large or too deeply nested for a spec
      help: avoid nested anchors (&a) and aliases (*a)
    ");
}

#[test]
fn not_utf8() {
    let problems = parse(Path::new("x.yaml"), b"name: demo\ncorpora: gr\xfc\xdfe\n", &[]).unwrap_err();
    insta::assert_snapshot!(problems, @r"
    x.yaml:2:12: byte 0xfc is not UTF-8
      help: save the file as UTF-8
    ");
}

#[test]
fn all_problems_are_reported_together() {
    let text = with("hidden: 64", "hidden: 65, lyers: 3, kv_heads: 3")
        .replace("name: demo\n", "")
        .replace("words: 1k", "wrds: 1k")
        .replace("tune: {epochs: 1}", "tune: {epochs: 1, steps: 2, warmup: 1.5, betas: [1], schedule: cosin}")
        .replace("curriculum: [pretrained, merged]", "curriculum: [pretrained, marged]")
        + "exclude: [{model: tinny}]\nevaluate: {data: world, size: fast, suites: [blmp]}\nresources: {devices: [gpu]}\n";
    insta::assert_snapshot!(broken(&text, &[]), @"
    x.yaml:1:1: missing key 'name'
      help: the experiment's name, such as `name: quickstart`
    x.yaml:2:27: unknown key 'wrds'
      help: did you mean 'words'?
    x.yaml:8:22: unknown key 'lyers'
      help: did you mean 'layers'?
    x.yaml:8:42: model 'tiny': `kv_heads: 3` does not divide `heads: 2`
      help: every key/value head serves the same number of heads
    x.yaml:8:63: model 'tiny': `hidden: 65` is not divisible by `heads: 2`
      help: the nearest multiples of 2 are 64 and 66
    x.yaml:10:26: both 'epochs' and 'steps' are given
      help: remove one of them
    x.yaml:10:37: 'warmup' must be a fraction of the steps below 1, or a whole number of steps, not 1.5
      help: such as 0.05 or 500
    x.yaml:10:49: 'betas' must be two fractions, not 1
      help: such as [0.9, 0.999]
    x.yaml:10:64: 'schedule' must be one of linear, cosine, constant, cosine_with_restarts, wsd, not 'cosin'
      help: did you mean 'cosine'?
    x.yaml:13:28: unknown curriculum 'marged'
      help: did you mean 'merged'?
    x.yaml:14:19: unknown model 'tinny'
      help: did you mean 'tiny'?
    x.yaml:15:25: 'size' is only for the official data; the toy world has `items`
      help: remove it
    x.yaml:15:46: unknown suite 'blmp'
      help: did you mean 'blimp'?
    x.yaml:16:23: an item of 'devices' must be auto, cpu, or cuda:0, cuda:1, ..., not 'gpu'
      help: `auto` uses all GPUs, or the CPU if there are none
    ");
}

#[test]
fn invalid_sbatch_options() {
    let text = with(
        "name: demo",
        "name: demo\nresources: {slurm: {cpus: 0, time: 1h, options: [-p gpu, --array=1-3, -J, 4]}}",
    );
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:2:27: 'cpus' must be a whole number from 1 to 65536, not 0
      help: the smallest is 1
    x.yaml:2:30: unknown key 'time'
      help: known keys here: jobs, cpus, gres, options, poll_every, grace
    x.yaml:2:50: an item of 'options' must be an option of sbatch, not '-p gpu'
      help: write each option as one item: [--partition=gpu, --time=4:00:00]
    x.yaml:2:58: the sbatch option '--array' is reserved
      help: remove it: grid sets it to track its jobs
    x.yaml:2:71: the sbatch option '-J' is reserved
      help: remove it: grid sets it to track its jobs
    x.yaml:2:75: an item of 'options' must be text, not 4
      help: put it in quotes
    ");
    let text = with("name: demo", "name: demo\nresources: {threads: 2, slurm: {options: [--time=4:00:00, -pgpu]}}");
    let Backend::Slurm(slurm) = parse(Path::new("x.yaml"), text.as_bytes(), &[]).unwrap().resources.backend else {
        panic!("the spec submits to Slurm")
    };
    assert_eq!((slurm.options, slurm.cpus, slurm.gres), (vec!["--time=4:00:00".into(), "-pgpu".into()], 4, None));
}

#[test]
fn invalid_validation_and_milestones() {
    let text = with(
        "epochs: 1}\ntune: {epochs: 1}",
        "epochs: 1, keep: best, milestones: {words: [1k], tokens: [1k]}}\ntune: {epochs: 1, early_stopping: {min_delta: -1}}",
    ) + "evaluate: {data: world, suites: [blimp], checkpoints: {size: full}}\n";
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:10:50: 'keep: best' needs 'validate_every'
      help: add the number of steps between validations, such as `validate_every: 100`
    x.yaml:10:68: 'milestones' must have exactly one of the keys words, tokens, babylm
      help: such as {words: [1M, 2M]}, {tokens: [10M]}, or {babylm: 100M} for the checkpoints of the challenge up to 100M words
    x.yaml:11:35: 'early_stopping' needs 'validate_every'
      help: add the number of steps between validations, such as `validate_every: 100`
    x.yaml:11:35: missing key 'patience'
      help: the number of validations without improvement, such as `patience: 3`
    x.yaml:11:47: 'min_delta' must be a number of at least 0, not -1
      help: such as 0 or 0.1
    x.yaml:15:56: 'size' is only for the official data; the toy world has `items`
      help: remove it
    ");
    let text = with(
        "epochs: 1}\ntune:",
        "epochs: 1, validate_every: 9, early_stopping: {patience: 1}, milestones: {babylm: 10M}}\nheld_out: 0\ntune:",
    )
    .replace("[pretrained, merged]", "[merged]")
        + "evaluate: {data: world, suites: [blimp], checkpoints: {}}\n";
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:10:60: 'validate_every' has no data to validate on, because 'held_out' is 0
      help: set `held_out: 0.1`, or remove 'validate_every'
    x.yaml:10:106: 'milestones' and 'early_stopping' cannot be combined
      help: remove one of them: a training that stops early may not reach its milestones
    x.yaml:16:55: 'checkpoints' has no milestones to score
      help: add `milestones: {words: [1M, 2M]}` to `pretrain`, and the curriculum 'pretrained' to the axes
    ");
    let text = with("[pretrained, merged]", "[merged]") + "evaluate: {data: world, suites: [blimp], checkpoints: {}}\n";
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:15:55: 'checkpoints' has no milestones to score
      help: add `milestones: {words: [1M, 2M]}` to `pretrain`, and the curriculum 'pretrained' to the axes
    ");
}

#[test]
fn yaml_errors() {
    insta::assert_snapshot!(broken("a:\n  b: 1\n c: 2\n", &[]), @r"
    x.yaml:3:2: while parsing a block mapping, did not find expected key
      help: indent with spaces, close brackets and quotes, and quote text that contains ': ' or ' #'
    ");
    insta::assert_snapshot!(broken("a: [1, 2\nb: 3\n", &[]), @r"
    x.yaml:2:2: illegal placement of ':' indicator
      help: indent with spaces, close brackets and quotes, and quote text that contains ': ' or ' #'
    ");
    insta::assert_snapshot!(broken("a: &a [*a]\n", &[]), @r"
    x.yaml:1:8: an alias is inside the value of its own anchor
      help: write the value instead of the alias
    ");
    insta::assert_snapshot!(broken("", &[]), @r"
    x.yaml:1:1: the spec must be a mapping, not nothing
      help: write `key: value` lines, or {key: value}
    ");
}

#[test]
fn yaml_features_that_a_spec_must_not_use() {
    insta::assert_snapshot!(broken(&format!("---\n{GOOD}---\n{GOOD}"), &[]), @r"
    x.yaml:16:1: a second document starts here
      help: a file contains one spec: remove the '---' line
    ");
    insta::assert_snapshot!(broken(&with("tune: {epochs: 1}", "tune: [*common, 1]"), &[]), @r"
    x.yaml:11:8: the alias '*common' has no anchor
      help: write the anchor, such as `&name`, before the value that the alias repeats
    ");
    insta::assert_snapshot!(broken(&with("epochs: 1}\ntune", "epochs: 1, learning_rate: .nan}\ntune"), &[]), @r"
    x.yaml:10:59: '.nan' is not a finite number
      help: such as 2e-4 or 0.5
    ");
    insta::assert_snapshot!(broken(&format!("{GOOD}x: {}{}\n", "[".repeat(50), "]".repeat(50)), &[]), @r"
    x.yaml:15:35: this is nested deeper than 32 levels
      help: no section of a spec needs more levels: write it flatter
    ");
}

/// One mistake is one problem, and the rest of an entry with a mistake excludes nothing.
#[test]
fn entries_of_exclude_with_unknown_names() {
    let with = |entry: &str| broken(&format!("{GOOD}exclude: [{entry}]\n"), &[]);
    insta::assert_snapshot!(with("{seed: 5}"), @r"
    x.yaml:15:18: axis 'seed' has no value 5
      help: its values are: 1
    ");
    insta::assert_snapshot!(with("{dataset: nope}"), @r"
    x.yaml:15:21: unknown dataset 'nope'
      help: there are: chat, questions
    ");
    insta::assert_snapshot!(with("{dataset: [questions, chat]}"), @r"
    x.yaml:15:21: axis 'dataset' has no value [questions, chat]
      help: its values are: chat, questions, [chat, questions]
    ");
    insta::assert_snapshot!(with("{model: zz}, {sead: 1}, {curriculum: single}"), @r"
    x.yaml:15:19: unknown model 'zz'
      help: there are: tiny
    x.yaml:15:25: unknown key 'sead'
      help: did you mean 'seed'?
    x.yaml:15:48: 'single' is not a curriculum; tables show it for 'merged' or 'sequential' over one dataset
      help: write `curriculum: [merged]`, and the name of the dataset on the axis 'dataset'
    ");
}

#[test]
fn long_keys_and_values_are_not_printed_whole() {
    let long = "x".repeat(100_000);
    for text in [
        format!("{GOOD}{long}: 1\n"),
        format!("{GOOD}reference: {long}\n"),
        with("world: speech", &format!("world: {long}")),
    ] {
        let complaint = broken(&text, &[]);
        assert!(complaint.lines().all(|line| line.chars().count() < 2_000), "{}", complaint.len());
    }
}

#[test]
fn the_toy_world_has_a_largest_size() {
    insta::assert_snapshot!(broken(&with("words: 1k}", "words: 21M}"), &[]), @r"
    x.yaml:3:34: 'words' must be a whole number from 1 to 20000000, not '21M'
      help: the largest is 20000000
    ");
    assert!(broken(&with("records: 100}", "records: 2M}"), &[]).contains("from 1 to 1000000, not '2M'"));
    let items = "evaluate: {data: world, suites: [blimp], items: 1M}\n";
    assert!(broken(&format!("{GOOD}{items}"), &[]).contains("from 1 to 100000, not '1M'"));
}

#[test]
fn an_entry_of_exclude_needs_the_axis() {
    let text = with(
        "  dataset: [chat, questions, [chat, questions]]\n  curriculum: [pretrained, merged]\n",
        "  seed: [1, 2]\n",
    );
    insta::assert_snapshot!(broken(&format!("{text}exclude: [{{dataset: chat, seed: 2}}]\n"), &[]), @r"
    x.yaml:14:21: there is no axis 'dataset'
      help: remove the key from the entry, or add the axis
    ");
}

#[test]
fn hints_for_almost_valid_values() {
    insta::assert_snapshot!(broken(&with("hidden: 64, layers: 2, heads: 2", "hidden: 32, layers: 2, heads: 64"), &[]), @r"
    x.yaml:9:40: model 'tiny': `hidden: 32` is not divisible by `heads: 64`
      help: each head has its own part of the width: use `hidden: 64` or more, or fewer heads
    ");
    insta::assert_snapshot!(broken(&with("tune: {epochs: 1}", "tune: {epochs: 1, learning_rate: '1e-3'}"), &[]), @r"
    x.yaml:11:34: 'learning_rate' must be a number above 0, not '1e-3'
      help: remove the quotes: 1e-3
    ");
    insta::assert_snapshot!(broken(&with("{world: speech, words: 1k}", "{files: [a.txt, b.txt]}"), &[]), @r"
    x.yaml:3:19: 'files' must be one path or pattern, not a list
      help: a pattern may contain *, **, ? and [ab], such as text/**/*.txt; files that no single pattern matches need entries of their own
    ");
    insta::assert_snapshot!(broken(&with("{world: speech, words: 1k}", "{files: ~/texts/*.txt}"), &[]), @r"
    x.yaml:3:19: '~' is not expanded: '~/texts/*.txt'
      help: write the absolute path, or a path relative to `data_root`
    ");
    insta::assert_snapshot!(broken(&with("vocab_size: 512", "vocab_size: 257"), &[]), @r"
    x.yaml:7:25: 'vocab_size' must be a whole number from 258 to 4194304, not 257
      help: the smallest is 258
    ");
    let scored = "evaluate: {data: world, suites: [blimp], checkpoints: true}\n";
    let text = with("epochs: 1}\ntune", "epochs: 1, milestones: {words: [100]}}\ntune") + scored;
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:15:55: 'checkpoints' must be a mapping, not true
      help: write `key: value` lines, or {key: value}
    ");
}

#[test]
fn names_that_are_numbers_or_reserved() {
    insta::assert_snapshot!(broken(&with("name: demo", "name: 123"), &[]), @r"
    x.yaml:1:7: 'name' must be a name that begins with a letter or digit and has a letter in it, not 123
      help: such as v123
    ");
    insta::assert_snapshot!(broken(&with("name: demo", "name: runs.db-wal"), &[]), @r"
    x.yaml:1:7: the name 'runs.db-wal' is reserved for a file or folder of grid in the runs folder
      help: choose another name, such as my-runs
    ");
    for own in ["runs.db", "runs.db-shm", "survey.json", "survey.json.17.tmp", "workers", "verify"] {
        assert!(broken(&with("name: demo", &format!("name: {own}")), &[]).contains("is reserved"), "{own}");
    }
    for free in ["runs.dbx", "worker", "survey"] {
        good(&with("name: demo", &format!("name: {free}")), &[]);
    }
}
