//! Objectives of tuning beyond the cross entropy of replies, from the spec to the scores.

use crate::common::Env;

const OBJECTIVES: [&str; 4] = ["dpo", "simpo", "orpo", "kto"];

/// The shipped experiment with one seed: each objective teaches the preference, and nothing else does.
#[test]
fn preferences_are_learned_by_every_objective() {
    let env = Env::new("");
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/preferences.yaml");
    env.run(0, &["run", spec, "-S", "axes.seed=[1]"]);
    let accuracy = |curriculum: &str, objective: &str| -> f64 {
        let sql = format!(
            "select value from v_scores where task = 'wishes' and subtask is null and curriculum = '{curriculum}' \
             and extra = 'tune.objective={objective}'"
        );
        env.query(&sql)[0].parse().expect("a number")
    };
    let before = accuracy("chat", "sft");
    assert!((before - 50.0).abs() < 10.0, "{before}");
    for objective in OBJECTIVES {
        let after = accuracy("wishes", objective);
        assert!(after > 80.0, "after {objective}: {after}");
    }
    let measured = |name: &str, place: &str| -> Vec<f64> {
        let sql = format!(
            "select value from metric join job on job.id = metric.job where name = '{name}' and \
             job.canonical ->> '$.job.objective.dpo.beta' = 0.1 order by step {place} limit 1"
        );
        env.query(&sql).iter().map(|value| value.parse().expect("a number")).collect()
    };
    let [first, last] = ["", "desc"].map(|order| measured("validation_reward_accuracy", order)[0]);
    assert_eq!(first, 0.5, "before the first step, the model is the reference");
    assert!(last > 0.8, "{last}");
    // Objectives with a reference share its log-probabilities if they read the same replies.
    assert_eq!(
        env.query("select count(*) from job where kind = 'logprobs'"),
        ["2"],
        "of pairs, and of labelled replies"
    );
}

fn spec(axes: &str, tune: &str) -> String {
    format!(
        "\
name: objectives
corpora:
  speech: {{world: speech, words: 4k}}
datasets:
  chat: {{world: chat, records: 60}}
  wishes: {{world: preferences, records: 60}}
tokenizer: {{vocab_size: 400}}
models:
  nano: {{hidden: 32, layers: 1, heads: 2}}
pretrain: {{sequence_length: 32, steps: 20, batch_size: 8, learning_rate: 3e-3}}
tune: {{epochs: 2, batch_size: 8, max_length: 64, learning_rate: 1e-3{tune}}}
curricula:
  aligned: [{{datasets: chat, objective: sft}}, {{datasets: wishes, validate_every: 5}}]
axes:
  curriculum: [aligned]
{axes}
evaluate: {{data: world, items: 5, suites: [blimp]}}
resources: {{threads: 1, checkpoint_every: 1}}
"
    )
}

const ALL: &str = "  tune.objective: [sft, dpo, {dpo: {loss: ipo_means, sft_weight: 0.5}}, simpo, orpo, kto]";

/// Also with demonstrations, which are drawn anew in every epoch.
#[test]
fn every_objective_resumes_exactly() {
    let env = Env::new(&spec("  tune.shots: [1, {k: 2, label_overlap: false}, {k: 1, pool: chat}]", ""));
    let table = env.run(0, &["verify", "resume", "spec.yaml", "--kills", "5", "--seed", "2", "--threads", "1"]);
    // The records of chat have their demonstrations from chat with `k: 1`, too.
    assert_eq!(table.matches("identical").count(), 6, "one pretraining, two chat stages, three others\n{table}");
    let env = Env::new(&spec(ALL, ""));
    let table = env.run(0, &["verify", "resume", "spec.yaml", "--kills", "5", "--seed", "2", "--threads", "1"]);
    assert_eq!(table.matches("identical").count(), 8, "one pretraining, one chat stage, six objectives\n{table}");
}

