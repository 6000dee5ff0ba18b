//! The key `select:` of `build:`: the pieces of a corpus that a dataset lacks.

use crate::domain::{Bandwidth, DensityLimit, PieceLimit, PieceSelection, PieceUnit};

use super::fields::{Fault, Fields, Scalar};
use super::names::Names;
use super::problem::Log;
use super::scalars::{Within, choice, real, reference, small};
use super::tree::{Node, Value};

/// The names in `select:`, and which pieces are selected.
pub(super) struct Select {
    /// The name of the model that embeds texts.
    pub embed: String,
    /// The name of the corpus.
    pub from: String,
    /// The name of the dataset.
    pub against: String,
    pub selection: PieceSelection,
}

impl Select {
    /// Decodes `select:`.
    ///
    /// | key | meaning | default |
    /// |---|---|---|
    /// | `embed:` | the model of the spec, before any tuning, that embeds texts | required |
    /// | `from:` | the corpus whose pieces are selected | required |
    /// | `against:` | the dataset that lacks them | required |
    /// | `below:` | the density below which a piece is selected: a quantile of the densities at the records, such as `5%`, or the density itself | `5%` |
    /// | `n:` | the most pieces, which are drawn by the seed of the cell: a number, or a share of all pieces, such as `10%` | all |
    /// | `pieces:` | `document`, or `paragraph` for the lines of documents | `document` |
    /// | `min_words:`, `max_words:` | shorter pieces are left out, longer ones cut | 1, 2000 |
    /// | `density:` | the estimate: `kde`, with Gaussian kernels | `kde` |
    /// | `dims:` | principal components that the embeddings are projected onto | 2 |
    /// | `bandwidth:` | `scott`, or the standard deviation of a kernel | `scott` |
    pub(super) fn decode(node: &Node, names: &Names, log: &Log) -> Option<Select> {
        let mut own = Fields::of(node, "'select'", log)?;
        let embed = own.required("embed", "a model of the spec", reference("model", &names.models));
        let from = own.required("from", "the corpus", reference("corpus", &names.corpora));
        let against = own.required("against", "the dataset that lacks the pieces", |value| names.given_dataset(value));
        let below = own.get("below", DensityLimit::Quantile(0.05), density_limit);
        let most = own.get("n", None, |value| piece_limit(value).map(Some));
        let units = [("document", PieceUnit::Document), ("paragraph", PieceUnit::Paragraph)];
        let unit = own.get("pieces", PieceUnit::Document, choice(units));
        let min_words = own.get("min_words", 1, small(0..=1_000_000));
        let max_words = own.get("max_words", 2_000, small(1..=1_000_000));
        if let Some(place) = own.take("min_words").filter(|_| min_words > max_words) {
            log.add(place.mark, "'min_words' is greater than 'max_words'", None);
        }
        own.get("density", (), choice([("kde", ())]));
        let dims = own.get("dims", 2, small(1..=64));
        let bandwidth = own.get("bandwidth", Bandwidth::Scott, bandwidth);
        own.finish();
        let selection = PieceSelection { unit, min_words, max_words, dims, bandwidth, below, most };
        Some(Select { embed: embed?, from: from?, against: against?, selection })
    }
}

/// A share such as `5%`, as a fraction; `None` for a value of another form.
fn percentage(value: &Value) -> Option<f64> {
    let Value::Text(text) = value else { return None };
    let number: f64 = text.strip_suffix('%')?.trim_end().parse().ok()?;
    (number > 0.0 && number < 100.0).then_some(number / 100.0)
}

fn density_limit(value: &Value) -> Scalar<DensityLimit> {
    let fault =
        || Fault::expected("a density above 0, or a quantile between 0% and 100%").or_hint("such as 5% or 0.002");
    match (percentage(value), value) {
        (Some(share), _) => Ok(DensityLimit::Quantile(share)),
        (None, value) => real(Within::Positive)(value).map(DensityLimit::Density).map_err(|_| fault()),
    }
}

fn piece_limit(value: &Value) -> Scalar<PieceLimit> {
    let fault = || Fault::expected("a number of pieces, or a share between 0% and 100%").or_hint("such as 500 or 10%");
    match (percentage(value), value) {
        (Some(share), _) => Ok(PieceLimit::Share(share)),
        (None, value) => small(1..=100_000_000)(value).map(PieceLimit::Count).map_err(|_| fault()),
    }
}

fn bandwidth(value: &Value) -> Scalar<Bandwidth> {
    match value {
        Value::Text(word) if word == "scott" => Ok(Bandwidth::Scott),
        value => real(Within::Positive)(value)
            .map(Bandwidth::Width)
            .map_err(|_| Fault::expected("scott, or a number above 0").or_hint("such as 0.5")),
    }
}
