use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use grid::domain::{Event, Job, Length, Source, TokenizerJob, Verdict};

use super::*;
use crate::jobs::fixtures::{NEVER, assignment, journal, output, pretrain_job, pretraining, published_outcome, submit};
use crate::ml::runtime;

/// A pretrained model with a milestone, and what it was made from.
struct Parents {
    _runs: tempfile::TempDir,
    model: JobId,
    prepared: JobId,
    outputs: BTreeMap<JobId, PathBuf>,
}

fn parents() -> Parents {
    runtime::configure(1).unwrap();
    let runs = tempfile::tempdir().unwrap();
    let (job, mut outputs) = pretraining(runs.path());
    let mut job = pretrain_job(job);
    (job.training.length, job.milestones) = (Length::Steps(8), vec![Milestone::Tokens(200)]);
    let prepared = job.corpora[0];
    let folder = runs.path().join("model");
    let job = Job::Pretrain(job);
    let attempt = submit(&folder, "t", &job, &outputs, &NEVER);
    outputs.insert(job.id(), output(&folder, "t", &attempt));
    Parents { _runs: runs, model: job.id(), prepared, outputs }
}

/// An assignment with these parents.
fn child(parents: &Parents) -> Assignment {
    let job = Job::Tokenizer(TokenizerJob { vocab_size: 1, corpora: vec![], datasets: vec![], special_tokens: vec![] });
    assignment("t", &job, &parents.outputs)
}

/// Changes one bit in the middle of a file, and leaves its length and its modification time.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(UNIX_EPOCH).unwrap();
}

