//! Let a model reply to prompts.

use std::path::Path;

use grid::data::{
    self, DOCUMENT_BORDER, Formatter, PreparedCorpus, Record, SampledRow, Split, Tokenizer, write_sampled,
};
use grid::domain::{Event, Prompts, SampleJob, SampledCount, SamplingOptions, counted, mix};
use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::{partial, select};
use crate::attempt::{Attempt, JobError};
use crate::ml::generation::{Prompt, SampledReply, Sampler, chunks};

/// A prompt of the job.
struct JobPrompt {
    /// Its place among all prompts, by which replies are drawn.
    place: usize,
    text: String,
    ids: Vec<u32>,
    /// What the template writes after a reply.
    after: String,
    /// See [`SampledRow::continues`].
    continues: bool,
}

/// The ids of the replies so far, in the order of prompts and draws.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Replies {
    ids: Vec<Vec<u32>>,
}

/// Writes the rows and their count.
pub(super) fn run(job: &SampleJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    if let Prompts::Selected(selected) = &job.prompts {
        return select::run(job, selected, inputs, attempt);
    }
    let folder = inputs.model(&job.model)?;
    let tokenizer = Tokenizer::load(folder)?;
    let mut prompts = prompts(job, &tokenizer, folder, inputs)?;
    let model = inputs.read_model(folder)?;
    // Rotary positions could be computed beyond the length of the training, but the model has never seen them.
    let (before, limit) = (prompts.len(), model.config().max_positions);
    prompts.retain(|prompt| prompt.ids.len() + job.options.max_new_tokens as usize <= limit as usize);
    if prompts.len() < before {
        let message = format!(
            "{} of {} left out: with a reply of {} tokens, they are longer than the {limit} positions of the model",
            before - prompts.len(),
            counted(before as u64, "prompt"),
            job.options.max_new_tokens,
        );
        attempt.emit(Event::Warning { message })?;
    }
    if prompts.is_empty() {
        return Err(JobError::failed("there are no prompts: is the text long enough for its share and for `context`?"));
    }
    let draws: Vec<Prompt> = prompts.iter().flat_map(|prompt| prompt.draws(job)).collect();
    let options = SamplingOptions { stop: vec![tokenizer.end_of_text()?], ..job.options.clone() };
    let mut sampler = Sampler::new(&model, options, job.precision)?;
    if let Some(rows) = inputs.settings().micro_batch {
        sampler = sampler.with_rows(rows as usize);
    }
    if let Some(problem) = draws.iter().find_map(|draw| sampler.check(draw).err()) {
        return Err(JobError::failed(format!("a prompt cannot be continued: {problem}")));
    }
    let mut replies: Replies = partial::find(attempt).unwrap_or_default();
    for chunk in chunks(draws.len()) {
        if chunk.end <= replies.ids.len() {
            continue;
        }
        // A chunk is a whole: on some devices, the rounding in a reply depends on the others.
        replies.ids.truncate(chunk.start);
        let new = sample_chunk(&sampler, &draws[chunk.clone()], [chunk.start, draws.len()], attempt)?;
        replies.ids.extend(
            new.iter()
                .flatten()
                .map(|SampledReply { ids, stop }| ids.iter().copied().chain(*stop).collect::<Vec<u32>>()),
        );
        if new.is_none() || attempt.should_checkpoint() {
            inputs.check_unchanged()?;
            partial::save(attempt, &replies)?;
        }
        if new.is_none() {
            return Err(JobError::Interrupted { step: replies.ids.len() as u64 });
        }
    }
    let mut ids = replies.ids.into_iter();
    let mut rows = vec![];
    for prompt in &prompts {
        let replies = ids.by_ref().take(job.replies as usize);
        let replies = replies.map(|ids| prompt.decode(&ids, &tokenizer)).collect::<Result<Vec<_>, JobError>>()?;
        rows.push(SampledRow { prompt: prompt.text.clone(), replies, continues: prompt.continues });
    }
    let student_words = rows.iter().map(SampledRow::reply_words).sum();
    let count = SampledCount { rows: rows.len() as u64, student_words, teacher_words: 0, unusable: 0 };
    write_sampled(attempt.output(), &rows, count)?;
    attempt.emit(Event::Metric { name: "words".to_owned(), step: 0, value: student_words as f64 })
}

/// The replies to a chunk of prompts; `None` if the attempt was asked to stop. `before` is the number of replies that were
/// sampled before, and `total` that of all.
fn sample_chunk(
    sampler: &Sampler<'_>,
    prompts: &[Prompt],
    [before, total]: [usize; 2],
    attempt: &mut Attempt,
) -> Result<Option<Vec<SampledReply>>, JobError> {
    let mut sampling = sampler.begin(prompts)?;
    let mut shown = 0;
    loop {
        let is_left = sampling.advance()?;
        let (ended, ..) = sampling.progress();
        if ended > shown {
            shown = ended;
            let (done, total) = ((before + ended) as u64, total as u64);
            attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
        }
        if !is_left {
            return Ok(Some(sampling.finish()));
        }
        if attempt.stop_requested() {
            return Ok(None);
        }
    }
}

