//! The three programs of Slurm that grid calls: sbatch, squeue and scancel.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::super::super::worker::without_secrets;

/// How long a program may take. Slurm itself waits some ten seconds for its controller.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The fields that squeue prints of each job. The comment is last, because that of a foreign job may contain anything.
const FORMAT: &str = "%A|%T|%r|%k";

/// A job in the listing of squeue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedJob {
    /// Its number, which may be reused after the controller lost its state.
    pub id: u64,
    /// `PENDING`, `RUNNING`, `COMPLETED`, ...
    pub state: String,
    /// Why it is in that state.
    pub reason: String,
}

impl ListedJob {
    /// Whether it is pending, running, or will run again. The record of an ended job stays in the queue for minutes.
    pub(super) fn is_live(&self) -> bool {
        const LIVE: [&str; 12] = [
            "PENDING",
            "RUNNING",
            "COMPLETING",
            "CONFIGURING",
            "SUSPENDED",
            "STOPPED",
            "REQUEUED",
            "REQUEUE_HOLD",
            "REQUEUE_FED",
            "RESIZING",
            "SIGNALING",
            "STAGE_OUT",
        ];
        LIVE.contains(&self.state.as_str())
    }

    /// Whether it is pending for a reason that will never go away: Slurm keeps such jobs for ever.
    pub(super) fn is_doomed(&self) -> bool {
        const DOOMED: [&str; 3] = ["DependencyNeverSatisfied", "launch failed requeued held", "JobHeldAdmin"];
        self.state == "PENDING" && DOOMED.contains(&self.reason.replace('_', " ").as_str())
    }
}

/// Why a program failed.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What it wrote to standard error.
    pub message: String,
    /// Whether the cause is a busy or absent controller or a full queue, not the request. The job may have been queued
    /// nevertheless.
    pub is_temporary: bool,
}

/// The options of a submission.
pub(super) struct Request<'a> {
    pub name: &'a str,
    pub token: &'a str,
    /// The folder of the log.
    pub folder: &'a Path,
    pub cpus: u32,
    pub gres: Option<&'a str>,
    pub options: &'a [String],
    pub script: &'a str,
}

/// The programs, from the PATH or from a folder.
#[derive(Debug)]
pub(super) struct Commands {
    folder: PathBuf,
}

impl Commands {
    /// The programs in `folder`, or on the PATH if it is empty.
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Submits a job and returns its number.
    pub(super) fn submit(&self, request: &Request<'_>) -> Result<u64, Refusal> {
        let Request { name, token, folder, cpus, gres, options, script } = request;
        let mut command = self.command("sbatch");
        command.args(["--parsable", "--nodes=1", "--ntasks=1", "--requeue", "--open-mode=append"]);
        // A signal before the time limit, early enough to save a model. `B:` sends it to the batch script, which has
        // become the worker.
        command.args(["--signal=B:USR1@120", &format!("--cpus-per-task={cpus}")]);
        command.args(gres.map(|gres| format!("--gres={gres}")));
        command.args(options.iter());
        // Two jobs of one name never run at the same time.
        command.arg("--dependency=singleton");
        command.args([format!("--job-name={name}"), format!("--comment={token}")]);
        let text = folder.display().to_string();
        command.arg(format!("--chdir={text}")).arg(format!("--output={}/slurm-%j.out", text.replace('%', "%%")));
        let answer = call(command, Some(script))?;
        // With several clusters the number is followed by `;cluster`.
        let number = answer.trim().split(';').next().and_then(|id| id.parse().ok());
        let message = || format!("sbatch printed '{}', which is not the number of a job", answer.trim());
        number.ok_or_else(|| Refusal { message: message(), is_temporary: true })
    }

    /// The user's jobs by their comments, including ended ones while the controller remembers them.
    pub(super) fn queue(&self) -> Result<HashMap<String, ListedJob>, Refusal> {
        let mut command = self.command("squeue");
        command.args(["--noheader", "--array", "--me", "--states=all", "--format", FORMAT]);
        call(command, None).map(|listing| parse(&listing))
    }

    /// Cancels a job, unless its number now belongs to a job of another name. Its worker is asked to save its state.
    pub(super) fn cancel(&self, id: u64, name: &str) {
        let mut command = self.command("scancel");
        command.args([format!("--name={name}"), id.to_string()]);
        if let Err(Refusal { message, .. }) = call(command, None) {
            tracing::info!("scancel of job {id}: {message}");
        }
    }

    /// A program without the variables of the user, or of the Slurm job that grid runs in, that would change what it
    /// does.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        // sbatch passes its environment on to the job.
        without_secrets(&mut command);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = ["SBATCH_", "SQUEUE_", "SCANCEL_", "SLURM_"].iter().any(|prefix| text.starts_with(prefix));
            if ours && text != "SLURM_CONF" {
                command.env_remove(&name);
            }
        }
        command.env("LC_ALL", "C");
        command
    }
}

