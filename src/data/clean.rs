//! Removal of characters from text.

use std::borrow::Cow;

/// Removes these characters from a text. In lines that contain one, runs of spaces become one space.
pub(super) fn remove_characters<'a>(text: &'a str, characters: &str) -> Cow<'a, str> {
    if characters.is_empty() || !text.contains(|c| characters.contains(c)) {
        return Cow::Borrowed(text);
    }
    let clean = |line: &str| -> String {
        if !line.contains(|c| characters.contains(c)) {
            return line.to_owned();
        }
        let kept: String = line.chars().filter(|&c| !characters.contains(c)).collect();
        // Tabs stay: one separates the speaker from the utterance.
        let parts = kept.split('\t').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
        parts.collect::<Vec<_>>().join("\t").trim_end().to_owned()
    };
    Cow::Owned(text.lines().map(clean).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_characters_joins_runs_of_spaces() {
        assert_eq!(
            remove_characters("= = = Title = = =\n*A:\tso | it goes \n plain  line", "=*|"),
            "Title\nA:\tso it goes\n plain  line"
        );
        assert!(matches!(remove_characters("plain", "="), Cow::Borrowed("plain")));
    }
}
