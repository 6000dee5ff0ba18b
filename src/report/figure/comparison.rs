//! The figure of a comparison.

use super::super::table::{Cell, Scale, Table};
use super::content::{ErrorBar, ErrorBarKind, Figure, Mark, Named, Panel};

/// The figure of the table of a comparison: both values on one scale, and the difference with its 95% interval and p.
///
/// The columns are found by the type of their cells: the difference, the two values before it, and after it the first
/// interval and the first p-value, unless the table has corrected ones. A table without differences is drawn like any
/// other table.
pub fn comparison_figure(table: &Table) -> Figure {
    let columns = || table.labels..table.heads.len();
    let find = |is: fn(&Cell) -> bool, mut columns: std::ops::Range<usize>| {
        columns.find(|column| table.rows.iter().any(|row| is(&row[*column])))
    };
    let Some(difference) = find(|cell| matches!(cell, Cell::Difference(..)), columns()) else {
        return Figure::of(table);
    };
    let after = || difference + 1..table.heads.len();
    let interval = find(|cell| matches!(cell, Cell::Interval(..)), after());
    let is_p = |column: &usize| table.rows.iter().any(|row| matches!(row[*column], Cell::Probability(_)));
    let p = table.corrected_p.filter(is_p).or_else(|| after().find(is_p));

    let values: Vec<Panel> = (difference.saturating_sub(2).max(table.labels)..difference)
        .map(|column| {
            let marks = table.rows.iter().map(|row| Mark::of(&row[column], table.spread)).collect();
            Panel::new(table.heads[column].clone(), marks)
        })
        .collect();
    let both: Vec<f64> = values.iter().flat_map(Panel::values).collect();
    // Rows of several metrics share the axis, so the scale is inferred from the values.
    let scale = [Scale::Percent, Scale::Correlation].into_iter().find(|scale| {
        let (low, high) = scale.ends();
        both.iter().all(|value| (low..=high).contains(value))
    });
    let values = values.into_iter().map(|panel| Panel { scale, beside: both.clone(), ..panel });

    let mark = |row: &Vec<Cell>| match &row[difference] {
        Cell::Difference(value, _) => Mark::Value {
            value: *value,
            error_bar: interval.and_then(|column| match row[column] {
                Cell::Interval(low, high, _) => Some(ErrorBar { kind: ErrorBarKind::Interval, low, high }),
                _ => None,
            }),
            annotation: p.map_or(String::new(), |column| match &row[column] {
                Cell::Probability(p) if *p < 0.001 => "p < 0.001".to_owned(),
                Cell::Probability(p) => format!("p = {p:.3}"),
                _ => String::new(),
            }),
        },
        _ => Mark::Missing,
    };
    let parts = [Some(difference), p].into_iter().flatten().map(|column| table.heads[column].as_str());
    let differences = Panel {
        scale: scale.map(|_| Scale::Correlation),
        lines: vec![Named { name: "no difference".to_owned(), values: vec![Some(0.0); table.rows.len()] }],
        ..Panel::new(parts.collect::<Vec<&str>>().join(", "), table.rows.iter().map(mark).collect())
    };
    Figure { panels: values.chain([differences]).collect(), ..Figure::of(table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let name = |text: &str| Cell::Label(text.to_owned());
        let row = |task: &str, first: f64, second: f64, interval: Cell, p: Cell, corrected: Cell| {
            let values = [Cell::Number(first, 1), Cell::Number(second, 1), Cell::Difference(second - first, 1)];
            [vec![name("tiny"), name(task)], values.to_vec(), vec![interval, p, corrected, name("3 of 3")]].concat()
        };
        let heads =
            ["model", "task", "merged", "sequential", "difference", "95% interval", "p", "p (Holm, 2)", "seeds"];
        let p = Cell::Probability;
        Table {
            title: "toy: sequential against merged".into(),
            heads: heads.map(str::to_owned).into(),
            labels: 2,
            corrected_p: Some(7),
            rows: vec![
                row("blimp", 60.0, 80.0, Cell::Interval(14.5, 25.5, 1), p(0.000_01), p(0.000_02)),
                row("rte", 60.0, 59.0, Cell::Interval(-9.0, 7.0, 1), p(0.04), p(0.08)),
                row("wsc", 50.0, 60.0, Cell::Missing, Cell::Missing, Cell::Missing),
            ],
            ..Table::default()
        }
    }

    #[test]
    fn both_values_share_an_axis_and_the_difference_has_an_interval() {
        let figure = comparison_figure(&table());
        let heads: Vec<&str> = figure.panels.iter().map(|panel| panel.head.as_str()).collect();
        assert_eq!(heads, ["merged", "sequential", "difference, p (Holm, 2)"]);
        assert_eq!(figure.panels[0].beside, [60.0, 60.0, 50.0, 80.0, 59.0, 60.0]);
        assert_eq!(figure.panels[0].beside, figure.panels[1].beside);
        assert_eq!(figure.panels[0].scale, Some(Scale::Percent));
        let interval = |low, high| Some(ErrorBar { kind: ErrorBarKind::Interval, low, high });
        let value =
            |value, error_bar, annotation: &str| Mark::Value { value, error_bar, annotation: annotation.to_owned() };
        assert_eq!(
            figure.panels[2].marks,
            [
                value(20.0, interval(14.5, 25.5), "p < 0.001"),
                value(-1.0, interval(-9.0, 7.0), "p = 0.080"),
                value(10.0, None, "")
            ]
        );
        let svg = figure.svg();
        assert!(svg.contains(">p &lt; 0.001<") && svg.contains(">95% interval<") && svg.contains(">no difference<"));
    }

    /// Columns are found by the type of their cells, not by their position.
    #[test]
    fn without_interval_and_p_only_the_difference_is_drawn() {
        let mut table = table();
        for row in &mut table.rows {
            row.truncate(5);
        }
        table.heads.truncate(5);
        table.corrected_p = None;
        let figure = comparison_figure(&table);
        assert_eq!(figure.panels[2].head, "difference");
        assert_eq!(figure.panels[2].marks[0], Mark::Value { value: 20.0, error_bar: None, annotation: String::new() });
        table.rows[0][2] = Cell::Number(-20.0, 1);
        assert_eq!(comparison_figure(&table).panels[0].scale, Some(Scale::Correlation));
        table.rows.clear();
        assert_eq!(comparison_figure(&table), Figure::of(&table));
    }
}
