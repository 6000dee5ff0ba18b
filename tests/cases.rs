//! Files, folders and terminals as people have them: what is read all the same, and what is refused by name.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Env, TINY, texts};

/// A spec that trains on a corpus and tunes on a dataset, `text.txt` and `data.jsonl` by default.
const FILES: &str = "\
name: files
corpora:
  text: {files: text.txt, documents: line}
datasets:
  data: {files: data.jsonl, format: jsonl, prompt: q, reply: a}
tokenizer: {vocab_size: 300}
models:
  nano: {hidden: 16, layers: 1, heads: 1}
pretrain: {sequence_length: 16, steps: 2, batch_size: 2, learning_rate: 1e-3}
tune: {epochs: 1, batch_size: 2, max_length: 16, learning_rate: 1e-3}
axes: {dataset: [data], curriculum: [merged]}
held_out: 0
";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

fn utf_16(text: &str) -> Vec<u8> {
    [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

/// An environment with good files, of which a test replaces one.
fn with_files() -> Env {
    let env = Env::new(FILES);
    write(&env, "text.txt", b"one line of text\nanother line\n");
    write(&env, "data.jsonl", b"{\"q\": \"why\", \"a\": \"because\"}\n{\"q\": \"who\", \"a\": \"me\"}\n");
    env
}

fn write(env: &Env, name: &str, bytes: &[u8]) {
    let path = env.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a writable folder");
}

/// Gives a file the same length and time as before, as archives and `rsync -t` do.
fn set_time(path: &Path) {
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000);
    File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("a file");
}

/// The first line of what `grid` prints on standard error, without the folder.
fn refusal(env: &Env, code: i32, arguments: &[&str]) -> String {
    let text = env.stderr(code, arguments).replace(&format!("{}/", env.path().display()), "");
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn another_file_of_the_same_length_and_time_is_another_input() {
    let env = with_files();
    fs::create_dir(env.path().join("runs")).expect("a folder");
    let (path, other) = (env.path().join("text.txt"), env.path().join("other.txt"));
    let plan = || env.run(0, &["plan", "spec.yaml", "--format", "json"]);
    fs::write(&path, "old text\n").expect("a file");
    set_time(&path);
    std::thread::sleep(Duration::from_millis(2_100));
    let before = plan();
    assert_eq!(before, plan(), "the digest is remembered");
    let changes: [(&str, &dyn Fn()); 4] = [
        ("a copy with its time", &|| {
            fs::write(&other, "new text\n").expect("a file");
            set_time(&other);
            fs::rename(&other, &path).expect("a rename");
        }),
        ("written in place", &|| {
            fs::write(&path, "NEW text\n").expect("a file");
            set_time(&path);
        }),
        ("a switched link", &|| {
            fs::write(&other, "New text\n").expect("a file");
            set_time(&other);
            fs::remove_file(&path).expect("a file");
            std::os::unix::fs::symlink(&other, &path).expect("a link");
        }),
        ("the target of a link", &|| {
            fs::write(&other, "neW text\n").expect("a file");
            set_time(&other);
        }),
    ];
    let mut seen = vec![before];
    for (change, apply) in changes {
        apply();
        let plan = plan();
        assert!(!seen.contains(&plan), "{change}");
        seen.push(plan);
    }
}

#[test]
fn rows_are_read_as_python_writes_them() {
    let env = with_files();
    let rows = [
        r#"{"q": "a", "a": "b", "score": NaN}"#,
        r#"{"q": "a", "a": "b", "scores": [Infinity, -Infinity, {"x": 1e400}]}"#,
        r#"{"q": "cut \ud83d", "a": "\ude00 cut"}"#,
        r#"{"q": "a", "a": "b", "id": 123456789012345678901234567890}"#,
        r#"{"q": "first", "q": "last", "a": "b", "x": NaN}"#,
        "{\"q\": \"a\u{2028}b\", \"a\": \"c\u{2029}\", \"x\": NaN}",
    ];
    write(&env, "data.jsonl", format!("{}\n", rows.join("\n")).as_bytes());
    let plan = env.run(0, &["plan", "spec.yaml", "--format", "json"]);
    assert!(plan.contains("\"units\": 6") || plan.contains("6"), "{plan}");
    let refused = [
        r#"{"q": "a", "a": NaN}"#,
        r#"{"q": 1e400, "a": "b"}"#,
        r#"{'q': 'a', 'a': 'b'}"#,
        r#"{"q": "a", "a": None}"#,
        r#"{"q": "a", "a": "cut"#,
        r#"{"q": "a", "a": "b"} {"q": "a", "a": "b"}"#,
        "{\"q\": \"a\tb\", \"a\": \"c\"}",
    ];
    let refused = refused.map(|row| {
        write(&env, "data.jsonl", format!("{{\"q\": \"x\", \"a\": \"y\"}}\n\n{row}\n").as_bytes());
        let refusal = refusal(&env, 6, &["plan", "spec.yaml"]);
        refusal.split("; expected").next().unwrap_or_default().to_owned()
    });
    insta::assert_snapshot!(refused.join("\n"), @"");
}

#[test]
fn text_is_read_from_windows_and_gzip() {
    let env = with_files();
    let words = |name: &str, bytes: &[u8]| {
        write(&env, name, bytes);
        let files = format!("corpora.text.files={name}");
        let plan = env.run(0, &["plan", "spec.yaml", "-S", &files]);
        plan.lines().find(|line| line.contains("corpus")).unwrap_or_default().to_owned()
    };
    let text = "one line of text\nanother line\n";
    let wanted = words("text.txt", text.as_bytes());
    let members = [gzip("one line of text\n"), gzip("another line\n")].concat();
    for (name, bytes) in [
        ("mark.txt", format!("\u{feff}{text}").as_bytes()),
        ("windows.txt", text.replace('\n', "\r\n").as_bytes()),
        ("both.txt", format!("\u{feff}{}", text.replace('\n', "\r\n")).as_bytes()),
        ("text.txt.gz", &gzip(text)),
        ("members.txt.gz", &members),
        ("unpacked.txt.gz", text.as_bytes()),
    ] {
        assert_eq!(words(name, bytes), wanted, "{name}");
    }
}

#[test]
fn files_that_are_no_text_are_named_with_a_remedy() {
    let env = with_files();
    let whole = gzip("one line of text");
    let files: [(&str, &[u8]); 12] = [
        ("latin.txt", b"one line\ncaf\xe9 line\n"),
        ("powershell.txt", &utf_16("one line\r\n")),
        ("unmarked.txt", &utf_16("one line of text\r\n")[2..]),
        ("nul.txt", b"one line\ntwo\0\n"),
        ("mac.txt", b"one line\rtwo lines\rthree lines\r"),
        ("empty.txt", b""),
        ("text.txt.zst", b"\x28\xb5\x2f\xfd\x04\x00"),
        ("text.txt.xz", b"\xfd7zXZ\x00\x00"),
        ("text.txt.bz2", b"BZh91AY&SY\x00"),
        ("text.zip", b"PK\x03\x04\x14\x00"),
        ("text.pdf", b"%PDF-1.7\n"),
        ("cut.txt.gz", &whole[..whole.len() - 5]),
    ];
    let refused = files.map(|(name, bytes)| {
        write(&env, name, bytes);
        refusal(&env, 6, &["plan", "spec.yaml", "-S", &format!("corpora.text.files={name}")])
    });
    insta::assert_snapshot!(refused.join("\n"), @"");
}

#[test]
fn lines_without_a_speaker_are_refused_at_their_line() {
    let env = with_files();
    let dialogues = [
        "*MOT:\twhere is it ?\n%mor:\tpro|where v|be\n",
        "@Begin\n*MOT:\thello there\n",
        "*MOT:\ta long line\n\tthat goes on\n",
        "SPEAKER 1: hello there\n",
        "A\u{ff1a}hello there\n",
        "A: hello\nnote: the door opens\n",
    ];
    let refused = dialogues.map(|text| {
        write(&env, "talk.txt", text.as_bytes());
        let dataset = "datasets.data={files: talk.txt, format: dialogue}";
        let refusal = refusal(&env, 6, &["plan", "spec.yaml", "-S", dataset]);
        refusal.split("; expected").next().unwrap_or_default().to_owned()
    });
    insta::assert_snapshot!(refused.join("\n"), @"");
}

#[test]
fn values_of_a_spec_are_refused_with_what_is_wrong() {
    let env = with_files();
    let refused = [
        "axes={pretrain.steps: [1000, 1k]}",
        "axes={pretrain.steps: [1_000, 1e3]}",
        "axes={pretrain.learning_rate: [1, 1.0]}",
        "axes={seed: [\u{2212}1]}",
        "axes={seed: [18446744073709551615]}",
        "pretrain.steps=\u{ff11}\u{ff10}",
        "pretrain.learning_rate=1e\u{2212}3",
        "models={m: {hidden: 16, layers: 1, heads: 1, tied: no}}",
        "models={m: {hidden: 16, layers: 1, heads: 1, tied: On}}",
        "models={m: {hidden: 16, layers: 1, heads: 1, tied: 1}}",
        "models={m: {hidden: 16, layers: 1, heads: 1, tied: \"true\"}}",
        "reference={x: {source: \"two\\nlines\", scores: {blimp: 50}}}",
        "models={\"a\\nb\": {hidden: 16, layers: 1, heads: 1}}",
    ]
    .map(|change| env.stderr(1, &["plan", "spec.yaml", "-S", change]));
    insta::assert_snapshot!(refused.concat(), @"");
}

/// Evaluation data of one suite, in the official folder.
fn plan_with(suite: &str, folder: &str, files: &[(&str, &[u8])]) -> (Env, [String; 4]) {
    let env = Env::new(TINY);
    for (name, bytes) in files {
        write(&env, &format!("evaluation_data/fast_eval/{folder}/{name}"), bytes);
    }
    let evaluate = format!("evaluate={{data: evaluation_data, suites: [{suite}]}}");
    let axes = "axes={curriculum: [pretrained]}".to_owned();
    (env, ["-S".to_owned(), evaluate, "-S".to_owned(), axes])
}

fn plan_refusal(suite: &str, folder: &str, files: &[(&str, &[u8])]) -> String {
    let (env, options) = plan_with(suite, folder, files);
    let arguments: Vec<&str> = ["plan", "spec.yaml"].into_iter().chain(options.iter().map(String::as_str)).collect();
    refusal(&env, 6, &arguments)
}

const PAIR: &str =
    r#"{"sentence_good": "the dog runs", "sentence_bad": "the dog run", "field": "syntax", "linguistics_term": "x"}"#;

#[test]
fn evaluation_data_are_read_when_planned() {
    let pair = |from: &str, to: &str| PAIR.replace(from, to) + "\n";
    let boxes = r#"{"input_prefix": "Box 0 has a. ", "options": ["a", "nothing"], "numops": 0}"#;
    let refused = [
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("sentence_bad", "bad").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("\"the dog run\"", "3").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("\"the dog run\"", "NaN").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", format!("{PAIR}\n{{\"sentence_good\": \"cut").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", format!("[{PAIR}]").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", b""), ("b.jsonl", pair("", "").as_bytes())]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", &utf_16(PAIR))]),
        plan_refusal("blimp", "blimp_fast", &[("a.jsonl", pair("", "").as_bytes()), ("a.jsonl.gz", &gzip(PAIR))]),
        plan_refusal("entity-tracking", "entity_tracking_fast", &[("regular.jsonl", boxes.as_bytes())]),
        plan_refusal(
            "entity-tracking",
            "entity_tracking_fast",
            &[("regular.jsonl", boxes.replace(": 0}", ": NaN}").as_bytes())],
        ),
        plan_refusal("wug-past", "wug_past_tense", &[("wug.jsonl", b"{\"sentences\": \"a\\tb\", \"ratio\": 1.5}\n")]),
        plan_refusal("reading", "reading", &[("reading.csv", b"item,word\na,b\n")]),
    ];
    insta::assert_snapshot!(refused.join("\n"), @"");
}

#[test]
fn rows_of_glue_are_read_when_planned() {
    let row = |label: &str| format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": {label}}}\n");
    let rows = |label: &str| row("0").repeat(40) + &row(label);
    let refused = |train: String, valid: String| {
        let (env, options) = plan_with("glue", "", &[]);
        for (name, text) in [("rte.train.jsonl", &train), ("rte.valid.jsonl", &valid)] {
            write(&env, &format!("evaluation_data/full_eval/glue_filtered/{name}"), text.as_bytes());
        }
        let tasks = ["plan", "spec.yaml", "-S", "finetune={tasks: [rte]}"];
        let arguments: Vec<&str> = tasks.into_iter().chain(options.iter().map(String::as_str)).collect();
        refusal(&env, 6, &arguments)
    };
    let refused =
        [refused(rows("2"), rows("1")), refused(rows("1"), rows("\"yes\"")), refused(rows("1"), String::new())];
    insta::assert_snapshot!(refused.join("\n"), @"");
}

