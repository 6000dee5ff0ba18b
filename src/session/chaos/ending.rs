//! How a disturbed run ended.

use std::fmt;

use super::fault::FaultKind;
use crate::domain::one_line;

/// How a disturbed run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The fault could not be injected: its target did not exist at any time.
    NotInjected,
    /// The results are those of the undisturbed run.
    Recovered,
    /// A command refused with a message; after its remedy, the results are those of the undisturbed run.
    Refused(String),
    /// A command still refused after the remedy.
    NotRecovered(String),
    /// The results differ, and no message said so.
    Different(String),
    /// Work that was published before the fault was done again.
    LostWork(String),
    /// A process panicked or crashed.
    Panicked(String),
    /// A command did not end in time.
    Hung,
}

impl Ending {
    /// Whether it contradicts what grid promises.
    pub fn is_bad(&self) -> bool {
        match self {
            Self::NotInjected | Self::Recovered | Self::Refused(_) => false,
            Self::NotRecovered(_) | Self::Different(_) | Self::LostWork(_) | Self::Panicked(_) | Self::Hung => true,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInjected => f.write_str("not injected: it found no target"),
            Self::Recovered => f.write_str("recovered"),
            Self::Refused(message) => write!(f, "refused, then recovered: {}", one_line(message)),
            Self::NotRecovered(message) => write!(f, "NOT RECOVERED: {}", one_line(message)),
            Self::Different(what) => write!(f, "SILENT DIFFERENCE: {}", one_line(what)),
            Self::LostWork(what) => write!(f, "LOST WORK: {}", one_line(what)),
            Self::Panicked(message) => write!(f, "PANIC: {}", one_line(message)),
            Self::Hung => f.write_str("HANG"),
        }
    }
}

/// A disturbed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Its number, from 1.
    pub number: u64,
    /// The fault.
    pub kind: FaultKind,
    /// What exactly was done to which process or file.
    pub detail: String,
    /// How it ended.
    pub ending: Ending,
}
