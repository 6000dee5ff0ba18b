//! The rows of a fine-tuning task, encoded for a model.

use std::path::Path;
use std::sync::Arc;

use grid::data::{self, Permutation, Tokenizer};
use grid::domain::{FinetuneJob, GlueTask, JobId, Origin, Suite, Transformers};
use grid::suites::glue::{self, Example};

use super::super::inputs::Inputs;
use super::super::vocabulary;
use crate::attempt::JobError;
use crate::ml::{self, Batch, Batches, LabelledSequence, model_folder};

/// The rows of a task.
pub(in super::super) struct TaskRows {
    pub(super) train: SplitRows,
    pub(super) valid: SplitRows,
}

/// The rows of one file.
pub(super) struct SplitRows {
    pub(super) examples: Vec<Example>,
    pub(super) sequences: Vec<LabelledSequence>,
}

/// The rows that were used last, which the seeds of one task share.
#[derive(Default)]
pub(in super::super) struct RowCache(Option<(RowKey, Arc<TaskRows>)>);

/// What [`TaskRows`] are a function of.
#[derive(PartialEq)]
struct RowKey {
    task: GlueTask,
    model: JobId,
    train: Origin,
    valid: Origin,
    max_length: usize,
    release: Transformers,
}

impl RowCache {
    /// The rows of a job, which are read and encoded unless they are those of the previous job. `folder` is that of the
    /// model.
    pub(super) fn get(
        &mut self,
        job: &FinetuneJob,
        inputs: Inputs<'_>,
        folder: &Path,
    ) -> Result<Arc<TaskRows>, JobError> {
        let config = model_folder::read_config(folder)?;
        let max_length = job.recipe.max_length.min(config.max_positions) as usize;
        let release = job.mode.transformers();
        let (train, valid) = (job.train.clone(), job.valid.clone());
        let key = RowKey { task: job.task, model: job.model, train, valid, max_length, release };
        if let Some((cached, rows)) = &self.0
            && *cached == key
        {
            return Ok(rows.clone());
        }
        let tokenizer = Tokenizer::load_as(folder, release)?;
        let read = |origin: &Origin, name: String| -> Result<SplitRows, JobError> {
            let (file, bytes) = data::evaluation_file(&inputs.located(origin), Suite::Glue, &name)?;
            let examples = glue::read(job.task, &file, &bytes)?;
            let pairs: Vec<(&str, &str)> = examples.iter().map(|row| (&*row.first, &*row.second)).collect();
            let ids = tokenizer.encode_pairs(&pairs, max_length)?;
            vocabulary::check(&tokenizer, config.vocab_size, |wrong| {
                let of_row = |(row, ids): (usize, &Vec<u32>)| {
                    let id = ids.iter().find(|&&id| wrong(id))?;
                    Some((format!("{} of glue: row {} of {file}", job.task, row + 1), *id))
                };
                Ok(ids.iter().enumerate().find_map(of_row))
            })?;
            let sequence = |(ids, example): (Vec<u32>, &Example)| LabelledSequence { ids, label: example.label };
            let sequences = ids.into_iter().zip(&examples).map(sequence).collect();
            Ok(SplitRows { examples, sequences })
        };
        let train = read(&job.train, job.task.train_file())?;
        let valid = read(&job.valid, job.task.valid_file())?;
        let rows = Arc::new(TaskRows { train, valid });
        self.0 = Some((key, rows.clone()));
        Ok(rows)
    }
}

/// The batches of a fine-tuning: whole batches of the training rows, shuffled for each epoch.
pub(super) struct TaskBatches {
    pub(super) rows: Arc<TaskRows>,
    /// The name of the file of the training rows, for error messages.
    pub(super) file: String,
    pub(super) seed: u64,
    pub(super) batch_size: u32,
    pub(super) steps_per_epoch: u64,
}

impl TaskBatches {
    /// The numbers of the rows of a step.
    fn numbers(&self, step: u64) -> impl Iterator<Item = u64> {
        let rows = self.rows.train.sequences.len() as u64;
        let order = Permutation::new(self.seed, step / self.steps_per_epoch, rows);
        let first = step % self.steps_per_epoch * u64::from(self.batch_size);
        (first..first + u64::from(self.batch_size)).map(move |position| order.at(position))
    }
}

impl Batches<LabelledSequence> for TaskBatches {
    fn batch(&self, step: u64) -> Result<Batch<LabelledSequence>, ml::Error> {
        let examples = self.numbers(step).map(|row| self.rows.train.sequences[row as usize].clone()).collect();
        Ok(Batch { examples, words: 0 })
    }

    fn places(&self, step: u64) -> String {
        let numbers: Vec<String> = self.numbers(step).map(|row| row.to_string()).collect();
        format!("rows {} of {}", numbers.join(", "), self.file)
    }
}
