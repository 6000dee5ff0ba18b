//! From records to token ids and the ids that are trained on.
//!
//! A text is tokenized as a whole, so that training and evaluation see the same ids; the border between a prompt and its
//! reply is then found by offsets. A token across the border contains a part of the reply, so it is trained on, and it is
//! counted. Only the pieces of the layout `segments` are tokenized one by one.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::hugging_face::files::{CHAT_TEMPLATE, TOKENIZER_CONFIG};
use crate::domain::{ChatTemplate, Formatting, Role, Template, parse_json, plain_text};

use super::chat::{CHATML, ChatRenderer, SpecialTexts};
use super::error::DataError;
use super::record::{Message, Record, Segment};
use super::sampled::DOCUMENT_BORDER;
use super::tokenizer::Tokenizer;

/// The token ids of a record with its loss mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenizedRecord {
    /// The token ids.
    pub ids: Vec<u32>,
    /// Whether each id is trained on.
    pub trained: Vec<bool>,
    /// Whether each id stands for a part of the record's own text, and not only of the template; empty unless
    /// [`Formatter::mark_own_text`] asks for it.
    pub own: Vec<bool>,
    /// The number of trained tokens that also contain a part, other than white space, of the text that is not trained on.
    pub across: u64,
    /// Whether the reply is bad; see [`Record::Rejected`].
    pub rejected: bool,
    /// The texts of prompt and reply as they are formatted; `None` unless [`Formatter::keep_texts`] asks for them.
    pub texts: Option<PairTexts>,
}

/// A prompt with its template, and a reply. Both together are the text of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairTexts {
    /// The text before the reply.
    pub prompt: String,
    /// The text that is trained on.
    pub reply: String,
}

impl PairTexts {
    /// The ids of the record after a text that is only context, such as demonstrations, as one text. The end-of-text token
    /// follows and is trained on.
    ///
    /// # Errors
    /// A text that cannot be encoded.
    pub fn tokenize_after(&self, context: &str, tokenizer: &Tokenizer) -> Result<TokenizedRecord, DataError> {
        let before = Segment { text: format!("{context}{}", self.prompt), trained: false };
        let segments = vec![before, Segment { text: self.reply.clone(), trained: true }];
        let none = vec![false; tokenizer.opening().len()];
        let mut tokenized = TokenizedRecord::new(tokenizer.opening().to_vec(), none);
        push(tokenizer, &Chunk { segments, own: None, end: Some(true) }, &mut tokenized)?;
        tokenized.ids.push(tokenizer.end_of_text()?);
        tokenized.trained.push(true);
        Ok(tokenized)
    }
}

impl TokenizedRecord {
    fn new(ids: Vec<u32>, trained: Vec<bool>) -> Self {
        let own = trained.clone();
        Self { ids, trained, own, across: 0, rejected: false, texts: None }
    }
}

/// A reply in place of one that does not exist yet: a letter, with which tokenizers join a space before it.
const STANDIN: &str = "a";

/// Formats and tokenizes records.
pub struct Formatter<'a> {
    tokenizer: &'a Tokenizer,
    format: TextFormat<'a>,
    marks_own_text: bool,
    keeps_texts: bool,
}

enum TextFormat<'a> {
    Template(&'a Template),
    Continuation {
        /// The text of the end-of-text token, which stands for [`DOCUMENT_BORDER`].
        end_of_text: String,
    },
    Chat(Box<ChatRenderer>),
}

/// A text, after which the end-of-text token may follow.
struct Chunk {
    segments: Vec<Segment>,
    /// Where the record's own text is in it, as ranges of bytes; `None` if all of it is.
    own: Option<Vec<Range<usize>>>,
    /// Whether the end-of-text token is trained on; `None` if it does not follow.
    end: Option<bool>,
}

