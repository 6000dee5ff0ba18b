//! How the threads of libtorch wait for each other, on machines that other programs use too.
//!
//! A thread of the OpenMP runtime (libgomp) that waits for others spins for some milliseconds before it sleeps. On an idle
//! machine that is fastest: small models have many operations of a few microseconds. If other programs need the cores,
//! spinning takes the time from the very threads that are waited for, and training becomes many times slower.
//!
//! libgomp spins less (see [`WAIT_POLICY`]) as long as it manages more threads than there are CPUs, as its manual
//! says of `GOMP_SPINCOUNT`. A thread here keeps a team of idle threads as long as the threads of this process wait for
//! CPUs. The number of threads that compute does not change, because it would change the last bits of results.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::fs;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use grid::domain::openmp::{SPIN_COUNT, WAIT_POLICY};

/// Time between two measurements.
const INTERVAL: Duration = Duration::from_millis(100);

/// The number of threads that wait for a CPU, on average over an interval, from which on the machine is busy, in
/// [`BUSY_INTERVALS`] successive intervals. It is not one for each computing thread: all of them wait for a single one that is
/// late. On an idle machine of two cores, half of the intervals had more than 0.05 and one in ten more than 0.13, because the
/// threads that prepare batches run, too; beside two busy programs, none had less than 0.6.
const BUSY: f64 = 0.35;

/// See [`BUSY`]. The start of a program, and other short disturbances, are not enough.
const BUSY_INTERVALS: u32 = 3;

/// The number below which it is idle again, in [`QUIET_INTERVALS`] successive intervals.
const IDLE: f64 = 0.25;

/// See [`IDLE`].
const QUIET_INTERVALS: u32 = 30;

/// Whether threads should spin for a short time only.
#[derive(Debug, Default)]
struct Judgement {
    is_busy: bool,
    /// Successive intervals that speak against it.
    against: u32,
}

impl Judgement {
    /// Learns the mean number of threads that waited for a CPU in the last interval.
    fn observe(&mut self, waiting: f64) {
        let (speaks_against, enough) = match self.is_busy {
            false => (waiting > BUSY, BUSY_INTERVALS),
            true => (waiting < IDLE, QUIET_INTERVALS),
        };
        self.against = if speaks_against { self.against + 1 } else { 0 };
        if self.against == enough {
            (self.is_busy, self.against) = (!self.is_busy, 0);
        }
    }
}

/// Starts to adapt the waiting of this many computing threads to the load of the machine. Does nothing where there is one
/// thread, another waiting policy than that of the coordinator, or a kernel that does not say how long threads wait.
pub(super) fn adapt(threads: u32) {
    let as_set =
        [SPIN_COUNT, WAIT_POLICY].into_iter().all(|(name, value)| std::env::var(name).is_ok_and(|v| v == value));
    let (Some(openmp), true, Some(mut before)) = (OpenMp::find(), threads > 1 && as_set, run_delay()) else { return };
    let watch = move || {
        let (mut judgement, mut team) = (Judgement::default(), None);
        let mut measured = Instant::now();
        loop {
            std::thread::sleep(INTERVAL);
            let Some(delay) = run_delay() else { return };
            let elapsed = measured.elapsed().as_secs_f64();
            measured = Instant::now();
            // Threads that ended take their times with them.
            let waiting = delay.saturating_sub(before) as f64 / 1e9 / elapsed;
            before = delay;
            judgement.observe(waiting);
            if judgement.is_busy != team.is_some() {
                tracing::debug!(waiting, busy = judgement.is_busy, "the load of the machine changed");
                team = judgement.is_busy.then(|| IdleTeam::start(openmp)).flatten();
            }
        }
    };
    // Without the thread, libtorch spins as it does by default.
    let _ = std::thread::Builder::new().name("waiting".to_owned()).spawn(watch);
}

