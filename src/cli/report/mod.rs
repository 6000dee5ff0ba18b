//! `grid report`.

mod comparison;
mod nothing;
mod shown;

use clap::Args;

use self::shown::Shown;
use super::global::Global;
use super::output::{TableFormat, formatted};
use crate::domain::{CellRow, Grid, ScoreRow, TableView};
use crate::report::{self, Cell, Columns, Figure, Options, PlannedCells, Table, human, pivot};
use crate::session::{Exit, Failure, ImportedSource, SpecOrigin, SpecText, hide_curricula, imported_sources};
use crate::store::{BuildCount, Experiment, JobRow, Store};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The experiment; by default the latest.
    pub experiment: Option<String>,
    /// The table: scores, leaderboard (the official aggregates), or one of the spec's `tables`.
    #[arg(long, default_value = "scores", value_name = "NAME")]
    pub table: String,
    /// Compare two values A,B of an axis: the difference B - A with a paired t test over seeds.
    #[arg(long, value_name = "A,B", value_parser = axis_values)]
    pub compare: Option<AxisValues>,
    /// Also test whether the difference is smaller than this many points (two one-sided t tests).
    #[arg(long, value_name = "POINTS", requires = "compare", value_parser = positive)]
    pub equivalent: Option<f64>,
    /// Also show intervals and p-values from the pooled spread of all conditions of a task and model.
    #[arg(long, requires = "compare")]
    pub pooled: bool,
    /// Also compare the trained models of each seed item by item, which is about these models, not about recipes.
    #[arg(long, requires = "compare")]
    pub items: bool,
    /// Show for every task the spread over seeds, the smallest difference that the seeds can detect, and the number of
    /// seeds needed.
    #[arg(long)]
    pub power: bool,
    /// The difference in points that --power plans for.
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, requires = "power", value_parser = positive)]
    pub difference: f64,
    /// Show the scores of the pretraining milestones over the text seen.
    #[arg(long)]
    pub curve: bool,
    /// Show the subtasks of this suite instead of the aggregates; with --compare, also the phenomena of BLiMP.
    #[arg(long, value_name = "SUITE")]
    pub subtasks: Option<String>,
    /// Draw the table as an SVG figure instead of printing its numbers.
    #[arg(long, conflicts_with = "format")]
    pub svg: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// Two values of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AxisValues {
    /// The value to compare with.
    pub first: String,
    /// The value that is compared.
    pub second: String,
}

/// An experiment with its scores, as the database has them.
struct Results {
    name: String,
    origin: SpecOrigin,
    /// The stored spec, if it can be read.
    grid: Option<Grid>,
    cells: Vec<CellRow>,
    scores: Vec<ScoreRow>,
    jobs: Vec<JobRow>,
    /// The models that were trained elsewhere.
    imported: Vec<ImportedSource>,
}

/// `grid report`.
pub(super) async fn report(global: &Global, args: &ReportArgs) -> Result<Exit, Failure> {
    let columns = match &args.subtasks {
        None => Columns::Aggregates,
        Some(name) => Columns::Subtasks(name.clone()),
    };
    let runs = global.runs();
    let store = runs.open_existing().await?;
    let results = results(&store, args.experiment.as_deref()).await?;
    let Results { name, scores, jobs, .. } = &results;
    let mut shown: Vec<Shown> = vec![];
    let mut first = main_table(&results, &args.table, &columns)?;
    if scores.iter().any(ScoreRow::is_final) {
        first.table.notes.extend(versions_note(&store.builds(name).await?));
        shown.push(first);
    } else if !args.curve {
        return Err(nothing::no_scores(name, jobs));
    }
    if let Some(values) = &args.compare {
        let mut failed = store.failed_cells(name).await?;
        hide_curricula(&results.origin, &mut failed, &mut []);
        let planned = PlannedCells::new(&results.cells, &failed);
        let request = comparison::Request {
            experiment: name,
            planned: &planned,
            scores,
            columns: &columns,
            first: &values.first,
            second: &values.second,
            options: Options { equivalent: args.equivalent, pooled: args.pooled },
            items: args.items,
        };
        shown.extend(comparison::tables(&runs, &store, &request).await?);
    }
    if args.power {
        shown.push(Shown::new(report::power(name, scores, args.difference)));
    }
    if args.curve {
        let has_evaluations = |grid: &Grid| grid.cells.iter().any(|cell| !cell.recipe.milestone_evaluations.is_empty());
        let is_requested = results.grid.as_ref().is_some_and(has_evaluations);
        let curve = report::curve(name, &results.cells, scores);
        shown.push(Shown::new(curve.ok_or_else(|| nothing::no_curve(name, is_requested, jobs))?));
    }
    store.close().await;
    for shown in &mut shown {
        shown.table.notes.extend(imported_note(&shown.table, &results.imported));
    }
    print_shown(name, &shown, args);
    Ok(Exit::Done)
}

