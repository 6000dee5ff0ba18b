//! Datasets in the layouts in which they are published: read, shown, trained on.

use crate::common::{Env, TINY};

/// A conversation of two turns about a number.
fn turns(number: usize) -> [[String; 2]; 2] {
    let animal = ["dog", "cat", "bird", "fish"][number % 4];
    [
        [format!("Look at the {animal}!"), format!("The {animal} is here.")],
        [format!("Where is the {animal}?"), "It is here.".to_owned()],
    ]
}

fn messages(number: usize) -> String {
    let [[a, b], [c, d]] = turns(number);
    let message = |role: &str, content: String| serde_json::json!({"role": role, "content": content});
    let mut messages = vec![message("user", a), message("assistant", b), message("user", c), message("assistant", d)];
    if number.is_multiple_of(3) {
        messages.insert(0, message("system", "Be kind.".to_owned()));
    }
    serde_json::json!({"id": number, "messages": messages}).to_string()
}

fn alpaca(number: usize) -> serde_json::Value {
    let [[a, b], _] = turns(number);
    let input = if number.is_multiple_of(2) { "" } else { "Now." };
    serde_json::json!({"instruction": a, "input": input, "output": b})
}

fn sharegpt(number: usize) -> serde_json::Value {
    let turn = |[asked, answered]: [String; 2]| {
        [serde_json::json!({"from": "human", "value": asked}), serde_json::json!({"from": "gpt", "value": answered})]
    };
    serde_json::json!({"conversations": turns(number).map(turn).concat()})
}

/// The tiny experiment with three datasets of files.
fn env() -> Env {
    let spec = TINY
        .replace("  chat: {world: chat, records: 200}\n", "  talk: {files: talk.jsonl}\n  tasks: {files: tasks.json}\n")
        .replace(
            "  questions: {world: questions, records: 200}\n",
            "  shared: {files: shared.json, chat_template: chatml}\n",
        )
        .replace("[chat, [chat, questions]]", "[[talk, tasks, shared]]")
        .replace("seed: [1, 2]", "seed: [1]")
        .replace("max_length: 64", "max_length: 128");
    let env = Env::new(&spec);
    let write = |name: &str, text: String| std::fs::write(env.path().join(name), text).expect("a writable folder");
    write("talk.jsonl", (0..40).map(|number| messages(number) + "\n").collect());
    write("tasks.json", serde_json::Value::from_iter((0..40).map(alpaca)).to_string());
    write("shared.json", format!("{:#}", serde_json::Value::from_iter((0..40).map(sharegpt))));
    env
}

/// Every second row has no input, so that the instruction has no other place in it.
#[test]
fn the_plan_counts_records_whose_instruction_cannot_move() {
    let env = env();
    let notes = |changes: &[&str]| -> Vec<String> {
        let mut arguments = vec!["plan", "spec.yaml", "-S", "datasets.tasks.format=alpaca"];
        changes.iter().for_each(|change| arguments.extend(["-S", change]));
        let plan = env.run(0, &arguments);
        plan.lines().filter(|line| line.contains("no input")).map(str::to_owned).collect()
    };
    assert_eq!(notes(&[]), [] as [&str; 0]);
    assert_eq!(notes(&["datasets.tasks.position=pre"]), [] as [&str; 0]);
    insta::assert_snapshot!(notes(&["datasets.tasks.position=post"]).join("\n"), @"warning: 20 of 40 records of dataset tasks have no input, so `position: post` changes nothing for them");
    insta::assert_snapshot!(notes(&["datasets.tasks.position=post", "datasets.tasks.first=2"]).join("\n"), @"warning: 1 of 2 records of dataset tasks has no input, so `position: post` changes nothing for it");
    insta::assert_snapshot!(notes(&["axes={model: [nano], dataset: [[tasks]], datasets.tasks.position: [pre, post]}"]).join("\n"), @"warning: 20 of 40 records of dataset tasks have no input, so `position: post` changes nothing for them");
    let with_input = |number: usize| alpaca(2 * number + 1);
    let all = serde_json::Value::from_iter((0..10).map(with_input)).to_string();
    std::fs::write(env.path().join("tasks.json"), all).expect("a writable folder");
    assert_eq!(notes(&["datasets.tasks.position=post"]), [] as [&str; 0]);
}

