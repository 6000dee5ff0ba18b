//! A terminal that bars are drawn on through any stream, so that a terminal that is stopped does not stop the run.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressDrawTarget, TermLike};

/// The size of a terminal that does not know its own, as (width, height).
const DEFAULT_SIZE: (u16, u16) = (80, 24);
/// How often bars are drawn at most, each second.
const FRAMES: u8 = 20;

/// Standard error as a terminal, written through `out`.
struct Screen {
    drawing: Mutex<Drawing>,
}

/// What is drawn but not written yet, so that a frame is one write.
struct Drawing {
    pending: String,
    out: Box<dyn Write + Send>,
}

/// A target for bars on standard error, which are written to `out`.
pub(super) fn target(out: Box<dyn Write + Send>) -> ProgressDrawTarget {
    let drawing = Mutex::new(Drawing { pending: String::new(), out });
    ProgressDrawTarget::term_like_with_hz(Box::new(Screen { drawing }), FRAMES)
}

impl Screen {
    fn drawing(&self) -> MutexGuard<'_, Drawing> {
        self.drawing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, text: fmt::Arguments) -> io::Result<()> {
        fmt::Write::write_fmt(&mut self.drawing().pending, text).map_err(io::Error::other)
    }

    /// A movement of the cursor by `count`, which is none for 0.
    fn step(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.draw(format_args!("\x1b[{count}{direction}")) }
    }

    fn size(&self) -> (u16, u16) {
        match rustix::termios::tcgetwinsize(io::stderr()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
            _ => DEFAULT_SIZE,
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.size().0
    }

    fn height(&self) -> u16 {
        self.size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.step(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.step(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.step(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.step(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.draw(format_args!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(format_args!("{text}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw(format_args!("\r\x1b[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawing = self.drawing();
        let frame = std::mem::take(&mut drawing.pending);
        drawing.out.write_all(frame.as_bytes())
    }
}
