"""How grid reads the model folders of others, compared with two releases of transformers.

usage: agreement.py GRID [--python5 PYTHON] [--python4 PYTHON] [--markdown FILE] [--only WORD]

Makes variants of tokenizers and small random models, in which one file, field or name differs, and compares for each:
- ids: `grid data tokens` with those of AutoTokenizer of transformers 5 and of 4.51.3;
- numbers: the log-probabilities of `grid eval --mode fixed` with those of AutoModelForCausalLM (AutoModelForMaskedLM for
  architectures that predict masked tokens) of transformers 5, and of `--mode compat` with those of 4.51.3; all in float32.

The interpreters need torch and transformers 5 or 4.51.3; by default they are those in GRID_PYTHON5 and GRID_PYTHON4. The
exit status is 1 if anything differs that grid does not refuse by name.
"""

import argparse
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

TEXTS = [
    "The dog sees the cat.",
    " a leading space",
    "a trailing space ",
    "two  spaces and\ttabs\nand lines",
    "Émile naïve café",
    "a smile 🙂 and 日本語",
    "it's 12345 and 3.14, isn't it?",
    "THE CATS SLEEP",
    "a<|endoftext|>b </s>c<s> d",
    "<|im_end|>new <|user|> tokens<extra>",
    "one <mask> and <extra> more, <unk>",
    "x",
]
CORPUS = [
    "the dog sees the cat and the cats see the dogs in the house near the river",
    "The children play in the garden, and nobody knows where the ball is.",
    "it's 12345 o'clock; isn't it 3.14? A trailing space. Two  spaces and lines.",
    "a smile and a word: sleep, sleeps, sleeping, slept. What a strange day!",
] * 20
PAIRS = [("the dog sees the cat", "the dog see the cat"), ("The children play .", "The children plays ."),
         ("two words", "words two"), ("it's a strange day!", "a day strange it's!")]  # fmt: skip
ROWS = 400


# ---- the folders


def byte_level(space=False):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<|endoftext|>", "<pad>", "<s>", "</s>", "<unk>", "<mask>", "<|padding|>"]
    trainer = trainers.BpeTrainer(vocab_size=ROWS, special_tokens=specials, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def metaspace():
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)]]
    trainer = trainers.BpeTrainer(vocab_size=ROWS, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator([word for text in CORPUS for word in text.split()], trainer)
    parts = json.loads(tokenizer.to_str())
    parts["added_tokens"] = [token for token in parts["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(parts))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def word_piece():
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=ROWS, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(CORPUS + [text.upper() for text in CORPUS], trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def unigram():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    specials = ["<unk>", "<s>", "</s>"]
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


TOKENIZERS = {"bytes": byte_level, "metaspace": metaspace, "wordpiece": word_piece, "unigram": unigram}

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": ROWS, "hidden_size": 32,
    "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32", "initializer_range": 0.2,
}  # fmt: skip
GPT2 = {
    "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": ROWS, "n_embd": 32, "n_layer": 2, "n_head": 4,
    "n_positions": 256, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "bos_token_id": 0,
    "eos_token_id": 0, "torch_dtype": "float32", "initializer_range": 0.2,
}  # fmt: skip
DERIVED = {name: value for name, value in LLAMA.items() if name not in ("architectures", "model_type")}
QWEN2 = {**DERIVED, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
         "sliding_window": 64}  # fmt: skip
QWEN3 = {**DERIVED, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 16}
MISTRAL = {**DERIVED, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
OPT_MODEL = {
    "architectures": ["OPTForCausalLM"], "model_type": "opt", "vocab_size": ROWS, "hidden_size": 32, "ffn_dim": 48,
    "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256, "word_embed_proj_dim": 32,
    "do_layer_norm_before": True, "activation_function": "relu", "init_std": 0.2, "bos_token_id": 0, "eos_token_id": 0,
    "pad_token_id": 1, "torch_dtype": "float32",
}  # fmt: skip
NEOX = {
    "architectures": ["GPTNeoXForCausalLM"], "model_type": "gpt_neox", "vocab_size": ROWS, "hidden_size": 64,
    "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256,
    "rotary_pct": 0.25, "rotary_emb_base": 10000, "hidden_act": "gelu", "use_parallel_residual": True,
    "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 0, "torch_dtype": "float32", "initializer_range": 0.2,
}  # fmt: skip
BERT = {
    "architectures": ["BertForMaskedLM"], "model_type": "bert", "vocab_size": ROWS, "hidden_size": 32,
    "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 256,
    "type_vocab_size": 2, "pad_token_id": 0, "hidden_act": "gelu", "torch_dtype": "float32", "initializer_range": 0.2,
}  # fmt: skip
ROBERTA = {**BERT, "architectures": ["RobertaForMaskedLM"], "model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1}
MASKED = ("bert", "roberta")
GENERIC = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}


def named(name, **settings):
    return {"tokenizer_class": name, "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>", **settings}  # fmt: skip


def metaspace_settings(**settings):
    return {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **settings}


def token(content, **properties):
    return {"content": content, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False,
            "special": True, **properties}  # fmt: skip


def typed(content, **properties):
    """A token as slow tokenizers write it into tokenizer_config.json."""
    fields = token(content, **{"normalized": True, **properties})
    return {"__type": "AddedToken", **{name: value for name, value in fields.items() if name != "special"}}


OPT = {"tokenizer_class": "GPT2Tokenizer", "errors": "replace", "add_bos_token": True, "add_prefix_space": False,
       "bos_token": typed("</s>"), "eos_token": typed("</s>"), "unk_token": typed("</s>"), "pad_token": typed("<pad>")}  # fmt: skip
OPT_TOKENS = {name: {key: value for key, value in token.items() if key != "__type"}
              for name, token in OPT.items() if name.endswith("_token") and isinstance(token, dict)}  # fmt: skip


def change(path, value):
    """A change of tokenizer.json: the value at a path of keys."""

    def apply(parts):
        for key in path[:-1]:
            parts = parts[key]
        parts[path[-1]] = value

    return apply


TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]}},
}

