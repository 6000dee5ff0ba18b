use super::*;

/// The record of a row, in a short form: learned texts are in brackets.
fn read(format: RowFormat, row: &str) -> String {
    let (fields, roles) = (BTreeMap::new(), BTreeMap::new());
    read_with(reader(format, &fields, &roles), row)
}

/// A reader of a layout without further settings.
fn reader<'a>(
    row: RowFormat,
    fields: &'a BTreeMap<String, String>,
    roles: &'a BTreeMap<String, Role>,
) -> RowReader<'a> {
    let position = InstructionPosition::Pre;
    RowReader { row, fields, roles, replies: Replies::Good, ranking: None, position, uncertainty: None }
}

fn read_with(reader: RowReader<'_>, row: &str) -> String {
    match reader.records(&serde_json::from_str(row).unwrap()) {
        Err(problem) => format!("error: {problem}"),
        Ok(records) => records.into_iter().map(show).collect::<Vec<_>>().join(" / "),
    }
}

fn show(record: Record) -> String {
    let mark = |text: &str, trained: bool| if trained { format!("[{text}]") } else { text.to_owned() };
    match record {
        Record::Pair { prompt, reply } => format!("{prompt} → [{reply}]"),
        Record::Text(text) => mark(&text, true),
        Record::Conversation(messages) => {
            let message = |message: &Message| format!("{}: {}", message.role, mark(&message.content, message.trained));
            messages.iter().map(message).collect::<Vec<_>>().join(" | ")
        }
        Record::Completion { prompt, completion } => {
            let message = |message: &Message| format!("{}: {}", message.role, mark(&message.content, message.trained));
            let all = |messages: &[Message]| messages.iter().map(message).collect::<Vec<_>>().join(" | ");
            format!("{} → {}", all(&prompt), all(&completion))
        }
        Record::Marked(segments) | Record::Segments(segments) => {
            segments.iter().map(|one| mark(&one.text, one.trained)).collect()
        }
        Record::Tokens { ids, trained } => {
            let ids = ids.iter().zip(trained).map(|(id, trained)| mark(&id.to_string(), trained));
            ids.collect::<Vec<_>>().join(" ")
        }
        Record::Rejected(record) => format!("bad: {}", show(*record)),
        Record::Uncertain(record, uncertainty) => format!("{} ({})", show(*record), uncertainty.value()),
    }
}