/// The nanoseconds that the threads of this process were ready to run and waited for a CPU; `None` if the kernel does not
/// say.
fn run_delay() -> Option<u64> {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        // A thread may end meanwhile.
        if let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) {
            total += text.split_whitespace().nth(1)?.parse::<u64>().ok()?;
        }
    }
    Some(total)
}

/// `omp_get_num_procs`: the number of CPUs of this process.
type CpuCount = unsafe extern "C" fn() -> c_int;

/// `GOMP_parallel`: runs a function in a team of this many threads.
type ParallelRegion = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// The functions of the OpenMP runtime that libtorch loaded.
#[derive(Clone, Copy)]
struct OpenMp {
    cpus: CpuCount,
    run: ParallelRegion,
}

impl OpenMp {
    fn find() -> Option<Self> {
        // SAFETY: the names are NUL-terminated.
        let symbol = |name: &CStr| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        let (cpus, run) = (symbol(c"omp_get_num_procs"), symbol(c"GOMP_parallel"));
        if cpus.is_null() || run.is_null() {
            return None;
        }
        // SAFETY: the functions of these names have these signatures, which are part of the binary interface.
        let (cpus, run) = unsafe {
            (
                std::mem::transmute::<*mut c_void, CpuCount>(cpus),
                std::mem::transmute::<*mut c_void, ParallelRegion>(run),
            )
        };
        Some(Self { cpus, run })
    }
}

/// A team of threads that sleep; it ends when this is dropped.
struct IdleTeam {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl IdleTeam {
    /// Starts more threads than there are CPUs.
    fn start(openmp: OpenMp) -> Option<Self> {
        unsafe extern "C" fn nothing(_: *mut c_void) {}
        let (end, ended) = mpsc::channel::<()>();
        let keep = move || {
            // SAFETY: the function ignores its argument; 0 means no flags.
            unsafe { (openmp.run)(nothing, std::ptr::null_mut(), (openmp.cpus)().unsigned_abs() + 1, 0) };
            // The team belongs to this thread, and lives as long as it does.
            let _ = ended.recv();
        };
        let thread = std::thread::Builder::new().name("idle team".to_owned()).spawn(keep).ok()?;
        Some(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for IdleTeam {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn threads_spin_less_while_they_wait_for_cpus_and_until_the_machine_is_quiet() {
        let mut judgement = Judgement::default();
        let mut observe = |waiting: f64| {
            judgement.observe(waiting);
            judgement.is_busy
        };
        assert!(!observe(0.0) && !observe(0.1));
        // The start of a program is a short disturbance.
        assert!(!observe(0.9) && !observe(0.9) && !observe(0.1) && !observe(0.9) && !observe(0.9));
        assert!(observe(0.9) && observe(0.3));
        // A short pause of the other programs changes nothing.
        assert!((1..QUIET_INTERVALS).all(|_| observe(0.1)) && observe(0.3));
        assert!((1..QUIET_INTERVALS).all(|_| observe(0.1)) && !observe(0.1) && !observe(0.3));
    }

    /// libgomp counts the threads that exist.
    #[test]
    fn an_idle_team_has_more_threads_than_there_are_cpus_and_ends() {
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let named = || {
            let names = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path().join("comm"));
            names.filter(|path| fs::read_to_string(path).is_ok_and(|name| name.starts_with("idle team"))).count()
        };
        let openmp = OpenMp::find().expect("libtorch loads an OpenMP runtime");
        // SAFETY: the function has no arguments and no precondition.
        let cpus = unsafe { (openmp.cpus)() } as usize;
        let team = IdleTeam::start(openmp).unwrap();
        let waits = |condition: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !condition() {
                assert!(start.elapsed() < Duration::from_secs(60), "{} threads", threads());
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        // The threads of a team inherit the name of the one that starts it.
        waits(&|| named() == cpus + 1);
        drop(team);
        waits(&|| named() == 0);
        assert!(run_delay().is_some() || !Path::new("/proc/self/schedstat").exists());
    }
}
