//! `vocab.json` and `merges.txt` in place of `tokenizer.json`.

use super::*;

/// Writes the vocabulary and the merges of a small tokenizer of bytes as older releases do, with these settings.
fn older_folder(settings: serde_json::Value, model_type: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer: serde_json::Value = serde_json::from_str(&json(&trained(400))).unwrap();
    let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
    let merges = merges.map(|pair| format!("{} {}\n", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    let texts = [
        (VOCABULARY, tokenizer["model"]["vocab"].to_string()),
        (MERGES, std::iter::once("#version: 0.2\n".to_owned()).chain(merges).collect()),
        (TOKENIZER_CONFIG, settings.to_string()),
        ("config.json", serde_json::json!({"model_type": model_type}).to_string()),
    ];
    for (name, text) in texts {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_vocabulary_with_merges_is_a_tokenizer_of_bytes() {
    let bare = trained(400).encode("The dog's").unwrap();
    let spaced = trained(400).encode(" The dog's").unwrap();
    let with = |settings: serde_json::Value| older_folder(settings, "gpt2");
    for settings in [serde_json::json!({}), serde_json::json!({"tokenizer_class": "GPT2TokenizerFast"})] {
        let folder = with(settings);
        for release in Transformers::ALL {
            assert_eq!(ids(&folder, release, "The dog's"), bare);
        }
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.decode(&bare).unwrap(), "The dog's");
        assert_eq!((tokenizer.end_of_text().unwrap(), tokenizer.vocab_size()), (0, 400));
    }
    // OPT: a token before each text, here one of the vocabulary; GPT-2 of release 4 has none after a text.
    let opt = serde_json::json!({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": "<pad>",
        "add_eos_token": true, "add_prefix_space": true});
    let folder = with(opt);
    assert_eq!(ids(&folder, Transformers::V5, "The dog's"), [&[1], &spaced[..], &[0]].concat());
    assert_eq!(ids(&folder, Transformers::V4, "The dog's"), [&[1], &spaced[..]].concat());
    // RoBERTa adds the tokens that the vocabulary lacks: <s>, </s>, <unk>, <mask>.
    let folder = older_folder(serde_json::json!({}), "roberta");
    for release in Transformers::ALL {
        assert_eq!(ids(&folder, release, "The dog's"), [&[400], &bare[..], &[401]].concat());
    }
    let space = trained(400).encode(" ").unwrap();
    assert_eq!(ids(&folder, Transformers::V5, " <mask>"), [&[400], &space[..], &[403, 401]].concat());
    assert_eq!(ids(&folder, Transformers::V4, " <mask>"), [400, 403, 401], "it includes the space before it");
    // So does that of tokenizer.json, unless a file names it.
    let listed = |settings| {
        folder_with(settings, "llama", |tokenizer| {
            let mask = serde_json::json!({"id": 400, "content": "<mask>", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true});
            tokenizer["added_tokens"].as_array_mut().unwrap().push(mask);
        })
    };
    let (default, named) = (serde_json::json!({}), serde_json::json!({"mask_token": "<mask>"}));
    for (mut settings, count) in [(default, 1), (named, 2)] {
        settings["tokenizer_class"] = "RobertaTokenizer".into();
        assert_eq!(ids(&listed(settings.clone()), Transformers::V4, " <mask>").len(), count, "{settings}");
    }
    let folder = older_folder(serde_json::json!({"tokenizer_class": "GPTNeoXTokenizer"}), "llama");
    assert_eq!(ids(&folder, Transformers::V5, "The dog's"), bare);
    let refusal = Tokenizer::load_as(folder.path(), Transformers::V4).unwrap_err().to_string();
    assert!(refusal.contains("only for GPT2Tokenizer and RobertaTokenizer"), "{refusal}");
    // Added tokens get the next ids, in the order of the listed ones.
    let folder = with(serde_json::json!({"additional_special_tokens": ["<|user|>"]}));
    std::fs::write(folder.path().join(ADDED_TOKENS), r#"{"<b>": 401, "<a>": 400}"#).unwrap();
    for release in Transformers::ALL {
        assert_eq!(ids(&folder, release, "<a><b><|user|>"), [400, 401, 402]);
    }
}

/// Release 4 drops the first line and what follows the last line break, release 5 the lines that begin with `#version`.
#[test]
fn merges_are_read_as_each_release_reads_them() {
    let folder = older_folder(serde_json::json!({}), "gpt2");
    let path = folder.path().join(MERGES);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, merges) = text.split_once('\n').unwrap();
    let first: Vec<&str> = merges.lines().next().unwrap().split(' ').collect();
    // The pair that is merged first, in the letters of the text.
    let pair = first.concat().replace('\u{120}', " ");
    let count = |text: &str, release| {
        std::fs::write(&path, text).unwrap();
        ids(&folder, release, &pair).len()
    };
    assert_eq!([count(&text, Transformers::V4), count(&text, Transformers::V5)], [1, 1]);
    assert_eq!([count(merges, Transformers::V4), count(merges, Transformers::V5)], [2, 1]);
    let one = format!("#version: 0.2\n{}", first.join(" "));
    assert_eq!([count(&one, Transformers::V4), count(&one, Transformers::V5)], [2, 1]);
    assert_eq!(count(&one.replace('\n', "\r\n"), Transformers::V5), 1);
    let refusal = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "DIR")
    };
    let both = [refusal(MERGES, "#version: 0.2\na b c\n"), refusal(VOCABULARY, r#"{"a": "b"}"#)];
    insta::assert_snapshot!(both.join("\n"), @r#"
    load tokenizer DIR/merges.txt: line 2: "a b c" is not two tokens with a space between them, so that transformers 5 cannot read it either; remove the line, or download the file again
    read DIR/vocab.json: a has "b", which is not the id of a token
    "#);
}

#[test]
fn an_older_tokenizer_is_copied_and_other_classes_are_refused() {
    let folder = older_folder(serde_json::json!({"eos_token": "<|endoftext|>"}), "gpt2");
    let copy = tempfile::tempdir().unwrap();
    copy_tokenizer(folder.path(), copy.path()).unwrap();
    std::fs::copy(folder.path().join("config.json"), copy.path().join("config.json")).unwrap();
    assert_eq!(ids(&copy, Transformers::V5, "The dog"), ids(&folder, Transformers::V5, "The dog"));
    assert!(!file_is_enough(folder.path()));
    // A newer file takes precedence.
    trained(300).save(folder.path()).unwrap();
    assert_eq!(ids(&folder, Transformers::V5, "The dog"), trained(300).encode("The dog").unwrap());
    let refusal = |settings: serde_json::Value| {
        let folder = older_folder(settings, "llama");
        let message = Tokenizer::load(folder.path()).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "DIR")
    };
    let classes = ["LlamaTokenizer", "PreTrainedTokenizerFast", "Qwen2Tokenizer", "MyTokenizer"];
    for class in classes {
        let message = refusal(serde_json::json!({"tokenizer_class": class}));
        assert!(message.contains(&format!("), but 'tokenizer_class' is \"{class}\"; create")), "{message}");
    }
    insta::assert_snapshot!(refusal(serde_json::json!({})), @r#"load tokenizer DIR/tokenizer.json: the file is missing, and vocab.json and merges.txt can replace it only for GPT2Tokenizer, RobertaTokenizer and GPTNeoXTokenizer (transformers 5), but no 'tokenizer_class' is named for a model of type "llama"; create it with `AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)`, with a release that can load the tokenizer"#);
}
