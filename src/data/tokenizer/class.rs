//! The classes of tokenizers in `transformers`.

use crate::domain::hugging_face::files::{CONFIG, MERGES, TOKENIZER, TOKENIZER_CONFIG, VOCABULARY};
use crate::domain::{Transformers, excerpt};

use super::super::error::DataError;
use super::files::{CREATE, TokenizerFiles};

/// A class of tokenizers. Release 5 rebuilds those with a name from the vocabulary of `tokenizer.json` and rules of their
/// own; release 4 reads `tokenizer.json` and changes parts of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `tokenizer.json`, unchanged.
    Generic,
    /// `GPT2Tokenizer`.
    Gpt2,
    /// `LlamaTokenizer`.
    Llama,
    /// `GPTNeoXTokenizer`.
    GptNeoX,
    /// `RobertaTokenizer`.
    Roberta,
    /// `BertTokenizer`.
    Bert,
    /// `Qwen2Tokenizer`.
    Qwen2,
}

impl Class {
    /// The class with this name, which may end with `Fast`.
    fn named(name: &str) -> Option<Class> {
        match name.strip_suffix("Fast").unwrap_or(name) {
            "PreTrainedTokenizer" | "TokenizersBackend" | "PythonBackend" | "BloomTokenizer" => Some(Class::Generic),
            "GPT2Tokenizer" => Some(Class::Gpt2),
            "LlamaTokenizer" => Some(Class::Llama),
            "GPTNeoXTokenizer" => Some(Class::GptNeoX),
            "RobertaTokenizer" => Some(Class::Roberta),
            "BertTokenizer" => Some(Class::Bert),
            "Qwen2Tokenizer" => Some(Class::Qwen2),
            _ => None,
        }
    }

    /// The name under which both releases load the class.
    pub(super) fn name(self) -> &'static str {
        match self {
            Class::Generic => "PreTrainedTokenizerFast",
            Class::Gpt2 => "GPT2Tokenizer",
            Class::Llama => "LlamaTokenizer",
            Class::GptNeoX => "GPTNeoXTokenizer",
            Class::Roberta => "RobertaTokenizer",
            Class::Bert => "BertTokenizer",
            Class::Qwen2 => "Qwen2Tokenizer",
        }
    }

    /// The class that `AutoTokenizer` of a release loads.
    ///
    /// # Errors
    /// A class whose rules are not implemented, or that runs code of its own.
    pub(super) fn of(files: &TokenizerFiles, release: Transformers) -> Result<Class, DataError> {
        if let Some(value) =
            files.setting("auto_map").filter(|map| map.is_array() || map.get("AutoTokenizer").is_some())
        {
            return Err(files.invalid(
                TOKENIZER_CONFIG,
                format!(
                    "'auto_map' is {}: the tokenizer is Python code of its own, which grid does not run; if \
                     tokenizer.json gives the same ids, remove 'auto_map'",
                    excerpt(value)
                ),
            ));
        }
        if files.is_older_layout() {
            return Class::of_older_layout(files, release);
        }
        match (files.model_type(), release) {
            // Release 5 distrusts the names in folders of these models.
            (Some("qwen2"), Transformers::V5) => return Ok(Class::Qwen2),
            (Some("mistral"), Transformers::V5) => return Ok(Class::Generic),
            _ => {}
        }
        let Some(name) = files.class() else { return Ok(Class::of_model(files, release)) };
        let class = match (Class::named(name), release) {
            // A tokenizer of bytes under this name is loaded unchanged.
            (Some(Class::Llama), Transformers::V5) if files.is_byte_level() => Class::Generic,
            (Some(class), _) => class,
            (None, Transformers::V5) if !OTHERS.contains(&name.strip_suffix("Fast").unwrap_or(name)) => Class::Generic,
            (None, _) => {
                let file = if files.setting("tokenizer_class").is_some() { TOKENIZER_CONFIG } else { CONFIG };
                return Err(files.invalid(
                    file,
                    format!(
                        "'tokenizer_class' is \"{name}\", whose rules in transformers {release} grid does not have; \
                         supported are PreTrainedTokenizerFast, GPT2Tokenizer, LlamaTokenizer, GPTNeoXTokenizer, \
                         RobertaTokenizer, BertTokenizer and Qwen2Tokenizer: if tokenizer.json alone gives the same ids, name \
                         PreTrainedTokenizerFast"
                    ),
                ));
            }
        };
        Ok(class)
    }

    /// The class of a tokenizer for which no file names one.
    fn of_model(files: &TokenizerFiles, release: Transformers) -> Class {
        match (files.model_type(), release) {
            (Some("gpt2" | "opt" | "gpt_neo" | "gptj"), _) => Class::Gpt2,
            (Some("roberta"), _) => Class::Roberta,
            (Some("bert"), _) => Class::Bert,
            (Some("gpt_neox"), _) => Class::GptNeoX,
            (Some("qwen2" | "qwen3"), _) => Class::Qwen2,
            (Some("llama" | "mistral"), Transformers::V4) => Class::Llama,
            _ => Class::Generic,
        }
    }

    /// The class with which a release reads `vocab.json` and `merges.txt`. Others need `tokenizer.json` or further files.
    fn of_older_layout(files: &TokenizerFiles, release: Transformers) -> Result<Class, DataError> {
        let name = files.class();
        let class = match name {
            Some(name) => Class::named(name),
            None => Some(Class::of_model(files, release)),
        };
        if let Some(class) = class.filter(|&class| {
            matches!((class, release), (Class::Gpt2 | Class::Roberta, _) | (Class::GptNeoX, Transformers::V5))
        }) {
            return Ok(class);
        }
        let given = match name {
            Some(name) => format!("'tokenizer_class' is \"{name}\""),
            None => {
                format!("no 'tokenizer_class' is named for a model of type \"{}\"", files.model_type().unwrap_or(""))
            }
        };
        let classes = match release {
            Transformers::V4 => "GPT2Tokenizer and RobertaTokenizer",
            Transformers::V5 => "GPT2Tokenizer, RobertaTokenizer and GPTNeoXTokenizer",
        };
        Err(files.invalid(
            TOKENIZER,
            format!(
                "the file is missing, and {VOCABULARY} and {MERGES} can replace it only for {classes} (transformers \
                 {release}), but {given}; {CREATE}, with a release that can load the tokenizer"
            ),
        ))
    }
}

