//! The sections `pretrain:` and `tune:`.

use crate::domain::{
    Distillation, EarlyStopping, KeptWeights, Length, LossMask, Milestone, OptimizerStart, Precision, Replay, Schedule,
    Shots, Training, TuneObjective, Validation, Warmup,
};

use super::fields::{self, Fault, Fields, Scalar};
use super::names::Names;
use super::objective;
use super::problem::{Log, Marked};
use super::scalars::{self, Within, choice, count, real, small};
use super::tree::{Node, Value};

/// The section `pretrain:` for one model.
#[derive(Debug, Clone)]
pub(super) struct Pretrain {
    /// `corpora:`, by default all.
    pub corpora: Vec<String>,
    /// `sequence_length:`, tokens per sequence, by default 512, with its place.
    pub sequence_length: Marked<u32>,
    /// `milestones:`, by default none; see [`milestones`].
    pub milestones: Vec<Milestone>,
    /// `objective:`, by default `next_token`, which is `None`, with its place; see [`objective::of_pretraining`].
    pub objective: Marked<Option<Distillation<String>>>,
    /// The optimization; see [`training`].
    pub training: Training,
}

impl Pretrain {
    /// Decodes the section. `names` are those that the spec defines; `held_out` is the fraction kept for validation.
    pub(super) fn decode(node: &Node, names: &Names, held_out: f64, log: &Log) -> Option<Pretrain> {
        let corpora = &names.corpora;
        let mut fields = Fields::of(node, "'pretrain'", log)?;
        let named = fields.list("corpora", scalars::reference("corpus", corpora));
        let length_place = node.get("sequence_length").map_or(node.mark, |length| length.mark);
        let sequence_length = fields.get("sequence_length", 512, small(8..=1_048_576));
        let training = training(&mut fields, 2e-4, Schedule::Linear, held_out);
        let objective_place = node.get("objective").map_or(node.mark, |objective| objective.mark);
        let objective = objective::of_pretraining(&mut fields, &names.models);
        let place = fields.take("milestones").map(|node| node.mark);
        let milestones = fields.take("milestones").map_or(Some(vec![]), |node| milestones(node, log));
        fields.finish();
        if let (Some(place), true) =
            (node.get("label_smoothing"), training.as_ref().is_some_and(|training| training.smoothing_max.is_some()))
        {
            let hint = "give a fraction, such as `label_smoothing: 0.1`";
            log.add(place.mark, "the text of pretraining has no uncertainty", Some(hint.into()));
        }
        let stops =
            |training: &Training| training.validation.is_some_and(|validation| validation.early_stopping.is_some());
        if let (Some(place), true) = (place, training.as_ref().is_some_and(stops)) {
            let hint = "remove one of them: a training that stops early may not reach its milestones";
            log.add(place, "'milestones' and 'early_stopping' cannot be combined", Some(hint.into()));
        }
        Some(Pretrain {
            corpora: named.unwrap_or_else(|| corpora.to_vec()),
            sequence_length: Marked { value: sequence_length, mark: length_place },
            milestones: milestones?,
            objective: Marked { value: objective?, mark: objective_place },
            training: training?,
        })
    }
}

/// The section `tune:` for one model: the defaults of every stage of every curriculum.
#[derive(Debug, Clone)]
pub(super) struct Tune {
    /// `max_length:`, the longest record in tokens, by default 512, with its place.
    pub max_length: Marked<u32>,
    /// `objective:`, by default `sft`, with its place; see [`objective::objective`].
    pub objective: Marked<TuneObjective>,
    /// The names of the teachers, of the objective `distill` only.
    pub teachers: Vec<String>,
    /// `shots:`, demonstrations before each record, by default none; see [`shots`].
    pub shots: Option<Shots<String>>,
    /// `loss:`, `reply` (the default, as in CLASS-IT), `instruction` or `all`.
    pub loss: LossMask,
    /// `pretrain_mix:`, the fraction of pretraining text in the tokens that receive loss, by default 0.
    pub replay: Option<Replay>,
    /// `optimizer:`, `fresh` (the default) or `carried` over from the stage before.
    pub optimizer: OptimizerStart,
    /// `seed:`, which distinguishes several tunings of one pretrained model; by default there is one, with the cell's seed.
    pub seed: Option<u64>,
    /// The optimization; see [`training`].
    pub training: Training,
}

