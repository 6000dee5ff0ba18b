//! Values of files in messages.

use std::fmt::{self, Display, Write};

use super::one_line::one_line;

/// The most characters of a value that a message shows.
const MOST: usize = 120;

/// A value as a message shows it: on one line, and cut where it is long. Values come from files of others, in which a text
/// may have megabytes.
pub fn excerpt(value: impl Display) -> String {
    let mut start = Start(String::new());
    // It ends with an error once there is enough, so that the rest of a long value is not even formatted.
    let is_whole = write!(start, "{value}").is_ok();
    let line = one_line(&start.0).into_owned();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if is_whole => line,
        None => format!("{line}…"),
    }
}

/// A problem as a message shows it: on one line, and with its middle left out where it quotes a long value. Its end says what
/// to do.
pub fn brief(problem: &str) -> String {
    /// The most characters at the start, and at the end.
    const SIDE: usize = 400;
    let count = problem.chars().count();
    if count <= 2 * SIDE {
        return one_line(problem).into_owned();
    }
    let place = |number: usize| problem.char_indices().nth(number).map_or(problem.len(), |(place, _)| place);
    let (start, end) = (&problem[..place(SIDE)], &problem[place(count - SIDE)..]);
    format!("{} … {}", one_line(start), one_line(end))
}

/// The first characters of a text that is being written.
struct Start(String);

impl Write for Start {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = (MOST + 1).saturating_sub(self.0.chars().count());
        match text.char_indices().nth(left) {
            Some((end, _)) => {
                self.0.push_str(&text[..end]);
                Err(fmt::Error)
            }
            None => {
                self.0.push_str(text);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_problem_is_left_out() {
        assert_eq!(brief("a row is\n3; remove it"), "a row is\\n3; remove it");
        let long = brief(&format!("a row is {}; remove it", "é".repeat(100_000)));
        assert!(long.starts_with("a row is é") && long.contains("é … é") && long.ends_with("é; remove it"), "{long}");
        assert_eq!(long.chars().count(), 803);
    }

    #[test]
    fn values_are_on_one_line_and_cut() {
        assert_eq!(excerpt(3), "3");
        assert_eq!(excerpt("a\nb\u{1b}[31m"), r"a\nb\u{1b}[31m");
        let whole = "é".repeat(MOST);
        assert_eq!(excerpt(&whole), whole);
        assert_eq!(excerpt(format!("{whole}é")), format!("{whole}…"));
        let long = serde_json::json!(["x".repeat(5_000_000), "y"]);
        assert_eq!(excerpt(long), format!("[\"{}…", "x".repeat(MOST - 2)));
        assert_eq!(excerpt("\n".repeat(5_000)), format!("{}…", "\\n".repeat(MOST / 2)));
    }
}
