use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use indicatif::TermLike;
use proptest::prelude::*;

use super::*;
use crate::domain::{
    Digest, Event, FailureKind, JobId, JobKind, JournalEntry, Mode, Outcome, Score, Suite, Update, Verdict,
};

/// The start of the run.
const BEGAN: i64 = 1_000_000;

fn id(number: usize) -> JobId {
    Digest::of(&[number as u8]).to_string()[..32].parse().unwrap()
}

/// The jobs of a small run: a tokenizer, a corpus, two seeds of a model, of which one is tuned and scored.
fn planned() -> Vec<PlannedJob> {
    let jobs = [
        (JobKind::Tokenizer, "bpe-8192", 1.0),
        (JobKind::Prepare, "corpus", 1.0),
        (JobKind::Pretrain, "small/seed1", 40.0),
        (JobKind::Pretrain, "small/seed2", 40.0),
        (JobKind::Tune, "small/world/seed1", 10.0),
        (JobKind::Eval, "blimp small/world/seed1", 8.0),
    ];
    let job = |(number, (kind, label, weight)): (usize, (JobKind, &str, f64))| PlannedJob {
        id: id(number),
        label: label.to_owned(),
        kind,
        weight,
    };
    jobs.into_iter().enumerate().map(job).collect()
}

fn update(job: usize, update: Update) -> JobUpdate {
    JobUpdate { job: id(job), update }
}

fn submitted(job: usize) -> JobUpdate {
    update(job, Update::Submitted { token: "t".into(), slot: "cpu/0".into() })
}

fn journal_at(job: usize, at: i64, event: Event) -> JobUpdate {
    let entry = JournalEntry { at, event };
    update(job, Update::Journal { token: "t".into(), attempt: PathBuf::from("t-1"), line: 0, entry })
}

fn journal(job: usize, event: Event) -> JobUpdate {
    journal_at(job, BEGAN + 1, event)
}

fn started() -> Event {
    let (host, device, version) = ("here".into(), "cpu".into(), "1".into());
    Event::Started { host, pid: 1, device, threads: 1, micro_batch: None, version }
}

fn at(done: u64, total: u64) -> Event {
    Event::Progress { done, total, loss: None, tokens_per_second: None }
}

fn trained(done: u64, total: u64, loss: f64, speed: f64) -> Event {
    Event::Progress { done, total, loss: Some(loss), tokens_per_second: Some(speed) }
}

fn metric(name: &str, value: f64) -> Event {
    Event::Metric { name: name.into(), step: 0, value }
}

fn scored(task: &str, subtask: Option<&str>, value: f64) -> Event {
    Event::Scored(Score {
        suite: Suite::Blimp,
        task: task.into(),
        subtask: subtask.map(str::to_owned),
        metric: "accuracy".into(),
        value,
        n: 10,
        stderr: None,
        chance: None,
        floor: None,
        ties: 0,
        near_ties: 0,
        nans: 0,
        unscored: 0,
        classes: None,
        mode: Mode::FIXED,
    })
}

fn ended(job: usize, milliseconds: i64, verdict: Verdict) -> JobUpdate {
    let outcome = Outcome {
        schema: 1,
        id: id(job),
        token: "t".into(),
        attempt: "t-1".parse().unwrap(),
        started: BEGAN,
        ended: BEGAN + milliseconds,
        verdict,
        artifacts: vec![],
        records: vec![],
    };
    update(job, Update::Ended { folder: PathBuf::from("job"), outcome, items: vec![] })
}

fn failed(job: usize, failure: FailureKind, message: &str) -> JobUpdate {
    ended(job, 5_000, Verdict::Failed { failure, message: message.into() })
}

fn state(updates: &[JobUpdate]) -> RunState {
    let mut state = RunState::new(&planned(), BEGAN);
    updates.iter().for_each(|update| state.apply(update));
    state
}

