//! Pairs of replies out of several replies to a prompt, by their scores.

use regex::Regex;
use serde::{Deserialize, Serialize};

/// How a chosen and a rejected reply are picked out of several replies to a prompt (arXiv 2412.15282 compares the choices).
/// The chosen reply is the one with the highest score, the first of equals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The rejected reply, out of those with a lower score.
    #[serde(default, skip_serializing_if = "Gap::is_high")]
    pub gap: Gap,
    /// The least and the greatest mean score of the replies to a prompt; other prompts are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficulty: Option<[f64; 2]>,
    /// What the score of a reply is the satisfied share of; empty if the rows have scores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
}

/// Which of the replies with a lower score is rejected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// The one with the lowest score, the first of equals.
    #[default]
    High,
    /// The one whose score comes next to that of the chosen reply, the first of equals.
    Low,
    /// Any, drawn as a function of the prompt.
    Mixed,
    /// The one that has the longest beginning in common with the chosen reply, the first of equals.
    SharedPrefix,
}

impl Gap {
    /// Whether this is the default.
    pub fn is_high(&self) -> bool {
        *self == Gap::High
    }
}

/// A property of a reply that can be checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// The number of whitespace-separated words is at least the first number and at most the second.
    Words([u32; 2]),
    /// The number of lines that are not blank, likewise.
    Lines([u32; 2]),
    /// The text occurs in it, in upper or lower case.
    Contains(String),
    /// The text does not occur in it, in upper or lower case.
    Lacks(String),
    /// It begins with the text.
    StartsWith(String),
    /// It ends with the text.
    EndsWith(String),
    /// The expression matches some part of it.
    Matches(Expression),
    /// It is JSON.
    Json,
}

/// A regular expression in the syntax of the crate [`regex`], which is that of Perl without look-around and backreferences.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression(Regex);

impl TryFrom<String> for Expression {
    type Error = String;

