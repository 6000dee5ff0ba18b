//! Scheduling and executors.