#[test]
fn one_bit_in_any_file_of_a_parent_is_named_with_both_digests() {
    let parents = parents();
    let (model, prepared) = (parents.model, parents.prepared);
    let assignment = child(&parents);
    type Read<'a> = &'a dyn Fn(Inputs<'_>) -> Result<(), JobError>;
    let whole: Read<'_> = &|inputs| inputs.model(&model).map(drop);
    let tokenizer: Read<'_> = &|inputs| inputs.tokenizer(&model).map(drop);
    let milestone: Read<'_> = &|inputs| inputs.milestone(&model, Milestone::Tokens(200)).map(drop);
    let optimizer: Read<'_> = &|inputs| inputs.optimizer(&model).map(drop);
    let tokens: Read<'_> = &|inputs| inputs.prepared(&prepared).map(drop);
    let files: [(JobId, &str, Read<'_>); 9] = [
        (model, "model.safetensors", whole),
        (model, "config.json", whole),
        (model, "config.json", tokenizer),
        (model, "tokenizer.json", tokenizer),
        (model, "optimizer.safetensors", optimizer),
        (model, "milestones/200-tokens/model.safetensors", milestone),
        (model, "milestones/200-tokens/milestone.json", milestone),
        (prepared, "train.bin", tokens),
        (prepared, "ledger.json", tokens),
    ];
    for (parent, file, read) in files {
        let path = parents.outputs[&parent].join(file);
        // A worker that has read the file before must notice as well.
        let known = InputFiles::default();
        read(Inputs::of(&assignment, &known)).unwrap();
        let recorded = Digest::of(&fs::read(&path).unwrap());
        flip(&path);
        let found = Digest::of(&fs::read(&path).unwrap());
        let message = format!("{} is damaged: its digest is {found}, but its job left {recorded}", path.display());
        for memory in [&known, &InputFiles::default()] {
            let error = read(Inputs::of(&assignment, memory)).unwrap_err();
            assert_eq!(error, JobError::DamagedInput { parent, message: message.clone() }, "{file}");
        }
        flip(&path);
        read(Inputs::of(&assignment, &known)).unwrap();
    }
    fs::remove_file(parents.outputs[&prepared].join("train.bin")).unwrap();
    let error = tokens(Inputs::of(&assignment, &InputFiles::default())).unwrap_err();
    assert!(
        matches!(&error, JobError::DamagedInput { message, .. } if message.contains("train.bin: No such")),
        "{error}"
    );
}

#[test]
fn a_file_that_changes_while_a_job_reads_it_is_noticed_before_its_end() {
    let parents = parents();
    let (assignment, files) = (child(&parents), InputFiles::default());
    let inputs = Inputs::of(&assignment, &files);
    let path = inputs.prepared(&parents.prepared).unwrap().join("train.bin");
    inputs.check_unchanged().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    flip(&path);
    let error = inputs.check_unchanged().unwrap_err();
    assert!(matches!(&error, JobError::DamagedInput { parent, .. } if *parent == parents.prepared), "{error}");
    flip(&path);
    inputs.check_unchanged().expect("the same content again, although the file was written");
}

#[test]
fn a_file_that_a_parent_did_not_leave_is_refused() {
    let parents = parents();
    let assignment = child(&parents);
    let folder = parents.outputs[&parents.model].clone();
    let read = || Inputs::of(&assignment, &InputFiles::default()).tokenizer(&parents.model).map(drop);
    fs::write(folder.join(".hidden"), "").unwrap();
    read().unwrap();
    fs::write(folder.join("added_tokens.json"), "{}").unwrap();
    let error = read().unwrap_err().to_string();
    assert!(error.contains("added_tokens.json is not one of the files that its job left"), "{error}");
}

/// The identity of a job contains the digest of its sources, so other content would be recorded under a wrong name.
#[test]
fn sources_that_changed_after_the_plan_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    let texts = ["the dog sees a cat\n".repeat(50), "the cat sees a dog\n".repeat(50)];
    fs::write(&path, &texts[0]).unwrap();
    let located = data::Survey::open(Path::new("none")).locate(&Source::Files(path.clone())).unwrap();
    let format = grid::domain::CorpusFormat::default();
    let corpora = vec![(located.origin.clone(), format)];
    let job = Job::Tokenizer(TokenizerJob { vocab_size: 260, corpora, datasets: vec![], special_tokens: vec![] });
    let mut submitted = assignment("t", &job, &BTreeMap::new());
    submitted.sources = vec![(located.origin, located.files)];
    let run = |token: &str| {
        let mut assignment = submitted.clone();
        assignment.token = token.to_owned();
        let attempt = crate::jobs::fixtures::submit_assignment(&folder.path().join("job"), &assignment, &NEVER);
        assert!(journal(&attempt).len() > 1);
        published_outcome(&folder.path().join("job"), token).verdict
    };
    assert_eq!(run("a"), Verdict::Done);
    fs::write(&path, &texts[1]).unwrap();
    let Verdict::Failed { message, .. } = run("b") else { panic!("other content was used") };
    let [planned, found] = texts.each_ref().map(|text| Digest::of(text.as_bytes()));
    let expected = format!(
        "use {}: it has changed since the plan was made, from the digest {planned} to {found}; run `grid run` again",
        path.display()
    );
    assert_eq!(message, expected);
    fs::write(&path, &texts[0]).unwrap();
    assert_eq!(run("c"), Verdict::Done);
}

/// A job whose input is changed while it trains leaves neither a result nor a checkpoint made of it.
#[test]
fn a_training_whose_tokens_change_ends_without_a_checkpoint_of_them() {
    let parents = parents();
    let path = parents.outputs[&parents.prepared].join("train.bin");
    let runs = tempfile::tempdir().unwrap();
    let (job, outputs) = pretraining(runs.path());
    drop(outputs);
    let folder = runs.path().join("job");
    let watched = folder.clone();
    let changing = std::thread::spawn(move || {
        let begun = || {
            let attempts = fs::read_dir(&watched).into_iter().flatten().flatten().map(|entry| entry.path());
            attempts.into_iter().any(|attempt| {
                fs::read_to_string(attempt.join("journal.jsonl")).is_ok_and(|text| text.contains("\"checkpoint\""))
            })
        };
        while !begun() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        flip(&path);
    });
    let mut job = pretrain_job(job);
    job.training.length = Length::Steps(100_000);
    let attempt = submit(&folder, "t", &Job::Pretrain(job), &parents.outputs, &NEVER);
    changing.join().unwrap();
    let verdict = published_outcome(&folder, "t").verdict;
    assert!(matches!(verdict, Verdict::DamagedInput { parent, .. } if parent == parents.prepared), "{verdict:?}");
    let last = journal(&attempt).into_iter().rev().find(|event| !matches!(event, Event::Progress { .. }));
    assert!(matches!(last, Some(Event::Finished { .. })), "{last:?}");
}
