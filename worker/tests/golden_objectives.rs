//! Compares losses and gradients of objectives with recordings of PyTorch in float64.
//!
//! The tests need the environment variable `GRID_SHARED`, the folder of the recordings.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::recordings::recording;
use grid::domain::{Length, Precision, Training};
use grid_worker::ml::{
    Batch, Batches, Error, LanguageModeling, Options, Trainer, TrainingSequence, model_folder, runtime,
};
use serde_json::Value;
use tch::Device;

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
