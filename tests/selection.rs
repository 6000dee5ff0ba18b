//! Pieces of a corpus that a dataset lacks, rewritten by a stub service.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::server::{Request, Response, Server, ok};
use crate::common::{Env, texts};

/// Documents about animals and about taxes, and a dataset about animals. `made` is what `build:` and `teacher:` say.
fn env(made: &str) -> Env {
    let env = Env::new(&format!(
        "name: selection
corpora:
  news: {{files: news.txt}}
datasets:
  animals: {{files: animals.jsonl, format: prompt_completion, template: \"{{prompt}} > {{reply}}\"}}
  made: {{{made}}}
tokenizer: {{vocab_size: 400}}
models:
  nano: {{hidden: 32, layers: 2, heads: 2}}
pretrain: {{sequence_length: 32, steps: 30, batch_size: 8, learning_rate: 3e-3}}
tune: {{epochs: 1, batch_size: 4, max_length: 64, learning_rate: 1e-3}}
axes: {{dataset: [made, [animals, made]], curriculum: [merged]}}
resources: {{threads: 1}}
"
    ));
    let animals = ["dog", "cat", "horse", "cow", "sheep", "bird", "goat"];
    let places = ["house", "garden", "river", "tree", "farm"];
    let animal = |number: usize| (animals[number % 7], places[number % 5], number % 4 + 2);
    let mut news = String::new();
    for number in 0..40 {
        let (animal, place, count) = animal(number * 3 + 1);
        news.push_str(&format!("Do you see the {animal}?\nI see {count} in the {place}.\n\n"));
        news.push_str(&format!("Section {number}: net revenue taxed above 9{number}% requires quarterly filings.\n\n"));
    }
    fs::write(env.path().join("news.txt"), news).unwrap();
    let record = |number: usize| {
        let (animal, place, count) = animal(number);
        json!({"prompt": format!("Do you see the {animal}?"), "completion": format!("I see {count} in the {place}.")})
            .to_string()
    };
    fs::write(env.path().join("animals.jsonl"), (0..80).map(record).collect::<Vec<_>>().join("\n")).unwrap();
    env
}

const SELECT: &str = "build: {select: {embed: nano, from: news, against: animals, below: 5%}}";

fn grid(env: &Env, args: &[&str]) -> Command {
    let mut command = env.command(args);
    command.env("GRID_CACHE", env.path().join("cache")).env_remove("GRID_OFFLINE");
    command
}

fn run(env: &Env, code: i32, args: &[&str]) -> String {
    let output = grid(env, args).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "--- stdout\n{stdout}\n--- stderr\n{stderr}");
    stdout + &stderr
}

/// Asks for the number of the section; the piece is what follows the last colon but one.
fn rewrite(request: &Request) -> Response {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["response_format"]["json_schema"]["schema"]["properties"]["pairs"]["minItems"], 2);
    let piece = body["messages"][0]["content"].as_str().unwrap().split("Text: ").last().unwrap().to_owned();
    let pair = |what: &str| json!({"instruction": format!("{what} {}?", &piece[..9]), "response": piece});
    let answer = json!({"pairs": [pair("What says"), pair("Explain")]}).to_string();
    ok(json!({"choices": [{"message": {"role": "assistant", "content": answer}}]}).to_string().as_bytes())
}

/// The digests of what sample and teach jobs left, and of all weights.
fn results(env: &Env) -> (Vec<String>, Vec<String>) {
    let rows = "select kind, label, path, digest from artifact join job on job.id = artifact.job \
                where kind in ('sample', 'teach') order by 1, 2, 3";
    (env.query(rows), env.weights().into_values().collect())
}

