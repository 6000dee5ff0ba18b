//! The key `objective:` of `tune:` and of `pretrain:`.

use crate::domain::objective::{Dpo, DpoLoss, Kto, Orpo, Simpo};
use crate::domain::{Distill, Distillation, LossMask, TuneObjective};

use super::fields::{self, Fields};
use super::scalars::{Within, choice, real, reference};
use super::tree::{Node, Value};

/// Decodes what a tuning minimizes: a name such as `dpo`, or a name with parameters, `{dpo: {beta: 0.5}}`.
///
/// | objective | parameters and their defaults |
/// |---|---|
/// | `sft` | none |
/// | `dpo` | `beta: 0.1`, `loss: sigmoid` (or `conservative`, `robust`, `hinge`, `ipo`, `ipo_means`), `label_noise: 0.1` (only of `conservative` and `robust`), `sft_weight: 0` |
/// | `simpo` | `beta: 2`, `gamma: 1`, `sft_weight: 0` |
/// | `orpo` | `beta: 0.1`, `sft_weight: 1` |
/// | `kto` | `beta: 0.1`, `desirable_weight: 1`, `undesirable_weight: 1`, `sft_weight: 0` |
/// | `distill` | `teachers:` (required, names of models), `temperature: 2`, `hard_weight: 0.5` |
///
/// Of the other keys of `tune:`, those that have no meaning for the objective are refused. `models` are the names that the
/// spec defines. The names that are returned are those of the teachers.
pub(super) fn objective(fields: &mut Fields, models: &[String]) -> Option<(TuneObjective, Vec<String>)> {
    let Some(node) = fields.take("objective") else { return Some((TuneObjective::Sft, vec![])) };
    let (objective, teachers) = decode(node, models, fields)?;
    let refused: &[&'static str] = match objective {
        TuneObjective::Sft => &[],
        TuneObjective::Distill(_) => &["label_smoothing"],
        TuneObjective::Dpo(_) | TuneObjective::Simpo(_) | TuneObjective::Orpo(_) | TuneObjective::Kto(_) => {
            &["label_smoothing", "neftune_alpha", "pretrain_mix"]
        }
    };
    refused.iter().for_each(|key| refuse(key, objective.name(), fields));
    Some((objective, teachers))
}

/// Decodes what a pretraining minimizes: `next_token`, or `{distill: {teachers: [large, deep]}}` with the parameters of a
/// tuning.
pub(super) fn of_pretraining(fields: &mut Fields, models: &[String]) -> Option<Option<Distillation<String>>> {
    let Some(node) = fields.take("objective") else { return Some(None) };
    let (name, parameters) = named(node, ["next_token", "distill"], "{distill: {teachers: [large, deep]}}", fields)?;
    let mut own = Fields::of(&parameters, &format!("'{name}'"), fields.log)?;
    let distillation = match name {
        "distill" => Some(distillation(&mut own, models)),
        _ => None,
    };
    own.finish();
    if distillation.is_some() {
        refuse("label_smoothing", "distill", fields);
    }
    distillation.map_or(Some(None), |distillation| distillation.map(Some))
}

/// Reports a key that has no meaning for an objective, unless it is 0.
fn refuse(key: &'static str, objective: &str, fields: &mut Fields) {
    let zero = |node: &&Node| !matches!(node.value, Value::Whole(0)) && !matches!(node.value, Value::Real(0.0));
    if let Some(node) = fields.take(key).filter(zero) {
        let hint = format!("remove '{key}', or set it to 0 in this stage");
        fields.log.add(node.mark, format!("'{key}' has no meaning for the objective {objective}"), Some(hint));
    }
}

/// Reports a loss mask that has no effect, because the objective has no cross entropy beside it.
pub(super) fn check_mask(objective: TuneObjective, loss: LossMask, fields: &mut Fields) {
    let sft_weight = match objective {
        TuneObjective::Sft | TuneObjective::Distill(_) => return,
        TuneObjective::Dpo(Dpo { sft_weight, .. })
        | TuneObjective::Simpo(Simpo { sft_weight, .. })
        | TuneObjective::Orpo(Orpo { sft_weight, .. })
        | TuneObjective::Kto(Kto { sft_weight, .. }) => sft_weight,
    };
    if let Some(node) = fields.take("loss").filter(|_| loss != LossMask::Reply && sft_weight == 0.0) {
        let reason = format!(
            "'loss' only concerns the cross entropy beside the objective {}, whose sft_weight is 0",
            objective.name()
        );
        let hint = format!("remove 'loss', or set `objective: {{{}: {{sft_weight: 1}}}}`", objective.name());
        fields.log.add(node.mark, reason, Some(hint));
    }
}

fn decode(node: &Node, models: &[String], fields: &mut Fields) -> Option<(TuneObjective, Vec<String>)> {
    let names = ["sft", "dpo", "simpo", "orpo", "kto", "distill"];
    let (name, node) = named(node, names, "dpo or {dpo: {beta: 0.5}}", fields)?;
    parameters(name, &node, models, fields)
}

