use super::*;
use crate::ml::fixtures::{every_kind, masked_kinds, small};
use crate::ml::models::Padding;
use grid::domain::{Arch, ModelConfig, Positions, RopeScaling};
use proptest::prelude::*;
use std::ops::Range;
use tch::Kind;

fn request(ids: &[u32], scored: Range<usize>) -> ScoringRequest {
    ScoringRequest::new(ids.to_vec(), scored)
}

/// The log-probabilities of one request, alone and without padding, with a softmax in f64.
fn logprobs_alone(model: &Model, request: &ScoringRequest) -> Vec<f64> {
    let _no_grad = tch::no_grad_guard();
    let ids: Vec<i64> = request.ids.iter().map(|&id| id.into()).collect();
    let hidden = model.hidden(&Tensor::from_slice(&ids).view([1, -1])).unwrap();
    let logits = hidden.f_linear(model.head(), model.head_bias()).unwrap();
    let all = logits.log_softmax(-1, Kind::Double);
    request.scored.clone().map(|place| all.double_value(&[0, place as i64 - 1, ids[place]])).collect()
}

/// All kinds of models that predict from the left.
fn from_the_left() -> Vec<ModelConfig> {
    let masked = masked_kinds().into_iter().filter(|config| matches!(config.arch, Arch::GptBert(_)));
    every_kind().into_iter().chain(masked).collect()
}

/// The log-probabilities of one request, each token masked in a text of its own, with a softmax in f64.
fn masked_alone(model: &Model, request: &ScoringRequest, Masking { mask, backend }: Masking) -> Vec<f64> {
    let _no_grad = tch::no_grad_guard();
    let of = |place: usize| {
        let mut ids: Vec<i64> = request.ids.iter().map(|&id| id.into()).collect();
        ids[place] = mask.into();
        let padding = Padding { mask: Tensor::zeros([1, 1, 1, ids.len() as i64], (Kind::Float, Device::Cpu)) };
        let hidden = model.hidden_of_whole_texts(&Tensor::from_slice(&ids).view([1, -1]), &padding).unwrap();
        let logits = hidden.f_linear(model.head(), model.head_bias()).unwrap().log_softmax(-1, Kind::Double);
        let read_at = if backend == ScoringBackend::Mntp { place - 1 } else { place };
        logits.double_value(&[0, read_at as i64, request.ids[place].into()])
    };
    request.scored.clone().map(of).collect()
}

#[test]
fn masked_tokens_do_not_depend_on_the_other_requests() {
    for config in masked_kinds() {
        let model = Model::random(&config, 5, Device::Cpu).unwrap();
        for &backend in config.arch.backends().iter().filter(|backend| backend.masks()) {
            let masking = Masking { mask: 4, backend };
            // Pairs that differ in one token, texts of several lengths, and positions at both ends.
            let mut requests = vec![request(&[], 0..0)];
            for length in [3, 9, 20, 40] {
                let ids: Vec<u32> = (0..length).map(|place| (place * place * 3 + 7) % 60).collect();
                let mut other = ids.clone();
                other[length as usize / 2] = 60;
                let scored = backend.first_scored()..ids.len();
                requests.extend([request(&ids, scored.clone()), request(&other, scored), request(&ids, 1..2)]);
            }
            let rows = masked::rows(&requests, masking).len();
            let scored: usize = requests.iter().map(|request| request.scored.len()).sum();
            assert_eq!(rows, scored - 8, "pairs share the text whose differing token is masked");
            for tokens in [1, 100, 10_000] {
                let scorer = Scorer::new(&model).with_masking(Some(masking)).with_tokens(tokens);
                for (request, got) in requests.iter().zip(scorer.tokens_logprobs(&requests).unwrap()) {
                    let wanted = masked_alone(&model, request, masking);
                    assert_eq!(got.len(), wanted.len());
                    let near = got.iter().zip(&wanted).all(|(got, wanted)| (f64::from(*got) - wanted).abs() < 1e-5);
                    assert!(near, "{config:?} {request:?}: {got:?} {wanted:?}");
                }
            }
        }
    }
}

#[test]
fn a_masked_text_is_read_as_a_whole() {
    let config = &masked_kinds()[0];
    let model = Model::random(config, 5, Device::Cpu).unwrap();
    let refusal = |mask: u32, wrong: ScoringRequest| {
        let masking = Masking { mask, backend: ScoringBackend::Mlm };
        Scorer::new(&model).with_masking(Some(masking)).check(&wrong).unwrap_err().to_string()
    };
    assert_eq!(refusal(4, request(&[1; 41], 0..1)), "it has 41 tokens, but the model has a context of 40 positions");
    assert_eq!(refusal(61, request(&[1, 2], 0..1)), "id 61 is not in the model's vocabulary of 61");
    assert_eq!(refusal(4, request(&[1, 61], 0..1)), "id 61 is not in the model's vocabulary of 61");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn scores_do_not_depend_on_the_other_requests(
        kind in 0..from_the_left().len(),
        lengths in prop::collection::vec((2usize..38, 0usize..40, 0usize..40, 0u32..3), 1..20),
        tokens in 1usize..400,
    ) {
        let model = Model::random(&from_the_left()[kind], 5, Device::Cpu).unwrap();
        let requests: Vec<ScoringRequest> = lengths
            .into_iter()
            .map(|(length, a, b, variant)| {
                let ids = (0..length as u32).map(|i| (i * i + variant) % 61).collect();
                let (a, b) = (1 + a % (length - 1), 1 + b % length);
                ScoringRequest::new(ids, a.min(b)..a.max(b))
            })
            .collect();
        let scorer = Scorer::new(&model).with_tokens(tokens);
        let values = scorer.tokens_logprobs(&requests).unwrap();
        for (request, values) in requests.iter().zip(&values) {
            let wanted = logprobs_alone(&model, request);
            prop_assert_eq!(values.len(), wanted.len());
            for (value, wanted) in values.iter().zip(wanted) {
                prop_assert!((f64::from(*value) - wanted).abs() < 1e-5, "{} {}", value, wanted);
            }
        }
        let sums = scorer.logprobs(&requests).unwrap();
        for (sum, values) in sums.iter().zip(values) {
            prop_assert_eq!(*sum, values.into_iter().map(f64::from).sum::<f64>());
        }
    }
}