/// The output of a program, if it ends within [`TIMEOUT`].
fn call(mut command: Command, input: Option<&str>) -> Result<String, Refusal> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let absent = |error| Refusal { message: format!("{program}: {error}"), is_temporary: false };
    let mut child = command.spawn().map_err(absent)?;
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let (sender, answer) = mpsc::channel();
    let input = input.map(str::to_owned);
    std::thread::spawn(move || {
        if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
            // A program that does not read its input explains why on standard error.
            let _ = stdin.write_all(text.as_bytes());
        }
        sender.send(child.wait_with_output())
    });
    let lost = |message| Refusal { message, is_temporary: true };
    match answer.recv_timeout(TIMEOUT) {
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => {
            let message = error_output(&output);
            Err(Refusal { is_temporary: is_temporary(&message), message })
        }
        Ok(Err(error)) => Err(lost(format!("{program}: {error}"))),
        Err(_) => {
            if let Some(pid) = pid {
                // Fails if it has just ended.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            Err(lost(format!("{program} did not end within {} s", TIMEOUT.as_secs())))
        }
    }
}

/// What a program wrote to standard error, in one line.
fn error_output(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if words.is_empty() { output.status.to_string() } else { words.join("; ") }
}

/// Whether sbatch may accept the same job later, according to its message.
fn is_temporary(words: &str) -> bool {
    const SIGNS: [&str; 12] = [
        "unable to contact",
        "timed out",
        "temporarily unable",
        "connection refused",
        "connect failure",
        "zero bytes were transmitted",
        "standby",
        "submitjoblimit",
        "submitjobsperuser",
        "maxjobcount",
        "submit limit",
        "resource temporarily unavailable",
    ];
    let words = words.to_lowercase();
    let dense = words.replace([' ', '_'], "");
    SIGNS.iter().any(|sign| words.contains(sign) || dense.contains(sign))
}

/// The jobs by their comments. If a submission was queued twice by accident, the live job counts.
fn parse(listing: &str) -> HashMap<String, ListedJob> {
    let mut jobs: HashMap<String, ListedJob> = HashMap::new();
    for line in listing.lines() {
        let mut fields = line.splitn(4, '|');
        let mut field = || fields.next().map(str::to_owned);
        let (Some(id), Some(state), Some(reason), Some(comment)) = (field(), field(), field(), field()) else {
            continue;
        };
        let Ok(id) = id.parse() else { continue };
        let seen = ListedJob { id, state, reason };
        match jobs.get(&comment) {
            Some(known) if known.is_live() || !seen.is_live() => {}
            _ => {
                jobs.insert(comment, seen);
            }
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_by_comment() {
        let jobs = parse("12|COMPLETED|None|aa\n13|PENDING|Resources|bb\n14|RUNNING|None|a|b\n15|RUNNING|None|\nx|y\n");
        let state = |comment: &str| jobs.get(comment).map(|seen| (seen.id, seen.state.as_str(), seen.is_live()));
        assert_eq!(state("aa"), Some((12, "COMPLETED", false)));
        assert_eq!(state("bb"), Some((13, "PENDING", true)));
        assert_eq!(state("a|b"), Some((14, "RUNNING", true)));
        assert_eq!(state("cc"), None);
    }

    #[test]
    fn of_two_jobs_of_a_submission_the_live_one_counts() {
        let twice = "1|CANCELLED|None|t\n2|PENDING|Dependency|t\n3|COMPLETED|None|t\n4|COMPLETED|None|u\n";
        let jobs = parse(twice);
        assert_eq!((jobs["t"].id, jobs["u"].id), (2, 4));
    }

    #[test]
    fn jobs_that_never_start_are_recognized() {
        let seen = |state: &str, reason: &str| ListedJob { id: 1, state: state.into(), reason: reason.into() };
        assert!(seen("PENDING", "DependencyNeverSatisfied").is_doomed());
        assert!(seen("PENDING", "launch failed requeued held").is_doomed());
        assert!(seen("PENDING", "launch_failed_requeued_held").is_doomed());
        assert!(!seen("PENDING", "Resources").is_doomed());
        assert!(!seen("RUNNING", "JobHeldAdmin").is_doomed());
    }

    #[test]
    fn a_busy_controller_is_told_apart_from_a_wrong_option() {
        let passing = [
            "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
            "sbatch: error: QOSMaxSubmitJobPerUserLimit; Job violates accounting/QOS policy (job submit limit, user's size)",
            "sbatch: error: AssocMaxSubmitJobLimit",
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        ];
        let lasting = [
            "sbatch: error: Batch job submission failed: Invalid partition name specified",
            "sbatch: error: Batch job submission failed: Requested node configuration is not available",
            "sbatch: error: Invalid generic resource (gres) specification",
        ];
        assert_eq!(passing.map(is_temporary), [true; 5]);
        assert_eq!(lasting.map(is_temporary), [false; 3]);
    }
}
