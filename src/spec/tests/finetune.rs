use super::{GOOD, broken, good};
use crate::domain::{
    BodyDropout, FinetuneRecipe, FinetuneSeeds, GlueTask, Hyperparameters, Mode, Pooling, Precision, Selection, Source,
};

/// A spec that asks for the suite `glue`, with such a section `finetune:`.
fn glue(finetune: &str, data: &str) -> String {
    format!("{GOOD}evaluate: {{data: {data}, suites: [blimp, glue]}}\n{finetune}\n")
}

#[test]
fn glue_is_fine_tuned_right_by_default_and_officially_on_demand() {
    let tunings = |finetune: &str| good(&glue(finetune, "evaluation_data"), &[]).cells[0].recipe.finetunings.clone();
    let all = tunings("");
    assert_eq!(all.iter().map(|tuning| tuning.task).collect::<Vec<_>>(), GlueTask::ALL);
    let folder = "folder/evaluation_data/full_eval/glue_filtered";
    assert_eq!(all[5].valid, Source::Files(format!("{folder}/rte.valid.jsonl").into()));
    let derived = FinetuneSeeds::Derived(3);
    assert_eq!((all[0].mode, &all[0].seeds, all[0].recipe.pooling), (Mode::FIXED, &derived, Pooling::Last));
    assert_eq!(tunings("finetune: {seeds: 5}")[0].seeds, FinetuneSeeds::Derived(5));
    assert_eq!(tunings("finetune: {seeds: [3, 1]}")[0].seeds, FinetuneSeeds::Listed(vec![3, 1]));
    assert_eq!(all[0].recipe.selection, Selection::HeldOut(vec![GlueTask::Boolq.official()]));

    let official = &tunings("finetune: {mode: compat, tasks: [wsc]}")[0];
    assert_eq!((official.mode, &official.seeds), (Mode::COMPAT, &FinetuneSeeds::Listed(vec![42])));
    let wanted = FinetuneRecipe {
        pooling: Pooling::First,
        selection: Selection::Test(GlueTask::Wsc.official()),
        max_length: 512,
        gradient_scale: 1,
        precision: Precision::F32,
        dropout: BodyDropout::Model,
        keep: false,
    };
    assert_eq!(official.recipe, wanted);
    let later = &tunings("finetune: {mode: compat-2026, accumulation: 4, tasks: [wsc]}")[0];
    assert_eq!((later.mode, &later.seeds), (Mode::COMPAT_2026, &official.seeds));
    assert_eq!(later.recipe, FinetuneRecipe { pooling: Pooling::LastLeft, ..wanted });

    let switched = &tunings(
        "finetune: {mode: compat, pooling: last, selection: last_epoch, accumulation: 4, epochs: 3, keep: true, \
         tasks: {rte: {learning_rate: 1e-5}, mrpc: }}",
    );
    let one = |learning_rate| Hyperparameters { learning_rate, batch_size: 32, epochs: 3 };
    assert_eq!(switched[0].recipe.selection, Selection::LastEpoch(one(1e-5)));
    assert_eq!(switched[1].recipe.selection, Selection::LastEpoch(one(3e-5)));
    assert_eq!((switched[1].recipe.pooling, switched[1].recipe.gradient_scale), (Pooling::Last, 4));
    assert!(switched[1].recipe.keep);
    let recipe = |keys: &str| tunings(&format!("finetune: {{{keys}}}"))[0].recipe.clone();
    assert_eq!(recipe("pooling: last_left").pooling, Pooling::LastLeft);
    let dropouts = ["mode: fixed", "dropout: model", "dropout: 0.25", "dropout: 0", "mode: compat, dropout: none"];
    let wanted =
        [BodyDropout::None, BodyDropout::Model, BodyDropout::Share(0.25), BodyDropout::None, BodyDropout::None];
    assert_eq!(dropouts.map(|keys| recipe(keys).dropout), wanted);
    assert_eq!(tunings("finetune: {accumulation: 4}")[0].recipe.gradient_scale, 1, "a mean is what it would be whole");

    let searched = &tunings("finetune: {tasks: {wsc: {search: {learning_rate: [1e-5, 1e-4]}}}}")[0];
    let rates: Vec<f64> = searched.recipe.selection.candidates().iter().map(|one| one.learning_rate).collect();
    assert_eq!(rates, [1e-5, 1e-4]);
    assert_eq!(good(&glue("", "world"), &[]).cells[0].recipe.finetunings.len(), GlueTask::IN_WORLD.len());
}

#[test]
fn wrong_numbers_of_seeds_are_refused() {
    let seeds = |seeds: &str| broken(&glue(&format!("finetune: {{seeds: {seeds}}}"), "world"), &[]);
    insta::assert_snapshot!([seeds("0"), seeds("101"), seeds("[]"), seeds("[1, 1]")].join("\n"), @"
    x.yaml:16:19: 'seeds' must be a number of seeds from 1 to 100, or a list of seeds, not 0
      help: such as 5, or [1, 2]
    x.yaml:16:19: 'seeds' must be a number of seeds from 1 to 100, or a list of seeds, not 101
      help: such as 5, or [1, 2]
    x.yaml:16:19: 'seeds' is empty
      help: add a value, or remove the key
    x.yaml:16:23: 'seeds' lists 1 twice
      help: remove one of them
    ");
    let text = glue("", "world");
    insta::assert_snapshot!(broken(&text, &["axes.seed=[1, 92233720368547758]"]), @"
    x.yaml:13:3: the seed 92233720368547758 is too large to derive the seeds of fine-tuning from it
      help: use a seed of at most 92233720368547757, or list the seeds: `finetune: {seeds: [1, 2, 3]}`
    ");
    good(&text, &["axes.seed=[92233720368547757]"]);
    good(&text, &["axes.seed=[92233720368547758]", "finetune.seeds=[1]"]);
}

#[test]
fn what_is_wrong_with_fine_tuning_is_told() {
    let text = glue(
        "finetune: {selection: test, search: {learning_rate: [1e-5, 0]}, tasks: {rte: {epoch: 3}, sst2: {}}}",
        "evaluation_data",
    );
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:16:37: 'search' needs rows that are not scored, to select by
      help: write `selection: held_out`, or remove 'search'
    x.yaml:16:60: an item of 'learning_rate' must be a number above 0, not 0
      help: such as 2e-4 or 0.5
    x.yaml:16:79: unknown key 'epoch'
      help: did you mean 'epochs'?
    x.yaml:16:90: a key of 'tasks' must be one of boolq, mnli, mrpc, multirc, qqp, rte, wsc, not 'sst2'
      help: such as boolq
    ");
    let text = format!("{GOOD}evaluate: {{data: world, suites: [blimp]}}\nfinetune: {{epochs: 2}}\n");
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:16:11: 'finetune' has no effect, because 'evaluate' does not have the suite glue
      help: add glue to the suites of 'evaluate', or remove this section
    ");
    let text = glue("finetune: {tasks: [boolq]}", "world");
    insta::assert_snapshot!(broken(&text, &[]), @r"
    x.yaml:16:20: an item of 'tasks' must be one of rte, wsc, not 'boolq'
      help: such as rte
    ");
}
