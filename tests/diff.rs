//! `grid init` and `grid diff`.

use crate::common::{Env, TINY};

#[test]
fn init_writes_a_valid_spec_and_never_overwrites_a_file() {
    let env = Env::new("");
    let message = env.stderr(0, &["init"]);
    assert!(message.contains("`grid plan first.yaml`"), "{message}");
    let plan = env.run(0, &["plan", "first.yaml"]);
    assert!(plan.starts_with("first: 10 cells") && !plan.contains("not found"), "{plan}");
    env.stderr(0, &["init", "mine.yaml", "--like", "class-it-mini"]);
    let plan = env.run(0, &["plan", "mine.yaml"]);
    assert!(plan.starts_with("mine: 24 cells"), "{plan}");

    std::fs::write(env.path().join("first.yaml"), "mine").expect("a file");
    let message = env.stderr(1, &["init", "first.yaml"]);
    assert!(message.contains("first.yaml already exists") && message.contains("help: "), "{message}");
    assert_eq!(std::fs::read_to_string(env.path().join("first.yaml")).expect("a file"), "mine");
    let message = env.stderr(6, &["init", "nowhere/first.yaml"]);
    assert!(message.contains("failed to write nowhere/first.yaml"), "{message}");
}

#[test]
fn diff_lists_changed_jobs_and_scores() {
    let env = Env::new(TINY);
    let few = ["-S", "axes.dataset=[chat]", "-S", "axes.curriculum=[pretrained, merged]"];
    env.run(0, &[&["run", "spec.yaml"], &few[..]].concat());
    let other = ["-S", "name=faster", "-S", "tune.learning_rate=2e-3", "-S", "evaluate.suites=[blimp, ewok]"];
    env.run(0, &[&["run", "spec.yaml"], &few[..], &other].concat());

    let text = env.run(0, &["diff", "tiny", "faster"]);
    let (jobs, scores) = text.split_once("\nscores: faster against tiny\n").expect("two tables");
    insta::assert_snapshot!(jobs, @"
    faster against tiny
    ────────────────────────────────────────────────────────────────────────
     kind   what               difference                              jobs
    ════════════════════════════════════════════════════════════════════════
     eval   ewok               only in faster                             4
     tune   nano/chat          training.learning_rate 0.001 -> 0.002      2
     eval   blimp-supplement   only in tiny                               4
    ────────────────────────────────────────────────────────────────────────
    7 jobs are the same in both
    2 jobs differ only in the jobs that they depend on
    ");
    // One suite is in both experiments. The pretrained models are shared, so only tuned models have different scores.
    let rows: Vec<&str> = scores.lines().filter(|line| line.contains("nano")).collect();
    assert_eq!(rows.len(), 1, "{scores}");
    assert!(rows[0].contains(" chat ") && rows[0].contains(" single ") && rows[0].contains(" blimp "), "{scores}");

    // A spec that has not run, with an override.
    let specs = env.run(0, &["diff", "spec.yaml", "tiny", "-S", "axes.seed=[1, 2]", "--format", "csv"]);
    assert!(specs.contains("tune,nano/chat>questions,only in spec.yaml,2\n"), "{specs}");
    let same = env.output(&["diff", "tiny", "tiny"]);
    let (stdout, stderr) = crate::common::texts(&same);
    assert_eq!((stdout.as_str(), stderr.as_str()), ("", "tiny and tiny need the same 15 jobs\n"));

    let unknown = env.stderr(4, &["diff", "tiny", "slower"]);
    assert!(unknown.contains("slower") && unknown.contains("there is no spec file"), "{unknown}");
    let nothing = Env::new(TINY).stderr(4, &["diff", "spec.yaml", "slower"]);
    assert!(nothing.contains("there is no spec 'slower', and no experiment has run in runs"), "{nothing}");
}