impl<'a> Formatter<'a> {
    /// Prepares to format records. `folder` is that of the tokenizer, which may have a chat template.
    ///
    /// # Errors
    /// A chat template that cannot be read or is not valid; a tokenizer without one.
    pub fn new(formatting: &'a Formatting, tokenizer: &'a Tokenizer, folder: &Path) -> Result<Self, DataError> {
        let format = match formatting {
            Formatting::Template(template) => TextFormat::Template(template),
            Formatting::Continuation { .. } => {
                let end_of_text = tokenizer.token(tokenizer.end_of_text()?).unwrap_or_default();
                TextFormat::Continuation { end_of_text }
            }
            Formatting::Chat { chat_template } => {
                let source = match chat_template {
                    ChatTemplate::Chatml => CHATML.to_owned(),
                    ChatTemplate::Text(text) => text.clone(),
                    ChatTemplate::File(path) => fs::read_to_string(path).map_err(DataError::io("read", path))?,
                    ChatTemplate::Tokenizer => template_of(folder)?,
                };
                let tokens = tokenizer.special_tokens();
                let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id));
                let special = SpecialTexts { bos: text(tokens.bos), eos: text(tokens.eos), pad: text(tokens.pad) };
                TextFormat::Chat(Box::new(ChatRenderer::new(&source, special).map_err(unformattable)?))
            }
        };
        Ok(Self { tokenizer, format, marks_own_text: false, keeps_texts: false })
    }

    /// Also marks the tokens that stand for the records' own text, and not only for text of the template.
    pub fn mark_own_text(self, marks_own_text: bool) -> Self {
        Self { marks_own_text, ..self }
    }

    /// Also keeps the texts of prompts and replies, and refuses records that do not consist of these.
    pub fn keep_texts(self, keeps_texts: bool) -> Self {
        Self { keeps_texts, ..self }
    }

    /// See [`Formatter::keep_texts`].
    pub(super) fn keeps_texts(&self) -> bool {
        self.keeps_texts
    }

    /// The texts of a record, if they are kept.
    fn texts(&self, record: &Record) -> Result<Option<PairTexts>, DataError> {
        match (record, &self.format) {
            _ if !self.keeps_texts => Ok(None),
            (Record::Pair { prompt, reply }, TextFormat::Template(template)) => {
                Ok(Some(PairTexts { prompt: template.prompt(prompt), reply: template.reply(reply) }))
            }
            _ => Err(unformattable(
                "demonstrations (`shots`) need records of one prompt and one reply without a chat template".to_owned(),
            )),
        }
    }

    /// See [`Formatter::mark_own_text`].
    pub(super) fn marks_own_text(&self) -> bool {
        self.marks_own_text
    }

    /// The ids of the prompt of a record up to its reply, as in training, and the text that the template writes after a
    /// reply. A space before the reply is usually a part of its first token.
    ///
    /// # Errors
    /// A record that does not consist of one prompt and one reply; those of [`Formatter::tokenize`].
    pub fn tokenize_prompt(&self, record: &Record) -> Result<(Vec<u32>, String), DataError> {
        let record = record.content();
        let Record::Pair { prompt, .. } = record else {
            return Err(unformattable("replies can be sampled to records of one prompt and one reply".to_owned()));
        };
        let with_reply = Record::Pair { prompt: prompt.clone(), reply: STANDIN.to_owned() };
        let TokenizedRecord { mut ids, trained, .. } = self.tokenize(&with_reply)?;
        ids.truncate(trained.iter().position(|trained| *trained).unwrap_or(ids.len()));
        let (_, chunks) = self.chunks(&with_reply).map_err(unformattable)?;
        let segments = chunks.into_iter().flat_map(|chunk| chunk.segments).filter(|segment| segment.trained);
        let reply: String = segments.map(|segment| segment.text).collect();
        let after = reply.split_once(STANDIN).map_or("", |(_, after)| after);
        Ok((ids, after.to_owned()))
    }

    /// Formats and tokenizes a record. The ids that the tokenizer puts before every text come first, unless a chat template
    /// or the record itself provides all tokens.
    ///
    /// # Errors
    /// A record that the template cannot format, a text that cannot be encoded, a record without a trained token, two
    /// begin-of-text tokens in a row.
    pub fn tokenize(&self, record: &Record) -> Result<TokenizedRecord, DataError> {
        let (rejected, record) = (record.is_rejected(), record.content());
        if let Record::Tokens { ids, trained } = record {
            if let Some(id) = ids.iter().find(|id| **id >= self.tokenizer.vocab_size()) {
                let size = self.tokenizer.vocab_size();
                return Err(unformattable(format!("id {id} is not in the vocabulary of {size} tokens")));
            }
            let own = if self.marks_own_text { vec![true; ids.len()] } else { vec![] };
            let texts = self.texts(record)?;
            return Ok(TokenizedRecord { ids: ids.clone(), trained: trained.clone(), own, across: 0, rejected, texts });
        }
        let (opens, chunks) = self.chunks(record).map_err(unformattable)?;
        let opening = if opens { self.tokenizer.opening() } else { &[] };
        let none = vec![false; opening.len()];
        let mut tokenized = TokenizedRecord::new(opening.to_vec(), none);
        (tokenized.rejected, tokenized.texts) = (rejected, self.texts(record)?);
        for chunk in &chunks {
            push(self.tokenizer, chunk, &mut tokenized)?;
            if let Some(trained) = chunk.end {
                tokenized.ids.push(self.tokenizer.end_of_text()?);
                tokenized.trained.push(trained);
                tokenized.own.push(false);
            }
        }
        if !self.marks_own_text {
            tokenized.own.clear();
        }
        let bos = self.tokenizer.special_tokens().bos;
        if bos.is_some() && tokenized.ids.windows(2).any(|pair| pair.iter().all(|id| Some(*id) == bos)) {
            return Err(unformattable(
                "two begin-of-text tokens follow each other: remove one from the template".to_owned(),
            ));
        }
        if !tokenized.trained.contains(&true) {
            return Err(unformattable(
                "none of its tokens is trained on: does the template write the replies?".to_owned(),
            ));
        }
        Ok(tokenized)
    }

    /// The texts of a record, and whether the ids that the tokenizer puts before every text come first.
    fn chunks(&self, record: &Record) -> Result<(bool, Vec<Chunk>), String> {
        let pair = |template: &Template, prompt: &str, reply: &str, trained: bool| {
            let text = template.prompt(prompt);
            let own = vec![template.place_of_prompt(prompt), text.len()..text.len() + reply.len()];
            let segments = vec![Segment { text, trained: false }, Segment { text: template.reply(reply), trained }];
            Chunk { segments, own: Some(own), end: Some(trained) }
        };
        let chat = |renderer: &ChatRenderer, segments: Vec<Segment>, messages: &[Message]| {
            let own = if self.marks_own_text { renderer.contents(messages)? } else { vec![] };
            Ok::<_, String>((false, vec![Chunk { segments, own: Some(own), end: None }]))
        };
        let whole = |segments: Vec<Segment>, end| Chunk { segments, own: None, end };
        Ok(match (record, &self.format) {
            (Record::Text(text), _) => {
                (true, vec![whole(vec![Segment { text: text.clone(), trained: true }], Some(true))])
            }
            (Record::Marked(segments), _) => (true, vec![whole(segments.clone(), Some(true))]),
            (Record::Segments(segments), _) => {
                (false, segments.iter().map(|segment| whole(vec![segment.clone()], None)).collect())
            }
            (Record::Tokens { .. }, _) => (false, vec![]),
            (Record::Rejected(record) | Record::Uncertain(record, _), _) => return self.chunks(record),
            (Record::Pair { prompt, reply }, TextFormat::Template(template)) => {
                (true, vec![pair(template, prompt, reply, true)])
            }
            (Record::Pair { prompt, reply }, TextFormat::Continuation { end_of_text }) => {
                let segment =
                    |text: &String, trained| Segment { text: text.replace(DOCUMENT_BORDER, end_of_text), trained };
                (true, vec![whole(vec![segment(prompt, false), segment(reply, true)], None)])
            }
            (Record::Conversation(_) | Record::Completion { .. }, TextFormat::Continuation { .. }) => {
                return Err("a text can only be continued by one reply".to_owned());
            }
            (Record::Conversation(messages), TextFormat::Template(template)) => {
                let turns = turns(messages)?;
                (true, turns.iter().map(|turn| pair(template, &turn.prompt, &turn.reply, turn.trained)).collect())
            }
            (Record::Completion { prompt, completion }, TextFormat::Template(template)) => {
                let turns = turns(&[&prompt[..], completion].concat())?;
                (true, turns.iter().map(|turn| pair(template, &turn.prompt, &turn.reply, turn.trained)).collect())
            }
            (Record::Completion { prompt, completion }, TextFormat::Chat(renderer)) => {
                chat(renderer, renderer.completion(prompt, completion)?, &[&prompt[..], completion].concat())?
            }
            (Record::Pair { prompt, reply }, TextFormat::Chat(renderer)) => {
                let message = |role, content: &String| Message { role, content: content.clone(), trained: true };
                let messages = [message(Role::User, prompt), message(Role::Assistant, reply)];
                chat(renderer, renderer.segments(&messages)?, &messages)?
            }
            (Record::Conversation(messages), TextFormat::Chat(renderer)) => {
                chat(renderer, renderer.segments(messages)?, messages)?
            }
        })
    }
}

