//! `grid report`.

use clap::Args;

use super::args::{Cli, TableFormat};
use super::clusters::fill_clusters;
use super::database;
use super::eval::as_they_come;
use super::failure::{Exit, Failure, store_failure};
use super::workspace::SpecText;
use crate::domain::{Grid, JobKind, NamedTable, ScoreRow, Suite, TableView, did_you_mean};
use crate::report::{
    self, Columns, Comparison, Figure, Options, PlannedCells, Scope, Table, comparison_figure, human, pivot,
};
use crate::store::{BuildCount, Experiment, JobRow, JobState, Store};

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Experiment; by default the latest.
    pub experiment: Option<String>,
    /// Which table: scores, leaderboard (the official aggregates), or one of the spec's `tables`.
    #[arg(long, default_value = "scores", value_name = "NAME")]
    pub table: String,
    /// Compare two values of an axis, A,B: the difference B - A with a paired t test over seeds.
    #[arg(long, value_name = "A,B", value_parser = pair)]
    pub compare: Option<(String, String)>,
    /// Also test whether the difference is smaller than this many points (two one-sided t tests).
    #[arg(long, value_name = "POINTS", requires = "compare", value_parser = positive)]
    pub equivalent: Option<f64>,
    /// Also show intervals and p-values from the pooled spread of all conditions of a task and model.
    #[arg(long, requires = "compare")]
    pub pooled: bool,
    /// Also compare the trained models of each seed item by item: about these models, not about recipes.
    #[arg(long, requires = "compare")]
    pub items: bool,
    /// Show the spread over seeds of every task, the smallest difference the seeds can find, and the seeds needed.
    #[arg(long)]
    pub power: bool,
    /// The difference in points that --power plans for.
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, requires = "power", value_parser = positive)]
    pub difference: f64,
    /// Show the scores of the milestones of pretraining, over the text seen.
    #[arg(long)]
    pub curve: bool,
    /// Show the subtasks of this suite instead of the aggregates; with --compare, also the phenomena of BLiMP.
    #[arg(long, value_name = "SUITE")]
    pub subtasks: Option<String>,
    /// Draw the table as an SVG picture instead of writing its numbers.
    #[arg(long, conflicts_with = "format")]
    pub svg: bool,
    /// Form.
    #[arg(long, value_enum, default_value_t = TableFormat::Table)]
    pub format: TableFormat,
}

/// `grid report`.
pub async fn report(cli: &Cli, args: &ReportArgs) -> Result<Exit, Failure> {
    let columns = match &args.subtasks {
        None => Columns::Aggregates,
        Some(name) => Columns::Subtasks(suite(name)?),
    };
    let store = database::existing(cli).await?;
    let experiment = store.experiment(args.experiment.as_deref()).await.map_err(store_failure)?.experiment;
    let (name, spec) = (experiment.name.clone(), experiment.spec_path.clone());
    let grid = kept(experiment);
    let (references, named) = grid.as_ref().map_or((&[][..], &[][..]), |grid| (&grid.references, &grid.tables));
    let mut scores = store.scores(&name).await.map_err(store_failure)?;
    let mut cells = store.cells(&name).await.map_err(store_failure)?;
    as_they_come(&spec, &mut cells, &mut scores);
    let jobs = store.job_rows(&name).await.map_err(store_failure)?;
    let mut shown: Vec<(Table, Figure)> = vec![];
    let picture = |table: Table| (Figure::of(&table), table);
    let (figure, mut table) = match (args.table.as_str(), columns) {
        ("scores", Columns::Aggregates) => picture(pivot(&name, &cells, &scores, columns, references)),
        ("scores", Columns::Subtasks(suite)) => {
            let table = pivot(&name, &cells, &scores, columns, references);
            if !report::suites_with_subtasks(&scores).contains(&suite) {
                return Err(no_subtasks(&name, suite, &scores, &jobs));
            }
            (Figure::of(&table).upright(), table)
        }
        ("leaderboard", _) => picture(report::leaderboard(&name, &cells, &scores, references)),
        (wanted, _) => {
            let table = named.iter().find(|table| table.name == wanted);
            let table = table.ok_or_else(|| no_such_table(&name, wanted, named))?;
            let (figure, shown) = picture(report::named_table(&name, table, &cells, &scores, references));
            match table.show {
                TableView::Boxes => (report::box_figure(&name, table, &cells, &scores), shown),
                TableView::Scores | TableView::ZScores => (figure, shown),
            }
        }
    };
    match scores.iter().any(ScoreRow::is_final) {
        true => {
            table.notes.extend(of_several_builds(&store.builds(&name).await.map_err(store_failure)?));
            shown.push((table, figure));
        }
        false if args.curve => {}
        false => return Err(no_scores(&name, &jobs)),
    }
    if let Some(values) = &args.compare {
        let mut failed = store.failed_cells(&name).await.map_err(store_failure)?;
        as_they_come(&spec, &mut failed, &mut []);
        let planned = PlannedCells::new(&cells, &failed);
        let about = About { experiment: &name, planned: &planned, scores: &scores };
        shown.extend(compare(cli, &store, about, columns, values, args).await?);
    }
    if args.power {
        let table = report::power(&name, &scores, args.difference);
        let figure = Figure::of(&table);
        shown.push((table, figure));
    }
    if args.curve {
        let asked =
            grid.is_some_and(|grid| grid.cells.iter().any(|cell| !cell.recipe.milestone_evaluations.is_empty()));
        let curve = report::curve(&name, &cells, &scores).ok_or_else(|| no_curve(&name, asked, &jobs))?;
        let figure = Figure::of(&curve);
        shown.push((curve, figure));
    }
    store.close().await;
    if args.svg {
        print!("{}", shown.last().map_or(String::new(), |(_, figure)| figure.svg()));
        return Ok(Exit::Done);
    }
    let mut texts = shown.iter().map(|(table, _)| form(table, args.format));
    match args.format {
        TableFormat::Html => {
            let parts: Vec<_> = shown.iter().map(|(table, figure)| (table, Some(figure))).collect();
            print!("{}", report::html_page(&name, &parts));
        }
        // Two tables are two documents; a program gets the one it asked for, and so does a picture.
        TableFormat::Csv | TableFormat::Json => print!("{}", texts.next_back().unwrap_or_default()),
        TableFormat::Table | TableFormat::Md | TableFormat::Latex => print!("{}", texts.collect::<Vec<_>>().join("\n")),
    }
    Ok(Exit::Done)
}

