//! Experiments on a Slurm cluster: a real cluster of one node on this machine, if Slurm is installed.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::recordings::skip;
use crate::common::{Env, TINY, texts};

const TIMEOUT: Duration = Duration::from_secs(120);

/// A controller and one node with two cores, as child processes of the test.
struct Cluster {
    folder: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    /// Starts a cluster. If Slurm is not installed or does not start, reports the test as skipped and returns `None`.
    fn start() -> Option<Self> {
        let installed = |name: &str| [Path::new("/usr/sbin"), Path::new("/usr/bin")].map(|at| at.join(name).is_file());
        if ["slurmctld", "slurmd", "sbatch"].iter().any(|name| !installed(name).contains(&true)) {
            skip("Slurm is not installed (apt-get install slurmctld slurmd slurm-client)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        for name in ["state", "spool"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, other) = (free(), free());
        let [controller, node] = [&one, &other].map(|listener| listener.local_addr().unwrap().port());
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let (user, host) = (output_of("id", &["-un"]), name.split('.').next().unwrap_or(&name));
        let conf = format!(
            "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
             AuthType=auth/none\nCredType=cred/none\nAuthInfo=cred_expire=5\n\
             SlurmctldPort={controller}\nCommunicationParameters=NoCtldInAddrAny,NoInAddrAny\n\
             StateSaveLocation={root}/state\nSlurmdSpoolDir={root}/spool\n\
             SlurmctldPidFile={root}/slurmctld.pid\nSlurmdPidFile={root}/slurmd.pid\n\
             SlurmctldLogFile={root}/slurmctld.log\nSlurmdLogFile={root}/slurmd.log\n\
             SlurmdParameters=config_overrides\nMpiDefault=none\nSwitchType=switch/none\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nReturnToService=2\n\
             KillWait=5\nMessageTimeout=5\nInactiveLimit=0\nJobRequeue=1\n\
             SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nAccountingStorageType=accounting_storage/none\n\
             NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node} CPUs=2 RealMemory=1000 State=UNKNOWN\n\
             PartitionName=all Nodes=n1 Default=YES MaxTime=INFINITE State=UP\n"
        );
        fs::write(folder.path().join("slurm.conf"), conf).unwrap();
        let mut cluster = Self { folder, daemons: vec![] };
        drop((one, other));
        cluster.daemon("slurmctld", &["-D"]);
        cluster.daemon("slurmd", &["-D", "-N", "n1"]);
        let start = Instant::now();
        while cluster.ask("sinfo", &["--noheader", "--format=%T"]) != "idle" {
            if start.elapsed() > Duration::from_secs(60) {
                skip(&format!("Slurm does not start here: {}", cluster.logs().replace('\n', "; ")));
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(cluster)
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("slurm.conf")
    }

    fn daemon(&mut self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(Path::new("/usr/sbin").join(program));
        command.args(arguments).arg("-f").arg(self.conf()).env("SLURM_CONF", self.conf());
        self.daemons.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    fn logs(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        format!("{}\n{}", read("slurmctld.log"), read("slurmd.log"))
    }

    fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).env("SLURM_CONF", self.conf()).output().unwrap();
        texts(&output).0.trim().to_owned()
    }

    /// The names of the jobs in one of these states, sorted.
    fn names(&self, states: &str) -> Vec<String> {
        let listing = self.ask("squeue", &["--noheader", "--format=%j", &format!("--states={states}")]);
        let mut names: Vec<String> = listing.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// An environment in which `grid` finds this cluster, with other variables of Slurm that a user may have set.
    fn env(&self, spec: &str) -> Env {
        let mut env = Env::new(spec);
        env.variables =
            vec![("SLURM_CONF", self.conf()), ("SBATCH_PARTITION", "none".into()), ("SQUEUE_FORMAT", "%i".into())];
        env
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.ask("scancel", &["--signal=KILL", "--full", "--user", &output_of("id", &["-un"])]);
        self.ask("scancel", &["--user", &output_of("id", &["-un"])]);
        let start = Instant::now();
        while !self.names("RUNNING,COMPLETING").is_empty() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(50));
        }
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    texts(&Command::new(program).args(arguments).output().unwrap()).0.trim().to_owned()
}

fn signal(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// A spec of one model that is pretrained for this many steps and then tuned.
fn spec(steps: u32) -> String {
    let changes = [
        ("steps: 60", format!("steps: {steps}")),
        ("seed: [1, 2]", "seed: [1]".to_owned()),
        (
            "resources: {threads: 1, checkpoint_every: 1}",
            "resources: {checkpoint_every: 1, slurm: {cpus: 1, jobs: 8, poll_every: 1, grace: 3}}".to_owned(),
        ),
    ];
    changes.iter().fold(TINY.to_owned(), |spec, (old, new)| {
        assert!(spec.contains(old), "{old}");
        spec.replace(old, new)
    })
}

/// The coordinator is killed while a job runs, this job is requeued, and a later job is cancelled by hand.
#[test]
fn a_disturbed_run_on_slurm_gives_the_results_of_a_local_run() {
    let Some(cluster) = Cluster::start() else { return };
    let here = Env::new(&spec(1500));
    here.run(0, &["run", "spec.yaml", "--local", "--threads", "1"]);
    let env = cluster.env(&spec(1500));
    let running = |kind: &str| cluster.names("RUNNING").iter().any(|name| name.starts_with(&format!("tiny.{kind}-")));

    let mut first = env.spawn(&["run", "spec.yaml"]);
    let checkpoint = || !env.query("select 1 from checkpoint").is_empty();
    env.wait_until("the first checkpoint", TIMEOUT, || running("pretrain") && checkpoint());
    signal("-KILL", &first);
    first.wait().unwrap();
    assert!(running("pretrain"), "the job continues without its coordinator");
    let id = cluster.ask("squeue", &["--noheader", "--states=RUNNING", "--format=%A"]);
    cluster.ask("scontrol", &["requeue", &id]);

    let second = env.command(&["resume"]).stderr(Stdio::piped()).spawn().unwrap();
    env.wait_until("a tuning", TIMEOUT, || running("tune"));
    let id = cluster.ask("squeue", &["--noheader", "--states=RUNNING", "--format=%A"]);
    cluster.ask("scancel", &[id.lines().next().expect("it still runs")]);
    let output = second.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}\n{}", texts(&output).1, cluster.logs());

    assert_eq!(env.scores(), here.scores());
    assert_eq!(env.weights(), here.weights());
    // The outcome of a job is read before Slurm notices that the job has ended.
    env.wait_until("an empty queue", TIMEOUT, || cluster.names("PENDING,RUNNING").is_empty());
    assert!(env.stderr(0, &["resume"]).contains("nothing to do"));
    // The requeued pretraining is one submission with two attempts.
    let attempts = "select count(*) from attempt join job on job.id = attempt.job where job.kind = 'pretrain'";
    let pretrain = fs::read_dir(env.path().join("runs/tiny")).unwrap().flatten();
    let folder = pretrain.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("/pretrain-")).unwrap();
    let journals = fs::read_dir(&folder).unwrap().flatten().filter(|entry| entry.path().join("journal.jsonl").exists());
    assert_eq!((journals.count(), env.query(attempts)), (2, vec!["2".to_owned()]));
    let log = fs::read_dir(&folder).unwrap().flatten().filter(|entry| {
        entry.file_name().to_string_lossy().starts_with("slurm-") && entry.path().extension().is_some()
    });
    assert_eq!(log.count(), 1, "the log of the only Slurm job");
}

#[test]
fn an_interrupt_leaves_or_cancels_the_jobs() {
    let Some(cluster) = Cluster::start() else { return };
    let env = cluster.env(&spec(100_000));
    let running = || cluster.names("RUNNING");
    let interrupt = |invocation: usize, arguments: &[&str]| {
        let child = env.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let pretraining = || running().iter().any(|name| name.contains(".pretrain-"));
        let checkpoints = || env.query("select 1 from checkpoint, invocation group by invocation.id").len();
        env.wait_until("pretraining", TIMEOUT, || pretraining() && checkpoints() == invocation);
        // The coordinator handles signals shortly after it has recorded its invocation.
        std::thread::sleep(Duration::from_millis(500));
        signal("-INT", &child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        texts(&output).1
    };
    let stderr = interrupt(1, &["run", "spec.yaml"]);
    assert!(stderr.contains("jobs in Slurm's queue keep running"), "{stderr}");
    assert_eq!(running().len(), 1);
    let stderr = interrupt(2, &["resume", "--cancel-on-exit"]);
    assert!(stderr.contains("the workers save their state"), "{stderr}");
    env.wait_until("an empty queue", TIMEOUT, || cluster.names("PENDING,RUNNING,COMPLETING").is_empty());
    let pretraining = "select attempt.state from attempt join job on job.id = attempt.job where job.kind = 'pretrain'";
    assert_eq!(env.query(pretraining), ["interrupted"]);
}

#[test]
fn errors_of_sbatch_are_passed_on() {
    let Some(cluster) = Cluster::start() else { return };
    let env = cluster.env(&spec(60));
    let stderr = env.stderr(6, &["run", "spec.yaml", "-S", "resources.slurm.options=[--partition=none]"]);
    assert!(stderr.contains("Invalid partition name specified"), "{stderr}");
    let stderr = env.stderr(1, &["run", "spec.yaml", "--device", "cpu"]);
    assert!(stderr.contains("add --local"), "{stderr}");
}
