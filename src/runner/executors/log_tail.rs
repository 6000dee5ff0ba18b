//! The last lines of a worker's log, for messages.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How many lines a message quotes.
const QUOTED_LINES: usize = 5;

/// The last lines that a worker wrote into its log from byte `start` on, preceded by the name of the log; `None` if it
/// wrote nothing.
pub(super) fn last_lines(log: &Path, start: u64) -> Option<String> {
    let text = read_from(log, start).ok()?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(QUOTED_LINES)..];
    (!last.is_empty()).then(|| format!("{} ends with:\n{}", log.display(), last.join("\n")))
}

fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut text = vec![];
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
