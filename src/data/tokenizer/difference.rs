//! Whether two tokenizers have the same tokens.

use super::Tokenizer;

/// A token id that stands for different tokens, which are given for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenDifference {
    /// The smallest such id.
    pub id: u32,
    /// The token of each tokenizer, in quotes, or `none`.
    pub tokens: [String; 2],
}

impl Tokenizer {
    /// The first id that stands for another token in another tokenizer; `None` if their vocabularies are equal.
    pub fn difference(&self, other: &Tokenizer) -> Option<TokenDifference> {
        let ids = 0..self.size().max(other.size());
        let id = ids.into_iter().find(|id| self.token(*id) != other.token(*id))?;
        let named =
            |token: Option<String>| token.map_or("none".to_owned(), |token| format!("'{}'", token.escape_debug()));
        Some(TokenDifference { id, tokens: [self.token(id), other.token(id)].map(named) })
    }

    /// One more than the largest id.
    fn size(&self) -> u32 {
        self.tokens_from(0).last().map_or(0, |(id, _)| id + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_different_token_is_found() {
        let train = |text: &str, size: u32| Tokenizer::train(size, [text].into_iter()).unwrap();
        let tokenizer = train("a dog and a dog", 260);
        assert_eq!(tokenizer.difference(&train("a dog and a dog", 260)), None);
        let other = tokenizer.difference(&train("the cat the cat", 260)).unwrap();
        assert!(other.id >= 258, "the bytes are the same, but not {other:?}");
        assert_ne!(other.tokens[0], other.tokens[1]);
        let shorter = tokenizer.difference(&train("a dog and a dog", 259)).unwrap();
        assert_eq!((shorter.id, &shorter.tokens[1][..]), (259, "none"));
    }
}
