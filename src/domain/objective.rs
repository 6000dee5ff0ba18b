//! What the tuning of a language model minimizes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The objective of a tuning. S is the log-probability of a reply under the model that is tuned, R that under the model
/// that the stage starts from (the reference), and σ the logistic function.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneObjective {
    /// Supervised fine-tuning: the cross entropy of the tokens that receive loss.
    #[default]
    Sft,
    /// Direct preference optimization.
    Dpo(Dpo),
    /// Simple preference optimization, without a reference.
    Simpo(Simpo),
    /// Odds ratio preference optimization, without a reference.
    Orpo(Orpo),
    /// Kahneman-Tversky optimization, from replies that are good or bad.
    Kto(Kto),
    /// Distillation from the mean logits of teachers.
    Distill(Distill),
}

/// Direct preference optimization (Rafailov et al. 2023, arXiv 2305.18290): a loss of h = (S - R) of the chosen reply minus
/// (S - R) of the rejected one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Dpo {
    /// The scale of rewards: a reward is `beta` times S - R.
    pub beta: f64,
    /// The loss.
    pub loss: DpoLoss,
    /// The weight of the cross entropy of the chosen replies beside it.
    pub sft_weight: f64,
}

/// A loss of the difference h, which is defined at [`Dpo`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DpoLoss {
    /// -ln σ(beta h).
    Sigmoid,
    /// Conservative DPO: -(1 - e) ln σ(beta h) - e ln σ(-beta h), with e = `label_noise`, the assumed share of pairs whose
    /// replies are swapped.
    Conservative {
        /// In 0..0.5.
        label_noise: f64,
    },
    /// Robust DPO (arXiv 2403.00409): (-(1 - e) ln σ(beta h) + e ln σ(-beta h)) / (1 - 2 e), with e = `label_noise`.
    Robust {
        /// In 0..0.5.
        label_noise: f64,
    },
    /// max(0, 1 - beta h), as in SLiC.
    Hinge,
    /// Identity preference optimization (Azar et al. 2023, arXiv 2310.12036): (h - 1 / (2 beta))².
    Ipo,
    /// As `Ipo`, with means over the tokens of each reply in place of its log-probabilities, as in TRL.
    IpoMeans,
}

/// Simple preference optimization (Meng et al. 2024, arXiv 2405.14734): -ln σ(beta (S / length of the chosen reply -
/// S / length of the rejected one) - gamma).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Simpo {
    /// The scale of rewards: a reward is `beta` times the mean log-probability of the tokens.
    pub beta: f64,
    /// The margin between the rewards.
    pub gamma: f64,
    /// The weight of the cross entropy of the chosen replies beside it.
    pub sft_weight: f64,
}

/// Odds ratio preference optimization (Hong et al. 2024, arXiv 2403.07691): -beta ln σ(o(chosen) - o(rejected)), where
/// o = l - ln(1 - exp(l)) and l = S / length.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Orpo {
    /// The weight of the odds ratio.
    pub beta: f64,
    /// The weight of the cross entropy of the chosen replies beside it, 1 in the paper.
    pub sft_weight: f64,
}

/// Kahneman-Tversky optimization (Ethayarajh et al. 2024, arXiv 2402.01306): with r = S - R and z the mean of r over
/// replies to other prompts (at least 0), `desirable_weight` (1 - σ(beta (r - z))) for a good reply and
/// `undesirable_weight` (1 - σ(beta (z - r))) for a bad one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kto {
    /// The scale of rewards: a reward is `beta` times r.
    pub beta: f64,
    /// The weight of good replies.
    pub desirable_weight: f64,
    /// The weight of bad replies.
    pub undesirable_weight: f64,
    /// The weight of the cross entropy of the good replies beside it.
    pub sft_weight: f64,
}

/// Distillation from an ensemble (Hinton et al. 2015, arXiv 1503.02531, section 2; BabyLlama, Timiryasov and Tastet 2023,
/// arXiv 2308.02019): for each predicted token, `hard_weight` times the cross entropy plus (1 - `hard_weight`) T² KL(q, p),
/// where T is the temperature, p the softmax of the model's logits divided by T, and q that of the mean of the teachers'
/// logits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distill {
    /// The temperature T.
    pub temperature: f64,
    /// The weight of the cross entropy, in 0..=1.
    pub hard_weight: f64,
}

/// A distillation with its teachers, which are names, models or jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distillation<Teacher> {
    /// The teachers; never empty. Their order makes no difference but for rounding.
    pub teachers: Vec<Teacher>,
    /// The parameters of the loss.
    pub settings: Distill,
}