/// Two threads and one give the same losses to rounding.
#[test]
fn the_number_of_threads_changes_only_rounding() {
    let losses = |threads: &str| -> Vec<f64> {
        let env = Env::new(&spec(ALL, ""));
        env.run(0, &["run", "spec.yaml", "-S", &format!("resources.threads={threads}")]);
        let sql = "select value from metric where name in ('validation_loss', 'train_loss') order by job, name, step";
        env.query(sql).iter().map(|value| value.parse().expect("a number")).collect()
    };
    let (one, two) = (losses("1"), losses("2"));
    assert!(one.len() == two.len() && one.len() > 30, "{} {}", one.len(), two.len());
    for (one, two) in one.iter().zip(&two) {
        assert!((one - two).abs() < 1e-3 * (1.0 + one.abs()), "{one} {two}");
    }
}

#[test]
fn objectives_that_the_data_cannot_serve_are_refused() {
    let problem = |axes: &str, tune: &str| {
        let env = Env::new(&spec(axes, tune));
        env.stderr(1, &["plan", "spec.yaml"])
    };
    insta::assert_snapshot!(problem("  tune.objective: [dop]", ""), @"
    spec.yaml:16:20: 'objective' must be one of sft, dpo, simpo, orpo, kto, distill, not 'dop'
      help: did you mean 'dpo'?
    ");
    insta::assert_snapshot!(problem("", ", objective: {dpo: {beta: 0}}"), @"
    spec.yaml:11:95: 'beta' must be a number above 0, not 0
      help: such as 2e-4 or 0.5
    ");
    insta::assert_snapshot!(problem("", ", objective: {dpo: {label_noise: 0.1}}"), @"
    spec.yaml:11:102: 'label_noise' has no meaning for the loss sigmoid
      help: set `loss: conservative` or `loss: robust`
    ");
    insta::assert_snapshot!(problem("", ", objective: {dpo: {loss: robust, label_noise: 0.5}}"), @"
    spec.yaml:11:116: 'label_noise' must be below 0.5, not 0.5
      help: at 0.5, the replies of a pair cannot be told apart
    ");
    insta::assert_snapshot!(problem("", ", objective: dpo, label_smoothing: 0.1"), @"
    spec.yaml:11:104: 'label_smoothing' has no meaning for the objective dpo
      help: remove 'label_smoothing', or set it to 0 in this stage
    ");
    insta::assert_snapshot!(problem("", ", objective: dpo, loss: all"), @"
    spec.yaml:11:93: 'loss' only concerns the cross entropy beside the objective dpo, whose sft_weight is 0
      help: remove 'loss', or set `objective: {dpo: {sft_weight: 1}}`
    ");
    insta::assert_snapshot!(problem("", ", shots: 2, pretrain_mix: 0.1"), @"
    spec.yaml:11:95: 'pretrain_mix' and 'shots' cannot be combined
      help: remove one of them, or set it to 0 in this stage
    ");
    insta::assert_snapshot!(problem("", ", shots: 2, label_smoothing: {uncertainty: 0.1}"), @"
    spec.yaml:11:7: dataset 'wishes' has no uncertainty for 'label_smoothing'
      help: add `uncertainty: random` to the dataset, or give a fraction, such as 0.1
    spec.yaml:11:98: 'label_smoothing: {uncertainty: ...}' and 'shots' cannot be combined
      help: remove one of them, or set it to 0 in this stage
    spec.yaml:13:41: dataset 'chat' has no uncertainty for 'label_smoothing'
      help: add `uncertainty: random` to the dataset, or give a fraction, such as 0.1
    ");
    insta::assert_snapshot!(problem("", ", shots: 2, loss: all"), @"
    spec.yaml:11:78: 'shots' puts other records before each record, which receive no loss
      help: set `loss: reply`
    ");
    insta::assert_snapshot!(problem("", ", objective: dpo, shots: {k: 2}"), @"
    spec.yaml:11:94: 'shots' has no meaning for the objective dpo
      help: remove 'shots', or set it to 0 in this stage
    ");
    insta::assert_snapshot!(problem("", ", shots: {k: 2, pool: chta}"), @"
    spec.yaml:11:91: unknown dataset 'chta'
      help: did you mean 'chat'?
    ");
    let all_stages = spec("", ", objective: simpo").replace(", objective: sft}", "}");
    insta::assert_snapshot!(Env::new(&all_stages).stderr(1, &["plan", "spec.yaml"]), @"
    spec.yaml:11:82: the objective simpo needs pairs of a chosen and a rejected reply, but dataset 'chat' has none
      help: use a dataset with the format preference or replies
    ");

    // What files have is known once they are read.
    let env = Env::new(&spec("", ", objective: kto").replace("{world: preferences, records: 60}", "{files: a.jsonl}"));
    std::fs::write(env.path().join("a.jsonl"), r#"{"messages": [{"role": "user", "content": "q"}]}"#).unwrap();
    insta::assert_snapshot!(env.stderr(1, &["plan", "spec.yaml"]), @"
    grid: the objective kto needs replies that are labelled good or bad, but dataset wishes has the format messages (json)
      help: use a dataset with the format kto or preference
    ");
}

#[test]
fn the_plan_names_the_objective_of_each_stage() {
    let env = Env::new(&spec("  tune.objective: [sft, {dpo: {loss: robust}}, kto]", ""));
    let plan = env.run(0, &["plan", "spec.yaml"]);
    let (_, stages) = plan.split_once("training stage").expect("a table of stages");
    let stages = stages.split("\n\n").next().expect("its end");
    insta::assert_snapshot!(stages, @"
                                        after      objective                                     jobs  units/epoch  words/epoch  tokens/epoch  epochs  steps/epoch  steps
    nano                                                           next token                                       1           66        3,603        ~5,044       -          ~20     20
    nano/chat                                           nano       sft                                              1           54          614          ~859       2            7     14
    nano/chat>wishes (tune.objective=sft)               nano/chat  sft                                              1           54          563          ~788       2            7     14
    nano/chat>wishes (tune.objective=dpo(loss=robust))  nano/chat  dpo (beta 0.1, loss robust, label noise 0.1)     1           54        1,137        ~1,591       2            7     14
    nano/chat>wishes (tune.objective=kto)               nano/chat  kto (beta 0.1, weights 1 and 1)                  1          108        1,137        ~1,591       2           14     28
    ");
}

/// Several replies to a prompt become pairs by scores, or by constraints that can be checked.
/// The plan and the training count the words of the dataset that demonstrations come from.
#[test]
fn demonstrations_come_from_another_dataset() {
    let own = |shots: &str| {
        let spec = spec("", "").replace(
            "  wishes: {world: preferences, records: 60}",
            "  own: {files: own.jsonl}\n  other: {files: other.jsonl}",
        );
        spec.replace("{datasets: wishes, validate_every: 5}", &format!("{{datasets: own, epochs: 1, shots: {shots}}}"))
    };
    let env = Env::new(&own("{k: 2, pool: other}"));
    let write = |name: &str, records: u32, words: &str| {
        let row = |number: u32| format!(r#"{{"prompt": "What is it {number}?", "completion": "{words} {number}."}}"#);
        std::fs::write(env.path().join(name), (0..records).map(row).collect::<Vec<_>>().join("\n")).unwrap();
    };
    write("own.jsonl", 40, "A dog");
    write("other.jsonl", 20, "A cat and another cat");
    let plan: serde_json::Value =
        serde_json::from_str(&env.run(0, &["plan", "spec.yaml", "--format", "json"])).expect("JSON");
    let reading = |dataset: &str| {
        let readings = plan["ledger"]["readings"].as_array().expect("readings").iter();
        let own = readings.filter(|reading| reading["stage"].as_str().unwrap().ends_with(">own"));
        let passes = own.filter(|reading| reading["text"] == dataset).map(|reading| reading["passes"].clone());
        passes.map(|passes| passes.as_f64().expect("a number")).collect::<Vec<_>>()
    };
    // 36 records are trained on, each after two of the 18 that the other dataset does not hold out.
    assert_eq!((reading("dataset own"), reading("dataset other")), (vec![1.0], vec![4.0]), "{plan:#}");
    let shown = env.run(0, &["data", "show", "spec.yaml", "own"]);
    assert!(shown.contains("2 demonstrations from dataset other before each record"), "{shown}");
    env.run(0, &["run", "spec.yaml"]);
    let words = |env: &Env| -> f64 {
        let sql =
            "select value from metric join job on job.id = metric.job where name = 'words' and label like '%>own%'";
        env.query(sql)[0].parse().expect("words")
    };
    // A record of the other dataset has 10 words, one of its own 7.
    assert_eq!(words(&env), 36.0 * (7.0 + 2.0 * 10.0));
}

#[test]
fn pairs_are_picked_out_of_several_replies() {
    let dataset = |pairs: &str| {
        let spec = spec("", ", objective: simpo");
        spec.replace(
            "  wishes: {world: preferences, records: 60}",
            &format!("  wishes: {{files: several.jsonl{pairs}}}"),
        )
    };
    let show = |pairs: &str| {
        let env = Env::new(&dataset(pairs));
        let row = |number: u32| {
            format!(
                r#"{{"prompt": "Who is it {number}?", "replies": ["It is Anna.", "It is a dog, I say.", "It is."], "scores": [2, 1, 0.5]}}"#
            )
        };
        std::fs::write(env.path().join("several.jsonl"), (0..30).map(row).collect::<Vec<_>>().join("\n")).unwrap();
        let text = env.run(0, &["data", "show", "spec.yaml", "wishes", "-n", "2", "--format", "json"]);
        let shown: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let reply = |record: &serde_json::Value| -> String {
            let tokens = record["tokens"].as_array().expect("tokens").iter();
            let trained = tokens.filter(|token| token["trained"] == true).map(|token| token["text"].as_str().unwrap());
            format!("{}{}", if record["rejected"] == true { "not " } else { "" }, trained.collect::<String>().trim())
        };
        let replies: Vec<String> = shown["shown"].as_array().expect("records").iter().map(reply).collect();
        replies.join(" | ").replace("<|endoftext|>", "")
    };
    assert_eq!(show(""), "It is Anna. | not It is.");
    assert_eq!(show(", format: replies, pairs: {gap: low}"), "It is Anna. | not It is a dog, I say.");
    let constraints = "constraints: [{words: [4, 9]}, {contains: dog}]";
    let checked = format!(", format: replies, pairs: {{gap: shared_prefix, {constraints}}}");
    assert_eq!(show(&checked), "It is a dog, I say. | not It is Anna.");

    let problem = |pairs: &str| Env::new(&dataset(pairs)).stderr(1, &["plan", "spec.yaml"]);
    insta::assert_snapshot!(problem(", format: alpaca, pairs: {gap: low}"), @"
    spec.yaml:6:50: 'pairs' has no meaning for the format alpaca; several replies have the format replies
      help: remove it
    spec.yaml:11:82: the objective simpo needs pairs of a chosen and a rejected reply, but dataset 'wishes' has none
      help: use a dataset with the format preference or replies
    ");
    insta::assert_snapshot!(problem(", format: replies, pairs: {constraints: [{word: 3}]}"), @"
    spec.yaml:6:74: unknown key 'word'
      help: did you mean 'words'?
    ");
    insta::assert_snapshot!(problem(", format: replies, pairs: {difficulty: [0.9, 0.1]}"), @"spec.yaml:6:71: 'difficulty': the first number is greater than the second");
    insta::assert_snapshot!(problem(", format: replies, pairs: {constraints: [{matches: 'a('}]}"), @r"
    spec.yaml:6:83: 'matches' is not a regular expression: unclosed group
      help: the syntax is that of https://docs.rs/regex, without look-around; in quotes, such as '^(Yes|No)\b'
    ");
    insta::assert_snapshot!(problem(", format: replies, pairs: {constraints: [{words: [1, 2], lacks: no}]}"), @"
    spec.yaml:6:73: a constraint has several keys
      help: write each constraint as an item of its own
    ");
}

/// Uncertainties that say nothing about the replies do as much as the same smoothing everywhere.
#[test]
fn smoothing_by_uncertainty_has_the_mean_that_was_asked_for() {
    let env = Env::new(
        &spec("  tune.label_smoothing: [0.2, {uncertainty: 0.2}, {uncertainty: 0.2, max: 0.2}]", "")
            .replace("{datasets: wishes, validate_every: 5}", "{datasets: rated}")
            .replace(
                "  wishes: {world: preferences, records: 60}",
                "  rated: {files: rated.jsonl, format: prompt_completion, uncertainty: doubt}",
            ),
    );
    let row = |number: u32| {
        let doubt = (number * 7) % 10;
        format!(
            r#"{{"prompt": "Do you see the dog {number}?", "completion": "Yes, I see the dog.", "doubt": {doubt}}}"#
        )
    };
    std::fs::write(env.path().join("rated.jsonl"), (0..60).map(row).collect::<Vec<_>>().join("\n")).unwrap();
    env.stderr(1, &["plan", "spec.yaml"]);
    let spec = std::fs::read_to_string(env.path().join("spec.yaml")).unwrap();
    let without = spec.replace("{datasets: chat, objective: sft}", "{datasets: chat, label_smoothing: 0.1}");
    std::fs::write(env.path().join("spec.yaml"), without).unwrap();
    env.run(0, &["run", "spec.yaml"]);
    let losses = env.query(
        "select printf('%.4f', value) from metric join job on job.id = metric.job where name = 'train_loss' and \
         job.canonical ->> '$.job.training.label_smoothing' = 0.2 and step = (select max(step) from metric as m where \
         m.job = job.id and m.name = 'train_loss') order by value",
    );
    assert_eq!(losses.len(), 3, "{losses:?}");
    assert!(losses[0] != losses[1] && losses[1] != losses[2], "three ways to smooth: {losses:?}");
    let warnings = env.query("select warnings from attempt where warnings like '%label smoothing%'");
    assert_eq!(warnings.len(), 1, "the limit of the third arm lowers the mean: {warnings:?}");
}

/// The shipped experiment with one seed: smoothing costs held-out likelihood, and it does not matter which records are smoothed
/// if their uncertainties say nothing.
#[test]
fn random_uncertainties_do_what_fixed_smoothing_does() {
    let env = Env::new("");
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/smoothing.yaml");
    let own = env.stderr(1, &["plan", spec, "-S", "datasets.chat.uncertainty=doubt"]);
    assert!(own.contains("'uncertainty' must be random, not 'doubt'"), "{own}");
    env.run(0, &["run", spec, "-S", "axes.seed=[1]"]);
    let number = |sql: &str| -> f64 { env.query(sql)[0].parse().expect("a number") };
    let held_out = |smoothing: &str| {
        number(&format!(
            "select value from metric join job on job.id = metric.job where name = 'validation_loss' and kind = 'tune' and \
             {smoothing} order by step desc limit 1"
        ))
    };
    let [mean, limit] =
        ["label_smoothing", "smoothing_max"].map(|key| format!("job.canonical ->> '$.job.training.{key}'"));
    let without = held_out(&format!("{mean} = 0"));
    let fixed = held_out(&format!("{mean} = 0.1 and {limit} is null"));
    let random = held_out(&format!("{limit} = 0.5"));
    assert!(fixed > without + 0.05 && (random - fixed).abs() < 0.01, "{without} {fixed} {random}");
    assert_ne!(fixed, random, "the records are smoothed to different degrees");
    for task in ["wishes", "replies"] {
        let score = |smoothing: &str| {
            number(&format!(
                "select value from v_scores where task = '{task}' and subtask is null and extra = \
                 'tune.label_smoothing={smoothing}'"
            ))
        };
        let (fixed, random) = (score("0.1"), score("uncertainty=0.1"));
        assert!((fixed - random).abs() < 5.0, "{task}: {fixed} {random}");
    }
}

/// The shipped experiment with one seed: without demonstrations nobody knows which speaker is asked, with two of them
/// everybody does.
#[test]
fn demonstrations_tell_what_a_question_does_not() {
    let env = Env::new("");
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/demonstrations.yaml");
    env.run(0, &["run", spec, "-S", "axes.seed=[1]"]);
    let accuracy = |shots: u32, task: &str| -> f64 {
        let sql = format!(
            "select avg(value) from v_scores where task in ('agreeable{task}', 'contrary{task}') and subtask is null \
             and extra = 'tune.shots={shots}'"
        );
        env.query(&sql)[0].parse().expect("a number")
    };
    let (alone, shown) = (accuracy(0, ""), accuracy(2, "-shown"));
    assert!((alone - 50.0).abs() < 5.0, "{alone}");
    assert!(shown > 95.0, "{shown}");
    let draws = env.query("select distinct subtask from v_scores where task = 'contrary-shown' order by 1");
    assert_eq!(draws, ["", "contrary-shown draw 1", "contrary-shown draw 2", "contrary-shown draw 3"]);
}
