//! The section `models:`.

use std::path::Path;

use crate::domain::{Arch, DataEntry, ForeignModel, JobId, ModelConfig, Source, remote};

use super::curricula::STAGE_KEYS;
use super::data;
use super::fields::{Fault, Fields, Within, choice, flag, real, small, text};
use super::problem::{Log, Mark, Problems};
use super::training::{Pretrain, Tune};
use super::tree::{Node, Value};

/// The smallest vocabulary that is learned: the 256 bytes, the end of a text, and padding.
pub(super) const LEAST_VOCABULARY: u32 = 258;

/// One entry of `models:` with its own training recipes.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub base: BaseModel,
    /// `tune:` with this model's own keys over it, for the stages that have keys of their own.
    tune_keys: Option<Node>,
    /// The same decoded; `None` where nothing is tuned.
    tune: Option<Tune>,
    /// `held_out:`.
    held_out: f64,
    /// The files that it comes from.
    pub data: Option<DataEntry>,
}

/// Where a model comes from before any tuning.
#[derive(Debug, Clone)]
pub(super) enum BaseModel {
    /// Trained here: its shape, and `pretrain:` with this model's own keys over it.
    Trained(Box<(ModelConfig, Pretrain)>),
    /// `hf:`, a folder in Hugging Face's form or a hub id.
    Imported(ForeignModel),
    /// `job:`, the full id of a job in the database.
    Recorded(JobId),
}

/// What a model's entry refers to elsewhere in the spec.
pub(super) struct Context<'a> {
    /// `tokenizer.vocab_size`.
    pub vocab_size: Option<u32>,
    /// Names of the corpora.
    pub corpora: &'a [String],
    /// `pretrain:`.
    pub pretrain: Option<&'a Node>,
    /// `tune:`.
    pub tune: Option<&'a Node>,
    /// Whether some cell is tuned.
    pub tunes: bool,
    /// The folder of relative paths.
    pub root: &'a Path,
    /// `held_out:`.
    pub held_out: f64,
}

impl Model {
    /// Decodes one entry.
    pub fn decode(name: &str, node: &Node, context: &Context, log: &Log) -> Option<Model> {
        let subject = format!("model '{name}'");
        let mut fields = Fields::of(node, &subject, log)?;
        let recipe = |base: Option<&Node>, own: Option<&Node>| match (base, own) {
            (Some(base), Some(own)) => Some(base.overlaid(own)),
            (base, own) => base.or(own).cloned(),
        };
        let tune = recipe(context.tune, fields.take("tune"));
        let mut data = None;
        let base = if let Some(hf) = fields.take("hf") {
            let model = foreign(&mut fields, context.root);
            let licence = data::licence(&mut fields);
            fields.finish();
            data = model.clone().map(|model| DataEntry {
                name: format!("models.{name}"),
                place: log.place(hf.mark),
                source: Source::Model(model),
                licence,
            });
            model.map(BaseModel::Imported)
        } else if fields.take("job").is_some() {
            let job = fields.need("job", "the id of a job that left a model", |value| {
                let fault = || Fault::expected("an id of 32 hexadecimal digits").or_hint("`grid status` has them");
                text(value)?.parse().map_err(|_| fault())
            });
            fields.finish();
            job.map(BaseModel::Recorded)
        } else {
            let pretrain = recipe(context.pretrain, fields.take("pretrain"));
            let config = config(&mut fields, &subject, context);
            fields.finish();
            if pretrain.is_none() {
                let hint = "add `pretrain: {epochs: 1, learning_rate: 1e-3}` to the spec";
                log.add(node.mark, format!("{subject} has no section 'pretrain'"), Some(hint.into()));
            }
            let pretrain = pretrain.and_then(|node| Pretrain::decode(&node, context.corpora, context.held_out, log));
            config.zip(pretrain).map(|trained| BaseModel::Trained(Box::new(trained)))
        };
        if tune.is_none() && context.tunes {
            let hint =
                "add `tune: {epochs: 2, learning_rate: 1e-4}` to the spec, or keep only the curriculum 'pretrained'";
            log.add(node.mark, format!("{subject} has no section 'tune'"), Some(hint.into()));
        }
        let tune_keys = tune;
        let tune = tune_keys.as_ref().and_then(|node| Tune::decode(node, &[], context.held_out, log));
        let held_out = context.held_out;
        let model = Model { name: name.to_owned(), base: base?, tune_keys, tune, held_out, data };
        if let BaseModel::Trained(trained) = &model.base {
            model.must_hold("pretrain.sequence_length", trained.1.sequence_length, log);
        }
        if let Some(tune) = &model.tune {
            model.must_hold("tune.max_length", tune.max_length, log);
        }
        Some(model)
    }

