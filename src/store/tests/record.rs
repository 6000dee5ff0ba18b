//! Recording: what stands, what is replaced, what changes nothing.

use super::*;

#[tokio::test]
async fn scores_stand_once_the_job_is_done_and_a_rerun_replaces_them() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    world.begin(&store, "y", &both()[..1]).await;
    let job = world.evals[0].id();

    let first = Teller { store: &store, job, token: "one", attempt: "a1" };
    let mut news = first.success(60.0);
    let end = news.pop().unwrap();
    store.record_all(&news, 1).await.unwrap();
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

    let second = Teller { store: &store, job, token: "two", attempt: "a2" };
    let mut news = second.success(70.0);
    if let Update::Ended { items, .. } = &mut news[4].update {
        *items = vec![item(5, 1.0)];
    }
    store.record_all(&news[..4], 3).await.unwrap();
    assert_eq!(store.scores("x").await.unwrap()[0].score.value, 60.0);
    store.record(&news[4], 3).await.unwrap();
    assert_eq!(store.scores("x").await.unwrap()[0].score.value, 70.0);
    let id = job.to_string();
    assert_eq!(store.items(std::slice::from_ref(&id)).await.unwrap(), BTreeMap::from([(id, vec![item(5, 1.0)])]));

    let history = store.history(&[job, world.shared.id(), tokenizer(9).id()]).await.unwrap();
    assert_eq!(history.len(), 2);
    let done = &history[&job];
    assert_eq!((done.last.clone(), done.token.as_deref()), (Last::Done, Some("two")));
    assert_eq!(done.attempt, Some(folder(&store, job).join("a2")));
    assert_eq!(done.artifacts.iter().map(|a| a.path.as_path()).collect::<Vec<_>>(), [Path::new("a2.txt")]);
    assert_eq!(history[&world.shared.id()].last, Last::Never);
}

#[tokio::test]
async fn recording_twice_changes_nothing() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    let mut news = Teller { store: &store, job: world.evals[0].id(), token: "one", attempt: "a1" }.success(60.0);
    news.insert(2, Teller { store: &store, job: world.evals[0].id(), token: "one", attempt: "a1" }.started(0));
    store.record_all(&news, 1).await.unwrap();
    let once = dump(&store).await;
    store.record_all(&news, 2).await.unwrap();
    assert_eq!(dump(&store).await, once);
    assert!(once.contains("accuracy"));
}

#[tokio::test]
async fn a_late_success_of_a_lost_attempt_counts_and_the_first_of_two_stays() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    let job = world.evals[0].id();
    let first = Teller { store: &store, job, token: "one", attempt: "a1" };
    let second = Teller { store: &store, job, token: "two", attempt: "a2" };
    let last = async || store.history(&[job]).await.unwrap().remove(&job).unwrap();

    let success = first.success(60.0);
    store.record_all(&success[..2], 1).await.unwrap();
    store
        .record(&first.news(Update::Lost { token: "one".into(), message: "no heartbeat".into() }), 900_000)
        .await
        .unwrap();
    assert_eq!(last().await.last, Last::Lost);
    let attempts = store.attempts(job).await.unwrap();
    // The time of its death is when it was last heard of, not when that was noticed.
    assert_eq!((attempts[0].state, attempts[0].ended), (State::Lost, Some(5000)));

    store.record_all(&second.success(70.0)[..2], 3).await.unwrap();
    assert_eq!(last().await.last, Last::Running);
    store.record_all(&success[2..], 4).await.unwrap();
    assert_eq!((last().await.last, last().await.token.as_deref()), (Last::Done, Some("one")));
    store.record_all(&second.success(70.0)[2..], 5).await.unwrap();
    assert_eq!(last().await.token.as_deref(), Some("one"));
    assert_eq!(store.scores("x").await.unwrap()[0].score.value, 60.0);
    let states: Vec<State> = store.attempts(job).await.unwrap().iter().map(|attempt| attempt.state).collect();
    assert_eq!(states, [State::Done, State::Done]);
}

#[tokio::test]
async fn attempts_beside_each_other_under_one_submission() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &both()).await;
    let job = world.evals[0].id();
    let [first, again] = ["a1", "a2"].map(|attempt| Teller { store: &store, job, token: "one", attempt });
    let news = [first.submitted(), first.started(0), first.line(1, Event::Interrupted { step: 4 }), again.started(0)];
    store.record_all(&news, 1).await.unwrap();
    let states = async || -> Vec<State> { store.attempts(job).await.unwrap().iter().map(|row| row.state).collect() };
    assert_eq!(states().await, [State::Interrupted, State::Running]);
    assert_eq!(store.history(&[job]).await.unwrap()[&job].attempt, Some(folder(&store, job).join("a2")));
    let failed = Verdict::Failed { failure: Failure::NonFinite, message: "loss is NaN at step 3".into() };
    store.record(&first.ended(failed, vec![]), 2).await.unwrap();
    assert_eq!(states().await, [State::Failed, State::Lost]);
    let last = Last::Failed { failure: Failure::NonFinite, message: "loss is NaN at step 3".into() };
    assert_eq!(store.history(&[job]).await.unwrap()[&job].last, last);
}

#[tokio::test]
async fn news_of_an_unknown_job_name_the_job() {
    let (_folder, store) = opened().await;
    let job = tokenizer(7).id();
    let error =
        store.record(&Teller { store: &store, job, token: "t", attempt: "a" }.submitted(), 1).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("record what happened to job {}: ", job.short())), "{error}");
}

#[tokio::test]
async fn extreme_numbers_survive() {
    let (_folder, store) = opened().await;
    let world = World::new();
    world.begin(&store, "x", &[cell("pretrained", u64::MAX)]).await;
    let job = world.evals[0].id();
    let teller = Teller { store: &store, job, token: "t", attempt: "a" };
    let mut news = teller.success(f64::NAN);
    let exact = ItemOutcome { scores: vec![Some(-0.1 - 0.2), Some(f64::MIN_POSITIVE)], ..item(0, 1.0 / 3.0) };
    news[4] = teller.ended(Verdict::Done, vec![exact.clone()]);
    store.record_all(&news, 1).await.unwrap();
    let scores = store.scores("x").await.unwrap();
    assert_eq!(scores[0].seed, u64::MAX);
    assert!(scores[0].score.value.is_nan());
    assert_eq!(store.items(&[job.to_string()]).await.unwrap()[&job.to_string()], [exact]);
}
