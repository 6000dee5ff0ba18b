use grid::domain::Arch;

use super::super::model::tests::small;
use super::super::shim;
use super::*;

fn classifier(arch: Arch, pooling: Pooling) -> Classifier {
    let model = Model::random(&small(arch), 3, Device::Cpu).unwrap();
    Classifier::new(model, 3, pooling, 5).unwrap()
}

/// Inputs of mixed lengths, some of them equal.
fn inputs() -> Vec<Vec<u32>> {
    (0..20u32).map(|i| (0..1 + (i * 7) % 29).map(|j| ((i % 15) * 13 + j * 5) % 61).collect()).collect()
}

fn slices(inputs: &[Vec<u32>]) -> Vec<&[u32]> {
    inputs.iter().map(Vec::as_slice).collect()
}

/// The scores of one input, alone and whole.
fn plainly(classifier: &Classifier, ids: &[u32], keep: Option<&Tensor>) -> Tensor {
    let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let hidden = classifier.model.hidden(&Tensor::from_slice(&wide).view([1, -1])).unwrap();
    let position = match classifier.pooling {
        Pooling::First => 0,
        Pooling::Last => ids.len() as i64 - 1,
    };
    classifier.head(&hidden.select(1, position), keep).unwrap()
}

#[test]
fn a_head_is_even_within_its_bound_and_a_function_of_the_seed() {
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

#[test]
fn scores_do_not_depend_on_company_and_the_first_token_is_enough_for_the_first_position() {
    for arch in [Arch::Llama, Arch::Gpt2] {
        for pooling in [Pooling::First, Pooling::Last] {
            let classifier = classifier(arch, pooling);
            let inputs = inputs();
            let got = classifier.logits(&slices(&inputs), Precision::F32).unwrap();
            let _no_grad = tch::no_grad_guard();
            for (ids, got) in inputs.iter().zip(&got) {
                let difference = (plainly(&classifier, ids, None).view([-1]) - Tensor::from_slice(got)).abs().max();
                assert!(difference.double_value(&[]) < 1e-5, "{arch:?} {pooling:?}");
            }
        }
    }
}

/// Pieces by length, equal inputs once: loss and every gradient are those of one row after the other.
#[test]
fn pieces_have_the_gradients_of_the_padded_batch() {
    let inputs = inputs();
    let labels: Vec<u32> = (0..20).map(|i| i % 3).collect();
    for (arch, pooling) in [(Arch::Llama, Pooling::Last), (Arch::Gpt2, Pooling::Last), (Arch::Llama, Pooling::First)] {
        let classifier = classifier(arch, pooling);
        let keep = dropout(0.25, 1, 2, (20, 32)).unwrap();
        for most in [None, Some(3)] {
            let how = (Precision::F32, 0.5, most);
            let loss = classifier.backward(&slices(&inputs), &labels, Some(&keep), how).unwrap().double_value(&[]);
            let gradients: Vec<Tensor> = classifier.weights().tensors().map(|x| x.grad().copy()).collect();
            shim::clear_gradients(classifier.weights().tensors()).unwrap();
            let mut plain = 0.0;
            for (row, (ids, label)) in inputs.iter().zip(&labels).enumerate() {
                let logits = plainly(&classifier, ids, Some(&keep.narrow(0, row as i64, 1)));
                let one = logits.cross_entropy_for_logits(&Tensor::from_slice(&[i64::from(*label)]));
                (&one * 0.5).backward();
                plain += one.double_value(&[]);
            }
            assert!((loss - plain).abs() < 1e-4, "{loss} {plain}");
            for (weight, gradient) in classifier.weights().list().iter().zip(gradients) {
                let wanted = weight.tensor.grad();
                let error = (&gradient - &wanted).norm().double_value(&[]);
                let size = wanted.norm().double_value(&[]).max(1e-3);
                assert!(error < 1e-4 * size, "{arch:?} {pooling:?} {:?}: {error} of {size}", weight.parts);
            }
            shim::clear_gradients(classifier.weights().tensors()).unwrap();
        }
    }
}

#[test]
fn wrong_rows_are_refused() {
    let classifier = classifier(Arch::Llama, Pooling::Last);
    let refusal = |ids: &[u32]| classifier.logits(&[&[1, 2], ids], Precision::F32).unwrap_err().to_string();
    assert_eq!(refusal(&[]), "row 1 of the batch has no token");
    assert_eq!(refusal(&[61]), "row 1 of the batch has id 61, but the vocabulary 61: another tokenizer's?");
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let factors = dropout(0.1, 1, 7, (400, 500)).unwrap();
    let dropped = factors.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
    assert!((dropped - 0.1).abs() < 0.003, "{dropped}");
    assert!((factors.mean(Kind::Double).double_value(&[]) - 1.0).abs() < 0.003);
    assert!(factors.equal(&dropout(0.1, 1, 7, (400, 500)).unwrap()));
    assert!(!factors.equal(&dropout(0.1, 1, 8, (400, 500)).unwrap()));
}
