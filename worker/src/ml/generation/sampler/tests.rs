use grid::domain::{Arch, ArchProperties, ModelConfig};

use super::*;
use crate::ml::fixtures::small;

/// Models of all architectures, with and without support by the fused operations.
fn models() -> Vec<Model> {
    let configs = Arch::TRAINED.into_iter().flat_map(|arch| {
        let ArchProperties { grouped_heads, .. } = arch.properties();
        let kv_heads = if grouped_heads { 2 } else { 4 };
        let small = ModelConfig { max_positions: 128, init_std: 0.3, ..small(arch) };
        let wide = ModelConfig { hidden: 128, kv_heads, head_dim: 32, intermediate: 96, ..small.clone() };
        [small, wide]
    });
    configs.map(|config| Model::random(&config, 5, Device::Cpu).unwrap()).collect()
}

/// Prompts of 1 to 90 tokens.
fn prompts(count: usize) -> Vec<Prompt> {
    let ids = |i: usize| (0..1 + i * 53 % 90).map(|place| ((place * place + i * 7 + place * i) % 61) as u32).collect();
    (0..count).map(|i| Prompt { ids: ids(i), seed: 1_000 + i as u64 }).collect()
}

fn sampled(new: u32) -> SamplingOptions {
    SamplingOptions { temperature: 0.9, top_p: 0.95, ..SamplingOptions::greedy(new, vec![3, 17, 40]) }
}

/// Compares each token of a reply with the choice after a forward pass over the whole text.
fn check_by_whole_passes(model: &Model, options: &SamplingOptions, prompt: &Prompt, reply: &SampledReply) {
    let _no_grad = tch::no_grad_guard();
    let mut ids: Vec<i64> = prompt.ids.iter().map(|&id| id.into()).collect();
    for (number, &id) in reply.ids.iter().chain(&reply.stop).enumerate() {
        let hidden = model.hidden(&Tensor::from_slice(&ids).view([1, -1])).unwrap();
        let logits = hidden.select(1, -1).matmul(&model.head().tr()).flatten(0, 1);
        let logits = Vec::<f32>::try_from(logits).unwrap();
        let wanted = choose(&logits, options, prompt.seed, number as u32).unwrap();
        let config = model.config();
        assert_eq!(
            id, wanted,
            "{:?} {} token {number} after {:?}: logits {} and {}",
            config.arch, config.hidden, prompt.ids, logits[id as usize], logits[wanted as usize]
        );
        ids.push(id.into());
    }
    assert!(reply.stop.is_some() || reply.ids.len() == options.max_new_tokens as usize);
    assert!(!reply.ids.iter().any(|id| options.stop.contains(id)));
}

#[test]
fn replies_equal_those_of_whole_forward_passes() {
    for model in models() {
        for options in [SamplingOptions::greedy(12, vec![]), sampled(20)] {
            let prompts = prompts(9);
            let sampler = Sampler::new(&model, options.clone(), Precision::F32).unwrap().with_rows(4);
            for (prompt, reply) in prompts.iter().zip(sampler.replies(&prompts).unwrap()) {
                check_by_whole_passes(&model, &options, prompt, &reply);
            }
        }
    }
}

/// Also with other sizes of batches, with memory for few prompts, and with another number of threads.
#[test]
fn replies_do_not_depend_on_the_arrangement_of_prompts() {
    let threads = tch::get_num_threads();
    for model in models() {
        for precision in [Precision::F32, Precision::Bf16] {
            let sampler = Sampler::new(&model, sampled(25), precision).unwrap();
            if precision == Precision::Bf16 && !sampler.is_exact() {
                continue; // the differences of rounding are large
            }
            let mut prompts = prompts(40);
            let wanted = sampler.replies(&prompts).unwrap();
            let stopped = wanted.iter().filter(|reply| reply.stop.is_some()).count();
            assert!((5..=35).contains(&stopped), "{stopped} of 40 replies have a stop token");
            let order: Vec<usize> = (0..40).map(|i| i * 29 % 40).collect();
            prompts = order.iter().map(|&index| prompts[index].clone()).collect();
            for (rows, bytes, threads) in [(64, 1 << 30, 2), (7, 1 << 30, 1), (64, 1 << 18, 1), (1, 1 << 30, 2)] {
                tch::set_num_threads(threads);
                let sampler = sampler.clone().with_rows(rows).with_cache_bytes(bytes);
                let replies = sampler.replies(&prompts).unwrap();
                for (&index, reply) in order.iter().zip(&replies) {
                    assert_eq!(*reply, wanted[index], "{:?} {precision:?} {rows} rows", model.config().arch);
                }
            }
        }
    }
    tch::set_num_threads(threads);
}

