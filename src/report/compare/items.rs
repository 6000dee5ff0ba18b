//! Two trained models compared item by item. This is about these models, not about the recipes that produced them.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::super::measure::Measure;
use super::super::statistics::clusters::{ItemDifference, ItemEstimate, compare_items};
use super::super::table::{Cell, Scale, Table};
use super::axis::Axis;
use super::labels;
use super::pair::{Pair, SeedPair, value};
use crate::domain::{ItemOutcome, ScoreRow, Suite};

/// The items by job.
type Items = BTreeMap<String, Vec<ItemOutcome>>;

/// A row of the table: two models of one seed on one task.
struct ItemsRow {
    cells: Vec<Cell>,
    /// Whether there are items that add up to the score.
    has_items: bool,
}

/// The table of `--items`: one row for each pair of conditions, task and seed, never combined over seeds.
///
/// The difference is that of the scores. The interval is from a bootstrap over clusters of items and p from sign flips of
/// clusters, both of the same statistic. Fine-tunings of one model are averaged item by item.
pub(super) fn table((axis, pairs): (Axis, &[Pair]), items: &Items, values: (&str, &str), title: &str) -> Table {
    let measures: Vec<Measure> = pairs.iter().map(|pair| pair.measure.clone()).collect();
    let columns = labels::columns(axis, pairs);
    let lines: Vec<(&Pair, &SeedPair)> =
        pairs.iter().flat_map(|pair| pair.seeds.iter().map(move |s| (pair, s))).collect();
    let lines: Vec<ItemsRow> = (lines.par_iter())
        .map(|(pair, seed)| {
            let (first, second) = seed.values();
            let found = estimate(pair, seed, items);
            let mut cells: Vec<Cell> = columns.iter().map(|column| Cell::Label(column.label(pair).text())).collect();
            cells.push(Cell::Label(pair.measure.head(&measures)));
            cells.push(Cell::Label(format!("seed {}", seed.seed)));
            let digits = Scale::of_metric(&pair.measure.metric).decimals();
            cells.extend([
                Cell::Number(first, digits),
                Cell::Number(second, digits),
                Cell::Difference(second - first, digits),
            ]);
            let interval = found.and_then(|(estimate, _)| estimate.interval);
            cells.push(interval.map_or(Cell::Missing, |(low, high)| Cell::Interval(low, high, digits)));
            cells.push(found.and_then(|(estimate, _)| estimate.p).map_or(Cell::Missing, Cell::Probability));
            let count = |count: Option<usize>| count.map_or(Cell::Missing, |count| Cell::Count(count as u64));
            cells.push(count(found.map(|(estimate, _)| estimate.clusters)));
            cells.push(count(found.map(|(_, items)| items)));
            ItemsRow { cells, has_items: found.is_some() }
        })
        .collect();
    let mut heads: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
    let (first, second) = values;
    let numbers = ["task", "models", first, second, "difference", "95% interval", "p (sign flip)", "clusters", "items"];
    heads.extend(numbers.map(str::to_owned));
    let mut notes = vec![
        "Each row is about these two checkpoints on other items of the same kind. It says nothing about other training \
         runs of the recipes, so rows must not be combined."
            .to_owned(),
        "The 95% interval is from a bootstrap over clusters of items that share material, p from sign flips of whole \
         clusters. p is not corrected for the number of rows."
            .to_owned(),
    ];
    if lines.iter().any(|line| !line.has_items) {
        notes.push("—: there are no items that add up to the score, as for correlations.".to_owned());
    }
    Table {
        title: title.to_owned(),
        labels: columns.len() + 2,
        heads,
        rows: lines.into_iter().map(|line| line.cells).collect(),
        notes,
        ..Table::default()
    }
}

/// The estimate from the items of one seed, and the number of items; `None` if they do not add up to the two scores.
fn estimate(pair: &Pair, seed: &SeedPair, items: &Items) -> Option<(ItemEstimate, usize)> {
    let (first, second) = (credits(pair, &seed.first, items)?, credits(pair, &seed.second, items)?);
    if first.len() != second.len() {
        return None;
    }
    let mut names: Vec<&str> = first.keys().map(|(subtask, _)| *subtask).collect();
    names.dedup();
    let place: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let mut clusters: HashMap<String, usize> = HashMap::new();
    let mut differences = Vec::with_capacity(first.len());
    for (item, one) in &first {
        let other = second.get(item)?;
        let next = clusters.len();
        // One side may have been recorded before grid knew clusters.
        let name = one.cluster.clone().or_else(|| other.cluster.clone());
        let name = name.unwrap_or_else(|| format!("{}#{}", item.0, item.1));
        let cluster = *clusters.entry(name).or_insert(next);
        let difference = 100.0 * (other.credit - one.credit);
        differences.push(ItemDifference { subtask: place[item.0], cluster, difference });
    }
    let estimate = compare_items(&differences, &weights(pair.measure.suite, &names))?;
    let of_scores = value(&seed.second) - value(&seed.first);
    ((estimate.mean - of_scores).abs() < 1e-6).then_some((estimate, differences.len()))
}

/// The credit and the cluster of one item.
struct Credit {
    credit: f64,
    /// `None` if it is not known.
    cluster: Option<String>,
}

/// The credit of every item by subtask and number, averaged over the fine-tunings of one model; `None` if a job has no
/// items.
fn credits<'a>(pair: &Pair, rows: &[&ScoreRow], items: &'a Items) -> Option<BTreeMap<(&'a str, u32), Credit>> {
    let mut credits: BTreeMap<(&str, u32), Credit> = BTreeMap::new();
    for row in rows {
        let measure = &pair.measure;
        let of_measure = |item: &&ItemOutcome| {
            item.task == measure.task && measure.subtask.as_ref().is_none_or(|subtask| *subtask == item.subtask)
        };
        let own: Vec<&ItemOutcome> = items.get(&row.job)?.iter().filter(of_measure).collect();
        if own.is_empty() {
            return None;
        }
        for item in own {
            let cluster = || item.cluster.name(&item.subtask, item.item);
            let credit =
                credits.entry((&item.subtask, item.item)).or_insert_with(|| Credit { credit: 0.0, cluster: cluster() });
            credit.credit += item.credit / rows.len() as f64;
        }
    }
    Some(credits)
}

/// The weight of each subtask in the score: all subtasks have the same weight, except in entity tracking, where the splits
/// have the same weight and a subtask is a number of operations within a split (`regular_0_ops`).
fn weights(suite: Suite, subtasks: &[&str]) -> Vec<f64> {
    let split = |subtask: &'_ str| -> String {
        match suite {
            Suite::EntityTracking => {
                subtask.trim_end_matches("_ops").trim_end_matches(|c: char| c.is_ascii_digit()).into()
            }
            _ => String::new(),
        }
    };
    let mut sizes: BTreeMap<String, usize> = BTreeMap::new();
    subtasks.iter().for_each(|subtask| *sizes.entry(split(subtask)).or_default() += 1);
    let splits = sizes.len() as f64;
    subtasks.iter().map(|subtask| 1.0 / (splits * sizes[&split(subtask)] as f64)).collect()
}
