//! Generation speed on synthetic prompts.

use std::fs;
use std::time::Instant;

use grid::domain::{BenchModel, GenerationRound, GenerationWorkload, SpecialTokens, WorkerReady};
use tch::Device;

use super::bench::{environment, peak_bytes, reset_peak};
use super::error::Error;
use super::files::model_folder;
use super::generation::{Prompt, Sampler};
use super::models::Model;
use super::runtime;

/// A generation that is measured.
pub struct GenerationBench {
    model: Model,
    prompts: Vec<Prompt>,
    workload: GenerationWorkload,
    device: Device,
}

impl GenerationBench {
    /// Reads or creates the model, and writes it if the workload asks for that. Id number `i` of the prompts, counted over
    /// all of them, is `7919 i mod (vocab - 3)`.
    ///
    /// # Errors
    /// If the device cannot be used, or the model cannot be read or written.
    pub fn new(workload: GenerationWorkload) -> Result<Self, Error> {
        let device = runtime::device(&workload.device)?;
        let model = match &workload.model {
            BenchModel::Random(config) => Model::random(config, 1, device)?,
            BenchModel::Folder(folder) => model_folder::read(folder, device)?,
        };
        if let Some(folder) = &workload.initial {
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            model_folder::write(folder, &model, SpecialTokens::default())?;
        }
        let (length, vocab) = (u64::from(workload.prompt_length), u64::from(model.config().vocab_size) - 3);
        let ids = |prompt: u64| (0..length).map(|i| ((prompt * length + i) * 7919 % vocab) as u32).collect();
        let prompts =
            (0..u64::from(workload.prompts)).map(|prompt| Prompt { ids: ids(prompt), seed: prompt }).collect();
        Ok(Self { model, prompts, workload, device })
    }

    /// What is known before the first round. This measures a matrix product.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn ready(&self) -> Result<WorkerReady, Error> {
        environment(self.workload.precision, self.device)
    }

    /// Continues the prompts a number of times.
    ///
    /// # Errors
    /// If the prompts cannot be continued.
    pub fn round(&self, times: u32) -> Result<GenerationRound, Error> {
        let sampler = Sampler::new(&self.model, self.workload.options(), self.workload.precision)?;
        reset_peak();
        let (mut units, mut ids) = (0, vec![]);
        let start = Instant::now();
        for _ in 0..times {
            let replies = sampler.replies(&self.prompts)?;
            units += replies.iter().map(|reply| reply.ids.len() as u64).sum::<u64>();
            ids = replies.iter().flat_map(|reply| reply.ids.iter().take(16).copied()).collect();
        }
        let seconds = start.elapsed().as_secs_f64();
        Ok(GenerationRound { units, seconds, ids, peak_bytes: peak_bytes(self.device)? })
    }
}

#[cfg(test)]
mod tests {
    use grid::domain::{Arch, Precision};

    use super::*;
    use crate::ml::fixtures::small;

    #[test]
    fn rounds_are_measured_and_the_model_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let random = GenerationWorkload {
            model: BenchModel::Random(small(Arch::Llama)),
            prompts: 5,
            prompt_length: 7,
            new_tokens: 20,
            temperature: 0.0,
            top_p: 1.0,
            precision: Precision::F32,
            device: "cpu".into(),
            initial: Some(folder.path().to_owned()),
        };
        let bench = GenerationBench::new(random.clone()).unwrap();
        let round = bench.round(2).unwrap();
        assert_eq!((round.units, round.ids.len()), (200, 80));
        assert!(round.seconds > 0.0 && round.peak_bytes > 1 << 20);
        let written =
            GenerationWorkload { model: BenchModel::Folder(folder.path().to_owned()), initial: None, ..random };
        assert_eq!(GenerationBench::new(written).unwrap().round(1).unwrap().ids, round.ids);
    }
}
