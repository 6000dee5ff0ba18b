//! Rounds with a teacher: a curriculum whose data a model makes and a teacher corrects or scores, here a stub service.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::server::{Request, Response, Server, ok, response};
use crate::common::{Env, texts};

const TEACHER: &str = "You correct the text of a learner.\n---\nText: {prompt}\nContinuation: {reply}\n";

/// A tiny experiment with this number of rounds.
fn spec(rounds: u32, teacher: &str) -> String {
    format!(
        "name: rounds
corpora:
  speech: {{world: speech, words: 6k}}
tokenizer: {{vocab_size: 400}}
models:
  nano: {{hidden: 32, layers: 2, heads: 2}}
pretrain: {{sequence_length: 32, steps: 20, batch_size: 8, learning_rate: 3e-3}}
tune: {{epochs: 1, batch_size: 4, max_length: 64, learning_rate: 1e-3}}
curricula:
  interactive:
    rounds: {rounds}
    sample: {{corpus: speech, context: 8, max_tokens: 8, prompts: 6, top_p: 0.9}}
    teacher: {{{teacher}}}
    then:
      - {{loss: all}}
      - {{objective: {{simpo: {{sft_weight: 0.2}}}}}}
axes: {{curriculum: [interactive]}}
resources: {{threads: 1}}
"
    )
}

fn endpoint(url: &str, more: &str) -> String {
    format!("endpoint: \"{url}/v1\", model: stub, prompt: teacher.txt, {more}")
}

/// An experiment in a folder, with a cache of answers of its own.
fn env(spec: &str) -> Env {
    let env = Env::new(spec);
    fs::write(env.path().join("teacher.txt"), TEACHER).unwrap();
    env
}

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

/// What the student wrote, as the request names it.
fn continuation(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let text = body["messages"][1]["content"].as_str().unwrap();
    text.rsplit("Continuation: ").next().unwrap().to_owned()
}

fn chat(content: &str) -> Response {
    ok(json!({"choices": [{"message": {"role": "assistant", "content": content}}]}).to_string().as_bytes())
}

/// A teacher that answers with the text of the student in capitals.
fn capitals(request: &Request) -> Response {
    chat(&continuation(request).to_uppercase())
}

/// The digests of the rows that sample and teach jobs left, and of all weights.
fn results(env: &Env) -> (Vec<String>, BTreeMap<String, String>) {
    let rows = "select kind, label, path, digest from artifact join job on job.id = artifact.job \
                where kind in ('sample', 'teach') order by 1, 2, 3";
    (env.query(rows), env.weights())
}

#[test]
fn twenty_rounds_that_are_killed_twice_leave_the_same_files() {
    let server = Server::new(capitals);
    let undisturbed = env(&spec(20, &endpoint(&server.url, "")));
    let plan = run(&undisturbed, 0, &["plan", "spec.yaml"]);
    assert!(plan.contains("stub corrects"), "{plan}");
    run(&undisturbed, 0, &["run", "spec.yaml"]);
    let (rows, weights) = results(&undisturbed);
    assert_eq!((rows.len(), weights.len()), (80, 41), "two files of each job, and 1 + 2 * 20 models");
    let requests = server.requested_paths().len();
    assert_eq!(requests, 120, "no reply is sent twice");

    // Another cache of answers, so that all requests are sent again.
    let killed = env(&spec(20, &endpoint(&server.url, "")));
    for wanted in [30, 80] {
        let mut child = grid(&killed, &["run", "spec.yaml"]).spawn().unwrap();
        let enough = || server.requested_paths().len() >= requests + wanted;
        killed.wait_until("some answers", Duration::from_secs(300), enough);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&killed, 0, &["resume"]);
    assert_eq!(results(&killed), (rows, weights));
}

