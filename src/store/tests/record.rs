//! Tests of recording: what becomes current, what is replaced, and what changes nothing.

use super::*;

#[tokio::test]
async fn scores_become_current_when_the_job_is_done_and_a_rerun_replaces_them() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    world.begin(&store, "y", &both()[..1]).await;
    let job = world.evals[0].id();

    let first = Reporter { store: &store, job, token: "one", attempt: "a1" };
    let mut updates = first.success(60.0);
    let end = updates.pop().unwrap();
    store.record_all(&updates, 1).await.unwrap();
    assert_eq!(store.scores("x").await.unwrap(), []);
    store.record(&end, 2).await.unwrap();
    let scores = store.scores("x").await.unwrap();
    assert_eq!(
        scores.iter().map(|row| row.score.clone()).collect::<Vec<_>>(),
        [score(None, 60.0), score(Some("a"), 60.0)]
    );
    assert_eq!(scores[0].cell, "tiny/pretrained/lr=0.1/warmup=5/seed1");
    assert_eq!(scores[0].extra, "lr=0.1, warmup=5");
    assert_eq!(scores[0].job, job.to_string());
    // The job is shared: it appears in the other experiment too.
    assert_eq!(store.scores("y").await.unwrap().len(), 2);

    let second = Reporter { store: &store, job, token: "two", attempt: "a2" };
    let mut updates = second.success(70.0);
    if let Update::Ended { items, .. } = &mut updates[4].update {
        *items = vec![item(5, 1.0)];
    }
    store.record_all(&updates[..4], 3).await.unwrap();
    assert_eq!(store.scores("x").await.unwrap()[0].score.value, 60.0);
    store.record(&updates[4], 3).await.unwrap();
    assert_eq!(store.scores("x").await.unwrap()[0].score.value, 70.0);
    let id = job.to_string();
    assert_eq!(store.items(std::slice::from_ref(&id)).await.unwrap(), BTreeMap::from([(id, vec![item(5, 1.0)])]));

    let history = store.history(&[job, world.shared.id(), tokenizer(9).id()]).await.unwrap();
    assert_eq!(history.len(), 2);
    let done = &history[&job];
    assert_eq!((done.last.clone(), done.token.as_deref()), (LastAttempt::Done, Some("two")));
    assert_eq!(done.attempt, Some(folder(&store, job).join("a2")));
    assert_eq!(done.artifacts.iter().map(|a| &*a.path).collect::<Vec<_>>(), [Path::new("a2.txt")]);
    assert_eq!(history[&world.shared.id()].last, LastAttempt::Never);
}

#[tokio::test]
async fn recording_twice_changes_nothing() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    let mut updates = Reporter { store: &store, job: world.evals[0].id(), token: "one", attempt: "a1" }.success(60.0);
    updates.insert(2, Reporter { store: &store, job: world.evals[0].id(), token: "one", attempt: "a1" }.started(0));
    store.record_all(&updates, 1).await.unwrap();
    let once = dump(&store).await;
    store.record_all(&updates, 2).await.unwrap();
    assert_eq!(dump(&store).await, once);
    assert!(once.contains("accuracy"));
}

#[tokio::test]
async fn a_late_success_of_a_lost_attempt_counts_and_the_first_success_stays() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    let job = world.evals[0].id();
    let first = Reporter { store: &store, job, token: "one", attempt: "a1" };
    let second = Reporter { store: &store, job, token: "two", attempt: "a2" };
    let last = async || store.history(&[job]).await.unwrap().remove(&job).unwrap();

    let success = first.success(60.0);
    store.record_all(&success[..2], 1).await.unwrap();
    store
        .record(&first.update(Update::Lost { token: "one".into(), message: "no heartbeat".into() }), 900_000)
        .await
        .unwrap();
    assert_eq!(last().await.last, LastAttempt::Lost);
    let attempts = store.attempts(job).await.unwrap();
    // It ended when it was last heard of, not when the loss was noticed.
    assert_eq!((attempts[0].state, attempts[0].ended), (JobState::Lost, Some(5000)));

    store.record_all(&second.success(70.0)[..2], 3).await.unwrap();
    assert_eq!(last().await.last, LastAttempt::Running);
    store.record_all(&success[2..], 4).await.unwrap();
    assert_eq!((last().await.last, last().await.token.as_deref()), (LastAttempt::Done, Some("one")));
    store.record_all(&second.success(70.0)[2..], 5).await.unwrap();
    assert_eq!(last().await.token.as_deref(), Some("one"));
    assert_eq!(store.scores("x").await.unwrap()[0].score.value, 60.0);
    let states: Vec<JobState> = store.attempts(job).await.unwrap().iter().map(|attempt| attempt.state).collect();
    assert_eq!(states, [JobState::Done, JobState::Done]);
}

#[tokio::test]
async fn two_attempts_of_one_submission() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    let job = world.evals[0].id();
    let [first, again] = ["a1", "a2"].map(|attempt| Reporter { store: &store, job, token: "one", attempt });
    let updates =
        [first.submitted(), first.started(0), first.line(1, Event::Interrupted { step: 4 }), again.started(0)];
    store.record_all(&updates, 1).await.unwrap();
    let states = async || -> Vec<JobState> { store.attempts(job).await.unwrap().iter().map(|row| row.state).collect() };
    assert_eq!(states().await, [JobState::Interrupted, JobState::Running]);
    assert_eq!(store.history(&[job]).await.unwrap()[&job].attempt, Some(folder(&store, job).join("a2")));
    let failed = Verdict::Failed { failure: FailureKind::NonFinite, message: "loss is NaN at step 3".into() };
    store.record(&first.ended(failed, vec![]), 2).await.unwrap();
    assert_eq!(states().await, [JobState::Failed, JobState::Lost]);
    let last = LastAttempt::Failed { failure: FailureKind::NonFinite, message: "loss is NaN at step 3".into() };
    assert_eq!(store.history(&[job]).await.unwrap()[&job].last, last);
}

#[tokio::test]
async fn an_error_on_an_update_of_an_unknown_job_names_the_job() {
    let (_folder, store) = opened().await;
    let job = tokenizer(7).id();
    let error =
        store.record(&Reporter { store: &store, job, token: "t", attempt: "a" }.submitted(), 1).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("record what happened to job {}: ", job.short())), "{error}");
}

#[tokio::test]
async fn extreme_numbers_survive() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &[cell("pretrained", u64::MAX)]).await;
    let job = world.evals[0].id();
    let reporter = Reporter { store: &store, job, token: "t", attempt: "a" };
    let mut updates = reporter.success(f64::NAN);
    let exact = ItemOutcome { scores: vec![Some(-0.1 - 0.2), Some(f64::MIN_POSITIVE)], ..item(0, 1.0 / 3.0) };
    updates[4] = reporter.ended(Verdict::Done, vec![exact.clone()]);
    store.record_all(&updates, 1).await.unwrap();
    let scores = store.scores("x").await.unwrap();
    assert_eq!(scores[0].seed, u64::MAX);
    assert!(scores[0].score.value.is_nan());
    assert_eq!(store.items(&[job.to_string()]).await.unwrap()[&job.to_string()], [exact]);
}
