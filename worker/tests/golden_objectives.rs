//! Compares losses and gradients of objectives with recordings of PyTorch in float64.
//!
//! The tests need the environment variable `GRID_SHARED`, the folder of the recordings.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::recordings::recording;
use grid::domain::objective::{Dpo, DpoLoss, Kto, Orpo, Simpo};
use grid::domain::{Length, Precision, Training};
use grid_worker::ml::{
    Batch, BatchLimits, Batches, Error, LabelledReplies, LabelledReply, LanguageModeling, Model, Objective, Options,
    PairObjective, Preference, PreferencePair, Purpose, Reply, Trainer, TrainingSequence, model_folder, reply_logprobs,
    runtime,
};
use serde_json::Value;
use tch::{Device, Kind};

/// One batch for every step.
struct OneBatch(Vec<TrainingSequence>);

impl Batches<TrainingSequence> for OneBatch {
    fn batch(&self, _: u64) -> Result<Batch<TrainingSequence>, Error> {
        Ok(Batch { examples: self.0.clone(), words: 0 })
    }

    fn places(&self, _: u64) -> String {
        "the recording".to_owned()
    }
}

/// The loss and the gradient norm of a batch.
fn loss_and_norm(model: &Path, batch: Vec<TrainingSequence>) -> [f64; 2] {
    let model = model_folder::read(model, Device::Cpu).unwrap();
    let objective = LanguageModeling::new(model.config(), Precision::F32, 0.0);
    let training = Training::plain(Length::Steps(1), batch.len() as u32, 1e-9);
    let options = Options { report_every: 1, ..Options::default() };
    let mut trainer = Trainer::new(model, objective, &training, 1, Arc::new(OneBatch(batch)), options).unwrap();
    let measured = trainer.step().unwrap().unwrap().measured.unwrap();
    [measured.loss, measured.gradient_norm]
}

/// A golden model, and its folder of recordings.
fn recorded_objectives(file: &str) -> Option<(Model, Value)> {
    let folder = recording("golden/objectives")?;
    runtime::prepare_process();
    runtime::configure(2).unwrap();
    let model = model_folder::read(&folder.join("../llama-a/model"), Device::Cpu).unwrap();
    Some((model, serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()))
}

/// The replies of the recorded records, `chosen` or `rejected`, with their log-probabilities under the reference.
fn replies(recorded: &Value, which: &str) -> Vec<(Reply, f64)> {
    let reply = |record: &Value| {
        let numbers = |name: &str| -> Vec<u32> { serde_json::from_value(record[name].clone()).unwrap() };
        let (prompt, reply) = (numbers("prompt"), numbers(which));
        let start = prompt.len();
        let sequence = TrainingSequence::predicting_from([prompt, reply].concat(), start);
        (Reply::new(sequence), record[format!("reference_sum_{which}")].as_f64().unwrap_or(0.0))
    };
    recorded["records"].as_array().unwrap().iter().map(reply).collect()
}

fn pairs(recorded: &Value) -> Vec<PreferencePair> {
    let both = replies(recorded, "chosen").into_iter().zip(replies(recorded, "rejected"));
    let pair = |(chosen, rejected): ((Reply, f64), (Reply, f64))| PreferencePair {
        chosen: chosen.0,
        rejected: rejected.0,
        references: [chosen.1, rejected.1],
    };
    both.map(pair).collect()
}

