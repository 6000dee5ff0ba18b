use std::fs;
use std::path::Path;

use grid::domain::{Job, Length, Milestone, TokenizerJob};

use super::*;
use crate::jobs::fixtures::{NEVER, assignment, output, pretrain_job, pretraining, submit};
use crate::ml::runtime;

/// Reads a model as a job that has its output as a parent.
fn read_model(folder: &Path) -> Result<Model, JobError> {
    let (job, parents) = (
        Job::Tokenizer(TokenizerJob { vocab_size: 1, corpora: vec![], datasets: vec![], special_tokens: vec![] }),
        [].into(),
    );
    Inputs::of(&assignment("t", &job, &parents)).read_model(folder)
}

#[test]
fn a_model_that_changed_after_its_job_is_refused() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    (job.training.length, job.milestones) = (Length::Steps(8), vec![Milestone::Tokens(200)]);
    let folder = runs.path().join("model");
    let attempt = submit(&folder, "t", &Job::Pretrain(job), &parents, &NEVER);
    let output = output(&folder, "t", &attempt);
    let models = [output.clone(), output.join("milestones/200-tokens")];
    for model in &models {
        read_model(model).unwrap();
        let path = model.join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() - 40;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let refusal = read_model(model).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("{} has changed since its job wrote it", path.display())), "{refusal}");
    }
}

/// Without the digests, nothing shows whether the weights are those of the job.
#[test]
fn a_model_without_an_outcome_is_refused() {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, parents) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    job.training.length = Length::Steps(2);
    let folder = runs.path().join("model");
    let attempt = submit(&folder, "t", &Job::Pretrain(job), &parents, &NEVER);
    fs::remove_file(attempt.join(OUTCOME)).unwrap();
    let refusal = read_model(&attempt.join(OUTPUT)).unwrap_err().to_string();
    assert_eq!(
        refusal.replace(&attempt.display().to_string(), "ATTEMPT"),
        "ATTEMPT/outcome.json is missing, so the weights in ATTEMPT/output cannot be checked; remove ATTEMPT, and `grid \
         resume` runs its job again"
    );
    let refusal = read_model(runs.path()).unwrap_err().to_string();
    assert!(refusal.ends_with(" is not in the output folder of a job"), "{refusal}");
}