impl TokenizerFiles {
    /// Whether `tokenizer.json` has a part that works on bytes.
    fn is_byte_level(&self) -> bool {
        let parts = ["normalizer", "pre_tokenizer", "post_processor", "decoder"];
        parts.iter().filter_map(|part| self.tokenizer.get(*part)).any(|part| part.to_string().contains("\"ByteLevel\""))
    }
}

/// Other classes of transformers 5.24 that do not load `tokenizer.json`, unchanged. Names that it does not know are loaded as
/// [`Class::Generic`].
const OTHERS: &[&str] = &[
    "AlbertTokenizer",
    "BartTokenizer",
    "BarthezTokenizer",
    "BartphoTokenizer",
    "BertGenerationTokenizer",
    "BertJapaneseTokenizer",
    "BertweetTokenizer",
    "BigBirdTokenizer",
    "BioGptTokenizer",
    "BlenderbotSmallTokenizer",
    "BlenderbotTokenizer",
    "ByT5Tokenizer",
    "CLIPTokenizer",
    "CTRLTokenizer",
    "CamembertTokenizer",
    "CanineTokenizer",
    "ClvpTokenizer",
    "CodeGenTokenizer",
    "CodeLlamaTokenizer",
    "CohereTokenizer",
    "ConvBertTokenizer",
    "CpmAntTokenizer",
    "CpmTokenizer",
    "DPRContextEncoderTokenizer",
    "DPRQuestionEncoderTokenizer",
    "DPRReaderTokenizer",
    "DebertaTokenizer",
    "DebertaV2Tokenizer",
    "DiaTokenizer",
    "DistilBertTokenizer",
    "EsmTokenizer",
    "EsmcTokenizer",
    "FNetTokenizer",
    "FSMTTokenizer",
    "FastSpeech2ConformerTokenizer",
    "FlaubertTokenizer",
    "FunnelTokenizer",
    "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer",
    "GemmaTokenizer",
    "HerbertTokenizer",
    "LasrTokenizer",
    "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer",
    "LukeTokenizer",
    "M2M100Tokenizer",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "MLukeTokenizer",
    "MPNetTokenizer",
    "MarianTokenizer",
    "MarkupLMTokenizer",
    "MgpstrTokenizer",
    "MistralCommonBackend",
    "MobileBertTokenizer",
    "MyT5Tokenizer",
    "NllbTokenizer",
    "NougatTokenizer",
    "OpenAIGPTTokenizer",
    "PLBartTokenizer",
    "ParakeetTokenizer",
    "PegasusTokenizer",
    "PerceiverTokenizer",
    "PhobertTokenizer",
    "Pop2PianoTokenizer",
    "ProphetNetTokenizer",
    "Qwen3_5Tokenizer",
    "RagTokenizer",
    "ReformerTokenizer",
    "RemBertTokenizer",
    "RoCBertTokenizer",
    "RoFormerTokenizer",
    "SeamlessM4TTokenizer",
    "SentencePieceBackend",
    "Siglip2Tokenizer",
    "SiglipTokenizer",
    "Speech2TextTokenizer",
    "SpeechT5Tokenizer",
    "SplinterTokenizer",
    "SqueezeBertTokenizer",
    "T5Tokenizer",
    "TapasTokenizer",
    "Tipsv2Tokenizer",
    "UdopTokenizer",
    "VideoPrismTokenizer",
    "VitsTokenizer",
    "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer",
    "WhisperTokenizer",
    "XGLMTokenizer",
    "XLMRobertaTokenizer",
    "XLMTokenizer",
    "XLNetTokenizer",
];
