use proptest::prelude::*;
use serde::Deserialize;

use crate::domain::WorldPart;
use crate::recordings::recording;

use super::super::world;
use super::*;

mod loss;
mod older_layout;

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

/// Writes a small tokenizer of bytes with these settings in `tokenizer_config.json`, and `config.json` of a model type.
fn folder_with(
    settings: serde_json::Value,
    model_type: &str,
    change: impl Fn(&mut serde_json::Value),
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizer: serde_json::Value = serde_json::from_str(&json(&trained(400))).unwrap();
    change(&mut tokenizer);
    for (name, value) in [
        (TOKENIZER, tokenizer),
        (TOKENIZER_CONFIG, settings),
        ("config.json", serde_json::json!({"model_type": model_type})),
    ] {
        std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    }
    folder
}

fn ids(folder: &tempfile::TempDir, release: Transformers, text: &str) -> Vec<u32> {
    Tokenizer::load_as(folder.path(), release).unwrap().encode_with_offsets(text, true).unwrap().ids
}

#[test]
fn llama_tokenizers_put_a_token_before_every_text_in_release_4_only() {
    let settings = serde_json::json!({"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"});
    let folder = folder_with(settings.clone(), "llama", |_| {});
    let bare = trained(400).encode("The dog").unwrap();
    assert_eq!(ids(&folder, Transformers::V5, "The dog"), bare);
    assert_eq!(ids(&folder, Transformers::V4, "The dog"), [&[0], &bare[..]].concat());
    let mut without = settings;
    without["add_bos_token"] = false.into();
    let folder = folder_with(without, "llama", |_| {});
    assert_eq!(ids(&folder, Transformers::V4, "The dog"), bare);
    // Without a class, release 4 takes that of the model.
    let folder = folder_with(serde_json::json!({"bos_token": "<pad>"}), "llama", |_| {});
    assert_eq!(ids(&folder, Transformers::V4, "The dog"), [&[1], &bare[..]].concat());
    assert_eq!(ids(&folder, Transformers::V5, "The dog"), bare);
}

#[test]
fn the_prefix_space_is_a_setting_in_release_4_and_for_named_classes() {
    let bare = trained(400).encode("The dog").unwrap();
    let spaced = trained(400).encode(" The dog").unwrap();
    let space = |tokenizer: &mut serde_json::Value| tokenizer["pre_tokenizer"]["add_prefix_space"] = true.into();
    let generic = |settings| folder_with(settings, "llama", space);
    let folder = generic(serde_json::json!({"tokenizer_class": "PreTrainedTokenizerFast"}));
    assert_eq!(ids(&folder, Transformers::V5, "The dog"), spaced, "as in tokenizer.json");
    assert_eq!(ids(&folder, Transformers::V4, "The dog"), bare, "the setting is missing and so false");
    let folder = generic(serde_json::json!({"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": true}));
    assert_eq!(ids(&folder, Transformers::V4, "The dog"), spaced);
    for class in [serde_json::json!({}), serde_json::json!({"tokenizer_class": "GPT2Tokenizer"})] {
        let folder = folder_with(class, "gpt2", space);
        for release in Transformers::ALL {
            assert_eq!(ids(&folder, release, "The dog"), bare);
        }
    }
}

#[test]
fn gpt2_tokenizers_of_release_5_keep_only_the_vocabulary() {
    let lower = |tokenizer: &mut serde_json::Value| tokenizer["normalizer"] = serde_json::json!({"type": "Lowercase"});
    let folder = folder_with(serde_json::json!({"tokenizer_class": "GPT2TokenizerFast"}), "gpt2", lower);
    assert_eq!(ids(&folder, Transformers::V5, "THE"), trained(400).encode("THE").unwrap());
    assert_eq!(ids(&folder, Transformers::V4, "THE"), trained(400).encode("the").unwrap());
    let unigram = |tokenizer: &mut serde_json::Value| {
        tokenizer["model"] =
            serde_json::json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]], "byte_fallback": false});
    };
    let folder = folder_with(serde_json::json!({"tokenizer_class": "GPT2Tokenizer"}), "gpt2", unigram);
    let refusal = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(refusal.contains("its model is Unigram, but 'tokenizer_class' GPT2Tokenizer"), "{refusal}");
}

