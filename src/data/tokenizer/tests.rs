use std::io::Write;

use proptest::prelude::*;
use serde::Deserialize;

use crate::domain::WorldPart;

use super::super::world;
use super::*;

fn text() -> String {
    world::corpus(WorldPart::Articles, 7, 4_000)
}

fn trained(vocab_size: u32) -> Tokenizer {
    Tokenizer::train(vocab_size, text().split("\n\n")).unwrap()
}

fn json(tokenizer: &Tokenizer) -> String {
    tokenizer.inner.to_string(false).unwrap()
}

#[test]
fn special_tokens_have_the_first_ids_and_are_not_added_to_texts() {
    let tokenizer = trained(400);
    assert_eq!(tokenizer.special_tokens(), SpecialTokens { bos: None, eos: Some(0), pad: Some(1) });
    assert_eq!((tokenizer.opening(), tokenizer.vocab_size()), (&[][..], 400));
    assert_eq!(tokenizer.decode(&[0, 1]).unwrap(), "<|endoftext|><pad>");
    let encoding = tokenizer.encode_with_offsets("The dog", true).unwrap();
    assert_eq!(encoding.ids, tokenizer.encode("The dog").unwrap());
    assert!(!encoding.ids.contains(&0));
    assert_eq!(encoding.offsets[0].0, 0);
    assert_eq!(tokenizer.encode("").unwrap(), [0u32; 0]);
}

#[test]
fn training_depends_only_on_the_texts() {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| json(&trained(1000)))
    };
    let one = with(1);
    assert_eq!(one, with(4));
    assert_eq!(one, with(3));
    let backwards = Tokenizer::train(1000, text().split("\n\n").collect::<Vec<_>>().into_iter().rev()).unwrap();
    assert_eq!(one, json(&backwards));
}

#[test]
fn short_texts_give_fewer_entries_and_small_vocabularies_are_rejected() {
    let tokenizer = Tokenizer::train(5000, ["a dog and a dog"].into_iter()).unwrap();
    assert!((259..280).contains(&tokenizer.vocab_size()), "{}", tokenizer.vocab_size());
    let error = Tokenizer::train(257, ["a dog"].into_iter()).unwrap_err();
    assert_eq!(error.to_string(), "train a tokenizer: vocab_size 257 is too small for the 256 bytes; use 258 or more");
}

#[test]
fn tokenizers_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = trained(500);
    tokenizer.save(folder.path()).unwrap();
    let loaded = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(loaded.encode(&text()).unwrap(), tokenizer.encode(&text()).unwrap());
    assert_eq!((loaded.special_tokens(), loaded.vocab_size()), (tokenizer.special_tokens(), 500));
    std::fs::write(folder.path().join(TOKENIZER), "{}").unwrap();
    assert!(Tokenizer::load(folder.path()).unwrap_err().to_string().contains("tokenizer.json"));
}

#[test]
fn encoding_in_pieces_gives_the_same_ids() {
    let text = world::corpus(WorldPart::Speech, 7, 40_000);
    assert!(pieces(&text).count() > 2);
    assert_eq!(pieces(&text).collect::<String>(), text);
    let tokenizer = trained(500);
    assert_eq!(tokenizer.encode_document(&text).unwrap(), tokenizer.encode(&text).unwrap());
}

/// Writes a tokenizer unlike our own: a space before the first word, a begin-of-text token, unusual names.
fn write_foreign(folder: &Path) {
    let mut tokenizer: serde_json::Value = serde_json::from_str(&json(&trained(500))).unwrap();
    tokenizer["pre_tokenizer"]["add_prefix_space"] = true.into();
    let special = |id: u32, word: &str| {
        serde_json::json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    tokenizer["added_tokens"] = vec![special(500, "[START]"), special(501, "[STOP]")].into();
    tokenizer["post_processor"] = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[START]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[START]": {"id": "[START]", "ids": [500], "tokens": ["[START]"]}},
    });
    std::fs::write(folder.join(TOKENIZER), tokenizer.to_string()).unwrap();
}

