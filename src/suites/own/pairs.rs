//! Options as they are: minimal pairs, and continuations of a prefix.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::super::item::{Candidate, Item, Tokenization, Truth};
use crate::domain::{Cluster, PairsFormat, draw_distinct, mix};

/// Turns rows into items, one row after another.
pub struct PairsReader<'a> {
    task: &'a str,
    format: &'a PairsFormat,
    rows: Vec<Row>,
}

/// A row, after its fields were read.
struct Row {
    prefix: Option<String>,
    options: Vec<String>,
    right: u32,
    group: Option<String>,
    cluster: Option<String>,
}

impl<'a> PairsReader<'a> {
    /// A reader for the rows of the test set of this name.
    pub fn new(task: &'a str, format: &'a PairsFormat) -> Self {
        Self { task, format, rows: vec![] }
    }

    /// Reads one row.
    ///
    /// # Errors
    /// What is wrong with it, naming the field.
    pub fn read(&mut self, row: &Value) -> Result<(), String> {
        let (options, right) = self.options(row)?;
        check_options(&options)?;
        let prefix = self.text(row, "prefix")?.filter(|prefix| !prefix.is_empty());
        if self.format.shots.is_some() && prefix.is_none() {
            let name = self.format.name("prefix");
            return Err(format!("it has no '{name}', which the demonstrations of `shots` need; {}", present(row)));
        }
        for option in &options {
            self.candidate(prefix.as_deref(), option)?;
        }
        let (group, cluster) = (self.label(row, "group")?, self.label(row, "cluster")?);
        self.rows.push(Row { prefix, options, right, group, cluster });
        Ok(())
    }

    /// The items of all rows, once for each draw of demonstrations.
    pub fn finish(self) -> Vec<Item> {
        let draws = self.format.shots.as_ref().map_or(1, |shots| shots.draws);
        let (mut items, mut next_index) = (vec![], HashMap::<String, u32>::new());
        for draw in 1..=draws {
            for (place, row) in self.rows.iter().enumerate() {
                let group = row.group.clone().unwrap_or_else(|| self.task.to_owned());
                let subtask = if draws > 1 { format!("{group} draw {draw}") } else { group };
                let next = next_index.entry(subtask.clone()).or_default();
                let index = *next;
                *next += 1;
                let prefix = row.prefix.as_ref().map(|prefix| format!("{}{prefix}", self.demonstrations(place, draw)));
                let candidate = |option: &String| self.candidate(prefix.as_deref(), option);
                let candidates = row.options.iter().map(candidate).collect::<Result<_, _>>();
                let cluster = match &row.cluster {
                    Some(cluster) => Cluster::shared(cluster.clone()),
                    // The draws of an item are not independent of each other.
                    None if draws > 1 => Cluster::shared(format!("item {place}")),
                    None => Cluster::Itself,
                };
                items.push(Item {
                    task: self.task.to_owned(),
                    subtask,
                    group: self.task.to_owned(),
                    report_labels: vec![],
                    index,
                    candidates: candidates.expect("`read` has checked the options"),
                    truth: Truth::Among(vec![row.right]),
                    cluster,
                });
            }
        }
        items
    }

    /// The demonstrations before an item: other rows with another prefix, each with its right option. They are a function
    /// of the place of the item and of the number of the draw.
    fn demonstrations(&self, place: usize, draw: u32) -> String {
        let Some(shots) = &self.format.shots else { return String::new() };
        let seed = mix(mix(place as u64) ^ u64::from(draw));
        let fits = |other: usize| self.rows[other].prefix != self.rows[place].prefix;
        let mut text = String::new();
        for other in draw_distinct(seed, self.rows.len(), shots.k as usize, fits) {
            let row = &self.rows[other];
            text.push_str(row.prefix.as_deref().unwrap_or_default());
            text.push_str(&self.format.separator);
            text.push_str(&row.options[row.right as usize]);
            text.push_str(&shots.delimiter);
        }
        text
    }

    /// The options, and the index of the right one.
    fn options(&self, row: &Value) -> Result<(Vec<String>, u32), String> {
        let good = self.sentence(row, "good")?;
        let options = self.field(row, "options");
        let name = |field| self.format.name(field);
        match (good, options) {
            (Some(_), Some(_)) => {
                Err(format!("it has both '{}' and '{}'; keep one of them", name("good"), name("options")))
            }
            (Some(good), None) => {
                let bad = self.sentence(row, "bad")?;
                let bad = bad.ok_or_else(|| format!("field '{}' is missing; {}", name("bad"), present(row)))?;
                Ok((vec![good, bad], 0))
            }
            (None, Some(options)) => {
                let options = texts(options).ok_or_else(|| {
                    format!("field '{}' must be a list of texts, not {}", name("options"), shortened(options))
                })?;
                let gold = self.field(row, "gold").ok_or_else(|| {
                    format!("field '{}' is missing, which says which option is right; {}", name("gold"), present(row))
                })?;
                let right = right_option(gold, &options).map_err(|why| format!("field '{}' {why}", name("gold")))?;
                Ok((options, right))
            }
            (None, None) => Err(format!(
                "it has neither '{}' and '{}' nor '{}'; {}. `fields:` gives other names",
                name("good"),
                name("bad"),
                name("options"),
                present(row)
            )),
        }
    }

