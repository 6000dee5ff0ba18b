//! The progress of downloads.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::mode::{HEARTBEAT, ProgressMode};
use crate::report::human;

/// The template for a file of known size.
const MEASURED: &str = "{spinner} {bar:20.cyan} {bytes:>10} of {total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}";
/// The template for steps.
const COUNTED: &str = "{spinner} {bar:20.cyan} {pos} of {len}  {eta} left  {wide_msg}";
/// The template for a file of unknown size.
const UNMEASURED: &str = "{spinner} {bytes:>10}  {bytes_per_sec}  {wide_msg}";
/// The interval between two frames of a spinner.
const TICK: Duration = Duration::from_millis(200);

/// Shows downloads, one after the other.
pub struct Transfers {
    out: Box<dyn Write + Send>,
    mode: ProgressMode,
    current: Option<CurrentTransfer>,
    /// When the last line was written.
    last: Instant,
}

/// The transfer whose bar is shown.
struct CurrentTransfer {
    bar: ProgressBar,
    name: String,
}

impl Transfers {
    /// Shows downloads as bars on standard error or as lines on `out`.
    pub fn new(mode: ProgressMode, out: Box<dyn Write + Send>) -> Self {
        Self { out, mode, current: None, last: Instant::now() }
    }

    /// Reports that `done` bytes of a file have arrived, of `total` if that is known.
    pub fn bytes(&mut self, name: &str, done: u64, total: Option<u64>) {
        match self.mode {
            ProgressMode::Silent => {}
            ProgressMode::Bars => {
                let bar = self.bar(name);
                if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_length(total);
                    bar.set_style(style(MEASURED));
                    // Bytes of an earlier download must not count towards the speed.
                    bar.reset_eta();
                }
                bar.set_position(done);
            }
            ProgressMode::Lines => {
                if self.last.elapsed() >= HEARTBEAT {
                    let of = total.map_or(String::new(), |total| format!(" of {}", human::bytes(total)));
                    self.line(&format!("fetching {name}: {}{of}", human::bytes(done)));
                }
            }
        }
    }

    /// Reports that `done` of `total` steps are done.
    pub fn steps(&mut self, name: &str, done: u64, total: u64) {
        match self.mode {
            ProgressMode::Silent => {}
            ProgressMode::Bars => {
                let bar = self.bar(name);
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(style(COUNTED));
                    bar.reset_eta();
                }
                bar.set_position(done);
            }
            ProgressMode::Lines => {
                if self.last.elapsed() >= HEARTBEAT {
                    self.line(&format!("{name}: {done} of {total}"));
                }
            }
        }
    }

    /// Reports that a file is complete.
    pub fn complete(&mut self, name: &str, bytes: u64) {
        self.line(&format!("fetched {name} ({})", human::bytes(bytes)));
    }

    /// Writes a line. Errors of the stream are ignored.
    pub fn line(&mut self, text: &str) {
        self.clear();
        if self.mode != ProgressMode::Silent {
            let _ = writeln!(self.out, "{text}");
            self.last = Instant::now();
        }
    }

    /// The bar of the transfer of this name, which replaces that of another transfer.
    fn bar(&mut self, name: &str) -> ProgressBar {
        if let Some(current) = self.current.as_ref().filter(|current| current.name == name) {
            return current.bar.clone();
        }
        self.clear();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(UNMEASURED));
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(TICK);
        self.current = Some(CurrentTransfer { bar: bar.clone(), name: name.to_owned() });
        bar
    }

    fn clear(&mut self) {
        if let Some(CurrentTransfer { bar, .. }) = self.current.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template").progress_chars("━╸╌")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_download_is_one_line_in_mode_lines_and_nothing_in_mode_silent() {
        for (mode, expected) in [(ProgressMode::Lines, "fetched osf:x a.txt (2.0 KiB)\n"), (ProgressMode::Silent, "")] {
            let sink = Sink::default();
            let mut transfers = Transfers::new(mode, Box::new(sink.clone()));
            transfers.bytes("osf:x a.txt", 1_024, Some(2_048));
            transfers.complete("osf:x a.txt", 2_048);
            assert_eq!(String::from_utf8(sink.0.lock().unwrap().clone()).unwrap(), expected);
        }
    }
}
