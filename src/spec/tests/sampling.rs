//! Data that models make, and curricula with rounds.

use super::{broken, good, labels, with};
use crate::domain::{DatasetSource, PromptSource, Recipe, RowFormat, SampledData, SampledModel, Teacher};

/// A spec with rounds of this `sample:` and these other keys.
fn rounds(sample: &str, more: &str) -> String {
    let curricula = format!("curricula:\n  play: {{rounds: 3, sample: {{{sample}}}, {more}}}\naxes:\n");
    with("axes:\n", &curricula)
        .replace("  dataset: [chat, questions, [chat, questions]]\n", "")
        .replace("[pretrained, merged]", "[play]")
}

/// A spec in which a model makes a dataset, by these keys.
fn made(keys: &str) -> String {
    with("tokenizer:", &format!("  made: {{{keys}}}\ntokenizer:"))
        .replace("[chat, questions, [chat, questions]]", "[made]")
}

fn sampled(recipe: &Recipe) -> Vec<&SampledData> {
    let datasets = recipe.stages.iter().flat_map(|stage| &stage.datasets);
    let sampled = datasets.filter_map(|dataset| match &dataset.source {
        DatasetSource::Sampled(sampled) => Some(&**sampled),
        DatasetSource::Data(_) => None,
    });
    sampled.collect()
}

#[test]
fn a_round_has_a_share_of_the_prompts_and_its_own_stages() {
    let teacher = "teacher: {endpoint: \"http://localhost:8000/v1\", model: x, prompt: p.txt}";
    let then = "then: [{loss: all}, {objective: simpo}]";
    let grid = good(&rounds("corpus: speech, context: 20, max_tokens: 30", &format!("{teacher}, {then}")), &[]);
    insta::assert_snapshot!(labels(&grid), @"tiny/replies/play/seed1");
    let recipe = &grid.cells[0].recipe;
    let places: Vec<(u32, u32)> =
        recipe.stages.iter().filter_map(|stage| stage.round).map(|round| (round.number, round.stage)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    let all = sampled(recipe);
    assert_eq!(all[0], all[1], "the stages of a round have the same data");
    let parts: Vec<(u32, u32)> = all.iter().step_by(2).map(|one| (one.part.number, one.part.of)).collect();
    assert_eq!(parts, [(0, 3), (1, 3), (2, 3)]);
    let SampledData { model, prompts, replies: 1, teacher: Some(Teacher::Endpoint(request, service)), .. } = all[0]
    else {
        panic!("{:?}", all[0])
    };
    assert_eq!(*model, SampledModel::AtStartOfRound);
    assert!(matches!(prompts, PromptSource::Corpus { context: 20, .. }));
    assert_eq!((request.max_tokens, request.temperature, service.parallel), (512, 0.7, 4));
    assert_eq!(format!("{:?}", request.prompt), "File(\"folder/p.txt\")");
}

#[test]
fn a_model_of_the_spec_makes_a_dataset() {
    let grid = good(&made("build: {sample: tiny, dataset: chat, n: 8}, pairs: {constraints: [json], gap: low}"), &[]);
    insta::assert_snapshot!(labels(&grid), @"
    tiny/pretrained/seed1
    tiny/made/single/seed1
    ");
    let cell = grid.cells.iter().find(|cell| !cell.recipe.stages.is_empty()).unwrap();
    let [one] = sampled(&cell.recipe)[..] else { panic!("one dataset") };
    let SampledModel::Named(model) = &one.model else { panic!("{:?}", one.model) };
    assert_eq!((model.name.as_str(), &model.base), ("tiny", &cell.recipe.base), "the model of the cells");
    let crate::domain::DatasetFormat::Rows { row: RowFormat::Replies, ranking: Some(ranking), .. } =
        &cell.recipe.stages[0].datasets[0].format
    else {
        panic!("several replies")
    };
    assert_eq!((ranking.gap, ranking.constraints.len()), (crate::domain::ScoreGap::Low, 1));
}

#[test]
fn what_makes_no_sense_is_refused() {
    insta::assert_snapshot!(broken(&rounds("prompts: 4", ""), &[]), @"
    x.yaml:13:29: 'sample' needs one of 'corpus' and 'dataset'
      help: what the model replies to, such as `corpus: speech` or `dataset: questions`
    ");
    insta::assert_snapshot!(broken(&rounds("corpus: speech, n: 4", ""), &[]), @"
    x.yaml:13:49: several replies to a prompt need scores
      help: set `n: 1`, or have the replies scored: `teacher: {mode: score}` or `pairs: {constraints: ...}`
    ");
    insta::assert_snapshot!(broken(&rounds("corpus: speech, n: 1", "teacher: {model: tiny, mode: score}"), &[]), @"
    x.yaml:13:49: a pair is picked out of at least two replies
      help: set `n: 4`
    ");
    insta::assert_snapshot!(broken(&rounds("corpus: speech, max_tokens: 300", ""), &[]), @"
    x.yaml:11:7: the pieces of 'sample' have 556 tokens, but records are cut after 512
      help: set `max_length: 556`, or use a shorter 'context'
    ");
    insta::assert_snapshot!(broken(&rounds("corpus: speech", "teacher: {model: big}, then: [{datasets: chat}]"), &[]), @"
    x.yaml:13:64: unknown model 'big'
      help: there are: tiny
    x.yaml:13:78: a stage of 'play' cannot have 'datasets'
      help: remove it: the stages of a round train on its replies
    ");
    insta::assert_snapshot!(broken(&rounds("dataset: chat, context: 3", "pairs: {gap: low}"), &[]), @"
    x.yaml:13:45: 'context' has no meaning for the prompts of a dataset
      help: remove it
    x.yaml:13:65: the replies have no scores
      help: add `constraints:` to `pairs`, or a `teacher:` with `mode: score`
    ");
    insta::assert_snapshot!(broken(&rounds("dataset: chat", "teacher: {model: tiny, scale: [0, 1]}, stages: [chat]"), &[]), @"
    x.yaml:13:69: 'scale' has no meaning for a teacher without 'endpoint'
      help: remove it
    x.yaml:13:85: 'stages' has no meaning beside 'rounds'; the stages of a round are the list 'then'
      help: remove it
    ");
    insta::assert_snapshot!(broken(&made("build: {sample: tiny, dataset: made}, format: alpaca"), &[]), @"
    x.yaml:7:41: dataset 'made' does not exist before the experiment, because a model makes it
      help: name another dataset
    x.yaml:7:48: 'format' has no meaning for data that a model makes
      help: remove it
    ");
    insta::assert_snapshot!(broken(&made("build: {sample: tinny, corpus: speech, top_p: 0}"), &[]), @"
    x.yaml:7:26: unknown model 'tinny'
      help: did you mean 'tiny'?
    x.yaml:7:56: 'top_p' must be a fraction above 0, not 0
      help: such as 0.9 or 1
    ");
}
