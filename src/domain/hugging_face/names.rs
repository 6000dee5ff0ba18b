//! The names of the fields of a `config.json` that are known.

use crate::domain::model::Arch;

/// Whether a field is a common one or one of the architecture. Fields that begin with an underscore are notes of
/// `transformers` to itself.
pub fn is_known(arch: Arch, name: &str) -> bool {
    name.starts_with('_') || COMMON.contains(&name) || known_fields(arch).contains(&name)
}

/// Fields of every architecture: those that are checked, and those without effect on the outputs of a forward pass, such
/// as names, versions, and settings of generation and training.
pub(super) const COMMON: &[&str] = &[
    // Checked.
    "add_cross_attention",
    "architectures",
    "auto_map",
    "chunk_size_feed_forward",
    "compression_config",
    "is_causal",
    "is_encoder_decoder",
    "layer_types",
    "model_type",
    "per_layer_config",
    "pruned_heads",
    "quantization_config",
    "sliding_window",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "use_sliding_window",
    // Special tokens, vocabulary and weights.
    "bos_token_id",
    "decoder_start_token_id",
    "dtype",
    "eos_token_id",
    "initializer_range",
    "pad_token_id",
    "sep_token_id",
    "tokenizer_class",
    "torch_dtype",
    "vocab_size",
    // Names and versions.
    "name_or_path",
    "transformers_version",
    "transformers.js_config",
    "is_llama_config",
    "unsloth_fixed",
    "unsloth_version",
    // How to compute and what to return.
    "attn_implementation",
    "cross_attention_hidden_size",
    "gradient_checkpointing",
    "is_decoder",
    "logits_to_keep",
    "max_sequence_length",
    "max_window_layers",
    "neftune_noise_alpha",
    "num_logits_to_keep",
    "output_attentions",
    "output_hidden_states",
    "output_past",
    "return_dict",
    "tf_legacy_loss",
    "tie_last_hidden_states",
    "torchscript",
    "use_bfloat16",
    "use_cache",
    "xla_device",
    // Classification and other tasks.
    "classifier_dropout",
    "finetuning_task",
    "id2label",
    "label2id",
    "num_labels",
    "predict_special_tokens",
    "prefix",
    "problem_type",
    "task_specific_params",
    // Generation.
    "bad_words_ids",
    "begin_suppress_tokens",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "encoder_repetition_penalty",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_decoder_ids",
    "forced_eos_token_id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_logits",
    "output_scores",
    "penalty_alpha",
    "remove_invalid_values",
    "renormalize_logits",
    "repetition_penalty",
    "return_dict_in_generate",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
];

/// The fields of an architecture besides [`COMMON`].
pub(super) fn known_fields(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::Llama => LLAMA,
        Arch::Gpt2 => GPT2,
    }
}

/// The fields of `LlamaConfig` in transformers 4 and 5.
const LLAMA: &[&str] = &[
    "attention_bias",
    "attention_dropout",
    "head_dim",
    "hidden_act",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "mlp_bias",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "partial_rotary_factor",
    "pretraining_tp", // ignored by transformers
    "rms_norm_eps",
    "rope_interleaved", // of models that were converted from another library
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
];

/// The fields of `GPT2Config` in transformers 4 and 5, and the general names that it maps to its own.
const GPT2: &[&str] = &[
    "activation_function",
    "attn_pdrop",
    "embd_pdrop",
    "hidden_size",
    "layer_norm_epsilon",
    "max_position_embeddings",
    "n_ctx", // ignored by transformers
    "n_embd",
    "n_head",
    "n_inner",
    "n_layer",
    "n_positions",
    "num_attention_heads",
    "num_hidden_layers",
    "reorder_and_upcast_attn", // another order of the same float32 operations
    "resid_pdrop",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    // The head for multiple choice.
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
];
