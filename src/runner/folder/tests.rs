use super::super::tests::id;
use super::*;
use crate::domain::FolderName;

fn line(message: &str) -> String {
    let event = Event::Warning { message: message.into() };
    serde_json::to_string(&JournalEntry { at: 0, event }).unwrap() + "\n"
}

fn read(tail: &mut JournalTail) -> Vec<(u64, String)> {
    let mut updates = vec![];
    tail.read(&mut updates).unwrap();
    let shown = |update: JobUpdate| match update.update {
        Update::Journal { line, entry: JournalEntry { event: Event::Warning { message }, .. }, .. } => (line, message),
        other => panic!("{other:?}"),
    };
    updates.into_iter().map(shown).collect()
}

#[test]
fn an_incomplete_line_is_read_once_it_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let attempt = folder.path().join("t-1");
    let mut tail = JournalTail::new(id(0), "t", folder.path());
    assert_eq!(read(&mut tail), []);
    fs::create_dir(&attempt).unwrap();
    assert_eq!(read(&mut tail), []);
    let mut journal = File::create(attempt.join(layout::JOURNAL)).unwrap();
    let whole = line("b");
    let (start, rest) = whole.split_at(7);
    journal.write_all((line("a") + start).as_bytes()).unwrap();
    assert_eq!(read(&mut tail), [(0, "a".to_owned())]);
    assert_eq!(read(&mut tail), []);
    journal.write_all((rest.to_owned() + "nonsense\n" + &line("c")).as_bytes()).unwrap();
    assert_eq!(read(&mut tail), [(1, "b".to_owned()), (3, "c".to_owned())]);
}

#[test]
fn attempts_under_another_token_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    for attempt in ["t-1", "t-2", "u-1"] {
        fs::create_dir(folder.path().join(attempt)).unwrap();
        fs::write(folder.path().join(attempt).join(layout::JOURNAL), line(attempt)).unwrap();
    }
    let lines = read(&mut JournalTail::new(id(0), "t", folder.path()));
    assert_eq!(lines, [(0, "t-1".to_owned()), (0, "t-2".to_owned())]);
}

#[test]
fn the_outcome_of_another_submission_or_job_is_rejected_whatever_its_file_name() {
    let folder = tempfile::tempdir().unwrap();
    let attempt: FolderName = "t-1".parse().unwrap();
    fs::create_dir(folder.path().join(&attempt)).unwrap();
    let done = done(attempt, vec![]);
    for token in ["t", "u"] {
        let path = folder.path().join(layout::published_outcome(token));
        fs::write(path, digested_json::to_text(&done).unwrap()).unwrap();
    }
    let found = |id, token| outcome(folder.path(), id, token).unwrap().map(|(outcome, _)| outcome);
    assert_eq!(found(id(0), "t").unwrap().attempt.as_str(), "t-1");
    for (id, token) in [(id(0), "u"), (id(1), "t")] {
        assert!(found(id, token).unwrap_err().contains("belongs to another submission"));
    }
}

fn done(attempt: FolderName, artifacts: Vec<Artifact>) -> Outcome {
    Outcome {
        schema: OUTCOME_SCHEMA,
        id: id(0),
        token: "t".into(),
        attempt,
        started: 0,
        ended: 1,
        verdict: Verdict::Done,
        artifacts,
        records: vec![],
    }
}

/// A job folder with the outcome of an attempt that left one file, and the text of that outcome.
fn finished() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("job/t-1/output");
    fs::create_dir_all(&output).unwrap();
    fs::write(output.join("a.txt"), "one").unwrap();
    let artifact = Artifact { path: "a.txt".parse().unwrap(), bytes: 3, digest: Digest::of(b"one"), stamp: None };
    let done = Outcome { schema: OUTCOME_SCHEMA_WITHOUT_DIGESTS, ..done("t-1".parse().unwrap(), vec![artifact]) };
    (folder, serde_json::to_string(&done).unwrap())
}

