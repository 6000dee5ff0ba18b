//! The error for an item that a model cannot score.

use grid::data::Tokenizer;
use grid::domain::Test;
use grid::suites::{Candidate, Item};

use super::vocabulary;
use crate::attempt::JobError;
use crate::ml::Unscorable;

/// The number of characters of a text that are shown.
const SHOWN: usize = 60;

/// An error that names suite, file, item and candidate.
///
/// `files` are the names of the evaluation files; that of the item is the one that has the name of its subtask, or the only
/// one.
pub(super) fn error(
    test: &Test,
    files: &[&str],
    items: &[Item],
    candidate: &Candidate,
    problem: &Unscorable,
    tokenizer: &Tokenizer,
) -> JobError {
    let found = items.iter().find_map(|item| {
        let number = item.candidates.iter().position(|known| known == candidate)?;
        Some((item, number))
    });
    let place = match found {
        Some((item, number)) => {
            let file = file_of(files, &item.subtask).map_or(String::new(), |file| format!("{file}, "));
            format!("{test}: {file}item {} of {}, candidate {number}", item.index, item.subtask)
        }
        None => test.to_string(),
    };
    let mut text: String = candidate.text.chars().take(SHOWN).collect();
    if text.len() < candidate.text.len() {
        text.push('…');
    }
    let reason = match problem {
        Unscorable::NotInVocabulary { id, vocab_size } => vocabulary::problem(tokenizer, *id, *vocab_size),
        Unscorable::TooLong { .. } => {
            format!("{problem}; leave the item out of the data, or score a model with a longer context")
        }
        Unscorable::NothingBefore | Unscorable::Range { .. } => problem.to_string(),
    };
    JobError::failed(format!("{place} ({text:?}): {reason}"))
}

fn file_of<'a>(files: &[&'a str], subtask: &str) -> Option<&'a str> {
    let name = |path: &&&'a str| path.rsplit('/').next().is_some_and(|name| name.split('.').next() == Some(subtask));
    match files {
        [only] => Some(only),
        _ => files.iter().find(name).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grid::domain::{Cluster, Mode, Suite};
    use grid::suites;

    #[test]
    fn suite_file_item_and_lengths_are_named() {
        let rows = r#"{"sentence_good": "The dog barks.", "sentence_bad": "The dog bark."}
{"sentence_good": "The cats sleep.", "sentence_bad": "The cats sleeps."}"#;
        let files = ["a.jsonl", "b.jsonl"].map(|name| (name.to_owned(), rows.as_bytes().to_vec()));
        let items = suites::read(Suite::Blimp, Mode::FIXED, &files).unwrap();
        assert!(items.iter().all(|item| item.cluster != Cluster::Unknown));
        let tokenizer = Tokenizer::train(300, ["The dog barks."].into_iter()).unwrap();
        let names = ["a.jsonl", "b.jsonl"];
        let said = |candidate: &Candidate, problem| {
            error(&Suite::Blimp.into(), &names, &items, candidate, &problem, &tokenizer).to_string()
        };
        assert_eq!(
            said(&items[1].candidates[1], Unscorable::TooLong { ids: 12, limit: 8 }),
            "blimp: a.jsonl, item 1 of a, candidate 1 (\"The cats sleeps.\"): it has 12 tokens, but the model has a context \
             of 8 positions; leave the item out of the data, or score a model with a longer context"
        );
        assert_eq!(
            said(&items[0].candidates[0], Unscorable::NotInVocabulary { id: 1, vocab_size: 1 }),
            "blimp: a.jsonl, item 0 of a, candidate 0 (\"The dog barks.\"): it needs the token '<pad>' (id 1), but the model \
             has 1 embeddings; leave the text out, or give the model more rows (`resize_token_embeddings`)"
        );
    }
}
