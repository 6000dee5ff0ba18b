//! The sections `reference:` and `tables:`.

use crate::domain::{NamedTable, Quantity, Reference, Suite, TableView};

use super::fields::{Fault, Fields, Scalar, scalar};
use super::problem::Log;
use super::scalars::{choice, line, reference as named};
use super::tree::{Key, Node, Value};

/// The names of the tables that every experiment has.
const BUILT_IN: [&str; 2] = ["scores", "leaderboard"];

/// Decodes one entry of `reference:`, published numbers that tables show beside the measured ones.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `source:` | where the numbers are published | required |
/// | `scores:` | `{blimp: 74.9, rte: 59.0, glue: 70.9}`, in percent; correlations times 100 | required |
pub(super) fn reference(key: &Key, node: &Node, own: &[Quantity], log: &Log) -> Option<Reference> {
    let mut fields = Fields::of(node, &format!("reference '{}'", key.text), log)?;
    let source = fields.required("source", "where the numbers are published, such as `source: arXiv 2510.25364`", line);
    let scores = fields.required_node("scores", "such as `scores: {blimp: 74.9}`");
    fields.finish();
    let Some(Node { value: Value::Map(entries), .. }) = scores else {
        if let Some(node) = scores {
            Fault::expected("a mapping of columns to numbers")
                .or_hint("such as {blimp: 74.9}")
                .report("'scores'", node, log);
        }
        return None;
    };
    let scores = entries.iter().map(|(name, value)| {
        let known = Node { mark: name.mark, value: Value::Text(name.text.clone()) };
        let quantity = scalar("a key of 'scores'", &known, log, |value| quantity(value, own));
        quantity.zip(scalar(&format!("'{}'", name.text), value, log, percent))
    });
    let scores: Vec<Option<(Quantity, f64)>> = scores.collect();
    Some(Reference { name: key.text.clone(), source: source?, scores: scores.into_iter().collect::<Option<_>>()? })
}

/// Decodes one entry of `tables:`, for `grid report --table NAME`.
///
/// | key | meaning | default |
/// |---|---|---|
/// | `columns:` | tasks and aggregates: `[boolq, mnli, glue]` | required |
/// | `reference:` | names of the published rows to show | all that have one of its columns |
/// | `show:` | `scores`; `z_scores` over the models; `boxes`: median, quartiles, whiskers and outliers of each model's z-scores | `scores` |
pub(super) fn table(key: &Key, node: &Node, references: &[String], own: &[Quantity], log: &Log) -> Option<NamedTable> {
    if BUILT_IN.contains(&key.text.as_str()) {
        let hint = format!("choose another name; every experiment has the tables {}", BUILT_IN.join(" and "));
        log.add(key.mark, format!("the name of table '{}' is reserved", key.text), Some(hint));
    }
    let mut fields = Fields::of(node, &format!("table '{}'", key.text), log)?;
    fields.required_node("columns", "such as `columns: [blimp, ewok]`");
    let columns = fields.list("columns", |value| quantity(value, own));
    let shows = [("scores", TableView::Scores), ("z_scores", TableView::ZScores), ("boxes", TableView::Boxes)];
    let show = fields.get("show", TableView::Scores, choice(shows));
    let place = fields.take("reference").map(|node| node.mark);
    let references = fields.list("reference", named("reference", references)).unwrap_or_else(|| references.to_vec());
    fields.finish();
    if let (Some(place), TableView::ZScores | TableView::Boxes) = (place, show) {
        let hint = "remove the key: statistics do not include published numbers";
        log.add(place, "'reference' has no meaning for z-scores", Some(hint.into()));
    }
    let cost = columns.iter().flatten().find(
        |column| matches!(column, Quantity::Own(own) if matches!(own.suite, Suite::Perplexity | Suite::InContext)),
    );
    if let (Some(column), TableView::ZScores | TableView::Boxes) = (cost, show) {
        let hint = "remove the column: in the others, higher values are better";
        log.add(
            node.mark,
            format!("'{column}' has no place among z-scores, because lower values are better"),
            Some(hint.into()),
        );
    }
    Some(NamedTable { name: key.text.clone(), columns: columns?, show, references })
}

/// A column: one of the official evaluation, or a test set of the user's own.
fn quantity(value: &Value, own: &[Quantity]) -> Scalar<Quantity> {
    let known = Quantity::all().chain(own.iter().copied());
    choice(known.map(|quantity| (quantity.name(), quantity)))(value)
}

/// A score in the unit of tables.
fn percent(value: &Value) -> Scalar<f64> {
    let number = match value {
        Value::Whole(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        _ => None,
    };
    let fitting = number.filter(|number| (-100.0..=100.0).contains(number));
    fitting.ok_or_else(|| {
        Fault::expected("a number from -100 to 100").or_hint("write scores in percent, and correlations times 100")
    })
}