    /// `tune.seed`.
    pub fn tune_seed(&self) -> Option<u64> {
        self.tune.as_ref()?.seed
    }

    /// How a stage with these keys of its own is tuned; `None` where nothing is, or where something is wrong.
    pub fn tune(&self, own: Option<&Node>, first: bool, log: &Log) -> Option<Tune> {
        let keys = self.tune_keys.as_ref()?;
        let (tune, mark) = match own {
            None => (self.tune.clone()?, keys.mark),
            Some(own) => (Tune::decode(&keys.overlaid(own), &STAGE_KEYS, self.held_out, log)?, own.mark),
        };
        if own.is_some() {
            self.must_hold("max_length", tune.max_length, log);
        }
        if let BaseModel::Imported(_) | BaseModel::Recorded(_) = &self.base {
            let lacks = |what: &str, key: &str| {
                let reason = format!("model '{}' comes from elsewhere, without {what}", self.name);
                log.add(mark, reason, Some(format!("leave '{key}' out for it")));
            };
            if tune.replay.is_some() {
                lacks("pretraining text to mix in", "pretrain_mix");
            }
            if first && !tune.optimizer.is_fresh() {
                lacks("the state of its optimiser", "optimizer");
            }
        }
        Some(tune)
    }

    /// Of a model from elsewhere the positions are known once its files are looked at.
    fn must_hold(&self, key: &str, (length, place): (u32, Mark), log: &Log) {
        let BaseModel::Trained(trained) = &self.base else { return };
        let positions = trained.0.max_positions;
        if length > positions {
            let reason = format!("model '{}' has {positions} positions, but {key} is {length}", self.name);
            log.add(place, reason, Some(format!("shorten it, or give the model `max_positions: {length}`")));
        }
    }
}

/// A shape given as `hidden=256,layers=4,heads=4,vocab_size=8192`: the keys that an entry of `models:` has.
///
/// # Errors
/// All problems at once.
pub fn shape(text: &str) -> Result<ModelConfig, Problems> {
    let yaml = format!("{{{}}}", text.replace('=', ": "));
    let log = Log::new("the model".to_owned(), &yaml);
    let config = Node::read(&yaml, |mark| mark, &log).and_then(|node| {
        let mut fields = Fields::of(&node, "the model", &log)?;
        let root = Path::new("");
        let context =
            Context { vocab_size: None, corpora: &[], pretrain: None, tune: None, tunes: false, root, held_out: 0.0 };
        let config = config(&mut fields, "the model", &context);
        fields.finish();
        config
    });
    log.finish(config)
}

