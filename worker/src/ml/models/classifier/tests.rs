use grid::domain::{Arch, ModelConfig};

use super::*;
use crate::ml::fixtures::{masked_kinds, small};

fn classifier(config: &ModelConfig, pooling: Pooling) -> Classifier {
    let model = Model::random(config, 3, Device::Cpu).unwrap();
    Classifier::new(model, 3, pooling, 5).unwrap()
}

/// The logits of one input, alone and without padding.
fn logits_alone(classifier: &Classifier, ids: &[u32]) -> Tensor {
    let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let padding = Padding { mask: Tensor::zeros([1, 1, 1, ids.len() as i64], (Kind::Float, Device::Cpu)) };
    let ids = Tensor::from_slice(&wide).view([1, -1]);
    let inputs = BodyInputs { ids: &ids, padding: &padding, first_positions: None, dropout: None };
    let hidden = classifier.model.body(inputs, Precision::F32).unwrap();
    let position = match classifier.pooling {
        Pooling::First => 0,
        Pooling::Last | Pooling::LastLeft => wide.len() as i64 - 1,
    };
    classifier.head(&hidden.select(1, position), None).unwrap()
}

#[test]
fn a_head_is_uniform_within_its_bound_and_a_function_of_the_seed() {
    let head = |seed| {
        let model = Model::random(&small(Arch::Llama), 3, Device::Cpu).unwrap();
        let classifier = Classifier::new(model, 2, Pooling::Last, seed).unwrap();
        let named = classifier.weights().named().unwrap();
        assert!(named.iter().all(|(name, _)| name != "lm_head.weight"), "an unused weight must not decay");
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"model.norm.weight") && names.ends_with(&["classifier.nonlinearity.5.bias"]));
        let weight = named.into_iter().find(|(name, _)| name == "classifier.nonlinearity.1.weight").unwrap().1;
        Vec::<f32>::try_from(weight.reshape([-1])).unwrap()
    };
    let values = head(1);
    let bound = 1.0 / 32f32.sqrt();
    assert!(values.iter().all(|value| value.abs() <= bound));
    let variance = values.iter().map(|value| f64::from(value * value)).sum::<f64>() / values.len() as f64;
    assert!((variance / (f64::from(bound).powi(2) / 3.0) - 1.0).abs() < 0.1, "{variance}");
    assert_eq!(values, head(1));
    assert_ne!(values, head(2));
}

/// With `Pooling::First`, the classifier of a causal model reads the first token alone.
#[test]
fn logits_do_not_depend_on_the_other_inputs() {
    // Mixed lengths, some inputs equal.
    let inputs: Vec<Vec<u32>> =
        (0..20u32).map(|i| (0..1 + (i * 7) % 29).map(|j| ((i % 15) * 13 + j * 5) % 61).collect()).collect();
    let slices: Vec<&[u32]> = inputs.iter().map(Vec::as_slice).collect();
    for config in Arch::TRAINED.map(small).into_iter().chain(masked_kinds()) {
        for pooling in [Pooling::First, Pooling::Last] {
            let classifier = classifier(&config, pooling);
            let got = classifier.logits(&slices, Precision::F32).unwrap();
            let _no_grad = tch::no_grad_guard();
            for (ids, got) in inputs.iter().zip(&got) {
                let difference = (logits_alone(&classifier, ids).view([-1]) - Tensor::from_slice(got)).abs().max();
                assert!(difference.double_value(&[]) < 1e-5, "{config:?} {pooling:?}");
            }
        }
    }
}

/// Weights without a gradient would decay.
#[test]
fn every_weight_of_a_classifier_decides_its_logits() {
    for config in
        masked_kinds().into_iter().flat_map(|config| [true, false].map(|tied| ModelConfig { tied, ..config.clone() }))
    {
        let classifier = classifier(&config, Pooling::First);
        let group =
            &InputGroup::split(&classifier.reading().inputs(&[&[3, 9, 2, 7]]), true, 61, |_| vec![1]).unwrap()[0];
        let pooled = classifier.pooled(&group.padded(Pooling::First).unwrap(), None, Precision::F32).unwrap();
        classifier.head(&pooled, None).unwrap().get(0).get(0).backward();
        for weight in classifier.weights().list() {
            assert!(weight.tensor.grad().defined(), "{config:?}: {:?}", weight.parts);
        }
    }
}

#[test]
fn unusable_rows_are_refused() {
    let classifier = classifier(&small(Arch::Llama), Pooling::Last);
    let refusal = |ids: &[u32]| classifier.logits(&[&[1, 2], ids], Precision::F32).unwrap_err().to_string();
    assert_eq!(refusal(&[]), "row 1 of the batch has no token");
    assert_eq!(
        refusal(&[61]),
        "row 1 of the batch has id 61, which is not in the model's vocabulary of 61: was the text encoded with another \
         tokenizer?"
    );
}
