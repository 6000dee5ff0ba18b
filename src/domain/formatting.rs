//! How a record becomes the text that a model is trained on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::template::Template;

/// How a record is formatted as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Formatting {
    /// A template of prompt and reply. The turns of a conversation are formatted pair by pair, and the end-of-text token
    /// follows each reply.
    Template(Template),
    /// A chat template, which formats a whole conversation and writes its special tokens itself.
    Chat {
        /// The template.
        chat_template: ChatTemplate,
    },
    /// The reply continues the text of the prompt. Nothing is added, also no end-of-text token.
    Continuation {
        /// No value; the name alone tells the variant.
        continuation: (),
    },
}

/// A chat template in the Jinja language, as `transformers` applies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatTemplate {
    /// ChatML: `<|im_start|>role`, a line break, the content and `<|im_end|>` for each message.
    Chatml,
    /// The template of the tokenizer of the model.
    Tokenizer,
    /// A file, whose text replaces it before jobs are planned.
    File(PathBuf),
    /// The text of a template.
    Text(String),
}

impl Formatting {
    /// The reply continues the text of the prompt.
    pub const CONTINUATION: Self = Formatting::Continuation { continuation: () };

    /// Prompt, separator and reply.
    pub fn separated(separator: &str) -> Self {
        Formatting::Template(Template::separated(separator))
    }
}

impl From<Template> for Formatting {
    fn from(template: Template) -> Self {
        Formatting::Template(template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Jobs of datasets with a template were identified by its text alone before there were chat templates.
    #[test]
    fn a_template_is_identified_by_its_text() {
        let json = |formatting: &Formatting| serde_json::to_string(formatting).unwrap();
        let chat = |chat_template| Formatting::Chat { chat_template };
        let all = [
            Formatting::separated(" "),
            chat(ChatTemplate::Chatml),
            chat(ChatTemplate::Text("{{ x }}".into())),
            Formatting::CONTINUATION,
        ];
        let texts = [
            r#""{prompt} {reply}""#,
            r#"{"chat_template":"chatml"}"#,
            r#"{"chat_template":{"text":"{{ x }}"}}"#,
            r#"{"continuation":null}"#,
        ];
        assert_eq!(all.each_ref().map(json), texts);
        for (formatting, text) in all.into_iter().zip(texts) {
            assert_eq!(serde_json::from_str::<Formatting>(text).unwrap(), formatting);
        }
    }
}