#[test]
fn evaluation_data_are_read_with_a_mark_and_from_gzip() {
    let good = format!("{PAIR}\n");
    for (name, bytes) in [
        ("a.jsonl", format!("\u{feff}{good}").into_bytes()),
        ("a.jsonl", good.replace('\n', "\r\n").into_bytes()),
        ("a.jsonl", format!("\u{feff}\r\n{PAIR}\r\n\r\n").into_bytes()),
        ("a.jsonl.gz", gzip(&good)),
        ("a.jsonl", PAIR.replace('}', ", \"score\": NaN}").into_bytes()),
        ("a.jsonl", PAIR.replace("runs", "runs \\ud83d").into_bytes()),
    ] {
        let (env, options) = plan_with("blimp", "blimp_fast", &[(name, &bytes)]);
        let arguments: Vec<&str> =
            ["plan", "spec.yaml"].into_iter().chain(options.iter().map(String::as_str)).collect();
        env.run(0, &arguments);
    }
}

#[test]
fn folders_that_cannot_hold_results_are_named() {
    let env = Env::new(TINY);
    std::os::unix::fs::symlink("nowhere", env.path().join("dangling")).expect("a link");
    write(&env, "file", b"");
    let long = vec!["x".repeat(160); 3].join("/");
    let refused =
        ["dangling", "dangling/runs", "file", "file/runs", "line\nbreak", &long, &"x".repeat(300)].map(|runs| {
            let text = env.stderr(6, &["run", "spec.yaml", "--runs-dir", runs]);
            let text = text.replace(&format!("{}/", env.path().display()), "").replace(&"x".repeat(160), "xxx");
            let length =
                text.find("has ").and_then(|at| text[at + 4..].split(' ').next()).unwrap_or_default().to_owned();
            let text = if length.is_empty() { text } else { text.replace(&length, "N") };
            text.replace(&"x".repeat(140), "xx")
        });
    insta::assert_snapshot!(refused.concat(), @"");
    for runs in ["a b'c\"d", "ü%#[1]", "link"] {
        if runs == "link" {
            fs::create_dir(env.path().join("target")).expect("a folder");
            std::os::unix::fs::symlink("target", env.path().join("link")).expect("a link");
        }
        env.run(0, &["plan", "spec.yaml", "--runs-dir", runs]);
    }
}

