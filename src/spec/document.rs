//! All sections of a spec except its axes, decoded for one setting of the field axes.

use std::path::{Path, PathBuf};

use crate::domain::{Corpus, DataEntry, Dataset, Generation, LARGEST_MODEL};

use super::curricula::{Curriculum, curriculum};
use super::data::{self, DatasetEntry};
use super::evaluate::{self, Evaluations};
use super::fields::{self, Fault, Fields, Scalar};
use super::models::{self, Context, Model};
use super::names::Names;
use super::problem::Log;
use super::sampling::Sampling;
use super::scalars::{self, Within, real, reference, small, text};
use super::shape::MIN_VOCABULARY;
use super::training::{Pretrain, Tune};
use super::tree::{Key, Node, Value};

/// The keys that [`Document::decode`] reads. A field axis may vary the fields of all but the first.
pub(super) const SECTIONS: [&str; 11] = [
    "data_root",
    "corpora",
    "datasets",
    "tokenizer",
    "models",
    "pretrain",
    "tune",
    "held_out",
    "curricula",
    "evaluate",
    "finetune",
];

/// The decoded sections.
pub(super) struct Document {
    /// The `datasets:` that exist before the experiment.
    pub datasets: Vec<Dataset>,
    /// The `datasets:` that a model makes, by name.
    pub sampled: Vec<(String, Sampling)>,
    /// `corpora:`; empty only if no model is trained from random weights.
    pub corpora: Vec<Corpus>,
    /// `tokenizer.corpora:`; `None` for those that a cell uses.
    pub tokenizer_corpora: Option<Vec<String>>,
    /// `tokenizer.datasets:`; `None` for those that a cell uses.
    pub tokenizer_datasets: Option<Vec<String>>,
    /// `tokenizer.special_tokens:`.
    pub special_tokens: Vec<String>,
    /// `models:`.
    pub models: Vec<Model>,
    /// `curricula:`.
    pub curricula: Vec<(String, Curriculum)>,
    /// `held_out:`, by default 0.1.
    pub held_out: f64,
    /// `evaluate:`.
    pub evaluations: Evaluations,
    /// All data sources with their names.
    pub data: Vec<DataEntry>,
    /// `build:` of the datasets.
    pub generations: Vec<Generation>,
}

impl Document {
    /// Decodes all sections. `folder` is the folder of the spec; `tunes` says whether any cell is tuned.
    pub(super) fn decode(root: &Node, folder: &Path, tunes: bool, log: &Log) -> Option<Document> {
        let names = Names::of(root);
        let mut top = Fields::of(root, "the spec", log)?;
        let data_root = match top.take("data_root") {
            Some(node) => fields::scalar("'data_root'", node, log, scalars::path).map(|path| match node.mark.source {
                0 => folder.join(path),
                _ => path,
            }),
            None => Some(folder.to_owned()),
        };
        let data_root = data_root.unwrap_or_else(PathBuf::new);
        let section = top.required_node("models", "such as `models: {tiny: {hidden: 128, layers: 4, heads: 4}}`");
        let corpora = match models::trains_no_model(section) {
            true => top.take("corpora"),
            false => top.required_node("corpora", "such as `corpora: {childes: {files: text/childes.train}}`"),
        };
        let corpora =
            named_entries("corpora", corpora, log, |key, node| data::corpus(&key.text, node, &data_root, log));
        let datasets = top.take("datasets");
        let datasets = named_entries("datasets", datasets, log, |key, node| {
            data::dataset(&key.text, node, &names, &data_root, log)
        });
        let tokenizer = top.take("tokenizer").and_then(|node| tokenizer(node, &names, log)).unwrap_or_default();
        let curricula = top.take("curricula");
        let held_out = top.get("held_out", 0.1, real(Within::ProperFraction));
        let curricula = named_entries("curricula", curricula, log, |key, node| {
            curriculum(key, node, &names, held_out, &data_root, log)
        });
        let evaluations = evaluate::evaluations(top.take("evaluate"), top.take("finetune"), &data_root, log);

        let context = Context {
            vocab_size: tokenizer.vocab_size,
            names: &names,
            pretrain: top.take("pretrain"),
            tune: top.take("tune"),
            tunes,
            root: &data_root,
            held_out,
        };
        let models = named_entries("models", section, log, |key, node| Model::decode(&key.text, node, &context, log));
        // A section that no model decodes is checked nevertheless.
        let (trained, all) = models::count_entries(section);
        if trained == 0 {
            context.pretrain.map(|node| Pretrain::decode(node, &names, held_out, log));
        }
        if all == 0 {
            context.tune.map(|node| Tune::decode(node, &[], &names, held_out, log));
        }
        let (corpora, mut data): (Vec<_>, Vec<_>) = corpora?.into_iter().unzip();
        let entries = datasets?;
        let (mut datasets, mut sampled, mut generations) = (vec![], vec![], vec![]);
        for entry in entries {
            match entry {
                DatasetEntry::Data(both, build) => {
                    let (dataset, of_dataset) = *both;
                    datasets.push(dataset);
                    data.push(of_dataset);
                    generations.extend(build.and_then(|build| build.resolve(&corpora)));
                }
                DatasetEntry::Sampled(name, sampling) => sampled.push((name, *sampling)),
            }
        }
        let models = models?;
        data.extend(models.iter().flat_map(|model| model.data.clone()));
        data.extend(evaluations.data());
        Some(Document {
            data,
            generations,
            corpora,
            datasets,
            sampled,
            tokenizer_corpora: tokenizer.corpora,
            tokenizer_datasets: tokenizer.datasets,
            special_tokens: tokenizer.special_tokens,
            models,
            curricula: curricula?,
            held_out,
            evaluations,
        })
    }
}

