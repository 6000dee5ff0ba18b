use std::fs;
use std::path::Path;

use grid::domain::{Job, Length, Milestone, Source, TokenizerJob};

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

/// The identity of a job contains the digest of its sources, so other content would be recorded under a wrong name.
#[test]
fn sources_that_changed_after_the_plan_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    fs::write(&path, "one").unwrap();
    let located = data::Survey::open(Path::new("none")).locate(&Source::Files(path.clone())).unwrap();
    let (job, parents) = (
        Job::Tokenizer(TokenizerJob { vocab_size: 1, corpora: vec![], datasets: vec![], special_tokens: vec![] }),
        [].into(),
    );
    let mut assignment = assignment("t", &job, &parents);
    assignment.sources = vec![(located.origin.clone(), located.files)];
    let text = |located: &LocatedSource| Ok(fs::read_to_string(&located.files[0]).unwrap_or_default());
    let read = || Inputs::of(&assignment).read(&located.origin, text);
    assert_eq!(read().unwrap(), "one");
    fs::write(&path, "two").unwrap();
    let refusal = read().unwrap_err().to_string();
    assert!(
        refusal.ends_with("a.txt: its files have changed since the plan was made; run `grid run` again"),
        "{refusal}"
    );
    fs::write(&path, "one").unwrap();
    assert_eq!(read().unwrap(), "one");
}
