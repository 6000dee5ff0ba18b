//! Broken specs, through the binary: every problem is reported with its position, its reason and a remedy.

use crate::common::{Env, TINY};

/// A defect, made by replacing `old` with `new` in the valid spec, and what `grid` must report about it.
struct Broken {
    old: &'static str,
    new: &'static str,
    place: &'static str,
    reason: &'static str,
    help: &'static str,
}

const BROKEN: [Broken; 7] = [
    Broken {
        old: "epochs: 1, batch_size: 8, max_length",
        new: "epochs: 1, batch_sise: 8, max_length",
        place: "spec.yaml:11:19",
        reason: "unknown key 'batch_sise'",
        help: "did you mean 'batch_size'?",
    },
    Broken {
        old: "axes:\n",
        new: "axes:\n  model: [namo]\n",
        place: "spec.yaml:13:11",
        reason: "unknown model 'namo'",
        help: "did you mean 'nano'?",
    },
    Broken {
        old: "layers: 2",
        new: "layers: two",
        place: "spec.yaml:9:30",
        reason: "'layers' must be a whole number from 1 to 1024, not 'two'",
        help: "write digits",
    },
    Broken {
        old: "vocab_size: 400",
        new: "vocab_size: -400",
        place: "spec.yaml:7:25",
        reason: "'vocab_size' must be a whole number",
        help: "the smallest is 258",
    },
    Broken {
        old: "seed: [1, 2]",
        new: "seed: []",
        place: "spec.yaml:15:9",
        reason: "'seed' is empty",
        help: "give at least one value",
    },
    Broken {
        old: "axes:\n",
        new: "curricula:\n  around: [chat, around]\naxes:\n",
        place: "spec.yaml:13:18",
        reason: "curriculum 'around' refers to itself",
        help: "a stage names datasets: chat, questions",
    },
    Broken {
        old: "resources:",
        new: "name: again\nresources:",
        place: "spec.yaml:17:1",
        reason: "key 'name' appears twice",
        help: "its first value is in line 1; keep one of them",
    },
];

/// What `plan` and `run` print to stderr, which must be the same; checks that neither panics nor creates a folder.
fn complaint(env: &Env, spec: &str) -> String {
    let plan = env.complaint(1, &["plan", spec]);
    let run = env.complaint(1, &["run", spec]);
    assert_eq!(plan, run);
    assert!(!run.contains("panicked"), "{run}");
    assert!(!env.path().join("runs").exists(), "a broken spec must leave nothing behind");
    run
}

fn expect(env: &Env, place: &str, reason: &str, help: &str) {
    let said = complaint(env, "spec.yaml");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with(&format!("{place}: {reason}")), "{said}");
    assert!(lines[1].starts_with(&format!("  help: {help}")), "{said}");
    assert_eq!(lines.len(), 2, "{said}");
}

#[test]
fn each_defect_is_reported_with_position_and_remedy() {
    for Broken { old, new, place, reason, help } in BROKEN {
        assert!(TINY.contains(old), "{old}");
        expect(&Env::new(&TINY.replace(old, new)), place, reason, help);
    }
}

#[test]
fn a_missing_spec_file() {
    let env = Env::new(TINY);
    let said = complaint(&env, "spce.yaml");
    assert_eq!(said, "spce.yaml: no such spec file\n  help: did you mean 'spec.yaml'?\n");
}

/// `grid plan` accepts missing data files, `grid run` does not.
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
        let said = env.complaint(1, &["run", "spec.yaml"]);
        let help = "help: put the files there, or correct the paths in the spec (`-S data_root=DIR` sets the root)";
        assert_eq!(said, format!("spec.yaml:3:19: not found: {files}\n  {hint}\n  {help}\n"));
        let root = env.complaint(1, &["run", "spec.yaml", "-S", &format!("corpora.speech.files=nowhere/{files}")]);
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
    expect(&env, "spec.yaml:5:15", "this is too large or too deeply nested for a spec", "are anchors");
    assert!(start.elapsed().as_secs() < 10, "the aliases were expanded");
}

#[test]
fn a_spec_that_is_not_utf_8() {
    let env = Env::new(TINY);
    let bytes = TINY.replace("name: tiny", "name: t\u{ef}ny").chars().map(|c| c as u8).collect::<Vec<u8>>();
    std::fs::write(env.path().join("spec.yaml"), bytes).expect("a writable temp folder");
    expect(&env, "spec.yaml:1:8", "byte 0xef is not UTF-8", "save the file as UTF-8");
}

/// With `epochs:`, the number of words is known at plan time, so a milestone beyond the last word is an error.
#[test]
fn milestones_beyond_the_end_of_training() {
    let beyond = "epochs: 2, milestones: {words: [5k, 500k]}, batch_size";
    let env = Env::new(&TINY.replace("steps: 60, batch_size", beyond));
    let said = complaint(&env, "spec.yaml");
    let known = "grid: tiny: pretrain nano ends before its milestone of 500k words: it sees ";
    assert!(said.starts_with(known) && said.contains("help: train longer"), "{said}");
    // With `steps:`, the number of words is an estimate, so it is only a warning.
    let env = Env::new(&TINY.replace("steps: 60,", "steps: 60, milestones: {words: [5k, 500k]},"));
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("warning: pretrain nano ends before its milestone of 500k words: it sees about "), "{plan}");
}