DIGITS = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    ],
}
SHORT = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}


def added(id, content):
    return lambda parts: parts["added_tokens"].append({"id": id, **token(content)})


def older(text=lambda merges: "#version: 0.2\n" + "\n".join(merges) + "\n", **files):
    """The vocabulary and the merges in files of their own, as slow tokenizers save them."""
    return {"older": text, "files": files}


def variants():
    """Name, base configuration, and what differs: `config`, `settings`, `tokenizer`, `files`, `change`, `weights`, and
    `older` for `vocab.json` and `merges.txt` in place of `tokenizer.json`, with the text that the merges become."""
    space = change(["pre_tokenizer", "add_prefix_space"], True)
    lower = change(["normalizer"], {"type": "Lowercase"})
    template = change(["post_processor"], TEMPLATE)
    rope = {"rope_type": "default", "rope_theta": 500000.0}
    return [
        # Tokenizers.
        ("class PreTrainedTokenizerFast", LLAMA, {}),
        ("class TokenizersBackend", LLAMA, {"settings": named("TokenizersBackend")}),
        ("class GPT2Tokenizer", GPT2, {"settings": named("GPT2Tokenizer")}),
        ("no class, llama", LLAMA, {"settings": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}}),
        ("no class, gpt2", GPT2, {"settings": {}}),
        ("no tokenizer_config.json, gpt2", GPT2, {"settings": None}),
        ("class in config.json", LLAMA, {"settings": {}, "config": {"tokenizer_class": "LlamaTokenizer"}}),
        ("LlamaTokenizerFast on bytes", LLAMA, {"settings": named("LlamaTokenizerFast")}),
        ("LlamaTokenizerFast, add_bos_token false", LLAMA, {"settings": named("LlamaTokenizerFast", add_bos_token=False)}),
        ("LlamaTokenizer, add_eos_token true", LLAMA, {"settings": named("LlamaTokenizer", add_eos_token=True)}),
        ("LlamaTokenizer on pieces", LLAMA, {"tokenizer": "metaspace", "settings": metaspace_settings()}),
        ("LlamaTokenizer, legacy true", LLAMA, {"tokenizer": "metaspace", "settings": metaspace_settings(legacy=True)}),
        ("LlamaTokenizer, legacy false", LLAMA, {"tokenizer": "metaspace", "settings": metaspace_settings(legacy=False)}),
        ("LlamaTokenizer, add_prefix_space false", LLAMA,
         {"tokenizer": "metaspace", "settings": metaspace_settings(add_prefix_space=False)}),
        ("pieces, PreTrainedTokenizerFast", LLAMA,
         {"tokenizer": "metaspace", "settings": metaspace_settings(tokenizer_class="PreTrainedTokenizerFast")}),
        ("add_bos_token true, PreTrainedTokenizerFast", LLAMA, {"settings": {**GENERIC, "add_bos_token": True}}),
        ("template in tokenizer.json", LLAMA, {"settings": GENERIC, "change": template}),
        ("template, GPT2Tokenizer", GPT2, {"settings": named("GPT2Tokenizer"), "change": template}),
        ("prefix space in tokenizer.json", LLAMA, {"change": space}),
        ("prefix space in tokenizer_config.json", LLAMA, {"settings": {**GENERIC, "add_prefix_space": True}}),
        ("prefix space in both", LLAMA, {"settings": {**GENERIC, "add_prefix_space": True}, "change": space}),
        ("GPT2Tokenizer, prefix space in tokenizer.json", GPT2, {"settings": named("GPT2Tokenizer"), "change": space}),
        ("GPT2Tokenizer, prefix space in settings", GPT2, {"settings": named("GPT2Tokenizer", add_prefix_space=True)}),
        ("GPT2Tokenizer, normalizer", GPT2, {"settings": named("GPT2Tokenizer"), "change": lower}),
        ("PreTrainedTokenizerFast, normalizer", GPT2, {"change": lower}),
        ("GPTNeoXTokenizerFast", LLAMA, {"settings": named("GPTNeoXTokenizerFast")}),
        ("GPTNeoXTokenizerFast, add_bos_token true", LLAMA, {"settings": named("GPTNeoXTokenizerFast", add_bos_token=True)}),
        ("RobertaTokenizerFast", LLAMA, {"settings": {"tokenizer_class": "RobertaTokenizerFast"}}),
        ("BertTokenizerFast", LLAMA, {"tokenizer": "wordpiece", "settings": {"tokenizer_class": "BertTokenizerFast"}}),
        ("BertTokenizer, do_lower_case false", LLAMA,
         {"tokenizer": "wordpiece", "settings": {"tokenizer_class": "BertTokenizer", "do_lower_case": False}}),
        ("BertTokenizer, strip_accents true", LLAMA,
         {"tokenizer": "wordpiece", "settings": {"tokenizer_class": "BertTokenizer", "strip_accents": True}}),
        ("unigram, PreTrainedTokenizerFast", LLAMA,
         {"tokenizer": "unigram", "settings": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}}),
        ("eos_token that tokenizer.json does not have", LLAMA, {"settings": {**GENERIC, "eos_token": "<|im_end|>"}}),
        ("eos_token that is an ordinary token", LLAMA, {"settings": {**GENERIC, "eos_token": "the"}}),
        ("two new special tokens", LLAMA,
         {"settings": {**GENERIC, "additional_special_tokens": ["<|user|>", "<|im_end|>"]}}),
        ("extra_special_tokens", LLAMA, {"settings": {**GENERIC, "extra_special_tokens": ["<|user|>", "<|im_end|>"]}}),
        ("extra_special_tokens as an object", LLAMA,
         {"settings": {**GENERIC, "extra_special_tokens": {"user_token": "<|user|>"}}}),
        ("additional_special_tokens in two files", LLAMA,
         {"settings": {**GENERIC, "additional_special_tokens": ["<|im_end|>"]},
          "files": {"special_tokens_map.json": {"additional_special_tokens": ["<|user|>"]}}}),
        ("an id far beyond the others", LLAMA, {"change": added(9000, "<extra>")}),
        ("a sequence of splitters", LLAMA, {"change": change(["pre_tokenizer"], DIGITS)}),
        ("a sequence of splitters, GPT2Tokenizer", GPT2,
         {"settings": named("GPT2Tokenizer"), "change": change(["pre_tokenizer"], DIGITS)}),
        ("truncation in tokenizer.json", LLAMA, {"change": change(["truncation"], SHORT)}),
        ("image_token", LLAMA, {"settings": {**GENERIC, "image_token": "<|user|>"}}),
        ("added_tokens.json", LLAMA, {"files": {"added_tokens.json": {"<extra>": 400, "<|user|>": 401}}}),
        ("added_tokens_decoder with lstrip", LLAMA,
         {"settings": {**GENERIC, "added_tokens_decoder": {"3": token("</s>", lstrip=True), "400": token("<extra>", special=False)}}}),
        ("special_tokens_map.json", LLAMA,
         {"files": {"special_tokens_map.json": {"bos_token": "<s>", "eos_token": token("<|im_end|>", rstrip=True)}}}),
        ("split_special_tokens true", LLAMA, {"settings": {**GENERIC, "split_special_tokens": True}}),
        ("class that transformers does not know", LLAMA, {"settings": named("MyTokenizer")}),
        ("class T5Tokenizer", LLAMA, {"settings": named("T5Tokenizer")}),
        ("auto_map of the tokenizer", LLAMA, {"settings": {**GENERIC, "auto_map": {"AutoTokenizer": ["a.A", None]}}}),
        # The vocabulary and the merges in files of their own.
        ("vocab.json, GPT2Tokenizer", GPT2, {"settings": named("GPT2Tokenizer"), **older()}),
        ("vocab.json, GPT2TokenizerFast, prefix space", GPT2,
         {"settings": named("GPT2TokenizerFast", add_prefix_space=True), **older()}),
        ("vocab.json, OPT", LLAMA, {"settings": OPT, **older(**{"special_tokens_map.json": OPT_TOKENS})}),
        ("vocab.json, GPT2Tokenizer, add_bos_token and add_eos_token", GPT2,
         {"settings": named("GPT2Tokenizer", add_bos_token=True, add_eos_token=True, bos_token="<s>"), **older()}),
        ("vocab.json, no tokenizer_config.json, gpt2", GPT2, {"settings": None, **older()}),
        ("vocab.json, class in config.json", LLAMA,
         {"settings": {}, "config": {"tokenizer_class": "GPT2Tokenizer"}, **older()}),
        ("vocab.json, no class, llama", LLAMA, {"settings": {}, **older()}),
        ("vocab.json, RobertaTokenizer", LLAMA, {"settings": {"tokenizer_class": "RobertaTokenizer"}, **older()}),
        ("vocab.json, RobertaTokenizer, prefix space", LLAMA,
         {"settings": {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": True, "trim_offsets": False,
                       "mask_token": typed("<mask>", lstrip=True)}, **older()}),
        ("vocab.json, GPTNeoXTokenizer", LLAMA, {"settings": named("GPTNeoXTokenizer"), **older()}),
        ("vocab.json, GPTNeoXTokenizer, add_bos_token true", LLAMA,
         {"settings": named("GPTNeoXTokenizer", add_bos_token=True), **older()}),
        ("vocab.json, added_tokens.json", GPT2,
         {"settings": named("GPT2Tokenizer", additional_special_tokens=["<|user|>"]),
          **older(**{"added_tokens.json": {"<extra>": ROWS - 1, "<|im_end|>": ROWS - 2}})}),
        ("vocab.json, added_tokens_decoder", GPT2,
         {"settings": named("GPT2Tokenizer", added_tokens_decoder={
             "0": token("<|endoftext|>", normalized=True), "3": token("</s>", lstrip=True),
             "401": token("<extra>", special=False, rstrip=True)}), **older()}),
        ("vocab.json, merges without a version", GPT2,
         {"settings": named("GPT2Tokenizer"), **older(lambda merges: "\n".join(merges))}),
        ("vocab.json, lines that end with CR LF", GPT2,
         {"settings": named("GPT2Tokenizer"), **older(lambda merges: "#version: 0.2\r\n" + "\r\n".join(merges) + "\r\n")}),
        ("vocab.json, merges with an empty line", GPT2,
         {"settings": named("GPT2Tokenizer"), **older(lambda merges: "#version: 0.2\n\n" + "\n".join(merges) + "\n")}),
        ("vocab.json, PreTrainedTokenizerFast", LLAMA, {"settings": GENERIC, **older()}),
        ("vocab.json, LlamaTokenizer", LLAMA, {"settings": named("LlamaTokenizer"), **older()}),
        ("vocab.json, Qwen2Tokenizer", LLAMA, {"settings": named("Qwen2Tokenizer"), **older()}),
        # Configurations.
        ("gpt2, tied", GPT2, {}),
        ("gpt2, not tied", GPT2, {"config": {"tie_word_embeddings": False}}),
        ("gpt2, general names of sizes", GPT2,
         {"config": {"n_embd": None, "hidden_size": 32, "n_layer": None, "num_hidden_layers": 2, "n_ctx": 99}}),
        ("gpt2, n_inner", GPT2, {"config": {"n_inner": 40}}),
        ("gpt2, reorder_and_upcast_attn", GPT2, {"config": {"reorder_and_upcast_attn": True}}),
        ("gpt2, scale_attn_by_inverse_layer_idx", GPT2, {"config": {"scale_attn_by_inverse_layer_idx": True}}),
        ("gpt2, activation gelu", GPT2, {"config": {"activation_function": "gelu"}}),
        ("gpt2, activation gelu_fast", GPT2, {"config": {"activation_function": "gelu_fast"}}),
        ("llama, tied", LLAMA, {"config": {"tie_word_embeddings": True}}),
        ("llama, one key head", LLAMA, {"config": {"num_key_value_heads": 1}}),
        ("llama, head_dim 16", LLAMA, {"config": {"head_dim": 16}}),
        ("llama, rope_theta 500000", LLAMA, {"config": {"rope_theta": 500000.0}}),
        ("llama, rope_parameters and rope_theta", LLAMA, {"config": {"rope_parameters": rope, "rope_theta": 500000.0}}),
        ("llama, rope_scaling linear", LLAMA, {"config": {"rope_scaling": {"type": "linear", "factor": 2.0}}}),
        ("llama, rope_scaling llama3", LLAMA,
         {"config": {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                      "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}}),
        ("llama, rope_scaling dynamic", LLAMA, {"config": {"rope_scaling": {"type": "dynamic", "factor": 2.0}}}),
        ("llama, rope_scaling dynamic, longer texts", LLAMA,
         {"config": {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 4}}),
        ("llama, rope_scaling yarn", LLAMA,
         {"config": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}}}),
        ("llama, rope_scaling yarn, attention_factor", LLAMA,
         {"config": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
                                      "attention_factor": 1.5, "beta_fast": 8.0, "beta_slow": 2.0}}}),
        ("llama, rope_scaling longrope", LLAMA,
         {"config": {"rope_scaling": {"rope_type": "longrope", "factor": 2.0, "short_factor": [1.0] * 4,
                                      "long_factor": [2.0] * 4, "original_max_position_embeddings": 64}}}),
        ("llama, attention_bias", LLAMA, {"config": {"attention_bias": True}}),
        ("llama, is_causal false", LLAMA, {"config": {"is_causal": False}}),
        ("llama, sliding_window", LLAMA, {"config": {"sliding_window": 4}}),
        ("llama, pretraining_tp 2", LLAMA, {"config": {"pretraining_tp": 2}}),
        ("llama, logit_scale", LLAMA, {"config": {"logit_scale": 0.5}}),
        ("llama, settings of generation", LLAMA, {"config": {"do_sample": True, "temperature": 0.6, "max_length": 50}}),
        ("llama, a classifier", LLAMA, {"config": {"architectures": ["LlamaForSequenceClassification"]}}),
        # Other architectures.
        ("qwen2", QWEN2, {}),
        ("qwen2, use_sliding_window", QWEN2, {"config": {"use_sliding_window": True, "max_window_layers": 1}}),
        ("qwen2, Qwen2Tokenizer", QWEN2, {"settings": {**named("Qwen2Tokenizer"), "bos_token": None}}),
        ("qwen3, Qwen2Tokenizer", QWEN3, {"settings": {**named("Qwen2Tokenizer"), "bos_token": None}}),
        ("qwen3, no class", QWEN3, {"settings": {}}),
        ("qwen3, tied", QWEN3, {"config": {"tie_word_embeddings": True}}),
        ("qwen3, attention_bias", QWEN3, {"config": {"attention_bias": True}}),
        ("mistral", MISTRAL, {}),
        ("mistral, LlamaTokenizer on pieces", MISTRAL, {"tokenizer": "metaspace", "settings": metaspace_settings()}),
        ("mistral, sliding_window 4", MISTRAL, {"config": {"sliding_window": 4}}),
        ("opt", OPT_MODEL, {}),
        ("opt, norms after the blocks, narrower embeddings", OPT_MODEL,
         {"config": {"do_layer_norm_before": False, "word_embed_proj_dim": 16}}),
        ("opt, not tied", OPT_MODEL, {"config": {"tie_word_embeddings": False}}),
        ("opt, activation gelu", OPT_MODEL, {"config": {"activation_function": "gelu"}}),
        ("gpt_neox", NEOX, {}),
        ("gpt_neox, no class", NEOX, {"settings": {}}),
        ("gpt_neox, one layer after the other, all rotary", NEOX,
         {"config": {"use_parallel_residual": False, "rotary_pct": 1.0}}),
        ("gpt_neox, without biases of attention, gelu_fast, base 500", NEOX,
         {"config": {"attention_bias": False, "hidden_act": "gelu_fast", "rotary_emb_base": 500}}),
        ("gpt_neox, rope_scaling linear", NEOX, {"config": {"rope_scaling": {"type": "linear", "factor": 2.0}}}),
        ("bert", BERT, {"tokenizer": "wordpiece", "settings": {"tokenizer_class": "BertTokenizer"}}),
        ("bert, no class, gelu_new", BERT,
         {"tokenizer": "wordpiece", "settings": {}, "config": {"hidden_act": "gelu_new"}}),
        ("bert, not tied", BERT,
         {"tokenizer": "wordpiece", "settings": {"tokenizer_class": "BertTokenizer"},
          "config": {"tie_word_embeddings": False}}),
        ("bert, is_decoder", BERT,
         {"tokenizer": "wordpiece", "settings": {"tokenizer_class": "BertTokenizer"}, "config": {"is_decoder": True}}),
        ("roberta", ROBERTA, {"settings": {"tokenizer_class": "RobertaTokenizerFast", "mask_token": "<mask>"}}),
        # Weights.
        ("bfloat16 weights", LLAMA, {"weights": "bfloat16"}),
        ("names begin with _orig_mod.", LLAMA, {"weights": "_orig_mod."}),
        ("names begin with module.", GPT2, {"weights": "module."}),
        ("names without transformer.", GPT2, {"weights": "body"}),
        ("a body without a head", LLAMA, {"weights": "body"}),
        ("NaN in the weights", LLAMA, {"weights": "nan"}),
        # Vocabulary and length.
        ("embedding with padding rows", LLAMA, {"config": {"vocab_size": ROWS + 24}}),
        ("one token too many, not needed", LLAMA, {"change": added(ROWS, "[PAD]")}),
        ("texts longer than the context, llama", LLAMA, {"config": {"max_position_embeddings": 4}}),
        ("texts longer than the context, gpt2", GPT2, {"config": {"n_positions": 4}}),
    ]  # fmt: skip


