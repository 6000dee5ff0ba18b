//! Everything that is shipped as an example: specs can be planned, and documented commands exist.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::common::{Env, TINY};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_shipped_spec_can_be_planned() {
    let mut planned = 0;
    for entry in std::fs::read_dir(root().join("experiments")).expect("the folder of experiments") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let env = Env::new("");
            let plan = env.run(0, &["plan", path.to_str().expect("UTF-8")]);
            assert!(plan.contains("parameters") && plan.contains("pretrain"), "{plan}");
            planned += 1;
        }
    }
    assert!(planned >= 2);
}

/// `grid` does not link libtorch, so that its commands start quickly.
#[test]
fn grid_does_not_link_libtorch() {
    let output = Command::new("readelf").args(["-d", env!("CARGO_BIN_EXE_grid")]).output().expect("readelf exists");
    let dynamic = String::from_utf8_lossy(&output.stdout).into_owned();
    let needed: String = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(needed.contains("libc.so"), "{dynamic}");
    assert!(!needed.contains("torch") && !needed.contains("c10"), "{dynamic}");
}

/// Not a benchmark: the limit is exceeded only if `grid plan` loads libtorch or reads all data again.
#[test]
fn plan_starts_quickly() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml"]);
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            env.run(0, &["plan", "spec.yaml"]);
            start.elapsed()
        })
        .min()
        .expect("five runs");
    assert!(best.as_millis() < 500, "grid plan took {best:?} at best");
}

/// The specs in the README and in the pages on remote data and Slurm are valid, and the documented commands exist.
#[test]
fn documented_specs_and_commands_are_valid() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap_or_else(|_| panic!("{name}"));
    let (readme, data, slurm) = (read("README.md"), read("docs/data.md"), read("docs/slurm.md"));
    fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
        let parts = page.split("```").skip(1).step_by(2);
        parts.filter_map(|part| part.strip_prefix(language)).collect()
    }
    let env = Env::new(blocks(&readme, "yaml\n")[0]);
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.starts_with("first: 12 cells") && plan.contains("not found"), "{plan}");
    let elsewhere = blocks(&data, "yaml\n")[0].replace("64_HEX_DIGITS", &"a".repeat(64));
    let elsewhere = format!("name: elsewhere\n{elsewhere}");
    std::fs::write(env.path().join("elsewhere.yaml"), elsewhere).expect("a writable folder");
    let plan = env.run(0, &["plan", "elsewhere.yaml"]);
    assert!(plan.contains("hf:org/name@v1"), "{plan}");
    let on_slurm = blocks(&readme, "yaml\n")[0].to_owned() + blocks(&slurm, "yaml\n")[0];
    std::fs::write(env.path().join("slurm.yaml"), on_slurm).expect("a writable folder");
    env.run(0, &["plan", "slurm.yaml"]);
    let help = env.run(0, &["help"]);
    let mut verbs = 0;
    let commands = [&readme, &data, &slurm].into_iter().flat_map(|page| blocks(page, "sh\n"));
    for command in commands.flat_map(str::lines).flat_map(|line| line.split(';')) {
        if let Some(arguments) = command.trim().strip_prefix("grid ") {
            let verb = arguments.split_whitespace().next().expect("a verb");
            assert!(help.contains(&format!("  {verb} ")), "no verb '{verb}' in\n{help}");
            verbs += 1;
        }
    }
    assert!(verbs >= 5, "the README shows {verbs} commands");
    for target in ["demo", "test"] {
        let makefile = std::fs::read_to_string(root().join("Makefile")).expect("Makefile");
        assert!(makefile.contains(&format!("\n{target}:")) && readme.contains(&format!("make {target} ")), "{target}");
    }
}
