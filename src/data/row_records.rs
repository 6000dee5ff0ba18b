//! From a row in a published layout to a record.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::{InstructionPosition, Ranking, Replies, Role, RowFormat, mix};

use super::record::{Message, Record, Segment, Uncertainty};
use super::rows::{field, text_of};

/// Fields of a row that change the text of a conversation and are not supported.
const UNSUPPORTED: [&str; 2] = ["tools", "chat_template_kwargs"];

/// The label of a token that is not trained on.
const IGNORED: i64 = -100;

/// How the rows of a dataset become records.
pub(super) struct RowReader<'a> {
    /// The layout.
    pub row: RowFormat,
    /// Other names of fields, by the name that the layout defines.
    pub fields: &'a BTreeMap<String, String>,
    /// What other names of roles mean.
    pub roles: &'a BTreeMap<String, Role>,
    /// The replies to read.
    pub replies: Replies,
    /// How a pair is picked out of several replies; `None` for the default.
    pub ranking: Option<&'a Ranking>,
    /// Where the instruction of a row with an input stands.
    pub position: InstructionPosition,
    /// The field with the uncertainty of the reply.
    pub uncertainty: Option<&'a str>,
}

impl RowReader<'_> {
    /// The name of a field in the data.
    fn name<'n>(&'n self, field: &'n str) -> &'n str {
        self.fields.get(field).map_or(field, String::as_str)
    }

    /// The names in the data of all fields of a row that are read or refused.
    pub(super) fn names(&self) -> Vec<&str> {
        self.row.fields().iter().map(|field| self.name(field)).chain(UNSUPPORTED).chain(self.uncertainty).collect()
    }

    /// Reads a row: one record, or the chosen and the rejected one. A row with nothing to train on gives a blank record.
    ///
    /// # Errors
    /// What is wrong with the row, which the caller completes with its place.
    pub(super) fn records(&self, row: &Value) -> Result<Vec<Record>, String> {
        let records = self.judged_records(row)?;
        let Some(name) = self.uncertainty else { return Ok(records) };
        let uncertainty = self.uncertainty(row, name)?;
        Ok(records.into_iter().map(|record| Record::Uncertain(Box::new(record), uncertainty)).collect())
    }

    /// A number, or the text of one as in files with columns.
    fn uncertainty(&self, row: &Value, name: &str) -> Result<Uncertainty, String> {
        let value = field(row, name).ok_or_else(|| format!("field '{name}' is missing"))?;
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_f64(),
        };
        let wrong = || format!("field '{name}' is {value}, not a number that is 0 or more");
        number.and_then(Uncertainty::new).ok_or_else(wrong)
    }

    /// The records of a row without their uncertainty.
    fn judged_records(&self, row: &Value) -> Result<Vec<Record>, String> {
        if let Some(name) = UNSUPPORTED.into_iter().find(|name| is_given(row.get(name))) {
            return Err(format!("field '{name}' is not supported; remove it if the conversation does not need it"));
        }
        let record = match self.row {
            RowFormat::Text => Record::Text(self.text(row, "text")?),
            RowFormat::PromptCompletion => self.prompt_completion(row)?,
            RowFormat::Alpaca => self.alpaca(row)?,
            RowFormat::Sharegpt | RowFormat::Messages => self.conversation(row)?,
            RowFormat::Preference => {
                return Ok(Record::of_pair(self.preference(row)?, self.replies));
            }
            RowFormat::Replies => return Ok(Record::of_pair(self.ranked(row)?, self.replies)),
            RowFormat::Kto => {
                let record = self.prompt_completion(row)?;
                match (self.flag(row, "label")?, self.replies) {
                    (true, _) => record,
                    (false, Replies::Good) => Record::Segments(vec![]),
                    (false, Replies::Pairs | Replies::Labelled) => Record::Rejected(Box::new(record)),
                }
            }
            RowFormat::Segments => self.segments(row)?,
            RowFormat::Tokens => self.tokens(row)?,
        };
        Ok(vec![record])
    }

    /// A field that must be there.
    fn required<'v>(&self, row: &'v Value, name: &str) -> Result<&'v Value, String> {
        field(row, self.name(name)).ok_or_else(|| {
            let names = row.as_object().into_iter().flatten().map(|(name, _)| format!("'{name}'"));
            format!("field '{}' is missing; there are {}", self.name(name), names.collect::<Vec<_>>().join(", "))
        })
    }

    fn text(&self, row: &Value, name: &str) -> Result<String, String> {
        let value = self.required(row, name)?;
        text_of(value).map_err(|problem| format!("field '{}' {problem}", self.name(name)))
    }

    /// The text of a field that may be missing; `None` if it is missing or blank.
    fn optional_text(&self, row: &Value, name: &str) -> Result<Option<String>, String> {
        match field(row, self.name(name)) {
            None => Ok(None),
            Some(_) => Ok(Some(self.text(row, name)?).filter(|text| !text.trim().is_empty())),
        }
    }

    fn flag(&self, row: &Value, name: &str) -> Result<bool, String> {
        match self.required(row, name)? {
            Value::Bool(flag) => Ok(*flag),
            Value::Number(number) if number.as_i64() == Some(0) => Ok(false),
            Value::Number(number) if number.as_i64() == Some(1) => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            other => Err(format!("field '{}' is {other}, neither true nor false", self.name(name))),
        }
    }

    fn prompt_completion(&self, row: &Value) -> Result<Record, String> {
        let (prompt, reply) = (self.required(row, "prompt")?, self.required(row, "completion")?);
        self.joined(prompt, reply)
    }

    /// A prompt and a reply that are both texts, or both messages.
    fn joined(&self, prompt: &Value, reply: &Value) -> Result<Record, String> {
        if !is_messages(prompt) && !is_messages(reply) {
            let text = |value| text_of(value).map_err(|problem| format!("the prompt or its reply {problem}"));
            return Ok(Record::pair(text(prompt)?, text(reply)?));
        }
        let mut prompt = match prompt {
            Value::String(text) => vec![Message { role: Role::User, content: text.clone(), trained: false }],
            prompt => self.messages(prompt)?,
        };
        prompt.iter_mut().for_each(|message| message.trained = false);
        let completion = match reply {
            Value::String(text) => vec![Message { role: Role::Assistant, content: text.clone(), trained: true }],
            reply => self.messages(reply)?,
        };
        Ok(Record::Completion { prompt, completion })
    }

    /// The prompt is the instruction, and the input below or above it unless that is blank. With a system text or earlier turns the
    /// record is a conversation, all replies of which are trained on.
    fn alpaca(&self, row: &Value) -> Result<Record, String> {
        let (mut prompt, reply) = (self.text(row, "instruction")?, self.text(row, "output")?);
        if let Some(input) = self.optional_text(row, "input")? {
            prompt = match self.position {
                InstructionPosition::Pre => format!("{prompt}\n{input}"),
                InstructionPosition::Post => format!("{input}\n{prompt}"),
            };
        }
        let mut messages = vec![];
        if let Some(content) = self.optional_text(row, "system")? {
            messages.push(Message { role: Role::System, content, trained: false });
        }
        if let Some(history) = field(row, self.name("history")).filter(|history| is_given(Some(history))) {
            let wrong = || format!("field '{}' is not a list of [prompt, reply] pairs", self.name("history"));
            for turn in history.as_array().ok_or_else(wrong)? {
                let [Value::String(prompt), Value::String(reply)] = &turn.as_array().ok_or_else(wrong)?[..] else {
                    return Err(wrong());
                };
                messages.push(Message { role: Role::User, content: prompt.clone(), trained: false });
                messages.push(Message { role: Role::Assistant, content: reply.clone(), trained: true });
            }
        }
        if messages.is_empty() {
            return Ok(Record::Pair { prompt, reply });
        }
        messages.push(Message { role: Role::User, content: prompt, trained: false });
        messages.push(Message { role: Role::Assistant, content: reply, trained: true });
        Ok(Record::Conversation(messages))
    }

    fn conversation(&self, row: &Value) -> Result<Record, String> {
        let mut messages = vec![];
        if let Some(content) = self.optional_text(row, "system")? {
            messages.push(Message { role: Role::System, content, trained: false });
        }
        messages.extend(self.messages(self.required(row, self.row.fields()[0])?)?);
        Ok(Record::Conversation(messages))
    }

    /// A list of messages, or a single one.
    fn messages(&self, value: &Value) -> Result<Vec<Message>, String> {
        let list = match value {
            Value::Array(list) => &list[..],
            Value::Object(_) => std::slice::from_ref(value),
            _ => return Err("a conversation is not a list of messages".to_owned()),
        };
        let numbered =
            |(index, message)| self.message(message).map_err(|problem| format!("message {} {problem}", index + 1));
        list.iter().enumerate().map(numbered).collect()
    }

    /// The field of a message by the name that its layout has, or else by that of the other layout.
    fn either<'v>(&'v self, message: &'v Value, names: [&'v str; 2]) -> Option<(&'v str, &'v Value)> {
        let [sharegpt, other] = names.map(|name| (self.name(name), message.get(self.name(name))));
        let (first, second) = if self.row == RowFormat::Sharegpt { (sharegpt, other) } else { (other, sharegpt) };
        first.1.map(|value| (first.0, value)).or_else(|| second.1.map(|value| (second.0, value)))
    }

    fn message(&self, message: &Value) -> Result<Message, String> {
        if let Some(name) = ["tool_calls", "function_call", "reasoning_content", "thinking"]
            .into_iter()
            .find(|name| is_given(message.get(name)))
        {
            return Err(format!("has the field '{name}', which is not supported: write it into the content"));
        }
        let role = self.either(message, ["from", "role"]).ok_or("has no role")?.1;
        let role = role.as_str().ok_or("has a role that is not a text")?;
        let role = self.roles.get(role).copied().or_else(|| Role::usual(role)).ok_or_else(|| {
            format!("has the unknown role '{role}'; map it, for example with `roles: {{{role}: user}}`")
        })?;
        let (name, content) = self.either(message, ["value", "content"]).ok_or("has no content")?;
        let content = content_of(content).map_err(|problem| format!("has a field '{name}' that {problem}"))?;
        let given = message.get(self.name("train")).or_else(|| message.get("weight")).filter(|given| !given.is_null());
        let trained = match given {
            None => true,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(weight)) if weight.as_f64() == Some(0.0) => false,
            Some(Value::Number(weight)) if weight.as_f64() == Some(1.0) => true,
            Some(other) => return Err(format!("has the weight {other}; only 0 or 1, true or false are supported")),
        };
        if given.is_some() && trained && role != Role::Assistant {
            return Err(format!("is from the role '{role}' and marked for training; only replies are trained on"));
        }
        Ok(Message { role, content, trained: trained && role == Role::Assistant })
    }

    /// The chosen and the rejected record. The prompt is what both replies have in common, if no field gives it.
    fn preference(&self, row: &Value) -> Result<[Record; 2], String> {
        let (chosen, rejected) = (self.required(row, "chosen")?, self.required(row, "rejected")?);
        if is_messages(chosen) != is_messages(rejected) {
            return Err("of the chosen and the rejected reply only one is a list of messages".to_owned());
        }
        if let Some(prompt) = field(row, self.name("prompt")) {
            return Ok([self.joined(prompt, chosen)?, self.joined(prompt, rejected)?]);
        }
        if is_messages(chosen) {
            let both = [self.messages(chosen)?, self.messages(rejected)?];
            let common = both[0].iter().zip(&both[1]).take_while(|(ours, theirs)| ours == theirs).count();
            return Ok(both.map(|mut messages| {
                messages[..common].iter_mut().for_each(|message| message.trained = false);
                let completion = messages.split_off(common);
                Record::Completion { prompt: messages, completion }
            }));
        }
        let (chosen, rejected) = (self.text(row, "chosen")?, self.text(row, "rejected")?);
        let common: usize = chosen
            .chars()
            .zip(rejected.chars())
            .take_while(|(one, other)| one == other)
            .map(|(one, _)| one.len_utf8())
            .sum();
        // The space before the first word that differs belongs to the replies.
        let common = if chosen[..common].ends_with(' ') { common - 1 } else { common };
        Ok([chosen, rejected].map(|text| {
            Record::Marked(vec![
                Segment { text: text[..common].to_owned(), trained: false },
                Segment { text: text[common..].to_owned(), trained: true },
            ])
        }))
    }

    /// The chosen and the rejected record out of several replies; both are blank if the prompt is left out.
    fn ranked(&self, row: &Value) -> Result<[Record; 2], String> {
        let by_default = Ranking::default();
        let ranking = self.ranking.unwrap_or(&by_default);
        let prompt = self.text(row, "prompt")?;
        let name = self.name("replies");
        let list = self.required(row, "replies")?.as_array().ok_or_else(|| format!("field '{name}' is not a list"))?;
        let text = |reply| text_of(reply).map_err(|problem| format!("a reply in the field '{name}' {problem}"));
        let replies: Vec<String> = list.iter().map(text).collect::<Result<_, _>>()?;
        let scores = match replies.iter().map(|reply| ranking.score(reply)).collect::<Option<Vec<f64>>>() {
            Some(scores) => scores,
            None => self.scores(row, replies.len())?,
        };
        let seed = prompt.bytes().fold(0, |seed, byte| mix(seed ^ u64::from(byte)));
        let record = |place: usize| Record::Pair { prompt: prompt.clone(), reply: replies[place].clone() };
        Ok(match ranking.pick(&replies, &scores, seed) {
            Some((chosen, rejected)) => [record(chosen), record(rejected)],
            None => [Record::Segments(vec![]), Record::Segments(vec![])],
        })
    }

    /// The scores of this number of replies.
    fn scores(&self, row: &Value, replies: usize) -> Result<Vec<f64>, String> {
        let name = self.name("scores");
        let value = field(row, name).ok_or_else(|| {
            format!(
                "field '{name}' is missing; give the replies scores, or check them with `pairs: {{constraints: ...}}`"
            )
        })?;
        let wrong = || format!("field '{name}' is not a list of finite numbers");
        let list = value.as_array().ok_or_else(wrong)?;
        let number = |score: &Value| score.as_f64().filter(|score| score.is_finite()).ok_or_else(wrong);
        let scores: Vec<f64> = list.iter().map(number).collect::<Result<_, _>>()?;
        match scores.len() == replies {
            true => Ok(scores),
            false => Err(format!("field '{name}' has {} numbers, but there are {replies} replies", scores.len())),
        }
    }

    fn segments(&self, row: &Value) -> Result<Record, String> {
        let name = self.name("segments");
        let list = self.required(row, "segments")?.as_array().ok_or_else(|| format!("field '{name}' is not a list"))?;
        let read = |(index, segment): (usize, &Value)| {
            let read = || Ok(Segment { text: self.text(segment, "text")?, trained: self.flag(segment, "label")? });
            read().map_err(|problem: String| format!("segment {}: {problem}", index + 1))
        };
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Record::Segments)
    }

    fn tokens(&self, row: &Value) -> Result<Record, String> {
        let numbers = |name: &str| -> Result<Vec<i64>, String> {
            let wrong = || format!("field '{}' is not a list of whole numbers", self.name(name));
            let list = self.required(row, name)?.as_array().ok_or_else(wrong)?;
            list.iter().map(|number| number.as_i64().ok_or_else(wrong)).collect()
        };
        let optional = |name: &str| match field(row, self.name(name)).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(_) => numbers(name).map(Some),
        };
        let ids = numbers("input_ids")?;
        let (labels, attended) = (optional("labels")?, optional("attention_mask")?);
        for (name, list) in [("labels", &labels), ("attention_mask", &attended)] {
            if let Some(list) = list.as_ref().filter(|list| list.len() != ids.len()) {
                let name = self.name(name);
                return Err(format!("field '{name}' has {} numbers, but there are {} ids", list.len(), ids.len()));
            }
        }
        let (mut kept, mut trained) = (vec![], vec![]);
        for (place, id) in ids.iter().enumerate() {
            if attended.as_ref().is_some_and(|attended| attended[place] == 0) {
                continue; // padding
            }
            let label = labels.as_ref().map_or(*id, |labels| labels[place]);
            if label != IGNORED && label != *id {
                let expected = "a label is the id at the same position, or -100";
                return Err(format!("label {label} at position {place} is not the id {id}; {expected}"));
            }
            kept.push(u32::try_from(*id).map_err(|_| format!("id {id} at position {place} is not a token id"))?);
            trained.push(label != IGNORED);
        }
        Ok(Record::Tokens { ids: kept, trained })
    }
}

/// Whether a value is present and not empty.
fn is_given(value: Option<&Value>) -> bool {
    value.is_some_and(|value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    })
}

fn is_messages(value: &Value) -> bool {
    value.is_object() || value.as_array().is_some_and(|list| list.iter().any(Value::is_object))
}

/// The content of a message: a text, or a list of parts that are texts.
fn content_of(content: &Value) -> Result<String, String> {
    let Value::Array(parts) = content else { return text_of(content).map_err(str::to_owned) };
    let text = |part: &Value| match (part, part.get("type").and_then(Value::as_str), part.get("text")) {
        (Value::String(text), ..) | (_, Some("text"), Some(Value::String(text))) => Ok(text.clone()),
        (_, Some(kind), _) => Err(format!("has a part of the type '{kind}'; only texts are supported")),
        _ => Err("is a list of something else than texts".to_owned()),
    };
    parts.iter().map(text).collect()
}

#[cfg(test)]
mod tests;
