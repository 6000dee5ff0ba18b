//! Corpora, datasets and specs.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::evaluation::PAIR;
use super::{gzip, refusal, utf_16, with_files, write};
use crate::common::{Env, TINY};

/// Gives a file the same length and time as before, as archives and `rsync -t` do.
fn set_time(path: &Path) {
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000);
    File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("a file");
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

/// Two models of one shape, whose files have the same names, lengths and times, behind one link.
#[test]
fn a_switched_model_is_scored_anew() {
    let env = Env::new(TINY);
    let axes = "axes={curriculum: [pretrained], seed: [1, 2]}";
    env.run(0, &["run", "spec.yaml", "-S", axes, "-S", "evaluate={data: world, items: 5, suites: [blimp]}"]);
    let outputs = env.query(
        "select attempt.folder || '/output' from attempt join job on job.result = attempt.id where kind = 'pretrain'",
    );
    for (name, output) in ["one", "two"].iter().zip(&outputs) {
        fs::create_dir(env.path().join(name)).expect("a folder");
        for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
            let copy = env.path().join(name).join(file);
            fs::copy(env.path().join("runs").join(output).join(file), &copy).expect("a file of the model");
            set_time(&copy);
        }
    }
    write(&env, "evaluation_data/fast_eval/blimp_fast/a.jsonl", PAIR.as_bytes());
    std::thread::sleep(Duration::from_millis(2_100));
    let eval = |target: &str| {
        let _ = fs::remove_file(env.path().join("model"));
        std::os::unix::fs::symlink(target, env.path().join("model")).expect("a link");
        env.run(0, &["eval", "./model", "--suite", "blimp", "--fast", "--name", target, "--format", "csv"]);
        env.query(&format!("select distinct job from v_scores where experiment = '{target}'"))
    };
    let (one, two) = (eval("one"), eval("two"));
    assert_ne!(one, two);
    assert_eq!(eval("one"), one);
    assert_eq!(env.query("select count(*) from job where kind = 'import'"), ["2"]);
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
    let plan = env.run(0, &["plan", "spec.yaml"]);
    let stage = plan.lines().find(|line| line.trim_start().starts_with("nano/data ")).unwrap_or_default();
    assert_eq!(stage.split_whitespace().nth(4), Some("6"), "six records: {plan}");
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
    insta::assert_snapshot!(refused.join("\n"), @r"
    grid: failed to read data.jsonl: line 3: field 'a' is not a finite number (NaN, Infinity, or beyond 1e308), which has no text
    grid: failed to read data.jsonl: line 3: field 'q' is not a finite number (NaN, Infinity, or beyond 1e308), which has no text
    grid: failed to read data.jsonl: line 3: not valid JSON at column 2: expected a key in double quotes, not a single quote; write the file with Python's json.dumps
    grid: failed to read data.jsonl: line 3: not valid JSON at column 17: `None` is not JSON; write the file with Python's json.dumps
    grid: failed to read data.jsonl: line 3: not valid JSON at column 21: the text ends where the end of a string is expected; it may be cut off
    grid: failed to read data.jsonl: line 3: not valid JSON at column 22: another value follows on the same line; write one value on each line
    grid: failed to read data.jsonl: line 3: not valid JSON at column 9: the control character U+0009 within a string; write it as an escape such as \n or \t
    ");
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
    insta::assert_snapshot!(refused.join("\n"), @r"
    grid: failed to read latin.txt: line 2 is not UTF-8 at byte 4; if the file is in Latin-1 or Windows-1252, convert it: `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`
    grid: failed to read powershell.txt: it is in UTF-16, as PowerShell and Excel write it, not text; convert it: `iconv -f UTF-16 -t UTF-8 FILE > NEW`
    grid: failed to read unmarked.txt: it is in UTF-16 without a byte-order mark, not text; convert it: `iconv -f UTF-16LE -t UTF-8 FILE > NEW`
    grid: failed to read nul.txt: line 2 contains a NUL byte, so the file is damaged or not text; if it is text, remove them: `tr -d '\000' < FILE > NEW`
    grid: failed to read mac.txt: its lines end with a carriage return (CR) alone; convert it: `tr '\r' '\n' < FILE > NEW`
    grid: failed to read empty.txt: it is empty, as after an interrupted download; replace it, or remove it
    grid: failed to read text.txt.zst: it is compressed with zstd, not text; unpack it: `unzstd FILE` (only gzip files may stay compressed)
    grid: failed to read text.txt.xz: it is compressed with xz, not text; unpack it: `unxz FILE` (only gzip files may stay compressed)
    grid: failed to read text.txt.bz2: it is compressed with bzip2, not text; unpack it: `bunzip2 FILE` (only gzip files may stay compressed)
    grid: failed to read text.zip: it is a zip archive or an Office document, not text; unpack it: `unzip FILE`, or save it as text
    grid: failed to read text.pdf: it is a PDF document, not text; save it as plain text
    grid: failed to unpack cut.txt.gz: it is a damaged gzip file (unexpected end of file); make or download it again
    ");
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
    insta::assert_snapshot!(refused.join("\n"), @r"
    grid: failed to read talk.txt: line 2: '%mor:\tpro|where v|be' is a tier or header of CHAT and no utterance; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
    grid: failed to read talk.txt: line 1: '@Begin' is a tier or header of CHAT and no utterance; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
    grid: failed to read talk.txt: line 2: 'that goes on' begins with a tab, as lines of CHAT that continue the one before; keep the utterances alone: `perl -0pe 's/\n\t/ /g' FILE | grep '^\*' > NEW`
    grid: failed to read talk.txt: line 1: no speaker in 'SPEAKER 1: hello there'; a speaker has no spaces, so write 'SPEAKER_1:' if it is one
    grid: failed to read talk.txt: line 1: no speaker in 'A：hello there'; its colon is a full-width one (U+FF1A), write ':' and a space
    grid: failed to read talk.txt: line 2: 'note' in 'note: the door opens' is hardly a speaker; remove the line, or give the speaker another name
    ");
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
    insta::assert_snapshot!(refused.concat(), @r#"
    -S axes={pretrain.steps: [1000, 1k]}: 'pretrain.steps' lists 1000 twice, the second time as '1k'
      help: remove one of them
    -S axes={pretrain.steps: [1_000, 1e3]}: 'pretrain.steps' lists 1000 twice, the second time as 1000.0
      help: remove one of them
    -S axes={pretrain.learning_rate: [1, 1.0]}: 'pretrain.learning_rate' lists 1 twice, the second time as 1.0
      help: remove one of them
    -S axes={seed: [−1]}: an item of 'seed' must be a whole number of at least 0, not '−1'
      help: '−' (U+2212) is not a character of numbers: write -1
    -S axes={seed: [18446744073709551615]}: an item of 'seed' must be a whole number of at least 0, not 18446744073709551615
      help: the largest is 9223372036854775807
    -S pretrain.steps=１０: 'steps' must be a whole number from 0 to 1000000000, not '１０'
      help: '１' (U+FF11) is not a character of numbers: write 10
    -S pretrain.learning_rate=1e−3: 'learning_rate' must be a number above 0, not '1e−3'
      help: '−' (U+2212) is not a character of numbers: write 1e-3
    -S models={m: {hidden: 16, layers: 1, heads: 1, tied: no}}: 'tied' must be true or false, not 'no'
      help: write false
    -S models={m: {hidden: 16, layers: 1, heads: 1, tied: On}}: 'tied' must be true or false, not 'On'
      help: write true
    -S models={m: {hidden: 16, layers: 1, heads: 1, tied: 1}}: 'tied' must be true or false, not 1
      help: write true
    -S models={m: {hidden: 16, layers: 1, heads: 1, tied: "true"}}: 'tied' must be true or false, not 'true'
      help: write it without quotes
    -S reference={x: {source: "two\nlines", scores: {blimp: 50}}}: 'source' must be text on one line, not 'two\nlines'
      help: remove line breaks and control characters
    -S models={"a\nb": {hidden: 16, layers: 1, heads: 1}}: a key of 'models' must be a name made of the letters a-z and A-Z, digits, '-', '_' and '.', not 'a\nb'
      help: such as llama-100M_v1.2
    "#);
}
