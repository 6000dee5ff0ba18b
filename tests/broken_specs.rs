//! Broken specs, through the binary: every problem is reported with its place, its reason and a remedy.

use crate::common::{Env, TINY};

/// The problems that `grid plan` and `grid run` report; they write nothing.
fn stderr(env: &Env, spec: &str) -> String {
    let plan = env.stderr(1, &["plan", spec]);
    let run = env.stderr(1, &["run", spec]);
    assert_eq!(plan, run);
    assert!(!run.contains("panicked"), "{run}");
    assert!(!env.path().join("runs").exists(), "a broken spec must leave nothing behind");
    run
}

#[test]
fn one_mistake_in_the_spec() {
    let mistakes = [
        ("epochs: 1, batch_size: 8, max_length", "epochs: 1, batch_sise: 8, max_length"),
        ("axes:\n", "axes:\n  model: [namo]\n"),
        ("layers: 2", "layers: two"),
        ("vocab_size: 400", "vocab_size: -400"),
        ("seed: [1, 2]", "seed: []"),
        ("axes:\n", "curricula:\n  around: [chat, around]\naxes:\n"),
        ("resources:", "name: again\nresources:"),
    ];
    let complaints = mistakes.map(|(sound, broken)| {
        assert!(TINY.contains(sound), "{sound}");
        stderr(&Env::new(&TINY.replace(sound, broken)), "spec.yaml")
    });
    insta::assert_snapshot!(complaints.join("\n"), @"
    spec.yaml:11:19: unknown key 'batch_sise'
      help: did you mean 'batch_size'?

    spec.yaml:13:11: unknown model 'namo'
      help: did you mean 'nano'?

    spec.yaml:9:30: 'layers' must be a whole number from 1 to 1024, not 'two'
      help: write digits, with k, M or G for thousands, millions or billions: 64, 10k, 1.5M

    spec.yaml:7:25: 'vocab_size' must be a whole number from 258 to 4194304, not -400
      help: the smallest is 258

    spec.yaml:15:9: 'seed' is empty
      help: add a value, or remove the key

    spec.yaml:13:18: curriculum 'around' refers to itself
      help: a stage lists datasets; there are: chat, questions

    spec.yaml:17:1: key 'name' appears twice
      help: it is first set on line 1; remove one of them
    ");
}

#[test]
fn a_missing_spec_file() {
    let env = Env::new(TINY);
    let message = stderr(&env, "spce.yaml");
    insta::assert_snapshot!(message, @"
    spce.yaml: no such spec file
      help: did you mean 'spec.yaml'?
    ");
}

/// A spec can be planned before its data is available, but not run.
#[test]
fn a_spec_that_names_missing_files() {
    let spec = |files: &str| TINY.replace("speech: {world: speech, words: 6k}", &format!("speech: {{files: {files}}}"));
    let env = Env::new(&spec("text/childes.trian"));
    std::fs::create_dir(env.path().join("text")).expect("a folder");
    for name in ["childes.train", "switchboard.train"] {
        std::fs::write(env.path().join("text").join(name), "a line of text\n").expect("a file");
    }
    for (files, hint) in [
        ("text/childes.trian", "nothing in text is called 'childes.trian'; did you mean 'childes.train'?"),
        ("text/*.txt", "nothing in text matches '*.txt'; there are: childes.train, switchboard.train"),
        ("texts/childes.train", "nothing in the current folder is called 'texts'; did you mean 'text'?"),
    ] {
        std::fs::write(env.path().join("spec.yaml"), spec(files)).expect("a spec");
        let message = env.stderr(1, &["run", "spec.yaml"]);
        let help = "help: put the files there, or correct the paths in the spec (`-S data_root=DIR` sets the root)";
        assert_eq!(message, format!("spec.yaml:3:19: not found: {files}\n  {hint}\n  {help}\n"));
        let root = env.stderr(1, &["run", "spec.yaml", "-S", &format!("corpora.speech.files=nowhere/{files}")]);
        assert!(
            root.starts_with(&format!("-S corpora.speech.files=nowhere/{files}: not found: nowhere/{files}\n")),
            "{root}"
        );
    }
    assert!(!env.path().join("runs").exists());
}

#[test]
fn exponentially_nested_aliases() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let env = Env::new(&(bomb + TINY));
    let start = std::time::Instant::now();
    insta::assert_snapshot!(stderr(&env, "spec.yaml"), @"
    spec.yaml:5:15: this is too large or too deeply nested for a spec
      help: avoid nested anchors (&a) and aliases (*a)
    ");
    assert!(start.elapsed().as_secs() < 10, "expanding the aliases took too long");
}

#[test]
fn a_spec_that_is_not_utf_8() {
    let env = Env::new(TINY);
    let bytes = TINY.replace("name: tiny", "name: t\u{ef}ny").chars().map(|c| c as u8).collect::<Vec<u8>>();
    std::fs::write(env.path().join("spec.yaml"), bytes).expect("a writable temp folder");
    insta::assert_snapshot!(stderr(&env, "spec.yaml"), @"
    spec.yaml:1:8: byte 0xef is not UTF-8
      help: save the file as UTF-8
    ");
}

/// The words of the text are counted before anything runs, so a milestone beyond the end is an error.
#[test]
fn milestones_beyond_the_end_of_training() {
    let beyond = "epochs: 2, milestones: {words: [5k, 500k]}, batch_size";
    let env = Env::new(&TINY.replace("steps: 60, batch_size", beyond));
    let message = stderr(&env, "spec.yaml");
    let known = "grid: tiny: pretrain nano ends before its milestone of 500k words: it sees ";
    assert!(message.starts_with(known) && message.contains("help: train longer"), "{message}");
    // The words in a number of steps are an estimate, so this is only a warning.
    let env = Env::new(&TINY.replace("steps: 60,", "steps: 60, milestones: {words: [5k, 500k]},"));
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("warning: pretrain nano ends before its milestone of 500k words: it sees about "), "{plan}");
}
