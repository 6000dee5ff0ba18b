//! Training on arithmetic sequences.

use super::*;
use crate::ml::batching::Batch;
use crate::ml::fixtures::small;
use crate::ml::models::Model;
use crate::ml::objectives::{LanguageModeling, TrainingSequence};
use grid::domain::{Arch, Length, Precision, Schedule, Warmup};

/// Arithmetic sequences of mixed lengths, some with a prompt that is not predicted.
struct Arithmetic;

impl Batches<TrainingSequence> for Arithmetic {
    fn batch(&self, step: u64) -> Result<Batch<TrainingSequence>, Error> {
        let row = |index: u64| {
            let (start, by) = (step * 31 + index * 17, 1 + (step + index) % 3);
            let ids = (0..4 + (step * 5 + index * 11) % 28).map(|i| ((start + i * by) % 61) as u32).collect();
            TrainingSequence::predicting_from(ids, (index % 4) as usize)
        };
        Ok(Batch { examples: (0..9).map(row).collect(), words: 7 + step })
    }

    fn places(&self, step: u64) -> String {
        format!("sequences of step {step}")
    }
}

fn training(precision: Precision) -> Training {
    Training {
        schedule: Schedule::Cosine,
        warmup: Warmup::Steps(2),
        min_learning_rate_ratio: 0.1,
        betas: [0.9, 0.95],
        weight_decay: 0.1,
        clip_norm: Some(1.0),
        neftune_alpha: 1.0,
        precision,
        ..Training::plain(Length::Steps(12), 9, 3e-3)
    }
}

fn trainer_of(
    model: Model,
    training: &Training,
    batches: impl Batches<TrainingSequence> + 'static,
    options: Options,
) -> Trainer<LanguageModeling> {
    let objective = LanguageModeling::new(model.config(), training.precision, training.label_smoothing);
    let objective = objective.with_noise(training.neftune_alpha, 3, model.config());
    Trainer::new(model, objective, training, 12, Arc::new(batches), options).unwrap()
}

fn trainer(arch: Arch, training: &Training, micro_batch: Option<u32>) -> Trainer<LanguageModeling> {
    let model = Model::random(&small(arch), 1, Device::Cpu).unwrap();
    trainer_of(model, training, Arithmetic, Options { micro_batch, report_every: 5, ..Options::default() })
}

/// The reports of all steps up to this one, without what is not reproducible.
fn run(trainer: &mut Trainer<LanguageModeling>, steps: u64) -> Vec<StepReport> {
    let mut reports = Vec::new();
    while trainer.progress().step < steps {
        let mut report = trainer.step().unwrap().unwrap();
        report.measured = report.measured.filter(|measured| measured.full);
        if let Some(measured) = &mut report.measured {
            measured.tokens_per_second = 0.0;
        }
        reports.push(report);
    }
    reports
}

