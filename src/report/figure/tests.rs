use super::super::statistics::BoxPlot;
use super::super::table::{Cell, Scale, Score, Spread, Table};
use super::*;

/// The width of a figure in pixels.
const WIDTH: f64 = 960.0;

/// The positions of the circles, in the order of the file.
fn circles(svg: &str) -> Vec<(f64, f64)> {
    let number = |text: &str| -> f64 { text.split('"').next().unwrap().parse().unwrap() };
    let place = |circle: &str| (number(circle), number(circle.split("cy=\"").nth(1).unwrap()));
    // Those of the legend are samples.
    svg.split("cx=\"").skip(1).filter(|circle| !circle.contains("<title>sample<")).map(place).collect()
}

fn table(spread: Spread) -> Table {
    let score = |mean: f64| {
        let (deviation, stderr, marks, modes) = (Some(2.0), Some(1.0), "a".to_owned(), "fixed".to_owned());
        let scale = Scale::Percent;
        Cell::Score(Score { mean, deviation, stderr, seeds: 2, seeds_expected: 3, marks, modes, scale })
    };
    let name = |text: &str| Cell::Label(text.to_owned());
    Table {
        title: "toy: scores".into(),
        spread,
        heads: ["model", "curriculum", "blimp", "seeds", "p"].map(str::to_owned).into(),
        labels: 2,
        rows: vec![
            vec![name("a<b"), name("merged"), score(60.0), Cell::Count(2), Cell::Probability(0.1)],
            vec![name("c"), name(""), score(70.0), Cell::Count(2), Cell::Missing],
        ],
        published: vec![vec![name("gpt2"), name(""), Cell::Marked(74.9, 1, "b".into()), Cell::Missing, Cell::Missing]],
        footer: vec![
            vec![name("chance"), name(""), Cell::Missing, Cell::Missing, Cell::Missing],
            vec![name("floor"), name(""), Cell::Number(50.0, 1), Cell::Missing, Cell::Missing],
        ],
        notes: vec!["a note".into()],
        ..Table::default()
    }
}

