//! `grid plan`.

use clap::{Args, ValueEnum};

use super::global::Global;
use super::output::{TextFormat, print_json};
use super::spec_args::SpecArgs;
use crate::plan::{Description, GraphFormat, describe};
use crate::report;
use crate::session::{Exit, Failure, FewSeeds, Session, few_seeds};

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// The spec.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = TextFormat::Text)]
    pub format: TextFormat,
    /// Print the graph of jobs instead.
    #[arg(long, value_enum)]
    pub graph: Option<Graph>,
}

/// Graph languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Graph {
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// `grid plan`.
pub(super) async fn plan(global: &Global, args: &PlanArgs) -> Result<Exit, Failure> {
    let Planned { session, few_seeds } = planned(global, &args.spec).await?;
    match (args.graph, args.format) {
        (Some(Graph::Dot), _) => print!("{}", session.plan.graph(GraphFormat::Dot)),
        (Some(Graph::Mermaid), _) => print!("{}", session.plan.graph(GraphFormat::Mermaid)),
        (None, TextFormat::Text) => print_text(&session, few_seeds, &args.spec),
        (None, TextFormat::Json) => print_json(&description(&session, few_seeds))?,
    }
    Ok(Exit::Done)
}

/// `grid run --dry-run`.
pub(super) async fn print_plan(global: &Global, spec: &SpecArgs) -> Result<Exit, Failure> {
    let Planned { session, few_seeds } = planned(global, spec).await?;
    print_text(&session, few_seeds, spec);
    Ok(Exit::Done)
}

/// A planned experiment, and a warning if it has too few seeds.
struct Planned {
    session: Session,
    few_seeds: Option<String>,
}

async fn planned(global: &Global, args: &SpecArgs) -> Result<Planned, Failure> {
    let (spec, grid) = args.read()?;
    let runs = global.runs();
    let store = runs.open_if_present().await?;
    let few_seeds = few_seeds(store.as_ref(), &grid).await?.and_then(|few| few_seeds_warning(&few));
    Ok(Planned { session: Session::open(&runs.path, spec, grid, store.as_ref()).await?, few_seeds })
}

fn few_seeds_warning(few: &FewSeeds) -> Option<String> {
    let spreads: Vec<_> = few.earlier.iter().flat_map(|scores| report::observed_spreads(scores, &few.suites)).collect();
    report::few_seeds_warning(few.fewest, &spreads)
}

fn description(session: &Session, few_seeds: Option<String>) -> Description {
    let Session { plan, decisions, facts, grid, .. } = session;
    let mut description = describe(plan, decisions, facts, grid.budget.as_ref());
    description.warnings.extend(few_seeds);
    description
}

fn print_text(session: &Session, few_seeds: Option<String>, spec: &SpecArgs) {
    let description = description(session, few_seeds);
    print!("{}", description.text(&report::aligned_columns));
    let mut sources = session.grid.cells.iter().flat_map(|cell| cell.recipe.sources());
    if !description.missing.is_empty() && sources.any(|source| source.remote().is_some()) {
        println!(
            "`grid run` fetches missing data from other machines first; `grid data fetch {}` fetches them now",
            spec.spec.display()
        );
    }
}