    /// Compiles an expression.
    ///
    /// # Errors
    /// On one line, what is wrong with it: a syntax error, or more than 10 MB when compiled.
    fn try_from(text: String) -> Result<Self, String> {
        Regex::new(&text).map(Self).map_err(|error| match error {
            // The message shows the expression and points to the error; its last line says what is wrong.
            regex::Error::Syntax(message) => {
                let last = message.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_owned()
            }
            error => error.to_string(),
        })
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.0.as_str().to_owned()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Constraint {
    /// Whether a reply satisfies it. White space around the reply is ignored.
    pub fn is_satisfied(&self, reply: &str) -> bool {
        let reply = reply.trim();
        let within = |count: usize, [least, most]: [u32; 2]| (least as usize..=most as usize).contains(&count);
        let contains = |text: &str| reply.to_lowercase().contains(&text.to_lowercase());
        match self {
            Constraint::Words(limits) => within(reply.split_whitespace().count(), *limits),
            Constraint::Lines(limits) => within(reply.lines().filter(|line| !line.trim().is_empty()).count(), *limits),
            Constraint::Contains(text) => contains(text),
            Constraint::Lacks(text) => !contains(text),
            Constraint::StartsWith(text) => reply.starts_with(text.as_str()),
            Constraint::EndsWith(text) => reply.ends_with(text.as_str()),
            Constraint::Matches(Expression(expression)) => expression.is_match(reply),
            Constraint::Json => serde_json::from_str::<serde::de::IgnoredAny>(reply).is_ok(),
        }
    }
}

impl Ranking {
    /// The score of a reply: the share of the constraints that it satisfies. `None` without constraints.
    pub fn score(&self, reply: &str) -> Option<f64> {
        let satisfied = self.constraints.iter().filter(|constraint| constraint.is_satisfied(reply)).count();
        (!self.constraints.is_empty()).then(|| satisfied as f64 / self.constraints.len() as f64)
    }

    /// The places of the chosen and of the rejected reply; `None` if the prompt is left out: its difficulty is not wanted, or
    /// all replies have the same score. `seed` stands for the prompt.
    pub fn pick(&self, replies: &[String], scores: &[f64], seed: u64) -> Option<(usize, usize)> {
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        if self.difficulty.is_some_and(|[least, most]| !(least..=most).contains(&mean)) {
            return None;
        }
        // The first of equals, although `max_by` returns the last one.
        let best = (0..replies.len()).rev().max_by(|one, other| scores[*one].total_cmp(&scores[*other]))?;
        let lower: Vec<usize> = (0..replies.len()).filter(|place| scores[*place] < scores[best]).collect();
        let shared = |place: &usize| {
            let both = replies[best].chars().zip(replies[*place].chars());
            both.take_while(|(one, other)| one == other).count()
        };
        let rejected = match self.gap {
            Gap::High => lower.iter().copied().min_by(|one, other| scores[*one].total_cmp(&scores[*other])),
            Gap::Low => lower.iter().rev().copied().max_by(|one, other| scores[*one].total_cmp(&scores[*other])),
            Gap::Mixed if lower.is_empty() => None,
            Gap::Mixed => Some(lower[(seed % lower.len() as u64) as usize]),
            Gap::SharedPrefix => lower.iter().rev().copied().max_by_key(shared),
        };
        rejected.map(|rejected| (best, rejected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_picked_by_the_gap_between_scores() {
        let replies = ["It is a dog.", "A cat.", "It is a cat.", "It was a cat.", "It is a cow."].map(str::to_owned);
        let scores = [0.2, 0.9, 0.6, 0.9, 0.6];
        let pick = |gap| Ranking { gap, ..Ranking::default() }.pick(&replies, &scores, 7);
        assert_eq!(pick(Gap::High), Some((1, 0)));
        assert_eq!(pick(Gap::Low), Some((1, 2)), "the first of equals");
        assert_eq!(pick(Gap::SharedPrefix), Some((1, 0)), "nothing is shared, so the first");
        let turned = [0.2, 0.5, 0.9, 0.9, 0.6];
        let shared = Ranking { gap: Gap::SharedPrefix, ..Ranking::default() };
        assert_eq!(shared.pick(&replies, &turned, 7), Some((2, 4)), "It is a c");
        let mixed = Ranking { gap: Gap::Mixed, ..Ranking::default() };
        let drawn: Vec<_> = (0..3).filter_map(|seed| mixed.pick(&replies, &scores, seed)).collect();
        assert_eq!(drawn, [(1, 0), (1, 2), (1, 4)]);
        for gap in [Gap::High, Gap::Low, Gap::Mixed, Gap::SharedPrefix] {
            let ranking = Ranking { gap, ..Ranking::default() };
            assert_eq!(ranking.pick(&replies, &[1.0; 5], 3), None, "no reply is better");
            assert_eq!(ranking.pick(&[], &[], 3), None);
        }
        let difficulty = |limits| Ranking { difficulty: Some(limits), ..Ranking::default() };
        assert_eq!(difficulty([0.5, 0.7]).pick(&replies, &scores, 7), Some((1, 0)), "the mean is 0.64");
        assert_eq!(difficulty([0.7, 1.0]).pick(&replies, &scores, 7), None);
    }

    fn expression(text: &str) -> Expression {
        Expression::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn an_expression_is_stored_as_its_text() {
        let constraint = Constraint::Matches(expression(r"^\d+$"));
        let text = serde_json::to_string(&constraint).unwrap();
        assert_eq!(text, r#"{"matches":"^\\d+$"}"#);
        assert_eq!(serde_json::from_str::<Constraint>(&text).unwrap(), constraint);
        assert!(serde_json::from_str::<Constraint>(r#"{"matches": "("}"#).is_err());
        let problem = |text: &str| Expression::try_from(text.to_owned()).unwrap_err();
        assert_eq!(problem("a("), "unclosed group");
        assert_eq!(problem(r"(a)\1"), "backreferences are not supported");
        assert!(problem(r"\w{2000000000}").lines().count() == 1, "{}", problem(r"\w{2000000000}"));
    }

    #[test]
    fn constraints_are_checked() {
        let reply = " Yes, because it rains.\n\nSo stay in. ";
        for (constraint, satisfied) in [
            (Constraint::Words([7, 7]), true),
            (Constraint::Words([8, 20]), false),
            (Constraint::Lines([2, 2]), true),
            (Constraint::Lines([3, 9]), false),
            (Constraint::Contains("BECAUSE".to_owned()), true),
            (Constraint::Contains("snow".to_owned()), false),
            (Constraint::Lacks("snow".to_owned()), true),
            (Constraint::StartsWith("Yes".to_owned()), true),
            (Constraint::StartsWith("yes".to_owned()), false),
            (Constraint::EndsWith("in.".to_owned()), true),
            (Constraint::Matches(expression(r"^Yes,.*\brains\.$")), false),
            (Constraint::Matches(expression(r"(?m)^Yes,.*\brains\.$")), true),
            (Constraint::Matches(expression(r"^Yes(?s:.*)in\.$")), true),
            (Constraint::Matches(expression(r"stay|go")), true),
            (Constraint::Matches(expression(r"YES")), false),
            (Constraint::Matches(expression(r"(?i)YES")), true),
            (Constraint::Json, false),
        ] {
            assert_eq!(constraint.is_satisfied(reply), satisfied, "{constraint:?}");
        }
        assert!(Constraint::Json.is_satisfied(r#"{"a": [1, 2]}"#) && !Constraint::Json.is_satisfied("{a: 1}"));
        let ranking = Ranking {
            constraints: vec![Constraint::Words([1, 3]), Constraint::Lacks("no".to_owned())],
            ..Ranking::default()
        };
        assert_eq!(
            ["Yes.", "No.", "No, that is not so."].map(|reply| ranking.score(reply)),
            [Some(1.0), Some(0.5), Some(0.0)]
        );
        assert_eq!(Ranking::default().score("Yes."), None);
    }
}
