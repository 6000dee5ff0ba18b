//! Learning in context: streams in random languages, and the regret of a model on them.

use crate::common::{Env, TINY};

const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/in-context.yaml");

/// A reduced version of the shipped experiment: one kind of languages, one seed, and fewer streams.
#[test]
fn the_loss_falls_with_the_position_towards_the_entropy() {
    let env = Env::new("");
    let changes = ["axes={pretrain.corpora: [[patterns]], seed: [1]}", "corpora.patterns.streams=4000"];
    let mut arguments = vec!["run", SPEC];
    changes.iter().for_each(|change| arguments.extend(["-S", change]));
    env.run(0, &arguments);

    let values = |task: &str, metric: &str| -> Vec<f64> {
        let sql = format!(
            "select value from v_scores where task = '{task}' and metric = '{metric}' and subtask is not null order by subtask"
        );
        env.query(&sql).iter().map(|value| value.parse().expect("a number")).collect()
    };
    let subtasks = "select distinct subtask from v_scores where task = 'patterns' and subtask is not null order by 1";
    assert_eq!(env.query(subtasks), ["01", "02-03", "04-07", "08-15", "16-31", "32-63"]);
    let (regrets, losses) = (values("patterns", "regret"), values("patterns", "loss"));
    assert!(regrets.iter().all(|regret| *regret > -0.05), "{regrets:?}");
    // After the first repetitions of the pattern, most of what there was to learn is learned.
    assert!(regrets[5] < 0.3 * regrets[1] && regrets[5] < regrets[3], "{regrets:?}");
    assert!(losses[5] < 0.5 * losses[1], "{losses:?}");
    // The last range is what `after: 32` selects.
    let overall =
        env.query("select value from v_scores where task = 'patterns' and metric = 'regret' and subtask is null");
    assert!((overall[0].parse::<f64>().expect("a number") - regrets[5]).abs() < 1e-9, "{overall:?} {regrets:?}");
    let report = env.run(0, &["report", "in-context", "--subtasks", "patterns"]);
    assert!(report.contains("32-63 regret"), "{report}");
    assert!(report.contains("For regret, loss and slope, lower values are better."), "{report}");
}

#[test]
fn the_tokens_of_a_stream_are_its_symbols() {
    let env = Env::new("");
    let shown = env.run(0, &["data", "show", SPEC, "--suite", "patterns", "-n", "3"]);
    insta::assert_snapshot!(shown, @"
    suite patterns: 1,200 items, mode fixed, tokenizer of tiny (pretrain.corpora=patterns)

    01 0
     candidate 0
      context  1
               18
      scored   6
               23

    02-03 0
     candidate 0
      context  1|6
               18 23
      scored   1|1
               18 18

    04-07 0
     candidate 0
      context  1|6|1|1
               18 23 18 18
      scored   3|0|1|6
               20 17 18 23
    ");
}

#[test]
fn what_is_wrong_with_random_languages_is_said_before_anything_runs() {
    let env = Env::new(TINY);
    let refused = |change: &str| env.stderr(1, &["plan", "spec.yaml", "-S", change]);
    let suite = |keys: &str| refused(&format!("evaluate={{suites: [{{name: a, format: in-context, {keys}}}]}}"));
    let corpus = |keys: &str| refused(&format!("corpora.speech={{{keys}}}"));
    insta::assert_snapshot!(
        [
            suite("files: a.txt, after: 3"),
            suite("world: speech, streams: 3, after: 3"),
            suite("world: metalang, streams: 3"),
            corpus("world: metalang, words: 3"),
            corpus("world: {metalang: {version: 2, error: 0.1, alphabet: 65}}, streams: 3"),
            corpus("world: {metalang: {length: 60000}}, streams: 10k"),
            corpus("world: metalang, streams: 3, min_words: 2"),
        ]
        .join("\n"),
        @"
    -S evaluate={suites: [{name: a, format: in-context, files: a.txt, after: 3}]}: missing key 'world'
      help: such as `world: {metalang: {version: 2}}`
    -S evaluate={suites: [{name: a, format: in-context, files: a.txt, after: 3}]}: 'files' has no meaning for the format in-context, whose streams need the entropy of each symbol
      help: remove it

    -S evaluate={suites: [{name: a, format: in-context, world: speech, streams: 3, after: 3}]}: 'world' must be metalang, not 'speech'
      help: such as metalang

    -S evaluate={suites: [{name: a, format: in-context, world: metalang, streams: 3}]}: missing key 'after'
      help: the first position that counts for the score, such as `after: 256`

    -S corpora.speech={world: metalang, words: 3}: missing key 'streams'
      help: the number of streams, such as `streams: 2000`
    -S corpora.speech={world: metalang, words: 3}: unknown key 'words'
      help: known keys here: files, world, hf, osf, url, revision, archive, sha256, streams, world_seed, documents, remove, min_words, merge_turns, expect, language, licence

    -S corpora.speech={world: {metalang: {version: 2, error: 0.1, alphabet: 65}}, streams: 3}: 'error' has no meaning for version 2
      help: remove it
    -S corpora.speech={world: {metalang: {version: 2, error: 0.1, alphabet: 65}}, streams: 3}: 'alphabet' must be a whole number from 2 to 64, not 65
      help: the largest is 64

    -S corpora.speech={world: {metalang: {length: 60000}}, streams: 10k}: 'streams' must be a whole number from 1 to 1666, not '10k'
      help: the largest is 1666

    -S corpora.speech={world: metalang, streams: 3, min_words: 2}: 'min_words' has no meaning for streams of metalang
      help: remove it
    "
    );
}

/// Merges of the tokenizer would hide symbols from the model.
#[test]
fn a_tokenizer_with_merges_is_refused() {
    let env = Env::new(TINY);
    let suites = "evaluate={suites: [{name: a, format: in-context, world: {metalang: {length: 32, alphabet: 4}}, streams: 3, \
                  after: 8}]}";
    let message = env.stderr(
        6,
        &[
            "data",
            "show",
            "spec.yaml",
            "--suite",
            "a",
            "-S",
            "tokenizer.corpora=[lang]",
            "-S",
            "corpora.lang={world: {metalang: {length: 32, alphabet: 4}}, streams: 50}",
            "-S",
            suites,
        ],
    );
    insta::assert_snapshot!(message, @"grid: failed to score a stream: 2 symbols have 1 token, but each symbol must be one token: give the spec `tokenizer: {vocab_size: 258}`, whose tokens are the 256 bytes and two special ones");
}