#[test]
fn published_layouts_are_detected_shown_and_trained_on() {
    let env = env();
    let plan = env.run(0, &["plan", "spec.yaml"]);
    let formats: Vec<&str> = plan.lines().filter(|line| line.starts_with("dataset ")).collect();
    insta::assert_snapshot!(formats.join("\n"), @"
    dataset shared has the format sharegpt (json)
    dataset talk has the format messages (json)
    dataset tasks has the format alpaca (json)
    ");

    insta::assert_snapshot!(env.run(0, &["data", "show", "spec.yaml", "talk", "-n", "1"]), @r#"
    dataset talk: 40 records, template "{prompt}\n{reply}", vocabulary of 400, max_length 128

    record 1: 29 tokens, 11 trained
      context  B|e| k|ind|.|⏎|Look| at| the| dog|!|⏎
               35 70 307 349 15 200 284 285 261 316 2 200
      trained  The| dog| is| here|.|<|endoftext|>
               268 316 264 281 15 0
      context  Where| is| the| dog|?|⏎
               318 264 261 316 32 200
      trained  It| is| here|.|<|endoftext|>
               305 264 281 15 0
    "#);
    insta::assert_snapshot!(env.run(0, &["data", "show", "spec.yaml", "tasks", "-n", "2"]), @r#"
    dataset tasks: 40 records, template "{prompt}\n{reply}", vocabulary of 400, max_length 128

    record 1: 12 tokens, 6 trained
      context  Look| at| the| dog|!|⏎
               284 285 261 316 2 200
      trained  The| dog| is| here|.|<|endoftext|>
               268 316 264 281 15 0

    record 2: 16 tokens, 6 trained
      context  Look| at| the| cat|!|⏎|No|w|.|⏎
               284 285 261 311 2 200 309 88 15 200
      trained  The| cat| is| here|.|<|endoftext|>
               268 311 264 281 15 0
    "#);
    insta::assert_snapshot!(env.run(0, &["data", "show", "spec.yaml", "shared", "-n", "1", "-S", "tune.max_length=90"]), @"
    dataset shared: 40 records, chat template chatml, vocabulary of 400, max_length 90

    record 1: 90 tokens, 14 trained, 37 tokens cut at the end
      context  <|||i|m|_|s|t|ar|t|||>|u|se|r|⏎|Look| at| the| dog|!|<|||i|m|_|en|d|||>|⏎|<|||i|m|_|s|t|ar|t|||>|a|s|s|is|t|an|t|⏎
               29 93 74 78 64 84 85 297 85 93 31 86 272 83 200 284 285 261 316 2 29 93 74 78 64 306 69 93 31 200 29 93 74 78 64 84 85 297 85 93 31 66 84 84 260 85 310 85 200
      trained  The| dog| is| here|.|<|||i|m|_|en|d|||>
               268 316 264 281 15 29 93 74 78 64 306 69 93 31
      context  ⏎|<|||i|m|_|s|t|ar|t|||>|u|se|r|⏎|Where| is| the| dog|?|<|||i|m|_|en
               200 29 93 74 78 64 84 85 297 85 93 31 86 272 83 200 318 264 261 316 32 29 93 74 78 64 306
    ");
    insta::assert_snapshot!(env.stderr(4, &["data", "show", "spec.yaml", "tasks2"]), @"
    grid: no cell is trained on a dataset 'tasks2'
      help: did you mean 'tasks'?
    ");

    insta::assert_snapshot!(env.run(0, &["data", "show", "spec.yaml", "--suite", "blimp", "-n", "1"]), @"
    suite blimp: 200 items, mode fixed, tokenizer of nano

    anaphor_gender_agreement 0
     candidate 0
      context  M
               46
      scored   i|a| h|i|d|es| her|self|.
               74 66 296 74 69 265 340 356 15
     candidate 1
      context  M
               46
      scored   i|a| h|i|d|es| h|i|m|self|.
               74 66 296 74 69 265 296 74 78 356 15
    ");
    insta::assert_snapshot!(env.stderr(4, &["data", "show", "spec.yaml", "--suite", "blipm"]), @"
    grid: no cell is evaluated on the suite 'blipm' item by item
      help: did you mean 'blimp'?
    ");

    env.run(0, &["run", "spec.yaml"]);
    assert_eq!(
        env.query("select curriculum, count(*) from v_scores where subtask is null group by 1 order by 1"),
        ["merged|2", "pretrained|2", "sequential|2"]
    );
    // The trained tokenizer is used now, and it is the one that was trained for the first look.
    let json = env.run(0, &["data", "show", "spec.yaml", "tasks", "-n", "1", "--format", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let tokens = shown["shown"][0]["tokens"].as_array().expect("tokens");
    let text: String = tokens.iter().map(|token| token["text"].as_str().expect("a text")).collect();
    assert_eq!(text, "Look at the dog!\nThe dog is here.<|endoftext|>");
    let trained = tokens.iter().filter(|token| token["trained"] == true);
    let text: String = trained.map(|token| token["text"].as_str().expect("a text")).collect();
    assert_eq!(text, "The dog is here.<|endoftext|>");
}

/// What would be left out or read wrongly in silence is refused with a remedy, before any job.
#[test]
fn rows_without_a_clear_format_are_refused() {
    let dataset = |rows: &str, keys: &str| {
        let spec = TINY
            .replace("  chat: {world: chat, records: 200}\n", &format!("  chat: {{files: chat.jsonl{keys}}}\n"))
            .replace("[chat, [chat, questions]]", "[chat]");
        let env = Env::new(&spec);
        std::fs::write(env.path().join("chat.jsonl"), rows).expect("a writable folder");
        let output = env.output(&["plan", "spec.yaml"]);
        let folder = env.path().display().to_string();
        String::from_utf8(output.stderr).expect("UTF-8").replace(&format!("{folder}/"), "")
    };
    let talk = r#"{"messages": [{"role": "customer", "content": "q"}, {"role": "agent", "content": "a"}]}"#;
    let refused = [
        dataset(r#"{"title": "t", "body": "b"}"#, ""),
        dataset(r#"{"instruction": "i", "context": "c", "response": "r"}"#, ""),
        dataset(talk, ""),
        dataset(talk, ", format: messages, fields: {messages: dialog}"),
        dataset(talk, ", fields: {messages: dialog}"),
        dataset(talk, ", format: massages"),
        dataset(talk, ", chat_template: none.jinja"),
        dataset(talk, ", chat_template: tokenizer"),
        dataset(talk, ", format: text, roles: {a: user}, chat_template: chatml"),
        dataset("", ""),
    ];
    insta::assert_snapshot!(refused.join(""), @r#"
    grid: failed to read chat.jsonl: line 1: no known format has only the fields 'body', 'title'; expected rows of a known format, or `format:` with the names of the fields; see `datasets` in docs/spec.md
    grid: failed to read chat.jsonl: line 1: the field 'context' would not be used; write `format: jsonl`, `prompt: "{instruction}\n{context}"` (or `prompt: instruction` to leave it out) and `reply: response`; expected rows of a known format, or `format:` with the names of the fields; see `datasets` in docs/spec.md
    grid: failed to read chat.jsonl: line 1: message 1 has the unknown role 'customer'; map it, for example with `roles: {customer: user}`; expected rows of the format messages, with 'messages'
    grid: failed to read chat.jsonl: line 1: field 'dialog' is missing; there are 'messages'; expected rows of the format messages, with 'dialog'
    spec.yaml:5:29: 'fields' needs `format:` with the name of a layout, such as `format: messages`
      help: remove it
    spec.yaml:5:37: 'format' must be one of text, prompt_completion, alpaca, sharegpt, messages, preference, kto, replies, segments, tokens, jsonl, csv, tsv, parquet, dialogue, squad, records, not 'massages'
      help: did you mean 'messages'?
    grid: failed to read the chat template none.jinja of dataset chat: No such file or directory (os error 2)
      help: `chat_template` is `none`, `chatml`, `tokenizer` or the path of a Jinja file
    grid: dataset chat: `chat_template: tokenizer` needs an imported model, but the tokenizer of nano is trained here and has no template
      help: use `chat_template: chatml`, or name a file
    spec.yaml:5:50: 'roles' has no meaning for the format text
      help: remove it, or use a format with messages
    spec.yaml:5:61: 'chat_template' has no meaning for the format text, which has no messages
      help: remove it
    grid: failed to read chat.jsonl: it is empty, as after an interrupted download; replace it, or remove it
    "#);
    assert_eq!(dataset(talk, ", roles: {customer: user, agent: assistant}, format: messages"), "");
}

/// A mistake in a dataset is found before a cell needs it.
#[test]
fn datasets_that_no_cell_uses_are_checked_too() {
    let spec = TINY.replace("  questions: {world: questions, records: 200}\n", "  questions: {files: later.jsonl}\n");
    let env = Env::new(&spec.replace("[chat, [chat, questions]]", "[chat]"));
    let write = |text: &str| std::fs::write(env.path().join("later.jsonl"), text).expect("a writable folder");
    write("{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n{\"messages\": 1}\n");
    let message = env.stderr(6, &["plan", "spec.yaml"]);
    assert!(message.contains("later.jsonl: line 2: a conversation is not a list of messages"), "{message}");
    write("{\"prompt\": \"q\", \"reply\": \"a\"}\n");
    let plan = env.run(0, &["plan", "spec.yaml"]);
    // It is no input of any job, so it may also be missing until a cell or `tokenizer:` names it.
    std::fs::remove_file(env.path().join("later.jsonl")).expect("the dataset");
    let without = env.run(0, &["plan", "spec.yaml"]);
    assert!(plan.lines().filter(|line| !line.starts_with("dataset questions has the format")).eq(without.lines()));
    let named = env.run(0, &["plan", "spec.yaml", "-S", "tokenizer.datasets=[chat, questions]"]);
    assert!(named.contains("later.jsonl") && named.contains("Blocked"), "{named}");
}

/// The ids and masks that TRL, LLaMA-Factory and Axolotl give for examples of the layouts that they document, as
/// `benches/masks.py --record` wrote them.
#[test]
fn ids_and_masks_are_those_of_other_tools() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/masks");
    let mut compared = 0;
    for file in std::fs::read_dir(folder).expect("recorded masks") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        for case in cases {
            let env = Env::new(case["spec"].as_str().expect("a spec"));
            let rows = case["rows"].as_array().expect("rows");
            let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
            std::fs::write(env.path().join("data.jsonl"), lines).expect("a writable folder");
            if let Some(template) = case["template"].as_str() {
                std::fs::write(env.path().join("chat.jinja"), template).expect("a writable folder");
            }
            let json = env.run(0, &["data", "show", "spec.yaml", "data", "-n", "100", "--format", "json"]);
            let shown: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            let records = shown["shown"].as_array().expect("records");
            let of_tokens = |value: &dyn Fn(&serde_json::Value) -> u64| -> Vec<Vec<u64>> {
                let tokens = records.iter().map(|record| record["tokens"].as_array().expect("tokens"));
                tokens.map(|tokens| tokens.iter().map(value).collect()).collect()
            };
            let recorded = |name: &str| serde_json::from_value::<Vec<Vec<u64>>>(case[name].clone()).expect("numbers");
            let name = format!("{} of {}", case["name"], path.display());
            assert_eq!(of_tokens(&|token| token["id"].as_u64().expect("an id")), recorded("ids"), "{name}");
            let trained = of_tokens(&|token| u64::from(token["trained"] == true));
            assert_eq!(trained, recorded("mask"), "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 4, "{compared} cases");
}
