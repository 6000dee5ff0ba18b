//! Select the pieces of a corpus that a dataset lacks.

use grid::data::{self, Lacking, SampledRow, Tokenizer, write_sampled};
use grid::domain::{Event, PromptPart, SampleJob, SampledCount, SelectedPieces, counted};
use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::partial;
use crate::attempt::{Attempt, JobError};
use crate::ml::embeddings::mean_hidden_states;

/// Texts that are embedded between two looks at the clock.
const CHUNK: usize = 64;

/// Rows that go through the model together, unless the worker has little memory.
const ROWS: usize = 16;

/// The embeddings so far: of the pieces, then of the records.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Embeddings {
    vectors: Vec<Vec<f32>>,
}

/// Writes a row without replies for each selected piece, and their count.
pub(super) fn run(
    job: &SampleJob,
    selected: &SelectedPieces,
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
) -> Result<(), JobError> {
    let SelectedPieces { corpus, corpus_format, against, format, selection } = selected;
    let pieces = data::pieces(&inputs.located(corpus), corpus_format, selection)?;
    let records = data::record_texts(&inputs.located(against), format)?;
    if pieces.is_empty() || records.is_empty() {
        let what = if pieces.is_empty() { "the corpus has no pieces" } else { "the dataset has no records with text" };
        return Err(JobError::failed(format!("{what}, so that nothing can be selected")));
    }
    let embeddings = embed(job, &[&pieces[..], &records[..]].concat(), inputs, attempt)?;
    let (of_pieces, of_records) = embeddings.split_at(pieces.len());
    let Lacking { places, limit, explained, .. } =
        data::find_lacking(of_pieces, of_records, selection).map_err(JobError::failed)?;
    if places.is_empty() {
        return Err(JobError::failed(format!(
            "none of {} has a density below {limit:.4e}: raise `below`",
            counted(pieces.len() as u64, "piece")
        )));
    }
    let numbers = [
        ("pieces", pieces.len() as f64),
        ("lacking_pieces", places.len() as f64),
        ("density_limit", limit),
        ("explained_variance", explained),
    ];
    for (name, value) in numbers {
        attempt.emit(Event::Metric { name: name.to_owned(), step: 0, value })?;
    }
    if places.len() == pieces.len() {
        let message = format!(
            "all {} have a density below {limit:.4e}, so that the dataset is like none of them: is `below` too high?",
            counted(pieces.len() as u64, "piece")
        );
        attempt.emit(Event::Warning { message })?;
    }
    let most = selection.most.map(|most| u32::try_from(most.of(pieces.len() as u64)).unwrap_or(u32::MAX));
    let drawn = PromptPart { number: 0, of: 1, most }.places(places.len(), job.seed);
    let row = |drawn: usize| SampledRow { prompt: pieces[places[drawn]].clone(), replies: vec![], continues: false };
    let rows: Vec<SampledRow> = drawn.into_iter().map(row).collect();
    if rows.is_empty() {
        return Err(JobError::failed(format!(
            "`n` is a share of {} that is less than one piece: raise it",
            counted(pieces.len() as u64, "piece")
        )));
    }
    let count = SampledCount { rows: rows.len() as u64, student_words: 0, teacher_words: 0, unusable: 0 };
    write_sampled(attempt.output(), &rows, count)?;
    Ok(())
}

/// The embeddings of texts under the model of the job. Whole chunks of an interrupted attempt are kept.
fn embed(
    job: &SampleJob,
    texts: &[String],
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
) -> Result<Vec<Vec<f64>>, JobError> {
    let folder = inputs.model(&job.model)?;
    let (tokenizer, model) = (Tokenizer::load(folder)?, inputs.read_model(folder)?);
    let rows = inputs.settings().micro_batch.map_or(ROWS, |rows| rows as usize);
    let mut embeddings: Embeddings = partial::find(attempt).unwrap_or_default();
    for (number, chunk) in texts.chunks(CHUNK).enumerate() {
        let (start, end) = (number * CHUNK, number * CHUNK + chunk.len());
        if end <= embeddings.vectors.len() {
            continue;
        }
        embeddings.vectors.truncate(start);
        let ids = tokenizer.encode_batch(chunk)?;
        let means = mean_hidden_states(&model, &ids, job.precision, rows)?;
        embeddings.vectors.extend(means.into_iter().map(|mean| mean.into_iter().map(|value| value as f32).collect()));
        let (done, total) = (end as u64, texts.len() as u64);
        attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
        let stop = attempt.stop_requested();
        if stop || attempt.should_checkpoint() {
            inputs.check_unchanged()?;
            partial::save(attempt, &embeddings)?;
        }
        if stop {
            return Err(JobError::Interrupted { step: done });
        }
    }
    Ok(embeddings.vectors.iter().map(|vector| vector.iter().copied().map(f64::from).collect()).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;

    use grid::domain::{
        Bandwidth, CorpusFormat, DatasetFormat, DensityLimit, Job, JobId, Origin, PieceLimit, PieceSelection,
        PieceUnit, Precision, Prompts, SamplingOptions, WorldPart,
    };

    use super::*;
    use crate::jobs::fixtures::{NEVER, journal, output, pretraining, stop_and_resume, submit};
    use crate::ml::runtime;

    fn selecting(runs: &std::path::Path) -> (Job, BTreeMap<JobId, PathBuf>) {
        let (job, mut parents) = pretraining(runs);
        let folder = runs.join("pretrain");
        let attempt = submit(&folder, "t", &job, &parents, &NEVER);
        parents.insert(job.id(), output(&folder, "t", &attempt));
        let (bandwidth, below) = (Bandwidth::Scott, DensityLimit::Quantile(0.2));
        let unit = PieceUnit::Paragraph;
        let most = Some(PieceLimit::Count(30));
        let selection = PieceSelection { unit, min_words: 2, max_words: 40, dims: 2, bandwidth, below, most };
        let selected = SelectedPieces {
            corpus: Origin::World { part: WorldPart::Speech, seed: 1, size: 9_000 },
            corpus_format: CorpusFormat::default(),
            against: Origin::World { part: WorldPart::Chat, seed: 1, size: 200 },
            format: DatasetFormat::json("prompt", "reply"),
            selection,
        };
        let job = SampleJob {
            model: job.id(),
            prompts: Prompts::Selected(Box::new(selected)),
            part: PromptPart { number: 0, of: 1, most: None },
            replies: 0,
            options: SamplingOptions::greedy(0, vec![]),
            precision: Precision::F32,
            seed: 5,
        };
        (Job::Sample(job), parents)
    }

    #[test]
    fn a_selection_that_was_stopped_gives_the_same_pieces() {
        static STOP: AtomicBool = AtomicBool::new(false);
        runtime::configure(1).unwrap();
        let runs = tempfile::tempdir().unwrap();
        let (job, parents) = selecting(runs.path());
        let (whole, stopped) = (runs.path().join("whole"), runs.path().join("stopped"));
        let attempt = submit(&whole, "t", &job, &parents, &NEVER);
        let rows = fs::read_to_string(output(&whole, "t", &attempt).join(data::ROWS)).unwrap();
        assert_eq!(rows.lines().count(), 30, "{rows}");
        let numbers = journal(&attempt).into_iter().filter_map(|event| match event {
            Event::Metric { name, .. } => Some(name),
            _ => None,
        });
        assert_eq!(numbers.collect::<Vec<_>>(), ["pieces", "lacking_pieces", "density_limit", "explained_variance"]);
        let done = stop_and_resume([&whole, &stopped], &job, &parents, &STOP);
        assert!(done > Some(CHUNK as u64), "the first chunk is not embedded again");
    }
}
