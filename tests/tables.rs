//! The tables that a spec defines, with published numbers, on the toy world.

use std::path::Path;

use crate::common::{Env, TINY};
use serde_json::Value;

const TABLES: &str = "\
reference:
  theirs: {source: 'a model card', scores: {blimp: 74.9, blimp-supplement: 63.25, rte: 59}}
  elsewhere: {source: 'a paper', scores: {comps: 50}}
tables:
  pairs: {columns: [blimp, blimp-supplement]}
  alone: {columns: [blimp], reference: [elsewhere]}
  z: {show: z_scores, columns: [blimp, blimp-supplement]}
  figure: {show: boxes, columns: [blimp, blimp-supplement]}
";

#[test]
fn tables_and_published_rows_do_not_need_the_spec_file() {
    let env = Env::new(&format!("{TINY}{TABLES}"));
    env.run(0, &["run", "spec.yaml"]);
    std::fs::remove_file(env.path().join("spec.yaml")).expect("the spec");

    let pairs = env.run(0, &["report", "--table", "pairs"]);
    assert!(pairs.starts_with("tiny: pairs\n"), "{pairs}");
    let published: Vec<&str> = pairs.lines().filter(|line| line.contains("theirs (published)")).collect();
    assert!(published[0].contains("74.9") && published[0].contains("63.25"), "{pairs}");
    assert_eq!(published[1], "theirs (published): a model card");
    assert!(!pairs.contains("elsewhere"), "this reference has none of the columns\n{pairs}");
    assert!(!env.run(0, &["report", "--table", "alone"]).contains("theirs"), "the table chooses its references");

    // The built-in tables have published rows too.
    for table in ["scores", "leaderboard"] {
        assert!(env.run(0, &["report", "--table", table]).contains("theirs (published)"), "{table}");
    }

    // Every format separates measured rows (four conditions) from published ones (one row).
    let json: Value =
        serde_json::from_str(&env.run(0, &["report", "--table", "pairs", "--format", "json"])).expect("JSON");
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["published"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["published"][0][3]["number"][0], 74.9);
    let csv = env.run(0, &["report", "--table", "pairs", "--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 4 + 1, "{csv}");
    assert!(lines[5].starts_with("theirs (published),,,74.9,,,63.25,,,"), "{csv}");
    // CSV also has what the terminal shows around a score: planned seeds, rules and the chance level.
    for column in ["blimp_seeds_planned", "blimp_rules", "blimp_chance"] {
        assert!(lines[0].split(',').any(|head| head == column), "{csv}");
    }
    let fields = |line: &str| line.matches(',').count();
    assert!(lines.iter().all(|line| fields(line) == fields(lines[0])), "{csv}");
    let markdown = env.run(0, &["report", "--table", "pairs", "--format", "md"]);
    assert!(markdown.contains("| theirs (published) |  |  | 74.9 | 63.25 |"), "{markdown}");
}

/// The number of data points in a figure, without the examples in its legend.
fn points(svg: &str) -> usize {
    svg.lines().filter(|line| line.starts_with("<circle") && !line.contains("<title>sample<")).count()
}

/// The z-scores of each column over the four models have mean 0 and population standard deviation 1, and the boxes are
/// drawn from these z-scores.
#[test]
fn z_scores_are_those_of_the_measured_models() {
    let env = Env::new(&format!("{TINY}{TABLES}"));
    env.run(0, &["run", "spec.yaml"]);
    let table = |name: &str| -> Value {
        serde_json::from_str(&env.run(0, &["report", "--table", name, "--format", "json"])).expect("JSON")
    };
    let numbers = |table: &Value, column: usize| -> Vec<f64> {
        let rows = table["rows"].as_array().expect("rows").iter();
        rows.filter_map(|row| row[column]["number"][0].as_f64()).collect()
    };
    let z = table("z");
    assert_eq!(z["published"], Value::Array(vec![]));
    for column in [3, 4] {
        let values = numbers(&z, column);
        assert_eq!(values.len(), 4, "{z}");
        let mean = values.iter().sum::<f64>() / 4.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 4.0;
        assert!(mean.abs() < 1e-9 && (variance - 1.0).abs() < 1e-9, "{z}");
    }
    // The median of two z-scores equals their mean.
    let figure = table("figure");
    let (means, medians) = (numbers(&figure, 4), numbers(&figure, 5));
    assert_eq!(means.len(), 4, "{figure}");
    for (mean, median) in means.iter().zip(&medians) {
        assert!((mean - median).abs() < 1e-9, "{figure}");
    }
    assert_eq!(means, numbers(&z, 5));

    // The figure has a mean for each model, and a point for each of its columns.
    let svg = env.run(0, &["report", "--table", "figure", "--svg"]);
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(points(&svg), 8, "{svg}");
    assert!(svg.contains(">95% band of the mean of equally good models<"), "{svg}");
    for mean in means {
        assert!(svg.contains(&format!("<title>mean {mean:+.2}</title>")), "{svg}");
    }
    // A figure of scores has a point for each model and task, and one for each published number.
    let svg = env.run(0, &["report", "--table", "pairs", "--svg"]);
    assert_eq!(points(&svg), 2 * (4 + 1), "{svg}");
    assert!(svg.contains(">theirs (published)<") && svg.contains(">chance<"), "{svg}");
    // Like other formats that hold a single document, SVG shows the requested comparison instead of the scores.
    let svg = env.run(0, &["report", "--compare", "merged,sequential", "--svg"]);
    assert!(svg.contains("sequential against merged") && svg.contains(">difference"), "{svg}");
}

#[test]
fn an_unknown_table_is_refused_with_the_known_ones() {
    let env = Env::new(&format!("{TINY}{TABLES}"));
    env.run(0, &["run", "spec.yaml", "-S", "axes.curriculum=[pretrained]", "-S", "axes.seed=[1]"]);
    let stderr = env.stderr(4, &["report", "--table", "figur"]);
    assert!(stderr.contains("no table 'figur' (did you mean 'figure'?)"), "{stderr}");
    assert!(stderr.contains("known are scores, leaderboard, pairs, alone, z, figure"), "{stderr}");
    // A single model has no z.
    let figure = env.run(0, &["report", "--table", "figure"]);
    assert!(figure.contains("0 of 2"), "{figure}");
}

/// If every training has failed, there are no scores. Every output format then gives the progress on stderr.
#[test]
fn a_report_without_scores_states_the_progress() {
    let env = Env::new(&format!("{TINY}{TABLES}"));
    let diverging = ["pretrain.learning_rate=1e12", "pretrain.clip_norm=null", "pretrain.warmup=0"];
    let diverging: Vec<&str> = diverging.iter().flat_map(|one| ["-S", one]).collect();
    let few = ["-S", "axes.curriculum=[pretrained]", "-S", "axes.seed=[1]"];
    env.run(2, &[&["run", "spec.yaml"], &diverging[..], &few].concat());
    for form in
        [&["report"][..], &["report", "--format", "json"], &["report", "--svg"], &["report", "--table", "pairs"]]
    {
        let output = env.output(form);
        let (stdout, stderr) = crate::common::texts(&output);
        assert_eq!((output.status.code(), stdout.as_str()), (Some(4), ""), "{form:?}");
        assert!(stderr.starts_with("grid: 'tiny' has no scores yet: 2 of 5 jobs done, 1 failed\n"), "{stderr}");
        assert!(stderr.contains("help: `grid status tiny`"), "{stderr}");
    }
}

#[test]
fn results_of_several_versions_give_a_note() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1]", "-S", "axes.curriculum=[pretrained]"]);
    assert!(!env.run(0, &["report"]).contains("results of several versions"));
    let older = "update attempt set version = 'grid 0.0.9' where job = (select id from job where kind = 'pretrain')";
    execute(&env.path().join("runs/runs.db"), older);
    for format in ["table", "md", "json"] {
        let report = env.run(0, &["report", "--format", format]);
        assert!(report.contains("results of several versions") && report.contains("1 job by grid 0.0.9"), "{report}");
    }
}

#[test]
fn requests_for_missing_scores_are_refused_with_a_hint() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1]"]);
    let stderr = env.stderr(4, &["report", "--subtasks", "ewok"]);
    assert_eq!(stderr, "grid: 'tiny' has no subtask scores of ewok; it has those of blimp, blimp-supplement\n");
    let stderr = env.stderr(4, &["report", "--compare", "merged,merged"]);
    assert!(stderr.contains("'merged' with itself"), "{stderr}");
    let stderr = env.stderr(4, &["report", "--curve"]);
    assert!(stderr.contains("add `pretrain: {milestones"), "{stderr}");
    // With more subtasks than conditions, the subtasks are the rows of the figure.
    let svg = env.run(0, &["report", "--subtasks", "blimp", "--svg"]);
    assert!(svg.contains(">nano chat single<"), "{svg}");
}

/// Executes a statement on the database, to simulate the results of an older version.
fn execute(database: &Path, sql: &str) {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("runs.db opens");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("a valid statement");
    });
}