def chosen(only):
    """The variants whose names match a regular expression, each with the name of its folder."""
    return [(f"{number:03}", *variant) for number, variant in enumerate(variants()) if re.search(only, variant[0])]


def make(folder, only):
    """Writes the folders; runs in the interpreter of transformers 5."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    tokenizers = {name: json.loads(build().to_str()) for name, build in TOKENIZERS.items()}
    for place, _, base, what in chosen(only):
        here = Path(folder) / place
        here.mkdir(parents=True)
        parts = json.loads(json.dumps(tokenizers[what.get("tokenizer", "bytes")]))
        if "change" in what:
            what["change"](parts)
        config = {name: value for name, value in {**base, **what.get("config", {})}.items() if value is not None}
        settings = what.get("settings", GENERIC)
        files = {"tokenizer.json": parts, "config.json": config, **what.get("files", {})}
        if "older" in what:
            model = files.pop("tokenizer.json")["model"]
            files["vocab.json"] = model["vocab"]
            merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
            (here / "merges.txt").write_text(what["older"](merges), encoding="utf-8", newline="")
        if settings is not None:
            files["tokenizer_config.json"] = settings
        for name, value in files.items():
            (here / name).write_text(json.dumps(value, ensure_ascii=False))
        torch.manual_seed(7)
        plain = {name: value for name, value in config.items() if name not in ("is_causal", "architectures")}
        kind = AutoModelForMaskedLM if config["model_type"] in MASKED else AutoModelForCausalLM
        model = kind.from_config(AutoConfig.for_model(**plain)).float()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        save_file(stored(model, what.get("weights")), here / "model.safetensors", metadata={"format": "pt"})


def stored(model, how):
    import torch

    weights = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        for name in ("lm_head.weight", "cls.predictions.decoder.weight", "lm_head.decoder.weight"):
            weights.pop(name, None)
    if model.config.model_type == "gpt_neox":  # its name in files
        weights["embed_out.weight"] = weights.pop("lm_head.weight")
    if how == "bfloat16":
        return {name: value.to(torch.bfloat16) for name, value in weights.items()}
    if how == "nan":
        weights["model.norm.weight"][0] = float("nan")
    if how == "body":
        bodies = {name: value for name, value in weights.items() if name != "lm_head.weight"}
        return {name.removeprefix("transformer.").removeprefix("model."): value for name, value in bodies.items()}
    if how and how.endswith("."):
        return {how + name: value for name, value in weights.items()}
    return weights


# ---- the reference


def reference(folder):
    """Prints a JSON object with ids and numbers of every folder; runs in the interpreter of either release."""
    import logging
    import warnings

    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    answers = {}
    for here in sorted(Path(folder).iterdir()):
        answer = {}
        try:
            tokenizer = AutoTokenizer.from_pretrained(here)
            answer["ids"] = [tokenizer(text).input_ids for text in TEXTS]
            masked = AutoConfig.from_pretrained(here).model_type in MASKED
            kind = AutoModelForMaskedLM if masked else AutoModelForCausalLM
            model, info = kind.from_pretrained(here, output_loading_info=True)
            model = model.float().eval()
            missing = [name for name in info["missing_keys"] if not name.endswith((".attn.bias", "lm_head.weight"))]
            head = "lm_head.weight" in info["missing_keys"] and not model.config.tie_word_embeddings
            if missing or head:
                answer["numbers_error"] = "weights are missing and drawn at random"
            else:
                of_text = masked_sums if masked else sums
                answer["numbers"] = [of_text(model, tokenizer, text) for pair in PAIRS for text in pair]
        except Exception as error:  # noqa: BLE001, whatever it is, it is the result
            answer["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        answers[here.name] = answer
    print(json.dumps(answers))


def sums(model, tokenizer, text):
    """The log-probability of the tokens of the text, each given all before it."""
    import torch

    encoded = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    ids, offsets = encoded.input_ids, encoded.offset_mapping[0]
    with torch.no_grad():
        logprobs = model(ids).logits[0, :-1].double().log_softmax(-1)
    scored = [at for at in range(1, ids.shape[1]) if offsets[at][1] > 0]
    return sum(logprobs[at - 1, ids[0, at]].item() for at in scored)


def masked_sums(model, tokenizer, text):
    """The log-probability of the tokens of the text, each masked alone and predicted at its position."""
    import torch

    encoded = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    ids, offsets = encoded.input_ids, encoded.offset_mapping[0]
    total = 0.0
    for at in range(ids.shape[1]):
        if offsets[at][1] > 0:
            masked = ids.clone()
            masked[0, at] = tokenizer.mask_token_id
            with torch.no_grad():
                total += model(masked).logits[0, at].double().log_softmax(-1)[ids[0, at]].item()
    return total


# ---- grid


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("warning:")]
    return done.returncode, done.stdout, said


def grid_ids(grid, here, release):
    command = [grid, "data", "tokens", "--model", str(here), "--transformers", release, "--format", "json", "--", *TEXTS]
    code, text, said = run(command)
    return ([one["ids"] for one in json.loads(text)["texts"]], None) if code == 0 else (None, said[-1])


def grid_numbers(grid, here, mode, data):
    with tempfile.TemporaryDirectory() as runs:
        command = [grid, "--runs-dir", runs, "eval", str(here), "--suite", "blimp", "--data", str(data), "--fast",
                   "--mode", mode, "--name", "x"]  # fmt: skip
        code, _, said = run(command)
        if code != 0:
            failed = [line for line in said if "failed" in line or "error" in line or str(here) in line] or said
            return None, failed[0] if failed else "no message"
        with sqlite3.connect(Path(runs) / "runs.db") as database:
            rows = database.execute("select scores from v_items order by item").fetchall()
        database.close()
    return [score for (row,) in rows for score in json.loads(row)], None


def compare(ours, refusal, theirs, error, equal):
    if ours is None:
        return ("refused" if theirs is not None else "both refuse"), refusal
    if theirs is None:
        return "only grid", error
    return ("equal", None) if equal(ours, theirs) else ("DIFFERENT", None)


def near(ours, theirs):
    same = [one is None and other != other or one is not None and abs(one - other) < 2e-4 for one, other in zip(ours, theirs)]
    return len(ours) == len(theirs) and all(same)


def short(text):
    """A message from the name of its file on, or from that of its suite."""
    text = re.sub(r"^.*?(config\.json|tokenizer\.json|tokenizer_config\.json|merges\.txt|model\.safetensors|blimp): ", r"\1: ", text or "")
    text = text.replace("|", "\\|")
    return textwrap.shorten(text, 160, placeholder=" ...")


def table(grid, folder, data, answers, only):
    lines = ["| variant | ids, 5 | ids, 4.51.3 | numbers, 5 | numbers, 4.51.3 | message |", "|---|---|---|---|---|---|"]
    bad = 0
    for place, name, _, _ in chosen(only):
        here, cells, notes = folder / place, [], []
        theirs = [of_release[place] for of_release in answers]
        for release, answer in zip(("5", "4.51.3"), theirs):
            ours, refusal = grid_ids(grid, here, release)
            cell, note = compare(ours, refusal, answer.get("ids"), answer.get("error"), lambda a, b: a == b)
            cells.append(cell)
            notes.append(note)
        for mode, answer in zip(("fixed", "compat"), theirs):
            ours, refusal = grid_numbers(grid, here, mode, data)
            error = answer.get("numbers_error") or answer.get("error")
            cell, note = compare(ours, refusal, answer.get("numbers"), error, near)
            cells.append(cell)
            notes.append(note)
        bad += cells.count("DIFFERENT")
        note = next((note for note in notes if note), None)
        lines.append(f"| {name} | {' | '.join(cells)} | {short(note)} |")
        print(lines[-1], flush=True)
    return lines, bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("grid")
    parser.add_argument("--python5", default=os.environ.get("GRID_PYTHON5", sys.executable))
    parser.add_argument("--python4", default=os.environ.get("GRID_PYTHON4", sys.executable))
    parser.add_argument("--markdown")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", help="a folder for the variants, which is kept")
    args = parser.parse_args()
    work = Path(args.keep or tempfile.mkdtemp())
    folder, data = work / "models", work / "evaluation_data"
    shutil.rmtree(folder, ignore_errors=True)
    rows = data / "fast_eval" / "blimp_fast"
    rows.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"sentence_good": good, "sentence_bad": bad}) + "\n" for good, bad in PAIRS)
    (rows / "pairs.jsonl").write_text(text)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "critical"}

    def in_python(python, verb):
        command = [python, __file__, verb, str(folder), args.only]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        return done.stdout.splitlines()[-1] if done.stdout else ""

    in_python(args.python5, "--make")
    answers = [json.loads(in_python(python, "--reference")) for python in (args.python5, args.python4)]
    lines, bad = table(args.grid, folder, data, answers, args.only)
    if args.markdown:
        Path(args.markdown).write_text("\n".join(lines) + "\n")
    if not args.keep:
        shutil.rmtree(work)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["--reference"]:
        reference(sys.argv[2])
    else:
        main()