/// The scores of an experiment, and what it has planned.
#[derive(Clone, Copy)]
struct About<'a> {
    experiment: &'a str,
    planned: &'a PlannedCells,
    scores: &'a [ScoreRow],
}

/// The tables of a comparison: that of the tasks, or those of the phenomena and subtasks of a suite; and with `--items`
/// one of trained models below each.
async fn compare(
    cli: &Cli,
    store: &Store,
    about: About<'_>,
    columns: Columns,
    (first, second): &(String, String),
    args: &ReportArgs,
) -> Result<Vec<(Table, Figure)>, Failure> {
    let About { experiment, planned, scores } = about;
    let options = Options { equivalent: args.equivalent, pooled: args.pooled };
    let scopes = match columns {
        Columns::Aggregates => vec![Scope::Aggregates],
        Columns::Subtasks(suite) => Scope::of_suite(suite, scores),
    };
    let of = |scope: Scope| match scope {
        Scope::Aggregates => String::new(),
        Scope::Subtasks(suite) => format!(", {suite} by {}", scope.noun()),
        Scope::Phenomena => format!(", {} by {}", Suite::Blimp, scope.noun()),
    };
    let mut tables = vec![];
    for scope in scopes {
        let comparison = Comparison::new(planned, scores, scope, first, second)
            .map_err(|error| Failure::new(Exit::NothingMatches, error))?;
        let title = format!("{experiment}: {second} against {first}{}", of(scope));
        tables.push(comparison.evaluate(options).table(&title));
        // A phenomenon has no items of its own: they are those of its subtasks.
        if args.items && scope != Scope::Phenomena {
            let notes = fill_clusters(cli, store, experiment).await?;
            let items = store.items(&comparison.jobs()).await.map_err(store_failure)?;
            let mut table = comparison.items(&items, &format!("{title}: these two checkpoints, seed by seed"));
            table.notes.extend(notes);
            tables.push(table);
        }
    }
    let with_figure = |table: Table| {
        let figure = comparison_figure(&table);
        (table, figure)
    };
    Ok(tables.into_iter().map(with_figure).collect())
}

/// What a reader must know where one table has the results of several builds of grid.
fn of_several_builds(builds: &[BuildCount]) -> Option<String> {
    let each = |BuildCount { version, jobs }: &BuildCount| format!("{version} gave {}", human::counted(*jobs, "job"));
    let each: Vec<String> = builds.iter().map(each).collect();
    (each.len() > 1).then(|| format!("of several builds, whose numbers may differ: {}", each.join("; ")))
}

