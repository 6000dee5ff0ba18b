//! The tables that a spec defines and their published rows, on the toy world.

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
fn tables_and_published_rows_do_not_need_the_spec_after_the_experiment_ran() {
    let env = Env::new(&format!("{TINY}{TABLES}"));
    env.run(0, &["run", "spec.yaml"]);
    std::fs::remove_file(env.path().join("spec.yaml")).expect("the spec");

    let pairs = env.run(0, &["report", "--table", "pairs"]);
    assert!(pairs.starts_with("tiny: pairs\n"), "{pairs}");
    let published: Vec<&str> = pairs.lines().filter(|line| line.contains("theirs (published)")).collect();
    assert!(published[0].contains("74.9") && published[0].contains("63.25"), "{pairs}");
    assert_eq!(published[1], "theirs (published): a model card");
    assert!(!pairs.contains("elsewhere"), "a reference without any of the columns is left out\n{pairs}");
    assert!(!env.run(0, &["report", "--table", "alone"]).contains("theirs"), "the table chooses its references");

    // The standard tables have published rows too.
    for table in ["scores", "leaderboard"] {
        assert!(env.run(0, &["report", "--table", table]).contains("theirs (published)"), "{table}");
    }

    // Every format separates them from the measured rows: four conditions, one published row.
    let json: Value =
        serde_json::from_str(&env.run(0, &["report", "--table", "pairs", "--format", "json"])).expect("JSON");
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(4));
    assert_eq!(json["published"].as_array().map(Vec::len), Some(1));
    assert_eq!(json["published"][0][3]["number"][0], 74.9);
    let csv = env.run(0, &["report", "--table", "pairs", "--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 1 + 4 + 1, "{csv}");
    assert!(lines[5].starts_with("theirs (published),,,74.9,,,63.25,,,"), "{csv}");
    // CSV also has what the terminal shows around a score: planned seeds, mode and chance.
    for column in ["blimp_seeds_planned", "blimp_rules", "blimp_chance"] {
        assert!(lines[0].split(',').any(|head| head == column), "{csv}");
    }
    let fields = |line: &str| line.matches(',').count();
    assert!(lines.iter().all(|line| fields(line) == fields(lines[0])), "{csv}");
    let markdown = env.run(0, &["report", "--table", "pairs", "--format", "md"]);
    assert!(markdown.contains("| theirs (published) |  |  | 74.9 | 63.25 |"), "{markdown}");
}

/// The number of marks in a figure, without the samples in its legend.
fn points(svg: &str) -> usize {
    svg.lines().filter(|line| line.starts_with("<circle") && !line.contains("<title>sample<")).count()
}

/// The z-scores of a column have mean 0 and population deviation 1 over the four measured models, and the boxes summarise
/// them.
#[test]
fn z_scores_are_relative_to_the_measured_models() {
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
    // Mean and median of two values are the same.
    let figure = table("figure");
    let (means, medians) = (numbers(&figure, 4), numbers(&figure, 5));
    assert_eq!(means.len(), 4, "{figure}");
    for (mean, median) in means.iter().zip(&medians) {
        assert!((mean - median).abs() < 1e-9, "{figure}");
    }
    assert_eq!(means, numbers(&z, 5));

    // The figure has the same means, and a point for each column of every model.
    let svg = env.run(0, &["report", "--table", "figure", "--svg"]);
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(points(&svg), 8, "{svg}");
    assert!(svg.contains(">95% band of the mean of equally good models<"), "{svg}");
    for mean in means {
        assert!(svg.contains(&format!("<title>mean {mean:+.2}</title>")), "{svg}");
    }
    // The figure of scores has a mark for each model and task, and for each published number.
    let svg = env.run(0, &["report", "--table", "pairs", "--svg"]);
    assert_eq!(points(&svg), 2 * (4 + 1), "{svg}");
    assert!(svg.contains(">theirs (published)<") && svg.contains(">chance<"), "{svg}");
    // With --compare, the figure is that of the comparison.
    let svg = env.run(0, &["report", "--compare", "merged,sequential", "--svg"]);
    assert!(svg.contains("sequential against merged") && svg.contains(">difference"), "{svg}");
}

#[test]
fn an_unknown_table_is_reported_with_the_known_tables() {
    let env = Env::new(&format!("{TINY}{TABLES}"));
    env.run(0, &["run", "spec.yaml", "-S", "axes.curriculum=[pretrained]", "-S", "axes.seed=[1]"]);
    let complaint = env.complaint(4, &["report", "--table", "figur"]);
    assert!(complaint.contains("no table 'figur' (did you mean 'figure'?)"), "{complaint}");
    assert!(complaint.contains("there are scores, leaderboard, pairs, alone, z, figure"), "{complaint}");
    // A single model has no z.
    let figure = env.run(0, &["report", "--table", "figure"]);
    assert!(figure.contains("0 of 2"), "{figure}");
}

/// The learning rate makes every training run fail, so there are no scores.
#[test]
fn a_report_without_scores_shows_the_state_of_the_experiment() {
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
fn a_note_names_the_builds_if_there_are_several() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1]", "-S", "axes.curriculum=[pretrained]"]);
    assert!(!env.run(0, &["report"]).contains("of several builds"));
    let older = "update attempt set version = 'grid 0.0.9' where job = (select id from job where kind = 'pretrain')";
    execute(&env.path().join("runs/runs.db"), older);
    for format in ["table", "md", "json"] {
        let report = env.run(0, &["report", "--format", format]);
        assert!(report.contains("of several builds") && report.contains("grid 0.0.9 gave 1 job"), "{report}");
    }
}

#[test]
fn a_report_on_missing_scores_names_the_existing_ones() {
    let env = Env::new(TINY);
    env.run(0, &["run", "spec.yaml", "-S", "axes.seed=[1]"]);
    let complaint = env.complaint(4, &["report", "--subtasks", "ewok"]);
    assert_eq!(complaint, "grid: 'tiny' has no subtask scores of ewok; there are those of blimp, blimp-supplement\n");
    let complaint = env.complaint(4, &["report", "--compare", "merged,merged"]);
    assert!(complaint.contains("'merged' with itself"), "{complaint}");
    let complaint = env.complaint(4, &["report", "--curve"]);
    assert!(complaint.contains("give its spec `pretrain: {milestones"), "{complaint}");
    // With more subtasks than conditions, the subtasks are the rows of the figure.
    let svg = env.run(0, &["report", "--subtasks", "blimp", "--svg"]);
    assert!(svg.contains(">nano chat single<"), "{svg}");
}

/// Changes runs.db to simulate results of an older build.
fn execute(database: &Path, sql: &str) {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("runs.db opens");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("a valid statement");
    });
}
