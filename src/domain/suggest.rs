//! Suggestions for misspelt names.

/// The known name that is closest to `word`, if `word` may be a misspelling of it.
///
/// Case is ignored. One edit is always allowed (insertion, deletion, substitution or transposition of neighbours), and
/// one more for every three characters beyond the first three.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_lowercase());
    let (distance, name) = known.into_iter().map(|name| (distance(name), name)).min()?;
    (distance <= 1.max(word.chars().count() / 3)).then_some(name)
}

/// `did you mean 'seed'?`, if a known name is close to `word`; see [`closest`].
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, known).map(|name| format!("did you mean '{name}'?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested() {
        let known = ["epochs", "seed", "learning_rate"];
        assert_eq!(closest("epcohs", known), Some("epochs"));
        assert_eq!(closest("SEED", known), Some("seed"));
        assert_eq!(closest("lerning_rat", known), Some("learning_rate"));
        assert_eq!(closest("need", known), Some("seed"));
        assert_eq!(closest("nerd", known), None);
        assert_eq!(did_you_mean("sed", known).as_deref(), Some("did you mean 'seed'?"));
    }
}
