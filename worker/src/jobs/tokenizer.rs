//! Train a tokenizer.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use grid::data::{self, Tokenizer};
use grid::domain::{Event, TokenizerJob};

use super::inputs::Inputs;
use crate::attempt::{Attempt, JobError};

/// Writes `tokenizer.json` and `tokenizer_config.json`.
pub(super) fn run(job: &TokenizerJob, inputs: Inputs<'_>, attempt: &mut Attempt) -> Result<(), JobError> {
    let texts = data::tokenizer_texts(job, |origin, texts| texts(&inputs.located(origin)))?;
    if texts.iter().any(|text| Tokenizer::cuts_words(text)) {
        let message = "the text has words of more than 16 kB, which the tokenizer learns from in parts: are the files text, \
                       and are their lines and spaces complete?";
        attempt.emit(Event::Warning { message: message.to_owned() })?;
    }
    let tokenizer = train(job, texts, attempt)?;
    let (learned, wanted) = (tokenizer.vocab_size(), job.vocab_size);
    if learned < wanted {
        let message = format!(
            "the text yields only {learned} of {wanted} vocabulary entries: the models have rows for the others, which \
             are never trained; set `vocab_size: {learned}`, or provide more text"
        );
        attempt.emit(Event::Warning { message })?;
    }
    tokenizer.save(attempt.output())?;
    Ok(())
}

/// Trains on a thread of its own, which a request to stop leaves behind: the library cannot be interrupted, and a worker
/// that stops ends its process.
fn train(job: &TokenizerJob, texts: Vec<String>, attempt: &Attempt) -> Result<Tokenizer, JobError> {
    let (sender, trained) = mpsc::channel();
    let (vocab_size, special_tokens) = (job.vocab_size, job.special_tokens.clone());
    std::thread::spawn(move || {
        let _ = sender.send(Tokenizer::train_with(vocab_size, &special_tokens, texts.iter()));
    });
    loop {
        match trained.recv_timeout(Duration::from_millis(50)) {
            Ok(tokenizer) => return Ok(tokenizer?),
            Err(RecvTimeoutError::Timeout) if attempt.stop_requested() => {
                return Err(JobError::Interrupted { step: 0 });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(JobError::failed("the training of the tokenizer panicked"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use grid::data::Survey;
    use grid::domain::{CorpusFormat, Job, Source};

    use super::*;
    use crate::jobs::fixtures::{assignment, journal, submit_assignment};

    #[test]
    fn a_request_to_stop_does_not_wait_for_the_library() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let lines: String = (0..300_000u64).map(|n| format!("{n} words {}\n", n * 7919)).collect();
        fs::write(&path, lines).unwrap();
        let located = Survey::open(Path::new("none")).locate(&Source::Files(path)).unwrap();
        let corpora = vec![(located.origin.clone(), CorpusFormat::default())];
        let job = TokenizerJob { vocab_size: 60_000, corpora, datasets: vec![], special_tokens: vec![] };
        let mut assignment = assignment("t", &Job::Tokenizer(job), &BTreeMap::new());
        assignment.sources = vec![(located.origin, located.files)];
        let job_folder = folder.path().join("job");
        let watched = job_folder.clone();
        std::thread::spawn(move || {
            let has_attempt =
                || fs::read_dir(&watched).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| e.path().is_dir())));
            while !has_attempt() {
                std::thread::sleep(Duration::from_millis(1));
            }
            STOP.store(true, Ordering::Relaxed);
        });
        let attempt = submit_assignment(&job_folder, &assignment, &STOP);
        assert!(matches!(journal(&attempt).last(), Some(Event::Interrupted { step: 0 })));
    }
}
