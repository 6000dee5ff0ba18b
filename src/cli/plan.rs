//! `grid plan` and `grid run -n`.

use super::args::{Cli, Graph, PlanArgs, PlanFormat, SpecArgs};
use super::database;
use super::failure::{Exit, Failure};
use super::workspace::{SpecText, Workspace};
use crate::plan::{GraphFormat, describe};

/// `grid plan`.
pub async fn plan(cli: &Cli, args: &PlanArgs) -> Result<Exit, Failure> {
    let workspace = workspace(cli, &args.spec).await?;
    match args.graph {
        Some(Graph::Dot) => print!("{}", workspace.plan.graph(GraphFormat::Dot)),
        Some(Graph::Mermaid) => print!("{}", workspace.plan.graph(GraphFormat::Mermaid)),
        None => show(&workspace, &args.spec, args.format)?,
    }
    Ok(Exit::Done)
}

/// `grid run -n`.
pub async fn dry_run(cli: &Cli, spec: &SpecArgs) -> Result<Exit, Failure> {
    show(&workspace(cli, spec).await?, spec, PlanFormat::Text)?;
    Ok(Exit::Done)
}

async fn workspace(cli: &Cli, args: &SpecArgs) -> Result<Workspace, Failure> {
    let (spec, grid) = SpecText::read(&args.spec, &args.set)?;
    let store = database::if_any(cli).await?;
    Workspace::prepare(&cli.runs_dir, &spec, grid, store.as_ref()).await
}

fn show(workspace: &Workspace, spec: &SpecArgs, format: PlanFormat) -> Result<(), Failure> {
    let Workspace { plan, decisions, facts, grid, .. } = workspace;
    let description = describe(plan, decisions, facts, grid.budget);
    match format {
        PlanFormat::Text => {
            print!("{}", description.text());
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
