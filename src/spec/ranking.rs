//! The key `pairs:` of a dataset with several replies to a prompt.

use crate::domain::{Constraint, Expression, Ranking, RowFormat, ScoreGap};

use super::fields::{Fault, Fields, Scalar, items, scalar};
use super::scalars::{Within, choice, real, small, text};
use super::tree::{Node, Value};

/// The key `pairs:`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `gap:` | the rejected reply, out of those with a lower score: the lowest (`high`), the next lower one (`low`), any (`mixed`), or the one with the longest common beginning (`shared_prefix`) | `high` |
/// | `difficulty:` | the least and the greatest mean score of the replies to a prompt | any |
/// | `constraints:` | what the score of a reply is the satisfied share of: `{words: [5, 20]}`, `{lines: [1, 1]}`, `{contains: TEXT}`, `{lacks: TEXT}`, `{starts_with: TEXT}`, `{ends_with: TEXT}`, `{matches: REGEX}`, `json` | the field `scores` |
pub(super) fn ranking(fields: &mut Fields, row: RowFormat) -> Option<Ranking> {
    if row != RowFormat::Replies {
        fields
            .forbid("pairs", &format!("has no meaning for the format {row}; several replies have the format replies"));
        return None;
    }
    let mut own = Fields::of(fields.take("pairs")?, "'pairs'", fields.log)?;
    let gaps = [
        ("high", ScoreGap::High),
        ("low", ScoreGap::Low),
        ("mixed", ScoreGap::Mixed),
        ("shared_prefix", ScoreGap::SharedPrefix),
    ];
    let gap = own.get("gap", ScoreGap::High, choice(gaps));
    let difficulty = own.take("difficulty").and_then(|node| {
        let (least, most) = limits("'difficulty'", node, &own, real(Within::Anything))?;
        Some([least, most])
    });
    let constraints = own.take("constraints").and_then(|node| items("constraints", node, own.log)).unwrap_or_default();
    let constraints = constraints.iter().filter_map(|node| constraint(node, &own)).collect();
    own.finish();
    Some(Ranking { gap, difficulty, constraints })
}

/// A list of two numbers, the first of which is not greater than the second.
fn limits<T: PartialOrd + Copy>(
    subject: &str,
    node: &Node,
    fields: &Fields,
    number: impl Fn(&Value) -> Scalar<T>,
) -> Option<(T, T)> {
    if let Value::List(list) = &node.value
        && let [least, most] = &list[..]
    {
        let both = scalar(subject, least, fields.log, &number).zip(scalar(subject, most, fields.log, &number));
        return both.filter(|(least, most)| {
            if least > most {
                fields.log.add(node.mark, format!("{subject}: the first number is greater than the second"), None);
            }
            least <= most
        });
    }
    let fault = Fault::expected("two numbers").or_hint("the least and the greatest, such as [5, 20]");
    fault.report(subject, node, fields.log);
    None
}

fn expression(value: &Value) -> Scalar<Expression> {
    let hint = "the syntax is that of https://docs.rs/regex, without look-around; in quotes, such as '^(Yes|No)\\b'";
    Expression::try_from(text(value)?)
        .map_err(|wrong| Fault::plain(format!("'matches' is not a regular expression: {wrong}"), hint))
}

fn constraint(node: &Node, fields: &Fields) -> Option<Constraint> {
    let Value::Map(_) = node.value else {
        return scalar("a constraint", node, fields.log, choice([("json", Constraint::Json)]));
    };
    let mut own = Fields::of(node, "a constraint", fields.log)?;
    let mut found = vec![];
    let mut range =
        |key| own.take(key).and_then(|node| limits(&format!("'{key}'"), node, fields, small(0..=1_000_000)));
    found.extend(range("words").map(|(least, most)| Constraint::Words([least, most])));
    found.extend(range("lines").map(|(least, most)| Constraint::Lines([least, most])));
    let mut word = |key| own.get(key, None, |value| text(value).map(Some));
    found.extend(word("contains").map(Constraint::Contains));
    found.extend(word("lacks").map(Constraint::Lacks));
    found.extend(word("starts_with").map(Constraint::StartsWith));
    found.extend(word("ends_with").map(Constraint::EndsWith));
    found.extend(own.get("matches", None, |value| expression(value).map(Some)).map(Constraint::Matches));
    own.finish();
    if found.len() > 1 {
        let hint = "write each constraint as an item of its own".to_owned();
        fields.log.add(node.mark, "a constraint has several keys", Some(hint));
    }
    found.into_iter().next()
}
