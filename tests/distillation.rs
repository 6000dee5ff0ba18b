//! Distillation from models of the grid and from imported ones.

use crate::common::Env;

/// A student of two teachers of different families, in pretraining and in tuning.
const SPEC: &str = "\
name: taught
corpora: {speech: {world: speech, words: 6k}}
datasets: {chat: {world: chat, records: 100}}
tokenizer: {vocab_size: 400}
models:
  nano: {hidden: 32, layers: 1, heads: 2}
  wide: {hidden: 48, layers: 2, heads: 2}
  deep: {arch: gpt2, hidden: 32, layers: 3, heads: 2, max_positions: 64}
pretrain: {sequence_length: 32, steps: 24, batch_size: 8, learning_rate: 3e-3, validate_every: 8}
tune: {epochs: 2, batch_size: 8, max_length: 64, learning_rate: 1e-3}
axes:
  model: [nano]
  pretrain.objective: [next_token, {distill: {teachers: [wide, deep]}}]
  tune.objective: [{distill: {teachers: [deep, wide], temperature: 3, hard_weight: 0.25}}]
  dataset: [chat]
  curriculum: [merged]
include:
  - {model: wide, curriculum: pretrained, pretrain.objective: next_token}
evaluate: {data: world, items: 10, suites: [blimp]}
";

#[test]
fn a_student_learns_from_the_models_of_other_cells() {
    let env = Env::new(SPEC);
    let plan = env.run(0, &["plan", "spec.yaml"]);
    let stages: Vec<&str> = plan.lines().filter(|line| line.contains("distill (")).map(str::trim).collect();
    assert_eq!(stages.len(), 3, "one pretraining and two tunings:\n{plan}");
    assert!(stages.iter().any(|line| line.contains("distill (temperature 2, hard weight 0.5) from deep and wide")));
    assert!(stages.iter().any(|line| line.contains("distill (temperature 3, hard weight 0.25) from deep and wide")));
    let models: Vec<&str> =
        plan.lines().filter(|line| line.contains("  llama  ") || line.contains("  gpt2  ")).collect();
    assert_eq!(models.len(), 2, "the models of the cells, not those of their teachers: {models:?}");

    env.run(0, &["run", "spec.yaml"]);
    let pretrained = env.query("select count(*) from job where kind = 'pretrain'");
    assert_eq!(pretrained, ["4"], "two students, and two teachers that they share with each other and with a cell");
    let shared = env.query(
        "select count(*) from cell join cell_job on cell_job.cell = cell.id join job on job.id = cell_job.job \
         where job.kind = 'pretrain' and json_extract(job.canonical, '$.job.model.hidden') = 48",
    );
    assert_eq!(shared, ["3"], "the wide teacher is a job of every cell");
    let parents = env.query(
        "select count(*) from job join job_parent on job_parent.job = job.id join job as parent on parent.id = \
         job_parent.parent where job.kind = 'tune' and parent.kind = 'pretrain' group by job.id",
    );
    assert_eq!(parents, ["3", "3"], "the student and its two teachers");

    // The divergence from the teachers falls, and the validation loss is the plain cross entropy.
    let numbers = |name: &str, place: &str| -> f64 {
        let sql = format!(
            "select value from metric join job on job.id = metric.job where metric.name = '{name}' and kind = 'pretrain' and \
             job.canonical like '%distillation%' order by step {place} limit 1"
        );
        env.query(&sql)[0].parse().expect("a number")
    };
    assert!(numbers("validation_teacher_kl", "desc") < 0.5 * numbers("validation_teacher_kl", "asc"));
    assert_eq!(numbers("validation_loss", "desc"), numbers("validation_cross_entropy", "desc"));
    let [loss, hard, kl] =
        ["loss", "cross_entropy", "teacher_kl"].map(|name| numbers(&format!("train_{name}"), "desc"));
    assert!((loss - (0.5 * hard + 0.5 * 4.0 * kl)).abs() < 1e-4, "{loss}, not {hard} / 2 + 2 {kl}");

    // The ids of teachers are part of the identity: another teacher is another job, with its reason.
    let other = SPEC.replace("hidden: 48", "hidden: 64");
    std::fs::write(env.path().join("spec.yaml"), other).unwrap();
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("its teachers"), "{plan}");
}