/// The replies of a dataset that a training reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replies {
    /// The replies to imitate: of a pair the chosen one; of labelled replies the good ones.
    #[default]
    Good,
    /// The chosen and the rejected reply of each pair, one after the other.
    Pairs,
    /// Every reply, good or bad. The chosen reply of a pair is good and the rejected one bad.
    Labelled,
}

impl Replies {
    /// The records that make one unit of training: two for pairs.
    pub fn records_per_unit(self) -> u64 {
        match self {
            Replies::Good | Replies::Labelled => 1,
            Replies::Pairs => 2,
        }
    }

    /// Whether bad replies are left out.
    pub fn is_good(&self) -> bool {
        *self == Replies::Good
    }
}

impl TuneObjective {
    /// Whether this is supervised fine-tuning.
    pub fn is_sft(&self) -> bool {
        *self == TuneObjective::Sft
    }

    /// The replies that it needs.
    pub fn replies(&self) -> Replies {
        match self {
            TuneObjective::Sft | TuneObjective::Distill(_) => Replies::Good,
            TuneObjective::Dpo(_) | TuneObjective::Simpo(_) | TuneObjective::Orpo(_) => Replies::Pairs,
            TuneObjective::Kto(_) => Replies::Labelled,
        }
    }

    /// Whether it compares the model with the one that the stage starts from.
    pub fn needs_reference(&self) -> bool {
        match self {
            TuneObjective::Dpo(_) | TuneObjective::Kto(_) => true,
            TuneObjective::Sft | TuneObjective::Simpo(_) | TuneObjective::Orpo(_) | TuneObjective::Distill(_) => false,
        }
    }

    /// What it needs of a dataset, and the formats that have it, for messages.
    pub fn needs(&self) -> (&'static str, &'static str) {
        match self.replies() {
            Replies::Good => ("replies", "any format"),
            Replies::Pairs => ("pairs of a chosen and a rejected reply", "the format preference or replies"),
            Replies::Labelled => ("replies that are labelled good or bad", "the format kto or preference"),
        }
    }

    /// The name used in specs and tables.
    pub fn name(&self) -> &'static str {
        match self {
            TuneObjective::Sft => "sft",
            TuneObjective::Dpo(_) => "dpo",
            TuneObjective::Simpo(_) => "simpo",
            TuneObjective::Orpo(_) => "orpo",
            TuneObjective::Kto(_) => "kto",
            TuneObjective::Distill(_) => "distill",
        }
    }
}

impl fmt::Display for Distill {
    /// The parameters: `temperature 2, hard weight 0.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "temperature {}, hard weight {}", self.temperature, self.hard_weight)
    }
}

impl DpoLoss {
    /// The name used in specs.
    pub fn name(self) -> &'static str {
        match self {
            DpoLoss::Sigmoid => "sigmoid",
            DpoLoss::Conservative { .. } => "conservative",
            DpoLoss::Robust { .. } => "robust",
            DpoLoss::Hinge => "hinge",
            DpoLoss::Ipo => "ipo",
            DpoLoss::IpoMeans => "ipo_means",
        }
    }
}

impl fmt::Display for TuneObjective {
    /// The name and the parameters: `dpo (beta 0.1, loss sigmoid)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let sft_weight = match *self {
            TuneObjective::Sft => return Ok(()),
            TuneObjective::Distill(settings) => return write!(f, " ({settings})"),
            TuneObjective::Dpo(Dpo { beta, loss, sft_weight }) => {
                write!(f, " (beta {beta}, loss {}", loss.name())?;
                if let DpoLoss::Conservative { label_noise } | DpoLoss::Robust { label_noise } = loss {
                    write!(f, ", label noise {label_noise}")?;
                }
                sft_weight
            }
            TuneObjective::Simpo(Simpo { beta, gamma, sft_weight }) => {
                write!(f, " (beta {beta}, gamma {gamma}")?;
                sft_weight
            }
            TuneObjective::Orpo(Orpo { beta, sft_weight }) => {
                write!(f, " (beta {beta}")?;
                sft_weight
            }
            TuneObjective::Kto(Kto { beta, desirable_weight, undesirable_weight, sft_weight }) => {
                write!(f, " (beta {beta}, weights {desirable_weight} and {undesirable_weight}")?;
                sft_weight
            }
        };
        if sft_weight > 0.0 {
            write!(f, ", sft weight {sft_weight}")?;
        }
        f.write_str(")")
    }
}
