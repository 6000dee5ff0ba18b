//! A stopwatch for the parts of a training step. Until it is started, it costs nothing.

use std::cell::RefCell;
use std::time::Instant;

use grid::domain::Phases;
use tch::{Cuda, Device};

use super::error::Error;

/// A part of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Data,
    Forward,
    Head,
    Backward,
    Optimizer,
}

thread_local! {
    static RUNNING: RefCell<Option<(Device, Phases)>> = const { RefCell::new(None) };
}

/// Starts the stopwatch of this thread. From then on every part waits for the device before it ends.
pub(super) fn start(device: Device) {
    RUNNING.set(Some((device, Phases::default())));
}

/// Stops the stopwatch and returns the seconds that each part took since the start.
pub(super) fn stop() -> Phases {
    RUNNING.take().map_or_else(Phases::default, |(_, phases)| phases)
}

/// Waits until the device has finished all work queued on it.
pub(super) fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// Runs `work`, and adds the time it takes to a part of the step.
pub(super) fn timed<T>(phase: Phase, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let Some(device) = RUNNING.with_borrow(|running| running.as_ref().map(|(device, _)| *device)) else {
        return work();
    };
    let start = Instant::now();
    let result = work();
    synchronize(device);
    let seconds = start.elapsed().as_secs_f64();
    RUNNING.with_borrow_mut(|running| {
        if let Some((_, phases)) = running {
            *match phase {
                Phase::Data => &mut phases.data,
                Phase::Forward => &mut phases.forward,
                Phase::Head => &mut phases.head,
                Phase::Backward => &mut phases.backward,
                Phase::Optimizer => &mut phases.optimizer,
            } += seconds;
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_add_up_only_while_the_stopwatch_runs() {
        let sleep = |phase| {
            let work = || {
                std::thread::sleep(Duration::from_millis(5));
                Ok(())
            };
            timed(phase, work).unwrap();
        };
        sleep(Phase::Head);
        start(Device::Cpu);
        sleep(Phase::Forward);
        sleep(Phase::Forward);
        let phases = stop();
        assert!(phases.forward >= 0.01 && phases.head == 0.0, "{phases:?}");
        assert_eq!(stop(), Phases::default());
    }
}