    /// The text of `good` or `bad`, which BLiMP calls `sentence_good` and `sentence_bad`.
    fn sentence(&self, row: &Value, field: &str) -> Result<Option<String>, String> {
        match self.text(row, field)? {
            None if !self.format.fields.contains_key(field) => optional_text(row, &format!("sentence_{field}")),
            found => Ok(found),
        }
    }

    fn candidate(&self, prefix: Option<&str>, option: &str) -> Result<Candidate, String> {
        let Some(prefix) = prefix else { return Ok(Candidate::whole(option)) };
        let separator = &self.format.separator;
        if separator.ends_with(char::is_whitespace) && option.starts_with(char::is_whitespace) {
            return Err(format!(
                "the option {} begins with white space, and the separator ends with it; set `separator: \"\"` if the \
                 options contain the space after the prefix",
                shortened(&Value::from(option))
            ));
        }
        Ok(Candidate::after(prefix, &format!("{separator}{option}"), Tokenization::Whole))
    }

    /// The value of a field that is there and not null.
    fn field<'v>(&self, row: &'v Value, field: &str) -> Option<&'v Value> {
        row.get(self.format.name(field)).filter(|value| !value.is_null())
    }

    fn text(&self, row: &Value, field: &str) -> Result<Option<String>, String> {
        optional_text(row, self.format.name(field))
    }

    /// A field that names something: a text, a number or a truth value; an empty text is none.
    fn label(&self, row: &Value, field: &str) -> Result<Option<String>, String> {
        match self.field(row, field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(other) => {
                Err(format!("field '{}' must be a text or a number, not {}", self.format.name(field), shortened(other)))
            }
        }
    }
}

fn check_options(options: &[String]) -> Result<(), String> {
    if options.len() < 2 {
        return Err("it has fewer than two options".to_owned());
    }
    if options.iter().any(|option| option.trim().is_empty()) {
        return Err("an option is empty".to_owned());
    }
    let mut seen = BTreeSet::new();
    match options.iter().find(|option| !seen.insert(option.as_str())) {
        Some(twice) => Err(format!("it has the option {} twice", shortened(&Value::from(twice.as_str())))),
        None => Ok(()),
    }
}

/// The index that `gold` states: an index from 0, or the text of an option.
fn right_option(gold: &Value, options: &[String]) -> Result<u32, String> {
    let index = match gold {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match options.iter().position(|option| option == text) {
            Some(index) => Some(index as u64),
            None => text.trim().parse().ok(),
        },
        _ => None,
    };
    match index.filter(|&index| index < options.len() as u64) {
        Some(index) => Ok(index as u32),
        None => Err(format!(
            "must be an index from 0 to {}, or the text of an option, not {}",
            options.len() - 1,
            shortened(gold)
        )),
    }
}

fn optional_text(row: &Value, name: &str) -> Result<Option<String>, String> {
    match row.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(format!("field '{name}' must be a text, not {}", shortened(other))),
    }
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The fields that a row has, for messages.
fn present(row: &Value) -> String {
    let names: Vec<String> = row.as_object().into_iter().flatten().map(|(name, _)| format!("'{name}'")).collect();
    format!("the row has {}", names.join(", "))
}