/// The keys of a model's shape.
///
/// `hidden`, `layers` and `heads` must be given. Where CLASS-IT is silent, the defaults are those of Hugging Face's
/// `LlamaConfig` and `GPT2Config`; CLASS-IT's table 1 fixes `intermediate: 4 × hidden`, untied embeddings (llama)
/// and as many key/value heads as heads.
fn config(fields: &mut Fields, subject: &str, context: &Context) -> Option<ModelConfig> {
    let log = fields.log;
    let arch = choice([("llama", Arch::Llama), ("gpt2", Arch::Gpt2)]);
    let arch = fields.get("arch", Arch::Llama, arch);
    let llama = arch == Arch::Llama;
    let example = "such as `{hidden: 128, layers: 4, heads: 4}`";
    let hidden = fields.need("hidden", example, small(2..=65_536));
    let layers = fields.need("layers", example, small(1..=1_024));
    let heads_place = fields.take("heads").map_or(fields.mark, |node| node.mark);
    let heads = fields.need("heads", example, small(1..=1_024));
    let kv_heads_place = fields.take("kv_heads").map_or(heads_place, |node| node.mark);
    let kv_heads = fields.get("kv_heads", None, |value| small(1..=1_024)(value).map(Some));
    let head_dim_node = fields.take("head_dim");
    let head_dim = fields.get("head_dim", None, |value| small(1..=4_096)(value).map(Some));
    let intermediate = fields.get("intermediate", None, |value| small(1..=1_048_576)(value).map(Some));
    let tied = fields.get("tied", !llama, flag);
    let own_vocab_size = fields.take("vocab_size");
    let vocab_size =
        fields.get("vocab_size", context.vocab_size, |value| small(LEAST_VOCABULARY..=4_194_304)(value).map(Some));
    let max_positions = fields.get("max_positions", if llama { 2_048 } else { 1_024 }, small(8..=1_048_576));
    let rope_base = if llama {
        fields.get("rope_base", 10_000.0, real(Within::Positive))
    } else {
        fields.forbid("rope_base", "has no meaning for gpt2, whose positions are learned");
        10_000.0
    };
    let norm_eps = fields.get("norm_eps", if llama { 1e-6 } else { 1e-5 }, real(Within::Positive));
    let init_std = fields.get("init_std", 0.02, real(Within::Positive));

    if vocab_size.is_none() && own_vocab_size.is_none() {
        let hint = "add `tokenizer: {vocab_size: 4096}` to the spec";
        log.add(fields.mark, format!("{subject} has no vocab_size"), Some(hint.into()));
    }
    if let (Some(heads), Some(kv_heads)) = (heads, kv_heads)
        && !heads.is_multiple_of(kv_heads)
    {
        let reason = format!("{subject}: {kv_heads} key/value heads do not divide {heads} heads");
        log.add(kv_heads_place, reason, Some("every key/value head serves the same number of heads".into()));
    } else if !llama && kv_heads.is_some() && kv_heads != heads {
        let hint = "remove 'kv_heads', or use llama";
        log.add(kv_heads_place, format!("{subject}: gpt2 has as many key/value heads as heads"), Some(hint.into()));
    }
    if let (Some(hidden), Some(heads), None) = (hidden, heads, head_dim_node)
        && !hidden.is_multiple_of(heads)
    {
        let below = hidden / heads * heads;
        let hint = match below {
            0 => format!("each head has its own part of hidden: give at least {heads}, or fewer heads"),
            _ => format!("multiples of {heads} near it are {below} and {}", below + heads),
        };
        log.add(heads_place, format!("{subject}: hidden {hidden} is not divisible by {heads} heads"), Some(hint));
        return None;
    }
    let (hidden, layers, heads) = (hidden?, layers?, heads?);
    let head_dim = head_dim.unwrap_or(hidden / heads);
    if llama && !head_dim.is_multiple_of(2) {
        let place = head_dim_node.map_or(heads_place, |node| node.mark);
        let hint = "rotary positions turn pairs of numbers: choose hidden and heads so that hidden/heads is even";
        log.add(place, format!("{subject}: the width of a head, {head_dim}, is odd"), Some(hint.into()));
    }
    Some(ModelConfig {
        arch,
        vocab_size: vocab_size?,
        max_positions,
        hidden,
        layers,
        heads,
        kv_heads: kv_heads.unwrap_or(heads),
        head_dim,
        intermediate: intermediate.unwrap_or(4 * hidden),
        rope_base,
        norm_eps,
        tied,
        init_std,
    })
}

/// `hf:` and `revision:`: the folder of a model, or its repository on the hub.
fn foreign(fields: &mut Fields, root: &Path) -> Option<ForeignModel> {
    let path = fields.need("hf", "the folder of a model, or its id on the hub", data::path);
    let place = fields.take("revision").map(|node| node.mark);
    let revision = fields.get("revision", None, |value| super::remote::revision(value).map(Some));
    let path = path?;
    let mut name = path.display().to_string();
    if let (Some(revision), Some(place)) = (revision, place) {
        if !remote::is_repository(&name) {
            let reason = format!("'revision' is for a model of the hub, but '{name}' is a path or has one already");
            fields.log.add(place, reason, Some("write `hf: ORGANISATION/NAME`, or remove 'revision'".into()));
            return None;
        }
        name = format!("{name}@{revision}");
    }
    Some(ForeignModel { folder: root.join(&name), name })
}

/// How many entries decode `pretrain:`, and how many `tune:`.
pub(super) fn counts(node: Option<&Node>) -> (usize, usize) {
    let entries =
        || node.iter().flat_map(|node| node.entries()).filter(|(_, model)| matches!(model.value, Value::Map(_)));
    let trained = |node: &Node| node.get("hf").is_none() && node.get("job").is_none();
    (entries().filter(|(_, model)| trained(model)).count(), entries().count())
}

/// Whether no model is trained here, so that there is no text to pretrain on.
pub(super) fn none_trained(node: Option<&Node>) -> bool {
    let (trained, all) = counts(node);
    trained == 0 && all > 0
}
