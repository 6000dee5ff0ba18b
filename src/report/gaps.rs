//! Listing what models lack, with equal reasons grouped.

use super::measure::push_new;
use crate::domain::{Gap, ModelGaps};

/// The maximum number of different reasons that are shown for one subject.
const MAX_REASONS: usize = 4;

/// Formats what each model lacks.
///
/// Models that lack the same are grouped, and so are subjects with the same reason. If a subject has many reasons, the
/// first ones are shown with the number of the others.
pub fn format_gaps(models: &[ModelGaps]) -> String {
    let mut groups: Vec<Group> = vec![];
    for gap in distinct(models.iter().flat_map(|model| &model.gaps)) {
        let lacking = models.iter().filter(|model| model.gaps.contains(gap));
        let names: Vec<&str> = lacking.map(|model| model.model.as_str()).collect();
        match groups.iter_mut().find(|group| group.models == names) {
            Some(group) => group.gaps.push(gap),
            None => groups.push(Group { models: names, gaps: vec![gap] }),
        }
    }
    let names = |group: &Group| match group.models.len() {
        all if all == models.len() && all > 1 => format!("all {all} models"),
        _ => group.models.join(", "),
    };
    groups.iter().map(|group| format!("  {}:\n{}", names(group), lines(&group.gaps))).collect()
}

/// Models with the same gaps.
struct Group<'a> {
    models: Vec<&'a str>,
    gaps: Vec<&'a Gap>,
}

/// A reason with all subjects that it applies to.
struct Line<'a> {
    subjects: String,
    reason: &'a str,
}

fn lines(gaps: &[&Gap]) -> String {
    let line = |reason: &'_ str| {
        let subjects = gaps.iter().filter(|gap| gap.reason == reason).map(|gap| gap.subject.as_str());
        distinct(subjects).join(", ")
    };
    let reasons = distinct(gaps.iter().map(|gap| gap.reason.as_str()));
    let lines: Vec<Line> = reasons.into_iter().map(|reason| Line { subjects: line(reason), reason }).collect();
    let mut text = String::new();
    for subjects in distinct(lines.iter().map(|line| line.subjects.as_str())) {
        let own: Vec<&str> = lines.iter().filter(|line| line.subjects == subjects).map(|line| line.reason).collect();
        for reason in own.iter().take(MAX_REASONS) {
            text.push_str(&format!("    {subjects}: {reason}\n"));
        }
        if own.len() > MAX_REASONS {
            text.push_str(&format!("    {subjects}: and {} more like these\n", own.len() - MAX_REASONS));
        }
    }
    text
}

/// The different values in the order of their first occurrence.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = vec![];
    all.for_each(|one| push_new(&mut distinct, one));
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_reasons_of_many_models_and_suites_are_grouped() {
        let both = || {
            let not_evaluated = ["blimp", "ewok", "blimp"].map(|suite| Gap::new(suite, "not evaluated"));
            not_evaluated.into_iter().chain([Gap::new("glue", "not fine-tuned for rte")])
        };
        let subtasks = (0..7).map(|n| Gap::new("blimp", format!("subtask{n} has 0 predictions")));
        let model = |name: &str, gaps: Vec<Gap>| ModelGaps { model: name.to_owned(), gaps };
        let models = [model("a", both().collect()), model("b", both().chain(subtasks).collect())];
        insta::assert_snapshot!(format_gaps(&models), @r"
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
        assert_eq!(format_gaps(&models[..1]).lines().next(), Some("  a:"));
    }
}
