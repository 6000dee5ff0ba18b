use super::{GOOD, broken, good};
use crate::domain::{GlueTask, Quantity, Suite, TableView};

const SOUND: &str = "\
reference:
  theirs: {source: a card, scores: {blimp: 74.9, rte: 59, aoa: -3.9}}
  others: {source: a paper, scores: {macro: 36.6}}
tables:
  ours: {columns: [blimp, rte]}
  figure-3: {columns: [rte, wsc], show: boxes}
  few: {columns: [macro], reference: [others]}
";

#[test]
fn references_and_tables_are_read() {
    let grid = good(&format!("{GOOD}{SOUND}"), &[]);
    let theirs = &grid.references[0];
    assert_eq!((theirs.name.as_str(), theirs.source.as_str()), ("theirs", "a card"));
    assert_eq!(theirs.scores[&Quantity::Suite(Suite::Aoa)], -3.9);
    assert_eq!(grid.tables[0].columns, [Quantity::Suite(Suite::Blimp), Quantity::Task(GlueTask::Rte)]);
    assert_eq!(
        grid.tables.iter().map(|table| table.show).collect::<Vec<_>>(),
        [TableView::Scores, TableView::Boxes, TableView::Scores]
    );
    assert_eq!((grid.tables[0].references.len(), &grid.tables[2].references[..]), (2, &["others".to_owned()][..]));
}

#[test]
fn problems_of_references_and_tables() {
    let wrong = "\
reference:
  theirs: {scores: {blmp: 74.9, rte: 590}}
tables:
  scores: {columns: [blimp]}
  z: {columns: [blimp], show: z_scores, reference: [theirs]}
  none: {show: box}
  far: {columns: [blimp, blimp], reference: [their]}
";
    insta::assert_snapshot!(broken(&format!("{GOOD}{wrong}"), &[]), @"
    x.yaml:16:11: missing key 'source'
      help: where the numbers are published, such as `source: arXiv 2510.25364`
    x.yaml:16:21: a key of 'scores' must be one of blimp, blimp-supplement, ewok, entity-tracking, comps, boolq, mnli, mrpc, multirc, qqp, rte, wsc, glue, eye-tracking, self-paced, reading, wug-adj, wug-adj-accuracy, wug-past, aoa, nlp, human-likeness, macro, text-average, global-piqa-parallel, global-piqa-nonparallel, not 'blmp'
      help: did you mean 'blimp'?
    x.yaml:16:38: 'rte' must be a number from -100 to 100, not 590
      help: write scores in percent, and correlations times 100
    x.yaml:18:3: the name of table 'scores' is reserved
      help: choose another name; every experiment has the tables scores and leaderboard
    x.yaml:19:52: 'reference' has no meaning for z-scores
      help: remove the key: statistics do not include published numbers
    x.yaml:20:9: missing key 'columns'
      help: such as `columns: [blimp, ewok]`
    x.yaml:20:16: 'show' must be one of scores, z_scores, boxes, not 'box'
      help: such as scores
    x.yaml:21:26: 'columns' lists 'blimp' twice
      help: remove one of them
    x.yaml:21:46: unknown reference 'their'
      help: did you mean 'theirs'?
    ");
}

#[test]
fn every_suite_is_a_column() {
    let columns = Suite::official().map(Suite::name).collect::<Vec<_>>().join(", ");
    let grid = good(&format!("{GOOD}tables: {{all: {{columns: [{columns}]}}}}\n"), &[]);
    assert_eq!(grid.tables[0].columns.len(), Suite::official().count());
}