/// A value for messages, of at most 60 characters.
fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{Layout, PairShots};

    fn format(fields: &[(&str, &str)]) -> PairsFormat {
        let fields = fields.iter().map(|(field, name)| ((*field).to_owned(), (*name).to_owned())).collect();
        PairsFormat { layout: Layout::Json, fields, separator: PairsFormat::SEPARATOR.to_owned(), shots: None }
    }

    fn read(format: &PairsFormat, rows: &[Value]) -> Result<Vec<Item>, String> {
        let mut reader = PairsReader::new("mine", format);
        rows.iter().try_for_each(|row| reader.read(row))?;
        Ok(reader.finish())
    }

    #[test]
    fn pairs_and_options_become_candidates() {
        let rows = [
            json!({"good": "A dog barks.", "bad": "A dog bark.", "group": "agreement", "cluster": 7}),
            json!({"prefix": "Two and two is", "options": ["five", "four"], "gold": 1, "group": "sums"}),
            json!({"sentence_good": "It is.", "sentence_bad": "It are.", "group": "agreement"}),
            json!({"options": ["yes", "no"], "gold": "no", "group": null}),
        ];
        let items = read(&format(&[]), &rows).unwrap();
        let seen: Vec<_> = items.iter().map(|item| (item.subtask.as_str(), item.index, &item.truth)).collect();
        let right = |index| Truth::Among(vec![index]);
        assert_eq!(
            seen,
            [("agreement", 0, &right(0)), ("sums", 0, &right(1)), ("agreement", 1, &right(0)), ("mine", 0, &right(1))]
        );
        assert_eq!((items[1].candidates[1].context(), items[1].candidates[1].scored()), ("Two and two is", " four"));
        assert_eq!((&items[0].cluster, &items[1].cluster), (&Cluster::shared("7"), &Cluster::Itself));
    }

    #[test]
    fn demonstrations_are_other_items_with_their_right_options() {
        let shots = |k, draws| Some(PairShots { k, delimiter: " / ".to_owned(), draws });
        let rows = [
            json!({"prefix": "1 and 1 is", "good": "2", "bad": "3"}),
            json!({"prefix": "1 and 2 is", "options": ["4", "3"], "gold": 1, "group": "sums"}),
            json!({"prefix": "1 and 1 is", "good": "two", "bad": "three", "cluster": "c"}),
        ];
        let read_with = |shots| read(&PairsFormat { shots, ..format(&[]) }, &rows).unwrap();
        let items = read_with(shots(1, 2));
        let named: Vec<String> = items.iter().map(|item| format!("{} {}", item.subtask, item.index)).collect();
        let draw = |number| ["mine", "sums", "mine"].map(|group| format!("{group} draw {number}"));
        let expected =
            [1, 2].map(|number| draw(number).into_iter().zip([0, 0, 1]).map(|(name, index)| format!("{name} {index}")));
        assert_eq!(named, expected.into_iter().flatten().collect::<Vec<_>>());
        // An item with the same prefix is never drawn.
        assert_eq!(items[0].candidates[1].context(), "1 and 2 is 3 / 1 and 1 is");
        assert_eq!(
            (items[3].candidates[1].context(), items[3].candidates[1].scored()),
            ("1 and 2 is 3 / 1 and 1 is", " 3")
        );
        let two = read_with(shots(5, 1));
        let context = two[1].candidates[0].context();
        assert!(
            ["1 and 1 is 2 / 1 and 1 is two / 1 and 2 is", "1 and 1 is two / 1 and 1 is 2 / 1 and 2 is"]
                .contains(&context)
        );
        assert_eq!(items[0].cluster, items[3].cluster, "draws of one item are not independent");
        assert_ne!(items[0].cluster, items[1].cluster);
        assert_eq!((&items[2].cluster, &two[0].cluster), (&Cluster::shared("c"), &Cluster::Itself));
        let without = read(&PairsFormat { shots: shots(1, 1), ..format(&[]) }, &[json!({"good": "a", "bad": "b"})]);
        insta::assert_snapshot!(without.unwrap_err(), @"it has no 'prefix', which the demonstrations of `shots` need; the row has 'bad', 'good'");
    }

    #[test]
    fn fields_can_have_other_names() {
        let format = format(&[("good", "richtig"), ("bad", "falsch"), ("group", "Thema")]);
        let items = read(&format, &[json!({"richtig": "a", "falsch": "b", "Thema": 3})]).unwrap();
        assert_eq!((items[0].candidates[0].text.as_str(), items[0].subtask.as_str()), ("a", "3"));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        let why = |row: Value| read(&format(&[]), &[row]).unwrap_err();
        insta::assert_snapshot!(
            [
                why(json!({"a": 1})),
                why(json!({"good": "a"})),
                why(json!({"good": "a", "bad": "a"})),
                why(json!({"good": "a", "bad": " "})),
                why(json!({"good": "a", "bad": "b", "options": ["a"]})),
                why(json!({"options": "a", "gold": 0})),
                why(json!({"options": ["a", "b"]})),
                why(json!({"options": ["a", "b"], "gold": 2})),
                why(json!({"options": ["a", "b"], "gold": -1})),
                why(json!({"options": ["a", "b"], "gold": "c"})),
                why(json!({"options": ["a"], "gold": 0})),
                why(json!({"options": [" a", "b"], "gold": 0, "prefix": "x"})),
                why(json!({"good": ["a"], "bad": "b"})),
                why(json!({"good": "a", "bad": "b", "group": ["c"]})),
            ]
            .join("\n"),
            @r#"
            it has neither 'good' and 'bad' nor 'options'; the row has 'a'. `fields:` gives other names
            field 'bad' is missing; the row has 'good'
            it has the option "a" twice
            an option is empty
            it has both 'good' and 'options'; keep one of them
            field 'options' must be a list of texts, not "a"
            field 'gold' is missing, which says which option is right; the row has 'options'
            field 'gold' must be an index from 0 to 1, or the text of an option, not 2
            field 'gold' must be an index from 0 to 1, or the text of an option, not -1
            field 'gold' must be an index from 0 to 1, or the text of an option, not "c"
            it has fewer than two options
            the option " a" begins with white space, and the separator ends with it; set `separator: ""` if the options contain the space after the prefix
            field 'good' must be a text, not ["a"]
            field 'group' must be a text or a number, not ["c"]
            "#
        );
    }
}
