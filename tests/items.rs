//! `grid export items`, and clusters for items that older versions of grid recorded without them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::common::Env;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// A spec whose evaluation data is written by [`ewok`] and [`reading`].
const SPEC: &str = "\
name: tiny
corpora: {speech: {world: speech, words: 6k}}
datasets: {chat: {world: chat, records: 100}}
tokenizer: {vocab_size: 400}
models: {nano: {hidden: 32, layers: 1, heads: 2}}
pretrain: {sequence_length: 32, steps: 10, batch_size: 8, learning_rate: 3e-3, milestones: {words: [500]}}
tune: {epochs: 1, batch_size: 8, max_length: 64, learning_rate: 1e-3}
axes: {dataset: [chat], curriculum: [pretrained, merged], seed: [1, 2]}
evaluate: {data: data, size: fast, suites: [ewok, reading], checkpoints: {suites: [ewok], size: fast}}
resources: {threads: 1}
";

/// Writes EWoK data: two domains, and for each noun two rows that swap contexts and targets.
/// Writes files of EWoK: for each noun a row, and the row with contexts and targets swapped.
fn ewok(env: &Env, nouns: &[&str]) {
    let folder = env.path().join("data/fast_eval/ewok_fast");
    fs::create_dir_all(&folder).expect("a folder");
    for (domain, verb) in [("motion", "sees"), ("sound", "hears")] {
        let row = |noun: &&str| {
            let contexts = [format!("The {noun} {verb} the cat."), format!("The cat {verb} the {noun}.")];
            [(0, 1), (1, 0)].map(|(one, other)| {
                let targets = ["It is happy.", "It runs."];
                serde_json::json!({"Domain": domain, "Context1": contexts[one], "Context2": contexts[other],
                    "Target1": targets[one], "Target2": targets[other]})
                .to_string()
            })
        };
        let rows: Vec<String> = nouns.iter().flat_map(row).collect();
        fs::write(folder.join(format!("{domain}.jsonl")), rows.join("\n")).expect("a file");
    }
}

/// Writes reading times of 39 words.
/// Writes a file of reading times.
fn reading(env: &Env) {
    let folder = env.path().join("data/fast_eval/reading");
    fs::create_dir_all(&folder).expect("a folder");
    let columns = "item,word,sent_id,context_length,Subtlex_log10,length,RTfirstfix,RTfirstpass,RTgopast,RTrightbound,\
                   self_paced_reading_time,prev_word,prev_item,prev_length";
    let row = |n: u32| format!("The dog,sees,{},2,{},4,{n},{n},{n},{n},{n},dog,The,3", n / 4, n % 7);
    let rows: Vec<String> = (1..40).map(row).collect();
    fs::write(folder.join("reading_data.csv"), format!("{columns}\n{}\n", rows.join("\n"))).expect("a file");
}

fn execute(database: &Path, sql: &str) {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.expect("runs.db opens");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("valid statements");
        connection.close().await.expect("runs.db closes");
    });
}

/// Puts the database into the state that a version of grid without clusters would have left.
const REMOVE_CLUSTERS: &str = "UPDATE item SET cluster = NULL; UPDATE score SET stderr = 1.0 WHERE suite = 'ewok';";