/// Sums over many scored tokens, in which a difference would be visible.
#[test]
fn the_tokens_of_a_forward_pass_change_sums_by_at_most_1e_5() {
    for config in every_kind() {
        let model = Model::random(&config, 5, Device::Cpu).unwrap();
        let requests: Vec<ScoringRequest> = (0..300u32)
            .map(|i| {
                let ids: Vec<u32> = (0..3 + i % 37).map(|place| (place * (1 + i % 5) + i / 90) % 61).collect();
                let scored = 1..ids.len();
                ScoringRequest::new(ids, scored)
            })
            .collect();
        let sums = |tokens| Scorer::new(&model).with_tokens(tokens).logprobs(&requests).unwrap();
        let wanted = sums(1);
        for tokens in [200, 1_000, 100_000] {
            let worst = sums(tokens).iter().zip(&wanted).map(|(sum, wanted)| (sum - wanted).abs()).fold(0.0, f64::max);
            assert!(worst <= 1e-5, "{config:?} {tokens}: {worst}");
        }
    }
}

/// Rotary positions are computed for texts of any length; the tables of angles end at the model's own length.
#[test]
fn rotary_positions_have_no_limit() {
    for config in every_kind() {
        if config.arch.properties().positions == Positions::Rotary {
            check_long_texts(&config);
        }
    }
}

fn check_long_texts(config: &ModelConfig) {
    let short = Model::random(config, 5, Device::Cpu).unwrap();
    let long = ModelConfig { max_positions: 100, ..config.clone() };
    let long = Model::random(&long, 5, Device::Cpu).unwrap();
    let ids: Vec<u32> = (0..90u32).map(|place| place * 7 % 61).collect();
    let requests = [request(&ids, 1..90), request(&ids[..60], 30..60)];
    let values = Scorer::new(&short).tokens_logprobs(&requests).unwrap();
    for (request, values) in requests.iter().zip(values) {
        let wanted = logprobs_alone(&long, request);
        assert_eq!(values.len(), wanted.len());
        assert!(values.iter().zip(wanted).all(|(value, wanted)| (f64::from(*value) - wanted).abs() < 1e-5));
    }
}

/// Their frequencies beyond the model's length depend on the longest text that `transformers` has seen.
#[test]
fn dynamically_scaled_positions_have_a_limit() {
    let scaling = Some(RopeScaling::Dynamic { factor: 2.0 });
    let model = ModelConfig { rope_scaling: scaling, ..small(Arch::Llama) };
    let model = Model::random(&model, 5, Device::Cpu).unwrap();
    assert!(Scorer::new(&model).check(&request(&[1; 41], 1..41)).is_ok());
    assert!(Scorer::new(&model).check(&request(&[1; 42], 1..42)).is_err());
}

#[test]
fn a_request_that_cannot_be_scored_is_named() {
    let models = [Arch::Llama, Arch::Gpt2].map(|arch| Model::random(&small(arch), 5, Device::Cpu).unwrap());
    let [llama, gpt2] = &models;
    let refusal = |wrong: ScoringRequest| {
        let requests = [request(&[1, 2], 1..2), wrong];
        Scorer::new(gpt2).logprobs(&requests).unwrap_err().to_string()
    };
    assert_eq!(
        refusal(request(&[1, 2], 0..1)),
        "sequence 1: its first token cannot be scored, because nothing precedes it"
    );
    assert_eq!(refusal(request(&[1, 2], 1..3)), "sequence 1: positions 1..3 of 2 tokens cannot be scored");
    assert_eq!(refusal(request(&[1, 61], 1..2)), "sequence 1: id 61 is not in the model's vocabulary of 61");
    assert_eq!(
        refusal(request(&[1; 50], 1..50)),
        "sequence 1: it has 50 tokens, but the model has a context of 40 positions"
    );
    assert_eq!(Scorer::new(llama).logprobs(&[request(&[], 0..0)]).unwrap(), [0.0]);
    for model in &models {
        assert_eq!(Scorer::new(model).tokens_logprobs(&[request(&[1; 41], 1..41)]).unwrap()[0].len(), 40);
    }
}
