//! x
use crate::domain::*;
use std::collections::HashMap;
use std::io::Write;
/// p
pub struct Planned {
    /// i
    pub id: JobId,
    /// l
    pub label: String,
    /// k
    pub kind: Kind,
    /// w
    pub weight: f64,
}
/// m
#[derive(PartialEq)]
pub enum Mode {
    /// s
    Silent,
    /// b
    Bars,
    /// l
    Lines,
}
/// p
pub struct Progress {
    out: Box<dyn Write + Send>,
    labels: HashMap<JobId, String>,
    done: usize,
    mode: Mode,
}
impl Progress {
    /// n
    pub fn new(p: &[Planned], mode: Mode, out: Box<dyn Write + Send>) -> Self {
        Self { out, labels: p.iter().map(|p| (p.id, format!("{} {}", p.kind, p.label))).collect(), done: 0, mode }
    }
    /// u
    pub fn update(&mut self, n: &News) {
        if self.mode == Mode::Silent {
            return;
        }
        match &n.what {
            What::Ended { outcome, .. } => {
                self.done += 1;
                let _ = writeln!(
                    self.out,
                    "[{}/{}] {} {:?} {:.1}s",
                    self.done,
                    self.labels.len(),
                    self.labels.get(&n.job).cloned().unwrap_or_default(),
                    outcome.verdict,
                    (outcome.ended - outcome.started) as f64 / 1e3
                );
            }
            What::Lost { message, .. } => {
                let _ = writeln!(self.out, "lost {message}");
            }
            _ => {}
        }
    }
    /// f
    pub fn finish(&mut self) {}
}
