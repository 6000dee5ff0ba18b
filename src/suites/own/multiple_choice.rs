//! Multiple-choice tasks as lm-evaluation-harness 0.4 defines and scores them.
//!
//! A question and each of its answers are one text; the answer whose tokens have the greatest log-probability is chosen.
//! Where the harness guesses (a label out of range counts as wrong), reading the row fails instead.

use minijinja::Environment;
use serde_json::Value;

use super::super::choice;
use super::super::item::{Answers, Candidate, Item, Likelihood, Tokenization, Truth};
use super::python::{self, Literal, list_literal};
use super::random::PythonRandom;
use crate::domain::{
    ChoiceMetric, ChoiceRule, Cluster, ExampleSampler, Examples, ItemOutcome, Mode, MultipleChoice, RowRule, Score,
    Suite, check_nesting,
};

/// Turns rows into items, one row after another.
pub struct TaskReader<'a> {
    name: &'a str,
    task: &'a MultipleChoice,
    templates: Environment<'static>,
    /// The rows that examples are drawn from.
    pool: Vec<Value>,
    random: Option<PythonRandom>,
    /// Whether the answers are the questions, as the first row shows: `doc_to_text` is then an index.
    answers_are_questions: Option<bool>,
    items: Vec<Item>,
}

/// What a rule makes of a row.
#[derive(Debug, Clone, PartialEq)]
enum Made {
    Text(String),
    Index(usize),
    List(Vec<Literal>),
}

impl<'a> TaskReader<'a> {
    /// A reader for the rows of the task of this name. `pool` are the rows that examples are drawn from.
    ///
    /// # Errors
    /// Fewer rows than examples.
    pub fn new(name: &'a str, task: &'a MultipleChoice, pool: Vec<Value>) -> Result<Self, String> {
        let needed = task.examples.as_ref().map_or(0, |examples| {
            let spare = usize::from(examples.without_scored_row && examples.sampler != ExampleSampler::First);
            examples.count as usize + spare
        });
        if pool.len() < needed {
            return Err(format!("{needed} rows are needed to draw examples from, but there are {}", pool.len()));
        }
        let random = task.examples.as_ref().and_then(|examples| match examples.sampler {
            ExampleSampler::Random { seed } => Some(PythonRandom::new(seed)),
            ExampleSampler::First => None,
        });
        let templates = python::environment();
        Ok(Self { name, task, templates, pool, random, answers_are_questions: None, items: vec![] })
    }

    /// Reads one row.
    ///
    /// # Errors
    /// What is wrong with it, or with a template.
    pub fn read(&mut self, row: &Value) -> Result<(), String> {
        let task = self.task;
        let question = self.make("doc_to_text", &task.doc_to_text, row, true)?;
        let target = self.make("doc_to_target", &task.doc_to_target, row, true)?;
        let answers = self.answers("doc_to_choice", &task.doc_to_choice, row)?;
        let answers_are_questions = *self.answers_are_questions.get_or_insert(matches!(question, Made::Index(_)));
        if answers.len() < 2 || answers.iter().any(String::is_empty) {
            return Err(format!("doc_to_choice gives {} answers, one of them empty or too few", answers.len()));
        }
        let mut context = self.description(row)?;
        context.push_str(&self.examples(row, answers_are_questions)?);
        let delimiter = &task.target_delimiter;
        let (candidates, right) = match (question, answers_are_questions) {
            (Made::Text(question), false) => {
                context.push_str(&question);
                let candidate = |answer: &String| candidate(&context, &format!("{delimiter}{answer}"));
                (answers.iter().map(candidate).collect::<Vec<_>>(), right_answers(&target, &answers)?)
            }
            (Made::Index(index), true) => {
                let Made::Text(target) = target else {
                    return Err("doc_to_text gives an index, so doc_to_target must give a text".to_owned());
                };
                let continuation = format!("{delimiter}{target}");
                let candidate = |answer: &String| candidate(&format!("{context}{answer}"), &continuation);
                (answers.iter().map(candidate).collect(), right_answers(&Made::Index(index), &answers)?)
            }
            (made, _) => return Err(format!("doc_to_text gives {}, unlike in the first row", made.kind())),
        };
        self.items.push(Item {
            task: self.name.to_owned(),
            subtask: self.name.to_owned(),
            group: self.name.to_owned(),
            report_labels: vec![],
            index: self.items.len() as u32,
            candidates,
            truth: Truth::Answers(Answers { texts: answers, right }),
            cluster: Cluster::Itself,
        });
        Ok(())
    }

