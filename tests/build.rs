//! `grid data build`: a dataset generated from text by a model behind an endpoint, here a stub service.

use std::fs;
use std::process::Output;

use crate::common::server::{Request, Response, Server, ok, response};
use crate::common::{Env, TINY, texts};
use serde_json::{Value, json};

/// The text of six articles, one of which is too short to be used.
fn articles() -> String {
    let article = |n: usize| format!("Article {n} is about the number {n}. {}", "It has many words in it. ".repeat(4));
    let mut all: Vec<String> = (0..5).map(article).collect();
    all.push("Too short.".to_owned());
    all.join("\n\n")
}

fn spec(endpoint: &str, more: &str) -> String {
    let build = format!(
        "{{corpus: wiki, endpoint: \"{endpoint}/v1\", model: tiny-instruct, pairs: 2, min_words: 10, parallel: 1, {more}}}"
    );
    TINY.replace("speech: {world: speech, words: 6k}", "speech: {world: speech, words: 6k}\n  wiki: {files: wiki.txt}")
        .replace(
            "questions: {world: questions, records: 200}",
            &format!("questions: {{files: made/questions.jsonl, build: {build}}}"),
        )
}

/// The response of a chat service with the given content.
fn chat(content: &str) -> Response {
    ok(json!({"choices": [{"message": {"role": "assistant", "content": content}}]}).to_string().as_bytes())
}

/// A response with two question-answer pairs about the article in the request.
fn pairs(request: &Request) -> Response {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let text = body["messages"][0]["content"].as_str().unwrap();
    let number = text.rsplit("Article ").next().unwrap().split(' ').next().unwrap();
    let pair =
        |n: u32| json!({"question": format!("What is {n} of {number}?"), "answer": format!("It is {n} of {number}.")});
    chat(&json!({"pairs": [pair(1), pair(2)]}).to_string())
}

fn build(env: &Env, key: Option<&str>) -> Output {
    let mut command = env.command(&["data", "build", "spec.yaml"]);
    command.env("GRID_CACHE", env.path().join("cache")).env_remove("GRID_OFFLINE").env_remove("TEST_SERVICE_KEY");
    if let Some(key) = key {
        command.env("TEST_SERVICE_KEY", key);
    }
    command.output().expect("the binary starts")
}

fn expect(output: Output, code: i32) -> String {
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(code), "--- stdout\n{stdout}\n--- stderr\n{stderr}");
    stderr
}

fn with_articles(spec: &str) -> Env {
    let env = Env::new(spec);
    fs::write(env.path().join("wiki.txt"), articles()).unwrap();
    env
}

#[test]
fn articles_become_records_once_within_the_budget() {
    let server = Server::new(|request| match request.earlier {
        // The service is busy at first, and its next answer does not have the requested form.
        0 => response("503 Service Unavailable", "Retry-After: 0\r\nContent-Length: 0\r\n", b""),
        1 => chat("I cannot do that."),
        _ => pairs(request),
    });
    let env = with_articles(&spec(&server.url, "requests: 5, api_key: TEST_SERVICE_KEY"));
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.contains("made/questions.jsonl"), "{plan}");
    let refused = env.stderr(1, &["run", "spec.yaml"]);
    assert!(refused.contains("made/questions.jsonl") && refused.contains("grid data build"), "{refused}");
    let no_key = expect(build(&env, None), 6);
    assert!(no_key.contains("TEST_SERVICE_KEY"), "{no_key}");
    assert_eq!(server.requested_paths().len(), 0);

    let message = expect(build(&env, Some("secret")), 3);
    assert!(message.contains("3 of 5 documents answered after 5 requests"), "{message}");
    assert!(!env.path().join("made").exists(), "an incomplete dataset is not written");
    let message = expect(build(&env, Some("secret")), 0);
    assert!(message.contains("10 records from 5 documents, 2 requests"), "{message}");
    let text = fs::read_to_string(env.path().join("made/questions.jsonl")).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["prompt"], &rows[9]["reply"]), (&json!("What is 1 of 0?"), &json!("It is 2 of 4.")));
    assert_ne!(rows[1]["document"], rows[2]["document"]);

    // The requests contain the key, the prompt of the paper, the text, and a schema for the answer.
    let requests = server.requests.lock().unwrap().clone();
    assert!(requests.iter().all(|request| request.path == "/v1/chat/completions"));
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer secret"));
    let body: Value = serde_json::from_slice(&requests[2].body).unwrap();
    let content = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        content.starts_with("Based on the following text, generate 2 questions and detailed, informative answers.")
    );
    assert!(content.contains("Article 0 is about"), "{content}");
    assert_eq!(body["response_format"]["json_schema"]["schema"]["properties"]["pairs"]["minItems"], 2);

    // No request is sent twice, and the dataset can be used.
    expect(build(&env, Some("secret")), 0);
    assert_eq!(server.requested_paths().len(), requests.len());
    let plan = env.run(0, &["plan", "spec.yaml"]);
    assert!(!plan.contains("not found"), "{plan}");
}

#[test]
fn refusals_and_unusable_answers_are_reported() {
    let server = Server::new(|request| match request.path.as_str() {
        "/bad/v1/chat/completions" => response("401 Unauthorized", "Content-Length: 9\r\n", b"wrong key"),
        _ => chat("{\"pairs\": []}"),
    });
    let env = with_articles(&spec(&format!("{}/bad", server.url), "requests: 100"));
    let message = expect(build(&env, None), 6);
    assert!(message.contains("401") && message.contains("wrong key") && message.contains("`api_key`"), "{message}");
    fs::write(env.path().join("spec.yaml"), spec(&server.url, "requests: 100")).unwrap();
    let message = expect(build(&env, None), 6);
    assert!(message.contains("none of 5 documents got a usable answer (15 requests)"), "{message}");
}

#[test]
fn errors_in_build_are_reported_with_their_position() {
    let env = with_articles(&spec("http://localhost:1", "requests: 5, api_key: sk-123"));
    let message = env.stderr(1, &["plan", "spec.yaml"]);
    assert!(
        message.contains("the name of an environment variable") && message.contains("never the key itself"),
        "{message}"
    );
    fs::write(env.path().join("spec.yaml"), spec("localhost:1", "request: 5")).unwrap();
    let message = env.stderr(1, &["plan", "spec.yaml"]);
    assert!(message.contains("'endpoint' must be a URL") && message.contains("did you mean 'requests'?"), "{message}");
}
