//! Tokenizers that have more tokens than the model has embeddings.
//!
//! Such a model can be used as long as no text needs one of these tokens, as in `transformers`.

use grid::data::{DataError, Tokenizer};

use crate::attempt::JobError;

/// At most this many tokens are named.
const NAMED: usize = 3;

/// The warning for a tokenizer with tokens that have no embedding.
pub(super) fn warning(tokenizer: &Tokenizer, vocab_size: u32) -> Option<String> {
    let tokens = tokenizer.tokens_from(vocab_size);
    let names: Vec<String> = tokens.iter().take(NAMED).map(|(id, token)| format!("'{token}' (id {id})")).collect();
    let more = match tokens.len() {
        0 => return None,
        count if count > NAMED => format!(" and {} more", count - NAMED),
        _ => String::new(),
    };
    Some(format!(
        "the model has {vocab_size} embeddings, and the tokenizer has tokens beyond them: {}{more}; a text that needs one \
         cannot be scored or trained on",
        names.join(", ")
    ))
}

/// What there is to say about a token without an embedding, for a sentence that names the place.
pub(super) fn problem(tokenizer: &Tokenizer, id: u32, vocab_size: u32) -> String {
    let token = tokenizer.token(id).map_or(String::new(), |token| format!(" '{token}'"));
    format!(
        "it needs the token{token} (id {id}), but the model has {vocab_size} embeddings; leave the text out, or give the \
         model more rows (`resize_token_embeddings`)"
    )
}

/// Fails if one of the texts has a token without an embedding. `find` searches the texts and describes the first place.
pub(super) fn check(
    tokenizer: &Tokenizer,
    vocab_size: u32,
    find: impl Fn(&dyn Fn(u32) -> bool) -> Result<Option<(String, u32)>, DataError>,
) -> Result<(), JobError> {
    if tokenizer.tokens_from(vocab_size).is_empty() {
        return Ok(());
    }
    match find(&|id| id >= vocab_size)? {
        Some((place, id)) => Err(JobError::failed(format!("{place}: {}", problem(tokenizer, id, vocab_size)))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_without_an_embedding_are_named() {
        let tokenizer = Tokenizer::train(260, ["a dog and a dog"].into_iter()).unwrap();
        let size = tokenizer.vocab_size();
        assert_eq!(warning(&tokenizer, size), None);
        let last = tokenizer.token(size - 1).unwrap();
        let said = warning(&tokenizer, size - 1).unwrap();
        assert!(said.contains(&format!("tokens beyond them: '{last}' (id {}); a text", size - 1)), "{said}");
        assert!(warning(&tokenizer, 10).unwrap().contains(&format!(" and {} more; ", size - 13)));
        let find = |wrong: &dyn Fn(u32) -> bool| Ok(wrong(11).then(|| ("record 7".to_owned(), 11)));
        assert!(check(&tokenizer, size, find).is_ok());
        let refusal = check(&tokenizer, 10, find).unwrap_err().to_string();
        assert!(refusal.starts_with("record 7: it needs the token '") && refusal.contains("(id 11)"), "{refusal}");
    }
}