#[test]
fn a_teacher_with_faults_loses_nothing() {
    let fault = Arc::new(AtomicUsize::new(0));
    let (dead, count) = (Arc::new(AtomicUsize::new(0)), fault.clone());
    let is_dead = dead.clone();
    let server = Server::new(move |request| {
        if is_dead.load(Ordering::SeqCst) > 0 {
            return response("401 Unauthorized", "Content-Length: 8\r\n", b"no quota");
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            1 => response("429 Too Many Requests", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
            3 => response("500 Internal Server Error", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
            5 => {
                std::thread::sleep(Duration::from_millis(700));
                capitals(request)
            }
            // Blank answers for one continuation, until the teacher is given up on.
            7..10 => chat("  \n"),
            12 => chat("not even {json"),
            13 => {
                is_dead.store(1, Ordering::SeqCst);
                capitals(request)
            }
            _ => capitals(request),
        }
    });
    let env = env(&spec(3, &endpoint(&server.url, "parallel: 1")));
    let message = run(&env, 2, &["run", "spec.yaml"]);
    assert!(message.contains("401") && message.contains("no quota"), "{message}");
    let answers = || {
        let folders = fs::read_dir(env.path().join("cache/data/answers")).unwrap();
        folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).count()
    };
    let before = answers();
    assert!(before >= 6, "{before}");
    dead.store(0, Ordering::SeqCst);
    fault.store(100, Ordering::SeqCst);
    let sent = server.requested_paths().len();
    run(&env, 0, &["resume"]);
    assert_eq!(server.requested_paths().len() - sent, 18 - before, "only what is missing is asked again");
    let warned =
        env.query("select 1 from attempt where warnings like '1 of 6 prompts left out, because the teacher gave%'");
    assert_eq!(warned.len(), 1);

    // The same experiment elsewhere, with the answers and without the network.
    let offline = Env::new(&spec(3, &endpoint("http://localhost:9", "parallel: 1")));
    fs::write(offline.path().join("teacher.txt"), TEACHER).unwrap();
    let missing = run(&offline, 2, &["--offline", "run", "spec.yaml"]);
    assert!(missing.contains("6 of 6 answers are not in") && missing.contains("offline"), "{missing}");
    let status = Command::new("cp").arg("-r").arg(env.path().join("cache")).arg(offline.path()).status().unwrap();
    assert!(status.success());
    run(&offline, 0, &["--offline", "resume"]);
    assert_eq!(results(&offline), results(&env));
}

#[test]
fn scores_of_a_teacher_and_of_a_model_pick_the_pairs() {
    let server = Server::new(|request| chat(&format!("{} points", continuation(request).len() % 11)));
    let scored = spec(2, &endpoint(&server.url, "mode: score"))
        .replace("- {loss: all}\n      - {objective: {simpo: {sft_weight: 0.2}}}", "- {objective: dpo}");
    let env = env(&scored);
    run(&env, 0, &["run", "spec.yaml"]);
    assert_eq!(server.requested_paths().len(), 2 * 6 * 4, "four replies to each prompt");

    let by_model = scored
        .replace(&endpoint(&server.url, "mode: score"), "model: wide, mode: score")
        .replace("  nano:", "  wide: {hidden: 64, layers: 2, heads: 2}\n  nano:")
        .replace("axes: {", "axes: {model: [nano], ");
    let own = self::env(&by_model);
    run(&own, 0, &["run", "spec.yaml"]);
    let rows = rows_of(&own, "teach");
    let scores = rows.iter().flat_map(|row| row["scores"].as_array().unwrap());
    assert!(scores.clone().all(|score| score.as_f64().unwrap() < 0.0), "mean log-probabilities");
    assert_eq!(scores.count(), 2 * 6 * 4);
    let corrected = by_model.replace("mode: score", "mode: correct").replace("objective: dpo", "objective: simpo");
    let own = self::env(&corrected);
    run(&own, 0, &["run", "spec.yaml"]);
    let rows = rows_of(&own, "teach");
    assert_eq!(rows.len(), 12);
    assert!(rows.iter().any(|row| row["chosen"] != row["rejected"]), "two models");
    let sampled = rows_of(&own, "sample");
    let written = |text: &Value| sampled.iter().any(|row| row["replies"][0] == *text);
    assert!(rows.iter().all(|row| written(&row["chosen"]) && written(&row["rejected"])), "replies stay as they are");
}

/// The pieces of a corpus that a model continues are cut by its own tokenizer, not by that of the model that is tuned.
#[test]
fn a_model_continues_text_in_its_own_vocabulary() {
    let spec = "name: made
corpora: {speech: {world: speech, words: 6k}}
datasets: {made: {build: {sample: wide, corpus: speech, context: 8, max_tokens: 8, prompts: 6}}}
models:
  nano: {hidden: 32, layers: 2, heads: 2, vocab_size: 400}
  wide: {hidden: 64, layers: 2, heads: 2, vocab_size: 450}
pretrain: {sequence_length: 32, steps: 10, batch_size: 8, learning_rate: 3e-3}
tune: {epochs: 1, batch_size: 4, max_length: 64, learning_rate: 1e-3}
axes: {model: [nano], dataset: [made], curriculum: [merged]}
resources: {threads: 1}
";
    let env = env(spec);
    let plan = run(&env, 0, &["plan", "spec.yaml"]);
    assert!(plan.contains("corpus speech, vocabulary of 450"), "{plan}");
    let missing = run(&env, 4, &["data", "show", "spec.yaml", "made"]);
    assert!(missing.contains("dataset made does not exist yet"), "{missing}");
    run(&env, 0, &["run", "spec.yaml"]);
    let shown = run(&env, 0, &["data", "show", "spec.yaml", "made"]);
    assert!(shown.contains("dataset made: 6 records, the reply continues the prompt"), "{shown}");
    let rows = rows_of(&env, "sample");
    assert_eq!(rows.len(), 6);
    let corpus = grid::data::world::corpus(grid::domain::WorldPart::Speech, 1, 6_000);
    let first = |row: &Value| row["prompt"].as_str().unwrap().replace("<|endoftext|>", "\n\n").trim().to_owned();
    assert!(rows.iter().all(|row| corpus.contains(&first(row))), "{rows:?}");
}

/// `experiments/interaction.yaml` with the stub that its comments name, at a small size.
#[test]
fn the_shipped_experiment_runs_with_the_stub_service() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stub = Command::new("python3")
        .arg(root.join("tests/stub_teacher.py"))
        .arg("0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(stub.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let env = env("");
    let spec = root.join("experiments/interaction.yaml");
    let endpoint = format!("curricula.by-service.teacher.endpoint=http://127.0.0.1:{}/v1", port.trim());
    let small = [
        "axes.curriculum=[by-service]",
        "axes.seed=[1]",
        "corpora.speech.words=8k",
        "curricula.by-service.rounds=2",
        "curricula.by-service.sample.prompts=10",
        "evaluate.items=4",
        &endpoint,
    ];
    let arguments = small.iter().flat_map(|setting| ["-S", setting]);
    let arguments: Vec<&str> = ["run", spec.to_str().unwrap()].into_iter().chain(arguments).collect();
    run(&env, 0, &arguments);
    stub.kill().unwrap();
    stub.wait().unwrap();
    let rows = rows_of(&env, "teach");
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row["chosen"].as_str().unwrap().ends_with('.')), "{rows:?}");
}

/// The rows that the jobs of a kind left.
fn rows_of(env: &Env, kind: &str) -> Vec<Value> {
    let folders = env.query(&format!(
        "select attempt.folder from job join attempt on attempt.id = job.result where kind = '{kind}'"
    ));
    let path = |folder: String| env.path().join("runs").join(folder).join("output/rows.jsonl");
    let text = |folder: String| fs::read_to_string(path(folder)).unwrap();
    let lines = folders.into_iter().map(text).collect::<String>();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
