//! The wish to stop, as signals bring it.

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn request_stop(_signal: libc::c_int) {
    STOP.store(true, Ordering::Relaxed);
}

/// The flag that SIGTERM, SIGINT and SIGUSR1 (Slurm's early warning) raise from now on, instead of killing.
pub fn stop_on_signals() -> &'static AtomicBool {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1] {
        // SAFETY: the action is fully initialised (zero is a valid mask, flags and restorer) and its handler does one
        // atomic store, which is async-signal-safe. SA_RESTART keeps libraries' system calls from failing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = request_stop as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    &STOP
}
