//! `Grid` to DAG; what is left to do and why.