/// Compares loss and gradient norm with a recording. The loss is the mean over groups of examples, each of which is
/// treated as a batch of its own.
fn compare<O: Objective<Model = Model>>(
    what: &str,
    objective: &O,
    model: &Model,
    groups: &[&[O::Example]],
    wanted: &Value,
) {
    for tensor in model.weights().tensors() {
        tensor.shallow_clone().zero_grad();
    }
    let mut loss = 0.0;
    for group in groups {
        let limits = BatchLimits { max_rows: None, device: Device::Cpu };
        let mut batches = objective.micro_batches(group, Purpose::Training { step: 0 }, limits).unwrap();
        objective.prepare_batch(model, &mut batches).unwrap();
        let terms: usize = group.iter().map(|example| objective.terms(example)).sum();
        let scale = 1.0 / (terms * groups.len()) as f64;
        for batch in &batches {
            loss += scale * objective.backward(model, batch, scale).unwrap().view([-1]).double_value(&[0]);
        }
    }
    let squares = model.weights().tensors().map(|tensor| tensor.grad().square().sum(Kind::Double).double_value(&[]));
    let norm = squares.sum::<f64>().sqrt();
    // Gradients are rounded more often than losses.
    for (name, got, tolerance) in [("loss", loss, 1e-5), ("gradient_norm", norm, 5e-5)] {
        let wanted = wanted[name].as_f64().unwrap();
        assert!((got / wanted - 1.0).abs() < tolerance, "{what}: {name} {got}, recorded {wanted}");
    }
}

/// Objectives of pairs: DPO, both forms of IPO, SimPO, and ORPO with three forms of the cross entropy.
#[test]
fn golden_preference_losses() {
    let Some((model, recorded)) = recorded_objectives("dpo.json") else { return };
    let text = LanguageModeling::new(model.config(), Precision::F32, 0.0);
    let check = |what: &str, objective: PairObjective, groups: &[&[PreferencePair]], wanted: &Value| {
        compare(what, &Preference { text, objective }, &model, groups, wanted);
    };
    let all = pairs(&recorded);
    let dpo = |loss| PairObjective::Dpo(Dpo { beta: 0.1, loss, sft_weight: 0.0 });
    check("dpo", dpo(DpoLoss::Sigmoid), &[&all], &recorded);
    let (_, recorded) = recorded_objectives("ipo.json").unwrap();
    check("ipo, sums", dpo(DpoLoss::Ipo), &[&all], &recorded["sums"]);
    check("ipo, means", dpo(DpoLoss::IpoMeans), &[&all], &recorded["means"]);
    let (_, recorded) = recorded_objectives("simpo.json").unwrap();
    check("simpo", PairObjective::Simpo(Simpo { beta: 2.0, gamma: 1.0, sft_weight: 0.0 }), &[&all], &recorded);

    let (_, recorded) = recorded_objectives("orpo.json").unwrap();
    let orpo = PairObjective::Orpo(Orpo { beta: 0.1, sft_weight: 1.0 });
    let each = |pairs: &[PreferencePair], wanted: &Value, what: &str| {
        check(what, orpo, &pairs.chunks(1).collect::<Vec<_>>(), wanted);
    };
    check("orpo, by batch", orpo, &[&all], &recorded["nll_of_the_reply_mean_over_all_reply_tokens_of_the_batch"]);
    each(&all, &recorded["nll_of_the_reply_mean_per_record"], "orpo, by record");
    let mut whole = all;
    for pair in &mut whole {
        pair.chosen.trained = Some(TrainingSequence::predicting_from(pair.chosen.scored.ids().to_vec(), 1));
    }
    each(&whole, &recorded["nll_of_prompt_and_reply_mean_per_record"], "orpo, with the prompt");
}

