//! Names on one line.

use std::borrow::Cow;

/// A name without characters that would break the line or the table it is printed in: control characters, separators of
/// lines, and marks of the direction of writing become escapes such as `\\n`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(breaks) {
        return Cow::Borrowed(text);
    }
    let mut line = String::new();
    for c in text.chars() {
        if breaks(c) { line.extend(c.escape_default()) } else { line.push(c) }
    }
    Cow::Owned(line)
}

/// A text of several lines without characters that control a terminal, which become escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    let controls =
        |line: &str| line.contains(|c: char| c != '\t' && one_line(c.encode_utf8(&mut [0; 4])).len() > c.len_utf8());
    if !text.split('\n').any(controls) {
        return Cow::Borrowed(text);
    }
    let tabs = |line: &str| line.split('\t').map(|part| one_line(part).into_owned()).collect::<Vec<_>>().join("\t");
    Cow::Owned(text.split('\n').map(tabs).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_escaped_and_lines_stay_lines() {
        for text in ["", "one\n\ttwo\n", "é 你 😀"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
        assert_eq!(printable("a\tb\u{1b}[2J\nc\rd\u{9b}\n"), "a\tb\\u{1b}[2J\nc\\rd\\u{9b}\n");
    }

    #[test]
    fn what_breaks_a_line_is_escaped() {
        for (text, line) in [
            ("plain é 你 \\n |*_<a>", "plain é 你 \\n |*_<a>"),
            ("a\nb\r\n\tc", r"a\nb\r\n\tc"),
            ("\u{1b}[31mred\0", r"\u{1b}[31mred\u{0}"),
            ("a\u{2028}b\u{85}c", r"a\u{2028}b\u{85}c"),
            ("\u{202e}txt", r"\u{202e}txt"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }
}
