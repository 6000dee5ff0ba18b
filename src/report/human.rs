//! x
use std::time::Duration;
/// d
pub fn duration(d: Duration) -> String {
    format!("{:.0}s", d.as_secs_f64())
}
/// c
pub fn count(n: u64) -> String {
    n.to_string()
}