#[test]
fn special_tokens_are_read_from_the_configuration_files() {
    let folder = tempfile::tempdir().unwrap();
    write_foreign(folder.path());
    let special = || Tokenizer::load(folder.path()).unwrap().special_tokens();
    // The usual names: those of our own vocabulary are still in it.
    assert_eq!(special(), SpecialTokens { bos: None, eos: Some(0), pad: Some(1) });
    let write = |name: &str, value: serde_json::Value| std::fs::write(folder.path().join(name), value.to_string());
    write("config.json", serde_json::json!({"eos_token_id": [7, 8], "bos_token_id": 9, "pad_token_id": null})).unwrap();
    assert_eq!(special(), SpecialTokens { bos: Some(9), eos: Some(7), pad: Some(1) });
    write("special_tokens_map.json", serde_json::json!({"eos_token": {"content": "[STOP]"}})).unwrap();
    assert_eq!(special(), SpecialTokens { bos: Some(9), eos: Some(501), pad: Some(1) });
    write("tokenizer_config.json", serde_json::json!({"bos_token": "[START]", "pad_token": "[STOP]"})).unwrap();
    assert_eq!(special(), SpecialTokens { bos: Some(500), eos: Some(501), pad: Some(501) });
    let copy = tempfile::tempdir().unwrap();
    copy_tokenizer(folder.path(), copy.path()).unwrap();
    assert_eq!(Tokenizer::load(copy.path()).unwrap().special_tokens(), special());
    write("tokenizer_config.json", serde_json::json!([])).unwrap();
    assert!(Tokenizer::load(folder.path()).unwrap_err().to_string().contains("tokenizer_config.json"));
}

#[test]
fn foreign_tokenizers_keep_their_template_and_encode_texts_whole() {
    let folder = tempfile::tempdir().unwrap();
    write_foreign(folder.path());
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(tokenizer.opening(), [500]);
    let text = world::corpus(WorldPart::Speech, 7, 40_000);
    assert!(pieces(&text).count() > 2);
    // Cut in pieces, each would begin with a space of its own.
    assert_eq!(tokenizer.encode_document(&text).unwrap(), tokenizer.encode(&text).unwrap());
    assert!(!tokenizer.divisible && trained(500).divisible);
}

#[test]
fn a_tokenizer_without_end_of_text_cannot_be_used_for_training() {
    let folder = tempfile::tempdir().unwrap();
    let bare = r#"{"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
    std::fs::write(folder.path().join(TOKENIZER), bare).unwrap();
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    assert_eq!(tokenizer.encode("a").unwrap(), [0]);
    assert!(tokenizer.end_of_text().unwrap_err().to_string().contains("set `eos_token`"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_text_round_trips(text in "(\\PC|[ \t\n]){0,60}") {
        static TOKENIZER: std::sync::LazyLock<Tokenizer> = std::sync::LazyLock::new(|| trained(500));
        prop_assert_eq!(TOKENIZER.decode(&TOKENIZER.encode(&text).unwrap()).unwrap(), text);
    }
}

#[derive(Deserialize)]
struct Golden {
    text: String,
    ids: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    ids_no_special: Vec<u32>,
    decoded: String,
}

#[test]
fn golden_tokenizers_agree_with_the_reference() {
    let Some(root) = std::env::var_os("GRID_SHARED") else {
        let _ = writeln!(std::io::stderr(), "skipped: GRID_SHARED is not set");
        return;
    };
    let mut compared = 0;
    for folder in std::fs::read_dir(Path::new(&root).join("golden")).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(lines) = std::fs::read_to_string(folder.join("tokenizer_parity/strings.jsonl")) else { continue };
        let tokenizer = Tokenizer::load(&folder.join("model")).unwrap();
        for line in lines.lines() {
            let golden: Golden = serde_json::from_str(line).unwrap();
            let at = format!("{}: {:?}", folder.display(), golden.text);
            let encoding = tokenizer.encode_with_offsets(&golden.text, true).unwrap();
            assert_eq!(encoding.ids, golden.ids, "{at}");
            assert_eq!(encoding.offsets, golden.offsets, "{at}");
            assert_eq!(tokenizer.encode(&golden.text).unwrap(), golden.ids_no_special, "{at}");
            assert_eq!(tokenizer.decode(&golden.ids).unwrap(), golden.decoded, "{at}");
            compared += 1;
        }
    }
    assert!(compared >= 200, "{compared} strings compared");
}

/// In real text, thousands of pairs have equal frequencies; their order must not depend on threads or hash seeds.
#[test]
fn real_text_trains_the_same_tokenizer_on_any_number_of_threads() {
    let Some(root) = std::env::var_os("GRID_SHARED") else {
        let _ = writeln!(std::io::stderr(), "skipped: GRID_SHARED is not set");
        return;
    };
    let text = std::fs::read_to_string(Path::new(&root).join("data/text/simple_wiki.train")).unwrap();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| json(&Tokenizer::train(8_000, text.lines()).unwrap()))
    };
    let one = with(1);
    assert!(one.len() > 100_000);
    for threads in [1, 2, 5] {
        assert!(one == with(threads), "{threads} threads");
    }
}
