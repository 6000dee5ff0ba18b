//! Data that models make, and curricula with rounds.

use super::{broken, good, labels, with};
use crate::domain::{
    Bandwidth, DatasetFormat, DatasetSource, DensityLimit, PieceLimit, PieceUnit, PromptSource, Recipe, RowFormat,
    SampledData, SampledModel, Teacher, TeacherMode, TeacherPrompt,
};

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
fn pieces_that_a_dataset_lacks_are_rewritten() {
    let rewritten = |select: &str, teacher: &str| {
        let grid = good(&made(&format!("build: {{select: {{{select}}}}}{teacher}")), &[]);
        let cell = grid.cells.into_iter().find(|cell| !cell.recipe.stages.is_empty()).unwrap();
        let dataset = cell.recipe.stages.into_iter().next().unwrap().datasets.remove(0);
        let DatasetSource::Sampled(sampled) = dataset.source else { panic!("a model selects") };
        let PromptSource::Selected(source) = sampled.prompts else { panic!("{:?}", sampled.prompts) };
        ((sampled.replies, sampled.teacher), dataset.format, *source)
    };
    let endpoint = "endpoint: \"http://localhost:8000/v1\", model: x";
    let ((replies, teacher), format, source) =
        rewritten("embed: tiny, from: speech, against: chat", &format!(", teacher: {{{endpoint}, pairs: 2}}"));
    let Some(Teacher::Endpoint(request, _)) = teacher else { panic!("a service") };
    assert_eq!((replies, request.mode, request.max_tokens), (0, TeacherMode::Rewrite { pairs: 2 }, 1024));
    assert_eq!(request.prompt, TeacherPrompt::of_rewriting(2));
    assert_eq!(format, DatasetFormat::json("prompt", "reply"));
    assert_eq!((source.corpus.name.as_str(), source.against.name.as_str()), ("speech", "chat"));
    let selection = source.selection;
    assert_eq!((selection.below, selection.most), (DensityLimit::Quantile(0.05), None));
    assert_eq!((selection.dims, selection.bandwidth, selection.unit), (2, Bandwidth::Scott, PieceUnit::Document));

    let keys = "embed: tiny, from: speech, against: chat, below: 0.25, n: 10%, pieces: paragraph, min_words: 3, \
                max_words: 50, density: kde, dims: 1, bandwidth: 0.5";
    let ((_, teacher), format, source) = rewritten(keys, "");
    assert!(teacher.is_none() && matches!(format, DatasetFormat::Rows { row: RowFormat::Text, .. }), "{format:?}");
    let selection = source.selection;
    assert_eq!((selection.below, selection.most), (DensityLimit::Density(0.25), Some(PieceLimit::Share(0.1))));
    assert_eq!((selection.min_words, selection.max_words, selection.dims), (3, 50, 1));
    assert_eq!((selection.bandwidth, selection.unit), (Bandwidth::Width(0.5), PieceUnit::Paragraph));
}

#[test]
fn selections_that_make_no_sense_are_refused() {
    let refused = |select: &str, more: &str| broken(&made(&format!("build: {{select: {{{select}}}{more}")), &[]);
    insta::assert_snapshot!(refused("embed: tinny, from: speexh", "}"), @"
    x.yaml:7:26: missing key 'against'
      help: the dataset that lacks the pieces
    x.yaml:7:34: unknown model 'tinny'
      help: did you mean 'tiny'?
    x.yaml:7:47: unknown corpus 'speexh'
      help: did you mean 'speech'?
    ");
    insta::assert_snapshot!(refused("embed: tiny, from: speech, against: made, below: 100%, n: 0, dims: 0", "}"), @"
    x.yaml:7:63: dataset 'made' does not exist before the experiment, because a model makes it
      help: name another dataset
    x.yaml:7:76: 'below' must be a density above 0, or a quantile between 0% and 100%, not '100%'
      help: such as 5% or 0.002
    x.yaml:7:85: 'n' must be a number of pieces, or a share between 0% and 100%, not 0
      help: such as 500 or 10%
    x.yaml:7:94: 'dims' must be a whole number from 1 to 64, not 0
      help: the smallest is 1
    ");
    let keys = "embed: tiny, from: speech, against: chat";
    let estimate = format!("{keys}, min_words: 9, max_words: 3, density: knn, bandwidth: silverman");
    insta::assert_snapshot!(refused(&estimate, "}"), @"
    x.yaml:7:80: 'min_words' is greater than 'max_words'
    x.yaml:7:106: 'density' must be kde, not 'knn'
      help: such as kde
    x.yaml:7:122: 'bandwidth' must be scott, or a number above 0, not 'silverman'
      help: such as 0.5
    ");
    insta::assert_snapshot!(refused(keys, ", n: 4}, pairs: {gap: low}"), @"
    x.yaml:7:70: 'n' cannot be combined with 'select'
      help: remove it
    x.yaml:7:77: 'pairs' has no meaning for pieces of text, to which nobody replies
      help: remove it
    ");
    insta::assert_snapshot!(refused(keys, "}, teacher: {model: tiny}"), @"
    x.yaml:7:80: a teacher that rewrites needs an 'endpoint'
      help: add `endpoint: http://localhost:8000/v1`; a model of the spec does not follow instructions
    ");
    let service = "endpoint: \"http://x/v1\", model: y";
    let teacher = format!("}}, teacher: {{{service}, mode: score, scale: [0, 1]}}");
    insta::assert_snapshot!(refused(keys, &teacher), @"
    x.yaml:7:122: 'mode' must be rewrite, not 'score'
      help: such as rewrite
    x.yaml:7:129: 'scale' has no meaning for a teacher that gives no scores
      help: remove it
    ");
    let teacher = format!("teacher: {{{service}, prompt: p.txt, mode: rewrite, pairs: 2}}");
    insta::assert_snapshot!(broken(&rounds("corpus: speech", &teacher), &[]), @"
    x.yaml:13:113: 'mode' must be one of correct, score, not 'rewrite'
      help: such as correct
    x.yaml:13:122: 'pairs' has no meaning for a teacher of replies
      help: remove it
    ");
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