fn state(trainer: &Trainer<LanguageModeling>) -> Vec<Vec<f32>> {
    let weights = trainer.model.weights();
    let all = weights.named().unwrap().into_iter().chain(trainer.optimizer.named(weights).unwrap());
    all.map(|(_, tensor)| Vec::try_from(tensor.reshape([-1])).unwrap()).collect()
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one_bit_for_bit() {
    for (arch, precision, micro_batch) in [
        (Arch::Llama, Precision::F32, None),
        (Arch::Llama, Precision::Bf16, Some(4)),
        (Arch::Gpt2, Precision::F32, Some(4)),
        (Arch::Gpt2, Precision::Bf16, None),
    ] {
        let training = training(precision);
        let mut uninterrupted = trainer(arch, &training, micro_batch);
        let wanted = run(&mut uninterrupted, 12);
        assert!(uninterrupted.step().unwrap().is_none());

        let folder = tempfile::tempdir().unwrap();
        let mut first = trainer(arch, &training, micro_batch);
        let mut reports = run(&mut first, 7);
        let saved = first.checkpoint(folder.path(), 7, |progress| progress, &OutputFiles::default()).unwrap();
        assert_eq!(saved.progress.step, 7);
        drop(first);

        let found = checkpoint::latest::<Progress>(&[folder.path().to_owned()]).unwrap().checkpoint.unwrap();
        let other = Model::random(&small(arch), 99, Device::Cpu).unwrap();
        let options = Options { micro_batch, report_every: 5, ..Options::default() };
        let mut second = trainer_of(other, &training, Arithmetic, options);
        second.restore(&found, found.progress).unwrap();
        reports.extend(run(&mut second, 12));
        assert_eq!(reports, wanted, "{arch:?} {precision:?}");
        assert_eq!(state(&second), state(&uninterrupted), "{arch:?} {precision:?}");
    }
}

/// Zeroes the numbers of the biases of keys that do not depend on the position. Adding the same number to all keys does not
/// change the attention, so that their gradients are zero up to rounding, and Adam scales them up to full steps.
fn without_key_biases(name: &str, values: Tensor) -> Tensor {
    let keys = match name {
        name if name.ends_with("self_attn.k_proj.bias") => values.shallow_clone(),
        name if name.ends_with("attn.c_attn.bias") => values.view([3, -1]).select(0, 1),
        name if name.ends_with("attention.query_key_value.bias") => values.view([4, 3, -1]).select(1, 1),
        _ => return values,
    };
    let _ = keys.shallow_clone().zero_();
    values
}

/// The usual epsilon of Adam amplifies differences of small gradients.
#[test]
fn the_size_of_micro_batches_changes_only_rounding() {
    for arch in Arch::TRAINED {
        let training = training(Precision::F32);
        let mut whole = trainer(arch, &training, None);
        run(&mut whole, 10);
        for micro_batch in [1, 3] {
            let mut split = trainer(arch, &training, Some(micro_batch));
            run(&mut split, 10);
            let of = |trainer: &Trainer<LanguageModeling>| trainer.model.weights().named().unwrap();
            for ((name, a), (_, b)) in of(&whole).into_iter().zip(of(&split)) {
                let difference = without_key_biases(&name, (a - b).abs());
                let most = difference.max().double_value(&[]);
                assert!(most < 1e-5, "{arch:?} {name}: {most}");
            }
        }
    }
}

#[test]
fn the_loss_falls_in_both_precisions() {
    for precision in [Precision::F32, Precision::Bf16] {
        let training = Training { learning_rate: 1e-2, ..training(precision) };
        let mut trainer = trainer(Arch::Llama, &training, None);
        let held_out = Arithmetic.batch(1).unwrap().examples;
        let before = trainer.validate(&held_out, 4).unwrap().unwrap().loss;
        run(&mut trainer, 12);
        let after = trainer.validate(&held_out, 4).unwrap().unwrap().loss;
        assert!(after < before - 0.3, "{precision:?}: {before} -> {after}");
        assert_eq!(trainer.validate(&[], 4).unwrap(), None);
    }
}

#[test]
fn a_non_finite_loss_stops_training_and_is_never_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = trainer(Arch::Gpt2, &training(Precision::F32), None);
    run(&mut trainer, 5);
    let save = |trainer: &mut Trainer<LanguageModeling>| {
        trainer.checkpoint(folder.path(), trainer.progress().step, |progress| progress, &OutputFiles::default())
    };
    let saved = save(&mut trainer).unwrap();
    {
        let _no_grad = tch::no_grad_guard();
        let _ = trainer.model.weights().list()[0].tensor.shallow_clone().f_fill_(f64::NAN).unwrap();
    }
    trainer.step().unwrap();
    let refusal = save(&mut trainer).unwrap_err().to_string();
    let wanted = format!(
        "the loss is NaN at step 6, whose batch is sequences of step 5; the last good checkpoint is {}",
        saved.path.display()
    );
    assert!(refusal.starts_with(&wanted), "{refusal}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(matches!(trainer.finish(), Err(Error::NonFinite { .. })));
}

#[test]
fn ids_of_another_tokenizer_are_refused() {
    struct Foreign;
    impl Batches<TrainingSequence> for Foreign {
        fn batch(&self, _: u64) -> Result<Batch<TrainingSequence>, Error> {
            Ok(Batch { examples: vec![TrainingSequence::predicting_from(vec![1, 61], 0)], words: 1 })
        }

        fn places(&self, _: u64) -> String {
            "foreign".to_owned()
        }
    }
    let model = Model::random(&small(Arch::Llama), 1, Device::Cpu).unwrap();
    let mut trainer = trainer_of(model, &training(Precision::F32), Foreign, Options::default());
    let refusal = trainer.step().unwrap_err().to_string();
    assert_eq!(refusal, "id 61 is not in the model's vocabulary of 61: was the text encoded with another tokenizer?");
}

/// As with records whose replies were cut off.
#[test]
fn a_batch_without_a_predicted_token_leaves_the_weights_unchanged() {
    struct Truncated;
    impl Batches<TrainingSequence> for Truncated {
        fn batch(&self, step: u64) -> Result<Batch<TrainingSequence>, Error> {
            let mut batch = Arithmetic.batch(step)?;
            if step % 4 == 1 {
                let cut = |example: &TrainingSequence| {
                    let ids = example.ids().to_vec();
                    TrainingSequence::predicting_from(ids, usize::MAX)
                };
                batch.examples = batch.examples.iter().map(cut).collect();
            }
            Ok(batch)
        }

        fn places(&self, step: u64) -> String {
            Arithmetic.places(step)
        }
    }
    let model = Model::random(&small(Arch::Llama), 1, Device::Cpu).unwrap();
    let options = Options { report_every: 1, ..Options::default() };
    let mut trainer = trainer_of(model, &training(Precision::F32), Truncated, options);
    for step in 0..12 {
        let before = state(&trainer);
        let report = trainer.step().unwrap().unwrap();
        let without_target = step % 4 == 1;
        assert_eq!((report.step, report.measured.is_none()), (step + 1, without_target));
        assert_eq!(state(&trainer) == before, without_target, "step {step}");
    }
    trainer.finish().unwrap();
}
