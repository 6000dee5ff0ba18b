use super::names::COMMON;
use super::*;
use crate::domain::arch::{ArchProperties, Gelu, GptNeox, Mistral, NormPlace, Opt, Positions};
use crate::domain::rope_scaling::RopeScaling;

fn file(arch: Arch) -> ConfigFile {
    let ArchProperties { tied, grouped_heads, positions, .. } = arch.properties();
    let model = ModelConfig {
        arch,
        vocab_size: 61,
        max_positions: 40,
        hidden: 32,
        layers: 2,
        heads: 4,
        kv_heads: if grouped_heads { 2 } else { 4 },
        head_dim: 8,
        intermediate: 48,
        rope_base: if positions == Positions::Rotary { 5e5 } else { 10_000.0 },
        rope_scaling: None,
        norm_eps: 1e-5,
        tied,
        init_std: 0.1,
    };
    let tokens = SpecialTokens { bos: None, eos: Some(0), pad: Some(1) };
    ConfigFile { model, tokens, dtype: "float32".to_owned(), dropout: Dropout::default() }
}

fn fields(arch: Arch) -> Map<String, Value> {
    serde_json::from_str(&file(arch).text()).unwrap()
}

fn parse(fields: &Map<String, Value>) -> Result<ConfigFile, Unsupported> {
    ConfigFile::parse(&serde_json::to_string(fields).unwrap())
}

#[test]
fn configurations_round_trip() {
    for arch in Arch::ALL {
        assert_eq!(ConfigFile::parse(&file(arch).text()), Ok(file(arch)));
    }
    let neox = |rotary_fraction, gelu| GptNeox { parallel: false, rotary_fraction, gelu, attention_bias: false };
    for arch in [
        Arch::Mistral(Mistral { window: Some(8) }),
        Arch::Opt(Opt { norm: NormPlace::After, embedding: Some(16) }),
        Arch::GptNeox(neox(1.0, Gelu::Tanh)),
        Arch::GptNeox(neox(0.5, Gelu::Exact)),
    ] {
        assert_eq!(ConfigFile::parse(&file(arch).text()), Ok(file(arch)));
    }
    let llama3 = RopeScaling::Llama3 { factor: 8.0, low_frequency: 1.0, high_frequency: 4.0, original_positions: 16 };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        attention_factor: 1.25,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_positions: 10,
        truncate: false,
    };
    for scaling in [RopeScaling::Linear { factor: 2.0 }, RopeScaling::Dynamic { factor: 2.0 }, llama3, yarn] {
        for arch in Arch::ALL.into_iter().filter(|arch| arch.properties().positions == Positions::Rotary) {
            let plain = file(arch);
            let scaled =
                ConfigFile { model: ModelConfig { rope_scaling: Some(scaling), ..plain.model.clone() }, ..plain };
            assert_eq!(ConfigFile::parse(&scaled.text()), Ok(scaled));
        }
    }
}

/// What `transformers` takes where a field is missing.
#[test]
fn defaults_differ_by_architecture() {
    let without = |arch: Arch, absent: &[&str]| {
        let mut fields = fields(arch);
        absent.iter().for_each(|name| drop(fields.remove(*name)));
        parse(&fields).unwrap().model
    };
    let mistral = Arch::Mistral(Mistral { window: None });
    let read = without(mistral, &["sliding_window", "max_position_embeddings"]);
    assert_eq!((read.arch, read.max_positions), (Arch::Mistral(Mistral { window: Some(4_096) }), 131_072));
    let refusal = |arch: Arch, absent: &str| {
        let mut fields = fields(arch);
        fields.remove(absent);
        parse(&fields).unwrap_err().to_string()
    };
    assert_eq!(refusal(mistral, "num_key_value_heads"), "has 8 key/value heads, which do not divide the 4 heads");
    assert_eq!(refusal(Arch::Qwen2, "num_key_value_heads"), "has 32 key/value heads, which do not divide the 4 heads");
    assert_eq!(without(Arch::Qwen3, &["head_dim"]).head_dim, 128);
    assert_eq!(without(Arch::Qwen2, &["head_dim"]).head_dim, 8);
    assert_eq!(without(Arch::Qwen2, &["use_sliding_window"]), without(Arch::Qwen2, &[]));
    let [.., opt, neox] = Arch::TRAINED;
    assert_eq!(without(opt, &["word_embed_proj_dim", "do_layer_norm_before"]), without(opt, &[]));
    let read = without(neox, &["rotary_pct", "rope_parameters", "rotary_emb_base", "use_parallel_residual"]);
    assert_eq!(read, ModelConfig { rope_base: 1e4, ..without(neox, &[]) });
}

