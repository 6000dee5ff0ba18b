//! The executor with shell scripts in place of the programs of Slurm.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::script::job_name;
use super::*;

/// A folder with scripts for `sbatch`, `squeue` and `scancel`, and the folder of a job.
struct FakeSlurm {
    folder: tempfile::TempDir,
}

impl FakeSlurm {
    fn new() -> Self {
        let fake = Self { folder: tempfile::tempdir().unwrap() };
        fake.program("sbatch", "printf '%s\\n' \"$@\" >> sent; cat >> sent; cat refusal >&2 && exit 1; echo '17;here'");
        fake.program("squeue", "cat down >&2 && exit 1; cat queue");
        fake.program("scancel", "echo \"$@\" >> cancelled");
        fake.write("queue", "");
        fs::create_dir_all(fake.job()).unwrap();
        fake
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{body}\n", self.folder.path().display())).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    /// How often sbatch was called.
    fn sent(&self) -> usize {
        self.read("sent").matches("#!/bin/sh").count()
    }

    fn job(&self) -> PathBuf {
        self.folder.path().join("runs/first/pretrain-0123456789abcdef")
    }

    fn slurm(&self) -> Slurm {
        let options = domain::Slurm {
            jobs: 2,
            cpus: 8,
            gres: Some("gpu:a100:1".into()),
            options: vec!["--partition=gpu".into(), "--no-requeue".into()],
            poll_every_seconds: 1,
            grace_seconds: 1,
        };
        let mut slurm =
            Slurm::new(WorkerProgram::new("/opt/it's/grid-worker".into(), "grid=info,warn"), options, false);
        slurm.commands = Commands::in_folder(self.folder.path().to_owned());
        (slurm.poll_every, slurm.grace) = (Duration::ZERO, Duration::from_millis(60));
        slurm
    }

    /// An executor with the submission `t`.
    fn submitted(&self) -> Slurm {
        let mut slurm = self.slurm();
        slurm.submit(0, &self.job(), "t").unwrap();
        slurm
    }
}

/// Polls for longer than the grace period; returns the last status, or the first that is an end.
fn after_grace(slurm: &mut Slurm) -> WorkerStatus {
    let end = Instant::now() + Duration::from_millis(400);
    loop {
        let status = slurm.poll(0);
        if status != WorkerStatus::Alive || Instant::now() > end {
            return status;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn message(status: WorkerStatus) -> String {
    match status {
        WorkerStatus::Ended { message, .. } => message,
        WorkerStatus::Alive => panic!("the worker is alive"),
    }
}

#[test]
fn a_job_is_submitted_with_the_options_that_identify_it_later() {
    let fake = FakeSlurm::new();
    fake.submitted();
    let folder = fake.folder.path().display().to_string();
    insta::assert_snapshot!(fake.read("sent").replace(&folder, "FOLDER"), @r"
    --parsable
    --nodes=1
    --ntasks=1
    --requeue
    --open-mode=append
    --signal=B:USR1@120
    --cpus-per-task=8
    --gres=gpu:a100:1
    --partition=gpu
    --no-requeue
    --dependency=singleton
    --job-name=first.pretrain-0123456789abcdef
    --comment=t
    --chdir=FOLDER/runs/first/pretrain-0123456789abcdef
    --output=FOLDER/runs/first/pretrain-0123456789abcdef/slurm-%j.out
    #!/bin/sh
    export OMP_NUM_THREADS='8'
    export GRID_LOG='grid=info,warn'
    export GOMP_SPINCOUNT='300000'
    export OMP_WAIT_POLICY='ACTIVE'
    exec '/opt/it'\''s/grid-worker' --device cuda:0 --threads 8 <<'END OF FOLDERS'
    FOLDER/runs/first/pretrain-0123456789abcdef
    END OF FOLDERS
    ");
}

#[test]
fn names_have_only_characters_that_slurm_accepts() {
    assert_eq!(job_name("/a b/my exp/tune-01".as_ref()), "my_exp.tune-01");
    let long = format!("/runs/{}/tune-01", "é".repeat(200));
    assert_eq!((job_name(long.as_ref()).len(), job_name(long.as_ref()).ends_with("_.tune-01")), (128, true));
}

#[test]
fn a_job_in_the_queue_never_times_out() {
    let fake = FakeSlurm::new();
    let mut slurm = fake.submitted();
    for state in ["PENDING|Resources", "RUNNING|None", "COMPLETING|None", "PENDING|BeginTime"] {
        fake.write("queue", &format!("17|{state}|t\n"));
        assert_eq!(after_grace(&mut slurm), WorkerStatus::Alive, "{state}");
    }
    assert_eq!((fake.sent(), fake.read("cancelled")), (1, String::new()));
}

#[test]
fn one_listing_without_a_job_does_not_count_as_a_loss() {
    let fake = FakeSlurm::new();
    let mut slurm = fake.submitted();
    assert_eq!(slurm.poll(0), WorkerStatus::Alive);
    // While squeue fails, nothing changes.
    fake.write("down", "Unable to contact slurm controller");
    assert_eq!(after_grace(&mut slurm), WorkerStatus::Alive);
    fake.remove("down");
    fake.write("queue", "17|RUNNING|None|t\n");
    assert_eq!(slurm.poll(0), WorkerStatus::Alive);
    fake.write("queue", "18|RUNNING|None|another\n");
    assert_eq!(message(after_grace(&mut slurm)), "it is not in Slurm's queue, shows no activity, and left no outcome");
}

#[test]
fn a_worker_with_heartbeats_is_awaited_whatever_slurm_reports() {
    let fake = FakeSlurm::new();
    let mut slurm = fake.submitted();
    let attempt = fake.job().join("t-1");
    fs::create_dir_all(&attempt).unwrap();
    fake.write("queue", "17|NODE_FAIL|NodeDown|t\n");
    for beat in 0..30 {
        fs::write(attempt.join(domain::layout::HEARTBEAT), beat.to_string()).unwrap();
        assert_eq!(slurm.poll(0), WorkerStatus::Alive);
        std::thread::sleep(Duration::from_millis(10));
    }
    let message = message(after_grace(&mut slurm));
    assert_eq!(message, "Slurm job 17 is NODE_FAIL (NodeDown) and left no outcome");
}

#[test]
fn the_end_of_a_job_is_reported_with_the_last_lines_of_its_log() {
    let fake = FakeSlurm::new();
    let ends = [
        ("TIMEOUT|TimeLimit", "reached its time limit", false),
        ("OUT_OF_MEMORY|OutOfMemory", "needed more memory", false),
        ("PREEMPTED|None", "was preempted", true),
        ("CANCELLED|None", "was cancelled", false),
        ("FAILED|NonZeroExitCode", "is FAILED (NonZeroExitCode)", false),
    ];
    fs::write(fake.job().join("slurm-17.out"), "libtorch_cpu.so: cannot open shared object file\n").unwrap();
    for (state, words, expected) in ends {
        fake.write("queue", &format!("17|{state}|t\n"));
        let WorkerStatus::Ended { resumable, message } = after_grace(&mut fake.submitted()) else { panic!("{state}") };
        assert!(message.starts_with(&format!("Slurm job 17 {words}")), "{message}");
        assert!(message.ends_with("slurm-17.out ends with:\nlibtorch_cpu.so: cannot open shared object file"));
        assert_eq!(resumable, expected, "{state}");
    }
}

#[test]
fn a_job_that_slurm_holds_for_ever_is_cancelled_and_counts_as_lost() {
    let fake = FakeSlurm::new();
    let mut slurm = fake.submitted();
    fake.write("queue", "17|PENDING|launch failed requeued held|t\n");
    assert!(message(after_grace(&mut slurm)).contains("never start job 17 again: launch failed requeued held"));
    assert_eq!(fake.read("cancelled"), "--name=first.pretrain-0123456789abcdef 17\n");
}

#[test]
fn a_failed_sbatch_may_have_queued_the_job() {
    let fake = FakeSlurm::new();
    fake.write("refusal", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n");
    let mut slurm = fake.submitted();
    fake.remove("refusal");
    fake.write("queue", "21|PENDING|Priority|t\n");
    assert_eq!((after_grace(&mut slurm), fake.sent()), (WorkerStatus::Alive, 1), "it was queued");

    let fake = FakeSlurm::new();
    fake.write("refusal", "sbatch: error: Unable to contact slurm controller (connect failure)\n");
    let mut slurm = fake.submitted();
    assert_eq!(after_grace(&mut slurm), WorkerStatus::Alive);
    assert!(fake.sent() > 1, "it was not queued and is sent again");
    fake.remove("refusal");
    assert!(message(after_grace(&mut slurm)).contains("not in Slurm's queue"), "it was sent and vanished");
}

#[test]
fn a_rejection_ends_the_run_unless_a_job_was_accepted_before() {
    let fake = FakeSlurm::new();
    let refusal = "sbatch: error: Batch job submission failed: Invalid partition name specified\n";
    fake.write("refusal", refusal);
    let error = fake.slurm().submit(0, &fake.job(), "t").unwrap_err().to_string();
    assert!(error.starts_with("submit a job to Slurm: sbatch: error: Batch job submission failed: Invalid"), "{error}");
    fake.remove("refusal");
    let mut slurm = fake.submitted();
    fake.write("refusal", refusal);
    slurm.submit(1, &fake.job(), "u").unwrap();

    // The second attempt, after the controller was unreachable, is rejected.
    fake.write("refusal", "sbatch: error: Unable to contact slurm controller (connect failure)\n");
    let mut slurm = fake.submitted();
    fake.write("refusal", refusal);
    assert!(message(after_grace(&mut slurm)).contains("Invalid partition name specified"));
}

#[test]
fn jobs_outlive_their_coordinator_by_default() {
    let fake = FakeSlurm::new();
    let mut slurm = fake.submitted();
    slurm.interrupt();
    slurm.kill();
    assert_eq!((slurm.outlives_coordinator(), fake.read("cancelled")), (true, String::new()));
    slurm.cancel_on_exit = true;
    slurm.interrupt();
    assert!(!slurm.outlives_coordinator());
    assert_eq!(fake.read("cancelled"), "--name=first.pretrain-0123456789abcdef 17\n");
}

#[test]
fn a_submission_of_an_earlier_coordinator_is_found_in_the_queue() {
    let fake = FakeSlurm::new();
    let mut slurm = fake.slurm();
    fake.write("queue", "9|PENDING|Priority|old\n");
    let grace = |slurm: &mut Slurm| {
        let end = Instant::now() + Duration::from_millis(300);
        std::iter::repeat_with(|| slurm.poll_adopted(&fake.job(), "old"))
            .find(|status| *status != WorkerStatus::Alive || Instant::now() > end)
    };
    assert_eq!(grace(&mut slurm), Some(WorkerStatus::Alive));
    fake.write("queue", "");
    assert!(message(grace(&mut slurm).unwrap()).contains("not in Slurm's queue"));
    assert_eq!(fake.sent(), 0);
}
