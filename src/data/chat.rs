//! Chat templates: from the messages of a conversation to one text, and to the parts of it that are trained on.
//!
//! A template is a Jinja template in the dialect of `transformers`: `messages`, `add_generation_prompt`, the special
//! tokens, `raise_exception`, methods of Python's texts and `{% generation %}` blocks. `strftime_now` is not defined, so
//! that the text does not depend on the day; templates that use it have a fixed date for this case.

use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, context};

use crate::domain::{Role, check_nesting};

use super::record::{Message, Segment};

/// The template of `chat_template: chatml`.
pub(super) const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + \
                                 message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt \
                                 %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// Characters that mark what a `{% generation %}` block contains. They are no characters of any text.
const OPENING: char = '\u{FDD0}';
const CLOSING: char = '\u{FDD1}';

/// Marks the begin of the content of a message. Like the marks of blocks, it is not a character.
const BEGIN: char = '\u{fdd2}';

/// Marks the end of the content of a message.
const END: char = '\u{fdd3}';

/// The most steps of a template for one conversation, which loops without an end exceed within a second or two. Templates of
/// published models take about a hundred for each message.
const FUEL: u64 = 10_000_000;

/// The texts of the special tokens that a template may write.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTexts {
    pub bos: Option<String>,
    pub eos: Option<String>,
    pub pad: Option<String>,
}

/// A chat template that is ready to render.
pub(super) struct ChatRenderer {
    environment: Environment<'static>,
    special: SpecialTexts,
    /// Whether the template marks what is trained on with `{% generation %}` blocks.
    has_blocks: bool,
}

impl ChatRenderer {
    /// Parses a template.
    ///
    /// # Errors
    /// A template that is not valid, as a message.
    pub(super) fn new(source: &str, special: SpecialTexts) -> Result<Self, String> {
        check_nesting(source)?;
        let (source, has_blocks) = mark_blocks(source);
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| explained(&error))?);
        environment.set_fuel(Some(FUEL));
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_filter("tojson", |_: minijinja::Value| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, "the filter `tojson` is not supported"))
        });
        environment.add_template_owned("chat_template", source).map_err(|error| explained(&error))?;
        Ok(Self { environment, special, has_blocks })
    }

    /// The text of a conversation, divided into what is trained on and what is not.
    ///
    /// The trained part of an assistant's message is what the template adds for it after the generation prompt, without
    /// trailing white space. A template with `{% generation %}` blocks marks the trained parts.
    ///
    /// # Errors
    /// A template that fails, that does not write a reply, or that writes a message differently if another one follows.
    pub(super) fn segments(&self, messages: &[Message]) -> Result<Vec<Segment>, String> {
        let whole = self.render(messages, false)?;
        if self.has_blocks {
            return blocks(&whole, messages);
        }
        let (mut segments, mut written) = (vec![], 0);
        for (index, message) in messages.iter().enumerate() {
            if message.role != Role::Assistant || !message.trained {
                continue;
            }
            let before = self.render(&messages[..index], true)?;
            let after = self.render(&messages[..=index], false)?;
            let number = index + 1;
            if !whole.starts_with(&after) {
                return Err(format!(
                    "the template writes message {number} differently if another one follows, so its trained part is \
                     not defined; use a template with {{% generation %}} blocks, or one record for each reply"
                ));
            }
            let Some(reply) = after.strip_prefix(before.as_str()) else {
                return Err(format!(
                    "the generation prompt of the template is not the beginning of message {number}; use a template with \
                     {{% generation %}} blocks"
                ));
            };
            check_written(reply, message)?;
            let end = before.len() + trained_length(reply, &message.content);
            segments.push(Segment { text: whole[written..before.len()].to_owned(), trained: false });
            segments.push(Segment { text: whole[before.len()..end].to_owned(), trained: true });
            written = end;
        }
        segments.push(Segment { text: whole[written..].to_owned(), trained: false });
        segments.retain(|segment| !segment.text.is_empty());
        Ok(segments)
    }

    /// The text of a prompt and its completion. Everything after the generation prompt is trained on.
    ///
    /// # Errors
    /// A template that fails, that does not write a reply, or that writes the prompt differently if the completion follows.
    pub(super) fn completion(&self, prompt: &[Message], completion: &[Message]) -> Result<Vec<Segment>, String> {
        let unmarked = |text: String| text.replace([OPENING, CLOSING], "");
        let before = unmarked(self.render(prompt, true)?);
        let whole = unmarked(self.render(&[prompt, completion].concat(), false)?);
        let Some(after) = whole.strip_prefix(before.as_str()) else {
            return Err("the template writes the prompt differently if its completion follows".to_owned());
        };
        completion.iter().try_for_each(|message| check_written(after, message))?;
        let trained = Segment { text: after.to_owned(), trained: true };
        Ok(vec![Segment { text: before, trained: false }, trained])
    }

    /// Where the contents of the messages stand in the text of a conversation, as ranges of bytes. White space around a
    /// content is not part of it.
    ///
    /// # Errors
    /// A template that fails, or that changes the text of messages.
    pub(super) fn contents(&self, messages: &[Message]) -> Result<Vec<Range<usize>>, String> {
        if messages.iter().any(|message| message.content.contains([BEGIN, END])) {
            return Err("a message contains U+FDD2 or U+FDD3, which are not characters".to_owned());
        }
        let mark = |message: &Message| {
            let content = message.content.trim();
            let marked = match content {
                "" => message.content.clone(),
                _ => message.content.replacen(content, &format!("{BEGIN}{content}{END}"), 1),
            };
            Message { content: marked, ..message.clone() }
        };
        let marked: Vec<Message> = messages.iter().map(mark).collect();
        let (mut text, mut ranges, mut begin) = (String::new(), vec![], 0);
        for character in self.render(&marked, false)?.chars() {
            match character {
                OPENING | CLOSING => {}
                BEGIN => begin = text.len(),
                END => ranges.push(begin..text.len()),
                other => text.push(other),
            }
        }
        if text != self.render(messages, false)?.replace([OPENING, CLOSING], "") {
            return Err(
                "the template changes the text of messages, so that it is not clear which of the tokens are its own; \
                        set `loss: reply` or `loss: all`"
                    .to_owned(),
            );
        }
        Ok(ranges)
    }

    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, String> {
        let value = |message: &Message| {
            if message.content.contains([OPENING, CLOSING]) {
                return Err("a message contains U+FDD0 or U+FDD1, which are not characters".to_owned());
            }
            Ok(context! { role => message.role.name(), content => message.content.as_str() })
        };
        let messages = messages.iter().map(value).collect::<Result<Vec<minijinja::Value>, _>>()?;
        let SpecialTexts { bos, eos, pad } = &self.special;
        let template = self.environment.get_template("chat_template").map_err(|error| explained(&error))?;
        // A token that the tokenizer does not have is undefined, so that it is written as nothing.
        let text = |token: &Option<String>| token.as_ref().map_or(minijinja::Value::UNDEFINED, minijinja::Value::from);
        let (bos_token, eos_token, pad_token) = (text(bos), text(eos), text(pad));
        template
            .render(context! { messages, add_generation_prompt, bos_token, eos_token, pad_token })
            .map_err(|error| explained(&error))
    }
}

