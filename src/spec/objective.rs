//! The key `objective:` of `tune:`.

use crate::domain::objective::{Dpo, DpoLoss, Kto, Orpo, Simpo};
use crate::domain::{LossMask, TuneObjective};

use super::fields::{self, Fields};
use super::scalars::{Within, choice, real};
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
///
/// Of the other keys of `tune:`, those that only concern `sft` are refused beside another objective.
pub(super) fn objective(fields: &mut Fields) -> Option<TuneObjective> {
    let Some(node) = fields.take("objective") else { return Some(TuneObjective::Sft) };
    let objective = decode(node, fields)?;
    if objective.is_sft() {
        return Some(objective);
    }
    let name = objective.name();
    for key in ["label_smoothing", "neftune_alpha", "pretrain_mix"] {
        let zero = |node: &&Node| !matches!(node.value, Value::Whole(0)) && !matches!(node.value, Value::Real(0.0));
        if let Some(node) = fields.take(key).filter(zero) {
            let hint = format!("remove '{key}', or set it to 0 in this stage");
            fields.log.add(node.mark, format!("'{key}' has no meaning for the objective {name}"), Some(hint));
        }
    }
    Some(objective)
}

/// Reports a loss mask that has no effect, because the objective has no cross entropy beside it.
pub(super) fn check_mask(objective: TuneObjective, loss: LossMask, fields: &mut Fields) {
    let sft_weight = match objective {
        TuneObjective::Sft => return,
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

const NAMES: [&str; 5] = ["sft", "dpo", "simpo", "orpo", "kto"];

fn decode(node: &Node, fields: &mut Fields) -> Option<TuneObjective> {
    let log = fields.log;
    let Value::Map(_) = node.value else {
        let name = fields::scalar("'objective'", node, log, choice(NAMES.map(|name| (name, name))))?;
        return parameters(name, &Node { mark: node.mark, value: Value::Map(vec![]) }, fields);
    };
    let mut named = Fields::of(node, "'objective'", log)?;
    let given: Vec<(&str, &Node)> =
        NAMES.into_iter().filter_map(|name| named.take(name).map(|node| (name, node))).collect();
    named.finish();
    match given[..] {
        [(name, node)] => parameters(name, node, fields),
        [] if !node.entries().is_empty() => None, // an unknown name, which is reported
        _ => {
            let reason = format!("'objective' must be one of {}", NAMES.join(", "));
            log.add(node.mark, reason, Some("such as dpo or {dpo: {beta: 0.5}}".into()));
            None
        }
    }
}

fn parameters(name: &str, node: &Node, fields: &mut Fields) -> Option<TuneObjective> {
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
        _ => TuneObjective::Sft,
    };
    own.finish();
    Some(objective)
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
