use grid::domain::objective::{DpoLoss, Kto};
use grid::domain::{Arch, Precision};
use proptest::prelude::*;

use super::*;
use crate::ml::fixtures::small;
use crate::ml::objectives::{LabelledReplies, LabelledReply, LossSum, TrainingSequence, kto, reply_logprobs};
use crate::ml::shim;

/// The replies of the hand-computed example: log-probabilities of the tokens under the model and the reference.
fn example() -> [ReplyLogprob; 2] {
    let reply = |model: &[f64], reference: &[f64]| ReplyLogprob {
        sum: model.iter().sum(),
        length: model.len(),
        reference: reference.iter().sum(),
    };
    [reply(&[-1.0, -0.5, -0.5], &[-1.2, -0.8, -0.6]), reply(&[-2.0, -1.0], &[-1.5, -0.9])]
}

const SFT_WEIGHT: f64 = 0.0;

fn dpo(beta: f64, loss: DpoLoss) -> PairObjective {
    PairObjective::Dpo(Dpo { beta, loss, sft_weight: SFT_WEIGHT })
}

fn all() -> Vec<PairObjective> {
    let label_noise = 0.1;
    vec![
        dpo(0.1, DpoLoss::Sigmoid),
        dpo(1.0, DpoLoss::Sigmoid),
        dpo(0.1, DpoLoss::Conservative { label_noise }),
        dpo(0.1, DpoLoss::Robust { label_noise }),
        dpo(0.1, DpoLoss::Hinge),
        dpo(0.1, DpoLoss::Ipo),
        dpo(0.1, DpoLoss::IpoMeans),
        PairObjective::Simpo(Simpo { beta: 2.0, gamma: 1.0, sft_weight: SFT_WEIGHT }),
        PairObjective::Orpo(Orpo { beta: 0.1, sft_weight: SFT_WEIGHT }),
    ]
}

#[test]
fn losses_equal_those_computed_by_hand() {
    let [chosen, rejected] = example();
    let losses: Vec<f64> = all().iter().map(|objective| objective.loss(chosen, rejected).loss).collect();
    let by_hand =
        [0.6349461016, 0.2632824673, 0.6469461016, 0.6199461016, 0.88, 14.44, 20.25, 0.4143700869, 0.1 * 0.2407518113];
    for (loss, wanted) in losses.iter().zip(by_hand) {
        assert!((loss - wanted).abs() < 1e-9, "{losses:?}");
    }
    let kto = Kto { beta: 0.1, desirable_weight: 1.0, undesirable_weight: 1.0, sft_weight: 0.0 };
    let of = |desirable, reply: ReplyLogprob| kto::loss(&kto, desirable, reply.log_ratio(), 0.05).0;
    assert!((of(true, chosen) - 0.4862534651).abs() < 1e-9 && (of(false, rejected) - 0.4837557189).abs() < 1e-9);
    assert_eq!(kto::loss(&kto, true, 0.0, 0.0).0, 0.5);
}

#[test]
fn swapped_replies_turn_the_difference_and_an_equal_reference_gives_the_logarithm_of_two() {
    let [chosen, rejected] = example();
    let sigmoid = dpo(0.1, DpoLoss::Sigmoid);
    let (given, swapped) = (sigmoid.loss(chosen, rejected), sigmoid.loss(rejected, chosen));
    assert!((swapped.loss - given.loss - 0.1 * 1.2).abs() < 1e-12, "-ln σ(-x) = -ln σ(x) + x");
    assert_eq!(swapped.rewards, [given.rewards[1], given.rewards[0]]);
    let equal = |reply: ReplyLogprob| ReplyLogprob { reference: reply.sum, ..reply };
    assert!((sigmoid.loss(equal(chosen), equal(rejected)).loss - 2f64.ln()).abs() < 1e-12);
    for free in &all()[7..] {
        assert_eq!(free.loss(chosen, rejected), free.loss(equal(chosen), equal(rejected)), "it has no reference");
    }
}

proptest! {
    /// The derivatives of every loss are those of finite differences.
    #[test]
    fn slopes_are_derivatives(
        sums in prop::array::uniform2(-60f64..-0.5),
        references in prop::array::uniform2(-60f64..-0.5),
        lengths in prop::array::uniform2(1usize..20),
    ) {
        let reply = |place: usize, shift: f64| ReplyLogprob {
            sum: sums[place] + shift,
            length: lengths[place],
            reference: references[place],
        };
        for objective in all() {
            let slopes = objective.loss(reply(0, 0.0), reply(1, 0.0)).slopes;
            let step = 1e-5;
            for (place, slope) in slopes.into_iter().enumerate() {
                let shifted = |shift: f64| {
                    let shifts = [0, 1].map(|other| if other == place { shift } else { 0.0 });
                    objective.loss(reply(0, shifts[0]), reply(1, shifts[1])).loss
                };
                let found = (shifted(step) - shifted(-step)) / (2.0 * step);
                let is_kink = matches!(objective, PairObjective::Dpo(Dpo { loss: DpoLoss::Hinge, .. }))
                    && (found - slope).abs() < 0.11;
                prop_assert!(is_kink || (found - slope).abs() < 1e-4 * (1.0 + slope.abs()), "{objective:?}: {found} {slope}");
            }
        }
        let settings = Kto { beta: 0.3, desirable_weight: 1.5, undesirable_weight: 0.5, sft_weight: 0.0 };
        for desirable in [true, false] {
            let at = |log_ratio: f64| kto::loss(&settings, desirable, log_ratio, 0.7).0;
            let (here, step) = (sums[0] - references[0], 1e-5);
            let slope = kto::loss(&settings, desirable, here, 0.7).1;
            prop_assert!(((at(here + step) - at(here - step)) / (2.0 * step) - slope).abs() < 1e-6);
        }
    }
}

