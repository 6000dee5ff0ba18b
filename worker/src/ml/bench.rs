//! Training speed on synthetic sequences.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use grid::domain::objective::{Dpo, DpoLoss};
use grid::domain::{BenchObjective, BenchRound, Length, Precision, SpecialTokens, Training, WorkerReady, Workload};
use tch::{Device, Kind, Tensor};

use super::batching::{Batch, Batches};
use super::error::Error;
use super::files::model_folder;
use super::models::Model;
use super::objectives::{LanguageModeling, PairObjective, Preference, PreferencePair, Reply, TrainingSequence};
use super::optimizers::Decay;
use super::phases;
use super::runtime;
use super::training::{Options, StepReport, Trainer};

/// A training that is measured.
pub struct Bench {
    trainer: BenchTrainer,
    workload: Workload,
    device: Device,
}

enum BenchTrainer {
    Text(Trainer<LanguageModeling>),
    Pairs(Trainer<Preference>),
}

impl BenchTrainer {
    fn step(&mut self) -> Result<Option<StepReport>, Error> {
        match self {
            BenchTrainer::Text(trainer) => trainer.step(),
            BenchTrainer::Pairs(trainer) => trainer.step(),
        }
    }
}

/// The same sequences at every step, which any program can generate.
struct SyntheticBatches {
    sequences: Vec<TrainingSequence>,
}

impl SyntheticBatches {
    /// Id number `i`, counted over the whole batch, is `7919 i mod (vocab - 3)`.
    fn new(workload: &Workload) -> Self {
        let (width, vocab) = (u64::from(workload.sequence_length) + 1, u64::from(workload.model.vocab_size) - 3);
        let id = |row: u64, i: u64| ((row * width + i) * 7919 % vocab) as u32;
        let sequence = |row: u64| TrainingSequence::predicting_from((0..width).map(|i| id(row, i)).collect(), 1);
        Self { sequences: (0..u64::from(workload.batch_size)).map(sequence).collect() }
    }
}

impl Batches<TrainingSequence> for SyntheticBatches {
    fn batch(&self, _: u64) -> Result<Batch<TrainingSequence>, Error> {
        Ok(Batch { examples: self.sequences.clone(), words: 0 })
    }

    fn places(&self, _: u64) -> String {
        "synthetic".to_owned()
    }
}

/// Every two sequences as a pair.
impl Batches<PreferencePair> for SyntheticBatches {
    fn batch(&self, _: u64) -> Result<Batch<PreferencePair>, Error> {
        let pair = |pair: &[TrainingSequence; 2]| {
            let [chosen, rejected] = pair.clone().map(Reply::new);
            PreferencePair { chosen, rejected, references: [0.0; 2] }
        };
        Ok(Batch { examples: self.sequences.as_chunks().0.iter().map(pair).collect(), words: 0 })
    }

    fn places(&self, _: u64) -> String {
        "synthetic".to_owned()
    }
}

impl Bench {
    /// Creates the model, and writes its initial weights if the workload asks for them.
    ///
    /// # Errors
    /// If the device cannot be used, or the weights cannot be written.
    pub fn new(workload: Workload) -> Result<Self, Error> {
        let device = runtime::device(&workload.device)?;
        let model = Model::random(&workload.model, 1, device)?;
        if let Some(folder) = &workload.initial {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            model_folder::write(folder, &model, SpecialTokens::default())?;
        }
        let training = Training {
            betas: [0.9, 0.95],
            weight_decay: 0.1,
            clip_norm: Some(1.0),
            precision: workload.precision,
            ..Training::plain(Length::Steps(0), workload.batch_size, 1e-3)
        };
        // All weights decay, as with the defaults of `torch.optim.AdamW`.
        let options = Options { report_every: 1, decay: Decay::All, ..Options::default() };
        let text = LanguageModeling::new(&workload.model, workload.precision, 0.0);
        let batches = Arc::new(SyntheticBatches::new(&workload));
        let trainer = match workload.objective {
            BenchObjective::Sft => {
                BenchTrainer::Text(Trainer::new(model, text, &training, u64::MAX, batches, options)?)
            }
            BenchObjective::Dpo => {
                let settings = Dpo { beta: 0.1, loss: DpoLoss::Sigmoid, sft_weight: 0.0 };
                let objective = Preference { text, objective: PairObjective::Dpo(settings) };
                BenchTrainer::Pairs(Trainer::new(model, objective, &training, u64::MAX, batches, options)?)
            }
        };
        Ok(Self { trainer, workload, device })
    }