/// The lines that these updates print.
fn lines(updates: &[JobUpdate]) -> String {
    let mut state = RunState::new(&planned(), BEGAN);
    let mut lines = vec![];
    for update in updates {
        state.apply(update);
        lines.extend(text::update_line(&state, update));
    }
    lines.join("\n")
}

/// A run without errors.
fn successful_run() -> Vec<JobUpdate> {
    vec![
        submitted(0),
        ended(0, 400, Verdict::Done),
        submitted(1),
        journal(1, metric("words", 1_230_000.0)),
        journal(1, metric("tokens", 1_612_345.0)),
        ended(1, 12_000, Verdict::Done),
        submitted(2),
        submitted(3),
        journal(2, trained(100, 412, 5.5, 4_050.0)),
        journal(2, trained(412, 412, 2.314, 12_000.0)),
        ended(2, 64_000, Verdict::Done),
        submitted(4),
        journal(3, trained(100, 104_120, 12.345, 812_000.0)),
        journal(3, trained(104_120, 104_120, 2.3, 812_000.0)),
        ended(3, 7_500_000, Verdict::Done),
        journal(4, at(7, 7)),
        ended(4, 1_000, Verdict::Done),
        submitted(5),
        journal(5, scored("blimp", Some("anaphora"), 50.0)),
        journal(5, scored("blimp", None, 93.149)),
        ended(5, 2_100, Verdict::Done),
    ]
}

