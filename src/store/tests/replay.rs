//! A coordinator that was killed reads every journal again.

use proptest::prelude::*;

use super::*;

/// The history of a submission: up to two attempts with some lines each, optionally closed without an outcome, then
/// optionally late lines and an outcome.
#[derive(Debug, Clone)]
struct Script {
    job: usize,
    lines: [u8; 2],
    closed: Option<bool>,
    late_lines: u8,
    outcome: Option<(bool, bool)>,
}

fn script() -> impl Strategy<Value = Script> {
    (
        0..3usize,
        [0..5u8, 0..5u8],
        proptest::option::of(any::<bool>()),
        0..3u8,
        proptest::option::of(any::<(bool, bool)>()),
    )
        .prop_map(|(job, lines, closed, late_lines, outcome)| Script { job, lines, closed, late_lines, outcome })
}

impl Script {
    fn updates(&self, store: &Store, jobs: [JobId; 3], number: usize) -> Vec<JobUpdate> {
        let token = format!("token{number}");
        let names = [0, 1].map(|attempt| format!("attempt{number}-{attempt}"));
        let reporter = |i: usize| Reporter { store, job: jobs[self.job], token: &token, attempt: &names[i] };
        let line = |attempt: usize, line: u8| {
            let value = f64::from(line) + number as f64;
            let event = match line % 7 {
                0 => return reporter(attempt).started(0),
                1 => Event::Metric { name: "tokens".into(), step: u64::from(line % 2), value },
                2 => Event::Scored(score(None, value)),
                3 => Event::Warning { message: format!("warning {number}") },
                4 => Event::Scored(score(Some("a"), value)),
                5 => Event::Interrupted { step: 1 },
                _ => Event::Progress { done: 1, total: 2, loss: None, tokens_per_second: None },
            };
            reporter(attempt).line(u64::from(line), event)
        };
        let mut updates = vec![reporter(0).submitted()];
        for attempt in [0, 1] {
            updates.extend((0..self.lines[attempt]).map(|number| line(attempt, number)));
        }
        updates.extend(self.closed.map(|stopped| {
            reporter(0).update(match stopped {
                true => Update::Stopped { token: token.clone() },
                false => Update::Lost { token: token.clone(), message: "gone".into() },
            })
        }));
        if self.lines[0] > 0 {
            updates.extend((self.lines[0]..self.lines[0] + self.late_lines).map(|number| line(0, number)));
        }
        updates.extend(self.outcome.map(|(done, second)| {
            // Only eval jobs have items.
            let items = if self.job > 0 { vec![item(number as u32, 1.0)] } else { vec![] };
            let failed = Verdict::Failed { failure: FailureKind::Job, message: format!("no {number}") };
            let (verdict, items) = if done { (Verdict::Done, items) } else { (failed, vec![]) };
            reporter(usize::from(second)).ended(verdict, items)
        }));
        updates
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever the coordinator is killed, reading everything from the start gives the same database.
    #[test]
    fn recording_a_prefix_first_does_not_change_the_result(
        scripts in proptest::collection::vec(script(), 1..6),
        mixing in proptest::collection::vec(0..6usize, 60),
        cut in 0.0..=1.0f64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (once, again) = runtime.block_on(async {
            let world = World::new();
            let mut dumps = Vec::new();
            for twice in [false, true] {
                let (_folder, store) = opened().await;
                // Nothing here needs to survive a power cut.
                sqlx::query("PRAGMA synchronous = OFF").execute(&store.pool).await.unwrap();
                world.begin(&store, "x", &both()).await;
                let jobs = world.jobs().map(Job::id);
                let mut queues: Vec<_> = scripts
                    .iter()
                    .enumerate()
                    .map(|(number, script)| script.updates(&store, jobs, number).into_iter())
                    .collect();
                let mut updates: Vec<JobUpdate> = mixing.iter().filter_map(|i| queues.get_mut(*i)?.next()).collect();
                updates.extend(queues.into_iter().flatten());
                if twice {
                    let end = (cut * updates.len() as f64) as usize;
                    store.record_all(&updates[..end], 8000).await.unwrap();
                    for update in &updates[..end] {
                        store.record(update, 9000).await.unwrap();
                    }
                }
                store.record_all(&updates, 8000).await.unwrap();
                dumps.push(dump(&store).await);
            }
            let again = dumps.pop().unwrap();
            (dumps.pop().unwrap(), again)
        });
        prop_assert_eq!(once, again);
    }
}