#[test]
fn stop_tokens_end_replies_that_are_long_enough() {
    let model = &models()[1];
    let prompt = &prompts(3)[2..];
    let run = |options| Sampler::new(model, options, Precision::F32).unwrap().replies(prompt).unwrap().remove(0);
    let free = run(SamplingOptions::greedy(10, vec![]));
    assert_eq!((free.ids.len(), free.stop), (10, None));
    let stop = free.ids[4];
    let first = free.ids.iter().position(|&id| id == stop).unwrap();
    let stopped = run(SamplingOptions::greedy(10, vec![60, stop]));
    assert_eq!(stopped, SampledReply { ids: free.ids[..first].to_vec(), stop: Some(stop) });
    // The stop token may be the last of the allowed tokens.
    let last = run(SamplingOptions::greedy(first as u32 + 1, vec![stop]));
    assert_eq!(last, stopped);
    let longer = run(SamplingOptions { min_new_tokens: 8, ..SamplingOptions::greedy(10, vec![stop]) });
    assert!(longer.ids.len() >= 8 && !longer.ids.contains(&stop), "{longer:?}");
    assert_eq!(longer.ids[..first], free.ids[..first]);
}

#[test]
fn progress_is_counted() {
    let model = &models()[0];
    let prompts = prompts(11);
    let sampler = Sampler::new(model, SamplingOptions::greedy(6, vec![]), Precision::F32).unwrap().with_rows(4);
    let mut sampling = sampler.begin(&prompts).unwrap();
    assert_eq!(sampling.progress(), (0, 11, 0));
    let mut previous = (0, 0);
    while sampling.advance().unwrap() {
        let (ended, all, tokens) = sampling.progress();
        assert!(all == 11 && ended >= previous.0 && tokens > previous.1);
        previous = (ended, tokens);
    }
    assert_eq!(sampling.progress(), (11, 11, 66));
    assert!(sampling.finish().iter().all(|reply| reply.ids.len() == 6));
    assert_eq!(sampler.replies(&[]).unwrap(), []);
}

#[test]
fn what_cannot_be_sampled_is_named() {
    let model = Model::random(&small(Arch::Gpt2), 5, Device::Cpu).unwrap();
    let sampler = Sampler::new(&model, SamplingOptions::greedy(10, vec![2]), Precision::F32).unwrap();
    let refusal = |ids: Vec<u32>| {
        let prompts = [Prompt { ids: vec![1], seed: 1 }, Prompt { ids, seed: 2 }];
        sampler.replies(&prompts).unwrap_err().to_string()
    };
    assert_eq!(refusal(vec![]), "prompt 1: it has no tokens");
    assert_eq!(refusal(vec![5, 61]), "prompt 1: id 61 is not in the model's vocabulary of 61");
    assert_eq!(
        refusal(vec![1; 32]),
        "prompt 1: its 32 tokens and 10 new ones do not fit into the model's context of 40 positions"
    );
    assert_eq!(sampler.replies(&[Prompt { ids: vec![1; 31], seed: 1 }]).unwrap().len(), 1);
    let refusal = |options| Sampler::new(&model, options, Precision::F32).unwrap_err().to_string();
    let wrong = SamplingOptions::greedy(10, vec![61]);
    assert_eq!(refusal(wrong), "stop token 61 is not in the model's vocabulary of 61");
    let wrong = SamplingOptions { min_new_tokens: 1, ..SamplingOptions::greedy(10, (0..61).collect()) };
    assert_eq!(refusal(wrong), "every token is a stop token, so no reply can have min_new_tokens");
    assert_eq!(refusal(SamplingOptions::greedy(0, vec![])), "max_new_tokens must be at least 1");
    // Rotary positions have no limit.
    let model = Model::random(&small(Arch::Llama), 5, Device::Cpu).unwrap();
    let sampler = Sampler::new(&model, SamplingOptions::greedy(10, vec![]), Precision::F32).unwrap();
    assert_eq!(sampler.replies(&[Prompt { ids: vec![1; 60], seed: 1 }]).unwrap()[0].ids.len(), 10);
}

#[test]
fn chunks_have_a_fixed_size() {
    let ranges = |prompts| chunks(prompts).map(|range| (range.start, range.end)).collect::<Vec<_>>();
    assert!(ranges(0).is_empty());
    assert_eq!(ranges(1), [(0, 1)]);
    assert_eq!(ranges(256), [(0, 256)]);
    assert_eq!(ranges(600), [(0, 256), (256, 512), (512, 600)]);
}