    /// The items of all rows.
    pub fn finish(self) -> Vec<Item> {
        self.items
    }

    fn description(&self, row: &Value) -> Result<String, String> {
        let rule = RowRule::FieldOrTemplate(self.task.description.clone());
        match self.task.description.is_empty() {
            true => Ok(String::new()),
            false => self.text("description", &rule, row),
        }
    }

    /// The examples of a row as one text.
    fn examples(&mut self, row: &Value, answers_are_questions: bool) -> Result<String, String> {
        let Some(examples) = &self.task.examples else { return Ok(String::new()) };
        let chosen = self.draw(row, examples)?;
        let mut text = String::new();
        for example in chosen {
            let example = &self.pool[example];
            let question = self.make("doc_to_text", &examples.doc_to_text, example, true)?;
            let target = self.make("doc_to_target", &examples.doc_to_target, example, true)?;
            let answers = examples.doc_to_choice.as_ref();
            let answers = answers.map(|rule| self.answers("doc_to_choice", rule, example)).transpose()?;
            let among = |index: usize| {
                let answers = answers.as_ref().ok_or(
                    "an example has the index of an answer instead of its text; add `doc_to_choice` to `fewshot_config`",
                )?;
                answers.get(index).cloned().ok_or(format!("an example has the answer {index} of {}", answers.len()))
            };
            text.push_str(&match question {
                Made::Text(question) => question,
                Made::Index(index) if answers_are_questions => among(index)?,
                made => return Err(format!("doc_to_text gives {} for an example", made.kind())),
            });
            let answer = match target {
                Made::Index(index) if answers_are_questions => index.to_string(),
                Made::Index(index) => among(index)?,
                Made::Text(text) => text,
                Made::List(list) => match list.into_iter().next() {
                    Some(Literal::Text(text)) => text,
                    _ => return Err("doc_to_target gives a list without a text for an example".to_owned()),
                },
            };
            if !answer.is_empty() {
                text.push_str(&format!("{}{answer}{}", examples.target_delimiter, examples.delimiter));
            }
        }
        Ok(text)
    }

    /// The places in the pool of the examples for a row, as the sampler of the harness chooses them.
    fn draw(&mut self, row: &Value, examples: &Examples) -> Result<Vec<usize>, String> {
        let count = examples.count as usize;
        let excluded = |place: &usize| examples.without_scored_row && self.pool[*place] == *row;
        let all = 0..self.pool.len();
        let Some(random) = &mut self.random else {
            let first: Vec<usize> = all.filter(|place| !excluded(place)).take(count).collect();
            return match first.len() == count {
                true => Ok(first),
                false => Err(format!("there are only {} examples other than this row", first.len())),
            };
        };
        let drawn = random.sample(all.len(), count + usize::from(examples.without_scored_row));
        let kept: Vec<usize> = drawn.into_iter().filter(|place| !excluded(place)).take(count).collect();
        if kept.len() == count {
            return Ok(kept);
        }
        let others: Vec<usize> = all.filter(|place| !excluded(place)).collect();
        if others.len() < count {
            return Err(format!("there are only {} examples other than this row", others.len()));
        }
        Ok(random.sample(others.len(), count).into_iter().map(|place| others[place]).collect())
    }

    fn text(&self, key: &str, rule: &RowRule, row: &Value) -> Result<String, String> {
        match self.make(key, rule, row, false)? {
            Made::Text(text) => Ok(text),
            made => Err(format!("{key} gives {}, not a text", made.kind())),
        }
    }

    /// What a rule makes of a row. `structured` rules can give an index or a list.
    fn make(&self, key: &str, rule: &RowRule, row: &Value, structured: bool) -> Result<Made, String> {
        let rule = match rule {
            RowRule::Index(index) => return Ok(Made::Index(*index as usize)),
            RowRule::FieldOrTemplate(rule) => rule,
        };
        if let Some(value) = row.get(rule) {
            return field(value).ok_or_else(|| format!("{key}: field '{rule}' is {}", kind_of(value)));
        }
        let text = self.render(key, rule, row)?;
        if structured && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Made::Index).map_err(|_| format!("{key} gives the number {text}"));
        }
        match list_literal(&text) {
            Some(list) if structured && key == "doc_to_target" => Ok(Made::List(list)),
            _ => Ok(Made::Text(text)),
        }
    }

    fn answers(&self, key: &str, rule: &ChoiceRule, row: &Value) -> Result<Vec<String>, String> {
        let rule = match rule {
            ChoiceRule::Same(answers) => return Ok(answers.clone()),
            ChoiceRule::FieldOrTemplate(rule) => rule,
        };
        let list = match row.get(rule) {
            Some(value) => match field(value) {
                Some(Made::List(list)) => list,
                _ => return Err(format!("{key}: field '{rule}' is {}, not a list", kind_of(value))),
            },
            None => {
                let text = self.render(key, rule, row)?;
                list_literal(&text).ok_or_else(|| format!("{key} does not give a list of texts"))?
            }
        };
        Ok(list.into_iter().map(Literal::into_text).collect())
    }

    fn render(&self, key: &str, template: &str, row: &Value) -> Result<String, String> {
        check_nesting(template).map_err(|problem| format!("{key}: {problem}"))?;
        self.templates.render_str(template, python::variables(row)).map_err(|error| {
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            format!("{key}: {detail}")
        })
    }
}