#[test]
fn published_layouts_are_read() {
    use RowFormat as F;
    let rows = [
        (F::Text, r#"{"text": "once"}"#),
        (F::PromptCompletion, r#"{"prompt": "why", "completion": "so"}"#),
        (
            F::PromptCompletion,
            r#"{"prompt": [{"role": "user", "content": "why"}], "completion": [{"role": "assistant", "content": "so"}]}"#,
        ),
        (F::Alpaca, r#"{"instruction": "add", "input": "1 2", "output": "3"}"#),
        (F::Alpaca, r#"{"instruction": "add", "input": "", "output": 3}"#),
        (F::Alpaca, r#"{"instruction": "go", "output": "on", "system": "be", "history": [["a", "b"]]}"#),
        (
            F::Sharegpt,
            r#"{"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}], "system": "be"}"#,
        ),
        (
            F::Messages,
            r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "train": false}, {"role": "user", "content": [{"type": "text", "text": "r"}]}, {"role": "assistant", "content": "b", "weight": 1}]}"#,
        ),
        (F::Preference, r#"{"prompt": "p", "chosen": "good", "rejected": "bad"}"#),
        (F::Preference, r#"{"chosen": "Q: why A: so", "rejected": "Q: why A: no"}"#),
        (
            F::Preference,
            r#"{"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]}"#,
        ),
        (F::Kto, r#"{"prompt": "p", "completion": "c", "label": true}"#),
        (F::Kto, r#"{"prompt": "p", "completion": "c", "label": false}"#),
        (F::Segments, r#"{"segments": [{"label": false, "text": "a "}, {"label": true, "text": "b"}]}"#),
        (F::Tokens, r#"{"input_ids": [1, 2, 3, 0], "labels": [-100, 2, 3, -100], "attention_mask": [1, 1, 1, 0]}"#),
        (F::Tokens, r#"{"input_ids": [1, 2]}"#),
    ];
    let read: Vec<String> = rows.iter().map(|(format, row)| format!("{format}: {}", read(*format, row))).collect();
    insta::assert_snapshot!(read.join("\n"), @"
    text: [once]
    prompt_completion: why → [so]
    prompt_completion: user: why → assistant: [so]
    alpaca: add
    1 2 → [3]
    alpaca: add → [3]
    alpaca: system: be | user: a | assistant: [b] | user: go | assistant: [on]
    sharegpt: system: be | user: hi | assistant: [yo]
    messages: user: q | assistant: a | user: r | assistant: [b]
    preference: p → [good]
    preference: Q: why A:[ so]
    preference: user: q → assistant: [a]
    kto: p → [c]
    kto: 
    segments: a [b]
    tokens: 1 [2] [3]
    tokens: [1] [2]
    ");
}

/// What a dataset can ask of a row beside its layout.
#[test]
fn bad_replies_positions_and_uncertainties_are_read() {
    let (fields, roles) = (BTreeMap::new(), BTreeMap::new());
    let with = |row: RowFormat, replies: Replies, text: &str| {
        read_with(RowReader { replies, ..reader(row, &fields, &roles) }, text)
    };
    let pair = r#"{"prompt": "p", "chosen": "good", "rejected": "bad"}"#;
    let common = r#"{"chosen": "Q: why A: so", "rejected": "Q: why A: no"}"#;
    let kto = |label: &str| format!(r#"{{"prompt": "p", "completion": "c", "label": {label}}}"#);
    for replies in [Replies::Pairs, Replies::Labelled] {
        assert_eq!(with(RowFormat::Preference, replies, pair), "p → [good] / bad: p → [bad]");
        let marked = "Q: why A:[ so] / bad: Q: why A:[ no]";
        assert_eq!(with(RowFormat::Preference, replies, common), marked);
    }
    assert_eq!(with(RowFormat::Kto, Replies::Labelled, &kto("true")), "p → [c]");
    assert_eq!(with(RowFormat::Kto, Replies::Labelled, &kto("0")), "bad: p → [c]");

    let several = r#"{"prompt": "p", "replies": ["so so", "bad", "good"], "scores": [1, 0, 2]}"#;
    assert_eq!(with(RowFormat::Replies, Replies::Pairs, several), "p → [good] / bad: p → [bad]");
    assert_eq!(with(RowFormat::Replies, Replies::Good, several), "p → [good]");
    let ranked = |ranking: Ranking, text: &str| {
        let reader = RowReader {
            replies: Replies::Pairs,
            ranking: Some(&ranking),
            ..reader(RowFormat::Replies, &fields, &roles)
        };
        read_with(reader, text)
    };
    let low = Ranking { gap: crate::domain::ScoreGap::Low, ..Ranking::default() };
    assert_eq!(ranked(low, several), "p → [good] / bad: p → [so so]");
    let short = Ranking { constraints: vec![crate::domain::Constraint::Words([2, 9])], ..Ranking::default() };
    assert_eq!(ranked(short, several), "p → [so so] / bad: p → [bad]");
    let hard = Ranking { difficulty: Some([0.0, 0.5]), ..Ranking::default() };
    assert_eq!(ranked(hard, several), " / bad: ", "the prompt is left out");
    for (text, problem) in [
        (
            r#"{"prompt": "p", "replies": ["a"]}"#,
            "field 'scores' is missing; give the replies scores, or check them with `pairs: {constraints: ...}`",
        ),
        (
            r#"{"prompt": "p", "replies": ["a"], "scores": [1, 2]}"#,
            "field 'scores' has 2 numbers, but there are 1 replies",
        ),
        (r#"{"prompt": "p", "replies": ["a"], "scores": ["x"]}"#, "field 'scores' is not a list of finite numbers"),
        (r#"{"prompt": "p", "replies": "a", "scores": [1]}"#, "field 'replies' is not a list"),
    ] {
        assert_eq!(with(RowFormat::Replies, Replies::Pairs, text), format!("error: {problem}"));
    }

    let row = r#"{"instruction": "add", "input": "1 2", "output": "3"}"#;
    let alpaca =
        |position, row: &str| read_with(RowReader { position, ..reader(RowFormat::Alpaca, &fields, &roles) }, row);
    let [pre, post] = [InstructionPosition::Pre, InstructionPosition::Post].map(|position| alpaca(position, row));
    assert_eq!((pre.as_str(), post.as_str()), ("add\n1 2 → [3]", "1 2\nadd → [3]"));
    let without = r#"{"instruction": "add", "input": " ", "output": "3"}"#;
    assert_eq!(alpaca(InstructionPosition::Post, without), alpaca(InstructionPosition::Pre, without));

    let uncertain = |value: &str| {
        let reader = RowReader { uncertainty: Some("u"), ..reader(RowFormat::Text, &fields, &roles) };
        read_with(reader, &format!(r#"{{"text": "once", "u": {value}}}"#))
    };
    assert_eq!(uncertain("0.25"), "[once] (0.25)");
    assert_eq!(uncertain("\"3\""), "[once] (3)");
    assert_eq!(uncertain("-1"), "error: field 'u' is -1, not a number that is 0 or more");
    assert_eq!(uncertain("null"), "error: field 'u' is null, not a number that is 0 or more");
}

#[test]
fn rows_that_would_be_read_wrongly_are_refused() {
    use RowFormat as F;
    let rows = [
        (F::Messages, r#"{"messages": [{"role": "user", "content": "q"}], "tools": [{"name": "f"}]}"#),
        (F::Messages, r#"{"messages": [{"role": "assistant", "content": null, "tool_calls": [{"id": 1}]}]}"#),
        (F::Messages, r#"{"messages": [{"role": "user", "content": "q", "train": true}]}"#),
        (F::Messages, r#"{"messages": [{"role": "customer", "content": "q"}]}"#),
        (F::Messages, r#"{"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]}"#),
        (F::Messages, r#"{"messages": "hello"}"#),
        (F::Messages, r#"{"conversation": []}"#),
        (F::Messages, r#"{"messages": [{"role": "assistant", "content": "a", "weight": 0.5}]}"#),
        (F::Alpaca, r#"{"instruction": "a", "output": {"text": "b"}}"#),
        (F::Alpaca, r#"{"instruction": "a", "output": "b", "history": ["c"]}"#),
        (F::Kto, r#"{"prompt": "p", "completion": "c", "label": "maybe"}"#),
        (F::Preference, r#"{"chosen": "a", "rejected": [{"role": "assistant", "content": "b"}]}"#),
        (F::Segments, r#"{"segments": [{"text": "a"}]}"#),
        (F::Tokens, r#"{"input_ids": [1, 2], "labels": [2, -100]}"#),
        (F::Tokens, r#"{"input_ids": [1, 2], "labels": [1]}"#),
        (F::Text, r#"{"text": true}"#),
    ];
    let read: Vec<String> = rows.iter().map(|(format, row)| format!("{format}: {}", read(*format, row))).collect();
    insta::assert_snapshot!(read.join("\n"), @r#"
    messages: error: field 'tools' is not supported; remove it if the conversation does not need it
    messages: error: message 1 has the field 'tool_calls', which is not supported: write it into the content
    messages: error: message 1 is from the role 'user' and marked for training; only replies are trained on
    messages: error: message 1 has the unknown role 'customer'; map it, for example with `roles: {customer: user}`
    messages: error: message 1 has a field 'content' that has a part of the type 'image'; only texts are supported
    messages: error: a conversation is not a list of messages
    messages: error: field 'messages' is missing; there are 'conversation'
    messages: error: message 1 has the weight 0.5; only 0 or 1, true or false are supported
    alpaca: error: field 'output' is an object, not a text; name a field in it, as in 'outer.inner'
    alpaca: error: field 'history' is not a list of [prompt, reply] pairs
    kto: error: field 'label' is "maybe", neither true nor false
    preference: error: of the chosen and the rejected reply only one is a list of messages
    segments: error: segment 1: field 'label' is missing; there are 'text'
    tokens: error: label 2 at position 0 is not the id 1; a label is the id at the same position, or -100
    tokens: error: field 'labels' has 1 numbers, but there are 2 ids
    text: error: field 'text' is true or false, not a text
    "#);
}

#[test]
fn fields_and_roles_can_be_renamed() {
    let fields = [("messages", "data.dialog"), ("role", "speaker"), ("content", "says")];
    let fields = fields.map(|(name, renamed)| (name.to_owned(), renamed.to_owned())).into();
    let roles = [("customer".to_owned(), Role::User), ("agent".to_owned(), Role::Assistant)].into();
    let reader = reader(RowFormat::Messages, &fields, &roles);
    let row = r#"{"data": {"dialog": [{"speaker": "customer", "says": "q"}, {"speaker": "agent", "says": "a"}]}}"#;
    // Of a file with columns only these are read, so those that are refused belong to them.
    assert!(reader.names().contains(&"data.dialog") && reader.names().contains(&"tools"));
    assert_eq!(read_with(reader, row), "user: q | assistant: [a]");
}
