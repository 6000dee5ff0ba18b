//! Small projects, whose files are mutated one at a time, and what reads them.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use grid::data::{ColumnType, TableFile, Tokenizer, Value, world};
use grid::domain::{
    Arch, ConfigFile, Dropout, ModelConfig, Origin, Size, SpecialTokens, Suite, Transformers, WorldPart,
};
use grid::session::{Failure, RunsFolder, Session, SpecText, show_dataset, show_suite};

use crate::common::TINY;

/// A file of a project that is mutated, and what the rest of the project says about it.
pub(super) struct Subject {
    /// The file, relative to the folder of the project.
    pub file: String,
    pub bytes: Vec<u8>,
    /// The spec that reads it.
    pub spec: String,
}

/// A spec with one dataset and one corpus.
fn spec(corpus: &str, dataset: &str) -> String {
    format!(
        "name: fuzz\ncorpora: {{text: {corpus}}}\ndatasets: {{rows: {dataset}}}\ntokenizer: {{vocab_size: 300}}\n\
         models: {{m: {{hidden: 16, layers: 1, heads: 2}}}}\n\
         pretrain: {{sequence_length: 16, steps: 2, batch_size: 2, learning_rate: 1e-3}}\n\
         tune: {{epochs: 1, batch_size: 1, max_length: 32, learning_rate: 1e-3}}\n\
         axes: {{dataset: [rows], curriculum: [merged], seed: [1]}}\n\
         evaluate: {{data: world, items: 2, suites: [blimp]}}\n"
    )
}

const WORLD_TEXT: &str = "{world: speech, words: 200}";
const WORLD_ROWS: &str = "{world: chat, records: 10}";

/// A spec that imports the model folder `model`.
fn imported(rows: &str, evaluate: &str) -> String {
    format!(
        "name: fuzz\ndatasets: {{rows: {rows}}}\nmodels: {{m: {{hf: model}}}}\n\
         tune: {{epochs: 1, batch_size: 1, max_length: 32, learning_rate: 1e-3}}\n\
         axes: {{dataset: [rows], curriculum: [merged], seed: [1]}}\nevaluate: {evaluate}\n"
    )
}

/// The files that no mutation has changed yet: a model folder, and data.
pub(super) fn lay_out(folder: &Path) {
    let model = folder.join("model");
    fs::create_dir_all(&model).expect("a folder");
    let texts = world::corpus(WorldPart::Speech, 1, 2_000);
    let tokenizer = Tokenizer::train(300, texts.lines()).expect("a tokenizer");
    tokenizer.save(&model).expect("a folder");
    let config = ModelConfig {
        arch: Arch::Llama,
        vocab_size: 300,
        max_positions: 64,
        hidden: 16,
        layers: 1,
        heads: 2,
        kv_heads: 2,
        head_dim: 8,
        intermediate: 64,
        rope_base: 1e4,
        rope_scaling: None,
        norm_eps: 1e-6,
        tied: true,
        init_std: 0.02,
    };
    let tokens = SpecialTokens { eos: Some(0), pad: Some(1), bos: None };
    let config = ConfigFile { model: config, tokens, dtype: "float32".to_owned(), dropout: Dropout::default() };
    fs::write(model.join("config.json"), config.text()).expect("a file");
    fs::write(model.join("model.safetensors"), [8, 0, 0, 0, 0, 0, 0, 0, b'{', b'}', 32, 32, 32, 32, 32, 32])
        .expect("a file");
}