#[test]
fn special_tokens_are_added_as_transformers_does() {
    let settings = serde_json::json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>",
        "bos_token": "dog", "additional_special_tokens": ["<|user|>"]});
    let folder = folder_with(settings, "llama", |_| {});
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    let size = trained(400).vocab_size();
    assert!(trained(400).inner.token_to_id("dog").is_none());
    let encoded = tokenizer.encode("a<|im_end|>b<|user|>dog").unwrap();
    assert_eq!(encoded[1], size + 1, "after the begin-of-text token");
    assert_eq!(encoded[3..], [size + 2, size]);
    // The end-of-text token has no embedding that was trained.
    let refusal = tokenizer.end_of_text().unwrap_err().to_string();
    assert_eq!(
        refusal,
        "find the end-of-text token: tokenizer_config.json names '<|im_end|>' as the end-of-text token, but tokenizer.json \
         does not have it; name one of its tokens as `eos_token`"
    );
    assert_eq!(tokenizer.special_tokens().eos, None);
    assert_eq!(tokenizer.warnings().len(), 1);
}

#[test]
fn a_disagreement_about_the_end_of_text_token_is_said() {
    let folder = folder_with(serde_json::json!({"eos_token": "<|endoftext|>"}), "llama", |_| {});
    let warnings = |eos: serde_json::Value| {
        let config = serde_json::json!({"model_type": "llama", "eos_token_id": eos});
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.end_of_text().unwrap(), 0);
        tokenizer.warnings().to_vec()
    };
    assert_eq!(
        warnings(1.into()),
        [
            "the files disagree about the end-of-text token: the tokenizer has '<|endoftext|>' (id 0), which is used, and \
          config.json has '<pad>' (id 1)"
        ]
    );
    assert_eq!(warnings(serde_json::json!([1, 0])), [] as [String; 0]);
    assert_eq!(warnings(serde_json::Value::Null), [] as [String; 0]);
}

#[test]
fn what_cannot_be_reproduced_is_refused_by_name() {
    let refusal = |settings: serde_json::Value, release| {
        let folder = folder_with(settings, "llama", |_| {});
        let error = Tokenizer::load_as(folder.path(), release).unwrap_err().to_string();
        error.split_once(": ").unwrap().1.split(", whose").next().unwrap().to_owned()
    };
    let class = |name: &str| serde_json::json!({"tokenizer_class": name});
    let v5 = Transformers::V5;
    assert_eq!(refusal(class("T5TokenizerFast"), v5), "'tokenizer_class' is \"T5TokenizerFast\"");
    assert_eq!(refusal(class("MyTokenizer"), Transformers::V4), "'tokenizer_class' is \"MyTokenizer\"");
    assert!(
        refusal(serde_json::json!({"auto_map": {"AutoTokenizer": ["a.B", null]}}), v5)
            .contains("Python code of its own")
    );
    assert!(refusal(serde_json::json!({"eos_token": 3}), v5).contains("'eos_token' is 3, not a token"));
    let space = serde_json::json!({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": true});
    assert!(
        refusal(space, Transformers::V4).contains("'add_prefix_space' is true: LlamaTokenizer of transformers 4.51.3")
    );
    let random = |tokenizer: &mut serde_json::Value| tokenizer["model"]["dropout"] = 0.1.into();
    let folder = folder_with(class("PreTrainedTokenizerFast"), "llama", random);
    let error = Tokenizer::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("'dropout' of its model is 0.1"), "{error}");
    // A name that release 5 does not know is read unchanged.
    let folder = folder_with(class("MyTokenizer"), "llama", |_| {});
    assert_eq!(ids(&folder, v5, "The dog"), trained(400).encode("The dog").unwrap());
}

#[test]
fn a_copied_tokenizer_keeps_the_class_that_the_model_names() {
    let folder = folder_with(serde_json::json!({"eos_token": "<|endoftext|>"}), "llama", |_| {});
    let config = serde_json::json!({"model_type": "llama", "tokenizer_class": "LlamaTokenizer", "bos_token_id": 0});
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_tokenizer(folder.path(), copy.path()).unwrap();
    let text = std::fs::read_to_string(copy.path().join(TOKENIZER_CONFIG)).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(settings, serde_json::json!({"eos_token": "<|endoftext|>", "tokenizer_class": "LlamaTokenizer"}));
}

#[test]
fn spaces_in_front_of_punctuation_are_removed_if_the_settings_say_so() {
    let folder = folder_with(serde_json::json!({"clean_up_tokenization_spaces": true}), "llama", |_| {});
    let decoded = |release| {
        let tokenizer = Tokenizer::load_as(folder.path(), release).unwrap();
        tokenizer.decode(&tokenizer.encode("it 's a dog .").unwrap()).unwrap()
    };
    assert_eq!(decoded(Transformers::V4), "it's a dog.");
    assert_eq!(decoded(Transformers::V5), "it 's a dog .", "not for BPE");
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
    let Some(golden) = recording("golden") else { return };
    let mut compared = 0;
    for folder in std::fs::read_dir(golden).unwrap() {
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
    let Some(text) = recording("data/text/simple_wiki.train") else { return };
    let text = std::fs::read_to_string(text).unwrap();
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
