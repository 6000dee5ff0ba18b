//! YAML to a validated `Grid`.
