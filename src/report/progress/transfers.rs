//! The progress of files that are fetched.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{HEARTBEAT, Mode};
use crate::report::human;

/// The look of a file of known length.
const MEASURED: &str = "{spinner} {bar:20.cyan} {bytes:>10} of {total_bytes}  {bytes_per_sec}  {eta} left  {wide_msg}";
/// The look of steps.
const COUNTED: &str = "{spinner} {bar:20.cyan} {pos} of {len}  {eta} left  {wide_msg}";
/// The look of one that does not say.
const UNMEASURED: &str = "{spinner} {bytes:>10}  {bytes_per_sec}  {wide_msg}";
/// Between two turns of a spinner.
const TICK: Duration = Duration::from_millis(200);

/// Shows files coming, one after the other.
pub struct Transfers {
    out: Box<dyn Write + Send>,
    mode: Mode,
    /// The bar of the file that comes, and the name of the file.
    current: Option<(ProgressBar, String)>,
    /// When the last line was written.
    last: Instant,
}

impl Transfers {
    /// Shows them from now on: as bars on the terminal that is standard error, or as lines on `out`.
    pub fn new(mode: Mode, out: Box<dyn Write + Send>) -> Self {
        Self { out, mode, current: None, last: Instant::now() }
    }

    /// So many bytes of a file are here, of so many where that is known.
    pub fn bytes(&mut self, name: &str, done: u64, total: Option<u64>) {
        match self.mode {
            Mode::Silent => {}
            Mode::Bars => {
                let bar = self.bar(name);
                if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_length(total);
                    bar.set_style(style(MEASURED));
                    // What was here before did not come at any speed.
                    bar.reset_eta();
                }
                bar.set_position(done);
            }
            Mode::Lines => {
                if self.last.elapsed() >= HEARTBEAT {
                    let of = total.map_or(String::new(), |total| format!(" of {}", human::bytes(total)));
                    self.line(&format!("fetching {name}: {}{of}", human::bytes(done)));
                }
            }
        }
    }

    /// So many of some steps are done.
    pub fn steps(&mut self, name: &str, done: u64, total: u64) {
        match self.mode {
            Mode::Silent => {}
            Mode::Bars => {
                let bar = self.bar(name);
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(style(COUNTED));
                    bar.reset_eta();
                }
                bar.set_position(done);
            }
            Mode::Lines => {
                if self.last.elapsed() >= HEARTBEAT {
                    self.line(&format!("{name}: {done} of {total}"));
                }
            }
        }
    }

    /// A file is here.
    pub fn whole(&mut self, name: &str, bytes: u64) {
        self.line(&format!("fetched {name} ({})", human::bytes(bytes)));
    }

    /// Something worth a line. Whether it can be written does not matter.
    pub fn line(&mut self, text: &str) {
        self.clear();
        if self.mode != Mode::Silent {
            let _ = writeln!(self.out, "{text}");
            self.last = Instant::now();
        }
    }

    /// The bar of what has this name, begun where another one is shown.
    fn bar(&mut self, name: &str) -> ProgressBar {
        if let Some((bar, _)) = self.current.as_ref().filter(|(_, current)| current == name) {
            return bar.clone();
        }
        self.clear();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(UNMEASURED));
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(TICK);
        self.current = Some((bar.clone(), name.to_owned()));
        bar
    }

    fn clear(&mut self) {
        if let Some((bar, _)) = self.current.take() {
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
    fn a_file_is_a_line_where_there_are_no_bars_and_nothing_where_all_is_silent() {
        for (mode, said) in [(Mode::Lines, "fetched osf:x a.txt (2.0 KiB)\n"), (Mode::Silent, "")] {
            let sink = Sink::default();
            let mut transfers = Transfers::new(mode, Box::new(sink.clone()));
            transfers.bytes("osf:x a.txt", 1_024, Some(2_048));
            transfers.whole("osf:x a.txt", 2_048);
            assert_eq!(String::from_utf8(sink.0.lock().unwrap().clone()).unwrap(), said);
        }
    }
}