impl Made {
    fn kind(&self) -> &'static str {
        match self {
            Made::Text(_) => "a text",
            Made::Index(_) => "an index",
            Made::List(_) => "a list",
        }
    }
}

/// The value of a field. Python counts `True` as 1 and `False` as 0.
fn field(value: &Value) -> Option<Made> {
    Some(match value {
        Value::String(text) => Made::Text(text.clone()),
        Value::Bool(flag) => Made::Index(usize::from(*flag)),
        Value::Number(number) => Made::Index(usize::try_from(number.as_u64()?).ok()?),
        Value::Array(list) => {
            let item = |item: &Value| match item {
                Value::String(text) => Some(Literal::Text(text.clone())),
                Value::Number(number) => number.as_i64().map(Literal::Whole),
                _ => None,
            };
            Made::List(list.iter().map(item).collect::<Option<_>>()?)
        }
        Value::Null | Value::Object(_) => return None,
    })
}

fn kind_of(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list of other things than texts".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(_) => "a text".to_owned(),
        other => other.to_string(),
    }
}

/// The indices of the right answers.
fn right_answers(target: &Made, answers: &[String]) -> Result<Vec<u32>, String> {
    let known = answers.len();
    let index = |index: usize| match index < known {
        true => Ok(index as u32),
        false => Err(format!("the right answer is number {index}, counted from 0, but there are {known} answers")),
    };
    let text = |text: &String| match answers.iter().position(|answer| answer == text) {
        Some(place) => Ok(place as u32),
        None => Err(format!("the right answer '{}' is none of the answers", text.chars().take(60).collect::<String>())),
    };
    match target {
        Made::Index(place) => Ok(vec![index(*place)?]),
        Made::Text(answer) => Ok(vec![text(answer)?]),
        Made::List(list) if list.is_empty() => Err("no answer is right".to_owned()),
        Made::List(list) => list
            .iter()
            .map(|one| match one {
                Literal::Whole(place) => index(usize::try_from(*place).unwrap_or(usize::MAX)),
                Literal::Text(answer) => text(answer),
            })
            .collect(),
    }
}

/// The context without its trailing white space, which is scored with the continuation.
fn candidate(context: &str, continuation: &str) -> Candidate {
    let is_space = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    Candidate {
        text: format!("{context}{continuation}"),
        scored_from: context.trim_end_matches(is_space).chars().count(),
        tokenized: Tokenization::Harness,
    }
}

/// Accuracy under each metric of the task; the outcomes are those of the first one.
pub(in super::super) fn score(
    task: &MultipleChoice,
    mode: Mode,
    items: &[Item],
    measured: &[Vec<Likelihood>],
) -> (Vec<Score>, Vec<ItemOutcome>) {
    let mut scores = vec![];
    let mut outcomes = None;
    for metric in &task.metrics {
        let normalized = |item: &Item, measured: &[Likelihood]| -> Vec<f64> {
            let Truth::Answers(Answers { texts, .. }) = &item.truth else {
                unreachable!("every item of a multiple-choice task is read with its answers")
            };
            let length = |text: &String| match metric {
                ChoiceMetric::Acc => 1.0,
                ChoiceMetric::AccNorm => text.chars().count() as f64,
                ChoiceMetric::AccBytes => text.len() as f64,
            };
            texts.iter().zip(measured).map(|(text, measured)| measured.sum / length(text)).collect()
        };
        let (mut of_metric, of_items) = choice::score_as(Suite::MultipleChoice, mode, items, measured, normalized);
        of_metric.iter_mut().for_each(|score| metric.score_metric().clone_into(&mut score.metric));
        scores.extend(of_metric);
        outcomes.get_or_insert(of_items);
    }
    (scores, outcomes.unwrap_or_default())
}

#[cfg(test)]
mod tests;
