//! Comparisons through the binary: of equal recipes, with a single seed, and of single checkpoints.

use std::io::Write;

use crate::common::{Env, TINY};
use serde_json::Value;

/// The comparison in the JSON of a report.
fn comparison_json(env: &Env, arguments: &[&str]) -> Value {
    let text = env.run(0, &[&["report"], arguments, &["--format", "json"]].concat());
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    json["comparison"].take()
}

fn rows(comparison: &Value) -> &[Value] {
    comparison["rows"].as_array().expect("rows")
}

/// Three models of one recipe, tuned with different seeds. By the earlier rules, which pooled items over seeds, 27 of
/// 36 rows of such comparisons were "significant".
#[test]
fn one_recipe_does_not_differ_from_itself() {
    let env = Env::new("");
    let spec = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/null.yaml");
    env.run(0, &["run", spec]);
    let (mut tests, mut positives) = (0, 0);
    for pair in ["a,b", "a,c", "b,c"] {
        let comparison = comparison_json(&env, &["null", "--compare", pair]);
        for row in rows(&comparison) {
            let p = row["p"].as_f64();
            tests += 1;
            positives += usize::from(p.is_some_and(|p| p < 0.05));
            // The p-value is that of the paired t test over the differences of the row: t(0.975, df 2) = 4.303.
            let differences: Vec<f64> = row["seeds"]
                .as_array()
                .expect("seeds")
                .iter()
                .map(|seed| seed["difference"].as_f64().expect("a number"))
                .collect();
            assert_eq!(differences.len(), 3, "{row}");
            let mean = differences.iter().sum::<f64>() / 3.0;
            let variance = differences.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0;
            if variance > 0.0 {
                let t = mean / (variance / 3.0).sqrt();
                assert_eq!(p.expect("a p-value") < 0.05, t.abs() > 4.302_652_73, "{row}");
            }
        }
    }
    assert_eq!(tests, 36, "three pairs of models, four conditions, three tasks");
    // About 2 are expected, and up to 3 are usual. Rounding, and with it training, differs between types of CPU, so
    // each type draws another sample. If rows were independent, more than 8 would occur once in two thousand samples.
    writeln!(std::io::stderr(), "{positives} of 36 rows have p < 0.05").expect("stderr");
    assert!(positives <= 8, "{positives} of 36 rows are false positives");
    // `--items` tests two checkpoints of one seed item by item, under a title that says so.
    let text = env.run(0, &["report", "null", "--compare", "a,b", "--items"]);
    assert!(text.contains("these two checkpoints, seed by seed") && text.contains("p (sign flip)"), "{text}");
    assert_eq!(text.matches(" seed 3 ").count(), 12, "{text}");

    // With a single seed there are 36 rows, and none of them has a p-value.
    env.run(0, &["run", spec, "-S", "axes.seed=[1]"]);
    let single = ["a,b", "a,c", "b,c"].map(|pair| comparison_json(&env, &["null", "--compare", pair]));
    let single: Vec<&Value> = single.iter().flat_map(rows).collect();
    assert_eq!(single.len(), 36);
    assert!(single.iter().all(|row| row.get("p").is_none() && row["p_corrected"].is_null()));
}

#[test]
fn one_seed_gives_no_p_value_and_one_line_of_explanation() {
    let env = Env::new(TINY);
    let plan = env.run(0, &["plan", "spec.yaml", "-S", "axes.seed=[1]"]);
    let warning = plan.lines().find(|line| line.contains("some conditions have 1 seed")).expect("a warning");
    insta::assert_snapshot!(warning, @r"warning: some conditions have 1 seed, which cannot show any difference because a single seed has no spread; 3 seeds detect 4.6 to 9.2 points, 5 seeds 2.4 to 4.8 (if scores have a standard deviation of 1 to 2 points over seeds, as is usual)");
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1]"]);
    let text = env.run(0, &["report", "--compare", "merged,sequential"]);
    assert!(text.contains("from 1 seed. A single seed shows no spread"), "{text}");
    let comparison = comparison_json(&env, &["--compare", "merged,sequential", "--pooled", "--equivalent", "1"]);
    assert!(rows(&comparison).iter().all(|row| row.get("p").is_none() && row["p_corrected"].is_null()), "{comparison}");

    // With a second seed there are a spread, a power table and differences.
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1, 2]"]);
    let spread = env.run(0, &["report", "--power"]);
    assert!(spread.contains("sd of a difference") && spread.contains("seeds for 1"), "{spread}");
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("(with the spread over seeds of earlier runs of these suites)"), "{plan}");
    assert!(!env.run(0, &["plan", "spec.yaml", "-S", "axes.seed=[1,2,3]"]).contains("some conditions have"));
    let comparison = comparison_json(&env, &["--compare", "merged,sequential"]);
    let differences = |row: &Value| row["seeds"].as_array().map(Vec::len);
    assert!(rows(&comparison).iter().all(|row| differences(row) == Some(2)), "{comparison}");
}

#[test]
fn seeds_that_have_not_run_are_named() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml"]);
    // Record a plan of five seeds, and stop it before the first job of the new seeds is done.
    let mut child = env.spawn(&["run", "spec.yaml", "-S", "axes.seed=[1, 2, 3, 4, 5]"]);
    let planned = || env.query("select count(distinct seed) from cell") == ["5"];
    env.wait_until("five seeds planned", std::time::Duration::from_secs(60), planned);
    child.kill().expect("a running process");
    child.wait().expect("an ended process");
    let text = env.run(0, &["report", "--compare", "merged,sequential"]);
    assert!(text.contains("2 of 5"), "{text}");
    assert!(text.contains("Missing: seeds 3, 4, 5 of nano chat+questions merged (not run)."), "{text}");
}
