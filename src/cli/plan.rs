//! `grid plan` and `grid run -n`.

use super::args::{Cli, Graph, PlanArgs, PlanFormat, SpecArgs};
use super::database;
use super::failure::{Exit, Failure};
use super::seeds;
use super::workspace::{SpecText, Workspace};
use crate::plan::{GraphFormat, describe};
use crate::report;

/// `grid plan`.
pub async fn plan(cli: &Cli, args: &PlanArgs) -> Result<Exit, Failure> {
    let (workspace, seeds) = workspace(cli, &args.spec).await?;
    match args.graph {
        Some(Graph::Dot) => print!("{}", workspace.plan.graph(GraphFormat::Dot)),
        Some(Graph::Mermaid) => print!("{}", workspace.plan.graph(GraphFormat::Mermaid)),
        None => show(&workspace, seeds, &args.spec, args.format)?,
    }
    Ok(Exit::Done)
}

/// `grid run -n`.
pub async fn dry_run(cli: &Cli, spec: &SpecArgs) -> Result<Exit, Failure> {
    let (workspace, seeds) = workspace(cli, spec).await?;
    show(&workspace, seeds, spec, PlanFormat::Text)?;
    Ok(Exit::Done)
}

/// The plan of a spec, and the warning of too few seeds.
async fn workspace(cli: &Cli, args: &SpecArgs) -> Result<(Workspace, Option<String>), Failure> {
    let (spec, grid) = SpecText::read(&args.spec, &args.set)?;
    let store = database::if_any(cli).await?;
    let warning = seeds::warning(store.as_ref(), &grid).await?;
    Ok((Workspace::prepare(&cli.runs_dir, &spec, grid, store.as_ref()).await?, warning))
}

fn show(workspace: &Workspace, few_seeds: Option<String>, spec: &SpecArgs, format: PlanFormat) -> Result<(), Failure> {
    let Workspace { plan, decisions, facts, grid, .. } = workspace;
    let mut description = describe(plan, decisions, facts, grid.budget);
    description.warnings.extend(few_seeds);
    match format {
        PlanFormat::Text => {
            print!("{}", description.text(&report::aligned_columns));
            let mut sources = grid.cells.iter().flat_map(|cell| cell.recipe.sources());
            if !description.missing.is_empty() && sources.any(|source| source.remote().is_some()) {
                println!(
                    "`grid run` first fetches what is on other machines; `grid data fetch {}` fetches it now",
                    spec.spec.display()
                );
            }
        }
        PlanFormat::Json => {
            let json =
                serde_json::to_string_pretty(&description).map_err(|error| Failure::new(Exit::Environment, error))?;
            println!("{json}");
        }
    }
    Ok(())
}