#[test]
fn options_of_other_architectures_that_change_the_outputs_are_rejected() {
    let [.., mistral, opt, neox] = Arch::TRAINED;
    let changes = [
        (Arch::Qwen2, "use_sliding_window", json!(true)),
        (Arch::Qwen3, "attention_bias", json!(true)),
        (mistral, "sliding_window", json!(0)),
        (opt, "activation_function", json!("gelu")),
        (opt, "enable_bias", json!(false)),
        (opt, "_remove_final_layer_norm", json!(true)),
        (opt, "layer_norm_elementwise_affine", json!(false)),
        (opt, "num_attention_heads", json!(3)),
        (neox, "hidden_act", json!("relu")),
        (neox, "rotary_pct", json!(0.2)),
        (neox, "rope_theta", json!(7)),
    ];
    let errors = changes.map(|(arch, field, value)| {
        let mut fields = fields(arch);
        fields.insert(field.to_owned(), value);
        if field == "rotary_pct" {
            fields.remove("rope_parameters");
            fields.insert("num_attention_heads".to_owned(), json!(2));
        }
        parse(&fields).unwrap_err().to_string()
    });
    insta::assert_snapshot!(errors.join("\n"), @r#"
    'use_sliding_window' is true; only false is supported
    'attention_bias' is true; only false is supported
    'sliding_window' is 0, so that no token attends to itself
    'activation_function' is "gelu"; only "relu" is supported
    'enable_bias' is false; only true is supported
    '_remove_final_layer_norm' is true; only false is supported
    'layer_norm_elementwise_affine' is false; only true is supported
    has 3 heads of width 10, which do not fill the hidden size of 32
    'hidden_act' is "relu"; only "gelu" or "gelu_python" or "gelu_new" or "gelu_pytorch_tanh" or "gelu_python_tanh" or "gelu_fast" or "gelu_accurate" is supported
    has an odd width of a head, 3, which rotary positions cannot rotate
    'rope_theta' is 7; only 500000.0 or 500000 is supported
    "#);
}

#[test]
fn both_forms_of_the_rotary_base_are_read() {
    let (mut old, mut new) = (fields(Arch::Llama), fields(Arch::Llama));
    old.remove("rope_parameters");
    new.remove("rope_theta");
    assert_eq!(parse(&old), Ok(file(Arch::Llama)));
    assert_eq!(parse(&new), Ok(file(Arch::Llama)));
}

#[test]
fn absent_fields_have_the_defaults_of_transformers() {
    let mut gpt2 = fields(Arch::Gpt2);
    gpt2.insert("n_inner".to_owned(), Value::Null);
    gpt2.remove("tie_word_embeddings");
    gpt2.remove("resid_pdrop");
    gpt2.insert("eos_token_id".to_owned(), json!([7, 8]));
    let read = parse(&gpt2).unwrap();
    assert_eq!((read.model.intermediate, read.model.tied, read.tokens.eos), (128, true, Some(7)));
    assert_eq!(read.dropout.largest(), 0.1);
    let mut llama = fields(Arch::Llama);
    for absent in
        ["num_key_value_heads", "head_dim", "tie_word_embeddings", "dtype", "torch_dtype", "attention_dropout"]
    {
        llama.remove(absent);
    }
    let read = parse(&llama).unwrap();
    assert_eq!((read.model.kv_heads, read.model.head_dim, read.model.tied), (4, 8, false));
    assert_eq!((read.dtype.as_str(), read.dropout), ("float32", Dropout::default()));
}

#[test]
fn options_that_change_the_outputs_are_rejected() {
    let changes = [
        ("hidden_act", json!("gelu")),
        ("attention_bias", json!(true)),
        ("rope_scaling", json!({"type": "linear"})),
        ("rope_scaling", json!({"rope_type": "llama3", "factor": 8.0})),
        ("rope_parameters", json!({"rope_type": "yarn"})),
        ("rope_parameters", json!({"rope_type": "longrope", "factor": 2.0})),
        ("rope_parameters", json!({"rope_type": "linear", "type": "dynamic", "factor": 2.0})),
        ("rope_parameters", json!({"rope_type": "default", "partial_rotary_factor": 0.5})),
        ("rope_parameters", json!({"full_attention": {"rope_type": "default"}})),
        ("rope_scaling", json!("linear")),
        ("partial_rotary_factor", json!(0.25)),
        ("sliding_window", json!(64)),
        ("use_sliding_window", json!(true)),
        ("layer_types", json!(["full_attention", "sliding_attention"])),
        ("is_causal", json!(false)),
        ("architectures", json!(["LlamaForSequenceClassification"])),
        ("auto_map", json!({"AutoModelForCausalLM": "modeling.Mine"})),
        ("rope_interleaved", json!(true)),
        ("logit_scale", json!(0.5)),
        ("embedding_multiplier", json!(12)),
        ("n_embd", json!(32)),
        ("pruned_heads", json!({"0": [1]})),
        ("hidden_size", json!("big")),
        ("vocab_size", Value::Null),
        ("tie_word_embeddings", json!("yes")),
        ("quantization_config", json!({"bits": 4})),
        ("model_type", json!("mamba")),
    ];
    let errors = changes.map(|(field, value)| {
        let mut fields = fields(Arch::Llama);
        fields.insert(field.to_owned(), value);
        parse(&fields).unwrap_err().to_string()
    });
    insta::assert_snapshot!(errors.join("\n"), @r#"
    'hidden_act' is "gelu"; only "silu" or "swish" is supported
    'attention_bias' is true; only false is supported
    'rope_scaling' is {"type":"linear"}; a 'factor' that is missing or not above 0 is not supported
    'rope_scaling' is {"factor":8.0,"rope_type":"llama3"}; a 'low_freq_factor' that is missing or not above 0 is not supported
    'rope_parameters' is {"rope_type":"yarn"}; a 'factor' that is missing or not above 0 is not supported
    'rope_parameters' is {"factor":2.0,"rope_type":"longrope"}; the rope_type "longrope" of rotary embeddings is not supported
    'rope_parameters' is {"factor":2.0,"rope_type":"linear","type":"dynamic"}; a rope_type that differs from the type is not supported
    has a partial_rotary_factor of 0.5, which is not supported
    'rope_parameters' is {"full_attention":{"rope_type":"default"}}; the field 'full_attention' in it is not supported
    'rope_scaling' is "linear", not an object
    'partial_rotary_factor' is 0.25; only 1.0 or 1 is supported
    'sliding_window' is 64; only a model without it is supported
    'use_sliding_window' is true; only false is supported
    'layer_types' is ["full_attention","sliding_attention"]; only "full_attention" for every layer is supported
    'is_causal' is false; only true is supported
    'architectures' is ["LlamaForSequenceClassification"]; only LlamaForCausalLM or LlamaModel or LLaMAForCausalLM is supported: the head of another class cannot be scored as a language model
    'auto_map' is {"AutoModelForCausalLM":"modeling.Mine"}: the model is computed by Python code of its own, which grid does not run; if the outputs are those of a standard architecture, remove 'auto_map'
    'rope_interleaved' is true; only false is supported
    'logit_scale' is 0.5; grid does not know this field of a 'llama' model, and it may change the outputs: remove it if it has no effect
    'embedding_multiplier' is 12; grid does not know this field of a 'llama' model, and it may change the outputs: remove it if it has no effect
    'n_embd' is 32; grid does not know this field of a 'llama' model, and it may change the outputs: remove it if it has no effect
    'pruned_heads' is {"0":[1]}; only {} is supported
    'hidden_size' is "big", not a whole number
    has no 'vocab_size'
    'tie_word_embeddings' is "yes", neither true nor false
    'quantization_config' is {"bits":4}; only a model without it is supported
    'model_type' is mamba; supported are 'llama', 'gpt2', 'qwen2', 'qwen3', 'mistral', 'opt', 'gpt_neox', 'bert', 'roberta', 'ltgbert' and 'gpt_bert'
    "#);
}

#[test]
fn options_of_gpt2_that_change_the_outputs_are_rejected() {
    let changes = [
        ("activation_function", json!("gelu")),
        ("activation_function", json!("relu")),
        ("scale_attn_weights", json!(false)),
        ("scale_attn_by_inverse_layer_idx", json!(true)),
        ("add_cross_attention", json!(true)),
        ("hidden_size", json!(64)),
        ("num_hidden_layers", json!(3)),
        ("architectures", json!(["GPT2DoubleHeadsModel"])),
        ("head_dim", json!(16)),
        ("rope_theta", json!(500)),
    ];
    let errors = changes.map(|(field, value)| {
        let mut fields = fields(Arch::Gpt2);
        fields.insert(field.to_owned(), value);
        parse(&fields).unwrap_err().to_string()
    });
    insta::assert_snapshot!(errors.join("\n"), @r#"
    'activation_function' is "gelu"; only "gelu_new" or "gelu_pytorch_tanh" or "gelu_python_tanh" or "gelu_fast" or "gelu_accurate" is supported
    'activation_function' is "relu"; only "gelu_new" or "gelu_pytorch_tanh" or "gelu_python_tanh" or "gelu_fast" or "gelu_accurate" is supported
    'scale_attn_weights' is false; only true is supported
    'scale_attn_by_inverse_layer_idx' is true; only false is supported
    'add_cross_attention' is true; only false is supported
    'n_embd' is 32, but 'hidden_size', which is another name of it, is 64: remove one of them
    'n_layer' is 2, but 'num_hidden_layers', which is another name of it, is 3: remove one of them
    'architectures' is ["GPT2DoubleHeadsModel"]; only GPT2LMHeadModel or GPT2Model is supported: the head of another class cannot be scored as a language model
    'head_dim' is 16; grid does not know this field of a 'gpt2' model, and it may change the outputs: remove it if it has no effect
    'rope_theta' is 500; grid does not know this field of a 'gpt2' model, and it may change the outputs: remove it if it has no effect
    "#);
}

#[test]
fn general_names_of_sizes_and_fields_without_effect_are_read() {
    let mut general = fields(Arch::Gpt2);
    for (own, other) in [
        ("n_embd", "hidden_size"),
        ("n_head", "num_attention_heads"),
        ("n_layer", "num_hidden_layers"),
        ("n_positions", "max_position_embeddings"),
    ] {
        let value = general.remove(own).unwrap();
        general.insert(other.to_owned(), value);
    }
    for (name, value) in [
        ("n_ctx", json!(7)),
        ("reorder_and_upcast_attn", json!(true)),
        ("task_specific_params", json!({"text-generation": {"do_sample": true}})),
        ("temperature", json!(0.7)),
        ("_flash_attn_2_enabled", json!(true)),
        ("logit_scale", Value::Null),
    ] {
        general.insert(name.to_owned(), value);
    }
    assert_eq!(parse(&general), Ok(file(Arch::Gpt2)));
}

#[test]
fn a_rotary_base_in_an_object_takes_precedence() {
    let base = |changes: &[(&str, Value)]| {
        let mut fields = fields(Arch::Llama);
        for (name, value) in changes {
            fields.insert((*name).to_owned(), value.clone());
        }
        parse(&fields).unwrap().model.rope_base
    };
    let parameters = |base: f64| json!({"rope_type": "default", "rope_theta": base});
    assert_eq!(base(&[("rope_parameters", parameters(7.0))]), 7.0);
    assert_eq!(base(&[("rope_parameters", json!({"rope_type": "default"}))]), 5e5);
    assert_eq!(base(&[("rope_parameters", Value::Null), ("rope_theta", Value::Null)]), 1e4);
    assert_eq!(base(&[("rope_parameters", parameters(7.0)), ("rope_scaling", json!({"type": "default"}))]), 5e5);
    assert_eq!(base(&[("rope_parameters", parameters(7.0)), ("rope_scaling", parameters(9.0))]), 9.0);
}

#[test]
fn a_base_that_release_4_does_not_read_is_said() {
    let said = |config: Value| difference_in_release_4(&config.to_string());
    assert_eq!(said(json!({"model_type": "gpt2"})), None);
    assert_eq!(said(json!({"model_type": "llama", "rope_theta": 5e5})), None);
    assert_eq!(said(json!({"model_type": "llama", "rope_theta": 5e5, "rope_parameters": {"rope_theta": 5e5}})), None);
    let scaled = json!({"model_type": "llama", "rope_parameters": {"rope_type": "linear", "factor": 2}});
    assert!(said(scaled).unwrap().contains("reads only 'rope_scaling'"));
    let yarn = |factor: f64| {
        let scaling = json!({"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": 512});
        said(json!({"model_type": "llama", "max_position_embeddings": 2048, "rope_scaling": scaling}))
    };
    assert_eq!(yarn(4.0), None);
    assert!(yarn(2.0).unwrap().contains("max_position_embeddings / original_max_position_embeddings"));
    insta::assert_snapshot!(said(json!({"model_type": "llama", "rope_parameters": {"rope_theta": 5e5}})).unwrap(), @"the base of the rotary positions is 500000, but transformers 4.51.3, which the official pipeline uses, reads only 'rope_theta' and computes with 10000; set 'rope_theta' to 500000 for both to agree");
}

#[test]
fn the_list_of_fields_has_no_duplicates() {
    for arch in Arch::ALL {
        let names: Vec<&str> = COMMON.iter().chain(format(arch).fields).copied().collect();
        let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len(), "{arch:?}");
    }
}

#[test]
fn an_index_lists_files_in_its_folder() {
    let index = |name: &str| json!({"metadata": {}, "weight_map": {"b": name, "a": "x.safetensors"}}).to_string();
    assert_eq!(shards(&index("a.safetensors")).unwrap(), ["a.safetensors", "x.safetensors"]);
    for name in ["../a.safetensors", "a.bin"] {
        assert!(shards(&index(name)).unwrap_err().to_string().contains(name));
    }
    assert!(shards("{}").unwrap_err().to_string().contains("weight_map"));
}