impl Tune {
    /// Decodes the section, or a stage, which has the further keys `beside` that the caller decodes. `names` are those
    /// that the spec defines; `held_out` is the fraction kept for validation.
    pub(super) fn decode(
        node: &Node,
        beside: &[&'static str],
        names: &Names,
        held_out: f64,
        log: &Log,
    ) -> Option<Tune> {
        let mut fields = Fields::of(node, "'tune'", log)?;
        for key in beside {
            fields.take(key);
        }
        let place = node.get("max_length").map_or(node.mark, |length| length.mark);
        let max_length = fields.get("max_length", 512, small(2..=1_048_576));
        let masks = [("reply", LossMask::Reply), ("instruction", LossMask::Instruction), ("all", LossMask::All)];
        let loss = fields.get("loss", LossMask::Reply, choice(masks));
        let objective_place = node.get("objective").map_or(node.mark, |objective| objective.mark);
        let decoded = objective::objective(&mut fields, &names.models);
        let objective = decoded.as_ref().map_or(TuneObjective::Sft, |(objective, _)| *objective);
        objective::check_mask(objective, loss, &mut fields);
        let shots = fields.take("shots").and_then(|node| shots(node, names, log));
        check_shots(shots.is_some(), objective, loss, &mut fields);
        let replay = fields.get("pretrain_mix", None, |value| real(Within::ProperFraction)(value).map(Replay::new));
        let starts = [("fresh", OptimizerStart::Fresh), ("carried", OptimizerStart::Carried)];
        let optimizer = fields.get("optimizer", OptimizerStart::Fresh, choice(starts));
        let seed = fields.get("seed", None, |value| match value {
            Value::Null => Ok(None),
            value => scalars::seed(value).map(Some),
        });
        let training = training(&mut fields, 2e-5, Schedule::Cosine, held_out);
        let by_uncertainty = training.as_ref().is_some_and(|training| training.smoothing_max.is_some());
        for (key, is_given) in [("pretrain_mix", replay.is_some()), ("label_smoothing", by_uncertainty)] {
            if let (Some(place), true, true) = (node.get(key), is_given, shots.is_some()) {
                let what = if key == "pretrain_mix" { key } else { "label_smoothing: {uncertainty: ...}" };
                let hint = "remove one of them, or set it to 0 in this stage";
                log.add(place.mark, format!("'{what}' and 'shots' cannot be combined"), Some(hint.into()));
            }
        }
        fields.finish();
        Some(Tune {
            max_length: Marked { value: max_length, mark: place },
            objective: Marked { value: objective, mark: objective_place },
            teachers: decoded?.1,
            shots,
            loss,
            replay,
            optimizer,
            seed,
            training: training?,
        })
    }
}

/// The keys of `tune:` that cannot differ between the stages of one training.
pub(super) const SHARED_TUNE_KEYS: [&str; 20] = [
    "batch_size",
    "learning_rate",
    "schedule",
    "warmup",
    "min_learning_rate_ratio",
    "betas",
    "epsilon",
    "weight_decay",
    "clip_norm",
    "label_smoothing",
    "neftune_alpha",
    "precision",
    "validate_every",
    "early_stopping",
    "keep",
    "max_length",
    "objective",
    "shots",
    "loss",
    "optimizer",
];

/// The key `shots:`: the number of demonstrations, or a mapping; 0 for none.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `k:` | the number of demonstrations | required |
/// | `pool:` | the dataset that they are drawn from | that of each record |
/// | `label_overlap:` | whether a demonstration may have the reply of the record | `true` |
/// | `delimiter:` | the text after each demonstration | a blank line |
fn shots(node: &Node, names: &Names, log: &Log) -> Option<Shots<String>> {
    let number = small(0..=64);
    let of = |k, delimiter, label_overlap, pool| (k > 0).then_some(Shots { k, delimiter, label_overlap, pool });
    let Value::Map(_) = node.value else {
        return of(fields::scalar("'shots'", node, log, number)?, DELIMITER.to_owned(), true, None);
    };
    let mut own = Fields::of(node, "'shots'", log)?;
    let k = own.required("k", "the number of demonstrations, such as `k: 2`", number);
    let delimiter = own.get("delimiter", DELIMITER.to_owned(), scalars::text);
    let label_overlap = own.get("label_overlap", true, scalars::flag);
    let pool = own.get("pool", None, |value| scalars::reference("dataset", &names.datasets)(value).map(Some));
    own.finish();
    of(k?, delimiter, label_overlap, pool)
}

/// The text between demonstrations that lm-evaluation-harness uses, too.
pub(super) const DELIMITER: &str = "\n\n";

/// Demonstrations are context, so only the reply after them can receive loss.
fn check_shots(has_shots: bool, objective: TuneObjective, loss: LossMask, fields: &mut Fields) {
    let Some(node) = fields.take("shots").filter(|_| has_shots) else { return };
    if !objective.replies().is_good() {
        let reason = format!("'shots' has no meaning for the objective {}", objective.name());
        fields.log.add(node.mark, reason, Some("remove 'shots', or set it to 0 in this stage".into()));
    } else if loss != LossMask::Reply {
        let hint = "set `loss: reply`";
        fields.log.add(
            node.mark,
            "'shots' puts other records before each record, which receive no loss",
            Some(hint.into()),
        );
    }
}

/// Decodes the keys that both sections share.
///
/// The length has no default: `epochs:` or `steps:` is required. The other defaults are those of CLASS-IT, table 2
/// (`batch_size: 8`, `learning_rate: 2e-4` for pretraining and `2e-5` for tuning, `schedule: linear` and `cosine`) and, where
/// it does not say, of Hugging Face's Trainer. The warm-up is an exception: those of 5,000 and 500 steps would take up a whole
/// small run, so the default is 5 % of the steps. For the validation keys see [`validation`].
fn training(fields: &mut Fields, peak: f64, decay: Schedule, held_out: f64) -> Option<Training> {
    let epochs = fields.take("epochs");
    let steps = fields.take("steps");
    let length = match (epochs, steps) {
        (Some(node), None) => fields::scalar("'epochs'", node, fields.log, epochs_of).map(Length::Epochs),
        (None, Some(node)) => fields::scalar("'steps'", node, fields.log, count(0..=1_000_000_000)).map(Length::Steps),
        (Some(_), Some(steps)) => {
            fields.log.add(steps.mark, "both 'epochs' and 'steps' are given", Some("remove one of them".into()));
            None
        }
        (None, None) => {
            let hint = "add the length of the training, such as `epochs: 3` or `steps: 1000`";
            fields.log.add(fields.mark, "missing key 'epochs' or 'steps'", Some(hint.into()));
            None
        }
    };
    let batch_size = fields.get("batch_size", 8, small(1..=1_048_576));
    let learning_rate = fields.get("learning_rate", peak, real(Within::Positive));
    let schedule = fields.take("schedule").and_then(|node| schedule(node, fields.log)).unwrap_or(decay);
    let warmup = fields.get("warmup", Warmup::Fraction(0.05), warmup);
    let min_learning_rate_ratio = fields.get("min_learning_rate_ratio", 0.0, real(Within::Fraction));
    let betas = fields.take("betas").and_then(|node| betas(node, fields.log)).unwrap_or([0.9, 0.999]);
    let epsilon = fields.get("epsilon", 1e-8, real(Within::Positive));
    let weight_decay = fields.get("weight_decay", 0.0, real(Within::NotNegative));
    let clip_norm = fields.get("clip_norm", Some(1.0), |value| match value {
        Value::Null => Ok(None),
        value => real(Within::Positive)(value).map(Some).map_err(|fault| fault.or_hint("`null` disables clipping")),
    });
    let smoothing = fields.take("label_smoothing").map(|node| smoothing(node, fields.log));
    let (label_smoothing, smoothing_max) = smoothing.unwrap_or((0.0, None));
    let neftune_alpha = fields.get("neftune_alpha", 0.0, real(Within::NotNegative));
    let precision = choice([("f32", Precision::F32), ("bf16", Precision::Bf16)]);
    let precision = fields.get("precision", Precision::F32, precision);
    let validation = validation(fields, held_out);
    Some(Training {
        length: length?,
        batch_size,
        learning_rate,
        schedule,
        warmup,
        min_learning_rate_ratio,
        betas,
        epsilon,
        weight_decay,
        clip_norm,
        label_smoothing,
        smoothing_max,
        neftune_alpha,
        precision,
        validation,
    })
}

/// The key `label_smoothing:`: the same fraction for every record, or `{uncertainty: MEAN, max: LIMIT}`, with which the
/// smoothing of a record is in proportion to its uncertainty. The limit is 0.5 by default.
fn smoothing(node: &Node, log: &Log) -> (f64, Option<f64>) {
    let fraction = real(Within::ProperFraction);
    let Value::Map(_) = node.value else {
        return (fields::scalar("'label_smoothing'", node, log, fraction).unwrap_or(0.0), None);
    };
    let Some(mut fields) = Fields::of(node, "'label_smoothing'", log) else { return (0.0, None) };
    let hint = "the mean smoothing, such as `{uncertainty: 0.1}`";
    let mean = fields.required("uncertainty", hint, real(Within::ProperFraction));
    let max = fields.get("max", 0.5, real(Within::ProperFraction));
    fields.finish();
    (mean.unwrap_or(0.0), Some(max))
}

/// Decodes the keys of validation during training.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `validate_every:` | steps between two validations | one validation, after the last step |
/// | `early_stopping:` | `{patience: N, min_delta: D}` stops after N validations without improving by D | all steps |
/// | `keep:` | which weights are the result: those after the `last` step, or those with the `best` validation loss | `last` |
fn validation(fields: &mut Fields, held_out: f64) -> Option<Validation> {
    let log = fields.log;
    let place = fields.take("validate_every").map(|node| node.mark);
    let every = fields.get("validate_every", None, |value| count(1..=1_000_000_000)(value).map(Some));
    let stopping = fields.take("early_stopping");
    let early_stopping = stopping.and_then(|node| early_stopping(node, log));
    let keep =
        fields.get("keep", KeptWeights::Last, choice([("last", KeptWeights::Last), ("best", KeptWeights::Best)]));
    let best = fields.take("keep").filter(|_| keep == KeptWeights::Best);
    if let Some(place) = place.filter(|_| held_out == 0.0) {
        let hint = "set `held_out: 0.1`, or remove 'validate_every'";
        log.add(place, "'validate_every' has no data to validate on, because 'held_out' is 0", Some(hint.into()));
    }
    for (key, node) in [("early_stopping", stopping), ("keep: best", best)] {
        if let (Some(node), None) = (node, place) {
            let hint = "add the number of steps between validations, such as `validate_every: 100`";
            log.add(node.mark, format!("'{key}' needs 'validate_every'"), Some(hint.into()));
        }
    }
    Some(Validation { every: every?, early_stopping, keep })
}

fn early_stopping(node: &Node, log: &Log) -> Option<EarlyStopping> {
    let mut fields = Fields::of(node, "'early_stopping'", log)?;
    let patience = fields.required(
        "patience",
        "the number of validations without improvement, such as `patience: 3`",
        small(1..=1_000_000),
    );
    let min_delta = fields.get("min_delta", 0.0, real(Within::NotNegative));
    fields.finish();
    Some(EarlyStopping { patience: patience?, min_delta })
}

/// Decodes the points at which pretraining keeps copies of its model: `{words: [1M, 2M]}`, `{tokens: [10M]}`, or
/// `{babylm: 100M}`, the checkpoints of the BabyLM challenge (every 1M words to 10M, every 10M to 100M, every 100M to
/// 1000M) up to that many words. Repeated text counts again; held-out text does not count.
pub(super) fn milestones(node: &Node, log: &Log) -> Option<Vec<Milestone>> {
    let mut fields = Fields::of(node, "'milestones'", log)?;
    let given: Vec<&str> = ["words", "tokens", "babylm"].into_iter().filter(|key| fields.take(key).is_some()).collect();
    let amount = |value: &Value| count(1..=i64::MAX as u64)(value);
    let mut milestones = match given[..] {
        ["words"] => fields.list("words", |value| amount(value).map(Milestone::Words)),
        ["tokens"] => fields.list("tokens", |value| amount(value).map(Milestone::Tokens)),
        ["babylm"] => {
            fields.required("babylm", "such as 100M", count(1_000_000..=1_000_000_000)).map(Milestone::babylm)
        }
        _ => {
            let hint = "such as {words: [1M, 2M]}, {tokens: [10M]}, or {babylm: 100M} for the checkpoints of the challenge up to 100M words";
            log.add(
                node.mark,
                "'milestones' must have exactly one of the keys words, tokens, babylm",
                Some(hint.into()),
            );
            None
        }
    };
    fields.finish();
    if let Some(milestones) = &mut milestones {
        milestones.sort();
    }
    milestones
}

/// The key `epochs:`. A model without any training is written `steps: 0`.
fn epochs_of(value: &Value) -> Scalar<u32> {
    match value {
        Value::Whole(0) => {
            let hint = "the smallest is 1; `steps: 0` leaves the model unchanged";
            Err(Fault::expected("a whole number from 1 to 100000").or_hint(hint))
        }
        value => small(1..=100_000)(value),
    }
}

/// A number of steps, such as `500`, or a fraction of all steps, such as `0.05`.
fn warmup(value: &Value) -> Scalar<Warmup> {
    let fault = || {
        Fault::expected("a fraction of the steps below 1, or a whole number of steps").or_hint("such as 0.05 or 500")
    };
    match value {
        Value::Real(share) if (0.0..1.0).contains(share) => Ok(Warmup::Fraction(*share)),
        Value::Whole(_) | Value::Text(_) => count(0..=1_000_000_000)(value).map(Warmup::Steps).map_err(|_| fault()),
        _ => Err(fault()),
    }
}

/// `linear`, `cosine`, `constant`, `cosine_with_restarts` or `wsd`; the last two also as
/// `{cosine_with_restarts: {cycles: 2}}` (default 1) and `{wsd: {decay: 0.1}}` (default 0.2 of all steps).
fn schedule(node: &Node, log: &Log) -> Option<Schedule> {
    let plain = [
        ("linear", Schedule::Linear),
        ("cosine", Schedule::Cosine),
        ("constant", Schedule::Constant),
        ("cosine_with_restarts", Schedule::CosineWithRestarts { cycles: 1 }),
        ("wsd", Schedule::Wsd { decay: 0.2 }),
    ];
    let Value::Map(_) = node.value else { return fields::scalar("'schedule'", node, log, choice(plain)) };
    let mut fields = Fields::of(node, "'schedule'", log)?;
    let (restarts, wsd) = (fields.take("cosine_with_restarts"), fields.take("wsd"));
    fields.finish();
    let (subject, options) = match (restarts, wsd) {
        (Some(node), None) => ("'cosine_with_restarts'", node),
        (None, Some(node)) => ("'wsd'", node),
        (Some(_), Some(_)) => {
            log.add(node.mark, "'schedule' has two schedules", Some("remove one of them".into()));
            return None;
        }
        (None, None) => {
            if node.entries().is_empty() {
                Fault::expected("the name of a schedule").or_hint("such as linear or {wsd: {decay: 0.1}}").report(
                    "'schedule'",
                    node,
                    log,
                );
            }
            return None;
        }
    };
    let mut options = Fields::of(options, subject, log)?;
    let schedule = if wsd.is_some() {
        Schedule::Wsd { decay: options.get("decay", 0.2, real(Within::Fraction)) }
    } else {
        Schedule::CosineWithRestarts { cycles: options.get("cycles", 1, small(1..=1_000)) }
    };
    options.finish();
    Some(schedule)
}

fn betas(node: &Node, log: &Log) -> Option<[f64; 2]> {
    let Value::List(items) = &node.value else {
        Fault::expected("two fractions").or_hint("such as [0.9, 0.999]").report("'betas'", node, log);
        return None;
    };
    let [first, second] = &items[..] else {
        let reason = format!("'betas' must be two fractions, not {}", items.len());
        log.add(node.mark, reason, Some("such as [0.9, 0.999]".into()));
        return None;
    };
    let item = |node| fields::scalar("an item of 'betas'", node, log, real(Within::ProperFraction));
    match (item(first), item(second)) {
        (Some(first), Some(second)) => Some([first, second]),
        _ => None,
    }
}