/// The name of an objective, which is one of `names`, and the mapping of its parameters.
fn named<const N: usize>(
    node: &Node,
    names: [&'static str; N],
    example: &str,
    fields: &Fields,
) -> Option<(&'static str, Node)> {
    let log = fields.log;
    let Value::Map(_) = node.value else {
        let name = fields::scalar("'objective'", node, log, choice(names.map(|name| (name, name))))?;
        return Some((name, Node { mark: node.mark, value: Value::Map(vec![]) }));
    };
    let mut named = Fields::of(node, "'objective'", log)?;
    let given: Vec<(&str, &Node)> =
        names.into_iter().filter_map(|name| named.take(name).map(|node| (name, node))).collect();
    named.finish();
    match given[..] {
        [(name, node)] => Some((name, node.clone())),
        [] if !node.entries().is_empty() => None, // an unknown name, which is reported
        _ => {
            let reason = format!("'objective' must be one of {}", names.join(", "));
            log.add(node.mark, reason, Some(format!("such as {example}")));
            None
        }
    }
}

fn parameters(name: &str, node: &Node, models: &[String], fields: &mut Fields) -> Option<(TuneObjective, Vec<String>)> {
    let mut own = Fields::of(node, &format!("'{name}'"), fields.log)?;
    let positive = |own: &mut Fields, key: &'static str, default| own.get(key, default, real(Within::Positive));
    let weight = |own: &mut Fields, key: &'static str, default| own.get(key, default, real(Within::NotNegative));
    let objective = match name {
        "dpo" => {
            let beta = positive(&mut own, "beta", 0.1);
            let loss = dpo_loss(&mut own);
            TuneObjective::Dpo(Dpo { beta, loss, sft_weight: weight(&mut own, "sft_weight", 0.0) })
        }
        "simpo" => TuneObjective::Simpo(Simpo {
            beta: positive(&mut own, "beta", 2.0),
            gamma: weight(&mut own, "gamma", 1.0),
            sft_weight: weight(&mut own, "sft_weight", 0.0),
        }),
        "orpo" => TuneObjective::Orpo(Orpo {
            beta: positive(&mut own, "beta", 0.1),
            sft_weight: weight(&mut own, "sft_weight", 1.0),
        }),
        "kto" => TuneObjective::Kto(Kto {
            beta: positive(&mut own, "beta", 0.1),
            desirable_weight: weight(&mut own, "desirable_weight", 1.0),
            undesirable_weight: weight(&mut own, "undesirable_weight", 1.0),
            sft_weight: weight(&mut own, "sft_weight", 0.0),
        }),
        "distill" => {
            let distillation = distillation(&mut own, models);
            own.finish();
            return distillation
                .map(|Distillation { teachers, settings }| (TuneObjective::Distill(settings), teachers));
        }
        _ => TuneObjective::Sft,
    };
    own.finish();
    Some((objective, vec![]))
}

/// The parameters of `distill`.
fn distillation(own: &mut Fields, models: &[String]) -> Option<Distillation<String>> {
    let teachers = own.required_node("teachers", "names of models, such as `teachers: [large, deep]`");
    let teachers = teachers.and_then(|node| fields::list("teachers", node, own.log, reference("model", models)));
    let temperature = own.get("temperature", 2.0, real(Within::Positive));
    let hard_weight = own.get("hard_weight", 0.5, real(Within::Fraction));
    Some(Distillation { teachers: teachers?, settings: Distill { temperature, hard_weight } })
}

fn dpo_loss(own: &mut Fields) -> DpoLoss {
    let label_noise = own.get("label_noise", 0.1, real(Within::ProperFraction));
    let losses = [
        ("sigmoid", DpoLoss::Sigmoid),
        ("conservative", DpoLoss::Conservative { label_noise }),
        ("robust", DpoLoss::Robust { label_noise }),
        ("hinge", DpoLoss::Hinge),
        ("ipo", DpoLoss::Ipo),
        ("ipo_means", DpoLoss::IpoMeans),
    ];
    let loss = own.get("loss", DpoLoss::Sigmoid, choice(losses));
    if let Some(node) = own.take("label_noise") {
        let has_noise = matches!(loss, DpoLoss::Conservative { .. } | DpoLoss::Robust { .. });
        if !has_noise {
            let reason = format!("'label_noise' has no meaning for the loss {}", loss.name());
            own.log.add(node.mark, reason, Some("set `loss: conservative` or `loss: robust`".into()));
        } else if label_noise >= 0.5 {
            let reason = format!("'label_noise' must be below 0.5, not {label_noise}");
            own.log.add(node.mark, reason, Some("at 0.5, the replies of a pair cannot be told apart".into()));
        }
    }
    loss
}
