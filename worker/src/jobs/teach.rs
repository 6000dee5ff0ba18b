//! Have the replies of a model corrected or scored, or pieces of text rewritten.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use grid::data::{
    CorrectedRow, Formatter, Record, RewrittenPair, RewrittenRow, SampledRow, ScoredRow, TeacherAnswer, Tokenizer,
    ask_teacher, write_sampled,
};
use grid::domain::{
    Digest, Event, Formatting, JobId, JobTeacher, Precision, SampledCount, TeachJob, TeacherMode, TeacherRequest,
    counted,
};

use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};
use crate::ml::{LanguageModeling, Reply, TrainingSequence, reply_logprobs};

/// How often a job that waits for a service looks at the clock.
const POLL: Duration = Duration::from_millis(100);

/// Replies that are scored by a model between two looks at the clock.
const CHUNK: usize = 64;

/// What a teacher says about all replies to one prompt, in their order; `None` for an answer that was not usable.
enum Judged {
    Corrected(Vec<Option<String>>),
    Scored(Vec<Option<f64>>),
    /// What each piece is rewritten as.
    Rewritten(Vec<Option<Vec<RewrittenPair>>>),
}

/// Writes the rows and their count.
pub(super) fn run(job: &TeachJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let rows = inputs.sampled_rows(&job.samples)?;
    let judged = match &job.teacher {
        JobTeacher::Endpoint(request) => ask(request, &rows, inputs, attempt)?,
        JobTeacher::Samples { samples } => correct_by_samples(samples, &rows, inputs)?,
        JobTeacher::Likelihood { model, precision, formatting } => {
            score_by_likelihood(model, *precision, formatting, &rows, inputs, attempt)?
        }
    };
    let count = match judged {
        Judged::Corrected(answers) => {
            let corrected = |(row, answer): (&SampledRow, Option<String>)| {
                let (prompt, rejected) = (row.prompt.clone(), row.replies.first()?.clone());
                Some(CorrectedRow { prompt, chosen: answer?, rejected })
            };
            let corrected: Vec<CorrectedRow> = rows.iter().zip(answers).filter_map(corrected).collect();
            let count = SampledCount {
                rows: corrected.len() as u64,
                student_words: corrected.iter().map(CorrectedRow::student_words).sum(),
                teacher_words: corrected.iter().map(CorrectedRow::teacher_words).sum(),
                unusable: (rows.len() - corrected.len()) as u64,
            };
            write_sampled(attempt.output(), &corrected, count)?;
            count
        }
        Judged::Scored(scores) => {
            let mut scores = scores.into_iter();
            let scored: Vec<ScoredRow> = rows
                .iter()
                .filter_map(|row| {
                    let scores: Vec<Option<f64>> = scores.by_ref().take(row.replies.len()).collect();
                    let scores: Vec<f64> = scores.into_iter().collect::<Option<_>>()?;
                    Some(ScoredRow { prompt: row.prompt.clone(), replies: row.replies.clone(), scores })
                })
                .collect();
            let count = SampledCount {
                rows: scored.len() as u64,
                student_words: scored.iter().map(ScoredRow::student_words).sum(),
                teacher_words: 0,
                unusable: (rows.len() - scored.len()) as u64,
            };
            write_sampled(attempt.output(), &scored, count)?;
            count
        }
        Judged::Rewritten(answers) => {
            let unusable = answers.iter().filter(|answer| answer.is_none()).count() as u64;
            let of_piece = |(row, pairs): (&SampledRow, Option<Vec<RewrittenPair>>)| {
                let piece = Digest::of(row.prompt.as_bytes()).to_string();
                pairs.into_iter().flatten().map(move |RewrittenPair { instruction, response }| RewrittenRow {
                    prompt: instruction,
                    reply: response,
                    piece: piece.clone(),
                })
            };
            let rewritten: Vec<RewrittenRow> = rows.iter().zip(answers).flat_map(of_piece).collect();
            let count = SampledCount {
                rows: rewritten.len() as u64,
                student_words: 0,
                teacher_words: rewritten.iter().map(RewrittenRow::teacher_words).sum(),
                unusable,
            };
            write_sampled(attempt.output(), &rewritten, count)?;
            count
        }
    };
    if count.unusable > 0 {
        let message = format!(
            "{} of {} left out, because the teacher gave no usable answer",
            count.unusable,
            counted(rows.len() as u64, "prompt")
        );
        attempt.emit(Event::Warning { message })?;
    }
    if count.rows == 0 {
        return Err(JobError::failed(
            "the teacher gave no usable answer: is its prompt right? The answers are in the log with -vv",
        ));
    }
    let words = count.teacher_words + count.student_words;
    for (name, value) in
        [("words", words), ("teacher_words", count.teacher_words), ("student_words", count.student_words)]
    {
        attempt.emit(Event::Metric { name: name.to_owned(), step: 0, value: value as f64 })?;
    }
    Ok(())
}