#[test]
fn finished_jobs_are_aligned_in_columns() {
    insta::assert_snapshot!(lines(&successful_run()), @r"
    [1/6] tokenizer  bpe-8192                                                          0.4s
    [2/6] prepare    corpus                     1.2M words   1.6M tokens                12s
    [3/6] pretrain   small/seed1                 412 steps  loss  2.31   8.1k tok/s   1m04s
    [4/6] pretrain   small/seed2              104120 steps  loss  2.30   812k tok/s   2h05m
    [5/6] tune       small/world/seed1             7 steps                             1.0s
    [6/6] eval       blimp small/world/seed1  blimp 93.1                               2.1s
    ");
}

#[test]
fn errors_and_warnings_name_the_job() {
    let updates = [
        submitted(0),
        journal(0, Event::Warning { message: "the corpus is small\nvery small".into() }),
        ended(0, 400, Verdict::Done),
        submitted(2),
        update(2, Update::Lost { token: "t".into(), message: "killed by signal 9".into() }),
        submitted(2),
        journal(2, started()),
        journal(2, Event::Resumed { step: 300 }),
        journal(2, Event::Interrupted { step: 350 }),
        update(2, Update::Stopped { token: "t".into() }),
        failed(3, FailureKind::NonFinite, "the loss is NaN at step 12\nbacktrace"),
        update(5, Update::Stopped { token: "t".into() }),
        failed(1, FailureKind::Job, ""),
        update(9, Update::Lost { token: "t".into(), message: "not of this run".into() }),
    ];
    insta::assert_snapshot!(lines(&updates), @r"
          tokenizer  bpe-8192                 warning: the corpus is small
    [1/6] tokenizer  bpe-8192                                                          0.4s
          pretrain   small/seed1              LOST: killed by signal 9
          pretrain   small/seed1              retrying
          pretrain   small/seed1              resumed from step 300
          pretrain   small/seed1              stopped; saved at step 350
    [2/6] pretrain   small/seed2              FAILED: the loss is NaN at step 12
          eval       blimp small/world/seed1  stopped
    [3/6] prepare    corpus                   FAILED: no reason given
    ");
}

#[test]
fn heartbeats_show_the_progress_of_the_run() {
    let at = |minutes: u64, updates: &[JobUpdate]| text::heartbeat(&state(updates), Duration::from_secs(60 * minutes));
    let mut shown = vec![at(1, &[])];
    let mut updates = successful_run()[..8].to_vec();
    updates.push(journal(2, trained(206, 412, 3.0, 8_000.0)));
    shown.push(at(5, &updates));
    updates.push(failed(3, FailureKind::Job, "no"));
    shown.push(at(6, &updates));
    updates.extend([0, 1, 3, 4, 5].map(submitted));
    shown.push(at(7, &updates));
    insta::assert_snapshot!(shown.join("\n"), @r"
    [0/6] 0% of the work
    [2/6] 22% of the work, 17m44s left; running: pretrain small/seed1 50%, pretrain small/seed2
    [3/6] 22% of the work, 1 failed, 10m22s left; running: pretrain small/seed1 50%
    [0/6] 20% of the work, 28m00s left; running: tokenizer bpe-8192, prepare corpus, pretrain small/seed1 50% and 3 more
    ");
}

#[test]
fn the_work_of_earlier_runs_does_not_count_towards_the_speed() {
    let hour = Duration::from_secs(3_600);
    // Half of the first pretraining (40 of 100) was done before, and 10 more were done in an hour: 70 are left.
    let resumed =
        [submitted(2), journal(2, started()), journal(2, Event::Resumed { step: 50 }), journal(2, at(75, 100))];
    assert_eq!(state(&resumed).time_left(hour), Some(hour * 7));
    let taken_over =
        [journal_at(2, BEGAN - 10, started()), journal_at(2, BEGAN - 9, at(50, 100)), journal(2, at(75, 100))];
    assert_eq!(state(&taken_over).time_left(hour), Some(hour * 7));
    assert_eq!(state(&taken_over[..2]).time_left(hour), None);
    assert_eq!(state(&taken_over[..2]).share(), 0.2);
}

#[test]
fn a_job_that_is_retried_does_not_count_as_failed() {
    let mut updates = vec![submitted(2), failed(2, FailureKind::OutOfMemory, "out of memory")];
    assert_eq!(state(&updates).counts().failed, 1);
    updates.push(submitted(2));
    assert_eq!(state(&updates).counts().failed, 0);
    updates.extend([journal(2, at(9, 9)), ended(2, 1, Verdict::Done)]);
    assert_eq!((state(&updates).counts().failed, state(&updates).counts().done), (0, 1));
}

#[test]
fn a_new_attempt_starts_from_zero_unless_it_resumes() {
    let mut updates = vec![submitted(2), journal(2, at(80, 100)), submitted(2), journal(2, started())];
    assert_eq!(state(&updates).job(&id(2)).unwrap().done, 0);
    updates.push(journal(2, Event::Resumed { step: 60 }));
    assert_eq!(state(&updates).job(&id(2)).unwrap().share(), 0.6);
}

#[test]
fn the_speed_of_a_job_is_the_mean_over_its_time() {
    // 100 steps at half the speed of another 100.
    let updates = [journal(2, trained(100, 200, 1.0, 1_000.0)), journal(2, trained(200, 200, 1.0, 2_000.0))];
    let mean = state(&updates).job(&id(2)).unwrap().mean_speed().unwrap();
    assert!((mean - 4_000.0 / 3.0).abs() < 1e-9, "{mean}");
}

#[test]
fn long_labels_keep_both_ends() {
    let mut planned = planned();
    planned[0].label = "blimp-supplement a-long-model/with>many>stages/seed12".into();
    let state = RunState::new(&planned, BEGAN);
    let names = [0, 2].map(|number| text::short_name(&state, &state.jobs()[number]) + "|");
    insta::assert_snapshot!(names.join("\n"), @r"
    tokenizer  blimp-supplemen…ny>stages/seed12|
    pretrain   small/seed1                     |
    ");
}

/// A stream and a terminal whose content can be read.
#[derive(Debug, Clone, Default)]
struct Screen(Arc<Mutex<String>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push_str(str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        120
    }
    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        writeln!(self.clone(), "{text}")
    }
    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_minute_without_a_line_prints_a_heartbeat() {
    let screen = Screen::default();
    let mut lines = Lines::new(Box::new(screen.clone()));
    let events = [(0, submitted(0)), (59, submitted(1)), (60, submitted(2)), (70, submitted(3)), (119, submitted(4))];
    let mut state = RunState::new(&planned(), BEGAN);
    for (second, update) in &events {
        state.apply(update);
        lines.show(&state, update, Duration::from_secs(*second));
    }
    insta::assert_snapshot!(screen.0.lock().unwrap(), @r"
    [0/6] 0% of the work; running: tokenizer bpe-8192, prepare corpus, pretrain small/seed1
    ");
}

#[test]
fn silent_mode_prints_nothing_and_a_broken_stream_is_ignored() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let screen = Screen::default();
    let mut silent = Progress::new(&planned(), ProgressMode::Silent, Box::new(screen.clone()));
    let mut broken = Progress::new(&planned(), ProgressMode::Lines, Box::new(Broken));
    for update in successful_run() {
        silent.update(&update);
        broken.update(&update);
    }
    silent.finish();
    broken.finish();
    assert_eq!(*screen.0.lock().unwrap(), "");
}

#[test]
fn bars_are_drawn_below_the_lines() {
    let screen = Screen::default();
    let mut state = RunState::new(&planned(), BEGAN);
    let mut bars = Bars::new(&state, indicatif::ProgressDrawTarget::term_like(Box::new(screen.clone())));
    let mut updates = successful_run()[..8].to_vec();
    updates.push(journal(2, trained(206, 412, 3.0, 8_000.0)));
    for update in &updates {
        state.apply(update);
        bars.show(&state, update, Duration::from_secs(30));
    }
    bars.clear();
    let text = screen.0.lock().unwrap().clone();
    let last = |what: &str| text.lines().rfind(|line| line.contains(what)).unwrap_or_default().trim_end().to_owned();
    let shown = ["all ", "pretrain   small/seed1", "pretrain   small/seed2", "prepare"].map(last).join("\n");
    insta::with_settings!({filters => vec![(r"[⠀-⣿]", "*"), (r"\d\.\ds", "0.0s")]}, {
        insta::assert_snapshot!(shown, @r"
        * all                                 ━━━━╸╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  22%    0.0s  2/6 jobs  1m46s left
        * pretrain   small/seed1              ━━━━━━━━━━╸╌╌╌╌╌╌╌╌╌  50%    0.0s  loss 3.00   8.0k tok/s
        * pretrain   small/seed2                                           0.0s
        [2/6] prepare    corpus                     1.2M words   1.6M tokens                12s
        ");
    });
}

proptest! {
    #[test]
    fn shares_and_counts_stay_in_bounds(
        script in prop::collection::vec((0..7_usize, 0..9_u8, 0..20_u64, 0..20_u64), 0..60),
    ) {
        let mut state = RunState::new(&planned(), BEGAN);
        for (job, what, done, total) in script {
            let update = match what {
                0 => submitted(job),
                1 => journal(job, started()),
                2 => journal(job, Event::Resumed { step: done }),
                3 => journal_at(job, BEGAN - 1, trained(done, total, 1.0, 0.0)),
                4 => journal(job, trained(done, total, 1.0, 100.0)),
                5 => ended(job, -3, Verdict::Done),
                6 => failed(job, FailureKind::Job, "no"),
                7 => update(job, Update::Stopped { token: "t".into() }),
                _ => update(job, Update::Lost { token: "t".into(), message: "gone".into() }),
            };
            state.apply(&update);
            prop_assert!((0.0..=1.0).contains(&state.share()));
            prop_assert_eq!(state.share() == 1.0, state.counts().done == state.counts().jobs);
            prop_assert!(state.counts().done + state.counts().failed <= state.counts().jobs);
            prop_assert!(state.time_left(Duration::from_secs(9)).is_none_or(|left| left < Duration::from_secs(1_000)));
            prop_assert_eq!(text::update_line(&state, &update).is_some_and(|line| line.contains('\n')), false);
        }
    }
}