/// Refuses a template that leaves out the content of a message, as one does that expects a list of parts instead of a
/// text. Only the last word is looked for, because templates may remove reasoning before it.
fn check_written(text: &str, message: &Message) -> Result<(), String> {
    match message.content.split_whitespace().next_back() {
        Some(word) if !text.contains(word) => Err(format!(
            "the template does not write the content of the reply '{}'; does it expect a list of parts?",
            message.content.chars().take(40).collect::<String>()
        )),
        _ => Ok(()),
    }
}

/// The length of the part of a reply that is trained on: without the white space after its end mark. Where only white
/// space follows the content, it is the end mark and is trained on.
fn trained_length(reply: &str, content: &str) -> usize {
    let trimmed = reply.trim_end().len();
    let content_end = reply.find(content.trim_end()).map_or(0, |start| start + content.trim_end().len());
    if trimmed > content_end { trimmed } else { reply.len() }
}

/// Replaces `{% generation %}` and `{% endgeneration %}` by marks in the text, which keep the rules for white space.
fn mark_blocks(source: &str) -> (String, bool) {
    let (mut marked, mut rest, mut found) = (String::new(), source, false);
    while let Some((before, after)) = rest.split_once("{%")
        && let Some((tag, next)) = after.split_once("%}")
    {
        marked.push_str(before);
        let mark = match tag.trim_matches(['-', '+']).trim() {
            "generation" => Some(OPENING),
            "endgeneration" => Some(CLOSING),
            _ => None,
        };
        match mark {
            Some(mark) => {
                let sign = |found: Option<char>| {
                    found.filter(|sign| ['-', '+'].contains(sign)).map_or(String::new(), String::from)
                };
                let (left, right) = (sign(tag.chars().next()), sign(tag.chars().next_back()));
                marked.push_str(&format!("{{%{left} if true %}}{mark}{{% endif {right}%}}"));
                found = true;
            }
            None => marked.push_str(&format!("{{%{tag}%}}")),
        }
        rest = next;
    }
    marked.push_str(rest);
    (marked, found)
}

/// The segments of a text with marked parts, which are trained on unless their message is not.
fn blocks(whole: &str, messages: &[Message]) -> Result<Vec<Segment>, String> {
    let replies: Vec<&Message> = messages.iter().filter(|message| message.role == Role::Assistant).collect();
    let parts: Vec<&str> = whole.split(OPENING).collect();
    let number = parts.len() - 1;
    // A template may have several blocks for a reply, or none for one that it leaves out.
    if number != replies.len() && replies.iter().any(|reply| !reply.trained) {
        return Err(format!(
            "the template writes {number} {{% generation %}} blocks for {} replies, so it is not clear which of them \
             belong to the replies that are not to be trained on",
            replies.len()
        ));
    }
    let mut segments = vec![Segment { text: parts[0].to_owned(), trained: false }];
    for (index, part) in parts[1..].iter().enumerate() {
        let is_trained = number != replies.len() || replies[index].trained;
        if number == replies.len() {
            check_written(part, replies[index])?;
        }
        let (trained, rest) = part.split_once(CLOSING).ok_or("a {% generation %} block contains another one")?;
        segments.push(Segment { text: trained.to_owned(), trained: is_trained });
        segments.push(Segment { text: rest.to_owned(), trained: false });
    }
    segments.retain(|segment| !segment.text.is_empty());
    Ok(segments)
}

/// The message of an error of a template, in one line, with its line in the template.
fn explained(error: &Error) -> String {
    if error.kind() == ErrorKind::OutOfFuel {
        return format!("the template takes more than {FUEL} steps for one conversation; does it loop without an end?");
    }
    let line = error.line().map(|line| format!("line {line} of the template: ")).unwrap_or_default();
    format!("{line}{}", error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
}

#[cfg(test)]
mod tests;
