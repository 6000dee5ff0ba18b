//! The executor with shell scripts in place of the programs of Slurm.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A folder with an `sbatch`, an `squeue` and an `scancel`, and of a job.
struct Double {
    folder: tempfile::TempDir,
}

impl Double {
    fn new() -> Self {
        let double = Self { folder: tempfile::tempdir().unwrap() };
        double
            .program("sbatch", "printf '%s\\n' \"$@\" >> sent; cat >> sent; cat refusal >&2 && exit 1; echo '17;here'");
        double.program("squeue", "cat down >&2 && exit 1; cat queue");
        double.program("scancel", "echo \"$@\" >> cancelled");
        double.write("queue", "");
        fs::create_dir_all(double.job()).unwrap();
        double
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

    /// One with a submission `t`.
    fn submitted(&self) -> Slurm {
        let mut slurm = self.slurm();
        slurm.submit(0, &self.job(), "t").unwrap();
        slurm
    }
}

/// Polls for longer than the grace; the last answer, or the first that is an end.
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
fn a_job_is_submitted_with_all_by_which_it_is_found_again() {
    let double = Double::new();
    double.submitted();
    let folder = double.folder.path().display().to_string();
    insta::assert_snapshot!(double.read("sent").replace(&folder, "FOLDER"), @r"
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
    exec '/opt/it'\''s/grid-worker' --device cuda:0 --threads 8 <<'END OF FOLDERS'
    FOLDER/runs/first/pretrain-0123456789abcdef
    END OF FOLDERS
    ");
}

#[test]
fn names_are_what_slurm_takes() {
    assert_eq!(name_of("/a b/my exp/tune-01".as_ref()), "my_exp.tune-01");
    let long = format!("/runs/{}/tune-01", "é".repeat(200));
    assert_eq!((name_of(long.as_ref()).len(), name_of(long.as_ref()).ends_with("_.tune-01")), (128, true));
}

#[test]
fn a_job_in_the_queue_is_awaited_for_ever() {
    let double = Double::new();
    let mut slurm = double.submitted();
    for state in ["PENDING|Resources", "RUNNING|None", "COMPLETING|None", "PENDING|BeginTime"] {
        double.write("queue", &format!("17|{state}|t\n"));
        assert_eq!(after_grace(&mut slurm), WorkerStatus::Alive, "{state}");
    }
    assert_eq!((double.sent(), double.read("cancelled")), (1, String::new()));
}

#[test]
fn one_listing_without_a_job_is_no_proof() {
    let double = Double::new();
    let mut slurm = double.submitted();
    assert_eq!(slurm.poll(0), WorkerStatus::Alive);
    // Squeue fails: nothing is known, however long.
    double.write("down", "Unable to contact slurm controller");
    assert_eq!(after_grace(&mut slurm), WorkerStatus::Alive);
    double.remove("down");
    double.write("queue", "17|RUNNING|None|t\n");
    assert_eq!(slurm.poll(0), WorkerStatus::Alive);
    double.write("queue", "18|RUNNING|None|another\n");
    assert_eq!(message(after_grace(&mut slurm)), "it is not in Slurm's queue, shows no activity, and left no outcome");
}

#[test]
fn a_worker_whose_heart_beats_is_awaited_whatever_slurm_says() {
    let double = Double::new();
    let mut slurm = double.submitted();
    let attempt = double.job().join("t-1");
    fs::create_dir_all(&attempt).unwrap();
    double.write("queue", "17|NODE_FAIL|NodeDown|t\n");
    for beat in 0..30 {
        fs::write(attempt.join("heartbeat"), beat.to_string()).unwrap();
        assert_eq!(slurm.poll(0), WorkerStatus::Alive);
        std::thread::sleep(Duration::from_millis(10));
    }
    let message = message(after_grace(&mut slurm));
    assert_eq!(message, "Slurm job 17 is NODE_FAIL (NodeDown) and left no outcome");
}

#[test]
fn the_end_of_a_job_is_told_with_its_last_words() {
    let double = Double::new();
    let ends = [
        ("TIMEOUT|TimeLimit", "reached its time limit", false),
        ("OUT_OF_MEMORY|OutOfMemory", "needed more memory", false),
        ("PREEMPTED|None", "was preempted", true),
        ("CANCELLED|None", "was cancelled", false),
        ("FAILED|NonZeroExitCode", "is FAILED (NonZeroExitCode)", false),
    ];
    fs::write(double.job().join("slurm-17.out"), "libtorch_cpu.so: cannot open shared object file\n").unwrap();
    for (state, words, expected) in ends {
        double.write("queue", &format!("17|{state}|t\n"));
        let WorkerStatus::Ended { resumable, message } = after_grace(&mut double.submitted()) else {
            panic!("{state}")
        };
        assert!(message.starts_with(&format!("Slurm job 17 {words}")), "{message}");
        assert!(message.ends_with("slurm-17.out ends with:\nlibtorch_cpu.so: cannot open shared object file"));
        assert_eq!(resumable, expected, "{state}");
    }
}

#[test]
fn a_job_that_slurm_holds_for_ever_is_cancelled_and_given_up() {
    let double = Double::new();
    let mut slurm = double.submitted();
    double.write("queue", "17|PENDING|launch failed requeued held|t\n");
    assert!(message(after_grace(&mut slurm)).contains("never start job 17 again: launch failed requeued held"));
    assert_eq!(double.read("cancelled"), "--name=first.pretrain-0123456789abcdef 17\n");
}

#[test]
fn a_failed_sbatch_may_have_queued_the_job() {
    let double = Double::new();
    double.write("refusal", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n");
    let mut slurm = double.submitted();
    double.remove("refusal");
    double.write("queue", "21|PENDING|Priority|t\n");
    assert_eq!((after_grace(&mut slurm), double.sent()), (WorkerStatus::Alive, 1), "it was queued");

    let double = Double::new();
    double.write("refusal", "sbatch: error: Unable to contact slurm controller (connect failure)\n");
    let mut slurm = double.submitted();
    assert_eq!(after_grace(&mut slurm), WorkerStatus::Alive);
    assert!(double.sent() > 1, "it was not, and is sent again");
    double.remove("refusal");
    assert!(message(after_grace(&mut slurm)).contains("not in Slurm's queue"), "it was sent and vanished");
}

#[test]
fn what_will_not_pass_ends_the_run_unless_it_passed_before() {
    let double = Double::new();
    let refusal = "sbatch: error: Batch job submission failed: Invalid partition name specified\n";
    double.write("refusal", refusal);
    let error = double.slurm().submit(0, &double.job(), "t").unwrap_err().to_string();
    assert!(error.starts_with("submit a job to Slurm: sbatch: error: Batch job submission failed: Invalid"), "{error}");
    double.remove("refusal");
    let mut slurm = double.submitted();
    double.write("refusal", refusal);
    slurm.submit(1, &double.job(), "u").unwrap();

    // Said to a second try, after the controller had been away.
    double.write("refusal", "sbatch: error: Unable to contact slurm controller (connect failure)\n");
    let mut slurm = double.submitted();
    double.write("refusal", refusal);
    assert!(message(after_grace(&mut slurm)).contains("Invalid partition name specified"));
}

#[test]
fn jobs_outlive_their_coordinator_unless_told_otherwise() {
    let double = Double::new();
    let mut slurm = double.submitted();
    slurm.interrupt();
    slurm.kill();
    assert_eq!((slurm.outlives_coordinator(), double.read("cancelled")), (true, String::new()));
    slurm.cancel_on_exit = true;
    slurm.interrupt();
    assert!(!slurm.outlives_coordinator());
    assert_eq!(double.read("cancelled"), "--name=first.pretrain-0123456789abcdef 17\n");
}

#[test]
fn a_submission_of_an_earlier_coordinator_is_looked_for() {
    let double = Double::new();
    let mut slurm = double.slurm();
    double.write("queue", "9|PENDING|Priority|old\n");
    let grace = |slurm: &mut Slurm| {
        let end = Instant::now() + Duration::from_millis(300);
        std::iter::repeat_with(|| slurm.poll_adopted(&double.job(), "old"))
            .find(|status| *status != WorkerStatus::Alive || Instant::now() > end)
    };
    assert_eq!(grace(&mut slurm), Some(WorkerStatus::Alive));
    double.write("queue", "");
    assert!(message(grace(&mut slurm).unwrap()).contains("not in Slurm's queue"));
    assert_eq!(double.sent(), 0);
}
