//! What many models lack, equal reasons said once.

use super::measure::push_new;

/// Different reasons of one thing that are shown, at most.
const MOST_REASONS: usize = 4;

/// What each model lacks, as `thing: reason`, for people.
///
/// Models that lack the same stand together, and so do things of one reason. Of many reasons of one thing the first
/// are shown, and how many more there are.
pub fn lacks(models: &[(String, Vec<String>)]) -> String {
    let mut groups: Vec<(Vec<&str>, Vec<&str>)> = vec![];
    for lack in distinct(models.iter().flat_map(|(_, lacking)| lacking).map(String::as_str)) {
        let lacks = |(_, lacking): &&(String, Vec<String>)| lacking.iter().any(|other| other == lack);
        let by: Vec<&str> = models.iter().filter(lacks).map(|(name, _)| name.as_str()).collect();
        match groups.iter_mut().find(|(known, _)| *known == by) {
            Some((_, lacking)) => lacking.push(lack),
            None => groups.push((by, vec![lack])),
        }
    }
    let names = |by: &[&str]| match by.len() {
        all if all == models.len() && all > 1 => format!("all {all} models"),
        _ => by.join(", "),
    };
    groups.iter().map(|(by, lacking)| format!("  {}:\n{}", names(by), lines(lacking))).collect()
}

/// A line for each reason with the things that it is true of.
fn lines(lacking: &[&str]) -> String {
    let parts = || lacking.iter().map(|lack| lack.split_once(": ").unwrap_or(("", lack)));
    let mut text = String::new();
    let reasons = distinct(parts().map(|(_, reason)| reason));
    let things =
        |reason: &str| distinct(parts().filter(|(_, other)| *other == reason).map(|(thing, _)| thing)).join(", ");
    let groups: Vec<(String, &str)> = reasons.into_iter().map(|reason| (things(reason), reason)).collect();
    for thing in distinct(groups.iter().map(|(thing, _)| thing.as_str())) {
        let own: Vec<&str> = groups.iter().filter(|(other, _)| other == thing).map(|(_, reason)| *reason).collect();
        for reason in own.iter().take(MOST_REASONS) {
            text.push_str(&format!("    {thing}: {reason}\n"));
        }
        if own.len() > MOST_REASONS {
            text.push_str(&format!("    {thing}: and {} more like these\n", own.len() - MOST_REASONS));
        }
    }
    text
}

/// Each of these once, in their order.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut distinct = vec![];
    all.for_each(|one| push_new(&mut distinct, one));
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_of_many_models_and_suites_are_said_once() {
        let both =
            ["blimp: not evaluated", "ewok: not evaluated", "glue: not fine-tuned for rte", "blimp: not evaluated"];
        let subtasks = (0..7).map(|n| format!("blimp: subtask{n} has 0 predictions"));
        let both = || both.map(str::to_owned).into_iter();
        let models = [("a".to_owned(), both().collect()), ("b".to_owned(), both().chain(subtasks).collect())];
        insta::assert_snapshot!(lacks(&models), @r"
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
        assert_eq!(lacks(&models[..1]).lines().next(), Some("  a:"));
    }
}