fn csv(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_path(path).expect("a CSV file");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

#[test]
fn items_of_old_and_new_versions_are_exported_with_clusters() {
    let env = Env::new(SPEC);
    ewok(&env, &["dog", "boy", "girl", "duck"]);
    reading(&env);
    env.run(0, &["run", "spec.yaml"]);
    let stderrs = || env.query("select cell, subtask, stderr from v_scores where suite = 'ewok' order by 1, 2, job");
    let database = env.path().join("runs/runs.db");
    execute(&database, REMOVE_CLUSTERS);
    assert!(stderrs().iter().all(|row| row.ends_with("|1")));

    // Four cells, two domains, eight rows each. Milestones and reading times are not exported.
    let message = env.stderr(0, &["export", "items", "tiny", "out.csv"]);
    assert_eq!(message, "wrote 64 rows to out.csv\n");
    let rows = csv(&env.path().join("out.csv"));
    let header = fs::read_to_string(env.path().join("out.csv")).expect("a file");
    insta::assert_snapshot!(header.lines().next().expect("a header"), @"experiment,model,dataset,curriculum,extra,seed,checkpoint,finetune_seed,suite,task,subtask,mode,item,cluster,credit,correct,job");
    assert_eq!(rows.len(), 4 * 2 * 8);
    for row in &rows {
        assert_eq!((&*row["suite"], &*row["checkpoint"], &*row["finetune_seed"]), ("ewok", "final", ""));
        assert_eq!(row["correct"] == "1", row["credit"] == "1", "{row:?}");
        assert_eq!(row["dataset"].is_empty(), row["curriculum"] == "pretrained", "{row:?}");
    }
    let of_cell = |seed: &str, curriculum: &str| {
        let found = rows.iter().filter(|row| row["seed"] == seed && row["curriculum"] == curriculum);
        found.collect::<Vec<_>>()
    };
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for row in of_cell("2", "single") {
        *sizes.entry(&row["cluster"]).or_default() += 1;
    }
    assert_eq!(sizes.into_values().collect::<Vec<_>>(), [2; 8], "a row and its swap");

    // The recorded standard errors are clustered; compute them again.
    for curriculum in ["pretrained", "single"] {
        let recorded = env.query(&format!(
            "select stderr from v_scores where suite = 'ewok' and subtask = 'motion' and checkpoint = 'final' and \
             curriculum = '{curriculum}' and seed = 1"
        ));
        let credits: Vec<(&str, f64)> = of_cell("1", curriculum)
            .into_iter()
            .filter(|row| row["subtask"] == "motion")
            .map(|row| (&*row["cluster"], row["credit"].parse().expect("a number")))
            .collect();
        let mean = credits.iter().map(|(_, credit)| credit).sum::<f64>() / 8.0;
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        credits.iter().for_each(|(cluster, credit)| *sums.entry(cluster).or_default() += credit - mean);
        let squares: f64 = sums.values().map(|sum| sum * sum).sum();
        let expected = 100.0 * (4.0 / 3.0 * squares).sqrt() / 8.0;
        let stderr: f64 = recorded[0].parse().expect("a number");
        assert!((stderr - expected).abs() < 1e-9, "{curriculum}: {stderr} instead of {expected}");
    }
    // The clusters of reading are its sentences. The items of the milestone have clusters as well.
    assert_eq!(env.query("select count(*) from item where cluster is null"), ["0"]);
    assert_eq!(env.query("select distinct cluster from v_items where suite = 'reading' and item < 7"), ["0", "1"]);

    // Parquet has the same rows. `--milestones` adds rows, which the column `checkpoint` distinguishes.
    env.run(0, &["export", "items", "tiny", "out.parquet"]);
    let reader = SerializedFileReader::new(fs::File::open(env.path().join("out.parquet")).expect("a file"));
    let reader = reader.expect("a Parquet file");
    let mut same = 0;
    for (row, csv) in reader.get_row_iter(None).expect("rows").zip(&rows) {
        for (name, value) in row.expect("a row").get_column_iter() {
            let text = match value {
                Field::Null => String::new(),
                Field::Str(text) => text.clone(),
                Field::Long(number) => number.to_string(),
                Field::Double(number) => number.to_string(),
                other => panic!("{name} holds {other:?}"),
            };
            assert_eq!(text, csv[name], "{name}");
        }
        same += 1;
    }
    assert_eq!(same, rows.len());
    env.run(0, &["export", "items", "tiny", "more.csv", "--milestones"]);
    let more = csv(&env.path().join("more.csv"));
    let early = more.iter().filter(|row| row["checkpoint"] == "500-words").count();
    assert!(early > 0 && more.len() == rows.len() + early, "{early} of {}", more.len());
}

#[test]
fn missing_or_changed_data_gives_a_note_and_no_file_is_overwritten() {
    let env = Env::new(SPEC);
    ewok(&env, &["dog", "boy"]);
    reading(&env);
    env.run(0, &["run", "spec.yaml"]);
    execute(&env.path().join("runs/runs.db"), REMOVE_CLUSTERS);
    // The same number of rows with other content.
    ewok(&env, &["dog", "girl"]);
    fs::remove_dir_all(env.path().join("data/fast_eval/reading")).expect("a folder");
    let message = env.stderr(0, &["export", "items", "tiny", "out.csv"]);
    let jobs = env.query("select count(distinct job) from item_group").remove(0);
    assert_eq!(
        message,
        format!(
            "note: the items of {jobs} jobs have no clusters, because their data are no longer there; each item counts \
             as a cluster of its own\nwrote 32 rows to out.csv\n"
        )
    );
    assert!(csv(&env.path().join("out.csv")).iter().all(|row| row["cluster"].is_empty()));
    assert_eq!(env.query("select count(*) from item where cluster is not null"), ["0"]);
    assert_eq!(env.query("select distinct stderr from v_scores where suite = 'ewok'"), ["1"]);

    for (arguments, code) in [
        (&["tiny", "out.csv"][..], 1),
        (&["tiny", "out.xlsx"], 1),
        (&["unknown", "new.csv"], 4),
        (&["tiny", "nowhere/new.csv"], 6),
    ] {
        env.stderr(code, &[&["export", "items"], arguments].concat());
    }
    let stderr = env.stderr(1, &["export", "items", "tiny", "out.xlsx"]);
    insta::assert_snapshot!(stderr, @"grid: failed to write out.xlsx: unknown table format; use the extension .csv or .parquet");
    assert!(!env.path().join("new.csv").exists());

    // Once the data is back, the clusters can be computed.
    ewok(&env, &["dog", "boy"]);
    reading(&env);
    assert_eq!(env.stderr(0, &["export", "items", "tiny", "new.csv"]), "wrote 32 rows to new.csv\n");
    assert!(csv(&env.path().join("new.csv")).iter().all(|row| row["cluster"].len() == 12));
}
