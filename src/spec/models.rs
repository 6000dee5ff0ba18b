//! The section `models:`.

use std::path::Path;

use crate::domain::{DataEntry, ImportedModel, JobId, ModelConfig};

use super::curricula::STAGE_KEYS;
use super::fields::{Fault, Fields};
use super::imported::imported;
use super::names::Names;
use super::problem::{Log, Marked};
use super::scalars::text;
use super::shape;
use super::training::{Pretrain, Tune};
use super::tree::{Node, Value};

/// One entry of `models:`, with the training sections that apply to it.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// The name of the entry.
    pub name: String,
    /// The model before any tuning.
    pub base: ModelBase,
    /// Whether the entry itself, and not `pretrain:`, sets `pretrain.objective`.
    pub has_own_objective: bool,
    /// `tune:` overridden by this model's own keys, for the stages that have keys of their own.
    tune_keys: Option<Node>,
    /// The same, decoded; `None` if nothing is tuned.
    tune: Option<Tune>,
    /// The names that the spec defines.
    names: Names,
    /// `held_out:`.
    held_out: f64,
    /// The files of an imported model and of its revisions.
    pub data: Vec<DataEntry>,
}

/// Where a model comes from before any tuning.
#[derive(Debug, Clone)]
pub(super) enum ModelBase {
    /// Trained here: its shape, and `pretrain:` overridden by this model's own keys.
    Trained(Box<(ModelConfig, Pretrain)>),
    /// Given by `hf:`, a folder in Hugging Face format or a repository on the Hub.
    Imported(Box<ImportedModel>),
    /// Given by `job:`, the full id of a job in the database.
    Recorded(JobId),
}

/// The other parts of the spec that the entry of a model depends on.
pub(super) struct Context<'a> {
    /// `tokenizer.vocab_size`.
    pub vocab_size: Option<u32>,
    /// The names that the spec defines.
    pub names: &'a Names,
    /// `pretrain:`.
    pub pretrain: Option<&'a Node>,
    /// `tune:`.
    pub tune: Option<&'a Node>,
    /// Whether any cell is tuned.
    pub tunes: bool,
    /// The folder that relative paths start from.
    pub root: &'a Path,
    /// `held_out:`.
    pub held_out: f64,
}

impl Model {
    /// Decodes one entry.
    pub(super) fn decode(name: &str, node: &Node, context: &Context, log: &Log) -> Option<Model> {
        let subject = format!("model '{name}'");
        let mut fields = Fields::of(node, &subject, log)?;
        let recipe = |base: Option<&Node>, own: Option<&Node>| match (base, own) {
            (Some(base), Some(own)) => Some(base.overlaid(own)),
            (base, own) => base.or(own).cloned(),
        };
        let tune = recipe(context.tune, fields.take("tune"));
        let (mut data, mut has_own_objective) = (vec![], false);
        let base = if fields.take("hf").is_some() {
            let (model, entries) = imported(name, &mut fields, context.root).unzip();
            fields.finish();
            data = entries.unwrap_or_default();
            model.map(|model| ModelBase::Imported(Box::new(model)))
        } else if fields.take("job").is_some() {
            let job = fields.required("job", "the id of a training job, such as `grid status` prints", |value| {
                let fault = || {
                    Fault::expected("an id of 32 hexadecimal digits").or_hint("`grid status` prints the ids of jobs")
                };
                text(value)?.parse().map_err(|_| fault())
            });
            fields.finish();
            job.map(ModelBase::Recorded)
        } else {
            let own = fields.take("pretrain");
            has_own_objective = own.is_some_and(|own| own.get("objective").is_some());
            let pretrain = recipe(context.pretrain, own);
            let config = shape::config(&mut fields, &subject, context.vocab_size);
            fields.finish();
            if pretrain.is_none() {
                let hint = "add `pretrain: {epochs: 1, learning_rate: 1e-3}` to the spec";
                log.add(node.mark, format!("{subject} needs a section 'pretrain'"), Some(hint.into()));
            }
            let pretrain = pretrain.and_then(|node| Pretrain::decode(&node, context.names, context.held_out, log));
            config.zip(pretrain).map(|trained| ModelBase::Trained(Box::new(trained)))
        };
        if tune.is_none() && context.tunes {
            let hint =
                "add `tune: {epochs: 2, learning_rate: 1e-4}` to the spec, or keep only the curriculum 'pretrained'";
            log.add(node.mark, format!("{subject} needs a section 'tune'"), Some(hint.into()));
        }
        let tune_keys = tune;
        let tune = tune_keys.as_ref().and_then(|node| Tune::decode(node, &[], context.names, context.held_out, log));
        let held_out = context.held_out;
        let names = context.names.clone();
        let name = name.to_owned();
        let model = Model { name, base: base?, has_own_objective, tune_keys, tune, names, held_out, data };
        if let ModelBase::Trained(trained) = &model.base {
            model.check_length("pretrain.sequence_length", trained.1.sequence_length, log);
        }
        if let Some(tune) = &model.tune {
            model.check_length("tune.max_length", tune.max_length, log);
        }
        Some(model)
    }

    /// `tune.seed`.
    pub(super) fn tune_seed(&self) -> Option<u64> {
        self.tune.as_ref()?.seed
    }

    /// The keys of `tune:` for a stage with these keys of its own; `None` if there are none, or if something is wrong.
    pub(super) fn tune(&self, own: Option<&Node>, first: bool, log: &Log) -> Option<Tune> {
        let keys = self.tune_keys.as_ref()?;
        let (tune, mark) = match own {
            None => (self.tune.clone()?, keys.mark),
            Some(own) => (Tune::decode(&keys.overlaid(own), &STAGE_KEYS, &self.names, self.held_out, log)?, own.mark),
        };
        if own.is_some() {
            self.check_length("max_length", tune.max_length, log);
        }
        if let ModelBase::Imported(_) | ModelBase::Recorded(_) = &self.base {
            let lacks = |what: &str, key: &str| {
                let reason = format!("model '{}' is not pretrained by this spec, so there is no {what}", self.name);
                log.add(mark, reason, Some(format!("remove '{key}' for this model")));
            };
            if tune.replay.is_some() {
                lacks("pretraining text to mix in", "pretrain_mix");
            }
            if first && !tune.optimizer.is_fresh() {
                lacks("optimizer state to carry over", "optimizer");
            }
        }
        Some(tune)
    }

    /// Reports a length beyond the model's positions. Those of an imported model are known once its files are read.
    fn check_length(&self, key: &str, length: Marked<u32>, log: &Log) {
        let ModelBase::Trained(trained) = &self.base else { return };
        let (positions, Marked { value: length, mark }) = (trained.0.max_positions, length);
        if length > positions {
            let reason = format!("model '{}' has {positions} positions, but {key} is {length}", self.name);
            log.add(
                mark,
                reason,
                Some(format!("use at most {positions}, or set `max_positions: {length}` for the model")),
            );
        }
    }
}

/// The number of entries that decode `pretrain:`, and of those that decode `tune:`.
pub(super) fn count_entries(node: Option<&Node>) -> (usize, usize) {
    let entries =
        || node.iter().flat_map(|node| node.entries()).filter(|(_, model)| matches!(model.value, Value::Map(_)));
    let trained = |node: &Node| node.get("hf").is_none() && node.get("job").is_none();
    (entries().filter(|(_, model)| trained(model)).count(), entries().count())
}

/// Whether no model is trained here, so that no text for pretraining is needed.
pub(super) fn trains_no_model(node: Option<&Node>) -> bool {
    let (trained, all) = count_entries(node);
    trained == 0 && all > 0
}
