//! `grid verify chaos`: a small grid under faults of every kind.

use crate::common::{Env, TINY, texts};

/// One model that is pretrained for longer than the time between checkpoints, and tuned.
fn spec() -> String {
    let changes = [
        ("steps: 60", "steps: 900"),
        ("[chat, [chat, questions]]", "[chat]"),
        ("[pretrained, merged, sequential]", "[pretrained, merged]"),
        ("seed: [1, 2]", "seed: [1]"),
        ("suites: [blimp, blimp-supplement]", "suites: [blimp]"),
    ];
    changes.iter().fold(TINY.to_owned(), |spec, (old, new)| {
        assert!(spec.contains(old), "{old}");
        spec.replace(old, new)
    })
}

/// Runs `grid verify chaos`, and checks that every fault is recovered or refused, and that table, exit code, files and
/// database say the same.
fn verify(env: &Env, arguments: &[&str]) {
    let output = env.output(&[&["verify", "chaos", "--format", "json"], arguments].concat());
    let (stdout, stderr) = texts(&output);
    let table: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
    let mut injected = 0;
    for row in table["rows"].as_array().expect("rows") {
        let kind = row[0]["label"].as_str().expect("a label");
        let counts: Vec<u64> = (1..9).map(|place| row[place]["count"].as_u64().expect("a count")).collect();
        injected += counts[0];
        assert_eq!(counts[1..].iter().sum::<u64>(), counts[0], "{kind}: every fault has one ending");
        assert_eq!(counts[3..], [0; 5], "{kind}\n{stderr}");
    }
    assert!(injected > 0, "{stderr}");
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!env.path().join("runs/verify").exists(), "only runs in question are kept");
    let verdicts = env.query("select distinct verdict || ' ' || kind from v_verifications order by 1");
    assert_eq!(verdicts, ["identical pretrain", "identical tune"]);
}

#[test]
fn faults_are_recovered_or_refused() {
    verify(&Env::new(&spec()), &["spec.yaml", "--minutes", "1.3", "--seed", "2915"]);
}

/// Its first fault is a flipped bit in source data.
#[test]
fn the_shipped_experiment_runs_without_a_spec() {
    verify(&Env::new(""), &["--minutes", "0", "--seed", "161"]);
}

#[test]
fn wrong_arguments_are_refused_before_anything_runs() {
    let env = Env::new("name: x\n");
    let refused = |code: i32, arguments: &[&str]| env.stderr(code, &[&["verify", "chaos"], arguments].concat());
    assert!(refused(1, &["--minutes=-1"]).contains("write a number from 0 to 10080"));
    assert!(refused(1, &["-S", "a=b"]).contains("SPEC"));
    assert!(refused(1, &["nothing.yaml"]).contains("no such spec file"));
    assert!(!env.path().join("runs").exists());
}
