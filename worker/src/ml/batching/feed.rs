//! Preparation of batches on another thread, ahead of the training loop.

use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::ml::error::Error;
use crate::ml::phases::{Phase, timed};

/// A queue that a thread fills with prepared batches. Dropping it ends the thread.
#[derive(Debug)]
pub struct Feed<T> {
    receiver: Option<Receiver<Result<T, Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Feed<T> {
    /// How many prepared batches may wait.
    const AHEAD: usize = 3;

    /// Starts to prepare the batches of these steps, in order.
    pub fn start(steps: Range<u64>, prepare: impl Fn(u64) -> Result<T, Error> + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(Self::AHEAD);
        let thread = std::thread::spawn(move || {
            for step in steps {
                if sender.send(prepare(step)).is_err() {
                    break;
                }
            }
        });
        Self { receiver: Some(receiver), thread: Some(thread) }
    }

    /// Waits for the next batch.
    ///
    /// # Errors
    /// The error of the preparation, or one that says that it panicked.
    pub fn take(&mut self) -> Result<T, Error> {
        timed(Phase::Data, || {
            let next = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok());
            next.unwrap_or_else(|| Err(Error::Input("the thread that prepares batches panicked".to_owned())))
        })
    }
}

impl<T> Drop for Feed<T> {
    fn drop(&mut self) {
        drop(self.receiver.take()); // makes the thread's next send fail
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // `take` has reported a panic
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_preparation_becomes_an_error() {
        let mut feed = Feed::start(0..3, |step| {
            assert!(step < 1, "no such batch");
            Ok(step)
        });
        assert_eq!(feed.take().unwrap(), 0);
        assert!(feed.take().is_err());
    }
}