impl JobPrompt {
    /// What the model continues, once for each reply.
    fn draws(&self, job: &SampleJob) -> impl Iterator<Item = Prompt> {
        let seed = mix(mix(job.seed) ^ self.place as u64);
        (0..job.replies).map(move |draw| Prompt { ids: self.ids.clone(), seed: mix(mix(seed) ^ u64::from(draw)) })
    }

    /// The text of a reply. That to a piece of a corpus ends with [`DOCUMENT_BORDER`] if the model ended the text; other records
    /// get the end-of-text token when they are formatted.
    fn decode(&self, reply: &[u32], tokenizer: &Tokenizer) -> Result<String, JobError> {
        let end = tokenizer.end_of_text()?;
        let reply = match reply {
            [reply @ .., last] if *last == end && !self.continues => reply,
            reply => reply,
        };
        // Some tokenizers drop the space before the first token of a text.
        let (before, whole) = (tokenizer.decode(&self.ids)?, tokenizer.decode(&[&self.ids[..], reply].concat())?);
        let text = match whole.strip_prefix(&before) {
            Some(text) => text.to_owned(),
            None => tokenizer.decode(reply)?, // a character across the border
        };
        let text = match text.split_once(&self.after) {
            Some((text, _)) if !self.after.is_empty() => text,
            _ => &text,
        };
        match self.continues {
            true => with_borders(text, tokenizer),
            false => Ok(text.trim().to_owned()),
        }
    }
}

/// A text with [`DOCUMENT_BORDER`] in place of the end-of-text token.
fn with_borders(text: &str, tokenizer: &Tokenizer) -> Result<String, JobError> {
    let end = tokenizer.token(tokenizer.end_of_text()?).filter(|end| !end.is_empty());
    Ok(end.map_or(text.to_owned(), |end| text.replace(&end, DOCUMENT_BORDER)))
}

/// The prompts of the share of the job.
fn prompts(
    job: &SampleJob,
    tokenizer: &Tokenizer,
    folder: &Path,
    inputs: Inputs<'_>,
) -> Result<Vec<JobPrompt>, JobError> {
    match &job.prompts {
        Prompts::Pieces { corpus, context } => {
            let corpus = PreparedCorpus::open(inputs.prepared(corpus)?, Split::Train)?;
            let piece = u64::from(context + job.options.max_new_tokens);
            let places = job.part.places((corpus.tokens() / piece) as usize, job.seed);
            let prompt = |place: usize| {
                let ids = corpus.window(place as u64 * piece, *context as usize)?;
                let text = with_borders(&tokenizer.decode(&ids)?, tokenizer)?;
                Ok(JobPrompt { place, text, ids, after: String::new(), continues: true })
            };
            places.into_iter().map(prompt).collect()
        }
        Prompts::Records { data, format, formatting } => {
            let formatter = Formatter::new(formatting, tokenizer, folder)?;
            let records = data::records(&inputs.read_origin(data)?, format)?;
            let records: Vec<&Record> = records.iter().filter(|record| !record.is_rejected()).collect();
            let prompt = |place: usize| {
                let (ids, after) = formatter.tokenize_prompt(records[place])?;
                let text = match records[place].content() {
                    Record::Pair { prompt, .. } => prompt.clone(),
                    _ => String::new(), // refused by the formatter
                };
                Ok(JobPrompt { place, text, ids, after, continues: false })
            };
            job.part.places(records.len(), job.seed).into_iter().map(prompt).collect()
        }
        Prompts::Selected(_) => Ok(vec![]), // they get no replies
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;

    use grid::domain::{Job, JobId, Precision, PromptPart};

    use super::*;
    use crate::jobs::fixtures::{NEVER, output, pretrain_job, pretraining, stop_and_resume, submit};
    use crate::ml::runtime;

    fn sampling(runs: &Path) -> (Job, BTreeMap<JobId, PathBuf>) {
        let (job, mut parents) = pretraining(runs);
        let folder = runs.join("pretrain");
        let attempt = submit(&folder, "t", &job, &parents, &NEVER);
        parents.insert(job.id(), output(&folder, "t", &attempt));
        let (model, corpus) = (job.id(), pretrain_job(job).corpora[0]);
        let job = SampleJob {
            model,
            prompts: Prompts::Pieces { corpus, context: 6 },
            part: PromptPart { number: 0, of: 1, most: Some(40) },
            replies: 30,
            options: SamplingOptions { temperature: 1.0, ..SamplingOptions::greedy(8, vec![]) },
            precision: Precision::F32,
            seed: 5,
        };
        (Job::Sample(job), parents)
    }

    /// 1,200 replies are five chunks. A stop during one keeps those before it.
    #[test]
    fn a_job_that_was_stopped_gives_the_same_replies() {
        static STOP: AtomicBool = AtomicBool::new(false);
        runtime::configure(1).unwrap();
        let runs = tempfile::tempdir().unwrap();
        let (job, parents) = sampling(runs.path());
        let (whole, stopped) = (runs.path().join("whole"), runs.path().join("stopped"));
        let attempt = submit(&whole, "t", &job, &parents, &NEVER);
        output(&whole, "t", &attempt);
        let done = stop_and_resume([&whole, &stopped], &job, &parents, &STOP);
        assert!(done > Some(256), "the first chunk is not sampled again");
    }
}