/// The records that an outcome is made of are read only as they were when it was published.
#[test]
fn a_changed_journal_or_item_or_outcome_is_refused_by_name() {
    let (folder, _) = finished();
    let job = folder.path().join("job");
    let item = serde_json::json!({
        "task": "a", "subtask": "", "item": 0, "chosen": 0, "correct": true, "credit": 1.0, "scores": [-1.5]
    });
    let mut records = vec![];
    fs::create_dir(job.join("t-0")).unwrap();
    for (name, text) in [
        ("t-0/journal.jsonl", line("killed") + "{\"at\":0,\"ev"),
        ("t-1/journal.jsonl", line("done")),
        ("t-1/items.jsonl", format!("{item}\n")),
    ] {
        fs::write(job.join(name), &text).unwrap();
        let (bytes, digest) = (text.len() as u64, Digest::of(text.as_bytes()));
        records.push(Artifact { path: name.parse().unwrap(), bytes, digest, stamp: None });
    }
    let done = Outcome { records, ..done("t-1".parse().unwrap(), vec![]) };
    let text = digested_json::to_text(&done).unwrap();
    assert_eq!(problem(&folder, &text), "none");
    // An attempt that another machine took for dead may still write.
    File::options().append(true).open(job.join("t-0/journal.jsonl")).unwrap().write_all(b"ent\n").unwrap();
    assert_eq!(problem(&folder, &text), "none");
    for name in ["t-0/journal.jsonl", "t-1/journal.jsonl", "t-1/items.jsonl"] {
        let intact = fs::read(job.join(name)).unwrap();
        let mut damaged = intact.clone();
        damaged[7] ^= 4;
        fs::write(job.join(name), damaged).unwrap();
        let found = problem(&folder, &text);
        assert!(found.starts_with(&format!("JOB/{name} is damaged: its digest is ")), "{found}");
        fs::write(job.join(name), intact).unwrap();
    }
    let unrecorded = Outcome { records: vec![], ..done };
    fs::write(job.join(layout::published_outcome("t")), digested_json::to_text(&unrecorded).unwrap()).unwrap();
    let (_, items) = outcome(&job, id(0), "t").unwrap().unwrap();
    assert_eq!(items, [], "items that the outcome does not know are not read");
    let later = problem(&folder, &text.replace("\"ended\": 1", "\"ended\": 2"));
    assert!(later.starts_with("JOB/outcome.t.json: it is damaged: its digest is "), "{later}");
}

/// What is wrong with an outcome, with paths relative to the folder of the job.
fn problem(folder: &tempfile::TempDir, text: &str) -> String {
    let job = folder.path().join("job");
    fs::write(job.join(layout::published_outcome("t")), text).unwrap();
    match outcome(&job, id(0), "t").unwrap() {
        Ok(_) => "none".to_owned(),
        Err(problem) => problem.replace(&job.display().to_string(), "JOB"),
    }
}

#[test]
fn an_outcome_whose_paths_lead_out_of_its_job_is_refused() {
    let (folder, text) = finished();
    assert_eq!(problem(&folder, &text), "none");
    fs::create_dir_all(folder.path().join("victim/output")).unwrap();
    fs::write(folder.path().join("victim/output/a.txt"), "one").unwrap();
    std::os::unix::fs::symlink(folder.path().join("victim"), folder.path().join("job/t-2")).unwrap();
    let absolute = folder.path().join("victim").display().to_string();
    let crafted = |attempt: &str| problem(&folder, &text.replace("\"t-1\"", &format!("\"{attempt}\"")));
    for attempt in ["../victim", &absolute, "..", ".", "t-1/../../victim", ""] {
        assert!(crafted(attempt).contains("is not the name of a folder"), "{attempt}: {}", crafted(attempt));
    }
    assert_eq!(crafted("t-2"), "JOB/t-2 leads out of the folder of its job by a symbolic link");
    assert_eq!(crafted("u-1"), "JOB/outcome.t.json names u-1, an attempt at another submission");
    let outer = problem(&folder, &text.replace("\"a.txt\"", "\"../../../victim/output/a.txt\""));
    assert!(outer.contains("is not a path inside a folder"), "{outer}");
    std::os::unix::fs::symlink(folder.path().join("victim/output/a.txt"), folder.path().join("job/t-1/output/b"))
        .unwrap();
    let linked = problem(&folder, &text.replace("\"a.txt\"", "\"b\""));
    assert_eq!(linked, "JOB/t-1/output/b leads out of the folder of its job by a symbolic link");
}

#[test]
fn a_file_of_the_same_length_does_not_pass_for_another() {
    let (folder, text) = finished();
    let path = folder.path().join("job/t-1/output/a.txt");
    fs::write(&path, "two").unwrap();
    let (found, recorded) = (Digest::of(b"two"), Digest::of(b"one"));
    let expected = format!("JOB/t-1/output/a.txt is damaged: its digest is {found}, but {recorded} is recorded");
    assert_eq!(problem(&folder, &text), expected);
    fs::remove_file(&path).unwrap();
    assert_eq!(problem(&folder, &text), "JOB/t-1/output/a.txt: No such file or directory (os error 2)");
}

#[test]
fn tokens_are_unique() {
    let tokens: std::collections::BTreeSet<String> = (0..1000).map(|_| new_token()).collect();
    assert_eq!(tokens.len(), 1000);
}
