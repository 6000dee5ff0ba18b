//! The kinds of faults, and the order in which they are drawn.

use crate::domain::mix;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// SIGKILL of the coordinator; the workers go on.
    KilledCoordinator,
    /// SIGKILL of a worker.
    KilledWorker,
    /// SIGKILL of the coordinator and all workers.
    PowerFailure,
    /// The coordinator does not run for a while (SIGSTOP).
    StoppedCoordinator,
    /// A worker does not run for a while; sometimes the coordinator is killed and replaced meanwhile.
    StoppedWorker,
    /// The end of a journal is lost in a power failure.
    TornJournal,
    /// The end of the write-ahead log of runs.db is lost in a power failure.
    TornDatabase,
    /// A bit flips in the weights or the optimizer state of the newest checkpoint.
    FlippedCheckpoint,
    /// A bit flips in the position of the training in the newest checkpoint.
    FlippedPosition,
    /// A bit flips in the weights of a model that a later job reads.
    FlippedWeights,
    /// A bit flips in the configuration of a model that a later job reads.
    FlippedConfig,
    /// A bit flips in a tokenizer that a later job reads.
    FlippedTokenizer,
    /// A bit flips in prepared tokens that a later job reads.
    FlippedTokens,
    /// A bit flips in the counts of prepared tokens that a later job reads.
    FlippedCounts,
    /// A bit flips in the outcome, journal or items of a finished job, and runs.db is lost, so that they are read again.
    FlippedResults,
    /// A bit flips in the text that the jobs are made from.
    FlippedSource,
    /// A bit flips in the cache of digests.
    FlippedCache,
    /// No file can grow beyond a limit.
    FullDisk,
    /// Another program holds the lock of runs.db.
    LockedDatabase,
    /// The folder of a job, an attempt or a checkpoint, or all of them, is deleted.
    DeletedFolder,
    /// runs.db is deleted.
    DeletedDatabase,
}

impl FaultKind {
    /// All kinds, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::KilledCoordinator,
        Self::KilledWorker,
        Self::PowerFailure,
        Self::StoppedCoordinator,
        Self::StoppedWorker,
        Self::TornJournal,
        Self::TornDatabase,
        Self::FlippedCheckpoint,
        Self::FlippedPosition,
        Self::FlippedWeights,
        Self::FlippedConfig,
        Self::FlippedTokenizer,
        Self::FlippedTokens,
        Self::FlippedCounts,
        Self::FlippedResults,
        Self::FlippedSource,
        Self::FlippedCache,
        Self::FullDisk,
        Self::LockedDatabase,
        Self::DeletedFolder,
        Self::DeletedDatabase,
    ];

    /// The name in tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::KilledCoordinator => "coordinator killed",
            Self::KilledWorker => "worker killed",
            Self::PowerFailure => "power failure",
            Self::StoppedCoordinator => "coordinator stopped for a while",
            Self::StoppedWorker => "worker stopped for a while",
            Self::TornJournal => "journal torn",
            Self::TornDatabase => "write-ahead log torn",
            Self::FlippedCheckpoint => "bit flip in checkpoint tensors",
            Self::FlippedPosition => "bit flip in trainer.json",
            Self::FlippedWeights => "bit flip in weights",
            Self::FlippedConfig => "bit flip in config.json",
            Self::FlippedTokenizer => "bit flip in a tokenizer",
            Self::FlippedTokens => "bit flip in prepared tokens",
            Self::FlippedCounts => "bit flip in ledger.json",
            Self::FlippedResults => "bit flip in results",
            Self::FlippedSource => "bit flip in source data",
            Self::FlippedCache => "bit flip in survey.json",
            Self::FullDisk => "disk full",
            Self::LockedDatabase => "database locked",
            Self::DeletedFolder => "folder deleted",
            Self::DeletedDatabase => "database deleted",
        }
    }

    /// Whether processes are killed, which a training has to survive.
    pub(super) fn kills(self) -> bool {
        !matches!(self, Self::StoppedCoordinator | Self::StoppedWorker | Self::LockedDatabase)
    }
}

/// A fault that is about to be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Its kind.
    pub kind: FaultKind,
    /// When: the share of the journal lines of an undisturbed run, in percent.
    pub moment: u64,
    /// Chooses the target, the bit, the duration and the size.
    pub choice: u64,
}

impl Fault {
    /// The fault of a round: in every `ALL.len()` rounds, each kind comes once.
    pub(super) fn draw(seed: u64, round: u64) -> Self {
        let kinds = FaultKind::ALL.len() as u64;
        let deck = mix(seed) ^ (round / kinds);
        let mut order = FaultKind::ALL;
        for end in (1..order.len()).rev() {
            order.swap(end, (mix(deck ^ ((end as u64) << 32)) % (end as u64 + 1)) as usize);
        }
        let own = mix(mix(seed) ^ mix(round));
        Self { kind: order[(round % kinds) as usize], moment: own % 90, choice: mix(own) }
    }

    /// A number below `end`, for one of several `purpose`s.
    pub(super) fn below(&self, end: u64, purpose: u64) -> u64 {
        mix(self.choice ^ purpose) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_once_in_each_deck_and_the_seed_decides_the_order() {
        let kinds = |seed: u64, from: u64| {
            let rounds = from..from + FaultKind::ALL.len() as u64;
            rounds.map(|round| Fault::draw(seed, round).kind).collect::<Vec<_>>()
        };
        for (seed, from) in [(1, 0), (1, 21), (2, 0)] {
            let mut sorted = kinds(seed, from);
            sorted.sort();
            assert_eq!(sorted, FaultKind::ALL);
        }
        assert_ne!(kinds(1, 0), kinds(2, 0));
        assert_ne!(kinds(1, 0), kinds(1, 21));
        assert_eq!(Fault::draw(7, 5), Fault::draw(7, 5));
    }
}