/// Asks a service about every reply. The requests are sent by other threads, while this one reports how far they are and
/// looks for a request to stop.
fn ask(
    request: &TeacherRequest,
    rows: &[SampledRow],
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
) -> Result<Judged, JobError> {
    let Some(access) = &inputs.assignment().teacher else {
        return Err(JobError::failed("the assignment does not say how to reach the teacher"));
    };
    let of_row = |row: &SampledRow| {
        let prompt = row.readable(&row.prompt);
        match request.mode {
            TeacherMode::Correct | TeacherMode::Score { .. } => {
                row.replies.iter().map(|reply| (prompt.clone(), row.readable(reply))).collect::<Vec<_>>()
            }
            TeacherMode::Rewrite { .. } => vec![(prompt, String::new())],
        }
    };
    let replies: Vec<(String, String)> = rows.iter().flat_map(of_row).collect();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let proceed = |answered: u64| {
        done.fetch_max(answered, Ordering::SeqCst);
        !stop.load(Ordering::SeqCst)
    };
    let total = replies.len() as u64;
    let answers = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_teacher(access, request, &replies, &proceed));
        let mut shown = 0;
        while !asking.is_finished() {
            std::thread::sleep(POLL);
            stop.fetch_or(attempt.stop_requested(), Ordering::SeqCst);
            let done = done.load(Ordering::SeqCst);
            if done > shown {
                shown = done;
                let progress = Event::Progress { done, total, loss: None, tokens_per_second: None };
                attempt.emit(progress).inspect_err(|_| stop.store(true, Ordering::SeqCst))?;
            }
        }
        asking
            .join()
            .map_err(|_| JobError::failed("the thread that asks the teacher has panicked"))?
            .map_err(JobError::from)
    })?;
    attempt.emit(Event::Metric { name: "teacher_requests".to_owned(), step: 0, value: answers.requests as f64 })?;
    let answered = answers.answers.iter().flatten().count() as u64;
    let Some(answers) = answers.answers.into_iter().collect::<Option<Vec<TeacherAnswer>>>() else {
        return Err(JobError::Interrupted { step: answered }); // the answers so far are kept
    };
    let correction = |answer| match answer {
        TeacherAnswer::Correction(text) => Some(text),
        TeacherAnswer::Score(_) | TeacherAnswer::Pairs(_) | TeacherAnswer::Unusable => None,
    };
    let score = |answer| match answer {
        TeacherAnswer::Score(score) => Some(score),
        TeacherAnswer::Correction(_) | TeacherAnswer::Pairs(_) | TeacherAnswer::Unusable => None,
    };
    let pairs = |answer| match answer {
        TeacherAnswer::Pairs(pairs) => Some(pairs),
        TeacherAnswer::Correction(_) | TeacherAnswer::Score(_) | TeacherAnswer::Unusable => None,
    };
    Ok(match request.mode {
        // A teacher corrects the only reply to each prompt.
        TeacherMode::Correct => {
            let corrections = rows.iter().zip(answers).map(|(row, answer)| Some(row.join(&correction(answer)?)));
            Judged::Corrected(corrections.collect())
        }
        TeacherMode::Score { .. } => Judged::Scored(answers.into_iter().map(score).collect()),
        TeacherMode::Rewrite { .. } => Judged::Rewritten(answers.into_iter().map(pairs).collect()),
    })
}

/// The replies of another model to the same prompts.
fn correct_by_samples(samples: &JobId, rows: &[SampledRow], inputs: Inputs<'_>) -> Result<Judged, JobError> {
    let teacher = inputs.sampled_rows(samples)?;
    let same = |(row, other): (&SampledRow, &SampledRow)| row.prompt == other.prompt;
    if teacher.len() != rows.len() || !rows.iter().zip(&teacher).all(same) {
        return Err(JobError::failed("the teacher replied to other prompts than the student"));
    }
    let reply = |row: &SampledRow| row.replies.first().filter(|reply| !reply.trim().is_empty()).cloned();
    Ok(Judged::Corrected(teacher.iter().map(reply).collect()))
}

/// The mean log-probability of the tokens of each reply under a model, in nats.
fn score_by_likelihood(
    model: &JobId,
    precision: Precision,
    formatting: &Formatting,
    rows: &[SampledRow],
    inputs: Inputs<'_>,
    attempt: &mut Attempt,
) -> Result<Judged, JobError> {
    let folder = inputs.model(model)?;
    let (tokenizer, model) = (Tokenizer::load(folder)?, inputs.read_model(folder)?);
    let formatter = Formatter::new(formatting, &tokenizer, folder)?;
    let objective = LanguageModeling::new(model.config(), precision, 0.0);
    let pairs: Vec<(&str, &str)> =
        rows.iter().flat_map(|row| row.replies.iter().map(|reply| (row.prompt.as_str(), reply.as_str()))).collect();
    let mut scores: Vec<Option<f64>> = vec![];
    for chunk in pairs.chunks(CHUNK) {
        let mut replies = vec![];
        for (prompt, reply) in chunk.iter().filter(|(_, reply)| !reply.trim().is_empty()) {
            let tokenized = formatter.tokenize(&Record::pair(*prompt, *reply))?;
            replies.push(Reply::new(TrainingSequence::predicting_where(tokenized.ids, &tokenized.trained)));
        }
        let sums = reply_logprobs(&model, &objective, &replies, inputs.settings().micro_batch)?;
        let means = sums.iter().zip(&replies).map(|(sum, reply)| sum / reply.scored.predicted() as f64);
        let mut means = means.collect::<Vec<_>>().into_iter();
        scores.extend(chunk.iter().map(|(_, reply)| if reply.trim().is_empty() { None } else { means.next() }));
        let (done, total) = (scores.len() as u64, pairs.len() as u64);
        attempt.emit(Event::Progress { done, total, loss: None, tokens_per_second: None })?;
        if attempt.stop_requested() {
            return Err(JobError::Interrupted { step: 0 });
        }
    }
    Ok(Judged::Scored(scores))
}