/// KTO with positive and negative mean of the mismatched replies.
#[test]
fn golden_kto_losses() {
    let Some((model, recorded)) = recorded_objectives("kto.json") else { return };
    let text = LanguageModeling::new(model.config(), Precision::F32, 0.0);
    let settings = Kto { beta: 0.1, desirable_weight: 1.0, undesirable_weight: 1.0, sft_weight: 0.0 };
    let both = ["chosen", "rejected"].map(|which| replies(&recorded, which));
    for name in ["batch_a", "batch_b", "batch_c", "batch_d"] {
        let batch = &recorded[name];
        let number = |list: &str, place: usize| batch[list][place].as_f64().unwrap();
        let used: Vec<Reply> = (0..4)
            .map(|place| {
                let which = usize::from(batch["completion_of_each_record"][place] == "rejected");
                both[which][place].0.clone()
            })
            .collect();
        let mismatched: Vec<Reply> = (0..4)
            .map(|place| {
                let (own, other) = (&used[place].scored, &used[(place + 3) % 4].scored);
                let start = |sequence: &TrainingSequence| sequence.targets().next().unwrap();
                let ids = [&own.ids()[..start(own)], &other.ids()[start(other)..]].concat();
                Reply::new(TrainingSequence::predicting_from(ids, start(own)))
            })
            .collect();
        // The recording has the log ratios; the reference follows from them and the model.
        let sums = [&used, &mismatched].map(|replies| reply_logprobs(&model, &text, replies, None).unwrap());
        let examples: Vec<LabelledReply> = (0..4)
            .map(|place| LabelledReply {
                reply: used[place].clone(),
                desirable: batch["desirable"][place].as_bool().unwrap(),
                mismatched: mismatched[place].clone(),
                references: [
                    sums[0][place] - number("log_ratios", place),
                    sums[1][place] - number("log_ratios_of_mismatched_pairs", place),
                ],
            })
            .collect();
        compare(name, &LabelledReplies { text, settings }, &model, &[&examples], batch);
    }
}

/// Label smoothing of each record by its uncertainty.
#[test]
fn golden_smoothing_by_uncertainty() {
    let Some((model, recorded)) = recorded_objectives("ual.json") else { return };
    let text = LanguageModeling::new(model.config(), Precision::F32, 0.0);
    let shares: Vec<f32> = serde_json::from_value(recorded["label_smoothing_per_record"].clone()).unwrap();
    let replies = replies(&recorded, "chosen").into_iter().zip(shares);
    let all: Vec<TrainingSequence> =
        replies.map(|((reply, _), share)| reply.scored.with_smoothing(Some(share))).collect();
    let mean = &recorded["mean_over_all_trained_tokens"];
    compare("over tokens", &text, &model, &[&all], mean);
    // A batch of one record is a mean over its tokens.
    let each: Vec<&[TrainingSequence]> = all.chunks(1).collect();
    compare("over records", &text, &model, &each, &recorded["mean_of_record_means"]);
}

/// Instruction Modelling: the loss of all tokens but those of the template.
#[test]
fn golden_loss_masks() {
    let Some(folder) = recording("golden/objectives") else { return };
    runtime::prepare_process();
    runtime::configure(2).unwrap();
    let recorded: Value = serde_json::from_slice(&fs::read(folder.join("instruction.json")).unwrap()).unwrap();
    let numbers = |value: &Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
    let template: Vec<Vec<u32>> = serde_json::from_value(recorded["template_token_positions"].clone()).unwrap();
    let sequences = |is_trained: &dyn Fn(usize, usize, usize) -> bool| -> Vec<TrainingSequence> {
        let records = recorded["records"].as_array().unwrap().iter().enumerate();
        let sequence = |(number, record): (usize, &Value)| {
            let (prompt, reply) = (numbers(&record["prompt"]), numbers(&record["chosen"]));
            let trained: Vec<bool> =
                (0..prompt.len() + reply.len()).map(|place| is_trained(number, place, prompt.len())).collect();
            TrainingSequence::predicting_where([prompt, reply].concat(), &trained)
        };
        records.map(sequence).collect()
    };
    let masks: [(&str, Vec<TrainingSequence>); 3] = [
        ("all_tokens", sequences(&|_, _, _| true)),
        ("reply_only", sequences(&|_, place, prompt| place >= prompt)),
        (
            "instruction_without_template_tokens",
            sequences(&|number, place, _| !template[number].contains(&(place as u32))),
        ),
    ];
    for (name, batch) in masks {
        let got = loss_and_norm(&folder.join("../llama-a/model"), batch);
        // Gradients are rounded more often than losses.
        for ((what, tolerance), got) in [("loss", 1e-5), ("gradient_norm", 5e-5)].into_iter().zip(got) {
            let wanted = recorded[name][what].as_f64().unwrap();
            assert!((got / wanted - 1.0).abs() < tolerance, "{name}: {what} {got}, recorded {wanted}");
        }
    }
}
