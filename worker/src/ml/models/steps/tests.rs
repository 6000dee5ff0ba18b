use grid::domain::{Arch, ArchProperties, ModelConfig};

use tch::Device;

use super::*;
use crate::ml::fixtures::{assert_near, every_kind, small};

/// A text whose ids look random.
fn text(seed: u32, length: u32) -> Vec<u32> {
    (0..length).map(|i| (i * i * 7 + i * seed + seed) % 61).collect()
}

/// A model that the fused operations support, with grouped heads where the architecture has them.
fn wide(arch: Arch) -> ModelConfig {
    let ArchProperties { grouped_heads, .. } = arch.properties();
    let kv_heads = if grouped_heads { 2 } else { 4 };
    ModelConfig { hidden: 128, heads: 4, kv_heads, head_dim: 32, intermediate: 96, max_positions: 130, ..small(arch) }
}

/// The logits after the last token, without a cache.
fn last_logits(model: &Model, text: &[u32]) -> Tensor {
    let ids: Vec<i64> = text.iter().map(|&id| id.into()).collect();
    let ids = Tensor::from_slice(&ids).view([1, -1]);
    model.hidden(&ids).unwrap().select(1, -1).matmul(&model.head().tr())
}

/// Texts are added, continued and removed in several orders; the logits are those of the whole text.
#[test]
fn cached_logits_equal_those_of_whole_texts() {
    let _no_grad = tch::no_grad_guard();
    for config in every_kind().into_iter().chain(Arch::TRAINED.map(wide)) {
        let model = Model::random(&config, 3, Device::Cpu).unwrap();
        let mut cache = model.cache(4, 40, Precision::F32).unwrap();
        let mut texts = vec![text(1, 5), text(2, 1), text(3, 17)];
        let check = |texts: &[Vec<u32>], logits: &Tensor, from: usize| {
            for (index, text) in texts.iter().enumerate().skip(from) {
                let got = logits.narrow(0, (index - from) as i64, 1);
                assert_near(&got, &last_logits(&model, text), 2e-5, &format!("{:?} text {text:?}", config.arch));
            }
        };
        let add = |texts: &[Vec<u32>], cache: &mut Cache, from: usize| {
            let new: Vec<&[u32]> = texts[from..].iter().map(Vec::as_slice).collect();
            check(texts, &model.prefill(cache, &new).unwrap(), from);
        };
        let step = |texts: &mut [Vec<u32>], cache: &mut Cache, id: u32| {
            let ids: Vec<u32> = (0..texts.len() as u32).map(|row| (id + row * 5) % 61).collect();
            texts.iter_mut().zip(&ids).for_each(|(text, &id)| text.push(id));
            check(texts, &model.step(cache, &ids).unwrap(), 0);
        };
        add(&texts, &mut cache, 0);
        (0..9).for_each(|id| step(&mut texts, &mut cache, id));
        for removed in [1, 1] {
            texts.swap_remove(removed);
            cache.swap_remove(removed).unwrap();
            step(&mut texts, &mut cache, 40);
        }
        texts.extend([text(4, 20), text(5, 3)]);
        add(&texts, &mut cache, 1);
        (0..16).for_each(|id| step(&mut texts, &mut cache, id * 11));
        assert_eq!(cache.len(), 3);
    }
}

/// Rotary positions are computed for texts of any length.
#[test]
fn a_cache_may_be_longer_than_the_tables_of_angles() {
    let _no_grad = tch::no_grad_guard();
    for config in [small(Arch::Llama), ModelConfig { max_positions: 40, ..wide(Arch::Llama) }] {
        let model = Model::random(&config, 3, Device::Cpu).unwrap();
        let long = Model::random(&ModelConfig { max_positions: 256, ..config }, 3, Device::Cpu).unwrap();
        let mut cache = model.cache(1, 90, Precision::F32).unwrap();
        let mut ids = text(2, 70);
        let mut logits = model.prefill(&mut cache, &[&ids]).unwrap();
        for id in [4, 9] {
            assert_near(&logits, &last_logits(&long, &ids), 2e-5, "a long text");
            ids.push(id);
            logits = model.step(&mut cache, &[id]).unwrap();
        }
    }
}

#[test]
fn bfloat16_is_near_float32() {
    for config in every_kind().into_iter().chain(Arch::TRAINED.map(wide)) {
        let model = Model::random(&config, 3, Device::Cpu).unwrap();
        let run = |precision| {
            let mut cache = model.cache(2, 30, precision).unwrap();
            let first = model.prefill(&mut cache, &[&text(1, 9), &text(2, 4)]).unwrap();
            let second = model.step(&mut cache, &[7, 8]).unwrap();
            Tensor::cat(&[first, second], 0).to_kind(Kind::Float)
        };
        assert_near(&run(Precision::Bf16), &run(Precision::F32), 0.04, "bfloat16");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = Model::random(&small(Arch::Gpt2), 3, Device::Cpu).unwrap();
    let mut cache = model.cache(1, 50, Precision::F32).unwrap();
    let refusal = model.prefill(&mut cache, &[&text(1, 41)]).unwrap_err().to_string();
    assert_eq!(refusal, "a text of 41 tokens does not fit into a cache of 40");
    let refusal = model.prefill(&mut cache, &[&[]]).unwrap_err().to_string();
    assert_eq!(refusal, "a cache takes texts of at least one token, one for each slot");
    assert!(model.prefill(&mut cache, &[&[1], &[2]]).is_err() && cache.is_empty());
    assert_eq!(model.prefill(&mut cache, &[&text(1, 40)]).unwrap().size(), [1, 61]);
    assert_eq!(model.step(&mut cache, &[1, 2]).unwrap_err().to_string(), "2 ids for 1 texts");
    assert!(model.step(&mut cache, &[1]).is_err() && cache.len() == 1);
}

/// With the fused operations, the logits of a text are the same bit for bit, whatever texts are beside it.
#[test]
fn logits_do_not_depend_on_other_texts_or_threads() {
    let threads = tch::get_num_threads();
    for (arch, precision) in
        Arch::TRAINED.into_iter().flat_map(|arch| [Precision::F32, Precision::Bf16].map(|precision| (arch, precision)))
    {
        let model = Model::random(&wide(arch), 3, Device::Cpu).unwrap();
        if !model.steps_are_exact() {
            return; // this processor has no fused operations
        }
        let run = |others: u32, own: usize, threads| {
            tch::set_num_threads(threads);
            let mut texts: Vec<Vec<u32>> = (0..others).map(|i| text(i, 1 + (i * 37) % 70)).collect();
            texts.insert(own, text(99, 33));
            let mut cache = model.cache(texts.len(), 100, precision).unwrap();
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let first = model.prefill(&mut cache, &texts).unwrap();
            let ids: Vec<u32> = (0..texts.len()).map(|i| if i == own { 7 } else { i as u32 % 61 }).collect();
            let mut logits = vec![first];
            logits.extend((0..3).map(|_| model.step(&mut cache, &ids).unwrap()));
            Tensor::cat(&logits.iter().map(|logits| logits.select(0, own as i64)).collect::<Vec<_>>(), 0)
        };
        let alone = run(0, 0, 1);
        for (others, own, threads) in [(1, 0, 1), (1, 1, 2), (15, 3, 2), (16, 16, 1), (40, 39, 2), (70, 66, 2)] {
            let beside = run(others, own, threads);
            assert!(alone.equal(&beside), "{arch:?} {precision:?} beside {others} others, {threads} threads");
        }
    }
    tch::set_num_threads(threads);
}