/// The spec that the database kept, so that no YAML is needed for its published numbers and tables.
fn kept(experiment: Experiment) -> Option<Grid> {
    let name = experiment.name.clone();
    match SpecText::kept(experiment).grid() {
        Ok(grid) => Some(grid),
        Err(failure) => {
            eprintln!("warning: the kept spec of '{name}' cannot be read, so its references and tables are left out:");
            eprintln!("{failure}");
            None
        }
    }
}

/// How far an experiment is: `3 of 11 jobs done, 2 failed`.
fn stand(jobs: &[JobRow]) -> String {
    let count = |state: JobState| jobs.iter().filter(|job| job.state == state).count();
    let failed = match count(JobState::Failed) {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!("{} of {} done{failed}", count(JobState::Done), human::counted(jobs.len() as u64, "job"))
}

/// What to do about an experiment that is not done.
fn remedy(experiment: &str, jobs: &[JobRow]) -> String {
    match jobs.iter().any(|job| job.state == JobState::Failed) {
        true => format!("`grid status {experiment}` says why they failed; `grid resume {experiment}` tries them again"),
        false => format!("`grid status {experiment}` lists its jobs; `grid resume {experiment}` goes on"),
    }
}

/// Nothing is scored.
pub(super) fn no_scores(experiment: &str, jobs: &[JobRow]) -> Failure {
    let message = match jobs.iter().any(|job| matches!(job.kind, JobKind::Eval | JobKind::Finetune)) {
        true => {
            format!("grid: '{experiment}' has no scores yet: {}\n  help: {}", stand(jobs), remedy(experiment, jobs))
        }
        false => format!(
            "grid: '{experiment}' scores nothing\n  help: give its spec `evaluate: {{data: world, suites: [blimp]}}`"
        ),
    };
    Failure::text(Exit::NothingMatches, message)
}

/// No subtask of this suite is scored.
fn no_subtasks(experiment: &str, suite: Suite, scores: &[ScoreRow], jobs: &[JobRow]) -> Failure {
    let known: Vec<&str> = report::suites_with_subtasks(scores).iter().map(|suite| suite.name()).collect();
    if known.is_empty() {
        return no_scores(experiment, jobs);
    }
    let known = known.join(", ");
    let message = format!("grid: '{experiment}' has no subtask scores of {suite}; there are those of {known}");
    Failure::text(Exit::NothingMatches, message)
}

/// No milestone is scored, though it was `asked` or not.
fn no_curve(experiment: &str, asked: bool, jobs: &[JobRow]) -> Failure {
    let message = match asked {
        true => format!(
            "grid: no milestone of '{experiment}' is scored yet: {}\n  help: {}",
            stand(jobs),
            remedy(experiment, jobs)
        ),
        false => format!(
            "grid: '{experiment}' scores no milestones\n  help: give its spec `pretrain: {{milestones: ...}}` and \
             `evaluate: {{checkpoints: ...}}`"
        ),
    };
    Failure::text(Exit::NothingMatches, message)
}

fn no_such_table(experiment: &str, wanted: &str, named: &[NamedTable]) -> Failure {
    let known: Vec<&str> =
        ["scores", "leaderboard"].into_iter().chain(named.iter().map(|table| &*table.name)).collect();
    let near = did_you_mean(wanted, known.iter().copied()).map_or(String::new(), |hint| format!(" ({hint})"));
    let message = format!(
        "grid: '{experiment}' has no table '{wanted}'{near}; there are {}\n  help: `tables:` in the spec names more",
        known.join(", ")
    );
    Failure::text(Exit::NothingMatches, message)
}

/// The text of a table.
pub(super) fn form(table: &Table, format: TableFormat) -> String {
    match format {
        TableFormat::Table => table.terminal(),
        TableFormat::Md => table.markdown(),
        TableFormat::Csv => table.csv(),
        TableFormat::Json => table.json(),
        TableFormat::Latex => table.latex(),
        TableFormat::Html => report::html_page(&table.title, &[(table, None)]),
    }
}

fn suite(name: &str) -> Result<Suite, Failure> {
    Suite::ALL.into_iter().find(|suite| suite.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Suite::ALL.iter().map(|suite| suite.name()).collect();
        Failure::text(
            Exit::NothingMatches,
            format!("grid: no suite is called '{name}'; there are {}", known.join(", ")),
        )
    })
}

fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number.filter(|number| number.is_finite() && *number > 0.0).ok_or_else(|| "a number above 0 is needed".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [first, second] if !first.is_empty() && !second.is_empty() => Ok((first.to_owned(), second.to_owned())),
        _ => Err("two values of an axis are needed, such as merged,sequential".to_owned()),
    }
}