#[test]
fn resuming_a_distillation_is_exact() {
    let spec = SPEC
        .replace("  model: [nano]\n", "")
        .replace("[next_token, {distill: {teachers: [wide, deep]}}]", "[{distill: {teachers: [wide, deep]}}]")
        .replace("axes:\n", "axes:\n  model: [nano, half]\n")
        .replace("  wide: {", "  half: {hidden: 32, layers: 1, heads: 2, pretrain: {precision: bf16}, tune: {precision: bf16}}\n  wide: {")
        .replace("learning_rate: 1e-3}", "learning_rate: 1e-3, loss: all, neftune_alpha: 5, pretrain_mix: 0.2}")
        .replace("pretrain: {sequence_length", "pretrain: {neftune_alpha: 5, sequence_length");
    let spec = &spec[..spec.find("include:").unwrap()];
    let env = Env::new(&format!("{spec}evaluate: {{data: world, items: 10, suites: [blimp]}}\n"));
    let arguments = ["verify", "resume", "spec.yaml", "--kills", "3", "--seed", "5", "--threads", "1"];
    let table = env.run(0, &arguments);
    assert_eq!(
        table.matches("identical").count(),
        6,
        "two students, each pretrained and tuned, and two teachers:\n{table}"
    );
}

#[test]
fn an_imported_teacher_needs_the_tokenizer_of_its_imported_student() {
    let env = Env::new(SPEC);
    env.run(0, &["run", "spec.yaml"]);
    for name in ["wide", "nano"] {
        let wanted = if name == "wide" { "48" } else { "32" };
        let sql = format!(
            "select id from job where kind = 'pretrain' and json_extract(canonical, '$.job.model.hidden') = {wanted} and \
             json_extract(canonical, '$.job.model.layers') < 3 and canonical not like '%distillation%'"
        );
        env.run(0, &["export", "hf", &env.query(&sql)[0], name]);
    }
    let imported = "\
name: imported
datasets: {chat: {world: chat, records: 100}}
models:
  student: {hf: nano}
  teacher: {hf: wide}
tune: {epochs: 1, batch_size: 8, max_length: 64, learning_rate: 1e-3, objective: {distill: {teachers: [teacher]}}}
axes: {model: [student], dataset: [chat], curriculum: [merged]}
evaluate: {data: world, items: 10, suites: [blimp]}
";
    std::fs::write(env.path().join("imported.yaml"), imported).unwrap();
    env.run(0, &["run", "imported.yaml"]);

    let tokenizer = env.path().join("wide/tokenizer.json");
    let text = std::fs::read_to_string(&tokenizer).unwrap();
    let text = text.replacen("<pad>", "<fill>", 10);
    std::fs::write(&tokenizer, text).unwrap();
    let stderr = env.stderr(1, &["plan", "imported.yaml"]);
    insta::assert_snapshot!(stderr, @"
    grid: the teacher teacher has another tokenizer than its student student: the token 1 is '<fill>', not '<pad>'
      help: use a teacher with the tokenizer of the student
    ");
    let long = imported.replace("max_length: 64", "max_length: 3000").replace("hf: wide", "hf: nano");
    std::fs::write(env.path().join("imported.yaml"), long).unwrap();
    assert!(env.stderr(1, &["plan", "imported.yaml"]).contains("positions"));
}

#[test]
fn impossible_teachers_are_refused() {
    let problem = |from: &str, to: &str| {
        assert!(SPEC.contains(from), "{from}");
        Env::new(&SPEC.replace(from, to)).stderr(1, &["plan", "spec.yaml"])
    };
    insta::assert_snapshot!(problem("teachers: [deep, wide]", "teachers: [deep, wid]"), @"
    spec.yaml:14:48: unknown model 'wid'
      help: did you mean 'wide'?
    ");
    insta::assert_snapshot!(problem("teachers: [deep, wide], ", ""), @"
    spec.yaml:14:30: missing key 'teachers'
      help: names of models, such as `teachers: [large, deep]`
    ");
    insta::assert_snapshot!(problem("teachers: [deep, wide]", "teachers: []"), @"
    spec.yaml:14:41: 'teachers' is empty
      help: add a value, or remove the key
    ");
    insta::assert_snapshot!(problem("teachers: [deep, wide]", "teachers: [deep, deep]"), @"
    spec.yaml:14:48: 'teachers' lists 'deep' twice
      help: remove one of them
    ");
    insta::assert_snapshot!(problem("temperature: 3", "temperature: 0"), @"
    spec.yaml:14:68: 'temperature' must be a number above 0, not 0
      help: such as 2e-4 or 0.5
    ");
    insta::assert_snapshot!(problem("hard_weight: 0.25", "hard_weight: 2"), @"
    spec.yaml:14:84: 'hard_weight' must be a fraction from 0 to 1, not 2
      help: such as 0.1 for a tenth
    ");
    insta::assert_snapshot!(problem("[next_token, {", "[next_tokens, {"), @"
    spec.yaml:18:63: axis 'pretrain.objective' has no value 'next_token'
      help: its values are: next_tokens, distill(teachers=wide+deep)
    ");
    insta::assert_snapshot!(problem("  model: [nano]", "  model: [nano, wide]"), @"
    spec.yaml:13:36: model 'wide' cannot be its own teacher in pretraining
      help: set the objective of the students only, as `pretrain: {objective: ...}` in their entries of `models` or with an axis such as `models.student.pretrain.objective`; or remove 'wide' from the axis 'model'
    ");
    insta::assert_snapshot!(problem("  nano: {hidden", "  nano: {pretrain: {objective: {distill: {teachers: [nano]}}}, hidden"), @"
    spec.yaml:6:32: model 'nano' cannot be its own teacher in pretraining
      help: name another model
    ");
    insta::assert_snapshot!(problem("layers: 2, heads: 2}", "layers: 2, heads: 2, pretrain: {objective: {distill: {teachers: [deep]}}}}"), @"
    spec.yaml:13:36: teacher 'wide' has teachers of its own, but teachers are trained on next-token prediction
      help: remove 'objective' from the entry of 'wide'
    ");
    insta::assert_snapshot!(problem("layers: 2, heads: 2}", "layers: 2, heads: 2, vocab_size: 500}"), @"
    spec.yaml:14:20: model 'nano' has a vocabulary of 400, but its teacher 'wide' one of 500
      help: give both models the same `vocab_size`
    ");
    insta::assert_snapshot!(problem("max_positions: 64", "max_positions: 48"), @"
    spec.yaml:10:46: model 'deep' has 48 positions, but tune.max_length is 64
      help: use at most 48, or set `max_positions: 64` for the model
    spec.yaml:14:20: teacher 'deep' has 48 positions, but rows have 64 tokens
      help: set `max_positions: 64` for 'deep', or use shorter rows
    ");
    insta::assert_snapshot!(problem("  wide: {hidden: 48, layers: 2, heads: 2}", "  wide: {hf: some/where}"), @"
    spec.yaml:14:20: model 'nano' has the tokenizer of this spec, but its teacher 'wide' is imported with its own
      help: train the teacher in this spec, or tune an imported student, whose tokenizer must be the same
    ");
    insta::assert_snapshot!(problem("  deep: {arch: gpt2, hidden: 32, layers: 3, heads: 2, max_positions: 64}", "  deep: {hidden: 48, layers: 2, heads: 2}"), @"
    spec.yaml:14:20: teachers 'deep' and 'wide' are the same model
      help: remove one of them, or give them different shapes or trainings
    ");
    insta::assert_snapshot!(problem("learning_rate: 1e-3}", "learning_rate: 1e-3, label_smoothing: 0.1}"), @"
    spec.yaml:10:88: 'label_smoothing' has no meaning for the objective distill
      help: remove 'label_smoothing', or set it to 0 in this stage
    ");
    insta::assert_snapshot!(problem("validate_every: 8}", "validate_every: 8, label_smoothing: 0.1}"), @"
    spec.yaml:9:116: 'label_smoothing' has no meaning for the objective distill
      help: remove 'label_smoothing', or set it to 0 in this stage
    ");
}
