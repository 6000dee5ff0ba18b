//! The stages of curricula, and the seeds of tunings.

use super::super::training::SHARED_TUNE_KEYS;
use super::{GOOD, broken, good, labels, with};
use crate::domain::{Length, LossMask, OptimizerStart, RecordOrder, Replay, StagePart};

#[test]
fn a_stage_may_be_a_mixture_with_keys_of_its_own() {
    let curricula = "curricula:
  mixed:
    - {datasets: {chat: 2, questions: 1}, order: interleaved, epochs: 3, pretrain_mix: 0.25}
    - {datasets: questions, optimizer: carried, loss: all}
  union: [[chat, questions]]
axes:
";
    let text = with("axes:\n", curricula).replace("[pretrained, merged]", "[mixed, union, merged]");
    let grid = good(&text, &["axes.dataset=[[questions, chat]]"]);
    insta::assert_snapshot!(labels(&grid), @r"
    tiny/chat+questions/mixed/seed1
    tiny/chat+questions/union/seed1
    ");
    let [first, second] = &grid.cells[0].recipe.stages[..] else { panic!("two stages") };
    assert_eq!((&first.shares[..], first.order), (&[2.0, 1.0][..], RecordOrder::Interleaved));
    assert_eq!((first.replay, first.training.length), (Replay::new(0.25), Length::Epochs(3)));
    assert_eq!((second.optimizer, second.loss, second.replay), (OptimizerStart::Carried, LossMask::All, None));
    assert_eq!(second.training.length, Length::Epochs(1), "what a stage does not say is as in 'tune'");
}

#[test]
fn stages_may_be_one_training() {
    let curricula = "curricula:
  mixed:
    schedule: whole
    stages: [{datasets: chat, epochs: 3}, {datasets: [questions, chat], order: interleaved, pretrain_mix: 0.25}]
  apart: {stages: [chat, questions]}
axes:
";
    let text = with("axes:\n", curricula)
        .replace("[chat, questions, [chat, questions]]", "[chat, [chat, questions]]")
        .replace("[pretrained, merged]", "[sequential, sequential-whole, mixed, apart]");
    let grid = good(&text, &[]);
    // One dataset is `single` whatever the schedule, and `apart` is what `sequential` is.
    insta::assert_snapshot!(labels(&grid), @"
    tiny/chat/single/seed1
    tiny/chat+questions/mixed/seed1
    tiny/chat+questions/apart/seed1
    tiny/chat+questions/sequential-whole/seed1
    ");
    let stages = |curriculum: &str| {
        let cell = grid.cells.iter().find(|cell| cell.key.curriculum == curriculum).unwrap();
        let stages: Vec<Vec<(String, Length)>> = cell
            .recipe
            .stages
            .iter()
            .map(|stage| {
                let called = |part: &StagePart| {
                    part.datasets.iter().map(|data| data.name.as_str()).collect::<Vec<_>>().join("+")
                };
                stage.parts().iter().map(|part| (called(part), part.length)).collect()
            })
            .collect();
        stages
    };
    insta::assert_compact_debug_snapshot!(stages("apart"), @r#"[[("chat", Epochs(1))], [("questions", Epochs(1))]]"#);
    insta::assert_compact_debug_snapshot!(stages("sequential-whole"), @r#"[[("chat", Epochs(1)), ("questions", Epochs(1))]]"#);
    insta::assert_compact_debug_snapshot!(stages("mixed"), @r#"[[("chat", Epochs(3)), ("questions+chat", Epochs(1))]]"#);
}

#[test]
fn what_cannot_differ_within_one_training_is_refused() {
    let curricula = "curricula:
  mixed:
    schedule: whole
    stages:
      - {datasets: chat, epochs: 3, learning_rate: 1e-3}
      - {datasets: questions, loss: all, schedule: constant, epoch: 2}
  odd: {stages: chat, schedule: both, order: in_turn}
  empty: {}
axes:
";
    insta::assert_snapshot!(broken(&with("axes:\n", curricula), &[]), @"
    x.yaml:16:37: 'learning_rate' must be the same for all stages of 'mixed', which are one training
      help: set it in `tune:`, or make every stage a separate training with `schedule: each`
    x.yaml:17:31: 'loss' must be the same for all stages of 'mixed', which are one training
      help: set it in `tune:`, or make every stage a separate training with `schedule: each`
    x.yaml:17:42: 'schedule' must be the same for all stages of 'mixed', which are one training
      help: set it in `tune:`, or make every stage a separate training with `schedule: each`
    x.yaml:17:62: unknown key 'epoch'
      help: did you mean 'epochs'?
    x.yaml:18:17: 'odd' must be a list, not 'chat'
      help: put it in brackets: [a, b]
    x.yaml:18:33: 'schedule' must be one of each, whole, not 'both'
      help: such as each
    x.yaml:18:39: unknown key 'order'
      help: known keys here: rounds, stages, schedule
    x.yaml:19:10: missing key 'stages'
      help: such as `{stages: [a, b], schedule: whole}`
    ");
    // Every key of `tune:` is either refused or has a meaning for a part of a training.
    let complaint = broken(GOOD, &["tune.zz=1"]);
    let known = complaint.split("known keys here: ").nth(1).expect("a list of keys").trim().split(", ");
    let mut unsaid: Vec<&str> = known.filter(|key| !SHARED_TUNE_KEYS.contains(key)).collect();
    unsaid.sort_unstable();
    assert_eq!(unsaid, ["epochs", "pretrain_mix", "seed", "steps"]);
}

#[test]
fn an_axis_over_the_seed_of_tunings_shares_the_pretraining() {
    let text = with("[chat, questions, [chat, questions]]", "[chat]").replace("axes:\n", "axes:\n  seed: [1, 2]\n");
    let grid = good(&text, &["axes.tune.seed=[null, 7]"]);
    insta::assert_snapshot!(labels(&grid), @"
    tiny/pretrained/seed1
    tiny/pretrained/seed2
    tiny/chat/single/tune.seed=none/seed1
    tiny/chat/single/tune.seed=none/seed2
    tiny/chat/single/tune.seed=7/seed1
    tiny/chat/single/tune.seed=7/seed2
    ");
    let seeds: Vec<(u64, Option<u64>)> =
        grid.cells.iter().map(|cell| (cell.recipe.seed, cell.recipe.tune_seed)).collect();
    insta::assert_compact_debug_snapshot!(seeds, @"[(1, None), (2, None), (1, None), (2, None), (1, Some(7)), (2, Some(7))]");
    let renamed = good(&text, &["axes.tuning={field: models.tiny.tune.seed, values: [3]}", "models.tiny.tune={}"]);
    assert_eq!(renamed.cells[0].key.label(), "tiny/pretrained/seed1");
    assert_eq!(renamed.cells[2].key.label(), "tiny/chat/single/tuning=3/seed1");
    assert_eq!(good(&text, &["tune.seed=5"]).cells[2].recipe.tune_seed, Some(5), "also without an axis");
}

#[test]
fn a_stage_has_no_seed_of_its_own() {
    let text = with("axes:\n", "curricula:\n  mine: [chat, {datasets: questions, epochs: 2, seed: 3}]\naxes:\n");
    insta::assert_snapshot!(broken(&text, &[]), @"
    x.yaml:13:49: a stage of 'mine' cannot have a seed of its own
      help: set it for all stages with `tune: {seed: 2}`, or vary it with `axes: {tune.seed: [1, 2, 3]}`
    ");
    insta::assert_snapshot!(broken(GOOD, &["tune.seed=x"]), @"
    -S tune.seed=x: 'seed' must be a whole number of at least 0, not 'x'
      help: such as 1
    ");
}
