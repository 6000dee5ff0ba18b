//! Tables, statistics, progress.