fn reply(ids: &[u32], prompt: usize) -> Reply {
    Reply::new(TrainingSequence::predicting_from(ids.to_vec(), prompt))
}

/// Pairs of different lengths, with references that are not those of the model.
fn pairs() -> Vec<PreferencePair> {
    let ids = |number: u32, salt: u32, length: u32| -> Vec<u32> {
        (0..length).map(|place| if place < 4 { number } else { (number * 7 + salt * 11 + place * 5) % 61 }).collect()
    };
    let pair = |number: u32| {
        let (mut chosen, rejected) = (reply(&ids(number, 1, 7 + number), 4), reply(&ids(number, 2, 12 - number), 4));
        if number.is_multiple_of(2) {
            chosen.trained = Some(TrainingSequence::predicting_from(chosen.scored.ids().to_vec(), 1));
        }
        PreferencePair { chosen, rejected, references: [-20.0 - f64::from(number), -25.0] }
    };
    (0..6).map(pair).collect()
}

fn labelled() -> Vec<LabelledReply> {
    let pairs = pairs();
    let one = |(number, pair): (usize, &PreferencePair)| LabelledReply {
        reply: pair.chosen.clone(),
        desirable: number % 3 > 0,
        mismatched: pairs[(number + 1) % pairs.len()].rejected.clone(),
        references: [pair.references[0], -60.0],
    };
    pairs.iter().enumerate().map(one).collect()
}

/// Everything that is trained on comparisons, with the mean loss of the examples and the gradient of it.
fn objectives() -> Vec<(PairObjective, f64)> {
    let with = |mut objective: PairObjective, weight: f64| {
        match &mut objective {
            PairObjective::Dpo(dpo) => dpo.sft_weight = weight,
            PairObjective::Simpo(simpo) => simpo.sft_weight = weight,
            PairObjective::Orpo(orpo) => orpo.sft_weight = weight,
        }
        (objective, weight)
    };
    vec![
        with(dpo(0.5, DpoLoss::Sigmoid), 0.0),
        with(dpo(0.5, DpoLoss::IpoMeans), 0.0),
        with(all()[7], 0.2),
        with(all()[8], 1.0),
    ]
}

fn mean_loss<O: Objective<Model = Model>>(objective: &O, model: &Model, examples: &[O::Example]) -> f64 {
    objective.validate(model, examples, 64).unwrap().mean().unwrap()
}

/// The gradient of the mean loss, with at most `max_rows` rows at a time.
fn gradient<O: Objective<Model = Model>>(
    objective: &O,
    model: &Model,
    examples: &[O::Example],
    max_rows: Option<u32>,
) -> Vec<Tensor> {
    shim::clear_gradients(model.weights().tensors()).unwrap();
    let limits = BatchLimits { max_rows, device: Device::Cpu };
    let mut batches = objective.micro_batches(examples, Purpose::Training { step: 0 }, limits).unwrap();
    objective.prepare_batch(model, &mut batches).unwrap();
    let count: usize = batches.iter().map(MicroBatch::count).sum();
    for batch in &batches {
        let _ = objective.backward(model, batch, 1.0 / count as f64).unwrap();
    }
    model.weights().tensors().map(Tensor::grad).collect()
}

