//! Listing what models lack, with equal reasons grouped.

use super::measure::push_new;

/// The maximum number of different reasons that are shown for one thing.
const MAX_REASONS: usize = 4;

/// Formats what each model lacks, given as `thing: reason`.
///
/// Models that lack the same are grouped, and so are things with the same reason. If a thing has many reasons, the first
/// ones are shown with the number of the others.
pub fn format_missing(models: &[(String, Vec<String>)]) -> String {
    let mut groups: Vec<Group> = vec![];
    for text in distinct(models.iter().flat_map(|(_, missing)| missing).map(String::as_str)) {
        let lacks = |(_, missing): &&(String, Vec<String>)| missing.iter().any(|other| other == text);
        let models: Vec<&str> = models.iter().filter(lacks).map(|(name, _)| name.as_str()).collect();
        let (thing, reason) = text.split_once(": ").unwrap_or(("", text));
        let missing = Missing { thing, reason };
        match groups.iter_mut().find(|group| group.models == models) {
            Some(group) => group.missing.push(missing),
            None => groups.push(Group { models, missing: vec![missing] }),
        }
    }
    let names = |group: &Group| match group.models.len() {
        all if all == models.len() && all > 1 => format!("all {all} models"),
        _ => group.models.join(", "),
    };
    groups.iter().map(|group| format!("  {}:\n{}", names(group), lines(&group.missing))).collect()
}

/// Models that lack the same.
struct Group<'a> {
    models: Vec<&'a str>,
    missing: Vec<Missing<'a>>,
}

/// Something that is missing, and why.
struct Missing<'a> {
    thing: &'a str,
    reason: &'a str,
}

/// A line for each reason, with the things that it applies to.
fn lines(missing: &[Missing]) -> String {
    let reasons = distinct(missing.iter().map(|one| one.reason));
    let things = |reason: &str| {
        distinct(missing.iter().filter(|one| one.reason == reason).map(|one| one.thing)).join(", ")
    };
    let lines: Vec<(String, &str)> = reasons.into_iter().map(|reason| (things(reason), reason)).collect();
    let mut text = String::new();
    for thing in distinct(lines.iter().map(|(thing, _)| thing.as_str())) {
        let own: Vec<&str> = lines.iter().filter(|(other, _)| other == thing).map(|(_, reason)| *reason).collect();
        for reason in own.iter().take(MAX_REASONS) {
            text.push_str(&format!("    {thing}: {reason}\n"));
        }
        if own.len() > MAX_REASONS {
            text.push_str(&format!("    {thing}: and {} more like these\n", own.len() - MAX_REASONS));
        }
    }
    text
}

/// The different texts in the order of their first occurrence.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = vec![];
    all.for_each(|one| push_new(&mut distinct, one));
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_of_many_models_and_suites_are_grouped() {
        let both =
            ["blimp: not evaluated", "ewok: not evaluated", "glue: not fine-tuned for rte", "blimp: not evaluated"];
        let subtasks = (0..7).map(|n| format!("blimp: subtask{n} has 0 predictions"));
        let both = || both.map(str::to_owned).into_iter();
        let models = [("a".to_owned(), both().collect()), ("b".to_owned(), both().chain(subtasks).collect())];
        insta::assert_snapshot!(format_missing(&models), @r"
          all 2 models:
            blimp, ewok: not evaluated
            glue: not fine-tuned for rte
          b:
            blimp: subtask0 has 0 predictions
            blimp: subtask1 has 0 predictions
            blimp: subtask2 has 0 predictions
            blimp: subtask3 has 0 predictions
            blimp: and 3 more like these
        ");
        assert_eq!(format_missing(&models[..1]).lines().next(), Some("  a:"));
    }
}