/// All subjects. `folder` is laid out.
pub(super) fn subjects(folder: &Path) -> Vec<Subject> {
    let mut all = vec![];
    let mut add = |file: &str, bytes: &[u8], spec: String| {
        all.push(Subject { file: file.to_owned(), bytes: bytes.to_vec(), spec });
    };
    let specs = [
        TINY,
        include_str!("../../experiments/first.yaml"),
        include_str!("../../experiments/quickstart.yaml"),
        include_str!("../../experiments/class-it-mini.yaml"),
        include_str!("../../experiments/class-it.yaml"),
    ];
    // A mutated spec reads itself.
    specs.iter().for_each(|text| (0..3).for_each(|_| add("spec.yaml", text.as_bytes(), String::new())));

    let speech = world::corpus(WorldPart::Speech, 1, 300);
    add("text.txt", speech.as_bytes(), spec("{files: text.txt}", WORLD_ROWS));
    add("text.txt.gz", &gzip(speech.as_bytes()), spec("{files: text.txt.gz, documents: line}", WORLD_ROWS));
    let dialogues = world::corpus(WorldPart::Dialogues, 1, 300);
    let merged = "{files: text.txt, documents: {lines: 5}, merge_turns: true, min_words: 2}";
    add("text.txt", dialogues.as_bytes(), spec(merged, WORLD_ROWS));

    let pair = "{\"prompt\": \"who runs?\", \"reply\": \"the dog runs\"}\n";
    let chat = "{\"messages\": [{\"role\": \"user\", \"content\": \"who runs?\"}, {\"role\": \"assistant\", \
                \"content\": \"the dog\"}]}\n";
    let alpaca = "{\"instruction\": \"say it\", \"input\": \"x\", \"output\": \"it\"}\n";
    let rows = |options: &str| spec(WORLD_TEXT, &format!("{{files: rows.jsonl{options}}}"));
    add("rows.jsonl", pair.repeat(5).as_bytes(), rows(", format: {jsonl: {prompt: prompt, reply: reply}}"));
    add("rows.jsonl", chat.repeat(5).as_bytes(), rows(", chat_template: chatml"));
    add("rows.jsonl", alpaca.repeat(5).as_bytes(), rows(""));
    add("rows.jsonl", chat.repeat(3).as_bytes(), rows(""));
    let list = format!("[{}]", [pair.trim(); 5].join(", "));
    add("rows.json", list.as_bytes(), spec(WORLD_TEXT, "{files: rows.json}"));
    let table = "prompt,reply\nwho?,\"the, dog\"\nwhat?,\"a\nb\"\n";
    add("rows.csv", table.as_bytes(), spec(WORLD_TEXT, "{files: rows.csv}"));
    add("rows.tsv", table.replace(',', "\t").as_bytes(), spec(WORLD_TEXT, "{files: rows.tsv}"));
    add("rows.jsonl.gz", &gzip(pair.repeat(5).as_bytes()), spec(WORLD_TEXT, "{files: rows.jsonl.gz}"));
    let parquet = parquet(folder);
    (0..2).for_each(|_| add("rows.parquet", &parquet, spec(WORLD_TEXT, "{files: rows.parquet}")));
    let documents = "{files: rows.parquet, documents: {parquet: prompt}}";
    add("rows.parquet", &parquet, spec(documents, WORLD_ROWS));
    let template = "{% for message in messages %}{{ message.role }}: {{ message.content | trim }}\n{% endfor %}";
    let with_template = spec(WORLD_TEXT, "{world: chat, records: 5, chat_template: chat.jinja}");
    (0..2).for_each(|_| add("chat.jinja", template.as_bytes(), with_template.clone()));

    let own = |file: &str| fs::read(folder.join(file)).expect("a file that is laid out");
    let world_items = "{data: world, items: 2, suites: [blimp]}";
    for file in ["model/config.json", "model/tokenizer.json", "model/tokenizer_config.json"] {
        (0..3).for_each(|_| add(file, &own(file), imported(WORLD_ROWS, world_items)));
    }
    let special = b"{\"eos_token\": \"<|endoftext|>\", \"pad_token\": {\"content\": \"<pad>\", \"lstrip\": false}}";
    add("model/special_tokens_map.json", special, imported(WORLD_ROWS, world_items));
    add(
        "model/chat_template.jinja",
        template.as_bytes(),
        imported("{world: chat, records: 5, chat_template: tokenizer}", world_items),
    );

    for suite in Suite::official() {
        let evaluate = format!("{{data: evaluation_data, suites: [{}]}}", suite.name());
        let spec = match suite {
            Suite::Glue => imported(WORLD_ROWS, &evaluate) + "finetune: {tasks: [rte], seeds: 1, batch_size: 1}\n",
            _ => imported(WORLD_ROWS, &evaluate),
        };
        for (name, bytes) in world::evaluation(1, 3, suite).into_iter().take(2) {
            let path = format!(
                "evaluation_data/{}/{name}",
                suite.official_data().expect("an official suite").folder(Size::Full)
            );
            all.push(Subject { file: path, bytes, spec: spec.clone() });
        }
    }
    all
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn parquet(folder: &Path) -> Vec<u8> {
    let path = folder.join("made.parquet");
    let columns = [("prompt", ColumnType::Text), ("reply", ColumnType::Text), ("n", ColumnType::Integer)];
    let mut table = TableFile::create(&path, &columns).expect("a new file");
    for number in 0..20 {
        let reply = format!("reply {number}");
        table.write(&[Value::Text("who runs?"), Value::Text(&reply), Value::Integer(number)]).expect("a row");
    }
    table.finish().expect("a file");
    fs::read(path).expect("a file")
}

/// Plans the spec in a folder, and reads everything that it names; returns the messages of what was refused.
pub(super) async fn read_all(folder: &Path) -> Vec<Failure> {
    let mut refused = vec![];
    let mut keep = |failure: Failure| refused.push(failure);
    let data = format!("data_root={}", folder.display());
    let runs = RunsFolder { path: folder.join("runs"), database: None };
    match SpecText::read(&folder.join("spec.yaml"), &[data]) {
        Err(failure) => keep(failure),
        Ok((spec, grid)) => match Session::open(&runs.path, spec, grid, None).await {
            Err(failure) => keep(failure),
            Ok(session) => {
                let datasets = session.grid.datasets.iter().map(|dataset| dataset.name.clone());
                // To show them, a tokenizer is trained on all texts, which takes a while for the shipped experiments.
                let world = |origin: &Origin| if let Origin::World { size, .. } = origin { *size } else { 0 };
                let sources = session.plan.jobs().flat_map(|job| &job.sources);
                if sources.map(|(origin, _)| world(origin)).sum::<u64>() > 10_000 {
                    return refused;
                }
                for name in datasets.collect::<Vec<String>>() {
                    drop(show_dataset(&session, &name, 2).map_err(&mut keep));
                }
                for suite in Suite::official() {
                    drop(show_suite(&session, suite.name(), 2).map_err(&mut keep));
                }
            }
        },
    }
    for release in [Transformers::V4, Transformers::V5] {
        match Tokenizer::load_as(&folder.join("model"), release) {
            Ok(tokenizer) => {
                let ids = tokenizer.encode("Who runs? <|endoftext|> é😀\n\n x").unwrap_or_default();
                drop(tokenizer.decode(&ids));
                drop(tokenizer.encode_with_offsets("the dog\u{0} runs", true));
            }
            Err(error) => keep(error.into()),
        }
    }
    refused
}