/// Along its own direction the loss rises as steeply as the gradient is long, and micro-batches change only rounding.
fn check_gradient<O: Objective<Model = Model>>(what: &str, objective: &O, model: &Model, examples: &[O::Example]) {
    let whole = gradient(objective, model, examples, None);
    let parts = gradient(objective, model, examples, Some(2));
    let norm = whole.iter().map(|one| one.square().sum(tch::Kind::Double).double_value(&[])).sum::<f64>().sqrt();
    let difference = whole.iter().zip(&parts).map(|(one, other)| (one - other).abs().max().double_value(&[]));
    assert!(difference.fold(0.0, f64::max) < 1e-5 * norm, "{what}: micro-batches change the gradient");
    let step = 0.005;
    let at = |distance: f64| {
        let _no_grad = tch::no_grad_guard();
        for (weight, direction) in model.weights().tensors().zip(&whole) {
            let _ = weight.shallow_clone().f_add_(&(direction * (distance / norm))).unwrap();
        }
        let loss = mean_loss(objective, model, examples);
        for (weight, direction) in model.weights().tensors().zip(&whole) {
            let _ = weight.shallow_clone().f_sub_(&(direction * (distance / norm))).unwrap();
        }
        loss
    };
    let slope = (at(step) - at(-step)) / (2.0 * step);
    assert!((slope / norm - 1.0).abs() < 0.01, "{what}: finite difference {slope}, gradient norm {norm}");
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for arch in [Arch::Llama, Arch::Gpt2] {
        let model = Model::random(&small(arch), 11, Device::Cpu).unwrap();
        let text = LanguageModeling::new(model.config(), Precision::F32, 0.0);
        for (objective, _) in objectives() {
            check_gradient(&format!("{arch:?} {objective:?}"), &Preference { text, objective }, &model, &pairs());
        }
        for sft_weight in [0.0, 0.5] {
            // The zero point has no gradient, so the finite difference would see it: with this reference it is 0.
            let mut examples = labelled();
            examples.iter_mut().for_each(|one| one.references[1] = 0.0);
            let settings = Kto { beta: 0.5, desirable_weight: 1.0, undesirable_weight: 2.0, sft_weight };
            check_gradient(
                &format!("{arch:?} kto {sft_weight}"),
                &LabelledReplies { text, settings },
                &model,
                &examples,
            );
        }
    }
}

#[test]
fn numbers_beside_the_loss_are_means_over_examples() {
    let model = Model::random(&small(Arch::Llama), 11, Device::Cpu).unwrap();
    let text = LanguageModeling::new(model.config(), Precision::F32, 0.0);
    let mut pairs = pairs();
    let replies: Vec<Reply> = pairs.iter().flat_map(|pair| [pair.chosen.clone(), pair.rejected.clone()]).collect();
    let logprobs = reply_logprobs(&model, &text, &replies, Some(3)).unwrap();
    for (pair, own) in pairs.iter_mut().zip(logprobs.chunks(2)) {
        pair.references = [own[0], own[1]];
    }
    let objective = Preference { text, objective: dpo(0.1, DpoLoss::Sigmoid) };
    let sums = objective.validate(&model, &pairs, 4).unwrap();
    assert!((sums.mean().unwrap() - 2f64.ln()).abs() < 1e-6, "the reference is the model itself");
    let means = super::super::metric_means(objective.metrics(), &sums.metrics);
    let mean = |place: usize| logprobs.iter().skip(place).step_by(2).sum::<f64>() / 6.0;
    for (name, value, wanted) in [
        ("reward_chosen", means[0], 0.0),
        ("reward_rejected", means[1], 0.0),
        ("reward_margin", means[2], 0.0),
        ("logprob_chosen", means[4], mean(0)),
        ("logprob_rejected", means[5], mean(1)),
    ] {
        assert_eq!(value.0, name);
        assert!((value.1 - wanted).abs() < 1e-5, "{name}: {value:?}, not {wanted}");
    }

    let kto = Kto { beta: 0.1, desirable_weight: 1.0, undesirable_weight: 1.0, sft_weight: 0.0 };
    let objective = LabelledReplies { text, settings: kto };
    let examples = labelled();
    let sums: LossSum = objective.validate(&model, &examples, 2).unwrap();
    let means = super::super::metric_means(objective.metrics(), &sums.metrics);
    let mismatched: Vec<Reply> = examples.iter().map(|one| one.mismatched.clone()).collect();
    let mismatched = reply_logprobs(&model, &text, &mismatched, None).unwrap();
    let zero_point = mismatched.iter().map(|sum| sum + 60.0).sum::<f64>() / 6.0;
    assert!(zero_point > 0.0);
    assert_eq!(means[4].0, "zero_point");
    assert!((means[4].1 - zero_point).abs() < 1e-5, "{means:?}, not {zero_point}");
}

/// A pair that lost a reply to the maximum length counts for nothing.
#[test]
fn incomplete_examples_are_left_out() {
    let model = Model::random(&small(Arch::Llama), 11, Device::Cpu).unwrap();
    let text = LanguageModeling::new(model.config(), Precision::F32, 0.0);
    let objective = Preference { text, objective: dpo(0.1, DpoLoss::Sigmoid) };
    let all = pairs();
    let mut with_cut = all.clone();
    with_cut.push(PreferencePair { rejected: reply(&[1, 2, 3, 4], 4), ..all[0].clone() });
    assert_eq!(with_cut.iter().map(|pair| objective.terms(pair)).sum::<usize>(), all.len());
    assert_eq!(objective.validate(&model, &with_cut, 8).unwrap(), objective.validate(&model, &all, 8).unwrap());
}
