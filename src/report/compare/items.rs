//! Two trained models item by item: about these models, not about the recipes that they come from.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::super::measure::Measure;
use super::super::statistics::clusters::{ItemDifference, ItemEstimate, compare_items};
use super::super::table::{Cell, Table};
use super::axis::Axis;
use super::labels;
use super::pair::{Pair, SeedPair, value};
use crate::domain::{ItemOutcome, ScoreRow, Suite};

/// The items of each job.
type Items = BTreeMap<String, Vec<ItemOutcome>>;

/// One line: two models of one seed on one task.
struct Line {
    cells: Vec<Cell>,
    /// Whether there were items that add up to the score.
    has_items: bool,
}

/// The table of `--items`: one line for each pair of conditions, task and seed, never added up over seeds.
///
/// The difference is that of the scores; interval and p are of the same statistic, by a bootstrap over clusters of items
/// and by flipping the signs of clusters. Fine-tunings of one model are averaged item by item.
pub(super) fn table((axis, pairs): (Axis, &[Pair]), items: &Items, values: (&str, &str), title: &str) -> Table {
    let measures: Vec<Measure> = pairs.iter().map(|pair| pair.measure.clone()).collect();
    let columns = labels::columns(axis, pairs);
    let lines: Vec<(&Pair, &SeedPair)> =
        pairs.iter().flat_map(|pair| pair.seeds.iter().map(move |s| (pair, s))).collect();
    let lines: Vec<Line> = (lines.par_iter())
        .map(|(pair, seed)| {
            let (first, second) = seed.values();
            let found = estimate(pair, seed, items);
            let mut cells: Vec<Cell> = columns.iter().map(|column| Cell::Label(column.label(pair).text())).collect();
            cells.push(Cell::Label(pair.measure.head(&measures)));
            cells.push(Cell::Label(format!("seed {}", seed.seed)));
            cells.extend([Cell::Number(first, 1), Cell::Number(second, 1), Cell::Difference(second - first, 1)]);
            let interval = found.and_then(|(estimate, _)| estimate.interval);
            cells.push(interval.map_or(Cell::Missing, |(low, high)| Cell::Interval(low, high)));
            cells.push(found.and_then(|(estimate, _)| estimate.p).map_or(Cell::Missing, Cell::Probability));
            let count = |count: Option<usize>| count.map_or(Cell::Missing, |count| Cell::Count(count as u64));
            cells.push(count(found.map(|(estimate, _)| estimate.clusters)));
            cells.push(count(found.map(|(_, items)| items)));
            Line { cells, has_items: found.is_some() }
        })
        .collect();
    let mut heads: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
    let (first, second) = values;
    let numbers = ["task", "models", first, second, "difference", "95% interval", "p (sign flip)", "clusters", "items"];
    heads.extend(numbers.map(str::to_owned));
    let mut notes = vec![
        "about these two checkpoints on other items of the same kind; says nothing about other trainings of the recipes, \
         for which lines must not be added up"
            .to_owned(),
        "95% interval: bootstrap over clusters of items that share material; p: sign flips of whole clusters; not \
         corrected for the number of lines"
            .to_owned(),
    ];
    if lines.iter().any(|line| !line.has_items) {
        notes.push("—: no items that add up to the score, as for correlations".to_owned());
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

/// What the items of one seed say, and how many there are; `None` where they do not add up to the two scores.
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
        // One side may have been recorded before clusters were.
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

/// Credit and cluster of one item.
struct Credit {
    credit: f64,
    /// `None` where it is not known.
    cluster: Option<String>,
}

/// The credit of every item by subtask and place, averaged over the fine-tunings of one model; `None` where a job has no
/// items, or jobs have different ones.
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

/// The share of each subtask in the score: equal ones, and in entity tracking equal ones of the splits, whose subtasks
/// are numbers of operations (`regular_0_ops`).
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