    /// What is known before the first round. This measures a matrix product.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn ready(&self) -> Result<WorkerReady, Error> {
        environment(self.workload.precision, self.device)
    }

    /// Takes a number of steps and measures them, also by phase if `with_phases` is set, which makes them slower.
    ///
    /// # Errors
    /// If the training fails.
    pub fn round(&mut self, steps: u32, with_phases: bool) -> Result<BenchRound, Error> {
        reset_peak();
        if with_phases {
            phases::start(self.device);
        }
        let mut losses = Vec::with_capacity(steps as usize);
        let start = Instant::now();
        for _ in 0..steps {
            let report = self.trainer.step()?;
            losses.extend(report.and_then(|report| report.measured).map(|measured| measured.loss));
        }
        phases::synchronize(self.device);
        let seconds = start.elapsed().as_secs_f64();
        Ok(BenchRound {
            units: self.workload.tokens() * u64::from(steps),
            seconds,
            losses,
            peak_bytes: peak_bytes(self.device)?,
            phases: with_phases.then(phases::stop),
        })
    }
}

/// The environment of a benchmark. This measures a matrix product.
pub(super) fn environment(precision: Precision, device: Device) -> Result<WorkerReady, Error> {
    let kind = match precision {
        Precision::F32 => Kind::Float,
        Precision::Bf16 => Kind::BFloat16,
    };
    Ok(WorkerReady {
        libtorch: runtime::check_version()?,
        threads: u32::try_from(tch::get_num_threads()).unwrap_or(0),
        matmul_flops: matmul_flops(kind, device)?,
    })
}

/// Floating-point operations per second of a large square matrix product, the best of several. The product is smaller where
/// a large one takes long, as in bfloat16 on a CPU that emulates it.
fn matmul_flops(kind: Kind, device: Device) -> Result<f64, Error> {
    const LONG: f64 = 0.25; // seconds
    let _no_grad = tch::no_grad_guard();
    let measure = |size: i64, times: u32| {
        let [a, b] = [1.0, 2.0].map(|value| Tensor::f_full([size, size], value, (kind, device)));
        let (a, b) = (a?, b?);
        let mut best = f64::INFINITY;
        for _ in 0..times {
            let start = Instant::now();
            let product = a.f_matmul(&b)?;
            phases::synchronize(device);
            best = best.min(start.elapsed().as_secs_f64());
            drop(product);
        }
        Ok::<f64, Error>(best)
    };
    let largest = if device == Device::Cpu { 2048 } else { 8192 };
    let mut size = 256;
    while size < largest && 8.0 * measure(size, 1)? < LONG {
        size *= 2;
    }
    Ok(2.0 * (size as f64).powi(3) / measure(size, 10)?)
}

/// Resets the peak of the resident memory, if the kernel allows it.
pub(super) fn reset_peak() {
    // Otherwise the peak of the whole process is reported, which is an upper bound.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Peak memory in bytes: resident memory of this process since [`reset_peak`], or memory of tensors on a GPU.
pub(super) fn peak_bytes(device: Device) -> Result<u64, Error> {
    if let Device::Cuda(index) = device {
        return Ok(runtime::device_memory(index)?.peak.unsigned_abs());
    }
    let path = Path::new("/proc/self/status");
    let status = fs::read_to_string(path).map_err(Error::io(path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| Error::file(path, "has no VmHWM"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::fixtures::small;
    use grid::domain::Arch;

    #[test]
    fn rounds_are_measured_and_the_initial_weights_written() {
        let folder = tempfile::tempdir().unwrap();
        let initial = folder.path().join("initial");
        let workload = Workload {
            objective: BenchObjective::Sft,
            model: small(Arch::Llama),
            batch_size: 3,
            sequence_length: 8,
            precision: Precision::F32,
            device: "cpu".into(),
            initial: Some(initial.clone()),
        };
        let mut bench = Bench::new(workload).unwrap();
        let written = model_folder::read(&initial, Device::Cpu).unwrap();
        let BenchTrainer::Text(trainer) = &bench.trainer else { panic!("it trains on text") };
        for ((_, ours), (_, theirs)) in
            trainer.model().weights().named().unwrap().iter().zip(written.weights().named().unwrap())
        {
            assert!(ours.equal(&theirs));
        }
        let (first, second) = (bench.round(2, false).unwrap(), bench.round(1, true).unwrap());
        assert_eq!((first.units, first.losses.len(), first.phases), (48, 2, None));
        assert!(second.losses[0] < first.losses[0] && first.peak_bytes > 1 << 20, "{first:?} {second:?}");
        let phases = second.phases.unwrap();
        let parts = [phases.data, phases.forward, phases.head, phases.backward, phases.optimizer];
        let sum: f64 = parts.iter().sum();
        assert!(sum <= second.seconds && parts[1..].iter().all(|part| *part > 0.0), "{phases:?}");
        let pairs = Workload { objective: BenchObjective::Dpo, batch_size: 4, ..bench.workload.clone() };
        let mut bench = Bench::new(pairs).unwrap();
        let (first, second) = (bench.round(2, false).unwrap(), bench.round(1, true).unwrap());
        assert!(first.units == 64 && second.losses[0] < first.losses[0], "{first:?} {second:?}");
        assert!(matmul_flops(Kind::Float, Device::Cpu).unwrap() > 1e6);
    }
}