#[test]
fn a_table_has_a_panel_for_each_column_of_numbers() {
    let svg = Figure::of(&table(Spread::Seeds)).svg();
    for shown in [
        ">a&lt;b merged<",
        ">c<",
        ">gpt2<",
        ">blimp<",
        "<title>floor 50</title>",
        ">floor<",
        ">published by others<",
        ">[2/3]a<",
        ">b<",
    ] {
        assert!(svg.contains(shown), "no {shown} in {svg}");
    }
    assert!(!svg.contains(">seeds<") && !svg.contains(">p<") && !svg.contains(">chance<"), "{svg}");
    assert!(svg.contains(r#"stroke-dasharray="1.5 2.5""#) && !svg.contains(r#"stroke-dasharray="6 3""#), "{svg}");
    let places = circles(&svg);
    assert_eq!(places.len(), 3);
    assert!(
        places.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1),
        "larger values are further right, rows are below each other"
    );
    assert!(places.iter().all(|(x, _)| (0.0..WIDTH).contains(x)));
    let (tens, five) = (places[1].0 - places[0].0, places[2].0 - places[1].0);
    assert!((tens / five - 10.0 / 4.9).abs() < 0.01, "the axis is linear");
    assert_eq!(svg.matches(r#"fill="white" stroke"#).count(), 2, "the published value is hollow, also in the legend");
}

/// Each kind of error bar has a shape of its own, which the legend explains.
#[test]
fn the_legend_explains_error_bars() {
    let meanings = ["mean ± sd over seeds", "score ± standard error over items, clustered by item group"];
    let shape = r#"stroke-width="6""#;
    for (spread, named, thick) in [(Spread::Seeds, [true, false], 0), (Spread::Items, [false, true], 3)] {
        let svg = Figure::of(&table(spread)).svg();
        assert_eq!(meanings.map(|meaning| svg.contains(&format!(">{meaning}<"))), named, "{svg}");
        assert_eq!(svg.matches(shape).count(), thick, "two scores and the legend: {svg}");
    }
    let svg = Figure::of(&table(Spread::None)).svg();
    assert_eq!(meanings.map(|meaning| svg.contains(meaning)), [false, false], "{svg}");
}

#[test]
fn a_percentage_is_drawn_between_0_and_100() {
    let mut table = table(Spread::Seeds);
    for row in &mut table.rows {
        if let Cell::Score(score) = &mut row[2] {
            (score.mean, score.deviation) = (score.mean + 25.0, Some(20.0));
        }
    }
    let svg = Figure::of(&table).svg();
    assert!(svg.contains(">100<") && !svg.contains(">110<") && !svg.contains(">120<"), "{svg}");
    // 85 - 20 and 95 - 20 have a cap, 85 + 20 and 95 + 20 are cut off at 100. The sample in the legend has two caps.
    let caps = svg.lines().filter(|line| line.contains(r#"stroke-width="1.3"/>"#)).count();
    assert_eq!(caps, 2 * 2 + 3, "{svg}");
}

/// A reference line far from the data would compress the data into a corner of the axis.
#[test]
fn a_reference_line_far_from_the_data_is_not_on_the_axis() {
    let mut panel = panel("blimp", &[91.0, 98.0]);
    let line = |name: &str, value| Named { name: name.to_owned(), values: vec![Some(value); 2] };
    panel.lines = vec![line("chance", 50.0), line("floor", 89.0)];
    let labels = ["a", "b"].map(str::to_owned).to_vec();
    let svg = Figure { title: "toy".into(), labels, panels: vec![panel], notes: vec![] }.svg();
    assert!(svg.contains(">◂ chance 50.0<") && !svg.contains("<title>chance 50"), "{svg}");
    assert!(svg.contains("<title>floor 89</title>"), "{svg}");
    let places = circles(&svg);
    assert!(places[1].0 - places[0].0 > 0.6 * WIDTH, "{places:?}");
}

#[test]
fn a_box_has_its_points_and_outliers_are_rings() {
    let values = [-0.2, 0.0, 0.1, 0.2, 4.2];
    let (points, plot) = (["a", "b", "c", "d", "e"].into_iter().zip(values).collect(), BoxPlot::of(&values).unwrap());
    let one = Mark::Box(Distribution { points, mean: 0.86, plot, annotation: "5 of 6".to_owned() });
    let bands = Some(Named { name: "equal models".to_owned(), values: vec![Some((-0.5, 0.5)), None] });
    let panels = vec![Panel { bands, ..Panel::new("z".into(), vec![one, Mark::Missing]) }];
    let labels = vec!["one".to_owned(), "two".to_owned()];
    let svg = Figure { title: "toy: figure".into(), labels, panels, notes: vec![] }.svg();
    assert!(svg.contains("<title>e +4.20</title>") && svg.contains("<title>mean +0.86</title>"), "{svg}");
    assert_eq!(circles(&svg).len(), 5);
    assert_eq!(svg.matches(r#"fill="white" stroke"#).count(), 2, "the outlier and its legend entry: {svg}");
    for shown in [">5 of 6<", ">equal models<", ">quartiles and median<", ">more than 1.5 IQR from the box<"] {
        assert!(svg.contains(shown), "no {shown} in {svg}");
    }
    assert_eq!(svg.matches("#fbf5c4").count(), 2, "the band of one row and its legend entry: {svg}");
}

/// In a narrow figure names are above their marks, and every panel has the whole width.
#[test]
fn a_narrow_figure_has_one_panel_per_line() {
    let panels = (0..3).map(|n| panel(&format!("task {n}"), &[1.0, 2.0])).collect();
    let labels = ["tiny chat+questions sequential", "tiny questions+chat sequential"].map(str::to_owned).to_vec();
    let notes = vec!["all of these words ".repeat(10)];
    let svg =
        Figure { title: "a title that is longer than a narrow screen".into(), labels, panels, notes }.narrow_svg();
    assert!(svg.starts_with(r#"<svg xmlns="http://www.w3.org/2000/svg" width="380""#), "{svg}");
    let places = circles(&svg);
    assert!(places.windows(2).all(|two| two[0].1 < two[1].1), "{places:?}");
    assert!(places[1].0 - places[0].0 > 300.0, "{places:?}");
    assert!(!svg.contains("text-anchor=\"end\""), "{svg}");
}

fn panel(head: &str, values: &[f64]) -> Panel {
    let mark = |value: &f64| Mark::Value { value: *value, error_bar: None, annotation: String::new() };
    Panel::new(head.to_owned(), values.iter().map(mark).collect())
}

#[test]
fn panels_with_shared_values_have_the_same_scale() {
    let mut panels = [panel("one", &[50.0, 65.0]), panel("other", &[50.0, 60.0])];
    panels[1].beside = vec![65.0];
    let (title, labels) = ("toy".to_owned(), ["a", "b"].map(str::to_owned).to_vec());
    let places = circles(&Figure { title, labels, panels: panels.into(), notes: vec![] }.svg());
    let (first, second) = (places[1].0 - places[0].0, places[3].0 - places[2].0);
    assert!((first / second - 1.5).abs() < 0.01, "{places:?}");
}

#[test]
fn wide_heads_do_not_overlap() {
    let names = (0..9).map(|n| format!("sentential_negation_npi_licensor_present_{n}"));
    let panels = names.map(|name| panel(&name, &[1.0, 2.0])).collect();
    let svg = Figure { title: "toy".into(), labels: vec!["a".into(), "b".into()], panels, notes: vec![] }.svg();
    let places: Vec<f64> = circles(&svg).into_iter().map(|(x, _)| x).step_by(2).collect();
    let next = places.windows(2).filter(|two| two[1] > two[0]).map(|two| two[1] - two[0]);
    assert!(next.fold(f64::INFINITY, f64::min) > 42.0 * 8.0, "{places:?}");
}

#[test]
fn many_columns_become_rows_on_one_scale() {
    let mut panels: Vec<Panel> = (0..5).map(|n| panel(&format!("task {n}"), &[50.0 + f64::from(n), 60.0])).collect();
    for (n, panel) in panels.iter_mut().enumerate() {
        let values = vec![Some(if n < 2 { 50.0 } else { 45.0 }); 2];
        panel.lines = vec![Named { name: "chance".to_owned(), values }];
    }
    let (title, labels) = ("toy".to_owned(), vec!["tiny".to_owned(), "small".to_owned()]);
    let figure = Figure { title, labels, panels, notes: vec![] }.upright();
    assert_eq!(figure.labels, ["task 0", "task 1", "task 2", "task 3", "task 4"]);
    let heads: Vec<&str> = figure.panels.iter().map(|panel| panel.head.as_str()).collect();
    assert_eq!(heads, ["tiny", "small"]);
    assert_eq!(figure.panels[0].values(), {
        let mut values = figure.panels[1].values();
        values[..5].copy_from_slice(&[50.0, 51.0, 52.0, 53.0, 54.0]);
        values
    });
    let svg = figure.svg();
    assert_eq!(svg.matches("<title>chance 50</title>").count(), 2, "the line is only beside its rows: {svg}");
    assert_eq!(svg.matches("<title>chance 45</title>").count(), 2, "{svg}");
    assert_eq!(figure.clone().upright(), figure, "there are enough rows");
}

#[test]
fn many_panels_continue_on_the_next_line() {
    let panels = (0..12).map(|n| panel(&format!("task {n}"), &[1.0])).collect();
    let svg = Figure { title: "toy".into(), labels: vec!["one".into()], panels, notes: vec![] }.svg();
    let places = circles(&svg);
    assert!(places.iter().all(|(x, _)| (0.0..WIDTH).contains(x)), "{places:?}");
    let mut heights: Vec<f64> = places.iter().map(|(_, y)| *y).collect();
    heights.dedup();
    assert_eq!(heights.len(), 2, "{places:?}");
    assert_eq!(svg.matches(">one<").count(), 2, "the names are beside each line of panels");
}
