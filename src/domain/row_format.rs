//! The layouts in which instruction data are published, and the roles in a conversation.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumCount, IntoStaticStr, VariantArray};

use super::variants::all;

/// The layout of a row. The names of the fields are those of the tools that defined the layout (TRL, LLaMA-Factory,
/// Axolotl); a spec can rename them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, EnumCount, VariantArray, IntoStaticStr, Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RowFormat {
    /// A text, all of which is trained on.
    Text,
    /// A prompt and its completion: two texts, or two lists of messages.
    PromptCompletion,
    /// An instruction with an optional input and its output, and optionally a system text and earlier turns.
    Alpaca,
    /// A conversation of `from`/`value` turns.
    Sharegpt,
    /// A conversation of `role`/`content` messages.
    Messages,
    /// A chosen and a rejected reply to a prompt; supervised fine-tuning trains on the chosen one.
    Preference,
    /// A completion that is labelled good or bad; supervised fine-tuning trains on the good ones.
    Kto,
    /// Several replies to a prompt with their scores, out of which a pair is picked; supervised fine-tuning trains on the
    /// chosen one.
    Replies,
    /// Pieces of text, each of which is trained on or not.
    Segments,
    /// Token ids, with a label for each.
    Tokens,
}

impl RowFormat {
    /// All layouts of rows, in order of declaration.
    pub const ALL: [RowFormat; RowFormat::COUNT] = all(RowFormat::VARIANTS);

    /// The name used in specs and messages.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The names of the fields of a row, the required ones first, and of the fields of a turn or piece within it.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            RowFormat::Text => &["text"],
            RowFormat::PromptCompletion => &["prompt", "completion", "role", "content"],
            RowFormat::Alpaca => &["instruction", "output", "input", "system", "history"],
            RowFormat::Sharegpt => &["conversations", "system", "from", "value"],
            RowFormat::Messages => &["messages", "system", "role", "content", "train"],
            RowFormat::Preference => &["chosen", "rejected", "prompt", "role", "content"],
            RowFormat::Kto => &["prompt", "completion", "label", "role", "content"],
            RowFormat::Replies => &["prompt", "replies", "scores"],
            RowFormat::Segments => &["segments", "text", "label"],
            RowFormat::Tokens => &["input_ids", "labels", "attention_mask"],
        }
    }

    /// The fields without which a row is invalid.
    pub fn required(self) -> &'static [&'static str] {
        let required = match self {
            RowFormat::Text | RowFormat::Sharegpt | RowFormat::Messages | RowFormat::Segments | RowFormat::Tokens => 1,
            RowFormat::PromptCompletion | RowFormat::Alpaca | RowFormat::Preference | RowFormat::Replies => 2,
            RowFormat::Kto => 3,
        };
        &self.fields()[..required]
    }

    /// Whether a row can be a conversation, so that the names of its roles matter.
    pub fn has_roles(self) -> bool {
        match self {
            RowFormat::PromptCompletion
            | RowFormat::Sharegpt
            | RowFormat::Messages
            | RowFormat::Preference
            | RowFormat::Kto => true,
            RowFormat::Text | RowFormat::Alpaca | RowFormat::Replies | RowFormat::Segments | RowFormat::Tokens => false,
        }
    }
}

/// Where the instruction of a row with an input stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstructionPosition {
    /// Before the input.
    #[default]
    Pre,
    /// After the input, right before the reply (Liu et al. 2024, arXiv 2308.12097).
    Post,
}

impl InstructionPosition {
    /// Whether the instruction comes first.
    pub fn is_pre(&self) -> bool {
        *self == InstructionPosition::Pre
    }
}

/// Who speaks in a turn of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The user, who asks.
    User,
    /// The model, whose turns are trained on.
    Assistant,
    /// The output of a tool.
    Tool,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 4] = [Role::System, Role::User, Role::Assistant, Role::Tool];

    /// The name used in chat templates.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The role of a usual name; `None` if the name is not a usual one.
    pub fn usual(name: &str) -> Option<Self> {
        Some(match name {
            "system" | "developer" => Role::System,
            "user" | "human" | "prompter" => Role::User,
            "assistant" | "gpt" | "chatgpt" | "bot" | "model" | "function_call" => Role::Assistant,
            "tool" | "function" | "observation" | "ipython" => Role::Tool,
            _ => return None,
        })
    }
}
