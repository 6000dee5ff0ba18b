//! Words without an end.
//!
//! The trainer of the library takes a time that grows with the square of the length of a word, and nothing can interrupt
//! it. Only damaged files and data that are not text have words of such lengths.

/// The longest word, in bytes, that is trained on as a whole. No text is affected: the text of a book in a script without
/// spaces has punctuation.
pub(super) const LONGEST: usize = 1 << 14;

/// What the byte-level pre-tokenizer keeps together.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

impl Class {
    fn of(c: char) -> Self {
        match c {
            c if c.is_alphabetic() => Self::Letter,
            c if c.is_numeric() => Self::Number,
            c if c.is_whitespace() => Self::Space,
            _ => Self::Other,
        }
    }
}

/// The parts of a text, which is cut only within words of more than [`LONGEST`] bytes.
pub(super) fn cut(mut rest: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, next) = rest.split_at(end_of_part(rest));
        rest = next;
        Some(part)
    })
}

/// Whether a text has a word that is cut for the training of a tokenizer.
pub(super) fn is_cut(text: &str) -> bool {
    text.len() > LONGEST && end_of_part(text) < text.len()
}

/// The byte at which the first word becomes too long; the length of the text if none does.
fn end_of_part(text: &str) -> usize {
    let (mut start, mut class) = (0, None);
    for (place, c) in text.char_indices() {
        let own = Some(Class::of(c));
        if own != class {
            (start, class) = (place, own);
        } else if place - start >= LONGEST {
            return place;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_without_an_end_are_cut() {
        let parts = |text: &str| cut(text).map(str::len).collect::<Vec<_>>();
        let whole = "a".repeat(LONGEST);
        for text in ["", "a few words", &whole, &format!("{whole}1{whole}"), &"字。".repeat(LONGEST)] {
            assert_eq!(parts(text).len(), usize::from(!text.is_empty()));
            assert!(!is_cut(text));
        }
        assert_eq!(parts(&format!("x {whole}{whole}b")), [2 + LONGEST, LONGEST, 1]);
        assert!(is_cut(&format!("x {whole}b")));
        assert_eq!(parts(&"é".repeat(LONGEST)), [LONGEST, LONGEST]);
        assert_eq!(parts(&" ".repeat(LONGEST + 1)), [LONGEST, 1]);
        let text = format!("x {whole}{whole}b c");
        assert_eq!(cut(&text).collect::<String>(), text, "nothing is lost");
    }
}
