//! Files, folders and terminals as people have them: what is read all the same, and what is refused by name.

mod evaluation;
mod files;
mod machine;

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::Env;

/// A spec that trains on a corpus and tunes on a dataset, `text.txt` and `data.jsonl` by default.
pub(crate) const FILES: &str = "\
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

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

pub(crate) fn utf_16(text: &str) -> Vec<u8> {
    [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

/// An environment with good files, of which a test replaces one.
pub(crate) fn with_files() -> Env {
    let env = Env::new(FILES);
    write(&env, "text.txt", b"one line of text\nanother line\n");
    write(&env, "data.jsonl", b"{\"q\": \"why\", \"a\": \"because\"}\n{\"q\": \"who\", \"a\": \"me\"}\n");
    env
}

pub(crate) fn write(env: &Env, name: &str, bytes: &[u8]) {
    let path = env.path().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, bytes).expect("a writable folder");
}

/// The first line of what `grid` prints on standard error, without the folder.
pub(crate) fn refusal(env: &Env, code: i32, arguments: &[&str]) -> String {
    let text = env.stderr(code, arguments).replace(&format!("{}/", env.path().display()), "");
    text.lines().next().unwrap_or_default().to_owned()
}