impl Document {
    /// The model with this name.
    pub(super) fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }
}

/// Decodes a section of named entries; an absent section has no entries. `None` if anything in it is wrong.
pub(super) fn named_entries<T>(
    section: &'static str,
    node: Option<&Node>,
    log: &Log,
    decode: impl Fn(&Key, &Node) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(node) = node else { return Some(vec![]) };
    let Value::Map(entries) = &node.value else {
        Fault::expected("a mapping of names").or_hint("such as {name: {key: value}}").report(
            &format!("'{section}'"),
            node,
            log,
        );
        return None;
    };
    if entries.is_empty() {
        log.add(node.mark, format!("'{section}' is empty"), Some("add an entry, or remove the section".into()));
    }
    let decoded = entries.iter().map(|(key, node)| {
        let name = Node { mark: key.mark, value: Value::Text(key.text.clone()) };
        let valid = fields::scalar(&format!("a key of '{section}'"), &name, log, scalars::name);
        decode(key, node).filter(|_| valid.is_some())
    });
    decoded.collect::<Vec<_>>().into_iter().collect()
}

/// The section `tokenizer:`, with `None` for absent keys.
#[derive(Default)]
struct Tokenizer {
    vocab_size: Option<u32>,
    corpora: Option<Vec<String>>,
    datasets: Option<Vec<String>>,
    special_tokens: Vec<String>,
}

/// Decodes `tokenizer:`. A model's own `vocab_size` takes precedence over the one here.
fn tokenizer(node: &Node, names: &Names, log: &Log) -> Option<Tokenizer> {
    let mut fields = Fields::of(node, "'tokenizer'", log)?;
    let given = fields.take("vocab_size").is_some();
    let vocab_size =
        fields.get("vocab_size", None, |value| small(MIN_VOCABULARY..=LARGEST_MODEL.vocab_size)(value).map(Some));
    let corpora = fields.list("corpora", reference("corpus", &names.corpora));
    let datasets = match fields.take("datasets") {
        Some(Node { value: Value::List(items), .. }) if items.is_empty() => Some(vec![]),
        _ => fields.list("datasets", |value| names.given_dataset(value)),
    };
    let special_tokens = fields.list("special_tokens", special_token).unwrap_or_default();
    fields.finish();
    // A wrong size has been reported. Replacing it by a valid one avoids further reports that the size is missing.
    Some(Tokenizer { vocab_size: vocab_size.or(given.then_some(MIN_VOCABULARY)), corpora, datasets, special_tokens })
}

/// A text that is one token, such as `<|im_start|>`.
fn special_token(value: &Value) -> Scalar<String> {
    match text(value)? {
        token if token.chars().any(char::is_whitespace) => Err(Fault::expected("a text without white space")),
        token => Ok(token),
    }
}