#[test]
fn a_plan_needs_no_writing() {
    let env = with_files();
    // A folder in place of the cache cannot be replaced by a file.
    fs::create_dir_all(env.path().join("runs/survey.json")).expect("a folder");
    env.run(0, &["plan", "spec.yaml"]);
}

#[test]
fn output_that_cannot_be_written_ends_nothing() {
    let env = Env::new(TINY);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("a full device"));
    let run = |arguments: &[&str], out: Stdio, err: Stdio| {
        let output = env.command(arguments).stdout(out).stderr(err).output().expect("the binary starts");
        (output.status.code(), texts(&output).1)
    };
    let failed = "grid: failed to write to standard output: No space left on device (os error 28)\n".to_owned();
    for arguments in [&["plan", "spec.yaml"][..], &["schema"], &["completions", "bash"], &["help", "environment"]] {
        assert_eq!(run(arguments, full(), Stdio::piped()), (Some(6), failed.clone()), "{arguments:?}");
        assert_eq!(run(arguments, Stdio::piped(), full()).0, Some(0), "{arguments:?}");
        assert_eq!(run(arguments, full(), full()).0, Some(6), "{arguments:?}");
    }
    // Errors keep their codes.
    assert_eq!(run(&["plan", "none.yaml"], full(), full()).0, Some(1));
    let experiment = [
        "run",
        "spec.yaml",
        "-S",
        "axes={curriculum: [pretrained]}",
        "-S",
        "evaluate={data: world, items: 5, suites: [blimp]}",
    ];
    assert_eq!(run(&experiment, full(), full()).0, Some(0));
    assert_eq!(env.query("select count(*) from v_scores where subtask is null"), ["1"]);
    assert_eq!(run(&["report"], full(), Stdio::piped()), (Some(6), failed.clone()));
    assert_eq!(run(&["status"], full(), Stdio::piped()), (Some(6), failed));
}

#[test]
fn standard_error_has_no_colours_unless_it_is_a_terminal() {
    let env = Env::new(TINY);
    for variables in [&[][..], &[("NO_COLOR", "1")], &[("TERM", "dumb")], &[("TERM", "xterm-256color")]] {
        for arguments in [&["plan", "spec.yaml", "-vv"][..], &["plan", "none.yaml"], &["plna"], &["help", "plan"]] {
            let mut command = env.command(arguments);
            command.env_remove("NO_COLOR").env("GRID_LOG", "trace").envs(variables.iter().copied());
            let (stdout, stderr) = texts(&command.output().expect("the binary starts"));
            assert!(!stdout.contains('\u{1b}') && !stderr.contains('\u{1b}'), "{arguments:?} {variables:?}\n{stderr}");
        }
    }
}
