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

#[cfg(test)]
mod tests {
    use super::*;

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
