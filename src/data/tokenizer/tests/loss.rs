//! What tokenizers do not keep of a text.

use super::*;

/// A tokenizer of these parts, with the other files that make it a tokenizer of the class of that name.
fn made_of(class: &str, parts: serde_json::Value) -> Tokenizer {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer = serde_json::json!({"version": "1.0", "added_tokens": [], "normalizer": null,
        "pre_tokenizer": null, "post_processor": null, "decoder": null});
    tokenizer.as_object_mut().unwrap().extend(parts.as_object().unwrap().clone());
    std::fs::write(folder.path().join(TOKENIZER), tokenizer.to_string()).unwrap();
    let settings = serde_json::json!({"tokenizer_class": class});
    std::fs::write(folder.path().join(TOKENIZER_CONFIG), settings.to_string()).unwrap();
    Tokenizer::load(folder.path()).unwrap()
}

fn loss(tokenizer: &Tokenizer, text: &str) -> TokenizationLoss {
    tokenizer.loss(text, &tokenizer.encode_with_offsets(text, false).unwrap()).unwrap()
}

/// Unknown tokens, lost bytes, and the first difference.
fn lost(unknown: u64, bytes: u64, text: &str, decoded: &str) -> TokenizationLoss {
    TokenizationLoss { unknown, bytes, first: Some((text.to_owned(), decoded.to_owned())) }
}

#[test]
fn tokenizers_of_bytes_lose_nothing() {
    let text = "  The dog\u{2019}s café \u{1f642}\t\n<pad> \u{65}\u{301} ";
    assert_eq!(loss(&trained(400), text), TokenizationLoss::default());
    let spaced = folder_with(
        serde_json::json!({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true, "eos_token": "<pad>"}),
        "gpt2",
        |_| {},
    );
    let spaced = Tokenizer::load(spaced.path()).unwrap();
    assert_ne!(spaced.encode("The dog").unwrap(), trained(400).encode("The dog").unwrap());
    for text in ["The dog", text] {
        assert_eq!(loss(&spaced, text), TokenizationLoss::default(), "an additional space loses nothing");
    }
    let mut parts: serde_json::Value = serde_json::from_str(&json(&trained(400))).unwrap();
    parts["decoder"] = serde_json::Value::Null;
    let bare = made_of("PreTrainedTokenizerFast", parts);
    assert_eq!(loss(&bare, text), TokenizationLoss::default(), "only the decoder is missing");
}

#[test]
fn what_a_tokenizer_does_not_keep_is_counted() {
    let mut lower: serde_json::Value = serde_json::from_str(&json(&trained(400))).unwrap();
    lower["normalizer"] = serde_json::json!({"type": "Lowercase"});
    let lower = made_of("PreTrainedTokenizerFast", lower);
    assert_eq!(loss(&lower, "the dog"), TokenizationLoss::default());
    assert_eq!(loss(&lower, "a dog of THE Town"), lost(0, 4, "THE Town", "the town"));
    assert_eq!(loss(&lower, &"ABC ".repeat(4000)).bytes, 12_000);
    let neox = folder_with(serde_json::json!({"tokenizer_class": "GPTNeoXTokenizer"}), "llama", |_| {});
    let neox = Tokenizer::load(neox.path()).unwrap();
    // NFC makes one character of an e and its accent, which are three bytes.
    assert_eq!(loss(&neox, "a cafe\u{301} there"), lost(0, 3, "cafe\u{301} there", "café there"));

    let vocab = serde_json::json!({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[PAD]": 3, "[MASK]": 4, "a": 5, "cafe": 6, "dog": 7, ".": 8});
    let pieces = serde_json::json!({"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab,
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}});
    let bert = made_of("BertTokenizer", pieces);
    assert_eq!(bert.unknown_token().as_deref(), Some("[UNK]"));
    assert_eq!(loss(&bert, "a dog."), TokenizationLoss::default());
    assert_eq!(loss(&bert, "a café dog"), lost(0, 2, "café dog", "cafe dog"));
    assert_eq!(loss(&bert, "a wolf dog."), lost(1, 5, "wolf dog.", "dog."));
    let long = format!("a {} dog. {} a.", "wolf ".repeat(30).trim(), "bear ".repeat(30).trim());
    assert_eq!(loss(&bert, &long), lost(60, 300, &long[2..26], "dog. a."));
    // A text that spells out the token has it.
    assert_eq!(loss(&bert, "a [UNK] dog"), TokenizationLoss::default());

    let model = serde_json::json!({"type": "BPE", "unk_token": "?", "vocab": {"?": 0, "a": 1, "b": 2, " ": 3}, "merges": [],
        "dropout": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
        "byte_fallback": false});
    let bpe = |unknown: serde_json::Value| {
        let mut model = model.clone();
        model["unk_token"] = unknown;
        made_of("PreTrainedTokenizerFast", serde_json::json!({"model": model, "decoder": {"type": "Fuse"}}))
    };
    assert_eq!(loss(&bpe("?".into()), "a xyz ab"), lost(1, 3, "xyz ab", " ab"));
    assert_eq!(loss(&bpe(serde_json::Value::Null), "a xyz ab"), lost(0, 3, "xyz ab", " ab"), "dropped");
    let unigram = serde_json::json!({"type": "Unigram", "unk_id": 0, "byte_fallback": false,
        "vocab": [["<unk>", 0.0], ["a", -1.0], ["\u{2581}", -1.0]]});
    let metaspace =
        serde_json::json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true});
    let unigram = made_of(
        "PreTrainedTokenizerFast",
        serde_json::json!({"model": unigram, "pre_tokenizer": metaspace, "decoder": metaspace}),
    );
    assert_eq!(loss(&unigram, "a a"), TokenizationLoss::default());
    assert_eq!(loss(&unigram, "a x"), lost(1, 1, "x", ""));
}