async fn results(store: &Store, experiment: Option<&str>) -> Result<Results, Failure> {
    let experiment = store.experiment(experiment).await?.experiment;
    let name = experiment.name.clone();
    let origin = SpecOrigin::from_stored(&experiment.spec_path);
    let (grid, imported) = stored_grid(experiment);
    let mut scores = store.scores(&name).await?;
    let mut cells = store.cells(&name).await?;
    hide_curricula(&origin, &mut cells, &mut scores);
    let jobs = store.job_rows(&name).await?;
    Ok(Results { name, origin, grid, cells, scores, jobs, imported })
}

/// The table that `--table` names.
fn main_table(results: &Results, wanted: &str, columns: &Columns) -> Result<Shown, Failure> {
    let Results { name, grid, cells, scores, jobs, .. } = results;
    let (references, named) = grid.as_ref().map_or((&[][..], &[][..]), |grid| (&grid.references, &grid.tables));
    match (wanted, columns) {
        ("scores", Columns::Aggregates) => Ok(Shown::new(pivot(name, cells, scores, columns, references))),
        ("scores", Columns::Subtasks(suite)) => {
            let table = pivot(name, cells, scores, columns, references);
            if !report::suites_with_subtasks(scores).contains(&suite.as_str()) {
                return Err(nothing::no_subtasks(name, suite, scores, jobs));
            }
            Ok(Shown { figure: Figure::of(&table).upright(), table })
        }
        ("leaderboard", _) => Ok(Shown::new(report::leaderboard(name, cells, scores, references))),
        (wanted, _) => {
            let definition = named.iter().find(|table| table.name == wanted);
            let definition = definition.ok_or_else(|| nothing::no_such_table(name, wanted, named))?;
            let shown = Shown::new(report::named_table(name, definition, cells, scores, references));
            Ok(match definition.show {
                TableView::Boxes => Shown { figure: report::box_figure(name, definition, cells, scores), ..shown },
                TableView::Scores | TableView::ZScores => shown,
            })
        }
    }
}

fn print_shown(name: &str, shown: &[Shown], args: &ReportArgs) {
    if args.svg {
        print!("{}", shown.last().map_or(String::new(), |shown| shown.figure.svg()));
        return;
    }
    let mut texts = shown.iter().map(|shown| formatted(&shown.table, args.format));
    match args.format {
        TableFormat::Html => {
            let parts: Vec<_> = shown.iter().map(|shown| (&shown.table, Some(&shown.figure))).collect();
            print!("{}", report::html_page(name, &parts));
        }
        // These formats hold one table, and so does a figure. A program gets the last one, which it asked for.
        TableFormat::Csv | TableFormat::Json => print!("{}", texts.next_back().unwrap_or_default()),
        TableFormat::Table | TableFormat::Md | TableFormat::Latex => print!("{}", texts.collect::<Vec<_>>().join("\n")),
    }
}

/// A note for tables whose results come from several versions of grid.
fn versions_note(versions: &[BuildCount]) -> Option<String> {
    let each = |BuildCount { version, jobs }: &BuildCount| format!("{} by {version}", human::counted(*jobs, "job"));
    let each: Vec<String> = versions.iter().map(each).collect();
    (each.len() > 1).then(|| format!("results of several versions, whose numbers may differ: {}", each.join("; ")))
}

/// A note about the imported models that a table shows.
fn imported_note(table: &Table, imported: &[ImportedSource]) -> Option<String> {
    let names = |cell: &Cell, model: &str| matches!(cell, Cell::Label(label) if label == model);
    let is_shown = |model: &str| {
        let of_axis =
            table.comparison.as_ref().is_some_and(|one| [&one.first, &one.second].contains(&&model.to_owned()));
        of_axis || table.rows.iter().flatten().any(|cell| names(cell, model))
    };
    let each = |ImportedSource { model, from, commit }: &ImportedSource| {
        let commit = commit.as_ref().map_or(String::new(), |commit| format!(" (commit {commit})"));
        format!("{model} is {from}{commit}")
    };
    let shown: Vec<String> = imported.iter().filter(|source| is_shown(&source.model)).map(each).collect();
    (!shown.is_empty()).then(|| format!("imported: {}", shown.join("; ")))
}

/// The spec that the database stored, so that no YAML file is needed for its published numbers and tables, and its
/// imported models.
fn stored_grid(experiment: Experiment) -> (Option<Grid>, Vec<ImportedSource>) {
    let name = experiment.name.clone();
    let spec = SpecText::stored(experiment);
    match spec.grid() {
        Ok(grid) => {
            let imported = imported_sources(&spec, &grid);
            (Some(grid), imported)
        }
        Err(failure) => {
            eprintln!("warning: the stored spec of '{name}' is invalid, so its references and tables are left out:");
            eprintln!("{failure}");
            (None, vec![])
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number.filter(|number| number.is_finite() && *number > 0.0).ok_or_else(|| "must be a number above 0".to_owned())
}

fn axis_values(text: &str) -> Result<AxisValues, String> {
    match text.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [first, second] if !first.is_empty() && !second.is_empty() => {
            Ok(AxisValues { first: first.to_owned(), second: second.to_owned() })
        }
        _ => Err("must be two values of an axis, such as merged,sequential".to_owned()),
    }
}
