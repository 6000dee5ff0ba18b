//! `grid verify chaos`: a small grid runs undisturbed, then again and again under random faults, and everything that it
//! records is compared bit by bit.
//!
//! A fault is drawn from a seed ([`fault`]) and hits a run at a random moment, of which a [`Scene`](scene) sees the files
//! ([`damage`] are the faults that change them). `grid resume` then repeats until the run ends. [`results`] compares.
//!
//! The coordinator under test is this program in a process of its own, because a process cannot be killed from within and
//! go on. Faults hit nothing outside of the scratch folder.

mod coordinator;
mod damage;
mod ending;
mod fault;
mod results;
mod round;
mod run;
mod scene;
mod subject;
mod unsynced;

pub use ending::{Ending, Round};
pub use fault::FaultKind;
pub use run::{ChaosReport, ChaosRequest, ChaosRun};
