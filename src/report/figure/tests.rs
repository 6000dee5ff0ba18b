use super::super::table::Scale;
use super::*;

/// Where the circles stand, in the order of the picture.
fn circles(svg: &str) -> Vec<(f64, f64)> {
    let number = |text: &str| -> f64 { text.split('"').next().unwrap().parse().unwrap() };
    let place = |circle: &str| (number(circle), number(circle.split("cy=\"").nth(1).unwrap()));
    svg.split("cx=\"").skip(1).map(place).collect()
}

#[test]
fn a_table_has_a_panel_for_each_column_of_numbers() {
    let score = |mean: f64| {
        let (deviation, marks, rules) = (Some(2.0), "a".to_owned(), "fixed".to_owned());
        let scale = Scale::Percent;
        Cell::Score(Score { mean, deviation, stderr: None, seeds: 2, seeds_expected: 3, marks, rules, scale })
    };
    let name = |text: &str| Cell::Label(text.to_owned());
    let table = Table {
        title: "toy: scores".into(),
        heads: ["model", "curriculum", "blimp", "seeds", "p"].map(str::to_owned).into(),
        labels: 2,
        rows: vec![
            vec![name("a<b"), name("merged"), score(60.0), Cell::Count(2), Cell::Probability(0.1)],
            vec![name("c"), name(""), score(70.0), Cell::Count(2), Cell::Missing],
        ],
        published: vec![vec![name("gpt2"), name(""), Cell::Number(74.9, 1), Cell::Missing, Cell::Missing]],
        footer: vec![
            vec![name("chance"), name(""), Cell::Missing, Cell::Missing, Cell::Missing],
            vec![name("floor"), name(""), Cell::Number(50.0, 1), Cell::Missing, Cell::Missing],
        ],
        notes: vec!["a note".into()],
        ..Table::default()
    };
    let svg = Figure::of(&table).svg();
    for shown in [
        ">a&lt;b merged<",
        ">c<",
        ">gpt2<",
        ">blimp<",
        "<title>floor 50</title>",
        ">dotted: floor<",
        ">76<",
        ">[2/3]a<",
    ] {
        assert!(svg.contains(shown), "no {shown} in {svg}");
    }
    assert!(!svg.contains(">seeds<") && !svg.contains(">p<"), "{svg}");
    assert!(svg.contains(r#"stroke-dasharray="1 3""#) && !svg.contains(r#"stroke-dasharray="5 3""#), "{svg}");
    let places = circles(&svg);
    assert_eq!(places.len(), 3);
    assert!(places.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1), "larger is further right, one below the other");
    assert!(places.iter().all(|(x, _)| (0.0..WIDTH).contains(x)));
    let (tens, five) = (places[1].0 - places[0].0, places[2].0 - places[1].0);
    assert!((tens / five - 10.0 / 4.9).abs() < 0.01, "the axis is linear");
    assert_eq!(svg.matches(r#"fill="white" stroke"#).count(), 1, "the published one is hollow");
}

#[test]
fn a_box_has_its_points_and_rings_beyond_the_whiskers() {
    let values = [-0.2, 0.0, 0.1, 0.2, 4.2];
    let (points, plot) = (["a", "b", "c", "d", "e"].into_iter().zip(values).collect(), BoxPlot::of(&values).unwrap());
    let one = Mark::Box(Distribution { points, mean: 0.86, plot });
    let panels = vec![Panel { head: "z".into(), marks: vec![one, Mark::Missing], beside: vec![], lines: vec![] }];
    let labels = vec!["one".to_owned(), "two".to_owned()];
    let svg = Figure { title: "toy: figure".into(), labels, panels, notes: vec![] }.svg();
    assert!(svg.contains("<title>e +4.20</title>") && svg.contains("<title>mean +0.86</title>"), "{svg}");
    assert_eq!(circles(&svg).len(), 5);
    assert_eq!(svg.matches(r#"fill="white" stroke"#).count(), 1, "{svg}");
}

fn panel(head: &str, values: &[f64]) -> Panel {
    let mark = |value: &f64| Mark::Value { value: *value, reach: None, remarks: String::new() };
    Panel { head: head.to_owned(), marks: values.iter().map(mark).collect(), beside: vec![], lines: vec![] }
}

#[test]
fn panels_on_one_scale_can_be_compared_by_eye() {
    let mut panels = [panel("one", &[50.0, 65.0]), panel("other", &[50.0, 60.0])];
    panels[1].beside = vec![65.0];
    let (title, labels) = ("toy".to_owned(), ["a", "b"].map(str::to_owned).to_vec());
    let places = circles(&Figure { title, labels, panels: panels.into(), notes: vec![] }.svg());
    let (first, second) = (places[1].0 - places[0].0, places[3].0 - places[2].0);
    assert!((first / second - 1.5).abs() < 0.01, "{places:?}");
}

#[test]
fn wide_heads_do_not_overprint() {
    let names = (0..9).map(|n| format!("sentential_negation_npi_licensor_present_{n}"));
    let panels = names.map(|name| panel(&name, &[1.0, 2.0])).collect();
    let svg = Figure { title: "toy".into(), labels: vec!["a".into(), "b".into()], panels, notes: vec![] }.svg();
    let places: Vec<f64> = circles(&svg).into_iter().map(|(x, _)| x).step_by(2).collect();
    let next = places.windows(2).filter(|two| two[1] > two[0]).map(|two| two[1] - two[0]);
    assert!(next.fold(f64::INFINITY, f64::min) > 42.0 * BOLD, "{places:?}");
}

#[test]
fn many_columns_become_rows_on_one_scale() {
    let mut panels: Vec<Panel> = (0..5).map(|n| panel(&format!("task {n}"), &[50.0 + f64::from(n), 60.0])).collect();
    for (n, panel) in panels.iter_mut().enumerate() {
        panel.lines = vec![("chance".to_owned(), vec![Some(if n < 2 { 50.0 } else { 25.0 }); 2])];
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
    assert_eq!(svg.matches("<title>chance 50</title>").count(), 2, "a line beside its rows: {svg}");
    assert_eq!(svg.matches("<title>chance 25</title>").count(), 2, "{svg}");
    assert_eq!(figure.clone().upright(), figure, "rows enough");
}

#[test]
fn many_panels_go_on_below() {
    let panels = (0..12).map(|n| panel(&format!("task {n}"), &[1.0])).collect();
    let svg = Figure { title: "toy".into(), labels: vec!["one".into()], panels, notes: vec![] }.svg();
    let places = circles(&svg);
    assert!(places.iter().all(|(x, _)| (0.0..WIDTH).contains(x)), "{places:?}");
    let mut heights: Vec<f64> = places.iter().map(|(_, y)| *y).collect();
    heights.dedup();
    assert_eq!(heights.len(), 2, "{places:?}");
    assert_eq!(svg.matches(">one<").count(), 2, "the names stand beside each line of panels");
}

#[test]
fn long_notes_go_on_below_and_lose_no_word() {
    let note = "all of these words ".repeat(30).trim().to_owned();
    let lines = wrapped(&note);
    assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= NOTE), "{lines:?}");
    assert_eq!(lines.join(" "), note);
}

#[test]
fn axes_hold_all_values_between_round_ticks() {
    let axis = |values: &[f64], width: f64| Axis::over(values.to_vec(), 0.0, width);
    let ticks = |axis: &Axis| axis.ticks().map(|tick| axis.label(tick)).collect::<Vec<String>>();
    assert_eq!(
        ticks(&axis(&[-1.7, 2.2], 400.0)),
        ["-2.0", "-1.5", "-1.0", "-0.5", "0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]
    );
    assert_eq!(ticks(&axis(&[49.0, 97.3], 130.0)), ["40", "60", "80", "100"]);
    assert_eq!(ticks(&axis(&[0.031, 0.038], 100.0)), ["0.030", "0.035", "0.040"]);
    assert_eq!(ticks(&axis(&[7.0, 7.0], 100.0)), ["6.5", "7.0", "7.5"]);
    assert_eq!(ticks(&axis(&[], 100.0)).len(), 3);
}
