//! Interrupts of the user.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::runner::Stop;

/// What the first interrupt does to workers of this machine.
pub(super) const STOPPING: &str = "stopping: the workers save their state (interrupt again to kill them)";

/// Turns SIGINT, SIGTERM and SIGUSR1 into requests to stop: the first asks the workers to save their state, the second
/// kills them. `announce` is called with `text` at the first one.
pub(super) async fn forward_signals(stop: watch::Sender<Stop>, announce: fn(&str), text: String) {
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut user)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::user_defined1()))
    else {
        tracing::warn!("cannot catch signals: an interrupt will lose the work since the last checkpoint");
        return;
    };
    for request in [Stop::Politely, Stop::Now] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = user.recv() => {}
        }
        // Before the text, because the terminal or pipe that it goes to may be stuck.
        stop.send_replace(request);
        if request == Stop::Politely {
            announce(&text);
        }
    }
}
