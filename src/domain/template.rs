//! Patterns and templates: texts with fields in braces.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Text made from the fields of a row: the name of a field, or text with field names in braces such as
/// `{instruction}\n{input}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    /// The fields, each with the text before it.
    pieces: Vec<(String, String)>,
    tail: String,
}

impl Pattern {
    /// The pattern that consists of one field.
    pub fn field(name: &str) -> Self {
        Self { pieces: vec![(String::new(), name.to_owned())], tail: String::new() }
    }

    /// The names of the fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().map(|(_, field)| field.as_str())
    }

    /// The text for these values of [`Pattern::fields`], given in the same order.
    pub fn fill<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> String {
        let mut text = String::new();
        for ((before, _), value) in self.pieces.iter().zip(values) {
            text.push_str(before);
            text.push_str(value);
        }
        text + &self.tail
    }
}

impl TryFrom<String> for Pattern {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if !text.contains(['{', '}']) {
            return if text.is_empty() { Err("names no field") } else { Ok(Self::field(&text)) };
        }
        let (mut pieces, mut rest) = (vec![], text.as_str());
        while let Some((before, after)) = rest.split_once('{') {
            let (field, after) = after.split_once('}').ok_or("has a '{' without its '}'")?;
            if field.is_empty() || field.contains('{') || before.contains('}') {
                return Err("needs the name of a field between '{' and '}'");
            }
            pieces.push((before.to_owned(), field.to_owned()));
            rest = after;
        }
        if rest.contains('}') { Err("has a '}' without its '{'") } else { Ok(Self { pieces, tail: rest.to_owned() }) }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ([(before, field)], "") = (&self.pieces[..], self.tail.as_str())
            && before.is_empty()
        {
            return f.write_str(field);
        }
        for (before, field) in &self.pieces {
            write!(f, "{before}{{{field}}}")?;
        }
        f.write_str(&self.tail)
    }
}

/// How a record is formatted as text: any text with `{prompt}` and then `{reply}`, once each.
///
/// The text before `{reply}` belongs to the prompt, the rest to the reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    before: String,
    between: String,
    after: String,
}

const PROMPT: &str = "{prompt}";
const REPLY: &str = "{reply}";

impl Template {
    /// The template of prompt, separator and reply.
    pub fn separated(separator: &str) -> Self {
        Self { before: String::new(), between: separator.to_owned(), after: String::new() }
    }

    /// The text before the reply, which conditions it.
    pub fn prompt(&self, prompt: &str) -> String {
        [&self.before, prompt, &self.between].concat()
    }

    /// Where the prompt stands in [`Template::prompt`], as a range of bytes.
    pub fn place_of_prompt(&self, prompt: &str) -> Range<usize> {
        self.before.len()..self.before.len() + prompt.len()
    }

    /// The reply with the text after it.
    pub fn reply(&self, reply: &str) -> String {
        [reply, &self.after].concat()
    }
}

impl TryFrom<String> for Template {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "needs {prompt} and then {reply}, once each";
        let (before, rest) = text.split_once(PROMPT).ok_or(wrong)?;
        let (between, after) = rest.split_once(REPLY).ok_or(wrong)?;
        if [before, between, after].iter().any(|part| part.contains(PROMPT) || part.contains(REPLY)) {
            return Err(wrong);
        }
        Ok(Self { before: before.to_owned(), between: between.to_owned(), after: after.to_owned() })
    }
}

impl From<Template> for String {
    fn from(template: Template) -> String {
        template.to_string()
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PROMPT}{}{REPLY}{}", self.before, self.between, self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_prompt_and_reply_once_and_in_order() {
        let template = Template::try_from("Q: {prompt}\nA: {reply} .".to_owned()).unwrap();
        assert_eq!((template.prompt("why?"), template.reply("so")), ("Q: why?\nA: ".to_owned(), "so .".to_owned()));
        assert_eq!(template.to_string(), "Q: {prompt}\nA: {reply} .");
        assert_eq!(Template::separated(" ").to_string(), "{prompt} {reply}");
        for wrong in ["", "{prompt}", "{reply}{prompt}", "{prompt}{prompt}{reply}", "{prompt}{reply}{reply}"] {
            assert!(Template::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_is_a_field_name_or_text_with_fields() {
        let pattern = |text: &str| Pattern::try_from(text.to_owned());
        let both = pattern("{instruction}\n({input})").unwrap();
        assert_eq!(both.fields().collect::<Vec<_>>(), ["instruction", "input"]);
        assert_eq!(both.fill(["Add.", "1 2"]), "Add.\n(1 2)");
        assert_eq!(both.to_string(), "{instruction}\n({input})");
        assert_eq!(pattern("{q}").unwrap(), Pattern::field("q"));
        assert_eq!(pattern("q").unwrap().to_string(), "q");
        for wrong in ["", "{", "}", "{}", "{a", "a}", "{a{b}}", "}{a}", "{a}}"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }
}