/// Tokenizes the segments of a chunk as one text.
fn push(tokenizer: &Tokenizer, chunk: &Chunk, tokenized: &mut TokenizedRecord) -> Result<(), DataError> {
    let Chunk { segments, own, .. } = chunk;
    let text: String = segments.iter().map(|segment| segment.text.as_str()).collect();
    let mut ends = vec![];
    for segment in segments {
        ends.push(ends.last().copied().unwrap_or(0) + segment.text.len());
    }
    for token in tokenizer.encode_spans(&text)? {
        // The segments that the token contains a part of. A token without characters belongs to what precedes it.
        let first = ends.partition_point(|end| *end <= token.start).min(segments.len().saturating_sub(1));
        let last = ends.partition_point(|end| *end < token.end).clamp(first, segments.len().saturating_sub(1));
        let trained = segments[first..=last].iter().any(|segment| segment.trained && !segment.text.is_empty());
        let foreign = (first..=last).filter(|place| !segments[*place].trained).any(|place| {
            let begin = if place == 0 { 0 } else { ends[place - 1] };
            let part = text.get(token.start.max(begin)..token.end.min(ends[place]));
            part.is_none_or(|part| !part.trim().is_empty())
        });
        tokenized.across += u64::from(trained && foreign);
        tokenized.ids.push(token.id);
        tokenized.trained.push(trained);
        let is_within = |range: &Range<usize>| token.start < range.end && range.start < token.end;
        tokenized.own.push(own.as_ref().is_none_or(|ranges| ranges.iter().any(is_within)));
    }
    Ok(())
}

