//! Trained models score far above chance on the toy world, and untrained models score at chance.

use crate::common::Env;

/// The suites, and the test sets of replies: a model that disregards the question scores 50 in them.
const SUITES: &str = "evaluate.suites=[blimp, ewok, comps, reading, glue, {name: dialogue-pairs, world: dialogue-pairs, \
                      items: 400, separator: \"\\n\", length: token}, {name: maxims, world: maxims, items: 400, separator: \
                      \"\\n\", length: token}]";

/// The smaller model of the quickstart before and after its pretraining, averaged over two seeds.
#[test]
fn trained_is_far_above_chance_and_untrained_is_at_chance() {
    let env = Env::new("");
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/quickstart.yaml");
    let changes = [
        "models.untrained={hidden: 64, layers: 2, heads: 2, pretrain: {steps: 0}}",
        "axes.model=[untrained, tiny]",
        "axes.curriculum=[pretrained]",
        "tokenizer.datasets=[chat, questions]",
        "axes.seed=[1, 2]",
        "evaluate.items=400",
        "finetune.tasks=[rte, wsc]",
        "finetune.seeds=[1, 2]",
        SUITES,
    ];
    let mut arguments = vec!["run", spec];
    changes.iter().for_each(|change| arguments.extend(["-S", change]));
    env.run(0, &arguments);

    let agreement = |model: &str| -> Vec<(String, f64)> {
        let sql = format!(
            "select subtask, avg(value) from v_scores where model = '{model}' and suite = 'blimp' \
             and subtask like '%agreement%' group by 1"
        );
        let number = |row: &String| row.split_once('|').map(|(name, value)| (name.to_owned(), value.parse()));
        let rows: Option<Vec<_>> = env.query(&sql).iter().map(number).collect();
        rows.expect("two columns").into_iter().map(|(name, value)| (name, value.expect("a number"))).collect()
    };
    let (untrained, trained) = (agreement("untrained"), agreement("tiny"));
    assert_eq!((untrained.len(), trained.len()), (8, 8));
    // Classes are learned from few rows, with words that do not occur in the test rows, so only pretraining helps.
    let classification = |model: &str| -> Vec<f64> {
        let sql = format!(
            "select avg(value) from v_scores where model = '{model}' and suite = 'glue' and subtask is null \
             and metric = 'accuracy' group by task order by task"
        );
        env.query(&sql).iter().map(|value| value.parse().expect("a number")).collect()
    };
    let (before, after) = (classification("untrained"), classification("tiny"));
    assert_eq!((before.len(), after.len()), (2, 2), "both tasks");
    assert!(after.iter().zip(&before).all(|(after, before)| *after > before + 10.0), "{before:?} {after:?}");
    let mean = untrained.iter().map(|(_, value)| value).sum::<f64>() / untrained.len() as f64;
    assert!((mean - 50.0).abs() <= 5.0, "{untrained:?}");
    assert!(trained.iter().all(|(_, value)| *value > 75.0), "{trained:?}");

    let score = |model: &str, task: &str| -> f64 {
        let sql =
            format!("select avg(value) from v_scores where model = '{model}' and task = '{task}' and subtask is null");
        env.query(&sql)[0].parse().expect("a number")
    };
    let expected = [
        ("ewok", 50.0, 80.0),
        ("comps", 50.0, 56.0),
        ("eye-tracking", 0.0, 10.0),
        ("dialogue-pairs", 50.0, 60.0),
        // Pretraining text has no statement before a question, so that a model of this size stays near chance.
        ("maxims", 50.0, 45.0),
    ];
    for (task, chance, enough) in expected {
        let (untrained, trained) = (score("untrained", task), score("tiny", task));
        assert!((untrained - chance).abs() <= 5.0, "{task} untrained: {untrained}");
        assert!(trained >= enough, "{task} trained: {trained}");
    }
}