/// The rows that the job of a kind left.
fn rows_of(env: &Env, kind: &str) -> Vec<Value> {
    let sql = format!("select attempt.folder from job join attempt on attempt.id = job.result where kind = '{kind}'");
    let [folder] = &env.query(&sql)[..] else { panic!("one {kind} job") };
    let text = fs::read_to_string(env.path().join("runs").join(folder).join("output/rows.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_dataset_lacks_is_selected_and_rewritten() {
    let server = Server::new(rewrite);
    let made = format!("{SELECT}, teacher: {{endpoint: \"{}/v1\", model: stub, pairs: 2, parallel: 1}}", server.url);
    let undisturbed = env(&made);
    let plan = run(&undisturbed, 0, &["plan", "spec.yaml"]);
    assert!(plan.contains("news unlike animals") && plan.contains("stub rewrites") && plan.contains("≤80"), "{plan}");
    run(&undisturbed, 0, &["run", "spec.yaml"]);
    let selected: Vec<String> =
        rows_of(&undisturbed, "sample").iter().map(|row| row["prompt"].as_str().unwrap().to_owned()).collect();
    let (taxes, animals): (Vec<&String>, Vec<&String>) = selected.iter().partition(|text| text.starts_with("Section"));
    assert_eq!(taxes.len(), 40, "{selected:?}");
    assert!(animals.len() < 15, "most animals are like those of the dataset: {animals:?}");
    let rows = rows_of(&undisturbed, "teach");
    assert_eq!(rows.len(), 2 * selected.len());
    let pairs = rows.chunks(2).zip(&selected);
    assert!(pairs.clone().all(|(rows, piece)| rows.iter().all(|row| row["reply"] == *piece)), "{rows:?}");
    assert_eq!(server.requested_paths().len(), selected.len(), "no piece is sent twice");
    let plan: Value = serde_json::from_str(&run(&undisturbed, 0, &["plan", "spec.yaml", "--format", "json"])).unwrap();
    let line = &plan["sampled"][0];
    assert_eq!((&line["prompts"], &line["at_most"]), (&json!(selected.len()), &json!(false)), "{line}");
    assert_eq!(line["requests"], json!(selected.len()));
    let words: usize = rows
        .iter()
        .flat_map(|row| [&row["prompt"], &row["reply"]])
        .map(|text| text.as_str().unwrap().split_whitespace().count())
        .sum();
    assert_eq!((&line["teacher_words"], &line["student_words"]), (&json!(words), &json!(0)));
    let shown = run(&undisturbed, 0, &["data", "show", "spec.yaml", "made", "-n", "1"]);
    assert!(shown.contains(&format!("dataset made: {} records", rows.len())), "{shown}");
    let tokens = shown.replace('|', "");
    assert!(shown.contains("template \"{prompt} > {reply}\"") && tokens.contains("What says Section"), "{shown}");

    // Another cache of answers, so that all requests are sent again.
    let killed = env(&made);
    let before = server.requested_paths().len();
    let mut child = grid(&killed, &["run", "spec.yaml"]).spawn().unwrap();
    killed.wait_until("some answers", Duration::from_secs(300), || server.requested_paths().len() >= before + 7);
    child.kill().unwrap();
    child.wait().unwrap();
    run(&killed, 0, &["resume"]);
    assert_eq!(results(&killed), results(&undisturbed));
}

/// Without a teacher, the pieces themselves are the text; `n` draws some of them.
#[test]
fn selected_pieces_can_be_trained_on() {
    let env = env(&SELECT.replace("below: 5%", "below: 5%, n: 10%"));
    run(&env, 0, &["run", "spec.yaml"]);
    let rows = rows_of(&env, "sample");
    assert_eq!(rows.len(), 8, "a tenth of 80 pieces");
    let shown = run(&env, 0, &["data", "show", "spec.yaml", "made", "-n", "1"]);
    assert!(shown.contains("dataset made: 8 records"), "{shown}");
    let (_, rest) = rows[0]["prompt"].as_str().unwrap().split_once(' ').unwrap();
    assert!(shown.replace('|', "").contains(rest), "a text is trained on after its first token: {shown}");
    fs::write(env.path().join("rewrite.txt"), "Rewrite this.").unwrap();
    let spec = fs::read_to_string(env.path().join("spec.yaml")).unwrap();
    let teacher = "n: 10%}}, teacher: {endpoint: \"http://localhost:9/v1\", model: stub, prompt: rewrite.txt}}";
    fs::write(env.path().join("spec.yaml"), spec.replace("n: 10%}}}", teacher)).unwrap();
    let message = run(&env, 1, &["plan", "spec.yaml"]);
    assert!(message.contains("does not contain {text}"), "{message}");
    let none = spec.replace("below: 5%", "below: 1e-300, bandwidth: 100");
    fs::write(env.path().join("spec.yaml"), none).unwrap();
    let message = run(&env, 2, &["run", "spec.yaml"]);
    assert!(message.contains("none of 80 pieces has a density below 1.0000e-300: raise `below`"), "{message}");
}

/// `experiments/selection.yaml` with the stub that its comments name, at a small size.
#[test]
fn the_shipped_experiment_runs_with_the_stub_service() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let stub = root.join("tests/stub_teacher.py");
    let mut stub = Command::new("python3").arg(stub).arg("0").stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(stub.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let env = Env::new("");
    let spec = root.join("experiments/selection.yaml");
    let endpoint = format!("datasets.rewritten.teacher.endpoint=http://127.0.0.1:{}/v1", port.trim());
    let small = [
        "axes.dataset=[[chat, rewritten]]",
        "axes.seed=[1]",
        "corpora.speech.words=8k",
        "corpora.articles.words=8k",
        "datasets.rewritten.build.select.n=10",
        "evaluate.items=4",
        &endpoint,
    ];
    let arguments = small.iter().flat_map(|setting| ["-S", setting]);
    let arguments: Vec<&str> = ["run", spec.to_str().unwrap()].into_iter().chain(arguments).collect();
    run(&env, 0, &arguments);
    stub.kill().unwrap();
    stub.wait().unwrap();
    let rows = rows_of(&env, "teach");
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row["prompt"].as_str().unwrap().starts_with("Tell me about ")), "{rows:?}");
}