/// A prompt and its reply within a conversation.
struct Turn {
    prompt: String,
    reply: String,
    trained: bool,
}

/// The turns of a conversation for a template of prompt and reply. A system text stands before the first prompt, on a line
/// of its own; messages of one speaker in a row are joined by line breaks; messages after the last reply are left out.
fn turns(messages: &[Message]) -> Result<Vec<Turn>, String> {
    let mut turns: Vec<Turn> = vec![];
    let mut prompt: Vec<&str> = vec![];
    for (index, message) in messages.iter().enumerate() {
        match message.role {
            Role::System | Role::User => prompt.push(&message.content),
            Role::Assistant if prompt.is_empty() => match turns.last_mut() {
                Some(turn) if turn.trained == message.trained => {
                    turn.reply = format!("{}\n{}", turn.reply, message.content);
                }
                _ => {
                    return Err(format!(
                        "message {} is a reply without a prompt, which a template of prompt and reply cannot write; set \
                         `chat_template: chatml`",
                        index + 1
                    ));
                }
            },
            Role::Assistant => {
                let prompt = std::mem::take(&mut prompt).join("\n");
                turns.push(Turn { prompt, reply: message.content.clone(), trained: message.trained });
            }
            Role::Tool => {
                return Err(format!(
                    "message {} is from a tool, which a template of prompt and reply cannot write; set `chat_template: \
                     tokenizer` or name a file",
                    index + 1
                ));
            }
        }
    }
    Ok(turns)
}

/// The chat template of a tokenizer folder.
fn template_of(folder: &Path) -> Result<String, DataError> {
    let file = folder.join(CHAT_TEMPLATE);
    if file.exists() {
        return fs::read_to_string(&file).map_err(DataError::io("read", &file));
    }
    let path = folder.join(TOKENIZER_CONFIG);
    let none = || {
        unformattable(format!("{} has no chat template: set `chat_template: chatml`, or name a file", path.display()))
    };
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(DataError::io("read", &path)(error)),
    };
    let text = plain_text(&bytes).map_err(DataError::not_text(&path))?;
    let config = parse_json(text).map_err(|problem| unformattable(format!("{}: {problem}", path.display())))?;
    match config.get("chat_template") {
        Some(Value::String(template)) => Ok(template.clone()),
        // Several templates by name.
        Some(Value::Array(list)) => list
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|entry| entry.get("template")?.as_str())
            .map(str::to_owned)
            .ok_or_else(none),
        _ => Err(none()),
    }
}

fn unformattable(reason: String) -> DataError {
    DataError::Unformattable { record: None, reason }
}

#[cfg(test)]
mod tests;
